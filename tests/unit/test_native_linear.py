"""The integer linear layer against the same sums in float64, number by number."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from chatglm_slim_llm.kernels.packed import (
    PackedEmbedding,
    PackedFormat,
    PackedLinear,
    pack_rows,
    pack_scale,
)
from chatglm_slim_llm.kernels.quantization import quantize_weight, unpack
from tests.unit.native import needs_library, threads

pytestmark = needs_library

FORMATS = [PackedFormat(8), PackedFormat(4), PackedFormat(4, 32), PackedFormat(4, 128)]
SHAPES = [(1, 1), (16, 4), (17, 5), (15, 127), (33, 128), (48, 129), (64, 576), (100, 300)]


def random_weight(n: int, k: int, form: PackedFormat) -> tuple[PackedLinear, Tensor]:
    """A layer of random integers and scales, and its weight in float64."""
    largest = 2 ** (form.bits - 1)
    levels = torch.randint(-largest, largest, (n, k), dtype=torch.int8)
    groups = -(-k // form.group) if form.group else 1
    return weight_of(levels, torch.randn(n, groups).half() * 0.05, form)


def weight_of(levels: Tensor, scale: Tensor, form: PackedFormat) -> tuple[PackedLinear, Tensor]:
    """A layer of these integers [n, k] and scales [n, groups], and its weight in float64."""
    n, k = levels.shape
    layer = PackedLinear(k, n, form)
    pack_rows(levels, form, layer.weight)
    pack_scale(scale, layer.weight_scale, layer.weight_group_scale)
    layer.bias.copy_(torch.randn(n))
    wide = kept_scales(scale, form).repeat_interleave(form.group or k, dim=1)[:, :k]
    return layer, levels.double() * wide


def kept_scales(scale: Tensor, form: PackedFormat) -> Tensor:
    """What is kept of scales [n, groups], in float64: of groups, 8 bits next to the largest of their row."""
    if not form.group:
        return scale.double()
    unit = (scale.float().abs().amax(dim=1, keepdim=True) * (64 / 127)).half().float()
    return torch.where(unit == 0, 0, (scale.float() * 64 / unit).round().clamp(-127, 127).double() / 64 * unit)


def steps_of(top: Tensor, form: PackedFormat) -> tuple[Tensor, Tensor]:
    """One step of groups with such largest values, and what they are multiplied with."""
    counts = top > 1e-30
    if form.bits == 8:
        # 127 / top would be 127 * (1 / top)
        return top / 127, torch.where(counts, torch.full_like(top, 127) / top, 0)
    mantissa, exponent = torch.frexp(top / 127)
    step = torch.ldexp(torch.ones_like(top), exponent - (mantissa == 0.5).int())
    return step, torch.where(counts, 1 / step, 0)


def quantize_activations(x: Tensor, form: PackedFormat) -> Tensor:
    """Activations as the kernels see them: int8 with one scale for 128 (or 32) columns of a row; float64.

    For weights of 8 bits: where a value is more than five times the root mean square, what the rounding left over is
    quantised again. For those of 4 bits: scales are the next powers of two.
    """
    width = 32 if form.group == 32 else 128
    parts = []
    for part in x.split(width, dim=1):
        top = part.abs().amax(dim=1, keepdim=True)
        step, inverse = steps_of(top, form)
        levels = (part * inverse).round()
        rest, rest_top = part - step * levels, step * 0.5
        rest_inverse = torch.where(rest_top > 1e-30, torch.full_like(top, 127) / rest_top, 0)
        again = (rest * rest_inverse).round().double() * (rest_top / 127).double()
        stands_out = top.double() > 5 * part.double().square().mean(dim=1, keepdim=True).sqrt()
        parts.append(levels.double() * step.double() + torch.where(stands_out & (form.bits == 8), again, 0))
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_a_product_equals_the_same_sum_in_float64(instruction_set, form, n, k):
    torch.manual_seed(n * k)
    layer, weight = random_weight(n, k, form)
    for rows in (1, 2, 3, 5, 8, 12, 13, 31):
        x = torch.randn(rows, k)
        expected = quantize_activations(x, form) @ weight.T + layer.bias.double()
        torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("rows", [577, 2048])
def test_many_rows_in_several_blocks_equal_the_sum_in_float64(instruction_set, form, rows):
    layer, weight = random_weight(40, 260, form)
    x = torch.randn(rows, 260)
    expected = quantize_activations(x, form) @ weight.T + layer.bias.double()
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_a_row_is_the_same_to_the_last_bit_in_any_company_and_on_any_number_of_threads(instruction_set, form):
    layer, _ = random_weight(70, 1100, form)
    x = torch.randn(600, 1100)
    together = layer(x)
    with threads(1):
        assert torch.equal(layer(x), together)
    for start, stop in ((0, 1), (0, 600), (3, 5), (7, 19), (100, 113), (599, 600), (12, 598)):
        assert torch.equal(layer(x[start:stop]), together[start:stop])


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_rows_of_zeros_and_tiny_and_huge_numbers_stay_what_they_are(instruction_set, form):
    layer, weight = random_weight(32, 256, form)
    layer.bias.zero_()
    x = torch.zeros(4, 256)
    x[1], x[2], x[3, 7] = 1e-38, 1e30, 65504.0
    y = layer(x)
    expected = quantize_activations(x, form) @ weight.T
    assert torch.equal(y[:2], torch.zeros(2, 32))
    torch.testing.assert_close(y[2].double(), expected[2], rtol=1e-5, atol=1e-5 * 1e30)
    torch.testing.assert_close(y[3].double(), expected[3], rtol=1e-5, atol=1e-2)


EXTREMES = (0.0, 1e-32, 1.1e-30, 1e-29, 1e-28, 1e-10, 1.0, 1e28, 1e32, 1e33, 1e34)


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_extreme_rows_of_a_tile_are_what_they_are_alone(instruction_set, form):
    layer, weight = random_weight(48, 600, form)
    layer.bias.zero_()
    magnitudes = torch.tensor(EXTREMES)
    x = torch.randn(len(EXTREMES), 600) * magnitudes[:, None]
    x[6, 130:250] *= 1e33  # groups far beyond the others of an ordinary row
    y = layer(x)
    exact = quantize_activations(x, form) @ weight.T
    for row, expected in enumerate(exact):
        assert torch.equal(y[row], layer(x[row : row + 1])[0]), f"{EXTREMES[row]} alone"
        bound = 1e-5 * float(x[row].abs().max()) * 100 + 1e-38
        torch.testing.assert_close(y[row].double(), expected, rtol=1e-4, atol=bound)


def test_extreme_scales_of_weights_and_activations_meet_in_a_tile_as_they_do_alone(instruction_set):
    layer, _ = random_weight(48, 256, PackedFormat(4, 128))
    fp16 = torch.tensor([6e-8, -6e-8, 6.1e-5, 65504.0, -65504.0, 0.0, 1.0, 0.001]).half()
    pack_scale(fp16.repeat(12).view(48, 2), layer.weight_scale, layer.weight_group_scale)
    powers = torch.tensor([-102, -101, -100, -99, -1, 0, 1, 98, 99, 100, 101, 102.0])
    x = torch.randn(len(powers), 256) * 100 * powers.exp2()[:, None]  # one step of them is about such a power
    for row, alone in enumerate(x):
        assert torch.equal(layer(x)[row], layer(alone[None])[0]), f"2^{powers[row]:.0f}"


def test_more_threads_than_panels_make_every_panel_once(instruction_set):
    layer, weight = random_weight(17, 200, PackedFormat(4, 128))
    for rows in (1, 40):
        x = torch.randn(rows, 200)
        with threads(7):
            found = layer(x)
        expected = quantize_activations(x, layer.form) @ weight.T + layer.bias.double()
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("rows", [2, 40])
def test_a_scale_of_zero_makes_nothing_of_any_weight(instruction_set, form, rows):
    layer, _ = random_weight(20, 256, form)
    layer.weight_scale.zero_()
    x = torch.randn(rows, 256) * torch.logspace(-20, 20, rows)[:, None]
    assert torch.equal(layer(x), layer.bias.expand(rows, 20))


@pytest.mark.parametrize("form", [PackedFormat(8)], ids=str)
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_a_value_far_above_its_group_does_not_round_the_others_away(instruction_set, form, rows):
    torch.manual_seed(rows)
    layer, weight = random_weight(48, 512, form)
    x = torch.randn(rows, 512) * 0.01
    ordinary = layer(x)
    x[::2, 5::128] = 10.0
    exact = x.double() @ weight.T + layer.bias.double()
    y = layer(x)
    outlier_part = (x.double() * (x == 10)) @ weight.T
    error = (y.double() - exact).norm(dim=1) / (exact - outlier_part - layer.bias.double()).norm(dim=1)
    assert error.max() < 0.02, "relative to what the small values alone give"
    torch.testing.assert_close(
        y, quantize_activations(x, form) @ weight.T + layer.bias, rtol=1e-5, atol=1e-4, check_dtype=False
    )
    assert torch.equal(y[1::2], ordinary[1::2]), "other rows keep every bit"


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_none_in_every_output_of_its_row_and_in_no_other(instruction_set, form, number):
    layer, _ = random_weight(20, 300, form)
    x = torch.randn(3, 300)
    expected = layer(x)
    x[1, 130] = number
    y = layer(x)
    assert not y[1].isfinite().any()
    assert torch.equal(y[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_beside_a_value_that_stands_out_spoils_its_own_row_only(instruction_set, number):
    layer, _ = random_weight(48, 256, PackedFormat(8))
    x = torch.randn(7, 256) * 0.01
    x[0, 5] = 10.0
    expected = layer(x)
    x[3, 9] = number
    y = layer(x)
    assert not y[3].isfinite().any()
    others = [0, 1, 2, 4, 5, 6]
    assert torch.equal(y[others], expected[others])


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("rows", [1, 5, 6, 14])
def test_the_largest_sums_fit(instruction_set, form, rows):
    """All levels and inputs at their limits: some sums are kept in 16 bits for a while."""
    largest = 2 ** (form.bits - 1)
    scale = torch.ones(20, 384 // form.group if form.group else 1).half()
    for level in (largest - 1, -largest):
        layer, weight = weight_of(torch.full((20, 384), level, dtype=torch.int8), scale, form)
        for value in (127.0, -127.0):
            x = torch.full((rows, 384), value)
            expected = x.double() @ weight.T + layer.bias.double()
            torch.testing.assert_close(layer(x).double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_extreme_parts_anywhere_in_many_rows_leave_the_others_as_they_are(instruction_set, form):
    """Parts of 512 columns of a tile that need 16 bits or scales of their own, first, last, alone and side by side."""
    torch.manual_seed(0)
    layer, weight = random_weight(64, 1200, form)
    for rows in (12, 13, 29):
        x = torch.randn(rows, 1200)
        x[0, 9:512:128] *= 40  # stand out
        x[rows - 1, 600:1000:128] *= 40
        x[3:6, 512:640] *= 1e-29  # scales beyond those that are added to an exponent
        x[rows // 2, 128:256] *= 1e-29
        x[rows - 1, 1024:1152] *= 1e33
        tops = torch.stack([part.abs().amax(dim=1) for part in x.split(128, dim=1)])
        steps, _ = steps_of(tops, PackedFormat(4, 128))
        assert int(((steps < 2.0**-100) | (steps > 2.0**100)).sum()) == 5
        y = layer(x)
        expected = quantize_activations(x, form) @ weight.T + layer.bias.double()
        torch.testing.assert_close(y[:-1].double(), expected[:-1], rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(y[-1].double(), expected[-1], rtol=1e-4, atol=1e29)
        for row in range(rows):
            assert torch.equal(y[row], layer(x[row : row + 1])[0]), f"row {row} of {rows} alone"


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize(("rows", "row"), [(1, 0), (21, 0), (21, 9), (21, 20)])
def test_what_is_no_number_is_found_in_every_column(instruction_set, form, rows, row):
    layer, _ = random_weight(52, 1100, form)
    x = torch.randn(rows, 1100)
    expected = layer(x)
    others = [other for other in range(rows) if other != row]
    for column in (0, 15, 16, 31, 32, 127, 128, 300, 383, 511, 512, 1023, 1024, 1099):
        spoilt = x.clone()
        spoilt[row, column] = float("nan")
        y = layer(spoilt)
        assert not y[row].isfinite().any(), column
        assert torch.equal(y[others], expected[others])


def test_no_rows_give_no_rows():
    layer, _ = random_weight(16, 128, PackedFormat(4, 128))
    assert layer(torch.empty(0, 128)).shape == (0, 16)
    assert layer(torch.empty(2, 0, 128)).shape == (2, 0, 16)


def test_a_layer_packed_from_the_originals_integers_multiplies_what_they_stand_for(instruction_set):
    for bits in (8, 4):
        weight = torch.randn(48, 200).half()
        packed, scale = quantize_weight(weight, bits)
        layer = PackedLinear(200, 48, PackedFormat(bits), bias=False)
        pack_rows(unpack(packed, bits), layer.form, layer.weight)
        pack_scale(scale[:, None], layer.weight_scale)
        wide = unpack(packed, bits).double() * scale.double()[:, None]
        x = torch.randn(9, 200)
        torch.testing.assert_close(
            layer(x).double(), quantize_activations(x, layer.form) @ wide.T, rtol=1e-5, atol=1e-4
        )


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_an_embedding_row_is_the_weights_row(instruction_set, form):
    layer, weight = random_weight(37, 150, form)
    ids = torch.tensor([[0, 36, 5], [16, 15, 36]])
    torch.testing.assert_close(PackedEmbedding(layer)(ids).double(), weight[ids], rtol=1e-6, atol=0)


@pytest.mark.parametrize("token", [-1, 37])
def test_an_id_outside_the_table_is_refused(token):
    layer, _ = random_weight(37, 150, PackedFormat(8))
    with pytest.raises(IndexError, match="between 0 and 36"):
        PackedEmbedding(layer)(torch.tensor([0, token]))


def test_half_precision_input_is_refused_with_what_to_do():
    layer, _ = random_weight(16, 128, PackedFormat(8))
    with pytest.raises(TypeError, match="load the checkpoint for that device"):
        layer(torch.randn(1, 128).half())


@pytest.mark.parametrize("width", [64, 127, 129, 256])
def test_an_input_of_another_width_is_refused_before_the_kernel_reads_it(width):
    layer, _ = random_weight(16, 128, PackedFormat(8))
    with pytest.raises(ValueError, match=f"{width} columns and the weight 128"):
        layer(torch.randn(2, width))


def test_weights_on_another_device_are_refused_before_the_kernel_reads_them():
    layer, _ = random_weight(16, 128, PackedFormat(8))
    embedding = PackedEmbedding(layer)
    with pytest.raises(TypeError, match="load the checkpoint for that device"):
        embedding(torch.tensor([1], device="meta"))
    moved = copy.deepcopy(nn.ModuleList([layer, embedding])).to("meta")
    for part, given in zip(moved, (torch.randn(1, 128), torch.tensor([1])), strict=True):
        with pytest.raises(TypeError, match="load the checkpoint for that device"):
            part(given)


@pytest.mark.parametrize("change", [nn.Module.half, nn.Module.float, nn.Module.double, nn.Module.bfloat16])
def test_a_change_of_dtype_leaves_a_packed_layer_as_it_is(change):
    layer, _ = random_weight(40, 200, PackedFormat(4, 128))
    x, ids = torch.randn(3, 200), torch.tensor([0, 39])
    expected, rows = layer(x), PackedEmbedding(layer)(ids)
    both = change(nn.ModuleList([layer, PackedEmbedding(layer)]))
    assert torch.equal(both[0](x), expected)
    assert torch.equal(both[1](ids), rows)


def test_columns_that_do_not_lie_side_by_side_are_packed_all_the_same():
    levels = torch.randint(-128, 128, (300, 64), dtype=torch.int8)
    form = PackedFormat(8)
    found, expected = (torch.empty(form.shapes(64, 300)[0], dtype=torch.uint8) for _ in range(2))
    pack_rows(levels.T, form, found)
    pack_rows(levels.T.contiguous(), form, expected)
    assert torch.equal(found, expected)


def test_a_copy_of_a_layer_multiplies_with_its_own_weight():
    layer, _ = random_weight(16, 128, PackedFormat(8))
    x = torch.randn(2, 128)
    expected = layer(x)
    twin = copy.deepcopy(layer)
    layer.weight.zero_()
    assert torch.equal(twin(x), expected)
