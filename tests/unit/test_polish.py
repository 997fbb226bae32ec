"""Post-processing while streaming: nothing shown is ever revised, and the whole equals the original's result."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable

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
ODD = [
    *ALPHABET,
    *(
        "://",
        "//",
        "a://",
        "1",
        "+",
        ".",
        "-",
        "svn+ssh",
        "h2c",
        "Round" * 9,
        ";",
        "，",
        "。",
        "“",
        "(",
        "年",
        "练时间]]",
    ),
    *("]", "[", "é", "あ", "\u3000", "\r", "\x1c", "\u4dff", "\u9fff", "\ua000", "```py\n", "`中,"),
]

_CODE_OR_URL = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`|[A-Za-z][A-Za-z0-9+.-]*://[^\s\u4e00-\u9fff]+)", re.DOTALL)


def process_slowly(text: str) -> str:
    """The whole text at once, as the rules are written down; long words take the square of their length."""
    parts = _CODE_OR_URL.split(text.strip())
    for i in range(0, len(parts), 2):
        parts[i] = parts[i].replace("[[训练时间]]", "2023年")
        for half, full in (",，", "!！", ":：", ";；", "?？"):
            parts[i] = re.sub(rf"([\u4e00-\u9fff])\{half}", rf"\g<1>{full}", parts[i])
            parts[i] = re.sub(rf"\{half}([\u4e00-\u9fff])", rf"{full}\g<1>", parts[i])
    return "".join(parts)


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


@pytest.mark.long
@pytest.mark.parametrize("alphabet", [ALPHABET, ODD])
@pytest.mark.parametrize("seed", range(10))
def test_any_text_in_any_pieces_gives_what_processing_the_whole_gives(seed: int, alphabet: list[str]) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        few = rng.sample(alphabet, rng.randrange(2, len(alphabet)))
        pieces = rng.choices(few, k=rng.randrange(14))
        text = "".join(pieces)
        expected = process_slowly(text)
        assert process_response(text, keep_code=True) == expected, pieces
        assert "".join(stream(pieces)) == expected, pieces
        assert "".join(stream(list(text))) == expected, pieces


def test_a_scheme_may_be_as_long_as_one_likes_and_begins_with_a_letter() -> None:
    for scheme in ("Round" * 300, "1." * 300 + "a", "a1+.-" * 300):
        pieces = ["见", *scheme, ":", "/", "/", "x", ",", "中", ",", "1"]
        assert "".join(stream(pieces)) == process_slowly("".join(pieces)) == f"见{scheme}://x,中，1"
    assert "".join(stream(["1.", ":", "/", "/", "`", "中", ",", "`"])) == "1.://`中,`"
    assert "".join(stream(["a", ":", "/", "/", "`", "中", ",", "`"])) == "a://`中，`"


LONG: dict[str, Callable[[int], list[str]]] = {
    "a loop": lambda n: ["Round"] * n,
    "base64": lambda n: ["QUJD"] * n,
    "one character": lambda n: ["1"] * n,
    "Chinese without white space": lambda n: ["中文,", "a字"] * (n // 2),
    "words": lambda n: ["Hello", ",", " world", "\n"] * (n // 4),
    "an open code block": lambda n: ["```py\n", *["x = 中, "] * n],
    "a backtick that nothing closes": lambda n: ["`", *["中,"] * n],
    "a backtick that nothing closes, before Latin": lambda n: ["`", *["ab, "] * n],
    "backticks": lambda n: ["`"] * n,
    "one URL": lambda n: ["a://b", *["?x=,"] * n],
    "URLs": lambda n: ["a://b", "\n"] * (n // 2),
    "schemes": lambda n: ["a", ":", "/", ","] * (n // 4),
    "white space": lambda n: ["a", *[" "] * n],
    "begun date marks": lambda n: ["[[训"] * n,
}


def cpu_s(work: Callable[[], object]) -> float:
    """The best of a few: another process on the core only ever adds to it."""
    times = []
    for _ in range(4):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


@pytest.mark.parametrize("name", LONG)
def test_four_times_the_text_takes_four_times_the_work(name: str) -> None:
    few, many = LONG[name](500), LONG[name](2000)
    assert cpu_s(lambda: stream(many)) < 10 * cpu_s(lambda: stream(few))  # a square would take 16


@pytest.mark.parametrize("name", LONG)
def test_so_it_is_where_the_whole_is_there(name: str) -> None:
    few, many = "".join(LONG[name](10_000)), "".join(LONG[name](40_000))
    assert cpu_s(lambda: process_response(many, keep_code=True)) < 10 * cpu_s(
        lambda: process_response(few, keep_code=True)
    )


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
