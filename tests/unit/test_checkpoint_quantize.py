from __future__ import annotations

import json

import pytest
import torch
from checkpoint_samples import REFERENCE, copy_reference, edit_weights, random_model, write_checkpoint
from safetensors.torch import load_file

from chatglm_slim_llm.checkpoint import load_model, load_tokenizer, quantize_checkpoint
from chatglm_slim_llm.errors import CheckpointFormatError, QuantizationError

TINY, INT4 = REFERENCE / "tiny_v11", REFERENCE / "quant_int4"
DENSE = "transformer.layers.2.attention.dense.weight"


@pytest.fixture
def tiny(tmp_path):
    return copy_reference("tiny_v11", tmp_path / "tiny")


def test_int4_is_bit_for_bit_what_the_original_wrote(tmp_path):
    quantize_checkpoint(TINY, tmp_path / "q", 4)
    expected, found = load_file(INT4 / "model.safetensors"), load_file(tmp_path / "q" / "model.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name
    config = json.loads((tmp_path / "q" / "config.json").read_text())
    assert config == json.loads((INT4 / "config.json").read_text())


def test_int8_is_within_half_a_step_of_every_weight(tmp_path):
    quantize_checkpoint(TINY, tmp_path / "q", 8)
    weight = load_file(TINY / "model.safetensors")[DENSE].double()
    found = load_file(tmp_path / "q" / "model.safetensors")
    scale = found[f"{DENSE}_scale"].double()[:, None]
    assert found[DENSE].dtype == torch.int8
    error_in_steps = ((found[DENSE].double() * scale - weight) / scale).abs().max()
    assert error_in_steps < 0.6  # half a step, and the rounding of the scale and the quotient to fp16


@pytest.mark.parametrize(("bits", "group_size"), [(4, 128), (8, 0)])
def test_the_result_loads_without_the_source(tiny, tmp_path, bits, group_size):
    quantize_checkpoint(tiny, tmp_path / "q", bits, group_size=group_size)
    at_load_time = load_model(tiny, quantization="int4" if bits == 4 else "int8")
    for path in tiny.iterdir():
        path.unlink()
    ids = torch.tensor([load_tokenizer(tmp_path / "q").encode("你好")])
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "q")(ids).logits, at_load_time(ids).logits)


def test_what_is_not_quantised_keeps_its_dtype(tmp_path):
    tensors = random_model().state_dict()
    tensors["transformer.word_embeddings.weight"] = tensors["transformer.word_embeddings.weight"].bfloat16()
    quantize_checkpoint(write_checkpoint(tmp_path / "mixed", tensors), tmp_path / "q", 4)
    found = load_file(tmp_path / "q" / "model.safetensors")
    assert found["transformer.layers.0.input_layernorm.weight"].dtype == torch.float32
    assert found["transformer.word_embeddings.weight"].dtype == torch.bfloat16
    assert found["transformer.layers.0.mlp.dense_h_to_4h.weight_scale"].dtype == torch.float16


def test_a_row_of_zeros_stays_zero(tiny, tmp_path):
    edit_weights(tiny, lambda tensors: tensors[DENSE][3].zero_())
    quantize_checkpoint(tiny, tmp_path / "q", 4)
    assert not load_file(tmp_path / "q" / "model.safetensors")[DENSE][3].any()


@pytest.mark.parametrize("bits", [0, 2, 16, "4"])
def test_another_number_of_bits_is_refused(tmp_path, bits):
    with pytest.raises(QuantizationError, match="choose 8 or 4"):
        quantize_checkpoint(TINY, tmp_path / "q", bits)


def test_a_quantised_source_is_refused(tmp_path):
    with pytest.raises(QuantizationError, match="already quantised to 4 bits") as caught:
        quantize_checkpoint(INT4, tmp_path / "q", 8)
    assert caught.value.bits == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [DENSE, "transformer.word_embeddings.weight", "transformer.final_layernorm.bias"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_refused_and_leaves_nothing_behind(tiny, tmp_path, name, bad):
    edit_weights(tiny, lambda tensors: tensors[name].view(-1)[5].fill_(bad))
    with pytest.raises(CheckpointFormatError, match="NaN or infinite") as caught:
        quantize_checkpoint(tiny, tmp_path / "q", 4)
    assert caught.value.key == name
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_columns_that_cannot_be_paired_are_refused(tmp_path):
    source = write_checkpoint(tmp_path / "odd", random_model(inner_hidden_size=63).state_dict(), inner_hidden_size=63)
    with pytest.raises(QuantizationError, match=r"63 columns.*use int8"):
        quantize_checkpoint(source, tmp_path / "q", 4)
    with pytest.raises(QuantizationError, match="63 columns"):
        load_model(source, quantization="int4")
    assert load_model(source, quantization="int8").config.quantization_bit == 8
