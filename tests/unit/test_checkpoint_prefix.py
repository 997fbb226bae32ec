from __future__ import annotations

import json

import pytest
import torch
from checkpoint_samples import REFERENCE, copy_reference, edit_json, random_model, write_checkpoint
from safetensors.torch import load_file, save_file

from chatglm_slim_llm.checkpoint import load_model, load_prefix
from chatglm_slim_llm.errors import CheckpointFormatError, CheckpointNotFoundError

TINY, PREFIX = REFERENCE / "tiny_v11", REFERENCE / "ptuning_noproj"
NAMES = "transformer.prefix_encoder."


@pytest.fixture
def prefix(tmp_path):
    return copy_reference("ptuning_noproj", tmp_path / "prefix")


@torch.no_grad()
def _logits(model, ids):
    return model(torch.tensor([ids])).logits[0].float()


def test_logits_are_those_of_the_original():
    model = load_model(TINY, dtype=torch.float32)
    load_prefix(model, PREFIX)
    expected = load_file(REFERENCE / "expected" / "ptuning.safetensors")
    for i, ids in enumerate(json.loads((REFERENCE / "expected" / "ptuning.json").read_text())["input_ids"]):
        found = _logits(model, ids)[-2:]
        torch.testing.assert_close(found, expected[f"ptuning_noproj.{i}.logits_last2"], atol=3e-4, rtol=0)


def test_the_prefix_stays_fp32_on_a_base_of_any_level():
    for quantization in ("fp16", "int4"):
        model = load_model(TINY, quantization=quantization)
        load_prefix(model, PREFIX)
        assert model.transformer.prefix_encoder.embedding.weight.dtype == torch.float32
        assert model.config.pre_seq_len == 6
        assert torch.isfinite(_logits(model, [5, 126, 862, 865])).all()


@pytest.mark.parametrize("projection", [False, True])
def test_base_plus_prefix_is_the_whole_checkpoint(tmp_path, projection):
    settings = {"pre_seq_len": 5, "prefix_projection": projection}
    tensors = random_model(**settings).state_dict()
    whole = write_checkpoint(tmp_path / "whole", tensors, **settings)
    base = write_checkpoint(tmp_path / "base", {n: t for n, t in tensors.items() if not n.startswith(NAMES)})
    alone = write_checkpoint(tmp_path / "alone", {n: t for n, t in tensors.items() if n.startswith(NAMES)}, **settings)
    ids = [5, 126, 862, 865]
    expected = _logits(load_model(whole, dtype=torch.float32), ids)
    for folder in (alone, whole):  # early P-tuning checkpoints hold everything
        model = load_model(base, dtype=torch.float32)
        assert not torch.equal(_logits(model, ids), expected)
        load_prefix(model, folder)
        assert torch.equal(_logits(model, ids), expected)


def test_a_second_prefix_takes_the_place_of_the_first(prefix):
    model = load_model(TINY)
    load_prefix(model, PREFIX)
    table = torch.load(prefix / "pytorch_model.bin", weights_only=True)
    (prefix / "pytorch_model.bin").unlink()
    save_file({name: tensor[:4].contiguous() for name, tensor in table.items()}, prefix / "model.safetensors")
    edit_json(prefix / "config.json", pre_seq_len=4)
    load_prefix(model, prefix)
    assert model.transformer.prefix_encoder.embedding.weight.shape[0] == model.config.pre_seq_len == 4
    assert torch.isfinite(_logits(model, [5, 126, 862, 865])).all()


@pytest.mark.parametrize("length", [128, 5, 0, None, "6"])
def test_a_wrong_pre_seq_len_gives_both_numbers(prefix, length):
    edit_json(prefix / "config.json", pre_seq_len=length)
    model = load_model(TINY)
    with pytest.raises(CheckpointFormatError, match=f"pre_seq_len is {length!r}, but the prefix has 6 positions"):
        load_prefix(model, prefix)
    assert not hasattr(model.transformer, "prefix_encoder")
    assert model.config.pre_seq_len is None


def test_a_wrong_prefix_projection_is_explained(prefix):
    edit_json(prefix / "config.json", prefix_projection=True)
    with pytest.raises(CheckpointFormatError, match=r"\[6, 384\], expected \[6, 64\].*is prefix_projection as in"):
        load_prefix(load_model(TINY), prefix)


def test_a_prefix_of_another_model_is_refused(tmp_path):
    base = write_checkpoint(tmp_path / "base", random_model().state_dict())
    with pytest.raises(CheckpointFormatError, match=r"model of 2 layers and width 16"):
        load_prefix(load_model(base), PREFIX)


def test_a_folder_without_a_prefix_is_refused():
    with pytest.raises(CheckpointFormatError, match=r"not a P-tuning v2 checkpoint"):
        load_prefix(load_model(TINY), TINY)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="nowhere"):
        load_prefix(load_model(TINY), tmp_path / "nowhere")


def test_a_prefix_that_is_no_number_is_refused(prefix):
    table = torch.load(prefix / "pytorch_model.bin", weights_only=True)
    table[f"{NAMES}embedding.weight"][2, 3] = float("nan")
    torch.save(table, prefix / "pytorch_model.bin")
    model = load_model(TINY)
    with pytest.raises(CheckpointFormatError, match="NaN"):
        load_prefix(model, prefix)
    assert not hasattr(model.transformer, "prefix_encoder")
