"""Builds the kernels for processors, and copies what stands beside the packages; the rest is in pyproject.toml.

Each instruction set has a source file of its own with flags of its own, and the library chooses among them when it
runs; it is called through ctypes and knows nothing of Python. So one wheel serves every processor of an architecture
and every Python. Without a C++ compiler the package installs all the same, and torch does the work, slower.
"""

from __future__ import annotations

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError

FOLDER = Path("chatglm_slim_llm/kernels/native")
LIBRARY = Path("chatglm_slim_llm/kernels/_native.so")
MACHINE = platform.machine().lower() if sys.maxsize > 2**32 else "of 32 bits"
# No -ffast-math: sums keep their order, so that a row comes out the same alone and in a batch.
FLAGS = ["-std=c++17", "-O3", "-fopenmp", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=off", "-Wno-psabi"]
FLAGS += ["-g0"]  # what debuggers need is nine tenths of the library, and names the folder of the build
if os.environ.get("CHATGLM_SANITIZE"):  # see `make sanitize`
    FLAGS += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-O1", "-g"]
AVX2 = ["-mavx2", "-mfma", "-mf16c"]
LINK = [flag for flag in FLAGS if flag == "-fopenmp" or flag.startswith("-fsanitize")]
SETS: dict[str, list[str]] = {"portable": []}
MACROS: list[tuple[str, str | None]] = []
if MACHINE in {"x86_64", "amd64"}:
    MACROS = [("CHATGLM_X86", None)]
    SETS |= {"avx2": AVX2, "avxvnni": [*AVX2, "-mavxvnni"]}
    SETS |= {"avx512": [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni"]}
# GCC before 11, binutils before 2.36; the library does without what they do not know. An instruction of each.
NEWER_THAN_SOME_COMPILERS = {"avxvnni": "%{vex%} vpdpbusd %%ymm0, %%ymm0, %%ymm0"}
if MACHINE in {"aarch64", "arm64"}:
    MACROS = [("CHATGLM_ARM", None)]
    SETS |= {"neon": ["-march=armv8.2-a+dotprod"]}


class BuildNative(build_ext):
    """Compiles each source with the flags of its instruction set."""

    def build_extension(self, ext: Extension) -> None:
        """Compile the sources side by side and link one library."""

        def compile_one(source: str) -> list[str]:
            flags = [*FLAGS, *SETS.get(Path(source).stem, [])]
            places = {"output_dir": self.build_temp, "depends": ext.depends}
            return self.compiler.compile([source], macros=ext.define_macros, extra_postargs=flags, **places)

        unknown = {name for name in NEWER_THAN_SOME_COMPILERS if name in SETS and not self._knows(name)}
        sources = [source for source in ext.sources if Path(source).stem not in unknown]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = [name for names in pool.map(compile_one, sources) for name in names]
        target = self.get_ext_fullpath(ext.name)
        self.compiler.link_shared_object(objects, target, extra_postargs=LINK, target_lang="c++")

    def _knows(self, name: str) -> bool:
        """Whether the compiler has the flags of an instruction set, and its assembler the instructions.

        Raises:
            CompileError: it compiles nothing at all, for whatever reason.
        """
        probe = Path(self.build_temp, "probe.cpp")
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        self.compiler.compile([str(probe)], output_dir=self.build_temp, extra_postargs=FLAGS)
        probe.write_text(f'void probe() {{ asm("{NEWER_THAN_SOME_COMPILERS[name]}" :); }}\n')
        try:
            self.compiler.compile([str(probe)], output_dir=self.build_temp, extra_postargs=[*FLAGS, *SETS[name]])
        except CompileError:
            self.warn(f"the compiler does not know {name}; the kernels are built without it")
            return False
        return True

    def get_ext_filename(self, fullname: str) -> str:
        """One name for every Python and system: nobody imports the library, it is loaded by its path."""
        return str(Path(*fullname.split(".")).with_suffix(".so"))


class BuildPackages(build_py):
    """Takes the shipped ``plugins.toml`` along, which a checkout has at its root."""

    def run(self) -> None:
        """Copy the packages, then the file."""
        super().run()
        if not self.editable_mode:
            self.copy_file("plugins.toml", str(Path(self.build_lib, "chatglm_slim_llm", "plugins.toml")))


class PlatformWheel(bdist_wheel):
    """A wheel for a platform and any Python 3, or for any platform where the library could not be built."""

    def get_tag(self) -> tuple[str, str, str]:
        """The wheel's tags, from what is in it."""
        return "py3", "none", super().get_tag()[2] if self._has_library() else "any"

    def write_wheelfile(self, *args: object, **kwargs: object) -> None:
        """Write the tags down."""
        self.root_is_pure = not self._has_library()
        super().write_wheelfile(*args, **kwargs)

    def _has_library(self) -> bool:
        return Path(self.bdist_dir, LIBRARY).is_file()


setup(
    ext_modules=[
        Extension(
            "chatglm_slim_llm.kernels._native",
            sources=[str(FOLDER / f"{name}.cpp") for name in (*reversed(SETS), "api")],  # the longest first
            depends=[str(path) for path in sorted(FOLDER.glob("*.h"))],
            define_macros=MACROS,
            language="c++",
            optional=True,
        )
    ],
    cmdclass={"bdist_wheel": PlatformWheel, "build_ext": BuildNative, "build_py": BuildPackages},
)
