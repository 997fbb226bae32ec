"""The prompt as token ids that leave room for a reply.

Prompt and reply share ``max_length`` tokens, and never more than the model's own context. The query and the system text
are never cut, nor is the question in hand where the query is a result of a tool that it has called; if they leave no
room for even one token, that is an error. Older rounds of the history compete with the reply, for which a quarter (or
``max_tokens``, but at most half) is kept: whole rounds are left out, the oldest first. The rounds since the question
leave it an eighth only, as it is about those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    open_rounds: int = 0,
) -> FittedPrompt:
    """Build and encode the prompt, with as many of the newest rounds as fit.

    Args:
        tokenizer: the model's.
        query: what is to be answered.
        history: the rounds before.
        system: stands before everything else.
        options: for the lengths.
        context_length: tokens that the model can see.
        open_rounds: the last so many of the history belong to the question in hand, and begin with it.

    Raises:
        PromptTooLongError: query, system text and the question in hand leave no room for a reply.
        GenerationError: the query is empty, or some text is not valid Unicode.
    """
    _want_usable(query, history, system)
    first = len(history) - open_rounds
    older, asked, since = history[:first], history[first:][:1], history[first:][1:]

    def encode(rounds: Sequence[Round]) -> list[int]:
        return tokenizer.encode(prompt_text(query, rounds, system))

    def budget(share: int) -> int:
        return limit - max(1, min(options.max_tokens or limit // share, limit // 2))

    limit = min(options.max_length, context_length)
    ids = encode(asked)
    if len(ids) >= limit:
        raise _too_long(len(ids), limit, context_length)
    ids, kept = _with_newest(tokenizer, ids, since, budget(8), lambda newest: encode([*asked, *newest]))
    if kept == len(since):
        ids, more = _with_newest(tokenizer, ids, older, budget(4), lambda newest: encode([*newest, *asked, *since]))
        kept += more
    dropped = len(older) + len(since) - kept
    return FittedPrompt(ids, dropped, min(options.max_tokens or limit, limit - len(ids)))


def prompt_text(query: str, history: Iterable[Round], system: str) -> str:
    """The prompt as the model reads it.

    The model was trained without a system role, so a system text can only stand where it reads most like an
    introduction: before everything else, a blank line apart.
    """
    prompt = build_prompt(query, list(history))
    return f"{system}\n\n{prompt}" if system else prompt


def _with_newest(
    tokenizer: Encoder,
    ids: list[int],
    rounds: Sequence[Round],
    budget: int,
    encode: Callable[[Sequence[Round]], list[int]],
) -> tuple[list[int], int]:
    """The ids with the most of these rounds within ``budget``, and how many those are; as they are with none.

    Each round is counted once, newest first and no further than can fit, so the work does not grow with the
    length of the history; the whole prompt is then encoded once or twice to be sure.
    """
    if not rounds:
        return ids, 0
    for kept in range(_count_rounds_that_may_fit(tokenizer, rounds, budget - len(ids)), 0, -1):
        longer = encode(rounds[-kept:])
        if len(longer) <= budget:
            return longer, kept
    return ids, 0


def _count_rounds_that_may_fit(tokenizer: Encoder, history: Sequence[Round], spare: int) -> int:
    def count(text: str) -> int:  # the line break keeps the piece that opens every text out of the difference
        return len(tokenizer.encode(f"\n{text}", add_special_tokens=False)) - opening

    opening = len(tokenizer.encode("\n", add_special_tokens=False))
    empty_round = count(build_prompt("", [("", "")])) // 2
    spare += _SLACK_TOKENS
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
