"""Packages that come with an extra, and what is said where they are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chatglm_slim_llm.errors import MissingExtraError


@contextmanager
def extra_packages() -> Iterator[None]:
    """Say which extra to install when an import inside fails."""
    try:
        yield
    except MissingExtraError:
        raise
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"documents need packages that are not installed ({error.name}); run: pip install 'chatglm-slim-llm[rag]'",
            extra="rag",
        ) from error
