"""Long conversations without the rounds that cannot fit."""

from __future__ import annotations

import random

import pytest

from chatglm_slim_llm.checkpoint import load_tokenizer
from chatglm_slim_llm.checkpoint.pull import DEMO_FOLDER
from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.engine.fitting import fit_prompt
from chatglm_slim_llm.hosting.assistant import Request, Turn
from chatglm_slim_llm.hosting.trimming import trimmed


def conversation(*texts):
    return Request([Turn("human" if place % 2 == 0 else "ai", text) for place, text in enumerate(texts)], "be nice")


def test_what_is_short_stays_as_it_is():
    request = conversation("a", "b", "c")
    assert trimmed(request, 2048) == (request, 0)
    assert trimmed(conversation("x" * 10_000_000), 2048)[1] == 0


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_the_same_rounds_reach_the_model(seed):
    rng = random.Random(seed)
    tokenizer, context = load_tokenizer(DEMO_FOLDER), 256
    texts = [rng.choice(["字", "a b ", " ", "\n", ""]) * rng.choice([0, 1, 20, 900, 6000]) for _ in range(2 * 300)]
    request = conversation(*texts, "the question")

    def fitted(turns):
        pairs = [(turns[at].text, turns[at + 1].text) for at in range(0, len(turns) - 1, 2)]
        options = GenerationOptions(max_length=context)
        return fit_prompt(
            tokenizer, query=turns[-1].text, history=pairs, system="", options=options, context_length=context
        )

    short, left_out = trimmed(request, context)
    assert left_out > 0
    assert len(request.turns) == len(short.turns) + 2 * left_out
    whole, part = fitted(request.turns), fitted(short.turns)
    assert part.input_ids == whole.input_ids
    assert part.dropped_rounds + left_out == whole.dropped_rounds
    assert short.system == "be nice"


def test_a_conversation_of_five_thousand_messages_becomes_small():
    request = conversation(*["x" * 2000] * 5000, "the question")
    short, left_out = trimmed(request, 2048)
    assert sum(len(turn.text) for turn in short.turns) < 250_000
    assert left_out == (len(request.turns) - len(short.turns)) // 2
