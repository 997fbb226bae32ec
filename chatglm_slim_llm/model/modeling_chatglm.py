"""The network as a model of transformers: its base class, its names, its `generate()` and its files.

What it computes stands in `chatglm_slim_llm.network`, which works without this module.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache

from chatglm_slim_llm.kernels import PackedLinear, QuantizedEmbedding, QuantizedLinear, replace_linears
from chatglm_slim_llm.model import chat as _chat
from chatglm_slim_llm.network.configuration_chatglm import ChatGLMConfig
from chatglm_slim_llm.network.layers import LayerNorm, add_layers, make_head
from chatglm_slim_llm.network.network import score, transform
from chatglm_slim_llm.network.positions import Layout
from chatglm_slim_llm.network.prefix import PrefixEncoder


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

    word_embeddings: nn.Module
    layers: nn.ModuleList
    final_layernorm: LayerNorm
    prefix_encoder: PrefixEncoder

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        add_layers(self, config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The token embedding, fp16 or quantised."""
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embedding."""
        self.word_embeddings = value

    forward = transform


class ChatGLMForConditionalGeneration(ChatGLMPreTrainedModel, GenerationMixin):
    """ChatGLM with its language-model head, which shares the embedding's weight."""

    _tied_weights_keys = {"lm_head.weight": "transformer.word_embeddings.weight"}

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        self.transformer = ChatGLMModel(config)
        self.lm_head = make_head(config)
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

    forward = score

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
