"""Where our errors become ``llm``'s, and where a checkpoint stays in memory between calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import click
import llm

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import ChatGLMSlimError
from chatglm_slim_llm.weights import Weights, share


class SlimError(llm.ModelError, click.ClickException):
    """What went wrong, in one sentence; its cause is chained.

    A ``ClickException`` too, since ``llm chat`` and ``llm embed`` show a traceback for any other error.
    """


@contextmanager
def llm_errors() -> Iterator[None]:
    """Raise our errors as ``llm`` expects them."""
    try:
        yield
    except ChatGLMSlimError as error:
        raise SlimError(str(error)) from error


@lru_cache(maxsize=1)  # two checkpoints may not fit into memory
def keep(options: LoadOptions) -> Weights:
    """Keep in memory what these options load, until another checkpoint is used; loads nothing itself.

    ``llm.get_model`` makes new objects with each call, so no object of ``llm`` can hold the weights.
    """
    return share(options)
