"""All blocks in one call against the same kernels one after the other, which have truths of their own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from chatglm_slim_llm.kernels import BlockParts, Blocks, CacheShape, Linear, PackedFormat, PackedLinear, Pages, RowBatch
from chatglm_slim_llm.kernels.elementwise import gelu, layer_norm, scale_add
from tests.unit.native import needs_library, stored, threads

pytestmark = needs_library

LAYERS, HEADS, D, INNER = 2, 3, 20, 700
WIDTH = HEADS * D
HALF = PackedFormat(16)
FORMATS = [HALF, PackedFormat(8), PackedFormat(4), PackedFormat(4, 32), PackedFormat(4, 128)]


@pytest.fixture(autouse=True)
def _no_gradients():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def linear_of(in_features: int, out_features: int, form: PackedFormat, *, bias: bool = True) -> Linear | PackedLinear:
    plain = Linear(in_features, out_features, bias=bias).half()
    nn.init.normal_(plain.weight, std=0.1)
    return plain if form == HALF else PackedLinear.from_linear(plain, form)


def norm() -> nn.LayerNorm:
    made = nn.LayerNorm(WIDTH, eps=1e-5)
    nn.init.normal_(made.weight)
    nn.init.normal_(made.bias)
    return made


def some_parts(form: PackedFormat, *, bias: bool = True) -> list[BlockParts]:
    shapes = ((WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, INNER), (INNER, WIDTH))
    blocks = []
    for _ in range(LAYERS):
        qkv, dense, up, down = (linear_of(*shape, form, bias=bias) for shape in shapes)
        blocks.append(BlockParts(norm(), qkv, dense, norm(), up, down, alpha=7.5))
    return blocks


def sequences(lengths: list[int], bits: int = 16) -> list[Pages]:
    """Sequences with something in them already, the same for the same lengths."""
    torch.manual_seed(1)
    made = []
    for length in lengths:
        pages = Pages(CacheShape(LAYERS, HEADS, D, bits))
        pages.grow(length)
        for layer in range(LAYERS):
            pages.put(layer, *torch.randn(2, HEADS, length, D).half())
        made.append(pages)
    return made


def rows_of(owners: list[int], pages: list[Pages]) -> RowBatch:
    """The rows that append a token to each of these sequences in turn."""
    places = [pages[owner].grow(1)[0] for owner in owners]
    return RowBatch([(pages[owner], place, place + 1) for owner, place in zip(owners, places, strict=True)])


def one_by_one(parts: list[BlockParts], batch: RowBatch, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    for layer, block in enumerate(parts):
        normal = layer_norm(hidden, block.input_norm.weight, block.input_norm.bias, block.input_norm.eps)
        query = batch.store(layer, block.query_key_value(normal), cos, sin)
        added = scale_add(normal, block.alpha, block.dense(batch.attend(layer, query)))
        middle = layer_norm(added, block.middle_norm.weight, block.middle_norm.bias, block.middle_norm.eps)
        hidden = scale_add(middle, block.alpha, block.down(gelu(block.up(middle))))
    return hidden


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("num_threads", [1, 2, 7])
@pytest.mark.parametrize("bits", [16, 8])
def test_one_call_gives_every_bit_of_the_kernels_in_turn(instruction_set, form, bias, num_threads, bits):
    parts = some_parts(form, bias=bias)
    for owners in ([0], [0, 0, 0], [0, 1, 2, 2, 1], [0] * 9, [0, 1, 1, 1, 2, 2, 0, 0, 0, 1], [0, 0, 1, 2] * 4):
        angles = torch.randn(len(owners), 2, D // 4)
        hidden = torch.randn(len(owners), WIDTH)
        ours, theirs = sequences([5, 63, 130], bits), sequences([5, 63, 130], bits)
        expected = one_by_one(parts, rows_of(owners, theirs), hidden.clone(), angles.cos(), angles.sin())
        with threads(num_threads):
            Blocks(parts).run(rows_of(owners, ours), hidden, angles.cos(), angles.sin())
        assert torch.equal(hidden, expected)


@pytest.mark.parametrize("bits", [16, 8])
def test_keys_and_values_are_kept_in_every_layer(instruction_set, bits):
    parts = some_parts(HALF)
    angles, hidden = torch.randn(2, 2, D // 4), torch.randn(2, WIDTH)
    ours, theirs = sequences([63], bits)[0], sequences([63], bits)[0]
    one_by_one(parts, rows_of([0, 0], [theirs]), hidden.clone(), angles.cos(), angles.sin())
    Blocks(parts).run(rows_of([0, 0], [ours]), hidden, angles.cos(), angles.sin())
    for layer in range(LAYERS):
        found, expected = (stored(pages, layer)[:, :, 63:65] for pages in (ours, theirs))  # [2, heads, tokens, d]
        assert torch.equal(found, expected)
        assert found.abs().amax(dim=(1, 3)).min() > 0


@pytest.mark.parametrize("form", [HALF, PackedFormat(4, 128)], ids=str)
def test_more_rows_than_a_product_takes_at_once_are_those_of_the_kernels_too(instruction_set, form):
    parts, owners = some_parts(form), [0] * 600
    angles, hidden = torch.randn(600, 2, D // 4), torch.randn(600, WIDTH)
    ours, theirs = sequences([5]), sequences([5])
    expected = one_by_one(parts, rows_of(owners, theirs), hidden.clone(), angles.cos(), angles.sin())
    Blocks(parts).run(rows_of(owners, ours), hidden, angles.cos(), angles.sin())
    assert torch.equal(hidden, expected)


def test_layer_norms_of_16_bits_are_widened(instruction_set):
    parts = some_parts(PackedFormat(4, 128))
    for block in parts:
        block.input_norm.half()
    angles, hidden = torch.randn(1, 2, D // 4), torch.randn(1, WIDTH)
    blocks = Blocks(parts)
    for block in parts:
        block.input_norm.float()
    ours, theirs = sequences([9]), sequences([9])
    expected = one_by_one(parts, rows_of([0], theirs), hidden.clone(), angles.cos(), angles.sin())
    blocks.run(rows_of([0], ours), hidden, angles.cos(), angles.sin())
    assert torch.equal(hidden, expected)


@pytest.mark.parametrize("form", [HALF, PackedFormat(4, 128)], ids=str)
@pytest.mark.parametrize("change", ["data", "parameter", "layers"])
def test_weights_that_their_layers_have_given_up_are_still_there(instruction_set, form, change):
    parts = some_parts(form)
    angles, hidden = torch.randn(1, 2, D // 4), torch.randn(1, WIDTH)
    expected = one_by_one(parts, rows_of([0], sequences([9])), hidden.clone(), angles.cos(), angles.sin())
    blocks, litter = Blocks(parts), []
    for block in parts:
        for layer in (block.input_norm, block.query_key_value, block.dense, block.middle_norm, block.up, block.down):
            for name, old in list(layer.named_parameters()):
                new = torch.zeros_like(old)
                litter.append(torch.zeros_like(old))  # lies where the old one did, if that is free
                if change == "data":
                    old.data = new
                elif change == "parameter":
                    setattr(layer, name, nn.Parameter(new, requires_grad=False))
    if change == "layers":
        shapes = [old.shape for old in litter]
        del parts, block, layer, old
        litter += [
            torch.zeros(shape, dtype=dtype) for shape in shapes for dtype in (torch.uint8, torch.half, torch.float)
        ]
    blocks.run(rows_of([0], sequences([9])), hidden, angles.cos(), angles.sin())
    assert torch.equal(hidden, expected)
