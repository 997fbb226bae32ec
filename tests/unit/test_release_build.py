"""What is built is the commit and nothing else, and what a wheel lacks or has too much is said."""

from __future__ import annotations

import ctypes
import gzip
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from release import contents
from release.build import BuildError, export, level_times, refuse_changes

ROOT = Path(__file__).parents[2]
needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or shutil.which("c++") is None,
    reason="AVX is for x86, and what is built there takes a compiler",
)
TRACKED = [
    "README.md",
    "chatglm_slim_llm/__init__.py",
    "chatglm_slim_llm/demo/config.json",
    "chatglm_slim_llm/kernels/native/api.cpp",
    "plugins.toml",
    "tests/unit/test_one.py",
    "tui/app.tcss",
]
INFO = "chatglm_slim_llm-1.0.dist-info"
WHEEL = [
    "chatglm_slim_llm/__init__.py",
    "chatglm_slim_llm/demo/config.json",
    "chatglm_slim_llm/kernels/_native.so",
    "chatglm_slim_llm/plugins.toml",
    "tui/app.tcss",
    *(f"{INFO}/{name}" for name in ("RECORD", "WHEEL", "top_level.txt")),
    *(f"{INFO}/licenses/{name}" for name in ("LICENSE", "THIRD_PARTY_LICENSES.md")),
]
METADATA = "Metadata-Version: 2.4\nName: thing\nVersion: 1.0\nLicense-Expression: MIT\nRequires-Python: >=3.11\n"
ENTRIES = "[console_scripts]\nThing = tui.app:main\n[some.group]\none = a.b:c\n"
PROJECT = {
    "name": "thing",
    "license": "MIT",
    "requires-python": ">=3.11",
    "scripts": {"Thing": "tui.app:main"},
    "entry-points": {"some.group": {"one": "a.b:c"}},
}


def write_wheel(folder, names=WHEEL, *, tag="py3-none-linux_x86_64", metadata=METADATA, entries=ENTRIES):
    path = folder / f"chatglm_slim_llm-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{INFO}/METADATA", metadata)
        archive.writestr(f"{INFO}/entry_points.txt", entries)
        for name in names:
            archive.writestr(name, "")
    return path


COMPILER = """#!/bin/sh
case "$*" in
    *{words}*) {then} ;;
    *) exec {compiler} "$@" ;;
esac
"""


@pytest.fixture
def kernels(tmp_path) -> Path:
    """A folder with our setup.py and sources that compile in no time."""
    folder = tmp_path / "kernels"
    native = folder / "chatglm_slim_llm" / "kernels" / "native"
    native.mkdir(parents=True)
    for source in (ROOT / "chatglm_slim_llm" / "kernels" / "native").glob("*.cpp"):
        (native / source.name).write_text(
            f'extern "C" __attribute__((visibility("default"))) void {source.stem}() {{}}'
        )
    shutil.copy(ROOT / "setup.py", folder)
    return folder


def built(folder: Path, compiler: str = "c++") -> tuple[set[str], str]:
    """The sources that are in the library, and what the build says."""
    out = folder.with_name(f"built by {Path(compiler).name}")
    words = [sys.executable, "setup.py", "-q", "build_ext", f"--build-lib={out}", f"--build-temp={out}"]
    environ = {**os.environ, "CC": compiler, "CXX": compiler}
    said = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, check=True).stderr
    library = out / "chatglm_slim_llm" / "kernels" / "_native.so"
    if not library.is_file():
        return set(), said
    held = ctypes.CDLL(str(library))
    return {path.stem for path in folder.rglob("*.cpp") if hasattr(held, path.stem)}, said


def compiler(folder: Path, words: str, then: str) -> str:
    """The machine's compiler, which does something else where its words hold these."""
    path = folder / "compiler"
    path.write_text(COMPILER.format(words=words, then=then, compiler=shutil.which("c++")))
    path.chmod(0o755)
    return str(path)


def git(folder, *arguments):
    who = ("-c", "user.name=somebody", "-c", "user.email=some@body", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init")
    (folder / "kept.txt").write_text("as committed")
    git(folder, "add", "kept.txt")
    git(folder, "commit", "-m", "first")
    return folder


def test_a_wheel_with_all_that_it_should_have_has_no_faults(tmp_path):
    assert contents.faults(write_wheel(tmp_path), TRACKED, PROJECT, "1.0") == []


def test_a_wheel_without_kernels_serves_any_platform(tmp_path):
    wheel = write_wheel(tmp_path, [n for n in WHEEL if not n.endswith(".so")], tag="py3-none-any")
    assert contents.is_pure(wheel)
    assert contents.faults(wheel, TRACKED, PROJECT, "1.0") == []


def test_what_a_wheel_lacks_and_has_too_much_is_said(tmp_path):
    wheel = write_wheel(tmp_path, [*WHEEL[:-1], "tests/unit/test_one.py"])
    assert contents.faults(wheel, TRACKED, PROJECT, "1.0") == [
        f"{wheel.name} lacks {INFO}/licenses/THIRD_PARTY_LICENSES.md",
        f"{wheel.name} has tests/unit/test_one.py, which nobody wants there",
    ]


def test_metadata_and_entry_points_are_held_against_pyproject(tmp_path):
    entries = ENTRIES.replace("a.b:c", "a.b:d").replace("Thing", "thing")
    wheel = write_wheel(tmp_path, metadata=METADATA.replace("1.0", "1.1"), entries=entries)
    assert contents.faults(wheel, TRACKED, PROJECT, "1.0") == [
        "METADATA has 1.1 for Version, not 1.0",
        "entry point ('console_scripts', 'Thing') is not as in pyproject.toml",
        "entry point ('console_scripts', 'thing') is not as in pyproject.toml",
        "entry point ('some.group', 'one') is not as in pyproject.toml",
    ]


def test_metadata_that_an_index_would_refuse_are_said(tmp_path):
    wheel = write_wheel(tmp_path, metadata=METADATA.replace("License-Expression: MIT", "License-Expression: free"))
    (fault,) = contents.faults(wheel, TRACKED, PROJECT, "1.0")
    assert "METADATA is not as it should be" in fault
    assert "free" in fault


@needs_compiler
def test_what_a_compiler_does_not_know_is_left_out_of_the_library(kernels, tmp_path):
    older = compiler(tmp_path, "-mavxvnni", "echo unrecognized option >&2; exit 1")
    assert built(kernels, older)[0] == {"api", "portable", "avx2", "avx512"}
    assert built(kernels)[0] == {"api", "portable", "avx2", "avx512", "avxvnni"}


@needs_compiler
@pytest.mark.parametrize("what", ["a mistake", "a kill"])
def test_a_library_is_not_built_without_a_source_that_its_compiler_could_read(kernels, tmp_path, what):
    if what == "a mistake":
        (kernels / "chatglm_slim_llm" / "kernels" / "native" / "avxvnni.cpp").write_text("mistake")
    found, said = built(kernels, compiler(tmp_path, "avxvnni.cpp", "kill -9 $$") if what == "a kill" else "c++")
    assert found == set()
    assert 'building extension "chatglm_slim_llm.kernels._native" failed' in said


def test_without_a_compiler_nothing_is_built_and_no_error_made_of_it(kernels):
    assert built(kernels, "no-such-compiler")[0] == set()


@pytest.mark.parametrize(("file", "shown"), [("kept.txt", " M kept.txt"), ("new.txt", "?? new.txt")])
def test_a_checkout_with_changes_is_refused_unless_the_commit_is_wanted(checkout, capsys, file, shown):
    refuse_changes(checkout, head=False)  # nothing to refuse yet
    (checkout / file).write_text("changed")
    with pytest.raises(BuildError, match="not committed") as caught:
        refuse_changes(checkout, head=False)
    assert shown in str(caught.value)
    refuse_changes(checkout, head=True)
    assert shown in capsys.readouterr().err


def test_the_commit_is_built_and_nothing_that_lies_beside_it(checkout, tmp_path):
    (checkout / "kept.txt").write_text("changed")
    (checkout / "new.txt").write_text("new")
    export(checkout, tmp_path / "tree", "HEAD")
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["kept.txt"]
    assert (tmp_path / "tree" / "kept.txt").read_text() == "as committed"


def test_a_folder_without_git_is_refused(tmp_path):
    with pytest.raises(BuildError, match="a release is made from a git checkout"):
        refuse_changes(tmp_path, head=False)


def test_an_sdist_does_not_tell_when_where_and_by_whom_it_was_packed(tmp_path):
    made = []
    for order, (when, owner) in enumerate([(1_700_000_000, "ann"), (1_700_009_999, "bob")]):
        path = tmp_path / f"{owner}.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            for name in ["b", "a"] if order else ["a", "b"]:
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime, entry.uname = 3, when + 0.5, owner
                tar.addfile(entry, io.BytesIO(b"all"))
        level_times(path, 1_600_000_000)
        made.append(path.read_bytes())
    assert made[0] == made[1]
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(made[0]))) as tar:
        assert [(e.name, e.mtime, tar.extractfile(e).read()) for e in tar] == [
            ("a", 1_600_000_000, b"all"),
            ("b", 1_600_000_000, b"all"),
        ]
