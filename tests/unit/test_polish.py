"""Post-processing while streaming: nothing shown is ever revised, and the whole equals the original's result."""

from __future__ import annotations

import random

import pytest

from chatglm_slim_llm.engine.engine import Delta
from chatglm_slim_llm.engine.polish import Polisher, polish
from chatglm_slim_llm.network import process_response

ALPHABET = [
    "中",
    "a",
    ",",
    "?",
    ":",
    "!",
    "`",
    "``",
    "```",
    "\n",
    " ",
    "https://x.y/",
    "[[训练时间]]",
    "[[训",
    "/",
    "\t",
]


def stream(pieces: list[str]) -> list[str]:
    polisher = Polisher()
    return [*(polisher.push(piece) for piece in pieces), polisher.flush()]


def test_punctuation_between_latin_letters_waits_for_the_next_character() -> None:
    assert stream(["ok", ",", "中", "文"]) == ["ok", "", "，中", "文", ""]
    assert stream(["ok", ",", " 中"]) == ["ok", "", ", 中", ""]


def test_punctuation_after_chinese_is_certain_at_once() -> None:
    assert stream(["好", ",", "a"]) == ["好", "，", "a", ""]


def test_code_and_urls_are_shown_as_they_are_and_without_delay() -> None:
    assert stream(["```", "f", "(中,", "文)", "```"]) == ["```", "f", "(中,", "文)", "```", ""]
    assert stream(["见https://x.y/?q=", "a,", "中"]) == ["见https://x.y/?q=", "a,", "中", ""]


def test_an_unclosed_backtick_holds_back_only_what_it_may_change() -> None:
    assert stream(["用`中", ",文", "`吧"]) == ["用`中", "", ",文`吧", ""]
    assert stream(["用`中", ",文", "\n吧"]) == ["用`中", "", "，文\n吧", ""]


def test_white_space_at_both_ends_is_never_shown() -> None:
    assert stream([" ", "\n", "a", " ", "b", "\n", " "]) == ["", "", "a", "", " b", "", "", ""]


def test_the_date_mark_is_replaced_in_one_go() -> None:
    assert stream(["截至[", "[训练", "时间", "]]", ","]) == ["截至", "", "", "2023年", "，", ""]


def test_what_only_looks_like_the_date_mark_is_shown() -> None:
    assert stream(["[[训练", "营"]) == ["", "[[训练营", ""]


@pytest.mark.parametrize("seed", range(10))
def test_any_text_in_any_pieces_gives_what_processing_the_whole_gives(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        pieces = rng.choices(ALPHABET, k=rng.randrange(14))
        assert "".join(stream(pieces)) == process_response("".join(pieces), keep_code=True), pieces
        characters = list("".join(pieces))
        assert "".join(stream(characters)) == process_response("".join(pieces), keep_code=True), pieces


def test_a_polished_stream_keeps_its_end_and_closes_its_source() -> None:
    closed = []

    def source():  # type: ignore[no-untyped-def]
        try:
            yield Delta("好")
            yield Delta(",a ", "stop")
        finally:
            closed.append(True)

    assert list(polish(source())) == [Delta("好"), Delta("，a", "stop")]
    half_read = polish(source())
    next(half_read)
    half_read.close()
    assert closed == [True, True]
