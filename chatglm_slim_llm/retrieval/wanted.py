"""What may be given to a knowledge base; whatever cannot be used is one `ConfigError` in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from reprlib import repr as short
from typing import Any

import numpy as np

from chatglm_slim_llm.errors import ConfigError, RetrievalError
from chatglm_slim_llm.retrieval.vectors import Vectors

Filter = Mapping[str, object] | Callable[[Mapping[str, Any]], bool]

_A_VECTOR = "give a list of numbers, as the knowledge base's embeddings.embed_query makes it of a text"


def check_query(query: object) -> None:
    """Refuse a question that is no text."""
    if not isinstance(query, str):
        raise ConfigError(f"query is {short(query)}; it must be a str", key="query")


def check_count(count: object, key: str = "k") -> None:
    """Refuse what is no number of passages."""
    if isinstance(count, bool) or not isinstance(count, Integral):
        raise ConfigError(f"{key} is {short(count)}; it must be a whole number", key=key)
    if count < 1:
        raise ConfigError(f"{key} is {count}; ask for at least 1 passage", key=key)


def check_variety(k: object, fetch_k: object, lambda_mult: object) -> None:
    """Refuse what maximal marginal relevance cannot choose by."""
    check_count(k)
    check_count(fetch_k, "fetch_k")
    if (
        isinstance(lambda_mult, bool) or not isinstance(lambda_mult, Real) or not 0 <= float(lambda_mult) <= 1
    ):  # nor is nan
        raise ConfigError(
            f"lambda_mult is {short(lambda_mult)}; give a number from 0 to 1; 1 looks at nearness alone",
            key="lambda_mult",
        )


def check_filter(wanted: object) -> None:
    """Refuse what passages cannot be chosen by."""
    if wanted is None or callable(wanted):
        return
    if not isinstance(wanted, Mapping):
        raise ConfigError(
            f"filter is {short(wanted)}; give a dict of what the metadata say, such as {{'page': 3}}, or a function of"
            " them",
            key="filter",
        )
    for name in wanted:
        if not isinstance(name, str):
            raise ConfigError(f"filter has the key {short(name)}; it must be a str, as keys of metadata", key="filter")


def listed(texts: object, key: str) -> list[str]:
    """Texts or ids as a list."""
    every = listed_or_none(texts, key)
    return [_text(text, key, place) for place, text in enumerate(every)]


def listed_or_none(texts: object, key: str) -> list[str | None]:
    """The same where some may be left out."""
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise ConfigError(f"{key} is {short(texts)}; it must be a list of them", key=key)
    return [None if text is None else _text(text, key, place) for place, text in enumerate(texts)]


def _text(text: object, key: str, place: int) -> str:
    if not isinstance(text, str):
        raise ConfigError(f"{key.removesuffix('s')} {place} is {short(text)}; it must be a str", key=key)
    return text


def unit_vector(embedding: Sequence[float]) -> Vectors:
    """A vector of length 1 with the direction of another one."""
    try:
        given = np.asarray(embedding, object)  # numpy would make numbers of '1' and True
    except (TypeError, ValueError, RuntimeError):  # rows that do not fit, a tensor that numpy cannot hold
        given = np.empty((0, 0), object)
    if given.ndim != 1 or not len(given) or not all(map(_is_number, given)):
        raise ConfigError(f"embedding is {short(embedding)}; {_A_VECTOR}", key="embedding")
    try:
        vector = given.astype(np.float64)
    except OverflowError as error:
        raise ConfigError(f"embedding holds a number that is too large; {_A_VECTOR}", key="embedding") from error
    for odd in vector[~np.isfinite(vector)]:
        raise ConfigError(f"embedding holds {odd}, which is not finite; {_A_VECTOR}", key="embedding")
    largest = np.abs(vector).max()
    if not largest:
        raise ConfigError(f"embedding holds only 0, which is near to nothing; {_A_VECTOR}", key="embedding")
    scaled = vector / largest  # squares of very large numbers would be none
    unit: Vectors = (scaled / np.linalg.norm(scaled)).astype(np.float32)
    return unit


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def check_metadata(metadata: Mapping[str, Any], place: int) -> None:
    """Refuse what the file cannot hold.

    Raises:
        RetrievalError: JSON cannot hold it.
    """
    try:
        json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RetrievalError(
            f"the metadata of text {place} cannot be kept as JSON ({error}); give strings, numbers, lists and dicts"
        ) from error
