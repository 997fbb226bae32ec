"""The head in two planes of nibbles: what is on the shortlist is exact, what is not stands for the middle."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from chatglm_slim_llm.cli.measuring import _read_bytes
from chatglm_slim_llm.kernels.packed import PackedEmbedding, PackedFormat, PackedLinear, pack_rows, pack_scale
from tests.unit.native import needs_library, threads
from tests.unit.test_native_linear import quantize_activations

pytestmark = needs_library

INT8 = PackedFormat(8)
SHAPES = [(1, 1), (17, 5), (15, 127), (48, 129), (100, 300), (1025, 64), (2500, 131)]
BIN = 2**-7
"""Scores that differ by less than this part of them may share a bin."""


def layer_of(levels: Tensor, scale: Tensor, form: PackedFormat, bias: Tensor | None = None) -> PackedLinear:
    """A layer of these integers, int8 [n, k], and scales, fp16 [n]."""
    n, k = levels.shape
    layer = PackedLinear(k, n, form, bias=bias is not None)
    pack_rows(levels, form, layer.weight, layer.weight_low)
    pack_scale(scale[:, None], layer.weight_scale)
    if bias is not None:
        layer.bias.copy_(bias)
    return layer


def random_rows(n: int, k: int) -> tuple[Tensor, Tensor]:
    """Integers of a weight and their scales."""
    return torch.randint(-128, 128, (n, k), dtype=torch.int8), torch.randn(n).half() * 0.05


def both_scores(levels: Tensor, scale: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """With the middle of the low nibbles, and exact: float64 [rows, n]."""
    seen = quantize_activations(x, INT8)
    wide = scale.double()[:, None]
    middle = levels.double() - (levels.int() + 128 & 15) + 7.5
    return seen @ (middle * wide).T, seen @ (levels * wide).T


def assert_shortlists_are_exact(found: Tensor, rough: Tensor, exact: Tensor, size: int) -> None:
    """Of each row, the ``size`` largest rough scores are exact, those far below the last of them stay rough."""
    close = {"rtol": 1e-5, "atol": 1e-5 * float(exact.abs().max())}
    last = rough.topk(min(size, rough.shape[1]), dim=1).values[:, -1:]
    best, rest = rough > last + close["atol"], rough < last - last.abs() * BIN - close["atol"]
    assert not rest.any() or size < rough.shape[1]
    torch.testing.assert_close(torch.where(best, found, 0), torch.where(best, exact, 0), check_dtype=False, **close)
    torch.testing.assert_close(torch.where(rest, found, 0), torch.where(rest, rough, 0), check_dtype=False, **close)
    between = ~best & ~rest
    nearer = torch.minimum((found - exact).abs(), (found - rough).abs())
    assert not (nearer[between] > 2 * close["atol"]).any()


@pytest.mark.parametrize("rows", [1, 9, 10])
def test_all_scores_are_exact_for_who_asks(instruction_set, rows):
    levels, scale = random_rows(500, 300)
    layer = layer_of(levels, scale, PackedFormat(8, shortlist=20))
    x = torch.randn(rows, 300)
    _, exact = both_scores(levels, scale, x)
    close = {"rtol": 1e-5, "atol": 1e-5 * float(exact.abs().max()), "check_dtype": False}
    torch.testing.assert_close(layer.exact(x), exact, **close)
    assert not torch.allclose(layer(x).double(), exact, atol=close["atol"])
    torch.testing.assert_close(layer_of(levels, scale, INT8).exact(x), exact, **close)


@pytest.mark.parametrize(("n", "k"), SHAPES)
@pytest.mark.parametrize("size", [1, 7, 40])
def test_the_largest_scores_are_exact_and_the_others_rough(instruction_set, n, k, size):
    torch.manual_seed(n * k)
    levels, scale = random_rows(n, k)
    layer = layer_of(levels, scale, PackedFormat(8, shortlist=size))
    for rows in (1, 2, 9, 10, 40):
        x = torch.randn(rows, k)
        assert_shortlists_are_exact(layer(x), *both_scores(levels, scale, x), size)


def test_a_bias_is_part_of_what_decides(instruction_set):
    levels, scale = random_rows(300, 200)
    bias = torch.randn(300) * 20
    x = torch.randn(3, 200)
    found = layer_of(levels, scale, PackedFormat(8, shortlist=20), bias)(x)
    rough, exact = both_scores(levels, scale, x)
    assert_shortlists_are_exact(found, rough + bias, exact + bias, 20)


@pytest.mark.parametrize("offset", [-3000.0, -20.0, 3000.0])
def test_scores_of_one_sign_are_told_apart(instruction_set, offset):
    levels, scale = random_rows(2000, 128)
    x = torch.randn(2, 128)
    bias = torch.full((2000,), offset)
    found = layer_of(levels, scale, PackedFormat(8, shortlist=30), bias)(x)
    rough, exact = both_scores(levels, scale, x)
    assert_shortlists_are_exact(found, rough + bias, exact + bias, 30)


@pytest.mark.parametrize("size", [100, 101, 10**9])
def test_a_shortlist_of_everything_is_the_plain_int8_layer(instruction_set, size):
    levels, scale = random_rows(100, 300)
    x = torch.randn(5, 300)
    expected = layer_of(levels, scale, INT8)(x)
    close = {"rtol": 1e-5, "atol": 1e-5 * float(expected.abs().max())}
    torch.testing.assert_close(layer_of(levels, scale, PackedFormat(8, shortlist=size))(x), expected, **close)


@pytest.mark.parametrize("rows", [1, 30])
def test_ties_at_the_end_of_the_shortlist_are_all_on_it(instruction_set, rows):
    levels, scale = random_rows(1, 256)
    levels, scale = levels.repeat(500, 1), scale.abs().repeat(500)
    levels[100:400] = 0  # the first and the last hundred are alike, and the best where x points their way
    x = levels[:1].float().repeat(rows, 1)
    rough, exact = both_scores(levels, scale, x)
    found = layer_of(levels, scale, PackedFormat(8, shortlist=10))(x)
    torch.testing.assert_close(found[:, :100].double(), exact[:, :100], rtol=1e-5, atol=0)
    torch.testing.assert_close(found[:, 400:].double(), exact[:, 400:], rtol=1e-5, atol=0)
    torch.testing.assert_close(found[:, 100:400].double(), rough[:, 100:400], rtol=1e-5, atol=1e-3)


@pytest.mark.long
def test_the_true_best_token_is_always_found_and_its_score_exact():
    torch.manual_seed(0)
    levels, scale = random_rows(2000, 256)
    layer = layer_of(levels, scale.abs() + 0.02, PackedFormat(8, shortlist=64))
    for _ in range(10):
        x = torch.randn(1000, 256)
        exact = both_scores(levels, scale.abs() + 0.02, x)[1]
        found, best = layer(x), exact.argmax(dim=1, keepdim=True)
        assert torch.equal(found.argmax(dim=1, keepdim=True), best)
        torch.testing.assert_close(found.gather(1, best).double(), exact.gather(1, best), rtol=1e-5, atol=0)


@pytest.mark.long
def test_a_row_is_the_same_to_the_last_bit_in_any_company_and_on_any_number_of_threads(instruction_set):
    levels, scale = random_rows(1500, 700)
    layer = layer_of(levels, scale, PackedFormat(8, shortlist=33))
    x = torch.randn(600, 700)
    x[::7, 5::128] = 30.0
    together = layer(x)
    with threads(1):
        assert torch.equal(layer(x), together)
    for start, stop in ((0, 1), (0, 600), (3, 5), (7, 19), (100, 113), (599, 600), (12, 598)):
        assert torch.equal(layer(x[start:stop]), together[start:stop])


@pytest.mark.parametrize("rows", [1, 7, 40])
def test_a_value_far_above_its_group_does_not_round_the_others_away(instruction_set, rows):
    levels, scale = random_rows(200, 512)
    x = torch.randn(rows, 512) * 0.01
    layer = layer_of(levels, scale, PackedFormat(8, shortlist=20))
    ordinary = layer(x)
    x[::2, 5::128] = 10.0
    found = layer(x)
    assert_shortlists_are_exact(found, *both_scores(levels, scale, x), 20)
    assert torch.equal(found[1::2], ordinary[1::2]), "other rows keep every bit"


def test_zeros_and_tiny_and_huge_numbers_stay_what_they_are(instruction_set):
    levels, scale = random_rows(64, 256)
    x = torch.zeros(4, 256)
    x[1], x[2], x[3, 7] = 1e-38, 1e30, 65504.0
    found = layer_of(levels, scale, PackedFormat(8, shortlist=9))(x)
    assert torch.equal(found[:2], torch.zeros(2, 64))
    for row in (2, 3):
        part = x[row : row + 1]
        assert_shortlists_are_exact(found[row : row + 1], *both_scores(levels, scale, part), 9)


def test_levels_and_scales_at_their_limits(instruction_set):
    """Sixteen times the largest scale is more than fp16 holds, and 255 * 127 * 128 is the largest sum of a group."""
    levels = torch.tensor([-128, 127, -1, 0, 15, -113], dtype=torch.int8)[:, None].expand(6, 384).contiguous()
    scale = torch.tensor([65504.0, 65504.0, 6e-8, 0.0, 1.0, -1.0]).half()
    for sign in (-1.0, 1.0):
        x = torch.full((2, 384), sign)
        found = layer_of(levels, scale, PackedFormat(8, shortlist=2))(x)
        assert_shortlists_are_exact(found, *both_scores(levels, scale, x), 2)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_none_in_every_output_of_its_row_and_in_no_other(instruction_set, number):
    levels, scale = random_rows(50, 300)
    layer = layer_of(levels, scale, PackedFormat(8, shortlist=5))
    x = torch.randn(3, 300)
    expected = layer(x)
    x[1, 130] = number
    found = layer(x)
    assert not found[1].isfinite().any()
    assert torch.equal(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_no_number_leaves_the_others_numbers(instruction_set, number):
    levels, scale = random_rows(50, 128)
    bias = torch.zeros(50)
    bias[7] = number
    x = torch.randn(2, 128)
    found = layer_of(levels, scale, PackedFormat(8, shortlist=5), bias)(x)
    assert not found[:, 7].isfinite().any()
    others = torch.arange(50) != 7
    rough, exact = (scores[:, others] for scores in both_scores(levels, scale, x))
    nearer = torch.minimum((found[:, others] - exact).abs(), (found[:, others] - rough).abs())
    assert (nearer <= 1e-5 * exact.abs().max()).all()
    best = exact.argmax(dim=1, keepdim=True)
    torch.testing.assert_close(found[:, others].gather(1, best).double(), exact.gather(1, best), rtol=1e-5, atol=0)


def test_scores_that_are_all_infinite_stay_so(instruction_set):
    levels, scale = random_rows(50, 128)
    for number in (float("inf"), -float("inf")):
        layer = layer_of(levels, scale, PackedFormat(8, shortlist=5), torch.full((50,), number))
        assert (layer(torch.randn(2, 128)) == number).all()


@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_planes_hold_every_nibble_in_its_place_and_zeros_around(instruction_set, n, k):
    levels, _ = random_rows(n, k)
    form = PackedFormat(8, shortlist=1)
    (panels, size), low_shape = form.shapes(n, k)[0], form.low_shape(n, k)
    high, low = torch.full((panels, size), 77, dtype=torch.uint8), torch.full(low_shape, 77, dtype=torch.uint8)
    pack_rows(levels, form, high, low)
    u = torch.full((panels * 16, low_shape[1] * 2), 128, dtype=torch.uint8)
    u[:n, :k] = (levels.int() + 128).to(torch.uint8)
    lines = (u[:n] & 15).view(n, -1, 2, 64)
    assert torch.equal(low, (lines[:, :, 0] | lines[:, :, 1] << 4).flatten(1))
    words = (u >> 4).view(panels, 16, -1, 2, 4).permute(0, 2, 3, 1, 4)  # [panel, k / 8, half, row, 4]
    assert torch.equal(high, (words[:, :, 0] | words[:, :, 1] << 4).flatten(1))


@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_an_embedding_row_is_exact(instruction_set, n, k):
    levels, scale = random_rows(n, k)
    ids = torch.tensor([[0, n - 1], [n // 2, n // 2]])
    rows = PackedEmbedding(layer_of(levels, scale, PackedFormat(8, shortlist=1)))(ids)
    assert torch.equal(rows, (levels * scale.float()[:, None])[ids])


def test_a_linear_layer_becomes_the_integers_of_the_plain_format():
    linear = nn.Linear(200, 300)
    whole = PackedLinear.from_linear(linear, PackedFormat(8, shortlist=300))
    x = torch.randn(3, 200)
    expected = PackedLinear.from_linear(linear, INT8)(x)
    torch.testing.assert_close(whole(x), expected, rtol=1e-5, atol=1e-5)


def test_a_copy_reads_its_own_low_plane():
    layer = layer_of(*random_rows(40, 128), PackedFormat(8, shortlist=40))
    x = torch.randn(2, 128)
    expected = layer(x)
    twin = copy.deepcopy(layer)
    layer.weight_low.zero_()
    assert torch.equal(twin(x), expected)
    assert not torch.equal(layer(x), expected)


@pytest.mark.parametrize("arguments", [(4, 0, 9), (4, 128, 9), (8, 0, -1)])
def test_a_shortlist_without_planes_is_refused(arguments):
    with pytest.raises(ValueError, match="one scale a row"):
        PackedFormat(*arguments)


def test_of_the_low_plane_a_step_reads_the_shortlist():
    layer = PackedLinear(250, 1000, PackedFormat(8, shortlist=50), bias=False)
    high, scales, low = 63 * 16 * 128, 63 * 16 * 2, 50 * 128
    assert _read_bytes(layer) == high + scales + low
    layer = PackedLinear(250, 1000, PackedFormat(8, shortlist=2000), bias=False)
    assert _read_bytes(layer) == high + scales + 1000 * 128
