"""What the model makes of the tokens of a text, read as a prompt: the final LayerNorm's output, without any reply."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from chatglm_slim_llm.kernels import CacheShape, Pages, RowBatch
from chatglm_slim_llm.network.batched import BatchedForward
from chatglm_slim_llm.network.positions import Layout
from chatglm_slim_llm.network.rotary import rotary_angles

if TYPE_CHECKING:
    from chatglm_slim_llm.network.layers import GLMBlock
    from chatglm_slim_llm.network.network import AnyModel

MAX_TOKENS = 384
"""Of short prompts that are worth reading at once: more rows cost as much each, and take memory."""
_PIECE_ROWS = 64
"""Few, so that replies that are computed meanwhile wait little for their next token; fewer would cost speed."""


@torch.inference_mode()
def read_states(model: AnyModel, prompts: Sequence[Sequence[int]]) -> Generator[None, None, list[Tensor]]:
    """Read prompts in pieces of a fraction of a second; return the states of their tokens before <sop>.

    A prompt's states do not depend on what is read beside it. The model is only read, so other threads may use it.

    Args:
        model: in eval mode.
        prompts: each ends in [gMASK] <sop>.

    Returns:
        fp32 [tokens, hidden] for each prompt, [gMASK] last.

    Raises:
        ValueError: a prompt has no [gMASK] or no <sop>.
    """
    read = _read_together if BatchedForward.supports(model) else _read_in_turn
    return (yield from read(model, prompts))


def _read_in_turn(model: AnyModel, prompts: Sequence[Sequence[int]]) -> Generator[None, None, list[Tensor]]:
    """On any device and in any precision; torch would give other last bits in other company."""
    read = []
    for ids in prompts:
        output = model.transformer(torch.tensor([list(ids)], device=model.device), use_cache=False)
        context = ids.index(model.config.bos_token_id)
        read.append(output.last_hidden_state[0, :context].float())  # [tokens, hidden]
        yield
    return read


def _read_together(model: AnyModel, prompts: Sequence[Sequence[int]]) -> Generator[None, None, list[Tensor]]:
    """On the compiled kernels: rows of all prompts share the linear layers and part for the attention.

    <sop> is left out, for no token before it sees it. A layer's keys and values are used up with the layer, so there
    is room for those of one only.
    """
    layouts = [Layout.of(torch.tensor([list(ids)]), model.config) for ids in prompts]
    lengths = [int(layout.context_length) for layout in layouts]
    kept = [_Kept(model, length) for length in lengths]
    rows = RowBatch([row for own, length in zip(kept, lengths, strict=True) for row in own.rows(length)])
    placed = zip(layouts, lengths, strict=True)
    positions = torch.cat([layout.position_ids(0, length)[0].T for layout, length in placed])  # [rows, 2]
    angles = rotary_angles(positions.contiguous(), model.config.head_size // 2)
    cos, sin = angles.cos(), angles.sin()
    starts = [0, *accumulate(lengths)]
    ids = torch.tensor([token for ids, length in zip(prompts, lengths, strict=True) for token in ids[:length]])
    hidden = model.transformer.word_embeddings(ids).float()  # [rows, hidden]
    pieces = [slice(at, min(at + _PIECE_ROWS, len(hidden))) for at in range(0, len(hidden), _PIECE_ROWS)]
    for layer, block in enumerate(cast("Sequence[GLMBlock]", model.transformer.layers)):
        for own in kept:
            own.begin(layer)
        query = torch.empty_like(hidden)
        for piece in pieces:
            qkv = block.attention.query_key_value(block.input_layernorm(hidden[piece]))
            query[piece] = rows.store(0, qkv, cos[piece], sin[piece], piece.start)
            yield
        for piece in pieces:
            mixed = [rows.attend_context(0, query[part], part.start) for part in _parts(piece, starts)]
            hidden[piece] = block.finish(block.input_layernorm(hidden[piece]), block.attention.dense(torch.cat(mixed)))
            yield
    return list(model.transformer.final_layernorm(hidden).split(lengths))


class _Kept:
    """Keys and values of one prompt at the layer that is being computed."""

    def __init__(self, model: AnyModel, num_tokens: int) -> None:
        config = model.config
        self._pages = Pages(CacheShape(1, config.num_attention_heads, config.head_size))
        self._prefix: Tensor | None = None
        if prefix_length := config.pre_seq_len:
            self._pages.grow(prefix_length)
            self._prefix = model.transformer.prefix_encoder(1, torch.float16)[:, 0]  # [2 * layers, heads, prefix, d]
        self._pages.grow(num_tokens)

    def rows(self, num_tokens: int) -> list[tuple[Pages, int, int]]:
        """Where each token is kept, and that it sees all."""
        first, all_tokens = self._pages.length - num_tokens, self._pages.length
        return [(self._pages, first + index, all_tokens) for index in range(num_tokens)]

    def begin(self, layer: int) -> None:
        """Put the layer's part of a P-tuning prefix in front."""
        if self._prefix is not None:
            self._pages.put(0, self._prefix[2 * layer], self._prefix[2 * layer + 1])


def _parts(piece: slice, starts: Sequence[int]) -> Iterator[slice]:
    """The rows of a piece, prompt by prompt."""
    for start, stop in pairwise(starts):
        part = slice(max(start, piece.start), min(stop, piece.stop))
        if part.start < part.stop:
            yield part
