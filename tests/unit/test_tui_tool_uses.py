"""A tool's use in words."""

from __future__ import annotations

import pytest
from rich.style import Style

from chatglm_slim_llm.hosting.assistant import ToolUse
from tui.markdown import Look, Palette
from tui.tool_uses import call_line, in_full, is_failed, mark, result_line
from tui.widgets.conversation_entry import Entry, EntryView, ToolLines


def use(arguments: dict[str, object], result: str = "", state: str = "done") -> ToolUse:
    return ToolUse("1", "weather", arguments, state, result)  # type: ignore[arg-type]


def look(*, is_plain: bool = False) -> Look:
    names = ("heading", "code", "code_block", "link", "muted", "error", "found", "found_now")
    return Look(Palette(**dict.fromkeys(names, Style()), code_theme="monokai", is_plain=is_plain), {}, frozenset())


def test_a_call_is_one_line_whatever_its_arguments_hold():
    assert call_line(use({"city": "北京", "days": 3, "at": ["a", None]})) == 'weather city="北京" days=3 at=["a", null]'
    assert "\n" not in call_line(use({"a\nb": "x\ny\x1b[31m"}))
    assert len(call_line(use({"text": "word " * 100_000}))) < 300


def test_a_result_is_its_beginning_on_one_line_and_a_state_where_there_is_none():
    assert result_line(use({}, "12 °C\n\nrain")) == "12 °C rain"
    assert len(result_line(use({}, "x" * 1_000_000))) <= 200
    assert [result_line(use({}, "", state)) for state in ("asked", "running", "refused", "done")] == [
        "asks to be used",
        "runs",
        "refused",
        "",
    ]


def test_what_was_refused_is_said_in_the_language_of_the_person():
    assert result_line(use({}, "the person did not allow this; do without it", "refused")) == "refused"


def test_what_was_stopped_has_not_failed():
    stopped = use({}, "", "failed")
    assert (mark(stopped), result_line(stopped), is_failed(stopped)) == ("■", "stopped", False)
    broke = use({}, "no network", "failed")
    assert (mark(broke), result_line(broke), is_failed(broke)) == ("✗", "no network", True)


def test_no_text_of_an_argument_looks_like_another_argument():
    shown = in_full({"command": "rm x\npath: /safe", "n": {"path": "/y"}}).split("\n")
    assert [line for line in shown if not line.startswith(" ")] == ["command: ", "n: "]
    assert "    path: /safe" in shown


def test_what_could_steer_the_terminal_is_made_visible():
    shown = in_full({"a\x1b]0;": "b\x07\u202ec"})
    assert not any(character in shown for character in "\x1b\x07\u202e")


def test_all_of_a_value_is_there():
    assert in_full({"text": "word " * 1000}).count("word") == 1000
    assert in_full({}) == "without arguments"


@pytest.mark.parametrize("width", [1, 8, 30, 80])
def test_each_use_is_one_row_that_fits(width):
    uses = (use({"city": "北京" * 40}, "风和日丽" * 40), use({}, "", "running"), use({"x": 1}, "no", "failed"))
    for is_plain in (False, True):
        rows = ToolLines(uses).draw(width, look(is_plain=is_plain))
        assert len(rows) == 3
        assert all(row.text.cell_len <= max(width, 1) for row in rows)


def test_the_arguments_are_cut_before_the_result():
    [row] = ToolLines((use({"text": "long " * 30}, "391"),)).draw(40, look())
    assert row.text.plain.endswith("→ 391")
    assert row.text.plain.startswith("✓ weather")


def test_without_signs_the_state_is_a_word():
    [row] = ToolLines((use({}, "391"),)).draw(60, look(is_plain=True))
    assert row.text.plain == "Tool (done): weather: 391"
    [row] = ToolLines((use({}, "", "running"),)).draw(60, look(is_plain=True))
    assert row.text.plain == "Tool (runs): weather"


def test_the_lines_are_drawn_once_while_the_reply_grows():
    entry = Entry(1, "assistant", "a", growing=True, uses=(use({}),))
    view = EntryView(entry)
    view.read(is_plain=False)
    first = view.segments[0]
    entry.text = "a b"
    view.read(is_plain=False)
    assert view.segments[0] is first
    entry.uses = (*entry.uses, use({}))
    view.read(is_plain=False)
    assert view.segments[0] is not first
