"""ChatGLM-6B for transformers 5: configuration, network, tokenizer, chat.

Importing this package registers the classes with transformers' Auto classes.
"""

from chatglm_slim_llm.model.auto import register
from chatglm_slim_llm.model.batched import BatchedForward
from chatglm_slim_llm.model.chat import InvalidScoreLogitsProcessor, build_prompt, process_response
from chatglm_slim_llm.model.configuration_chatglm import ChatGLMConfig
from chatglm_slim_llm.model.decoding import SequentialForward, decode_steps, forward_for
from chatglm_slim_llm.model.detokenize import StreamDecoder
from chatglm_slim_llm.model.modeling_chatglm import ChatGLMForConditionalGeneration, ChatGLMModel
from chatglm_slim_llm.model.states import read_states
from chatglm_slim_llm.model.tokenization_chatglm import ChatGLMTokenizer

register()

__all__ = [
    "BatchedForward",
    "ChatGLMConfig",
    "ChatGLMForConditionalGeneration",
    "ChatGLMModel",
    "ChatGLMTokenizer",
    "InvalidScoreLogitsProcessor",
    "SequentialForward",
    "StreamDecoder",
    "build_prompt",
    "decode_steps",
    "forward_for",
    "process_response",
    "read_states",
]
