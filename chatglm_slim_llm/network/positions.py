"""Where each token stands, and which tokens it may see.

A sequence is a context that ends in [gMASK], then <sop> and the reply:

    token      你   好   [gMASK]  <sop>  a   b
    position   0    1    2        2      2   2
    block      0    0    0        1      2   3

The context is seen by everyone (bidirectional); <sop> and the reply see the context and
what stands before them. Rows of a batch are padded on the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from chatglm_slim_llm.network.configuration_chatglm import ChatGLMConfig


@dataclass(frozen=True)
class Layout:
    """Where the parts of each row of a batch begin. All tensors are int64 [batch]."""

    num_pads: Tensor
    """Padding tokens at the left."""
    context_length: Tensor
    """Index of <sop>, padding included: everything before it is padding or context."""
    mask_position: Tensor
    """Position of [gMASK] (or [MASK]), counted from the first token that is not padding."""
    own_sop_position: bool
    """v1.0: <sop> itself keeps its own index."""

    @classmethod
    def of(cls, input_ids: Tensor, config: ChatGLMConfig, attention_mask: Tensor | None = None) -> Layout:
        """Find the parts of complete sequences.

        Args:
            input_ids: [batch, seq]; each row holds [gMASK] (or [MASK]) and <sop>.
            config: gives the ids and the position variant.
            attention_mask: [batch, seq], 1 for tokens and 0 for padding; found from the pad ids if missing.

        Raises:
            ValueError: a row has no <sop> or no mask token, or is padded on the right.
        """
        real = input_ids != config.pad_token_id if attention_mask is None else attention_mask.bool()
        if not real[:, -1].all():
            raise ValueError(
                "a row ends in padding, but ChatGLM is padded on the left; use the tokenizer's own padding_side='left'"
            )
        num_pads = real.int().argmax(dim=-1)
        is_sop: Tensor = input_ids.eq(config.bos_token_id)
        _want(is_sop, f"<sop> ({config.bos_token_id})")
        assert config.gmask_token_id is not None  # the config fills both in
        assert config.mask_token_id is not None
        gmask, mask = input_ids.eq(config.gmask_token_id), input_ids.eq(config.mask_token_id)
        _want(gmask | mask, f"[gMASK] ({config.gmask_token_id})")
        first, second = (gmask, mask) if config.position_variant == "v1.1" else (mask, gmask)
        mask_index = torch.where(first.any(-1), first.int().argmax(-1), second.int().argmax(-1))
        return cls(num_pads, is_sop.int().argmax(-1), mask_index - num_pads, config.position_variant == "v1.0")

    def position_ids(self, start: int, length: int) -> Tensor:
        """Positions of the tokens at ``start .. start + length``: int64 [batch, 2, length]."""
        index = torch.arange(start, start + length, device=self.num_pads.device)  # [length]
        context, pads = self.context_length[:, None], self.num_pads[:, None]
        in_context = index < context + self.own_sop_position  # [batch, length]
        position = torch.where(in_context, (index - pads).clamp(min=0), self.mask_position[:, None])
        block = (index - context + 1).clamp(min=0)
        return torch.stack((position, block), dim=1)

    def attention_mask(self, start: int, length: int) -> Tensor:
        """Which of the tokens 0 .. start + length those at ``start`` and later may not see.

        Returns:
            bool [batch, 1, length, start + length], True = masked. A padding row sees itself, so that
            its softmax is defined; nobody reads the result.
        """
        column = torch.arange(start + length, device=self.num_pads.device)
        row = column[start:, None]  # [length, 1]
        pads, context = self.num_pads[:, None, None], self.context_length[:, None, None]
        visible = ((column < context) | (column <= row)) & (column >= pads) & (row >= pads) | (column == row)
        # A context row does not see the reply, nor <sop>: column <= row < context there already.
        return ~visible[:, None]


def _want(found: Tensor, name: str) -> None:
    if not found.any(-1).all():
        row = int((~found.any(-1)).int().argmax())
        raise ValueError(
            f"row {row} of input_ids has no {name}: a prompt ends in [gMASK] <sop>. Encode it with this checkpoint's "
            "own tokenizer (a full 150,528-token one of March 2023 needs `chatglm-slim slim` first), and check that "
            "truncation did not cut the end off"
        )
