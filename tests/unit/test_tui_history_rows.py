"""What stands in the history list, and how a row of it is painted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from rich.cells import cell_len
from rich.style import Style

from chatglm_slim_llm.storage import Conversation, Hit
from tui.language import use
from tui.widgets.history_paint import Look, cut, painted, title_of_row
from tui.widgets.history_rows import EmptyTrash, Folder, Heading, Line, Row, rows_found, rows_of

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
STYLES = {"found": Style(bold=True), "cursor": Style(reverse=True)}


@pytest.fixture(autouse=True)
def in_shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Days begin at 16:00 UTC."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def talk(title: str, touched: str = "2026-03-10T08:00", **fields: object) -> Conversation:
    moment = datetime.fromisoformat(touched).replace(tzinfo=UTC)
    return Conversation(
        id=abs(hash(title)) + 1, title=title, created_at=moment, updated_at=moment, head_id=None, **fields
    )


def outline(rows: list[Row]) -> list[str]:
    words = []
    for row in rows:
        match row:
            case Heading(text=text):
                words.append(f"# {text}")
            case Folder(name=name, count=count, is_open=is_open):
                words.append(f"{'-' if is_open else '+'} {name} {count}")
            case Line(conversation=one, depth=depth):
                words.append("  " * depth + one.title)
            case EmptyTrash(count=count):
                words.append(f"empty {count}")
    return words


def shown(row: Row, width: int, look: Look | None = None) -> list[str]:
    lines = painted(row, width, look or Look(), lambda name: STYLES.get(name, Style.null()))
    assert [cell_len(line.plain) for line in lines] == [width] * row.height
    return [line.plain for line in lines]


def bold(row: Row, width: int) -> list[str]:
    lines = painted(row, width, Look(), lambda name: STYLES.get(name, Style.null()))
    return [line.plain[span.start : span.end] for line in lines for span in line.spans if span.style == STYLES["found"]]


# --- what stands where


def test_days_are_those_of_the_local_calendar():
    talks = [
        talk("this morning", "2026-03-10T01:00"),
        talk("past midnight", "2026-03-09T16:00"),
        talk("before midnight", "2026-03-09T15:59"),
        talk("a week ago", "2026-03-03T08:00"),
        talk("three weeks ago", "2026-02-17T08:00"),
        talk("in January", "2026-01-31T16:00"),  # the first of February there, and more than 30 days ago
        talk("late in January", "2026-01-31T15:00"),
        talk("early in January", "2026-01-01T00:00"),
        talk("last year", "2025-12-31T15:00"),
        talk("years ago", "2019-05-05T00:00"),
    ]
    assert outline(rows_of(talks, "shown", set(), NOW)) == [
        *("# Today", "this morning", "past midnight"),
        *("# Yesterday", "before midnight"),
        *("# Previous 7 days", "a week ago"),
        *("# Previous 30 days", "three weeks ago"),
        *("# February", "in January"),
        *("# January", "late in January", "early in January"),
        *("# December 2025", "last year"),
        *("# May 2019", "years ago"),
    ]


def test_what_was_touched_after_now_belongs_to_today():
    assert outline(rows_of([talk("ahead", "2026-03-12T00:00")], "shown", set(), NOW)) == ["# Today", "ahead"]


def test_chinese_names_the_days_and_months():
    use("zh")
    try:
        talks = [talk("甲"), talk("乙", "2026-03-05T00:00"), talk("丙", "2025-11-11T00:00")]
        headings = outline(rows_of(talks, "shown", set(), NOW))[::2]
    finally:
        use("en")
    assert headings == ["# 今天", "# 过去 7 天", "# 2025年11月"]


def test_pinned_ones_come_first_then_folders_then_the_rest():
    talks = [
        talk("pinned in a folder", folder="work", is_pinned=True),
        talk("pinned", is_pinned=True),
        talk("new in work", folder="work"),
        talk("loose"),
        talk("in Alps", folder="Alps"),
        talk("old in work", "2020-01-01T00:00", folder="work"),
    ]
    assert outline(rows_of(talks, "shown", {"work"}, NOW)) == [
        *("# Pinned", "pinned in a folder", "pinned"),
        *("+ Alps 1", "- work 2", "  new in work", "  old in work"),
        *("# Today", "loose"),
    ]


def test_the_trash_is_by_the_day_of_deletion_and_can_be_emptied():
    talks = [
        talk("b", deleted_at=datetime(2026, 3, 9, 8, tzinfo=UTC), is_pinned=True),
        talk("a", "2020-01-01T00:00", deleted_at=datetime(2026, 3, 10, 8, tzinfo=UTC), folder="work"),
    ]
    assert outline(rows_of(talks, "trash", set(), NOW)) == ["empty 2", "# Today", "a", "# Yesterday", "b"]
    assert rows_of([], "trash", set(), NOW) == []


def test_groups_have_a_gap_above_them_but_the_first():
    rows = rows_of(
        [talk("p", is_pinned=True), talk("a", folder="A"), talk("b", folder="B"), talk("c")], "shown", (), NOW
    )
    assert [(type(row).__name__, row.height) for row in rows] == [
        *(("Heading", 1), ("Line", 1)),
        *(("Folder", 2), ("Folder", 1)),
        *(("Heading", 2), ("Line", 1)),
    ]


# --- how a row is painted


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("中文字", 5, "中文…"),
        ("中文字", 4, "中…"),
        ("ab cd", 4, "ab…"),
        ("👨‍👩‍👧👨‍👩‍👧", 3, "👨‍👩‍👧…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_text_is_cut_between_whole_characters(text, width, expected):
    assert cut(text, width) == expected


@pytest.mark.parametrize("title", ["", " \n", "\u200b\u200d", "\u202e"])
def test_a_title_with_nothing_to_see_has_a_name(title):
    assert title_of_row(title) == "Untitled"


def test_a_title_is_one_line_and_cannot_steer():
    assert title_of_row("a\n\tb\x1b[1m\u202ec") == "a b␛[1mc"


@pytest.mark.parametrize("in_words", [False, True])
@pytest.mark.parametrize("state", ["is_cursor", "is_hovered", "is_writing", "is_current"])
def test_every_row_is_as_wide_as_the_list(state, in_words):
    title = "👨‍👩‍👧 中文 and e\u0301 שלום to the end"
    one = talk(title)
    hit = Hit(one, 1, "…前面有一些文字 then the 旋转 words \u202e and\x1b more after it…", ((17, 19),))
    rows: list[Row] = [Heading(title), Folder(title, 12, True, height=2), EmptyTrash(1234), Line(one, depth=1)]
    for row in [*rows, *rows_found([hit], "x")]:
        for width in range(6, 40):
            shown(row, width, Look(**{state: True, "in_words": in_words}))


def test_what_was_found_is_in_view_however_narrow_the_list():
    excerpt = "…many words that stand before the needle and many that stand behind it…"
    start = excerpt.index("needle")
    [row] = rows_found([Hit(talk("t"), 1, excerpt, ((start, start + 6),))], "needle")
    for width in range(20, 90):
        assert bold(row, width) == ["needle"]


def test_a_word_in_a_title_stands_out_where_it_begins_and_chinese_anywhere():
    [row] = rows_found([Hit(talk("protocol of ROT 前言旋转"), 1, "x", ())], "rot 旋转")
    assert bold(row, 40) == ["ROT", "旋转"]


def test_a_title_that_alone_was_found_has_one_line_with_the_place_in_view():
    title = "a title that is long before it comes to the needle"
    start = title.index("needle")
    [row] = rows_found([Hit(talk(title), None, title, ((start, start + 6),))], "needle")
    assert row.height == 1
    assert bold(row, 28) == ["needle"]
