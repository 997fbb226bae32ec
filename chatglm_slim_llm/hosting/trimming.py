"""A long conversation without the rounds that cannot fit, so that nobody carries megabytes about for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from chatglm_slim_llm.hosting.assistant import Request, Turn

_MOST_CHARACTERS_A_TOKEN = 100
"""The longest piece of the vocabulary is a run of 80 spaces."""
_FEWEST_TOKENS_A_ROUND = 3
_MOST_HEARD = 16
"""Turns that a question to a knowledge base leans on."""


def trimmed(request: Request, context: int) -> tuple[Request, int]:
    """The request with its newest turns, which alone more than fill the context, and how many rounds were left out.

    What is left out would not have fitted whatever the tokens are; which rounds do fit is counted by the engine.
    """
    turns = request.turns
    most_turns = max(2 * context // _FEWEST_TOKENS_A_ROUND, _MOST_HEARD)
    characters = 0
    for start in range(len(turns) - 1, 0, -1):
        characters += len(turns[start].text)
        is_enough = characters > context * _MOST_CHARACTERS_A_TOKEN or len(turns) - start >= most_turns
        if is_enough and turns[start].role == "human" and turns[start - 1].role == "ai":
            return replace(request, turns=turns[start:]), _count_rounds(turns[:start])
    return request, 0


def _count_rounds(turns: Sequence[Turn]) -> int:
    """Rounds as the model is given them: neighbours of one role are one."""
    return 1 + sum(before.role == "ai" and after.role == "human" for before, after in pairwise(turns))
