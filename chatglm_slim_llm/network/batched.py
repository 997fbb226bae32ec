"""The model over any number of sequences at once, on the compiled kernels.

Rows of different sequences share the linear layers, where they cost next to nothing more, and part for the attention,
where each looks into its own pages. No row's result depends on its company, so a sequence gets exactly the
scores that it would get alone.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor

from chatglm_slim_llm.kernels import BlockParts, Blocks, CacheShape, Linear, PackedLinear, Pages, RowBatch, library
from chatglm_slim_llm.network.positions import Layout
from chatglm_slim_llm.network.rotary import rotary_angles

if TYPE_CHECKING:
    from chatglm_slim_llm.network.layers import GLMBlock
    from chatglm_slim_llm.network.network import AnyModel

_PIECE_ROWS = 320
"""Most prompt tokens that pass a layer at a time: about 0.1 s of the 6B model at int4."""


@dataclass
class Context:
    """What is remembered of one sequence."""

    pages: Pages
    mask_position: int
    """Position that every token after <sop> has."""
    context_length: int
    """Index of <sop>."""
    num_tokens: int
    """Of prompt and reply so far; a P-tuning prefix is not counted."""
    prefix_length: int
    """Places that a P-tuning prefix takes before the prompt."""
    exact: bool
    """Whether the scores of unlikely tokens matter too."""


class BatchedForward:
    """Scores for any number of sequences at once; a `Forward` of the engine.

    Only where `supports` holds; the model stays on the processor and in eval mode. A step takes the blocks' weights as
    they were when the last prompt was begun, and calls no hooks.
    """

    max_rows = 16

    def __init__(self, model: AnyModel, *, kv_cache_bits: Literal[16, 8] = 16) -> None:
        config = model.config
        self._model = model
        self.kv_cache_bits = kv_cache_bits
        self._shape = CacheShape(config.num_layers, config.num_attention_heads, config.head_size, kv_cache_bits)
        self.blocks = self._native_blocks()
        """What a step runs; prompts go through the model's own blocks."""

    @staticmethod
    def supports(model: AnyModel) -> bool:
        """Whether every linear layer of the model is one that the compiled kernels multiply."""
        if library() is None or model.config.head_size % 4:
            return False
        names = ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h", "lm_head")
        return all(_is_native(m) for name, m in model.named_modules() if name.rpartition(".")[2] in names)

    @torch.inference_mode()
    def prefill(
        self, prompt_ids: Sequence[int], *, exact: bool = False
    ) -> Generator[None, None, tuple[Context, Tensor]]:
        """Read a prompt in pieces; return its context and the next token's scores, fp32 [vocab].

        The context is bidirectional: a layer needs the keys of all tokens before it can attend, so a piece is some
        tokens of one layer, not some tokens of the prompt.

        Raises:
            ValueError: the prompt has no [gMASK] or no <sop>.
        """
        self.blocks = self._native_blocks()  # somebody may have changed weights
        ids = torch.tensor(prompt_ids)
        layout = Layout.of(ids[None], self._model.config)
        pages = self._new_pages()
        places = (int(layout.mask_position), int(layout.context_length), len(ids), pages.length)
        context = Context(pages, *places, exact)
        context.pages.grow(len(ids))
        rows = RowBatch([(context.pages, *self._place(context, index)) for index in range(len(ids))])
        cos, sin = self._rotation(layout.position_ids(0, len(ids))[0].T)
        hidden = self._embed(ids)
        for layer, block in enumerate(self._blocks()):
            last = layer == len(self._model.transformer.layers) - 1
            query = torch.empty_like(hidden)
            for piece in pieces_of(0, len(ids)):
                qkv = block.attention.query_key_value(block.input_layernorm(hidden[piece]))
                query[piece] = rows.store(layer, qkv, cos[piece], sin[piece], piece.start)
                del qkv  # its memory serves the MLP
                yield
            for piece in pieces_of(len(ids) - 1 if last else 0, len(ids)):  # only the last token is asked for more
                mixed = rows.attend_context(layer, query[piece], piece.start)
                attention_input = block.input_layernorm(hidden[piece])
                hidden[piece] = block.finish(attention_input, block.attention.dense(mixed))
                yield
        return context, self._scores(hidden[-1:], [exact])[0]

    @torch.inference_mode()
    def step(self, contexts: Sequence[Context], new_ids: Sequence[Sequence[int]]) -> list[Tensor]:
        """Append tokens to each context; return the scores after each, fp32 [tokens, vocab] a context."""
        rows, positions = [], []
        for context, ids in zip(contexts, new_ids, strict=True):
            context.pages.grow(len(ids))
            for index in range(context.num_tokens, context.num_tokens + len(ids)):
                rows.append((context.pages, *self._place(context, index)))
                positions.append((context.mask_position, index - context.context_length + 1))
            context.num_tokens += len(ids)
        batch = RowBatch(rows)
        cos, sin = self._rotation(torch.tensor(positions))
        hidden = self._embed(torch.tensor([token for ids in new_ids for token in ids]))
        self.blocks.run(batch, hidden, cos, sin)
        exact = [context.exact for context, ids in zip(contexts, new_ids, strict=True) for _ in ids]
        return list(self._scores(hidden, exact).split([len(ids) for ids in new_ids]))

    def forget(self, context: Context, num_tokens: int) -> None:
        """Take back the last tokens that were appended."""
        context.pages.shrink(num_tokens)
        context.num_tokens -= num_tokens

    def _native_blocks(self) -> Blocks:
        return Blocks([_parts_of(block) for block in self._blocks()])

    def _blocks(self) -> Sequence[GLMBlock]:
        return cast("Sequence[GLMBlock]", self._model.transformer.layers)

    def _embed(self, ids: Tensor) -> Tensor:
        embedded: Tensor = self._model.transformer.word_embeddings(ids)
        return embedded.float()  # [tokens, hidden]

    def _scores(self, hidden: Tensor, exact: Sequence[bool]) -> Tensor:
        head, hidden = self._model.lm_head, self._model.transformer.final_layernorm(hidden)
        if not (isinstance(head, PackedLinear) and any(exact)):
            return head(hidden)  # [tokens, vocab]
        if all(exact):
            return head.exact(hidden)
        chosen = torch.tensor(exact)
        scores = torch.empty(len(hidden), head.out_features, dtype=torch.float32)
        scores[chosen], scores[~chosen] = head.exact(hidden[chosen]), head(hidden[~chosen])
        return scores

    def _place(self, context: Context, index: int) -> tuple[int, int]:
        """Where the token of that index is kept, and how many tokens it sees: the context sees itself as a whole."""
        visible = context.context_length if index < context.context_length else index + 1
        return context.prefix_length + index, context.prefix_length + visible

    def _rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines for positions [tokens, 2]: fp32 [tokens, 2, d / 4]."""
        angles = rotary_angles(positions.contiguous(), self._shape.d // 2)
        return angles.cos(), angles.sin()

    def _new_pages(self) -> Pages:
        pages = Pages(self._shape)
        if prefix_length := self._model.config.pre_seq_len:
            pages.grow(prefix_length)
            prefix = self._model.transformer.prefix_encoder(1, torch.float16)[:, 0]  # [2 * layers, heads, prefix, d]
            for layer in range(self._shape.layers):
                pages.put(layer, prefix[2 * layer], prefix[2 * layer + 1])
        return pages


def _parts_of(block: GLMBlock) -> BlockParts:
    attention, mlp = cast("Any", block.attention), cast("Any", block.mlp)
    return BlockParts(
        input_norm=block.input_layernorm,
        query_key_value=attention.query_key_value,
        dense=attention.dense,
        middle_norm=block.post_attention_layernorm,
        up=mlp.dense_h_to_4h,
        down=mlp.dense_4h_to_h,
        alpha=block.alpha,
    )


def _is_native(module: torch.nn.Module) -> bool:
    if isinstance(module, PackedLinear):
        return True
    if not isinstance(module, Linear):
        return False
    weight = module.weight
    return weight.dtype == torch.float16 and weight.device.type == "cpu" and weight.is_contiguous()


def pieces_of(start: int, stop: int) -> list[slice]:
    """A prompt's tokens in equal parts of at most `_PIECE_ROWS`."""
    count = -(-(stop - start) // _PIECE_ROWS)
    size = -(-(stop - start) // count)
    return [slice(at, min(at + size, stop)) for at in range(start, stop, size)]
