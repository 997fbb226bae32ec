"""The network of ChatGLM-6B: 28 blocks over a bidirectional context and a causal reply, as modules of torch alone.

This is what runs here. `chatglm_slim_llm.model` makes a model of transformers of the same parts. Its base class takes
as long to import as torch itself, and is left to those who want its `generate()`, its training or its files.
Tensors are [batch, seq, ...] here. Positions come from `positions.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from chatglm_slim_llm.network.configuration_chatglm import ChatGLMConfig
from chatglm_slim_llm.network.layers import LayerNorm, add_layers, cache_dtype, make_head
from chatglm_slim_llm.network.positions import Layout
from chatglm_slim_llm.network.prefix import PrefixEncoder
from chatglm_slim_llm.network.rotary import rotary_table

if TYPE_CHECKING:
    from chatglm_slim_llm.model.modeling_chatglm import ChatGLMForConditionalGeneration, ChatGLMModel

AnyBody: TypeAlias = "Transformer | ChatGLMModel"
AnyModel: TypeAlias = "Network | ChatGLMForConditionalGeneration"

_CACHE = "cache" if "cache" in BaseModelOutputWithPast.__dataclass_fields__ else "past_key_values"
"""What an output calls its cache; renamed in transformers 5.24."""


def transform(
    self: AnyBody,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    past_key_values: Cache | None = None,
    use_cache: bool | None = None,
    output_hidden_states: bool | None = None,
    **_: Any,
) -> BaseModelOutputWithPast:
    """Hidden states after the final LayerNorm; the method of every body.

    Args:
        self: what `add_layers` made.
        input_ids: [batch, seq]; with a filled cache only the new tokens.
        attention_mask: None, [batch, seq] with 1 for tokens and 0 for padding, or bool
            [batch, 1, seq, keys] with True = masked.
        position_ids: None or [batch, 2, seq]; needed with a filled cache.
        past_key_values: cache of earlier tokens, extended in place.
        use_cache: make a cache if none was given; the default is the config's, off in training.
        output_hidden_states: return the input of each block and the final states as well.

    Raises:
        ValueError: positions are needed but cannot be found in ``input_ids``.
    """
    use_cache = (self.config.use_cache and not self.training) if use_cache is None else use_cache
    if past_key_values is None and (use_cache or self.config.pre_seq_len):
        past_key_values = DynamicCache()
    num_past = 0 if past_key_values is None else past_key_values.get_seq_length()
    hidden_states = self.word_embeddings(input_ids)  # [batch, seq, hidden]
    hidden_states = hidden_states.to(_activation_dtype(hidden_states))
    position_ids, mask = _positions_and_mask(self.config, input_ids, position_ids, attention_mask, num_past)
    if past_key_values is not None and num_past == 0 and self.config.pre_seq_len:
        _start_with_prefix(self, past_key_values, len(input_ids), hidden_states.dtype)
    cos, sin = rotary_table(position_ids, self.config.head_size)
    states = [hidden_states]
    for block in self.layers:
        hidden_states = block(hidden_states, cos, sin, mask, past_key_values)
        if output_hidden_states:
            states.append(hidden_states)
    hidden_states = self.final_layernorm(hidden_states)
    kept: dict[str, Any] = {_CACHE: past_key_values if use_cache else None}
    all_states = (*states[:-1], hidden_states) if output_hidden_states else None
    return BaseModelOutputWithPast(last_hidden_state=hidden_states, hidden_states=all_states, **kept)


def _positions_and_mask(
    config: ChatGLMConfig,
    input_ids: Tensor,
    position_ids: Tensor | None,
    attention_mask: Tensor | None,
    num_past: int,
) -> tuple[Tensor, Tensor | None]:
    """Fill in what was not given: [batch, 2, seq] and bool [batch, 1, seq, keys] (None = everything is seen)."""
    mask = attention_mask if attention_mask is not None and attention_mask.dim() == 4 else None
    if num_past:
        if position_ids is None:
            raise ValueError(
                "with a filled cache the positions cannot be found from the new tokens alone; "
                "pass position_ids [batch, 2, seq], or use generate() or decode_steps()"
            )
        return position_ids, mask
    if position_ids is None or mask is None:
        padding = attention_mask if mask is None else None
        layout = Layout.of(input_ids, config, padding)
        length = input_ids.shape[-1]
        position_ids = layout.position_ids(0, length) if position_ids is None else position_ids
        mask = layout.attention_mask(0, length) if mask is None else mask
    if config.pre_seq_len:
        mask = F.pad(mask, (config.pre_seq_len, 0))  # the prefix is seen by all
    return position_ids, mask


def _start_with_prefix(body: AnyBody, cache: Cache, batch_size: int, dtype: torch.dtype) -> None:
    stored = cache_dtype(body.get_submodule("layers.0.attention"), dtype)
    rows = body.prefix_encoder(batch_size, stored)
    for layer_idx in range(body.config.num_layers):
        cache.update(rows[2 * layer_idx], rows[2 * layer_idx + 1], layer_idx)


def _activation_dtype(embedded: Tensor) -> torch.dtype:
    """fp16 weights compute in fp32 on a CPU, where half-precision arithmetic is slow and partly missing."""
    return torch.float32 if embedded.device.type == "cpu" and embedded.dtype == torch.float16 else embedded.dtype


def score(
    self: AnyModel,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    past_key_values: Cache | None = None,
    labels: Tensor | None = None,
    use_cache: bool | None = None,
    output_hidden_states: bool | None = None,
    logits_to_keep: int = 0,
    **_: Any,
) -> CausalLMOutputWithPast:
    """Scores of the next token at every position; the method of every model with a head.

    Args:
        self: has a body and a head.
        input_ids: as for `transform`, like the arguments not named here.
        attention_mask: as for `transform`.
        position_ids: as for `transform`.
        past_key_values: as for `transform`.
        labels: [batch, seq], the ids themselves (shifted in here); -100 is not scored.
        use_cache: as for `transform`.
        output_hidden_states: as for `transform`.
        logits_to_keep: compute the scores of the last so many positions only; 0 means all.

    Returns:
        logits [batch, seq or logits_to_keep, vocab] and, with labels, the mean loss in fp32.
    """
    outputs = self.transformer(
        input_ids,
        attention_mask=attention_mask,
        position_ids=position_ids,
        past_key_values=past_key_values,
        use_cache=use_cache,
        output_hidden_states=output_hidden_states,
    )
    logits = self.lm_head(outputs.last_hidden_state[:, -logits_to_keep:])  # [batch, kept, vocab]
    loss = None
    if labels is not None:
        scores, targets = logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten()
        loss = F.cross_entropy(scores, targets.to(scores.device), ignore_index=-100)
    kept: dict[str, Any] = {_CACHE: getattr(outputs, _CACHE)}
    return CausalLMOutputWithPast(loss=loss, logits=logits, hidden_states=outputs.hidden_states, **kept)


class Transformer(nn.Module):
    """Embedding, blocks and the final LayerNorm."""

    word_embeddings: nn.Module
    layers: nn.ModuleList
    final_layernorm: LayerNorm
    prefix_encoder: PrefixEncoder

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__()
        self.config = config
        add_layers(self, config)

    forward = transform


class Network(nn.Module):
    """The whole of it; the head shares the embedding's weight once both are filled."""

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = Transformer(config)
        self.lm_head = make_head(config)

    forward = score

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device
