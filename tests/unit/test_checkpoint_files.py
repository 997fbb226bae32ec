from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from checkpoint_samples import LFS_POINTER, REFERENCE, copy_reference, edit_json
from safetensors.torch import load_file

from chatglm_slim_llm.checkpoint.files import list_weights, open_shard, read_in_chunks
from chatglm_slim_llm.errors import CheckpointFormatError, CheckpointNotFoundError

INDEX = "pytorch_model.bin.index.json"
FIRST_SHARD, LAST_SHARD = "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"


class Malicious:
    """Unpickling this would create a file."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return Path.touch, (self.witness,)


@pytest.fixture
def sharded(tmp_path) -> Path:
    return copy_reference("tiny_v10_full", tmp_path / "full")


def test_listing_gives_every_tensor_of_every_shard():
    weights = list_weights(REFERENCE / "tiny_v10_full")
    index = json.loads((REFERENCE / "tiny_v10_full" / INDEX).read_text())
    assert {name: weights.path_of(name).name for name in weights.specs} == index["weight_map"]
    assert sum(spec.size_bytes for spec in weights.specs.values()) == index["metadata"]["total_size"]
    assert weights.specs["lm_head.weight"].shape == (21216, 16)


def test_listing_safetensors_reads_no_tensor(tmp_path):
    folder = copy_reference("tiny_v11", tmp_path / "tiny")
    path = folder / "model.safetensors"
    expected = list_weights(folder)
    content = bytearray(path.read_bytes())
    with path.open("wb") as file:  # the same header and a hole where the numbers were
        header_end = 8 + int.from_bytes(content[:8], "little")
        file.write(content[:header_end])
        file.truncate(len(content))
    assert list_weights(folder).specs == expected.specs


@pytest.mark.parametrize("name", ["tiny_v11", "tiny_v10_full"])
def test_chunks_put_together_are_the_tensor(name):
    weights = list_weights(REFERENCE / name)
    key = "transformer.word_embeddings.weight"
    path = weights.path_of(key)
    truth = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    with open_shard(path) as shard:
        pieces = [chunk.clone() for _, chunk in read_in_chunks(shard, shard.specs[key], first_row=10)]
    assert torch.equal(torch.cat(pieces), truth[key][10:])


def test_two_tensors_in_one_storage_are_both_read(tmp_path):
    table = torch.randn(5000, 64)
    torch.save({"a": table, "b": table, "c": table[100:200], "d": table.T}, tmp_path / "pytorch_model.bin")
    with open_shard(tmp_path / "pytorch_model.bin") as shard:
        for name, truth in {"a": table, "b": table, "c": table[100:200], "d": table.T}.items():
            found = torch.cat([chunk.clone() for _, chunk in read_in_chunks(shard, shard.specs[name])])
            assert torch.equal(found, truth)


def test_a_file_of_an_old_torch_is_read(tmp_path):
    table = torch.randn(3000, 16)
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": table, "b": table}, path, _use_new_zipfile_serialization=False)
    with open_shard(path) as shard:
        for name in ("a", "b"):
            assert torch.equal(next(chunk for _, chunk in read_in_chunks(shard, shard.specs[name])), table)


def test_a_folder_without_weights_names_what_it_looked_for(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=r"no weights.*model\.safetensors.*pytorch_model\.bin"):
        list_weights(tmp_path)


def test_shards_without_their_index_are_named(sharded):
    (sharded / INDEX).unlink()
    with pytest.raises(CheckpointNotFoundError, match=f"{FIRST_SHARD}.*index"):
        list_weights(sharded)


def test_a_missing_shard_is_named(sharded):
    (sharded / LAST_SHARD).unlink()
    with pytest.raises(CheckpointNotFoundError, match=f"1 of 2 shards are missing, first {LAST_SHARD}"):
        list_weights(sharded)


def test_an_index_that_promises_too_much_is_refused(sharded):
    index = json.loads((sharded / INDEX).read_text())
    index["weight_map"]["transformer.extra.weight"] = LAST_SHARD
    (sharded / INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointFormatError, match=r"promises 'transformer\.extra\.weight'") as caught:
        list_weights(sharded)
    assert caught.value.key == "transformer.extra.weight"


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 5}', '{"weight_map": {}}', "\xff"])
def test_an_unreadable_index_is_refused(sharded, content):
    (sharded / INDEX).write_text(content, encoding="latin-1")
    with pytest.raises(CheckpointFormatError, match="index"):
        list_weights(sharded)


def test_an_index_may_not_point_out_of_its_folder(sharded):
    edit_json(sharded / INDEX, weight_map={"lm_head.weight": f"../full/{LAST_SHARD}"})
    with pytest.raises(CheckpointFormatError, match="same folder"):
        list_weights(sharded)


@pytest.mark.parametrize("name", [FIRST_SHARD, INDEX])
def test_a_git_lfs_pointer_says_what_to_do(sharded, name):
    (sharded / name).write_text(LFS_POINTER)
    with pytest.raises(CheckpointFormatError, match=r"git-lfs pointer.*git lfs pull"):
        list_weights(sharded)


@pytest.mark.parametrize("kept", [0, 1, 100, 5_000, 10_000, 30_000, 100_000, 300_000, -1])
def test_a_truncated_bin_file_says_so(sharded, kept):
    path = sharded / FIRST_SHARD
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointFormatError, match=r"damaged|not a PyTorch file"):
        list_weights(sharded)


@pytest.mark.parametrize("use_zip", [True, False])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, use_zip):
    witness = tmp_path / "was_run"
    evil = {"lm_head.weight": Malicious(witness)}
    torch.save(evil, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=use_zip)
    with pytest.raises(CheckpointFormatError, match="refused and nothing in it was run"):
        list_weights(tmp_path)
    assert not witness.exists()


def test_a_bare_malicious_pickle_is_refused_and_not_run(tmp_path):
    witness = tmp_path / "was_run"
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Malicious(witness)))
    with pytest.raises(CheckpointFormatError):
        list_weights(tmp_path)
    assert not witness.exists()


@pytest.mark.parametrize("content", [[torch.ones(1)], {"epoch": 3}, {"model": {"a": torch.ones(1)}}])
def test_a_bin_file_of_something_else_says_what_is_wanted(tmp_path, content):
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointFormatError, match="no plain mapping from names to tensors"):
        list_weights(tmp_path)


def test_a_web_page_instead_of_weights_is_refused(tmp_path):
    (tmp_path / "pytorch_model.bin").write_text("<!DOCTYPE html><html>404</html>")
    with pytest.raises(CheckpointFormatError, match="not a PyTorch file"):
        list_weights(tmp_path)
