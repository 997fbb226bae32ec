"""The shortest way out: tokens that end a reply validly, wherever it stands."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from chatglm_slim_llm.engine.grammar.nodes import Text, completed
from chatglm_slim_llm.engine.grammar.outline import Outline
from chatglm_slim_llm.engine.grammar.vocabulary import Ids, Vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher

_MOST_STEPS = 200
_CLOSERS = ("}", "]")
_MOST_DIGITS = 3
_LIKED = '"0123456789-.:/@_ ,+Tabcdefghijklmnopqrstuvwxyz}]{['


class Planner:
    """Looks for ways out. It may find none though there is one: then nothing new is begun."""

    def __init__(self, vocabulary: Vocabulary, pieces: tuple[str, ...], texts: tuple[Text, ...]) -> None:
        """Look for nothing yet.

        Args:
            vocabulary: the model's.
            pieces: short texts of values that may be needed.
            texts: strings that may not end just anywhere.
        """
        self._vocabulary, self._texts = vocabulary, texts
        self._closers = [vocabulary(text) for text in _CLOSERS]
        self._pieces = [vocabulary(text) for text in pieces]
        self._quote = [vocabulary('"')]
        self._digits = [vocabulary(digit) for digit in "0123456789"]
        self._ends = [[vocabulary.eos_token_id], *(vocabulary(text) for text in (",", *_CLOSERS))]
        self._liking = np.full(len(vocabulary.tokens), len(_LIKED) + 1, dtype=np.int64)
        for token_id, token in enumerate(vocabulary.tokens):
            if len(token) == 1:
                self._liking[token_id] = _LIKED.find(chr(token[0])) % (len(_LIKED) + 1)

    def find(self, matcher: LLMatcher, outline: Outline, limit: int) -> list[int] | None:
        """Tokens from here to the end mark, at most ``limit``; None if none were found."""
        for closers_first in (True, False):
            found = self._follow(matcher.deep_copy(), outline.copy(), limit, closers_first)
            if found is not None:
                return found
        return None

    def _follow(self, matcher: LLMatcher, outline: Outline, limit: int, closers_first: bool) -> list[int] | None:
        plan: list[int] = []
        for _ in range(_MOST_STEPS):
            if matcher.is_accepting():
                return [*plan, self._vocabulary.eos_token_id] if len(plan) < limit else None
            if len(plan) + 1 >= limit:
                return None
            following = matcher.compute_ff_tokens() or self._next(matcher, outline, closers_first)
            if not following or not matcher.consume_tokens(following):
                return None
            plan += following
            for token_id in following:
                outline.push(self._vocabulary.tokens[token_id])
            if outline.repeats:
                return None
        return None

    def _next(self, matcher: LLMatcher, outline: Outline, closers_first: bool) -> list[int]:
        candidates = [] if outline.would_repeat else self._quote
        if not outline.is_inside:
            some, others = (self._closers, self._pieces) if closers_first else (self._pieces, self._closers)
            candidates = [*some, *others, *self._quote]
        if outline.is_in_number and (digits := self._end_of_number(matcher)):
            return digits
        for tokens in candidates:
            if matcher.validate_tokens(tokens) == len(tokens):
                return tokens
        if outline.is_inside and (tokens := self._end_of_string(matcher, outline)):
            return tokens
        allowed = allowed_ids(matcher)
        if outline.would_repeat:
            allowed = allowed[self._liking[allowed] > _LIKED.index('"')]
        return [int(allowed[self._liking[allowed].argmin()])] if len(allowed) else []

    def _end_of_string(self, matcher: LLMatcher, outline: Outline) -> list[int]:
        """The shortest rest of the string with its quote; none if that cannot be told."""
        start = outline.text()
        if start is None:
            return []
        for node in self._texts:
            whole = completed(node, start)
            if whole is not None and not outline.has_name(whole):
                tokens = self._vocabulary(json.dumps(whole[len(start) :], ensure_ascii=False)[1:])
                if matcher.validate_tokens(tokens) == len(tokens):
                    return tokens
        return []

    def _end_of_number(self, matcher: LLMatcher) -> list[int]:
        """The fewest digits after which a number may end; none if it may end here, or if it takes many."""
        for count in range(_MOST_DIGITS + 1):
            for digits in product(self._digits, repeat=count):
                tokens = [token_id for digit in digits for token_id in digit]
                if any(matcher.validate_tokens([*tokens, *end]) == len(tokens) + len(end) for end in self._ends):
                    return tokens
        return []


def allowed_ids(matcher: LLMatcher) -> Ids:
    """The tokens that may come next."""
    mask = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(mask, bitorder="little"))
