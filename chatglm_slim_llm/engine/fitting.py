"""The prompt as token ids that leave room for a reply.

Prompt and reply share ``max_length`` tokens, and never more than the model's own context. Of those, a quarter
(or ``max_tokens``, but at most half) is kept for the reply when older rounds of the history compete for it: whole
rounds are left out, the oldest first. The query and the system text are never cut; if they leave no room for even
one token, that is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.errors import GenerationError, PromptTooLongError
from chatglm_slim_llm.network import build_prompt

Round = tuple[str, str]
"""A question and its answer."""

_SLACK_TOKENS = 8  # round numbers change when older rounds go, so the counts of single rounds are estimates


class Encoder(Protocol):
    """The part of the tokenizer that fitting needs."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of ``text``; with special tokens, ``[gMASK] <sop>`` follow them."""
        ...


@dataclass(frozen=True)
class FittedPrompt:
    """What the model is given."""

    input_ids: list[int]
    dropped_rounds: int
    """Rounds at the start of the history that did not fit."""
    max_new_tokens: int
    """Most tokens the reply can have; at least 1."""


def fit_prompt(
    tokenizer: Encoder,
    *,
    query: str,
    history: Sequence[Round],
    system: str,
    options: GenerationOptions,
    context_length: int,
) -> FittedPrompt:
    """Build and encode the prompt, with as many of the newest rounds as fit.

    Raises:
        PromptTooLongError: query and system text alone leave no room for a reply.
        GenerationError: the query is empty, or some text is not valid Unicode.
    """
    _want_usable(query, history, system)
    limit = min(options.max_length, context_length)
    ids = tokenizer.encode(prompt_text(query, [], system))
    if len(ids) >= limit:
        raise _too_long(len(ids), limit, context_length)
    kept = 0
    if history:
        room = max(1, min(options.max_tokens or limit // 4, limit // 2))
        ids, kept = _fit_history(tokenizer, ids, query, history, system, limit - room)
    return FittedPrompt(ids, len(history) - kept, min(options.max_tokens or limit, limit - len(ids)))


def prompt_text(query: str, history: Sequence[Round], system: str) -> str:
    """The prompt as the model reads it.

    The model was trained without a system role, so a system text can only stand where it reads most like an
    introduction: before everything else, a blank line apart.
    """
    prompt = build_prompt(query, list(history))
    return f"{system}\n\n{prompt}" if system else prompt


def _fit_history(
    tokenizer: Encoder, alone_ids: list[int], query: str, history: Sequence[Round], system: str, budget: int
) -> tuple[list[int], int]:
    """The ids with the most rounds within ``budget``, and how many those are.

    Each round is counted once, newest first and no further than can fit, so the work does not grow with the
    length of the history; the whole prompt is then encoded once or twice to be sure.
    """
    for kept in range(_count_rounds_that_may_fit(tokenizer, history, budget - len(alone_ids)), 0, -1):
        ids = tokenizer.encode(prompt_text(query, history[-kept:], system))
        if len(ids) <= budget:
            return ids, kept
    return alone_ids, 0


def _count_rounds_that_may_fit(tokenizer: Encoder, history: Sequence[Round], spare: int) -> int:
    def count(text: str) -> int:  # the line break keeps the piece that opens every text out of the difference
        return len(tokenizer.encode(f"\n{text}", add_special_tokens=False)) - opening

    opening = len(tokenizer.encode("\n", add_special_tokens=False))
    empty_round = count(build_prompt("", [("", "")])) // 2
    spare += _SLACK_TOKENS - empty_round  # with a history, the query gets a round's heading as well
    for kept, past in enumerate(reversed(history)):
        spare -= count(build_prompt("", [past])) - empty_round
        if spare < 0:
            return kept
    return len(history)


def _want_usable(query: str, history: Sequence[Round], system: str) -> None:
    if not query.strip():
        raise GenerationError("the prompt is empty; write a question or a sentence to continue")
    for text in _texts(query, history, system):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise GenerationError(
                f"the text holds half of a surrogate pair ({text[error.start]!r}) at character {error.start}, which is "
                "no character; remove it, or decode the text properly where it was read"
            ) from error


def _texts(query: str, history: Iterable[Round], system: str) -> Iterable[str]:
    yield query
    yield system
    for past in history:
        yield from past


def _too_long(prompt_tokens: int, limit: int, context_length: int) -> PromptTooLongError:
    advice = "shorten it or split it" if limit == context_length else "shorten it, or raise max_length"
    return PromptTooLongError(
        f"the prompt has {prompt_tokens} tokens, but prompt and reply together have room for {limit}; {advice}",
        prompt_tokens=prompt_tokens,
        limit=limit,
    )
