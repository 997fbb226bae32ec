"""The packed copy of a checkpoint: made once, read back exactly, made again when it has to be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from chatglm_slim_llm.checkpoint import files, packed_file, packing, quantize_checkpoint
from chatglm_slim_llm.checkpoint.loading import load_packed_model
from chatglm_slim_llm.checkpoint.packed_file import packed_folder
from chatglm_slim_llm.checkpoint.packing import Packing
from chatglm_slim_llm.errors import CheckpointFormatError, QuantizationError
from chatglm_slim_llm.kernels import PackedFormat, dequantize_weight, memory, quantize_weight
from chatglm_slim_llm.network import ChatGLMConfig
from tests.unit.checkpoint_samples import copy_reference, edit_weights
from tests.unit.native import needs_library

pytestmark = needs_library


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A small checkpoint whose packed copy is worth keeping, and a home of its own for the copy."""
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(packed_file, "_WORTH_KEEPING_BYTES", 0)
    return copy_reference("tiny_v11", tmp_path / "checkpoint")


def copies() -> list[Path]:
    return sorted(packed_folder().iterdir()) if packed_folder().exists() else []


def weights_of(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(model, expected) -> None:
    found = weights_of(model)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("level", ["int8", "int4"])
def test_the_second_start_reads_what_the_first_one_packed(folder, level):
    first = weights_of(load_packed_model(folder, quantization=level))
    (copy,) = copies()
    before = copy.stat()
    assert_same(load_packed_model(folder, quantization=level), first)
    assert copies() == [copy]
    assert copy.stat().st_mtime_ns == before.st_mtime_ns


def test_the_copy_is_what_the_second_start_reads(folder):
    load_packed_model(folder, quantization="int8")
    content = copies()[0].read_bytes()
    copies()[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # one bit of the last tensor
    second = weights_of(load_packed_model(folder, quantization="int8"))
    shutil.rmtree(packed_folder())
    third = weights_of(load_packed_model(folder, quantization="int8"))
    assert sum(not torch.equal(second[name], third[name]) for name in third) in (1, 2)  # 2: head and embedding


def test_a_changed_checkpoint_is_packed_again_and_its_old_copy_removed(folder):
    before = weights_of(load_packed_model(folder, quantization="int8"))
    old = copies()
    edit_weights(folder, lambda tensors: tensors["transformer.layers.0.attention.dense.weight"].mul_(-1))
    os.utime(folder / "model.safetensors", ns=(1, 1))
    after = weights_of(load_packed_model(folder, quantization="int8"))
    assert copies() != old
    assert len(copies()) == 1
    name = "transformer.layers.0.attention.dense.weight"
    assert not torch.equal(before[name], after[name])


@pytest.mark.parametrize("spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\xff" * 64])
def test_a_damaged_copy_is_made_again(folder, spoil, caplog):
    expected = weights_of(load_packed_model(folder, quantization="int4"))
    (copy,) = copies()
    copy.write_bytes(spoil(copy.read_bytes()))
    assert_same(load_packed_model(folder, quantization="int4"), expected)
    assert "made again" in caplog.text
    caplog.clear()
    assert_same(load_packed_model(folder, quantization="int4"), expected)
    assert not caplog.text


def test_a_copy_with_a_scale_that_is_no_number_is_made_again(folder, caplog):
    expected = weights_of(load_packed_model(folder, quantization="int4"))
    (copy,) = copies()
    tensors = load_file(copy)
    tensors["transformer.layers.0.attention.dense.weight_scale"].view(-1)[3] = float("inf")
    save_file(tensors, copy)
    assert_same(load_packed_model(folder, quantization="int4"), expected)
    assert "weight_scale' holds NaN or infinite numbers" in caplog.text


def test_levels_have_copies_of_their_own(folder):
    for level in ("int8", "int4"):
        load_packed_model(folder, quantization=level)
    assert len(copies()) == 2


def test_without_room_for_a_copy_the_model_loads_all_the_same(folder, monkeypatch, caplog):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    load_packed_model(folder, quantization="int4")
    assert copies() == []
    assert "the disk is nearly full" in caplog.text


def test_a_cache_that_cannot_be_written_is_done_without(folder, tmp_path, caplog):
    (tmp_path / "home").write_text("a file where the folder should be")
    load_packed_model(folder, quantization="int4")
    assert "no packed copy is kept" in caplog.text


def test_a_cache_that_may_not_be_read_is_done_without(folder, monkeypatch, caplog):
    ordinary = Path.stat, Path.open

    def stat(path, **options):
        return refuse(path) or ordinary[0](path, **options)

    def open_file(path, *mode, **options):
        return refuse(path) or ordinary[1](path, *mode, **options)

    def refuse(path):
        if path.is_relative_to(packed_folder()):
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(Path, "open", open_file)
    load_packed_model(folder, quantization="int4")
    assert "Permission denied" in caplog.text


def test_memory_that_is_not_there_is_no_fault_of_the_copy(folder, monkeypatch, caplog):
    load_packed_model(folder, quantization="int4")

    def no_memory(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(memory, "_HUGE_PAGE", 1)
    monkeypatch.setattr(memory.mmap, "mmap", no_memory)
    with pytest.raises(MemoryError, match="bytes of memory"):
        load_packed_model(folder, quantization="int4")
    assert not caplog.text


def test_a_stored_scale_that_is_no_number_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    source = copy_reference("tiny_v11", tmp_path / "checkpoint")
    quantize_checkpoint(source, tmp_path / "int8", 8)
    name = "transformer.layers.0.attention.dense.weight_scale"
    edit_weights(tmp_path / "int8", lambda tensors: tensors[name].fill_(torch.nan))
    with pytest.raises(CheckpointFormatError, match="NaN"):
        load_packed_model(tmp_path / "int8", quantization="int8")


def test_fp16_is_not_packed(folder):
    with pytest.raises(QuantizationError, match="load_model"):
        load_packed_model(folder, quantization="fp16")


def test_a_small_checkpoint_leaves_no_copy(folder, monkeypatch):
    monkeypatch.setattr(packed_file, "_WORTH_KEEPING_BYTES", 2**28)
    load_packed_model(folder, quantization="int4")
    assert copies() == []


@pytest.fixture
def shortlist(monkeypatch) -> PackedFormat:
    """Makes a small vocabulary large enough for a head in two planes, and blocks small enough for several of them."""
    monkeypatch.setattr(packing, "SHORTLIST", 32)
    monkeypatch.setattr(files, "_CHUNK_BYTES", 2**14)
    return PackedFormat(8, shortlist=32)


def test_a_head_in_two_planes_is_packed_shared_with_the_embedding_and_read_back(folder, shortlist):
    ids = torch.arange(1216)
    table = load_file(folder / "model.safetensors")["transformer.word_embeddings.weight"]
    expected = dequantize_weight(*quantize_weight(table.half(), 8), 8)
    for _ in range(2):  # packed, then read from the copy
        model = load_packed_model(folder, quantization="int4")
        assert model.lm_head.form == shortlist
        assert model.lm_head.weight_low is model.transformer.word_embeddings.weight_low
        assert torch.equal(model.transformer.word_embeddings(ids), expected)
        x = torch.randn(3, table.shape[1], generator=torch.Generator().manual_seed(0))
        found, exact = model.lm_head(x), x @ expected.T
        best = exact.topk(3, dim=1).indices
        torch.testing.assert_close(found.gather(1, best), exact.gather(1, best), rtol=0.02, atol=0.02 * exact.std())
    assert len(copies()) == 1


@pytest.mark.parametrize(
    ("stored", "bits", "expected"),
    [
        ({}, 4, PackedFormat(8, shortlist=packing.SHORTLIST)),
        ({"quantization_bit": 4}, 4, PackedFormat(8, shortlist=packing.SHORTLIST)),
        ({"quantization_bit": 4, "quantization_embeddings": True}, 4, PackedFormat(4)),
        ({}, 8, PackedFormat(8)),
        ({"quantization_bit": 8, "quantization_embeddings": True}, 8, PackedFormat(8)),
        ({"vocab_size": 4 * packing.SHORTLIST - 1}, 4, PackedFormat(8)),
    ],
)
def test_only_int4_of_a_large_vocabulary_chooses_tokens(stored, bits, expected):
    assert Packing.of(ChatGLMConfig(**stored), bits).head == expected
