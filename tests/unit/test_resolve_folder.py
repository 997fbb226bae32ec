from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatglm_slim_llm.checkpoint.pull import DEMO_FOLDER, is_available, is_hub_id, missing_files, resolve_folder
from chatglm_slim_llm.errors import CheckpointNotFoundError

ID = "silver/chatglm-6b-slim"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def write_files(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("{}")
    return folder


def write_cached(hub_cache: Path, *names: str) -> Path:
    repo = hub_cache / "models--silver--chatglm-6b-slim"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc")
    return write_files(repo / "snapshots" / "abc", *names)


def test_demo_is_the_bundled_folder():
    assert resolve_folder("demo") == DEMO_FOLDER
    assert DEMO_FOLDER.parent.name == "chatglm_slim_llm"


def test_an_existing_folder_is_itself_even_if_it_looks_like_a_hub_id(tmp_path, monkeypatch, hub_cache):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path / "silver" / "chatglm-6b-slim")
    assert resolve_folder(ID) == Path(ID)
    assert resolve_folder(str(tmp_path)) == tmp_path


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_files(tmp_path / "model")
    assert resolve_folder("~/model") == tmp_path / "model"


@pytest.mark.parametrize("model", ["/no/such/folder", "./no/such", "~/no-such", "no-such", "a/b/c", "a/", "../x"])
def test_a_path_that_is_not_there_is_never_taken_for_a_hub_id(model, hub_cache):
    assert not is_hub_id(model)
    assert not is_available(model)
    with pytest.raises(CheckpointNotFoundError, match="there is no checkpoint folder"):
        resolve_folder(model, allow_download=True)


def test_a_hub_id_that_is_not_here_names_the_command_that_brings_it(hub_cache):
    assert is_hub_id(ID)
    assert not is_available(ID)
    with pytest.raises(CheckpointNotFoundError, match=f"chatglm-slim pull {ID}"):
        resolve_folder(ID, allow_download=False)


def test_a_hub_id_in_the_cache_is_found(hub_cache):
    folder = write_cached(hub_cache, "config.json", "ice_text.model", "model.safetensors")
    assert resolve_folder(ID) == folder
    assert is_available(ID)


def test_a_download_that_is_not_complete_does_not_count(hub_cache):
    folder = write_cached(hub_cache, "config.json", "ice_text.model", "pytorch_model-00001-of-00002.bin")
    shards = {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": shards}))
    assert not is_available(ID)
    assert missing_files(folder) == ["pytorch_model-00002-of-00002.bin"]
    write_files(folder, "pytorch_model-00002-of-00002.bin")
    assert is_available(ID)


def test_a_folder_is_available_when_nothing_is_missing(tmp_path):
    folder = write_files(tmp_path / "m", "config.json", "pytorch_model.bin")
    assert missing_files(folder) == ["ice_text.model"]
    assert not is_available(str(folder))
    write_files(folder, "ice_text.model")
    assert is_available(str(folder))


def test_an_unreadable_index_is_missing(tmp_path):
    folder = write_files(tmp_path / "m", "config.json", "ice_text.model", "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text("version https://git-lfs.github.com/spec/v1")
    assert missing_files(folder) == ["a readable model.safetensors.index.json"]
