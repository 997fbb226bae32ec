"""One reply, from the options of a LangChain call to chunks: what the chat model and the plain-text one have in common.

Importing this module loads neither torch nor transformers.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from typing import Any

from langchain_core.exceptions import ContextOverflowError
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list

from chatglm_slim_llm.errors import PromptTooLongError
from chatglm_slim_llm.llm_options import PROVIDER
from chatglm_slim_llm.local_model import LocalModel
from chatglm_slim_llm.messages import Conversation
from chatglm_slim_llm.until import Until
from chatglm_slim_llm.wishes import Wish

MOST_THREADS = 64
"""Of a batch that gives no ``max_concurrency``; the engine takes from them what fits into a step."""


class PromptOverflowError(PromptTooLongError, ContextOverflowError):
    """`PromptTooLongError` that LangChain's middleware recognises too."""


def ask(
    model: LocalModel,
    conversation: Conversation,
    wish: Wish,
    stop: list[str] | None,
    kwargs: Mapping[str, Any],
    cancel: threading.Event | None,
) -> Generator[ChatGenerationChunk]:
    """One reply; everything that can be wrong with its options is said before anything is loaded.

    Args:
        model: whose options hold where the call gives none.
        conversation: to answer.
        wish: what the reply should be.
        stop: of the call.
        kwargs: further options of the call.
        cancel: ends the reply once it is set.
    """
    options = model._generation_options(stop, kwargs)
    until = Until(kwargs.get("timeout", model.timeout), cancel)
    format = wish.format()
    if format is not None:
        from chatglm_slim_llm.engine import check_format

        check_format(format)
    running = model._load(until.check_loading, kwargs.get("model"))
    from chatglm_slim_llm.engine import Request
    from chatglm_slim_llm.replies import chunks_of

    request = Request(
        query=conversation.query,
        history=conversation.history,
        system=conversation.system,
        options=options,
        format=format,
        cancel=until,
    )
    about = {
        "model_name": kwargs.get("model") or model.model,
        "model_provider": PROVIDER,
        "quantization": running.loaded.level,
    }
    try:
        for chunk in chunks_of(running.engine.stream(request), format, about, fix_punctuation=model.fix_punctuation):
            until.want_time()
            yield chunk
    except PromptTooLongError as error:
        raise PromptOverflowError(str(error), prompt_tokens=error.prompt_tokens, limit=error.limit) from error


def all_at_once(config: Any, num_inputs: int) -> list[RunnableConfig]:
    """Let every input of a batch run at once, unless ``max_concurrency`` is given."""
    at_once = min(max(num_inputs, 1), MOST_THREADS)
    return [
        {**each, "max_concurrency": each.get("max_concurrency") or at_once}
        for each in get_config_list(config, num_inputs)
    ]
