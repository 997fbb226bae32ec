"""Keys and values of one sequence in pages of 64 tokens, and attention over them.

A sequence that grows takes another page, so nothing is copied and what is kept is what is used. Sequences of any
length share a forward pass: each row brings its own table of pages and the number of tokens that it sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import torch
from torch import Tensor

from chatglm_slim_llm.kernels.library import HeadsStruct, RowsStruct, check, native
from chatglm_slim_llm.kernels.memory import empty_huge


@dataclass(frozen=True)
class CacheShape:
    """Sizes that all pages of a model share."""

    layers: int
    heads: int
    d: int
    """Width of a head."""
    bits: Literal[16, 8] = 16
    """Of a key's or value's number: fp16, or int8 with a scale for each token of a head."""

    @cached_property
    def page_bytes(self) -> int:
        """Bytes of a page; native.h says what is where."""
        return self.layers * int(native().chatglm_page_bytes(self.described(0)))

    def described(self, layer: int) -> HeadsStruct:
        """A layer as the compiled kernels want it."""
        return HeadsStruct(layer, self.heads, self.d, self.bits)


class Pages:
    """The keys and values of one sequence."""

    def __init__(self, shape: CacheShape) -> None:
        self.shape, self.length = shape, 0
        self._pages: list[Tensor] = []
        self.table = torch.empty(0, dtype=torch.int64)
        """Addresses of the pages."""

    def grow(self, num_tokens: int) -> range:
        """Make room for more tokens; return their places."""
        places = range(self.length, self.length + num_tokens)
        self.length = places.stop
        self._fit()
        return places

    def shrink(self, num_tokens: int) -> None:
        """Forget the last tokens."""
        self.length -= num_tokens
        self._fit()

    def put(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Store the first tokens of a layer: key and value, [heads, tokens, d]."""
        num_tokens = key.shape[1]
        qkv = torch.stack((torch.zeros_like(key), key, value)).float().permute(2, 1, 0, 3)  # [tokens, heads, 3, d]
        unturned = torch.ones(num_tokens, 2, self.shape.d // 4)
        rows = RowBatch([(self, place, place + 1) for place in range(num_tokens)])
        rows.store(layer, qkv.flatten(1).contiguous(), unturned, torch.zeros_like(unturned))

    def _fit(self) -> None:
        wanted = -(-self.length // page_tokens())
        if wanted == len(self._pages):
            return
        del self._pages[wanted:]
        missing = wanted - len(self._pages)
        self._pages += [empty_huge((self.shape.page_bytes,), torch.uint8) for _ in range(missing)]
        self.table = torch.tensor([page.data_ptr() for page in self._pages], dtype=torch.int64)


class RowBatch:
    """The rows of one forward pass: which token of which sequence each one is, and what it sees."""

    def __init__(self, rows: Sequence[tuple[Pages, int, int]]) -> None:
        """Rows are (sequence, place of the token, number of tokens it sees); the sequences stay as long as they are."""
        self.shape, self.count = rows[0][0].shape, len(rows)
        self._kept = [(pages, pages.table) for pages, _, _ in rows]  # so that no address is left without its memory
        self._tables = torch.tensor([pages.table.data_ptr() for pages, _, _ in rows])
        self._place = torch.tensor([place for _, place, _ in rows])
        self._visible = torch.tensor([visible for _, _, visible in rows])

    def store(self, layer: int, qkv: Tensor, cos: Tensor, sin: Tensor, first: int = 0) -> Tensor:
        """Turn queries and keys by their angles and keep keys and values.

        Args:
            layer: which layer.
            qkv: fp32 [rows, heads * 3 * d], q | k | v together per head.
            cos: fp32 [rows, 2, d / 4].
            sin: the same shape.
            first: the row that ``qkv`` begins with.

        Returns:
            The turned queries, fp32 [rows, heads * d].
        """
        query = torch.empty(len(qkv), self.shape.heads * self.shape.d, dtype=torch.float32)
        pointers = [_pointer(tensor) for tensor in (qkv, cos, sin, query)]
        native().chatglm_store(*self.described(layer, first, len(qkv)), *pointers, torch.get_num_threads())
        return query

    def attend(self, layer: int, query: Tensor) -> Tensor:
        """Attention of each row over what it sees: fp32 [rows, heads * d] -> the same shape."""
        return self._attend("chatglm_attend_rows", layer, query, 0)

    def attend_context(self, layer: int, query: Tensor, first: int = 0) -> Tensor:
        """The same for many rows of one sequence, from row ``first`` on."""
        return self._attend("chatglm_attend_context", layer, query, first)

    def _attend(self, function: str, layer: int, query: Tensor, first: int) -> Tensor:
        out = torch.empty_like(query)
        kernel, pointers = getattr(native(), function), (_pointer(query), _pointer(out))
        check(kernel(*self.described(layer, first, len(query)), *pointers, torch.get_num_threads()))
        return out

    def described(self, layer: int, first: int, count: int) -> tuple[RowsStruct, HeadsStruct]:
        """Some of the rows, and a layer, as the compiled kernels want them."""
        tensors = (self._tables, self._place, self._visible)
        rows = RowsStruct(count, *(tensor.data_ptr() + first * tensor.itemsize for tensor in tensors))
        return rows, self.shape.described(layer)


@cache
def page_tokens() -> int:
    """Tokens that a page holds."""
    return int(native().chatglm_page_tokens())


def _pointer(tensor: Tensor) -> int:
    assert tensor.is_contiguous()
    return tensor.data_ptr()
