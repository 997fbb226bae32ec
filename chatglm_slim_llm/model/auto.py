"""Registration with transformers, so that its Auto classes find the model without remote code."""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
)

from chatglm_slim_llm.model.modeling_chatglm import ChatGLMForConditionalGeneration
from chatglm_slim_llm.network.configuration_chatglm import ChatGLMConfig
from chatglm_slim_llm.network.tokenization_chatglm import ChatGLMTokenizer


class _KnownByName(PreTrainedConfig):
    """Key under which the tokenizer is registered.

    With ``trust_remote_code=True`` transformers 5 runs a folder's own tokenizer code if the tokenizer is
    registered for the folder's config class, but takes ours if it only knows the class by its name, which
    `ChatGLMConfig.tokenizer_class` and every ``tokenizer_config.json`` give.
    """


def register() -> None:
    """Make ``AutoConfig``, ``AutoTokenizer`` and the ``AutoModel`` family know ``model_type: chatglm``."""
    AutoConfig.register(ChatGLMConfig.model_type, ChatGLMConfig, exist_ok=True)
    AutoTokenizer.register(_KnownByName, ChatGLMTokenizer, exist_ok=True)
    for auto_class in (AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM):
        auto_class.register(ChatGLMConfig, ChatGLMForConditionalGeneration, exist_ok=True)
