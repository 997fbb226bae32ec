"""Attention over pages of keys and values against float64, and against itself in other company."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from chatglm_slim_llm.kernels.pages import CacheShape, Pages, RowBatch
from chatglm_slim_llm.network.rotary import apply_rotary, rotary_table
from tests.unit.native import kept, needs_library, stored, threads

pytestmark = needs_library

LAYER = 1
FUNCTIONS = ["attend", "attend_context"]
BITS = [16, 8]
"""Of the numbers that are kept."""
SHAPES = [  # heads, d, tokens, rows
    (1, 8, 1, 1),
    (3, 8, 65, 40),
    (2, 12, 63, 5),
    (5, 16, 63, 2),
    (2, 20, 200, 17),
    (4, 64, 64, 33),
    (5, 80, 200, 7),
    (1, 128, 200, 40),
    (3, 128, 65, 16),
    (2, 128, 1, 3),
    (2, 160, 130, 6),
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def filled(heads: int, d: int, num_tokens: int, scale: float = 1.0, bits: int = 16) -> tuple[Pages, Tensor, Tensor]:
    """A sequence of random keys and values [heads, tokens, d] as they are kept, NaN where nothing is stored yet."""
    pages = Pages(CacheShape(layers=3, heads=heads, d=d, bits=bits))
    whole = -(-num_tokens // 64) * 64
    pages.grow(whole)
    pages.put(LAYER, *torch.full((2, heads, whole, d), float("nan")))
    pages.shrink(whole - num_tokens)
    key, value = (torch.randn(2, heads, num_tokens, d) * scale).clamp(-65504, 65504)
    pages.put(LAYER, key, value)
    return pages, kept(key, bits), kept(value, bits)


def expected(query: Tensor, key: Tensor, value: Tensor, visible: list[int]) -> Tensor:
    """Plain attention in float64: query [rows, heads * d], row r sees the first visible[r] tokens."""
    heads, num_tokens, d = key.shape
    queries = query.double().unflatten(-1, (heads, d)).transpose(0, 1)  # [heads, rows, d]
    scores = queries @ key.double().mT / math.sqrt(d)  # [heads, rows, tokens]
    scores.masked_fill_(torch.arange(num_tokens) >= torch.tensor(visible)[:, None], -math.inf)
    return (scores.softmax(-1) @ value.double()).transpose(0, 1).flatten(1)


def some_visible(num_tokens: int, rows: int) -> list[int]:
    """What a context's last rows see: first the same, then one more each; never nothing."""
    return [max(1, num_tokens - max(0, rows - 1 - row - rows // 3)) for row in range(rows)]


def batch_of(pages: Pages, visible: list[int]) -> RowBatch:
    return RowBatch([(pages, seen - 1, seen) for seen in visible])


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("heads", "d", "tokens", "rows"), SHAPES)
def test_attention_is_float64s_over_what_each_row_sees(instruction_set, function, bits, heads, d, tokens, rows):
    pages, key, value = filled(heads, d, tokens, bits=bits)
    visible = some_visible(tokens, rows)
    query = torch.randn(rows, heads * d) * 2
    found = getattr(batch_of(pages, visible), function)(LAYER, query)
    torch.testing.assert_close(found.double(), expected(query, key, value, visible), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_rows_may_see_any_number_of_tokens_in_any_order(instruction_set, function, bits):
    pages, key, value = filled(2, 16, 300, bits=bits)
    visible = [1, 300, 64, 65, 128, 1, 2, 299, 63, 192, 7, 7, 7, 7, 256]
    query = torch.randn(len(visible), 32)
    found = getattr(batch_of(pages, visible), function)(LAYER, query)
    torch.testing.assert_close(found.double(), expected(query, key, value, visible), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("heads", "d"), [(1, 128), (4, 128), (3, 20)])
@pytest.mark.parametrize("step", [1, 3, 7, 16])
def test_a_row_does_not_depend_on_its_company_or_on_threads(instruction_set, function, bits, heads, d, step):
    pages, _, _ = filled(heads, d, 210, bits=bits)
    visible = some_visible(210, 60)
    query = torch.randn(60, heads * d)
    together = getattr(batch_of(pages, visible), function)(LAYER, query)
    for first in range(0, 60, step):
        part = batch_of(pages, visible[first : first + step])
        with threads(1 if first % 2 else 3):
            found = getattr(part, function)(LAYER, query[first : first + step])
        assert torch.equal(found, together[first : first + step])


@pytest.mark.parametrize("bits", BITS)
def test_decoding_rows_of_many_sequences_are_those_of_each_alone(instruction_set, bits):
    sequences = [filled(3, 128, tokens, bits=bits) for tokens in (1, 64, 65, 200)]
    order = [0, 1, 1, 3, 3, 3, 2, 0]
    visible = [1, 63, 64, 198, 199, 200, 65, 1]
    query = torch.randn(len(order), 3 * 128)
    rows = [(sequences[which][0], seen - 1, seen) for which, seen in zip(order, visible, strict=True)]
    together = RowBatch(rows).attend(LAYER, query)
    for row, (which, seen) in enumerate(zip(order, visible, strict=True)):
        assert torch.equal(RowBatch([rows[row]]).attend(LAYER, query[row : row + 1])[0], together[row])
        truth = expected(query[row : row + 1], *sequences[which][1:], [seen])
        torch.testing.assert_close(together[row : row + 1].double(), truth, rtol=0, atol=1e-5)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("scale", [200.0, 20_000.0])
def test_large_scores_and_values_neither_overflow_nor_lose_the_largest(instruction_set, function, bits, scale):
    pages, key, value = filled(2, 128, 200, scale, bits)
    visible = [1, 2, 64, 65, 200]
    query = torch.randn(5, 256) * 100
    found = getattr(batch_of(pages, visible), function)(LAYER, query)
    assert found.isfinite().all()
    # A score of 1e6 is known to 0.1 in fp32; but one key wins by far more than that, and takes all of the weight.
    torch.testing.assert_close(found.double(), expected(query, key, value, visible), rtol=1e-5, atol=scale * 1e-5)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_weights_are_the_exponential_to_two_ten_millionths(instruction_set, function):
    pages = Pages(CacheShape(layers=2, heads=1, d=4))
    pages.grow(2)
    key, value = torch.zeros(2, 1, 2, 4)
    key[0, 1, 0], value[0, 1] = -1.0, 1.0  # scores 0 and -x for a query (2 x, 0, 0, 0): the weight is e^-x / (1 + e^-x)
    pages.put(LAYER, key.half(), value.half())
    x = torch.cat([torch.linspace(0, 87, 2000), torch.tensor([0.0, 1e-8, 80.0])])
    query = torch.zeros(len(x), 4)
    query[:, 0] = 2 * x
    found = getattr(batch_of(pages, [2] * len(x)), function)(LAYER, query)[:, 0]
    torch.testing.assert_close(found.double(), torch.sigmoid(-x.double()), rtol=3e-7, atol=0)
    assert found[0] == 0.5


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(
    ("heads", "d", "first", "rows"), [(1, 8, 0, 1), (3, 20, 60, 9), (2, 64, 63, 2), (32, 128, 40, 40)]
)
def test_store_turns_queries_and_keys_as_apply_rotary_does(instruction_set, bits, heads, d, first, rows):
    pages = Pages(CacheShape(layers=3, heads=heads, d=d, bits=bits))
    pages.grow(first + rows)
    qkv = torch.randn(rows, heads * 3 * d)
    positions = torch.stack((torch.arange(first, first + rows), torch.arange(rows) % 3))  # [2, rows]
    cos, sin = rotary_table(positions[None], d)
    batch = RowBatch([(pages, place, place + 1) for place in range(first, first + rows)])
    query = batch.store(LAYER, qkv, cos.reshape(rows, -1).contiguous(), sin.reshape(rows, -1).contiguous())

    q, k, v = qkv.view(1, rows, heads, 3 * d).chunk(3, dim=-1)
    assert torch.equal(query, apply_rotary(q, cos, sin).flatten(2)[0])
    keys, values = stored(pages, LAYER)[:, :, first : first + rows]  # [heads, rows, d]
    assert torch.equal(keys, kept(apply_rotary(k, cos, sin)[0].transpose(0, 1), bits).float())
    assert torch.equal(values, kept(v[0].transpose(0, 1), bits).float())


@pytest.mark.parametrize("bits", BITS)
def test_store_leaves_other_layers_and_other_tokens_alone(instruction_set, bits):
    pages, _, _ = filled(2, 20, 64, bits=bits)
    before = [pages._pages[0].clone(), *(stored(pages, layer).nan_to_num() for layer in range(3))]
    batch_of(pages, [6]).store(LAYER, torch.randn(1, 120), torch.ones(1, 10), torch.zeros(1, 10))
    after = [pages._pages[0], *(stored(pages, layer).nan_to_num() for layer in range(3))]
    numbers = bits // 8 * 20 + (bits == 8) * 4  # bytes of a token in one part of one head
    assert 0 < int((before[0] != after[0]).sum()) <= 2 * 2 * numbers
    changed = torch.stack([(one != other).any(-1) for one, other in zip(before[1:], after[1:], strict=True)])
    assert {tuple(place) for place in changed.nonzero().tolist()} == {(1, k, h, 5) for k in (0, 1) for h in (0, 1)}


@pytest.mark.parametrize("d", [8, 20, 128])
def test_int8_keeps_each_token_of_a_head_to_half_a_step_of_its_own(instruction_set, d):
    key = torch.randn(2, 70, d) * torch.logspace(-20, 20, 70)[:, None]
    key[0, 3], key[1, 5, 0] = 0, 1e4  # nothing at all; one number that stands out
    pages = Pages(CacheShape(layers=2, heads=2, d=d, bits=8))
    pages.grow(70)
    pages.put(LAYER, key, -key)
    for numbers, found in zip((key, -key), stored(pages, LAYER)[:, :, :70], strict=True):
        step = numbers.abs().amax(-1, keepdim=True).double() / 127
        assert ((found.double() - numbers.double()).abs() <= step * 0.50001).all()
    assert not stored(pages, LAYER)[0, 0, 3].any()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("spoilt", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("d", "place"), [(128, 0), (128, 127), (20, 19)])
def test_what_is_no_number_is_not_kept_as_one(instruction_set, bits, spoilt, d, place):
    pages = Pages(CacheShape(layers=2, heads=2, d=d, bits=bits))
    pages.grow(66)
    both = torch.randn(2, 2, 66, d)
    both[:, 1, 40, place] = spoilt
    pages.put(LAYER, *both)
    lost = ~stored(pages, LAYER)[:, :, :66].isfinite().all(-1)  # [2, heads, tokens]
    assert {tuple(where) for where in lost.nonzero().tolist()} == {(0, 1, 40), (1, 1, 40)}


def test_int8_takes_about_half_the_memory():
    half, byte = (CacheShape(layers=28, heads=32, d=128, bits=bits).page_bytes for bits in BITS)
    assert half == 28 * 2 * 32 * 64 * 128 * 2
    assert byte == 28 * 2 * 32 * 64 * (128 + 4)


def test_rows_keep_their_sequence_and_what_they_know_of_it(instruction_set):
    pages, key, value = filled(2, 16, 64)
    query = torch.randn(1, 32)
    batch = batch_of(pages, [64])
    pages.grow(64 * 50)  # more pages take another table
    torch.testing.assert_close(
        batch.attend(LAYER, query).double(), expected(query, key, value, [64]), rtol=0, atol=1e-5
    )
    del pages
    torch.testing.assert_close(
        batch.attend(LAYER, query).double(), expected(query, key, value, [64]), rtol=0, atol=1e-5
    )
