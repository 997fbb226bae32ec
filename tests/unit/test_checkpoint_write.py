from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from checkpoint_samples import REFERENCE, copy_reference
from safetensors.torch import load_file

from chatglm_slim_llm.checkpoint import load_model, quantize_checkpoint, slim, write
from chatglm_slim_llm.checkpoint.write import new_folder
from chatglm_slim_llm.errors import CheckpointError
from tests.programs import LIGHT

FULL = REFERENCE / "tiny_v10_full"

_SLIM_WITH_SMALL_FILES = """
import resource, sys
from pathlib import Path
from chatglm_slim_llm.checkpoint import slim
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
slim(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_the_target_appears_only_when_all_is_written(tmp_path):
    target = tmp_path / "new"
    with new_folder(target, 10) as folder:
        (folder / "a").write_text("x")
        assert not target.exists()
        assert folder.parent == target.parent
        assert folder.name.startswith(".")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert (target / "a").read_text() == "x"


def test_missing_parent_folders_are_made(tmp_path):
    with new_folder(tmp_path / "a" / "b" / "c", 10) as folder:
        (folder / "x").touch()
    assert (tmp_path / "a" / "b" / "c" / "x").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_whatever_goes_wrong_leaves_nothing_behind(tmp_path, error):
    def go_wrong() -> None:
        with new_folder(tmp_path / "new", 10) as folder:
            (folder / "half-written").write_text("x")
            raise error

    with pytest.raises(error):
        go_wrong()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder with a file", "link to a folder with a file"])
def test_nothing_is_ever_overwritten(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("mine")
    else:
        (tmp_path / "held").mkdir()
        (tmp_path / "held" / "mine").touch()
        (tmp_path / "held").rename(target) if "link" not in kind else target.symlink_to(tmp_path / "held")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match="already exists"), new_folder(target, 10):
        pytest.fail("the block must not run")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checkpoint_is_never_written_into_itself(tmp_path):
    folder = copy_reference("tiny_v10_full", tmp_path / "full")
    with pytest.raises(CheckpointError, match="already exists"):
        slim(folder, folder)


def test_ctrl_c_while_writing_leaves_nothing_behind(tmp_path):
    def interrupt(what: str, done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        slim(FULL, tmp_path / "slim", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_file_that_may_not_grow_is_explained_and_leaves_nothing_behind(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", LIGHT + _SLIM_WITH_SMALL_FILES, FULL, tmp_path / "slim"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "CheckpointError" in run.stderr.splitlines()[-1]
    assert "the disk is full or a file may not grow further" in run.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_too_little_room_is_said_before_anything_is_written(tmp_path):
    needed = shutil.disk_usage(tmp_path).total + 1
    with pytest.raises(CheckpointError, match=r"needs .* GB, but only"), new_folder(tmp_path / "new", needed):
        pytest.fail("the block must not run")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and sys.platform == "linux"
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if not mounted or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a small file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_is_explained_and_leaves_nothing_behind(small_disk):
    with pytest.raises(CheckpointError, match=r"disk is full.*Nothing was left"), new_folder(small_disk / "a", 1) as f:
        (f / "big").write_bytes(bytes(500_000))
    assert list(small_disk.iterdir()) == []


def test_quantising_onto_a_full_disk_leaves_nothing_behind(small_disk):
    (small_disk / "filler").write_bytes(bytes(200_000))
    with pytest.raises(CheckpointError, match=r"needs 0\.4 MB, but only 0\.1 MB"):
        quantize_checkpoint(REFERENCE / "tiny_v11", small_disk / "q", 4)
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_large_shards_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "MAX_SHARD_BYTES", 100_000)
    quantize_checkpoint(REFERENCE / "tiny_v11", tmp_path / "q", 8)
    shards = sorted((tmp_path / "q").glob("model-*-of-*.safetensors"))
    index = json.loads((tmp_path / "q" / "model.safetensors.index.json").read_text())
    held = {name: path.name for path in shards for name in load_file(path)}
    assert len(shards) > 3
    assert index["weight_map"] == held
    whole, cut = load_model(REFERENCE / "tiny_v11", quantization="int8"), load_model(tmp_path / "q")
    for (name, expected), found in zip(whole.state_dict().items(), cut.state_dict().values(), strict=True):
        assert torch.equal(found, expected), name
