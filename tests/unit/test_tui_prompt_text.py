"""What a prompt can hold, and where its cursor may stand."""

from __future__ import annotations

import random
import unicodedata
from itertools import pairwise

import pytest
import regex
from rich.cells import cell_len

from tui.widgets.prompt_text import clean, column_at, cuts, is_typed, left_of, right_of, snap, tab_widths

FAMILY, FLAG, WAVE, BURNING = "👨‍👩‍👧‍👦", "🇨🇳", "👋🏽", "❤️‍🔥"


def characters(line: str) -> list[str]:
    column, found = 0, []
    while column < len(line):
        found.append(line[column : (column := right_of(line, column))])
    return found


@pytest.mark.parametrize(
    "line",
    [
        FAMILY,
        FLAG * 3,
        WAVE + "a" + BURNING,
        "e\u0301a\u0308x",
        "1️⃣2️⃣",
        "🏴󠁧󠁢󠁥󠁮󠁧󠁿!",
        "שָׁלוֹם",
        "مرحبا",
        "你好\u3000世界",
        "각a",
        "🏳️‍🌈🏳️",
    ],
)
def test_a_character_is_what_unicode_calls_one(line):
    assert characters(line) == regex.findall(r"\X", line)


def test_every_character_is_left_as_it_was_entered():
    line = f"a{FAMILY}{FLAG}{FLAG}e\u0301{WAVE}b"
    ends = [0, *(sum(map(len, characters(line)[: n + 1])) for n in range(len(characters(line))))]
    for start, end in pairwise(ends):
        assert (right_of(line, start), left_of(line, end)) == (end, start)
        assert all(snap(line, inside) == start for inside in range(start, end))


def test_what_has_no_width_at_the_beginning_goes_with_what_follows():
    assert characters("\u200bab") == ["\u200ba", "b"]
    assert characters("\u200b") == ["\u200b"]


def test_a_tab_stands_alone():
    assert characters("\u200b\t\u200ba") == ["\u200b", "\t", "\u200ba"]


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("a\r\nb\rc\x0bd\x0ce\x1cf\x85g\u2028h\u2029i", "a\nb\nc\nd\ne\nf\ng\nh\ni"),
        ("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x1b\\", "red link"),
        ("\x00\x07a\x1b\x7f\x9bb", "ab"),
        ("\u202eabc\u202c \u2066x\u2069", "abc x"),
        ("\ud83dx", "\ufffdx"),
        ("\u200da\u200db\u200d\u200d👩", "ab\u200d👩"),
        (f"{FAMILY} {BURNING}\tमर्‍या", f"{FAMILY} {BURNING}\tमर्‍या"),
    ],
)
def test_what_would_steer_the_terminal_is_taken_out(dirty, expected):
    assert clean(dirty) == expected


def test_a_cleaned_text_can_be_written_and_has_only_plain_line_ends():
    everything = "".join(map(chr, range(0x3100))) + "".join(map(chr, range(0xD7F0, 0xE010)))
    cleaned = clean(everything)
    assert cleaned.encode()
    assert cleaned.splitlines() == cleaned.split("\n")
    assert {c for c in cleaned if unicodedata.category(c) == "Cc"} == {"\t", "\n"}


@pytest.mark.parametrize(
    "character", ["a", "中", "\u3000", "\xa0", "\u200d", "\ufe0f", "\ue0b0", "\U0001fae9", "é", " "]
)
def test_what_keyboards_and_input_methods_type_is_text(character):
    assert is_typed(character)


@pytest.mark.parametrize(
    "character", [None, "", "\r", "\t", "\x1b", "\x7f", "\x9b", "\u202e", "\ud83d", "\u2028", "ab"]
)
def test_what_steers_is_no_text(character):
    assert not is_typed(character)


def shown_width(row: str, tab: int) -> int:
    """Counted cell by cell, as a terminal moves."""
    x = 0
    for part in regex.split("(\t)", row):
        x += tab - x % tab if part == "\t" else cell_len(part)
    return x


def test_rows_hold_every_character_whole_and_never_more_than_fits():
    pick = random.Random(1)
    pieces = [
        FAMILY,
        WAVE,
        FLAG,
        "e\u0301",
        "1️⃣",
        " ",
        "  ",
        "\t",
        "你",
        "好，",
        "「",
        "a",
        "bc",
        "long-word",
        "\u3000",
        "。",
        "مر",
    ]
    for _ in range(2000):
        line = "".join(pick.choices(pieces, k=pick.randrange(40)))
        width = pick.randrange(5, 30)
        offsets = cuts(line, width, 4)
        rows = [line[start:end] for start, end in pairwise((0, *offsets, len(line)))]
        assert list(offsets) == sorted({snap(line, offset) for offset in offsets})
        for row in rows[:-1]:
            assert shown_width(row, 4) <= width + row.endswith(" ")
        assert shown_width(rows[-1], 4) <= width
        assert len(tab_widths(line, offsets, 4)) == line.count("\t")


def test_chinese_after_english_goes_on_in_the_same_row():
    assert cuts("hello 你好你好你好你好", 12, 4) == (9,)


def test_no_row_begins_with_a_closing_mark():
    assert cuts("你好世界。再见", 8, 4) == (3,)


def test_a_place_in_a_row_is_the_character_that_is_drawn_there():
    line = f"a{FAMILY}你b"
    drawn = [0, 1, 1, 1 + len(FAMILY), 1 + len(FAMILY), 2 + len(FAMILY), 3 + len(FAMILY)]
    assert [column_at(line, x, 4) for x in range(7)] == drawn
    assert [column_at("\tx", x, 4) for x in range(6)] == [0, 0, 0, 0, 1, 2]
