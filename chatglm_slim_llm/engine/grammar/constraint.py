"""Holds one reply to its form, token by token.

There is always a plan: tokens that end the reply validly from where it stands, and that fit into what is left of it.
A token is taken only if there is a plan after it, else the plan's own next token is. So a reply is valid whenever it
ends, and how good the plans are decides only how much room they leave.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from chatglm_slim_llm.engine.formats import CALL_START
from chatglm_slim_llm.engine.grammar.outline import Outline
from chatglm_slim_llm.engine.grammar.plan import Planner, allowed_ids
from chatglm_slim_llm.engine.grammar.vocabulary import Ids, Vocabulary
from chatglm_slim_llm.engine.sampling import Sampler
from chatglm_slim_llm.errors import GenerationError

if TYPE_CHECKING:
    from llguidance import LLMatcher

_MOST_DRAWS = 4
"""Tokens that are tried before the plan is followed."""
_ANY_LENGTH = 10**9


@dataclass(frozen=True)
class Guide:
    """What all replies of one form share."""

    vocabulary: Vocabulary
    matcher: LLMatcher
    """At the start; to be copied."""
    planner: Planner
    shortest: list[int]
    """The tokens of the shortest reply, with the end mark."""
    may_be_words: bool


class Constraint:
    """Chooses the tokens of one reply."""

    def __init__(self, guide: Guide, sampler: Sampler, limit: int) -> None:
        """``limit``: most tokens, the end mark included; enough for the shortest reply unless it may be words."""
        self._vocabulary, self._planner, self._sampler = guide.vocabulary, guide.planner, sampler
        self._matcher, self._left = guide.matcher.deep_copy(), limit
        self._shortest = self._plan = guide.shortest
        self._outline = Outline()
        self._certain: deque[int] = deque()
        self._is_first, self._is_words = True, False
        self._opening = Opening(guide.vocabulary) if guide.may_be_words else None
        self.is_cut = False
        """Whether the model would have said something else, had there been room for it."""

    def pick(self, logits: Tensor) -> int:
        """The next token; it need not look at ``logits``, [vocab].

        Raises:
            GenerationError: the scores are no numbers, or the grammar is too complex.
        """
        if self._is_words:
            return self._sampler.pick(logits)
        token_id = self._certain.popleft() if self._certain else self._choose(logits)
        self._sampler.remember(token_id)
        self._left -= 1
        self._is_first = False
        if token_id != self._vocabulary.eos_token_id and self._opening is None and not self._is_words:
            self._look_ahead()
        return token_id

    def certain(self) -> list[int]:
        """The tokens that come next whatever the model says."""
        return list(self._certain)

    def _choose(self, logits: Tensor) -> int:
        ids = self._allowed()
        scores = self._sampler.prepare(logits)
        for _ in range(_MOST_DRAWS):
            token_id = self._sampler.draw_among(scores, torch.from_numpy(ids))
            if token_id is None:
                break
            if self._take([token_id], self._left - 1):
                return token_id
            self.is_cut = self.is_cut or self._leads_out(token_id)
            ids = ids[ids != token_id]
        return self._follow_plan()

    def _follow_plan(self) -> int:
        if self._opening is not None:  # what has been said so far is words
            self._opening, self._is_words = None, True
            return self._vocabulary.eos_token_id
        token_id, *self._plan = self._plan
        self._consume([token_id])
        return token_id

    def _allowed(self) -> Ids:
        if self._opening is not None:
            return self._opening.allowed(self._matcher)
        ids = allowed_ids(self._matcher)
        self._want_sane()
        return ids[~np.isin(ids, self._vocabulary.not_first)] if self._is_first else ids

    def _take(self, token_ids: list[int], left: int) -> bool:
        """Take these if there is a plan of at most ``left`` tokens after them."""
        if self._opening is not None:
            return self._take_opening(token_ids[0], left)
        if token_ids == [self._vocabulary.eos_token_id]:
            return True
        if token_ids == self._plan[: len(token_ids)]:
            self._consume(token_ids)
            self._plan = self._plan[len(token_ids) :]
            return True
        return self._take_if_planned(token_ids, left)

    def _take_if_planned(self, token_ids: list[int], left: int) -> bool:
        before = self._matcher, self._outline
        self._matcher, self._outline = self._matcher.deep_copy(), self._outline.copy()
        self._consume(token_ids)
        plan = self._plan if self._still_leads_out(left) else None
        if plan is None and not self._outline.repeats:
            plan = self._planner.find(self._matcher, self._outline, left)
        if plan is None:
            self._matcher, self._outline = before
            return False
        self._plan = plan
        return True

    def _leads_out(self, token_id: int) -> bool:
        """Whether there is a plan after this token, however long."""
        if self._opening is not None:  # only a call is refused there, and any call can be ended
            return True
        matcher, outline = self._matcher.deep_copy(), self._outline.copy()
        outline.push(self._vocabulary.tokens[token_id])
        if not matcher.consume_tokens([token_id]) or outline.repeats:
            return False
        return self._planner.find(matcher, outline, _ANY_LENGTH) is not None

    def _still_leads_out(self, left: int) -> bool:
        """Whether the plan made before is one from here as well."""
        if self._outline.repeats or not 0 < len(self._plan) <= left:
            return False
        if self._matcher.validate_tokens(self._plan) < len(self._plan):
            return False
        tokens = self._vocabulary.tokens
        return not (self._outline.is_name and self._outline.after(tokens[i] for i in self._plan[:-1]).repeats)

    def _take_opening(self, token_id: int, left: int) -> bool:
        """Take a token while the reply may still become words or calls."""
        assert self._opening is not None
        opening = self._opening
        match opening.kind_after(token_id):
            case "words":
                self._opening, self._is_words = None, True
            case "open":
                if self._is_first or not opening.is_dropped(token_id):
                    self._consume([token_id])
                opening.push(token_id)
            case "call":
                self._opening, self._plan = None, self._after(opening.text_after(token_id))
                if not self._take_if_planned([token_id], left):
                    self._opening = opening
                    return False
        return True

    def _after(self, text: bytes) -> list[int]:
        """How the shortest reply goes on after ``text``; empty if it does not begin so."""
        whole = b"".join(self._vocabulary.tokens[token_id] for token_id in self._shortest[:-1])
        if not whole.startswith(text):
            return []
        return [*self._vocabulary(whole[len(text) :]), self._vocabulary.eos_token_id]

    def _look_ahead(self) -> None:
        """Find out what is certain to come next."""
        while True:
            if self._matcher.is_stopped():
                self._want_sane()
                self._certain.append(self._vocabulary.eos_token_id)
                return
            forced = self._matcher.compute_ff_tokens()
            left = self._left - len(self._certain) - len(forced)
            if not forced or not self._take(forced, left):
                return
            self._certain.extend(forced)

    def _consume(self, token_ids: list[int]) -> None:
        if not self._matcher.consume_tokens(token_ids):
            self._want_sane()
        for token_id in token_ids:
            self._outline.push(self._vocabulary.tokens[token_id])

    def _want_sane(self) -> None:
        if self._matcher.is_error():
            cause = self._matcher.get_error().partition("\n")[0]  # the whole grammar follows
            raise GenerationError(f"the reply cannot be held to its form any longer; simplify the schema: {cause}")


class Opening:
    """The start of a reply that may still become words or calls."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary, self._text = vocabulary, ""
        self._has_dropped = False

    def _drops_space(self) -> bool:
        tokenizer = self._vocabulary.tokenizer
        may_drop = tokenizer.drops_all_leading_spaces or not self._has_dropped
        return not self._text and tokenizer.drops_leading_space and may_drop

    def is_dropped(self, token_id: int) -> bool:
        """Whether the token adds nothing to the text."""
        return self._drops_space() and token_id == self._vocabulary.dropped_space_id

    def allowed(self, matcher: LLMatcher) -> Ids:
        """The tokens that go on with a call, and all those that make the reply words."""
        like_call = self._vocabulary.like_call(len(self._text), drops_space=self._drops_space())
        allowed = self._vocabulary.words.copy()
        allowed[like_call] = [matcher.validate_tokens([token_id]) == 1 for token_id in like_call.tolist()]
        return np.flatnonzero(allowed)

    def kind_after(self, token_id: int) -> str:
        """What the reply is after this token: "words", a "call", or still "open"."""
        if token_id == self._vocabulary.eos_token_id:
            return "words"
        text = self.text_after(token_id)
        if CALL_START.encode().startswith(text) and len(text) < len(CALL_START):
            return "open"
        return "call" if text.startswith(CALL_START.encode()) else "words"

    def text_after(self, token_id: int) -> bytes:
        """The text with this token."""
        return self._text.encode() + self._shown(token_id)

    def push(self, token_id: int) -> None:
        """Take the next token, after which it is still open."""
        shown = self._shown(token_id)
        self._has_dropped = self._has_dropped or self.is_dropped(token_id)
        self._text += shown.decode()

    def _shown(self, token_id: int) -> bytes:
        piece = self._vocabulary.tokenizer.piece_texts.get(token_id, "")
        token = self._vocabulary.tokens[token_id]
        drops = self._drops_space() and isinstance(piece, str) and piece[:1] == "▁"
        return token[1:] if drops else token
