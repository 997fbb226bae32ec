"""The compiled quantiser: the original's format to the last bit, grouped scales against a plain search in float64."""

from __future__ import annotations

from ctypes import byref

import pytest
import torch
from torch import Tensor

from chatglm_slim_llm.kernels.library import native
from chatglm_slim_llm.kernels.packed import (
    NativeWeight,
    PackedEmbedding,
    PackedFormat,
    PackedLinear,
    pack_rows,
    pack_scale,
    quantize_rows,
)
from chatglm_slim_llm.kernels.quantization import quantize_levels
from tests.unit.native import needs_library, threads
from tests.unit.test_native_linear import kept_scales

pytestmark = needs_library

FORMATS = [PackedFormat(8), PackedFormat(4), PackedFormat(4, 32), PackedFormat(4, 128)]
GROUPED = FORMATS[2:]
SHAPES = [(1, 2), (5, 32), (17, 130), (40, 300)]
DIVISORS = [-6.25 - 0.25 * step for step in range(16)]


def odd_rows() -> Tensor:
    """Rows that are hard to quantise, fp16 [many, 64]."""
    torch.manual_seed(7)
    normal = torch.randn(64, 64)
    sizes = torch.logspace(-9, 4.5, 64)[:, None]
    one_large = torch.randn(64, 64) * 1e-3
    one_large[:, 3] = torch.randn(64) * 100
    extremes = torch.tensor([[0.0], [6e-8], [-6e-8], [65504.0], [-65504.0], [1e-5]]).expand(-1, 64)
    ties = torch.arange(64).repeat(4, 1) * torch.tensor([[0.5], [1.0], [2.0], [-0.25]])
    few_bits = torch.randint(0, 2**10, (64, 64)).to(torch.int16).view(torch.float16).float()  # all subnormal
    return torch.cat([normal * sizes, one_large, extremes, ties, few_bits]).clamp(-65504, 65504).half()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("rows", [odd_rows(), torch.randn(64, 1000).half(), torch.zeros(3, 34).half()])
def test_one_scale_a_row_gives_the_bits_of_the_original_format(instruction_set, bits, rows):
    levels, scale = quantize_rows(rows, PackedFormat(bits))
    expected_levels, expected_scale = quantize_levels(rows, bits)
    assert torch.equal(scale, expected_scale)
    assert torch.equal(levels, expected_levels)


@pytest.mark.parametrize("bits", [8, 4])
def test_every_half_as_a_rows_largest_weight_gets_the_original_scale(instruction_set, bits):
    largest = torch.arange(0x7C00).to(torch.int16).view(torch.float16)
    rows = torch.stack([largest, -largest / 3, largest / 7], dim=1)
    rows = torch.cat([rows, rows[:, :1] * torch.tensor(0.5).half()], dim=1).contiguous()
    levels, scale = quantize_rows(rows, PackedFormat(bits))
    expected_levels, expected_scale = quantize_levels(rows, bits)
    assert torch.equal(scale, expected_scale)
    assert torch.equal(levels, expected_levels)


def best_of_sixteen(group: Tensor) -> tuple[Tensor, Tensor]:
    """Scales to choose from and their weighted errors, float64 [n, 16]; ``group`` is fp16 [n, columns]."""
    largest = group.gather(1, group.abs().max(dim=1, keepdim=True).indices).float()
    scales = (largest / torch.tensor(DIVISORS)).half().double()  # [n, 16]
    errors = torch.stack([weighted_error(group, s, levels_at(group, s)) for s in scales.T], dim=1)
    return scales, errors


def levels_at(group: Tensor, scale: Tensor) -> Tensor:
    """The nearest levels for one scale a row; a scale of zero has level zero."""
    inverse = torch.where(scale == 0, 0, 1 / scale.float())  # the product is formed in fp32
    return (group.float() * inverse[:, None]).round().clamp(-8, 7)


def squared_error(group: Tensor, scale: Tensor, levels: Tensor) -> Tensor:
    """Computed in float64."""
    return (group.double() - levels.double() * scale[:, None]).square().sum(dim=1)


def weighted_error(group: Tensor, scale: Tensor, levels: Tensor) -> Tensor:
    """The same, where an error counts as much as the root of the weight's square plus the group's mean square."""
    squares = group.double().square()
    importance = (squares.mean(dim=1, keepdim=True) + squares).sqrt()
    return ((group.double() - levels.double() * scale[:, None]).square() * importance).sum(dim=1)


@pytest.mark.parametrize("form", GROUPED, ids=str)
@pytest.mark.parametrize("rows", [odd_rows(), torch.randn(40, 300).half() * 0.02], ids=["odd", "normal"])
def test_a_group_takes_the_scale_with_the_least_weighted_error(instruction_set, form, rows):
    levels, scale = quantize_rows(rows, form)
    for index, group in enumerate(rows.split(form.group, dim=1)):
        found = levels[:, index * form.group : (index + 1) * form.group]
        chosen = scale[:, index].double()
        scales, errors = best_of_sixteen(group)
        assert torch.equal(found, levels_at(group, chosen).to(torch.int8))
        assert ((scales == chosen[:, None]).any(dim=1) | (chosen == 0)).all()
        least = errors.min(dim=1).values
        assert (weighted_error(group, chosen, found) <= least * (1 + 1e-6)).all()  # fp32 sums may take another tie


@pytest.mark.parametrize("form", GROUPED, ids=str)
def test_the_search_saves_a_quarter_of_the_squared_error_on_normal_weights(instruction_set, form):
    group = (torch.randn(4000, form.group) * 0.02).half()
    levels, scale = quantize_rows(group, form)
    plain = (group.abs().amax(dim=1).float() / 7).half().double()
    simple = squared_error(group, plain, levels_at(group, plain)).mean()
    assert squared_error(group, scale[:, 0].double(), levels).mean() < 0.75 * simple


@pytest.mark.parametrize("form", GROUPED, ids=str)
def test_what_has_been_quantised_before_keeps_its_values(instruction_set, form):
    levels = torch.randint(-7, 8, (30, 3, form.group))
    levels[..., 0] = torch.tensor([7, -7, -8])
    scales = torch.randint(1, 128, (30, 3, 1)) / 1024  # seven bits: every product is an fp16 number
    restored = (levels * scales).half().flatten(1)
    found, scale = quantize_rows(restored, form)
    assert torch.equal((found.view(30, 3, -1) * scale.float()[..., None]).flatten(1), restored.float())


@pytest.mark.parametrize("form", GROUPED, ids=str)
def test_a_group_of_zeros_has_scale_zero(instruction_set, form):
    rows = torch.randn(4, 3 * form.group).half()
    rows[:, form.group : 2 * form.group] = 0
    levels, scale = quantize_rows(rows, form)
    assert scale[:, 1].eq(0).all()
    assert levels[:, form.group : 2 * form.group].eq(0).all()
    assert scale[:, [0, 2]].ne(0).all()


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_every_instruction_set_and_number_of_threads_finds_the_same_levels(instruction_set, form):
    rows = torch.cat([odd_rows(), torch.randn(64, 64, generator=torch.Generator().manual_seed(1)).half()])
    levels, scale = quantize_rows(rows, form)
    native().chatglm_instruction_set(b"portable")
    with threads(1):
        plain_levels, plain_scale = quantize_rows(rows, form)
    assert torch.equal(levels, plain_levels)
    assert torch.equal(scale, plain_scale)


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_infinity_and_nan_stay_within_the_levels(instruction_set, form):
    rows = torch.randn(6, 130).half()
    rows[0, 3], rows[1, 129], rows[2, 0] = float("nan"), float("inf"), float("-inf")
    rows[3] = float("nan")
    levels, scale = quantize_rows(rows, form)
    expected_levels, expected_scale = quantize_rows(rows[4:], form)
    assert torch.equal(levels[4:], expected_levels)
    assert torch.equal(scale[4:], expected_scale)
    if form.bits == 4:
        assert -8 <= int(levels.min()) <= int(levels.max()) <= 7


def panels_of(levels: Tensor, form: PackedFormat, size: torch.Size) -> Tensor:
    """Levels in panels, byte by byte, as native.h describes them: uint8 [panels, bytes]."""
    n, k = levels.shape
    offset = 128 if form.bits == 8 else 8
    columns = size[1] * 8 // form.bits // 16
    full = torch.full((size[0] * 16, columns), offset, dtype=torch.uint8)
    full[:n, :k] = (levels.int() + offset).to(torch.uint8)
    panels = full.view(size[0], 16, columns // 4, 4).transpose(1, 2)  # [panel, k / 4, row, 4]
    if form.bits == 4:
        panels = panels[:, 0::2] | panels[:, 1::2] << 4
    return panels.flatten(1)


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize(("n", "k"), [(16, 128), *SHAPES])
def test_panels_hold_every_level_in_its_place_and_zeros_around(instruction_set, form, n, k):
    bound = 2 ** (form.bits - 1)
    levels = torch.randint(-bound, bound, (n, k), dtype=torch.int8)
    out = torch.full(form.shapes(n, k)[0], 77, dtype=torch.uint8)
    pack_rows(levels, form, out)
    assert torch.equal(out, panels_of(levels, form, out.shape))


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_rows_come_back_as_level_times_scale(instruction_set, form, n, k):
    levels, scale = quantize_rows(torch.randn(n, k).half(), form)
    shape, scale_shape = form.shapes(n, k)
    group_scale = torch.empty(form.group_shape(n, k), dtype=torch.int8) if form.group else None
    packed, packed_scale = torch.empty(shape, dtype=torch.uint8), torch.empty(scale_shape, dtype=torch.float16)
    pack_rows(levels, form, packed)
    pack_scale(scale, packed_scale, group_scale)
    ids, rows = torch.tensor([n - 1, 0, n // 2, n // 2]), torch.empty(4, k)
    struct = NativeWeight(n, k, form).of(packed, packed_scale, group_scale)
    native().chatglm_rows_of(byref(struct), ids.data_ptr(), len(ids), rows.data_ptr(), 2)
    wide = kept_scales(scale, form).float().repeat_interleave(form.group or k, dim=1)[:, :k]
    assert torch.equal(rows, (levels * wide)[ids])


@pytest.mark.parametrize("largest", [65504.0, 1.0, 0.003, 6e-5, 0.0])
def test_a_groups_scale_is_kept_to_half_a_step_of_its_rows_largest(instruction_set, largest):
    scale = (torch.randn(40, 7) * largest / 3).clamp(-largest, largest).half()
    scale[3], scale[5, 2:] = 0, 0
    form, levels = PackedFormat(4, 32), torch.ones(40, 7 * 32, dtype=torch.int8)
    layer = PackedLinear(7 * 32, 40, form, bias=False)
    pack_rows(levels, form, layer.weight)
    pack_scale(scale, layer.weight_scale, layer.weight_group_scale)
    kept = PackedEmbedding(layer)(torch.arange(40)).view(40, 7, 32)
    assert torch.equal(kept, kept[..., :1].expand_as(kept))
    largest_of_row = scale.double().abs().amax(dim=1, keepdim=True)
    step = largest_of_row / 127 * 1.001 + 2**-24 * 2  # the row's scale is fp16, whose smallest steps are 2 ** -24
    assert ((kept[..., 0].double() - scale.double()).abs() <= step * 0.51).all()
    assert torch.equal(kept[3], torch.zeros(7, 32))
