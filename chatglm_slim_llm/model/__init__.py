"""ChatGLM-6B for transformers 5: configuration, network, tokenizer, chat.

Importing this package registers the classes with transformers' Auto classes. The terminal, the command line and the
LangChain classes do not need it: they run `chatglm_slim_llm.network`, which loads in half the time.
"""

from chatglm_slim_llm.model.auto import register
from chatglm_slim_llm.model.chat import InvalidScoreLogitsProcessor
from chatglm_slim_llm.model.modeling_chatglm import ChatGLMForConditionalGeneration, ChatGLMModel
from chatglm_slim_llm.network.batched import BatchedForward
from chatglm_slim_llm.network.configuration_chatglm import ChatGLMConfig
from chatglm_slim_llm.network.decoding import SequentialForward, decode_steps, forward_for
from chatglm_slim_llm.network.detokenize import StreamDecoder
from chatglm_slim_llm.network.states import read_states
from chatglm_slim_llm.network.text import build_prompt, process_response
from chatglm_slim_llm.network.tokenization_chatglm import ChatGLMTokenizer

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
