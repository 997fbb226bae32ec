"""The blocks of ChatGLM-6B: attention with 2-D rotary positions, an MLP without a gate, and their residuals.

Tensors are [batch, seq, ...] here. The rotation comes from `rotary.py`, the softmax from `attention.py`; what a linear
layer is made of is the business of `kernels/`. Attributes that become checkpoint keys keep the checkpoint's spelling.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache

from chatglm_slim_llm.kernels import Linear, QuantizedEmbedding, QuantizedLinear, gelu, layer_norm, scale_add
from chatglm_slim_llm.network.attention import attend
from chatglm_slim_llm.network.configuration_chatglm import ChatGLMConfig
from chatglm_slim_llm.network.embedding import new_embedding
from chatglm_slim_llm.network.prefix import PrefixEncoder
from chatglm_slim_llm.network.rotary import apply_rotary


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
            stored = cache_dtype(self, query.dtype)
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


def add_layers(body: nn.Module, config: ChatGLMConfig) -> None:
    """Give ``body`` the embedding, the blocks, the final LayerNorm and, if there is one, the prefix."""
    body.word_embeddings = _embedding(config)
    body.layers = nn.ModuleList(GLMBlock(config, layer_idx) for layer_idx in range(config.num_layers))
    body.final_layernorm = LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
    if config.pre_seq_len:
        body.prefix_encoder = PrefixEncoder(config)


def _embedding(config: ChatGLMConfig) -> nn.Module:
    if config.quantization_embeddings:
        return QuantizedEmbedding(config.vocab_size, config.hidden_size, config.quantization_bit)
    return new_embedding(config.vocab_size, config.hidden_size)


def make_head(config: ChatGLMConfig) -> nn.Module:
    """The language-model head."""
    if config.quantization_embeddings:
        return QuantizedLinear(config.hidden_size, config.vocab_size, config.quantization_bit, bias=False)
    return Linear(config.hidden_size, config.vocab_size, bias=False)


def _linear(config: ChatGLMConfig, in_features: int, out_features: int) -> nn.Module:
    if config.quantization_bit:
        group_size = config.quantization_group_size
        return QuantizedLinear(in_features, out_features, config.quantization_bit, group_size=group_size)
    return Linear(in_features, out_features)


def cache_dtype(attention: nn.Module, activations: torch.dtype) -> torch.dtype:
    """Keys and values are kept in 16 bits if the checkpoint is; a bias tells, for it is never quantised."""
    dtype = attention.get_parameter("query_key_value.bias").dtype
    return dtype if dtype.itemsize == 2 else activations
