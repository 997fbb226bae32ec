"""What the model is given: the newest rounds that fit, and clear errors for what can never fit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.engine.fitting import FittedPrompt, Round, fit_prompt, prompt_text
from chatglm_slim_llm.errors import GenerationError, PromptTooLongError
from chatglm_slim_llm.network import ChatGLMTokenizer

TINY = Path(__file__).parents[1] / "data" / "reference" / "tiny_v11"
HISTORY = [(f"第{i}个问题是什么", f"answer number {i}") for i in range(40)]


class CountingTokenizer:
    """The real tokenizer, which also counts the characters it was given."""

    def __init__(self) -> None:
        self.real = ChatGLMTokenizer.from_pretrained(TINY)
        self.num_characters = 0

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        self.num_characters += len(text)
        return list(self.real.encode(text, add_special_tokens=add_special_tokens))


@pytest.fixture(scope="module")
def tokenizer() -> CountingTokenizer:
    return CountingTokenizer()


def fit(
    tokenizer: CountingTokenizer,
    query: str = "你好",
    history: list[Round] | None = None,
    system: str = "",
    context_length: int = 2048,
    open_rounds: int = 0,
    **options: int,
) -> FittedPrompt:
    return fit_prompt(
        tokenizer,
        query=query,
        history=history or [],
        system=system,
        options=GenerationOptions(**options),  # type: ignore[arg-type]
        context_length=context_length,
        open_rounds=open_rounds,
    )


def test_a_prompt_that_fits_is_left_whole(tokenizer: CountingTokenizer) -> None:
    fitted = fit(tokenizer, history=HISTORY[:3])
    assert fitted.input_ids == tokenizer.encode(prompt_text("你好", HISTORY[:3], ""))
    assert fitted.dropped_rounds == 0


def test_the_reply_may_fill_what_the_prompt_leaves(tokenizer: CountingTokenizer) -> None:
    prompt_tokens = len(tokenizer.encode("你好"))
    assert fit(tokenizer).max_new_tokens == 2048 - prompt_tokens
    assert fit(tokenizer, max_tokens=7).max_new_tokens == 7
    assert fit(tokenizer, max_length=20, max_tokens=700).max_new_tokens == 20 - prompt_tokens


def test_the_models_own_context_limits_max_length(tokenizer: CountingTokenizer) -> None:
    assert fit(tokenizer, context_length=64).max_new_tokens == 64 - len(tokenizer.encode("你好"))


def test_the_system_text_stands_before_everything_and_is_never_dropped(tokenizer: CountingTokenizer) -> None:
    fitted = fit(tokenizer, system="你是小灯", history=HISTORY, max_length=200)
    text = tokenizer.real.decode(fitted.input_ids)
    assert text.startswith("你是小灯\n\n[Round 0]\n")
    assert fitted.dropped_rounds > 0


@pytest.mark.long
def test_the_question_in_hand_stays_and_then_what_was_called_last(tokenizer: CountingTokenizer) -> None:
    """The query is the result of the last of four calls; twenty-six rounds are older than the question."""
    asked, since, older = HISTORY[26], HISTORY[27:30], HISTORY[:26]

    def whole(*rounds: Round) -> list[int]:
        return tokenizer.encode(prompt_text("你好", rounds, ""))

    def fitted(limit: int) -> FittedPrompt:
        return fit(tokenizer, history=[*older, asked, *since], open_rounds=4, max_length=limit)

    with_all = whole(asked, *since)
    for limit in range(len(whole(asked)) + 1, 4 * len(with_all)):
        found = fitted(limit)
        kept = 30 - found.dropped_rounds
        rounds = [asked, *since[4 - kept :]] if kept < 4 else [*older[30 - kept :], asked, *since]
        assert found.input_ids == whole(*rounds)
        room = limit // 4 if kept > 4 else limit // 8 if kept > 1 else 1
        assert len(found.input_ids) <= limit - room
        if kept < 30:
            more = [asked, *since[3 - kept :]] if kept < 4 else [*older[29 - kept :], asked, *since]
            assert len(whole(*more)) > limit - (limit // 4 if kept > 3 else limit // 8)
    with pytest.raises(PromptTooLongError, match=f"has {len(whole(asked))} tokens"):
        fitted(len(whole(asked)))


def test_text_of_a_control_token_stays_text(tokenizer: CountingTokenizer) -> None:
    ids = fit(tokenizer, query="<sop> [gMASK] <eop>").input_ids
    assert [ids.count(i) for i in (862, 865, 866)] == [1, 1, 0]


@pytest.mark.parametrize("seed", range(30))
def test_the_most_rounds_that_fit_are_kept_and_the_oldest_go_first(seed: int, tokenizer: CountingTokenizer) -> None:
    rng = random.Random(seed)
    words = ["你好", "hello ", "a", "\n", "  ", "12", "。", "👋", "[Round 3]\n"]
    history = [
        ("".join(rng.choices(words, k=rng.randrange(9))), "".join(rng.choices(words, k=rng.randrange(20))))
        for _ in range(rng.randrange(1, 40))
    ]
    max_length = rng.randrange(40, 900)
    budget = max_length - max_length // 4
    fitting = [
        kept
        for kept in range(len(history) + 1)
        if len(tokenizer.encode(prompt_text("再见", history[len(history) - kept :], ""))) <= budget
    ]
    fitted = fit(tokenizer, query="再见", history=history, max_length=max_length)
    kept = len(history) - fitted.dropped_rounds
    assert kept == max(fitting)
    assert fitted.input_ids == tokenizer.encode(prompt_text("再见", history[len(history) - kept :], ""))


def test_room_for_the_reply_is_kept_before_rounds_are(tokenizer: CountingTokenizer) -> None:
    assert len(fit(tokenizer, history=HISTORY, max_length=400).input_ids) <= 300
    assert len(fit(tokenizer, history=HISTORY, max_length=400, max_tokens=150).input_ids) <= 250
    assert len(fit(tokenizer, history=HISTORY, max_length=400, max_tokens=390).input_ids) <= 200
    assert len(fit(tokenizer, history=HISTORY, max_length=400, max_tokens=10).input_ids) > 300


def test_a_query_that_leaves_little_room_goes_alone(tokenizer: CountingTokenizer) -> None:
    query = "好" * 40
    tokens = len(tokenizer.encode(query))
    fitted = fit(tokenizer, query=query, history=HISTORY, max_length=tokens + 1)
    assert (fitted.dropped_rounds, fitted.max_new_tokens) == (len(HISTORY), 1)
    assert fitted.input_ids == tokenizer.encode(query)


def test_a_query_that_leaves_no_room_is_an_error_with_both_numbers(tokenizer: CountingTokenizer) -> None:
    query = "好" * 40
    tokens = len(tokenizer.encode(query))
    with pytest.raises(PromptTooLongError, match=f"{tokens} tokens.*room for {tokens}.*raise max_length") as caught:
        fit(tokenizer, query=query, history=HISTORY, max_length=tokens)
    assert (caught.value.prompt_tokens, caught.value.limit) == (tokens, tokens)


def test_a_prompt_of_100_000_characters_is_refused_after_reading_it_once(tokenizer: CountingTokenizer) -> None:
    before = tokenizer.num_characters
    with pytest.raises(PromptTooLongError, match="shorten it or split it") as caught:
        fit(tokenizer, query="好," * 50_000, history=HISTORY)
    assert caught.value.prompt_tokens >= 100_000
    assert tokenizer.num_characters - before == 100_000


def test_a_long_history_costs_no_more_than_a_short_one(tokenizer: CountingTokenizer) -> None:
    before = tokenizer.num_characters
    fitted = fit(tokenizer, history=HISTORY * 500, max_length=400)
    cost = tokenizer.num_characters - before
    assert len(HISTORY) * 500 - fitted.dropped_rounds < 20
    assert cost < 3000


@pytest.mark.parametrize("query", ["", " \n\t", "\u3000"])
def test_an_empty_prompt_is_an_error(query: str, tokenizer: CountingTokenizer) -> None:
    with pytest.raises(GenerationError, match="prompt is empty"):
        fit(tokenizer, query=query, history=HISTORY)


@pytest.mark.parametrize("where", ["query", "system", "history"])
def test_half_a_surrogate_pair_is_an_error_wherever_it_stands(where: str, tokenizer: CountingTokenizer) -> None:
    bad = "ok\ud83d"
    given = {"query": bad} if where == "query" else {"system": bad} if where == "system" else {"history": [("a", bad)]}
    with pytest.raises(GenerationError, match="at character 2"):
        fit(tokenizer, **given)  # type: ignore[arg-type]
