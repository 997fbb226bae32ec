"""Real builds of the last commit. Each takes about half a minute."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from release.build import build, build_both, export
from release.contents import is_pure

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
MADE_AT = 1_700_000_000


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "tree"
    export(ROOT, folder, "HEAD")
    shutil.copytree(folder, folder.parent / "elsewhere" / "tree")  # a build leaves things behind
    return folder


@pytest.fixture(scope="module")
def first(tree) -> tuple[Path, Path]:
    return build_both(tree, tree.parent / "first", MADE_AT)


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_the_wheel_holds_the_packages_and_nothing_of_what_lies_beside_them(tree, first):
    names = names_in(first[1])
    code = {name for name in names if ".dist-info/" not in name}
    native = tree / "chatglm_slim_llm/kernels/native"
    beside = {"chatglm_slim_llm/kernels/_native.so", "chatglm_slim_llm/plugins.toml"}
    lying = [path for package in ("chatglm_slim_llm", "tui") for path in (tree / package).rglob("*") if path.is_file()]
    packages = {str(path.relative_to(tree)) for path in lying if native not in path.parents}
    assert code == packages | beside
    for name in (
        "chatglm_slim_llm/py.typed",
        "tui/py.typed",
        "tui/app.tcss",
        "chatglm_slim_llm/demo/model.safetensors",
    ):
        assert name in names
    licences = {name.rpartition("/")[2] for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "THIRD_PARTY_LICENSES.md"}


def test_the_sdist_holds_what_a_wheel_is_built_from_and_what_is_to_be_read(first):
    with tarfile.open(first[0]) as tar:
        beside = {name.split("/")[1] for name in tar.getnames() if "/" in name}
    made = {"PKG-INFO", "setup.cfg", "chatglm_slim_llm.egg-info"}
    read = {"CHANGELOG.md", "LICENSE", "README.md", "README.zh.md", "THIRD_PARTY_LICENSES.md"}
    assert beside - made - read == {
        "MANIFEST.in",
        "chatglm_slim_llm",
        "plugins.toml",
        "pyproject.toml",
        "setup.py",
        "tui",
    }
    assert made | read <= beside


def test_the_shipped_plugins_toml_is_the_one_at_the_root(tree, first):
    with zipfile.ZipFile(first[1]) as archive:
        assert archive.read("chatglm_slim_llm/plugins.toml") == (tree / "plugins.toml").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="auditwheel is for Linux")
def test_one_wheel_serves_every_python_on_the_systems_that_torch_serves(first):
    tags = first[1].stem.split("-", 2)[2]
    assert tags == f"py3-none-manylinux_2_28_{os.uname().machine}"


def test_a_commit_gives_the_same_bytes_in_another_folder_at_another_time(tree, first, monkeypatch):
    other = tree.parent / "elsewhere" / "tree"
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    second = build_both(other, other.parent / "out", MADE_AT)
    assert [path.name for path in second] == [path.name for path in first]
    assert [path.read_bytes() for path in second] == [path.read_bytes() for path in first]


def test_without_a_compiler_the_wheel_is_for_any_platform_and_says_so(tree, monkeypatch, capsys):
    monkeypatch.setenv("CC", "/bin/false")
    monkeypatch.setenv("CXX", "/bin/false")
    _, wheel = build_both(tree, tree.parent / "pure", MADE_AT)
    assert is_pure(wheel)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in names_in(wheel) if name.endswith((".so", ".cpp", ".h"))]
    assert "without kernels" in capsys.readouterr().err
    with zipfile.ZipFile(wheel) as archive:
        (told,) = [name for name in names_in(wheel) if name.endswith("/WHEEL")]
        assert "Root-Is-Purelib: true" in archive.read(told).decode()


def test_a_release_is_sdist_wheel_bill_and_sums_and_takes_the_place_of_the_last_one(tmp_path):
    (tmp_path / "chatglm_slim_llm-0.0.9.tar.gz").write_text("the last one")
    (tmp_path / "notes.txt").write_text("somebody's")
    sdist, wheel, bill, sums = build(tmp_path, head=True)
    assert {path.name for path in tmp_path.iterdir()} == {sdist.name, wheel.name, bill.name, sums.name, "notes.txt"}
    assert (
        subprocess.run(["sha256sum", "-c", sums.name], cwd=tmp_path, capture_output=True, check=False).returncode == 0
    )
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    told = json.loads(bill.read_text())
    assert told["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert {"torch", "textual", "langchain-core"} <= {part["name"] for part in told["components"]}
