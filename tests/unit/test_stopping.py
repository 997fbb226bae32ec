"""Stop strings: the shown text is always the full text cut where the first stop string begins."""

from __future__ import annotations

import random

import pytest

from chatglm_slim_llm.engine.stopping import StopScanner


def show(pieces: list[str], stops: list[str]) -> tuple[list[str], bool]:
    """What a reader sees piece by piece until the reply ends, and whether a stop string ended it."""
    scanner, shown = StopScanner(stops), []
    for piece in pieces:
        shown.append(scanner.push(piece))
        if scanner.stopped:
            return shown, True
    shown.append(scanner.flush())
    return shown, scanner.stopped


def cut(text: str, stops: list[str]) -> str:
    return text[: min((text.index(stop) for stop in stops if stop in text), default=len(text))]


def test_without_stop_strings_everything_is_shown_at_once() -> None:
    assert show(["a", "b"], []) == (["a", "b", ""], False)


def test_a_stop_string_in_one_piece_ends_the_reply_before_it() -> None:
    assert show(["one END two"], ["END"]) == (["one "], True)


def test_a_stop_string_across_pieces_never_leaks_a_prefix() -> None:
    assert show(["one E", "N", "D two"], ["END"]) == (["one ", "", ""], True)


def test_what_turns_out_to_be_no_stop_string_is_shown_after_all() -> None:
    assert show(["one E", "N", "emy"], ["END"]) == (["one ", "", "ENemy", ""], False)


def test_a_prefix_at_the_very_end_is_shown() -> None:
    assert show(["one EN"], ["END"]) == (["one ", "EN"], False)


def test_the_stop_string_that_begins_first_wins_even_if_it_is_completed_later() -> None:
    assert show(["a", "b", "c"], ["abc", "b"]) == (["", "", ""], True)


def test_a_shorter_stop_string_inside_one_that_never_completes_still_ends_the_reply() -> None:
    assert show(["a", "b", "d"], ["abc", "b"]) == (["", "", "a"], True)
    assert show(["a", "b"], ["abc", "b"]) == (["", "", "a"], True)


def test_a_stop_string_that_overlaps_itself_is_found() -> None:
    assert show(list("xaaab"), ["aab"]) == (["x", "", "", "a", ""], True)


def test_nothing_is_shown_after_the_end() -> None:
    scanner = StopScanner(["."])
    assert scanner.push("a.b") == "a"
    assert scanner.push("c") == scanner.flush() == ""


@pytest.mark.parametrize(("stop", "text"), [("问：", "好的问:"), ("问:", "好的问："), ("!", "好的！")])
def test_full_width_and_half_width_punctuation_are_the_same(stop: str, text: str) -> None:
    assert show(list(text), [stop]) == (["好", "的"] + [""] * (len(text) - 2), True)


def test_any_text_in_any_pieces_is_cut_where_the_first_stop_string_begins() -> None:
    rng = random.Random(0)
    for _ in range(3000):
        text = "".join(rng.choices("abc", k=rng.randrange(12)))
        stops = ["".join(rng.choices("abc", k=rng.randint(1, 4))) for _ in range(rng.randint(0, 3))]
        pieces, rest = [], text
        while rest:
            size = rng.randint(1, len(rest))
            pieces.append(rest[:size])
            rest = rest[size:]
        shown, stopped = show(pieces, stops)
        assert "".join(shown) == cut(text, stops), (pieces, stops)
        assert stopped == (cut(text, stops) != text or any(stop in text for stop in stops))
