"""Weight formats and the linears over them, against exact rational arithmetic and plain matmuls."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn

from chatglm_slim_llm.kernels import (
    Linear,
    QuantizedEmbedding,
    QuantizedLinear,
    dequantize_weight,
    linear,
    quantize_weight,
    replace_linears,
)
from chatglm_slim_llm.kernels.quantization import quantize_levels, unpack


def half(value):
    """The fp16 number nearest to an exact fraction."""
    return torch.tensor(float(value), dtype=torch.float64).half()


@pytest.mark.parametrize("bits", [8, 4])
def test_quantised_values_follow_the_formula_in_exact_arithmetic(bits):
    weight = torch.randn(7, 12, generator=torch.Generator().manual_seed(1)).half()
    packed, scales = quantize_weight(weight, bits)
    restored = dequantize_weight(packed, scales, bits)
    for row, scale, found in zip(weight, scales, restored, strict=True):
        largest = max(abs(Fraction(float(w))) for w in row)
        assert scale == half(largest / (2 ** (bits - 1) - 1))
        levels = [round(Fraction(float(half(Fraction(float(w)) / Fraction(float(scale)))))) for w in row]
        torch.testing.assert_close(found, torch.tensor(levels) * scale.float(), rtol=0, atol=0)


@pytest.mark.parametrize("bits", [8, 4])
def test_extreme_rows_stay_finite_and_never_wrap_around(bits):
    rows = [[0.0] * 8, [6e-8, -6e-8, 1.2e-7, 0, 0, 0, 0, 2e-7], [65504.0, -65504.0, 1, 0, 0, 0, 0, 0], [1e-5] * 8]
    weight = torch.tensor(rows).half()
    restored = dequantize_weight(*quantize_weight(weight, bits), bits)
    assert restored.isfinite().all()
    assert (restored.sign() * weight.float().sign() >= 0).all()
    assert restored[0].abs().max() == 0


def test_an_odd_number_of_columns_cannot_be_packed_in_four_bits():
    with pytest.raises(ValueError, match="5 of them; use int8"):
        quantize_weight(torch.ones(2, 5).half(), 4)


@pytest.mark.parametrize("bits", [0, 2, 16, None])
def test_other_numbers_of_bits_are_refused(bits):
    with pytest.raises(ValueError, match="choose 8 or 4"):
        quantize_weight(torch.ones(2, 4).half(), bits)


@pytest.mark.parametrize("rows", [1, 16, 17, 40])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_linear_takes_activations_wider_than_its_weight(monkeypatch, rows, dtype):
    monkeypatch.setattr(linear, "_BLOCK_ELEMENTS", 24 * 5)  # several blocks, the last one short
    layer = Linear(24, 13).to(dtype)
    x = torch.randn(2, rows, 24, generator=torch.Generator().manual_seed(0))
    expected = x.double() @ layer.weight.double().T + layer.bias.double()
    torch.testing.assert_close(layer(x).double(), expected, rtol=2e-3, atol=2e-3)
    assert layer(x).dtype == torch.float32


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("block", [8, 10**9])
def test_a_quantised_linear_multiplies_by_its_dequantised_weight(monkeypatch, bits, block):
    monkeypatch.setattr(linear, "_BLOCK_ELEMENTS", block)
    layer = nn.Linear(8, 6).half()
    quantized = QuantizedLinear.from_linear(layer, bits)
    x = torch.randn(3, 5, 8)
    expected = x.double() @ dequantize_weight(*quantize_weight(layer.weight, bits), bits).double().T
    torch.testing.assert_close(quantized(x).double(), expected + layer.bias.double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantised_embedding_gives_its_dequantised_rows(bits):
    table = torch.randn(10, 6).half()
    embedding = QuantizedEmbedding(10, 6, bits)
    packed, scale = quantize_weight(table, bits)
    embedding.load_state_dict({"weight": packed, "weight_scale": scale})
    ids = torch.tensor([[1, 9], [0, 0]])
    expected = dequantize_weight(packed, scale, bits)[ids]
    torch.testing.assert_close(embedding(ids).float(), expected, rtol=1e-3, atol=1e-3)


def test_only_linears_with_the_given_names_are_replaced():
    model = nn.ModuleDict({"dense": nn.Linear(4, 4), "other": nn.Linear(4, 4)})
    assert replace_linears(model, lambda layer: QuantizedLinear.from_linear(layer, 8), names=["dense"]) == ["dense"]
    assert isinstance(model["dense"], QuantizedLinear)
    assert isinstance(model["other"], nn.Linear)


@pytest.mark.parametrize("group_size", [32, 128])
def test_groups_of_columns_come_back_closer_than_rows(group_size):
    torch.manual_seed(0)
    weight = torch.randn(24, 300).half()
    packed, scale = quantize_weight(weight, 4, group_size)
    assert packed.shape == (24, 150)
    assert scale.shape == (24, -(-300 // group_size))
    back = dequantize_weight(packed, scale, 4).double()
    by_hand = unpack(packed, 4).double() * scale.double().repeat_interleave(group_size, dim=1)[:, :300]
    torch.testing.assert_close(back, by_hand, rtol=1e-6, atol=0)
    per_row = dequantize_weight(*quantize_weight(weight, 4), 4)
    assert (back - weight).norm() < 0.8 * (per_row - weight).norm()


@pytest.mark.parametrize("group_size", [0, 32, 128])
def test_the_plain_quantiser_finds_what_the_compiled_one_finds(group_size):
    weight = torch.randn(40, 300).half() * 0.02
    levels, scale = quantize_levels(weight, 4, group_size)
    packed, same_scale = quantize_weight(weight, 4, group_size)
    back = levels.double() * (scale.double().repeat_interleave(group_size or 300, dim=1)[:, :300])
    other = dequantize_weight(packed, same_scale, 4, torch.float64)
    error, other_error = ((found - weight.double()).square().sum() for found in (back, other))
    torch.testing.assert_close(error, other_error, rtol=1e-5, atol=0)  # ties may fall either way


def test_a_linear_with_groups_multiplies_the_dequantised_weight():
    linear = nn.Linear(300, 20).half()
    quantized = QuantizedLinear.from_linear(linear, 4, 32)
    x = torch.randn(3, 300)
    expected = x.double() @ dequantize_weight(quantized.weight, quantized.weight_scale, 4, torch.float64).T
    torch.testing.assert_close(quantized(x).double(), expected + linear.bias.double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("bits", "group_size"), [(4, 64), (8, 128), (4, -1)])
def test_a_group_size_that_no_format_has_is_refused(bits, group_size):
    with pytest.raises(ValueError, match="choose 32 or 128 at 4 bits"):
        quantize_weight(torch.randn(4, 128), bits, group_size)
