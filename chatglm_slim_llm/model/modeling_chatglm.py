"""The network of ChatGLM-6B: 28 blocks over a bidirectional context and a causal reply.

Tensors are [batch, seq, ...] here. Positions come from `positions.py`, the rotation from
`rotary.py`, the softmax from `attention.py`; what a linear layer is made of is the business
of `kernels/`. Attributes that become checkpoint keys keep the checkpoint's spelling.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from chatglm_slim_llm.kernels import (
    Linear,
    PackedLinear,
    QuantizedEmbedding,
    QuantizedLinear,
    gelu,
    layer_norm,
    replace_linears,
    scale_add,
)
from chatglm_slim_llm.model import chat as _chat
from chatglm_slim_llm.model.attention import attend
from chatglm_slim_llm.model.configuration_chatglm import ChatGLMConfig
from chatglm_slim_llm.model.positions import Layout
from chatglm_slim_llm.model.prefix import PrefixEncoder
from chatglm_slim_llm.model.rotary import apply_rotary, rotary_table

_CACHE = "cache" if "cache" in BaseModelOutputWithPast.__dataclass_fields__ else "past_key_values"
"""What an output calls its cache; renamed in transformers 5.24."""


class LayerNorm(nn.LayerNorm):
    """LayerNorm computed in fp32 whatever the dtype of its input; the released weights are fp32 themselves."""

    def forward(self, input: Tensor) -> Tensor:
        """[..., hidden] -> the same shape and dtype."""
        return layer_norm(input, self.weight, self.bias, self.eps)


class SelfAttention(nn.Module):
    """Multi-head attention with 2-D rotary positions."""

    def __init__(self, config: ChatGLMConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.query_key_value = _linear(config, config.hidden_size, 3 * config.hidden_size)
        self.dense = _linear(config, config.hidden_size, config.hidden_size)

    def forward(
        self, hidden_states: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: Cache | None
    ) -> Tensor:
        """Mix the tokens of each row: [batch, seq, hidden] -> the same shape.

        Args:
            hidden_states: normalised input, [batch, seq, hidden].
            cos: see `rotary_table`.
            sin: see `rotary_table`.
            mask: bool [batch, 1, seq, keys], True = masked; or None.
            cache: keys (rotated) and values of earlier tokens, extended by this call.
        """
        heads = self.config.num_attention_heads
        mixed = self.query_key_value(hidden_states).unflatten(-1, (heads, -1))  # [batch, seq, heads, 3 * d]
        query, key, value = mixed.chunk(3, dim=-1)  # q | k | v lie together per head
        query, key = apply_rotary(query, cos, sin), apply_rotary(key, cos, sin)
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))  # [batch, heads, seq, d]
        if cache is not None:
            stored = _cache_dtype(self, query.dtype)
            key, value = cache.update(key.to(stored), value.to(stored), self.layer_idx)
            key, value = key.to(query.dtype), value.to(query.dtype)
        fused = self.config._attn_implementation != "eager"
        mixed = attend(query, key, value, mask, fused=fused)
        return self.dense(mixed.transpose(1, 2).flatten(-2))


class MLP(nn.Module):
    """Two linears with the tanh approximation of GELU between them; no gate."""

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__()
        self.dense_h_to_4h = _linear(config, config.hidden_size, config.inner_hidden_size)
        self.dense_4h_to_h = _linear(config, config.inner_hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[batch, seq, hidden] -> the same shape."""
        return self.dense_4h_to_h(gelu(self.dense_h_to_4h(hidden_states)))  # [batch, seq, inner] inside


class GLMBlock(nn.Module):
    """One block; its residual branch carries the *normalised* input, scaled by alpha."""

    def __init__(self, config: ChatGLMConfig, layer_idx: int) -> None:
        super().__init__()
        self.alpha = (2 * config.deepnorm_layers) ** 0.5
        self.input_layernorm = LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        self.attention = SelfAttention(config, layer_idx)
        self.post_attention_layernorm = LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        self.mlp = MLP(config)

    def forward(
        self, hidden_states: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: Cache | None
    ) -> Tensor:
        """[batch, seq, hidden] -> the same shape; arguments as for `SelfAttention`."""
        attention_input = self.input_layernorm(hidden_states)
        return self.finish(attention_input, self.attention(attention_input, cos, sin, mask, cache))

    def finish(self, attention_input: Tensor, attended: Tensor) -> Tensor:
        """What follows the attention: both residuals and the MLP, each token by itself.

        Args:
            attention_input: what `input_layernorm` gave, [batch, seq, hidden]; may be overwritten.
            attended: what the attention made of it, the same shape.
        """
        hidden_states = scale_add(attention_input, self.alpha, attended)
        mlp_input = self.post_attention_layernorm(hidden_states)
        inner = self.mlp(mlp_input)
        return scale_add(mlp_input, self.alpha, inner)


class ChatGLMPreTrainedModel(PreTrainedModel):
    """What transformers needs to know to make, load and place the model."""

    config: ChatGLMConfig
    config_class = ChatGLMConfig
    base_model_prefix = "transformer"
    _no_split_modules = ["GLMBlock"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _keep_in_fp32_modules_strict = [
        "input_layernorm",
        "post_attention_layernorm",
        "final_layernorm",
    ]
    _keys_to_ignore_on_load_unexpected = [r"rotary_emb\.inv_freq"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if not isinstance(module, QuantizedLinear | QuantizedEmbedding):
            super()._init_weights(module)


class ChatGLMModel(ChatGLMPreTrainedModel):
    """Embedding, blocks and the final LayerNorm."""

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        self.word_embeddings = _embedding(config)
        self.layers = nn.ModuleList(GLMBlock(config, layer_idx) for layer_idx in range(config.num_layers))
        self.final_layernorm = LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        if config.pre_seq_len:
            self.prefix_encoder = PrefixEncoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The token embedding, fp16 or quantised."""
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embedding."""
        self.word_embeddings = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        """Hidden states after the final LayerNorm.

        Args:
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
        position_ids, mask = self._positions_and_mask(input_ids, position_ids, attention_mask, num_past)
        if past_key_values is not None and num_past == 0 and self.config.pre_seq_len:
            self._start_with_prefix(past_key_values, len(input_ids), hidden_states.dtype)
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
        self, input_ids: Tensor, position_ids: Tensor | None, attention_mask: Tensor | None, num_past: int
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
            layout = Layout.of(input_ids, self.config, padding)
            length = input_ids.shape[-1]
            position_ids = layout.position_ids(0, length) if position_ids is None else position_ids
            mask = layout.attention_mask(0, length) if mask is None else mask
        if self.config.pre_seq_len:
            mask = F.pad(mask, (self.config.pre_seq_len, 0))  # the prefix is seen by all
        return position_ids, mask

    def _start_with_prefix(self, cache: Cache, batch_size: int, dtype: torch.dtype) -> None:
        stored = _cache_dtype(self.get_submodule("layers.0.attention"), dtype)
        rows = self.prefix_encoder(batch_size, stored)
        for layer_idx in range(self.config.num_layers):
            cache.update(rows[2 * layer_idx], rows[2 * layer_idx + 1], layer_idx)


class ChatGLMForConditionalGeneration(ChatGLMPreTrainedModel, GenerationMixin):
    """ChatGLM with its language-model head, which shares the embedding's weight."""

    _tied_weights_keys = {"lm_head.weight": "transformer.word_embeddings.weight"}

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        self.transformer = ChatGLMModel(config)
        self.lm_head = _head(config)
        if config.quantization_embeddings:
            scale = {"lm_head.weight_scale": "transformer.word_embeddings.weight_scale"}
            self._tied_weights_keys = self._tied_weights_keys | scale
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """The head."""
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the head."""
        self.lm_head = new_embeddings

    def forward(
        self,
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
        """Scores of the next token at every position.

        Args:
            input_ids: as for `ChatGLMModel`, like the arguments not named here.
            attention_mask: as for `ChatGLMModel`.
            position_ids: as for `ChatGLMModel`.
            past_key_values: as for `ChatGLMModel`.
            labels: [batch, seq], the ids themselves (shifted in here); -100 is not scored.
            use_cache: as for `ChatGLMModel`.
            output_hidden_states: as for `ChatGLMModel`.
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

    def prepare_inputs_for_generation(  # type: ignore[override,unused-ignore]  # all arguments come by name
        self,
        input_ids: Tensor,
        past_key_values: Cache | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The tokens that are not in the cache yet, with their places in the whole sequence."""
        num_past = 0 if past_key_values is None else past_key_values.get_seq_length()
        prefix = self.config.pre_seq_len or 0
        start = max(0, num_past - prefix)
        if attention_mask is None or attention_mask.dim() != 2:
            # A row that has ended goes on with pad tokens; only those before its first token are padding.
            attention_mask = input_ids.ne(self.config.pad_token_id).int().cummax(dim=-1).values
        layout = Layout.of(input_ids, self.config, attention_mask)
        mask = layout.attention_mask(start, input_ids.shape[-1] - start)
        return {
            "input_ids": input_ids[:, start:],
            "position_ids": layout.position_ids(start, input_ids.shape[-1] - start),
            "attention_mask": F.pad(mask, (prefix, 0)) if num_past else mask,
            "past_key_values": past_key_values,
            "use_cache": kwargs.get("use_cache"),
            "logits_to_keep": kwargs.get("logits_to_keep", 0),
        }

    def quantize(self, bits: int) -> ChatGLMForConditionalGeneration:
        """Store the linears of every block in ``bits`` (8 or 4), in place; returns the model.

        Raises:
            ValueError: another number of bits, or the model is quantised to another level already.
        """
        current = self.config.quantization_bit
        if current not in (0, bits):
            raise ValueError(
                f"the model has {current}-bit weights already; load the fp16 checkpoint to make {bits} bits"
            )
        if not current:
            replace_linears(self, lambda linear: QuantizedLinear.from_linear(linear, bits))
            self.config.quantization_bit = bits
        return self

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint, as in transformers.

        Raises:
            ValueError: the weights are packed for this processor, which is no format for a file.
        """
        if any(isinstance(module, PackedLinear) for module in self.modules()):
            raise ValueError(
                "the weights are packed for this processor and cannot be saved as a checkpoint; "
                "save what load_model() loads, or write a smaller checkpoint with `chatglm-slim quantize`"
            )
        super().save_pretrained(*args, **kwargs)

    chat = _chat.chat
    stream_chat = _chat.stream_chat


def _cache_dtype(attention: nn.Module, activations: torch.dtype) -> torch.dtype:
    """Keys and values are kept in 16 bits if the checkpoint is; a bias tells, for it is never quantised."""
    dtype = attention.get_parameter("query_key_value.bias").dtype
    return dtype if dtype.itemsize == 2 else activations


def _activation_dtype(embedded: Tensor) -> torch.dtype:
    """fp16 weights compute in fp32 on a CPU, where half-precision arithmetic is slow and partly missing."""
    return torch.float32 if embedded.device.type == "cpu" and embedded.dtype == torch.float16 else embedded.dtype


def _linear(config: ChatGLMConfig, in_features: int, out_features: int) -> nn.Module:
    if config.quantization_bit:
        group_size = config.quantization_group_size
        return QuantizedLinear(in_features, out_features, config.quantization_bit, group_size=group_size)
    return Linear(in_features, out_features)


def _embedding(config: ChatGLMConfig) -> nn.Module:
    if config.quantization_embeddings:
        return QuantizedEmbedding(config.vocab_size, config.hidden_size, config.quantization_bit)
    return nn.Embedding(config.vocab_size, config.hidden_size)


def _head(config: ChatGLMConfig) -> nn.Module:
    if config.quantization_embeddings:
        return QuantizedLinear(config.hidden_size, config.vocab_size, config.quantization_bit, bias=False)
    return Linear(config.hidden_size, config.vocab_size, bias=False)
