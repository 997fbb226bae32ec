"""The one loop that turns a prompt into token ids, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import DynamicCache

from chatglm_slim_llm.model.positions import Layout

if TYPE_CHECKING:
    from chatglm_slim_llm.model.modeling_chatglm import ChatGLMForConditionalGeneration


@torch.inference_mode()
def decode_steps(
    model: ChatGLMForConditionalGeneration,
    input_ids: Tensor,
    pick: Callable[[Tensor], int],
    *,
    eos_token_id: int | None = None,
) -> Iterator[int]:
    """Yield new token ids until <eop>, which is yielded too.

    Nothing is computed between two ``next()`` calls; closing the iterator frees the cache.

    Args:
        model: in eval mode.
        input_ids: the prompt, [1, seq], ending in [gMASK] <sop>.
        pick: chooses an id from the scores, fp32 [vocab].
        eos_token_id: where to stop; the config's if missing.

    Raises:
        ValueError: the prompt has no [gMASK] or no <sop>.
    """
    eos = model.config.eos_token_id if eos_token_id is None else eos_token_id
    layout, cache = Layout.of(input_ids, model.config), DynamicCache()
    logits = model(input_ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
    length = input_ids.shape[-1]
    while True:
        token = pick(logits[0, -1].float())
        yield token
        if token == eos:
            return
        step, position_ids = input_ids.new_tensor([[token]]), layout.position_ids(length, 1)
        logits = model(step, position_ids=position_ids, past_key_values=cache, use_cache=True).logits
        length += 1
