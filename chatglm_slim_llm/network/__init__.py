"""ChatGLM-6B as torch modules, with its configuration, its tokenizer and the ways to run it.

`chatglm_slim_llm.model` makes of the same parts what transformers' Auto classes know.
"""

from __future__ import annotations

from chatglm_slim_llm.network.batched import BatchedForward
from chatglm_slim_llm.network.configuration_chatglm import ChatGLMConfig
from chatglm_slim_llm.network.decoding import (
    SequentialForward,
    decode_steps,
    forward_for,
    kv_cache_bits,
    want_kernels_on,
)
from chatglm_slim_llm.network.detokenize import StreamDecoder
from chatglm_slim_llm.network.network import Network
from chatglm_slim_llm.network.states import read_states
from chatglm_slim_llm.network.text import build_prompt, process_response
from chatglm_slim_llm.network.tokenization_chatglm import ChatGLMTokenizer

__all__ = [
    "BatchedForward",
    "ChatGLMConfig",
    "ChatGLMTokenizer",
    "Network",
    "SequentialForward",
    "StreamDecoder",
    "build_prompt",
    "decode_steps",
    "forward_for",
    "kv_cache_bits",
    "process_response",
    "read_states",
    "want_kernels_on",
]
