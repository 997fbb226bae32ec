"""The history pane: its list, its menu, and titles of all kinds, by keys and by the mouse."""

from __future__ import annotations

import pytest
from history_pane import in_chinese, listing, pane_over
from textual.widgets import Input, OptionList, TextArea

from chatglm_slim_llm.storage import ConversationStore
from tui.messages import ConversationChosen
from tui.screens.menu import Menu
from tui.widgets.history import HistoryLeft
from tui.widgets.history_list import HistoryList
from tui.widgets.history_search import HistorySearch

# --- the list


async def test_conversations_are_listed_below_their_day_and_enter_opens_the_marked_one(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        assert pane.shown == ["Today", "two", "one"]
        await pane.press("down", "enter")
        assert pane.app.asked == [ConversationChosen(pane.id_of("one"))]


async def test_a_click_opens(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        await pane.click("one")
        assert pane.app.asked == [ConversationChosen(pane.id_of("one"))]
        await pane.click("Today")
        assert len(pane.app.asked) == 1


async def test_an_empty_history_says_so_and_every_key_is_harmless(tmp_path):
    async with listing(tmp_path) as pane:
        assert pane.shown == ["No conversations yet"]
        await pane.press("up", "down", "pageup", "pagedown", "home", "end", "enter", "left", "right")
        await pane.press("r", "p", "m", "a", "d", "x", "space", "u")
        assert len(pane.app.screen_stack) == 1
        assert "nothing to take back" in pane.told


async def test_the_open_conversation_and_those_being_written_are_marked(tmp_path):
    async with listing(tmp_path, "three", "two", "one", current="two") as pane:
        pane.history.set_writing({pane.id_of("one")})
        lines = {line.strip("▎ ●"): line for line in pane.lines_of(pane.list)}
        assert [title for title, line in lines.items() if "▎" in line] == ["two"]
        assert [title for title, line in lines.items() if "●" in line] == ["one"]
        assert pane.marked == "two"


async def test_in_the_accessible_mode_words_stand_for_the_signs(tmp_path):
    async with listing(tmp_path, "three", "two", "one", current="two") as pane:
        pane.store.move(pane.id_of("three"), "Work")
        pane.app.add_class("-accessible")
        pane.history.set_writing({pane.id_of("one")})
        pane.history.show(pane.id_of("two"))
        await pane.pilot.pause()
        text = "\n".join(" ".join(line.split()) for line in pane.lines_of(pane.list))
        assert "Work, 1, closed" in text
        assert "> two open" in text
        assert "one writing" in text
        assert "[History]" in pane.screen
        assert not set("▎●▸▾╭│") & {cell for line in pane.screen.split("\n") for cell in line[:30]}


async def test_folders_open_and_close_by_keys_and_by_clicks(tmp_path):
    async with listing(tmp_path, "loose", "b", "a") as pane:
        for title in "ab":
            pane.store.move(pane.id_of(title), "Work")
        pane.history.show(None)
        await pane.press("home")
        assert [line.split() for line in pane.shown] == [["▸", "Work", "2"], ["Today"], ["loose"]]
        await pane.press("right")
        assert [line.split()[0] for line in pane.shown] == ["▾", "b", "a", "Today", "loose"]
        await pane.press("right", "down", "left")  # into it, then back to its name
        assert pane.marked.startswith("▾ Work")
        await pane.press("left")
        assert [line.split()[0] for line in pane.shown] == ["▸", "Today", "loose"]
        await pane.press("enter")
        assert "a" in pane.shown
        await pane.click("Work")
        assert "a" not in pane.shown
        assert pane.app.asked == []


async def test_the_folder_of_the_conversation_that_is_open_is_open(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        pane.store.move(pane.id_of("one"), "Work")
        pane.history.show(pane.id_of("one"))
        assert pane.marked == "one"
        await pane.press("left", "left")
        pane.history.show(pane.id_of("one"))  # closed by hand, it stays closed
        assert "one" not in pane.shown


async def test_escape_goes_back_to_the_prompt(tmp_path):
    async with listing(tmp_path, "one") as pane:
        await pane.press("escape")
        pane.history.focus_search()
        await pane.press("escape")
        assert pane.app.asked == [HistoryLeft(), HistoryLeft()]


# --- what happens elsewhere


@pytest.mark.long
async def test_the_mark_and_the_view_stay_when_another_process_adds_and_deletes(tmp_path):
    titles = [f"chat {number}" for number in range(100)]
    async with listing(tmp_path, *titles) as pane:
        await pane.mark("chat 40")
        before = pane.shown
        with ConversationStore.open(tmp_path / "history.db") as other:
            for number in range(5):
                other.create(f"new {number}")
            other.trash(pane.id_of("chat 99"))
        pane.history.show(None)
        await pane.pilot.pause()
        assert pane.marked == "chat 40"
        assert pane.shown == before
        await pane.press("home")
        assert pane.marked == "new 4"


async def test_when_the_marked_conversation_is_gone_the_next_one_is_marked(tmp_path):
    async with listing(tmp_path, "three", "two", "one") as pane:
        await pane.mark("two")
        pane.store.trash(pane.id_of("two"))
        pane.history.show(None)
        assert pane.marked == "one"
        pane.store.trash(pane.id_of("one"))
        pane.history.show(None)
        assert pane.marked == "three"


async def test_the_next_one_is_marked_though_headings_go_with_the_one_that_is_gone(tmp_path):
    async with listing(tmp_path, "two", "one", "pinned") as pane:
        pane.store.pin(pane.id_of("pinned"), True)
        pane.history.show(None)
        await pane.mark("pinned")
        await pane.press("d")
        assert pane.marked == "two"


async def test_the_mark_is_in_view_wherever_a_change_takes_it(tmp_path):
    async with listing(tmp_path, *[f"chat {number}" for number in range(60)]) as pane:
        await pane.press("end", "p")
        assert pane.marked == "chat 59"
        assert pane.shown[:2] == ["Pinned", "chat 59"]
        await pane.press("u")
        assert pane.marked == "chat 59"
        assert pane.shown[-1] == "chat 59"


async def test_the_wheel_scrolls_and_marks_nothing(tmp_path):
    async with listing(tmp_path, *[f"chat {number}" for number in range(60)]) as pane:
        pane.list.scroll_to(y=20, animate=False)
        await pane.pilot.pause()
        assert "chat 25" in pane.shown
        assert pane.marked == ""
        await pane.press("down")
        assert pane.marked == "chat 1"


async def test_a_new_conversation_is_seen_by_who_looks_at_the_top(tmp_path):
    async with listing(tmp_path, *[f"chat {number}" for number in range(50)]) as pane:
        pane.store.create("new")
        pane.history.show(None)
        assert pane.shown[:2] == ["Today", "new"]


# --- the menu and the mouse


async def test_the_menu_of_a_row_does_what_the_keys_do(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        await pane.click("one", button=3)
        assert isinstance(pane.app.screen, Menu)
        for label in ("Rename", "Pin", "Move to a folder", "Archive", "Export", "Delete"):
            assert label in pane.screen
        await pane.press("end", "enter")
        assert pane.titles("trash") == ["one"]
        await pane.press("space", "down", "enter")
        assert pane.shown == ["Pinned", "two"]
        await pane.press("space", "escape")
        assert len(pane.app.screen_stack) == 1


async def test_the_dots_of_the_row_below_the_mouse_open_its_menu(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        await pane.pilot.hover(HistoryList, offset=(5, 2))
        [dotted] = [line for line in pane.shown if "⋯" in line]
        assert dotted.startswith("one")
        await pane.click("one", x=pane.list.size.width - 2)
        assert isinstance(pane.app.screen, Menu)
        await pane.pilot.click(offset=(70, 25))
        await pane.pilot.pause()
        assert len(pane.app.screen_stack) == 1
        assert pane.app.asked == []
        await pane.pilot.hover(TextArea)
        assert not any("⋯" in line for line in pane.shown)


async def test_the_menu_stays_on_the_screen(tmp_path):
    async with listing(tmp_path, *[f"chat {number}" for number in range(40)], size=(40, 12)) as pane:
        await pane.press("end", "space")
        await pane.pilot.pause()
        region = pane.app.screen.query_one(OptionList).region
        assert pane.app.screen.region.contains_region(region)


async def test_a_title_that_is_cut_is_whole_in_its_tooltip(tmp_path):
    title = "a long title that goes on and on [b] until it is cut"
    async with listing(tmp_path, title, "short") as pane:
        await pane.pilot.hover(HistoryList, offset=(5, 1))
        assert str(pane.list.tooltip) == title
        await pane.pilot.hover(HistoryList, offset=(5, 2))
        assert pane.list.tooltip is None


# --- strange titles, sizes and languages

STRANGE = [
    "[bold]x[/] [/nope] [link=y]",
    "👨‍👩‍👧‍👦 family 🇨🇳 flag ✌🏽 and more of it to be cut somewhere",
    "שלום עולם — مرحبا بالعالم, and more of it to be cut",
    "\x1b[31mred\x07\u202eabc\u200b\x9b2J",
    "",
    "\u200b \u200d",
    "a\nb\r\n\tc",
    "e" + "\u0301" * 500,
    "全角字符的标题要在格子边界上正确地截断不能多也不能少",
    "x" * 1_000_000,
]


@pytest.mark.long
@pytest.mark.parametrize("size", [(20, 5), (40, 12), (80, 40), (200, 50)])
async def test_no_title_and_no_size_breaks_the_frame(tmp_path, size):
    async with listing(tmp_path, *STRANGE, size=size) as pane:
        for other in ((20, 5), (150, 50), size):
            await pane.pilot.resize_terminal(*other)
            await pane.press("home", "down", "down", "end")
            for y in range(pane.list.size.height):
                assert pane.list.render_line(y).cell_length == pane.list.size.width
            assert not set("\x1b\x07\x9b\u202e\n\t") & set("".join(pane.shown))
        for key in ("r", "m", "space", "d"):
            await pane.press(key)
            assert len(pane.screen.split("\n")) == size[1]
            await pane.press("escape")


async def test_titles_without_text_have_a_name(tmp_path):
    async with listing(tmp_path, "", "\u200b") as pane:
        assert pane.shown == ["Today", "Untitled", "Untitled"]


async def test_strange_words_can_be_searched_for(tmp_path):
    async with listing(tmp_path, *STRANGE) as pane:
        pane.history.focus_search()
        for words in ("[/nope]", "👨‍👩‍👧‍👦", "\u0301", "%_'\""):
            pane.history.query_one(HistorySearch).value = words
            await pane.until(lambda words=words: pane.history.query_one(HistorySearch).words == words)
            await pane.pilot.pause(0.2)
        assert pane.told == ""


async def test_a_million_letters_are_renamed_by_a_short_title(tmp_path):
    async with listing(tmp_path, "x" * 1_000_000) as pane:
        await pane.press("r")
        assert len(pane.app.screen.query_one(Input).value) == 200
        await pane.press("escape")
        assert len(pane.titles()[0]) == 1_000_000


async def test_the_pane_speaks_chinese(tmp_path):
    with in_chinese():
        async with listing(tmp_path, "一", "二") as pane:
            await pane.press("p", "down", "d", "space")
            text = pane.screen
            for words in ("搜索", "历史", "归档", "回收站", "置顶"):
                assert words in text.replace(" ", "")
            assert "已移到回收站" in pane.told


async def test_a_thousand_conversations_make_no_widgets(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        for number in range(1000):
            store.create(f"chat {number}")
        async with pane_over(store) as pane:
            assert len(pane.app.screen.query("*")) < 15
            assert pane.list.virtual_size.height == 1001
            await pane.press("end")
            assert pane.marked == "chat 0"
            await pane.press("pageup", "pageup", "pagedown", "pagedown")
            assert pane.marked == "chat 0"
