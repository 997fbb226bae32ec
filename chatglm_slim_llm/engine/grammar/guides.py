"""Grammars that are ready for one model, made once for each form."""

from __future__ import annotations

import threading
from collections import OrderedDict

from chatglm_slim_llm.engine.formats import Format
from chatglm_slim_llm.engine.grammar.compiling import form_of, key_of
from chatglm_slim_llm.engine.grammar.constraint import Guide
from chatglm_slim_llm.engine.grammar.plan import Planner
from chatglm_slim_llm.engine.grammar.vocabulary import Vocabulary, load_llguidance
from chatglm_slim_llm.errors import SchemaError
from chatglm_slim_llm.network import ChatGLMTokenizer

_MOST_KEPT = 32
_STEP_FUEL = 2_000_000
"""Ten times what is usual: better a slow token than a reply that breaks off."""


class Guides:
    """Makes guides, and keeps the last few dozen. Any thread may ask."""

    def __init__(self, tokenizer: ChatGLMTokenizer, num_scores: int) -> None:
        """Load nothing yet; ``num_scores`` is the length of a row of scores."""
        self._tokenizer, self._num_scores = tokenizer, num_scores
        self._vocabulary: Vocabulary | None = None
        self._kept: OrderedDict[str, Guide] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, wanted: Format) -> Guide:
        """The guide for a form.

        Raises:
            SchemaError: a schema is wrong, not supported, or cannot be met.
            MissingExtraError: llguidance is not installed.
        """
        key = key_of(wanted)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = self._make(wanted)
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]

    def _make(self, wanted: Format) -> Guide:
        form = form_of(wanted)
        if self._vocabulary is None:
            self._vocabulary = Vocabulary(self._tokenizer, self._num_scores)
            self._vocabulary.warm_up()
        guidance = load_llguidance()
        grammar = guidance.LLMatcher.grammar_from_lark(form.grammar)
        limits = guidance.LLParserLimits(step_lexer_fuel=_STEP_FUEL)
        matcher = guidance.LLMatcher(self._vocabulary.for_grammar, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            cause = matcher.get_error().partition("\n")[0]
            raise SchemaError(f"the schema is too complex; simplify it: {cause}", path="#")
        shortest = [*self._vocabulary(form.shortest), self._vocabulary.eos_token_id]
        if matcher.validate_tokens(shortest) != len(shortest):
            raise SchemaError(f"{form.shortest} cannot be written in this model's tokens", path="#")
        planner = Planner(self._vocabulary, form.pieces, form.texts)
        return Guide(self._vocabulary, matcher, planner, shortest, form.may_be_words)
