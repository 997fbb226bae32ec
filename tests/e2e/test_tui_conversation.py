"""The conversation in a running app: reading, keys, mouse, finding, selecting, at any size."""

from __future__ import annotations

import pytest
from textual.app import App
from textual.geometry import Offset
from textual.selection import Selection

from chatglm_slim_llm.storage import Source
from tui.messages import CitationChosen, MessageAsked
from tui.widgets.conversation import Conversation, Entry, LinkChosen
from tui.widgets.find_bar import FindBar

ANSWER = """# 标题

Hello **world**, see [1] and [the page](https://example.com/a).

```python
def f(x):
    return x + 1
```

- first
- second

```
plain
```

| name | 值 |
|---|--:|
| a | 1 |
"""
SOURCES = (Source(1, "p", "/docs/guide.pdf", "words", page=3, heading="安装"),)


class ChatLike(App[None]):
    """One conversation with its find bar, and all that it says."""

    def __init__(self) -> None:
        super().__init__()
        self.conversation = Conversation(id="conversation")
        self.heard: list[object] = []

    def compose(self):
        yield self.conversation
        yield FindBar(self.conversation, id="find")

    def on_message_asked(self, event: MessageAsked) -> None:
        self.heard.append((event.action, event.message_id))

    def on_citation_chosen(self, event: CitationChosen) -> None:
        self.heard.append(("citation", event.message_id, event.number))

    def on_link_chosen(self, event: LinkChosen) -> None:
        self.heard.append(event.url)


def rows(app: App[None]) -> list[str]:
    """The screen as text."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def entries(count: int) -> list[Entry]:
    return [
        Entry(idx, "user" if idx % 2 else "assistant", f"message {idx}\n\nsome text {idx}")
        for idx in range(1, count + 1)
    ]


def spot(app: App[None], text: str) -> tuple[int, int]:
    """Where some text of one cell a character stands on the screen."""
    y, row = next((y, row) for y, row in enumerate(rows(app)) if text in row)
    from rich.cells import cell_len

    return cell_len(row[: row.index(text)]), y


async def click(app, pilot, text: str) -> None:
    await pilot.click(offset=spot(app, text))
    await pilot.pause()


async def shown(app, pilot, *what: Entry, **options) -> Conversation:
    app.conversation.show(what, **options)
    app.conversation.focus()
    await pilot.pause()
    return app.conversation


async def test_a_message_is_shown_with_all_that_belongs_to_it():
    app = ChatLike()
    async with app.run_test(size=(80, 50)) as pilot:
        question = Entry(1, "user", "你好\nsecond", attachments=("report.pdf", "数据.csv"))
        answer = Entry(2, "assistant", ANSWER, variant=(2, 3), sources=SOURCES, figures="128 tokens", note="■ stopped")
        await shown(app, pilot, question, answer)
        screen = "\n".join(rows(app))
        for words in ("▌  report.pdf   数据.csv", "▌ 你好", "▌ second", "python  copy", "• first", "■ stopped"):
            assert words in screen
        assert "[1] guide.pdf · page 3 · 安装" in screen
        assert "‹ 2/3 ›   128 tokens" in screen


async def test_a_long_conversation_is_read_only_where_it_is_seen():
    app = ChatLike()
    async with app.run_test(size=(80, 24)) as pilot:
        conversation = await shown(app, pilot, *entries(5_000))
        assert "some text 5000" in "\n".join(rows(app))
        assert len(conversation._layout._views) < 30
        await pilot.press("home")
        assert "message 1" in rows(app)[1]
        await pilot.press("end")
        assert "some text 5000" in "\n".join(rows(app))


async def test_scrolling_down_and_up_again_shows_every_row_once():
    app = ChatLike()
    long = Entry(9, "assistant", "\n\n".join(f"paragraph {idx} " + "word " * (idx % 40) for idx in range(60)))
    async with app.run_test(size=(60, 12)) as pilot:
        conversation = await shown(app, pilot, *entries(10), long, *entries(4))
        await pilot.press("home")
        seen = []
        while not conversation.is_vertical_scroll_end:
            seen.append(rows(app)[1][:58].rstrip())
            conversation.scroll_down()
        assert [row.split()[1] for row in seen if "paragraph" in row] == [str(idx) for idx in range(60)]
        for expected in reversed(seen):
            conversation.scroll_up()
            assert rows(app)[1][:58].rstrip() == expected


async def test_the_end_is_followed_only_while_the_reader_is_there():
    app = ChatLike()
    async with app.run_test(size=(80, 20)) as pilot:
        conversation = await shown(app, pilot, *entries(40), Entry(99, "assistant", "", growing=True))
        conversation.grow(99, "one\n\ntwo")
        await pilot.pause(0.3)
        assert "two" in rows(app)[-2]
        await pilot.press("pageup")
        before = [row[:79].rstrip() for row in rows(app)[:-1]]
        for _ in range(5):
            conversation.grow(99, "\n\nmore")
            await pilot.pause(0.1)
        assert [row[:79].rstrip() for row in rows(app)[:-1]] == before
        assert not conversation.is_following
        await click(app, pilot, "new text below")
        assert conversation.is_following
        assert "more" in rows(app)[-2]
        assert "new text below" not in "\n".join(rows(app))


async def test_a_message_is_opened_in_the_upper_third_with_the_words_marked():
    app = ChatLike()
    async with app.run_test(size=(80, 31)) as pilot:
        conversation = await shown(app, pilot, *entries(200), at=100, words="text 100")
        y = next(y for y, row in enumerate(rows(app)) if "some text 100" in row)
        assert 5 < y < 20
        assert not conversation.is_following
        assert conversation.cursor_id == 100
        assert conversation.found[1] > 0


async def test_the_cursor_goes_from_message_to_message_and_keys_act_there():
    app = ChatLike()
    async with app.run_test(size=(80, 24)) as pilot:
        conversation = await shown(app, pilot, Entry(1, "user", "q"), Entry(2, "assistant", "a"), Entry(3, "user", "r"))
        await pilot.press("r", "e")
        assert app.heard == [("regenerate", 2), ("edit", 3)]
        app.heard.clear()
        await pilot.press("[", "[")
        assert conversation.cursor_id == 2
        assert "┃ a" in rows(app)[3]
        await pilot.press("c", "e", "f", "left", "right", "enter", "[", "c", "]", "]", "]", "c")
        assert app.heard == [
            *(("copy", 2), ("edit", 1), ("fork", 2), ("previous_variant", 2), ("next_variant", 2), ("sources", 2)),
            *(("copy", 1), ("copy", 3)),
        ]


async def test_a_cursor_out_of_view_is_brought_into_view():
    app = ChatLike()
    async with app.run_test(size=(80, 12)) as pilot:
        conversation = await shown(app, pilot, *entries(50))
        for _ in range(20):
            await pilot.press("[")
        assert conversation.cursor_id == 31
        assert "message 31" in "\n".join(rows(app))


async def test_what_can_be_clicked_does_what_it_says():
    app = ChatLike()
    async with app.run_test(size=(80, 50)) as pilot:
        answer = Entry(2, "assistant", ANSWER, variant=(2, 3), sources=SOURCES)
        conversation = await shown(app, pilot, Entry(1, "user", "q"), answer)
        await click(app, pilot, "[1] and")
        await click(app, pilot, "[1] guide")
        await click(app, pilot, "the page")
        await click(app, pilot, "‹")
        await click(app, pilot, "›")
        await click(app, pilot, "copy")
        assert app.clipboard == "def f(x):\n    return x + 1"
        assert app.heard == [
            *(("citation", 2, 1), ("citation", 2, 1), "https://example.com/a"),
            *(("previous_variant", 2), ("next_variant", 2)),
        ]
        await click(app, pilot, "first")
        assert conversation.cursor_id == 2
        await pilot.hover(offset=spot(app, "the page"))
        assert conversation.styles.pointer == "pointer"
        await pilot.hover(offset=spot(app, "first"))
        assert conversation.styles.pointer == "default"


async def test_a_link_that_is_no_web_page_cannot_be_clicked():
    app = ChatLike()
    async with app.run_test(size=(80, 10)) as pilot:
        await shown(app, pilot, Entry(2, "assistant", "[here](file:///etc/passwd) [there](javascript:x)"))
        await click(app, pilot, "here")
        await click(app, pilot, "there")
        assert app.heard == []


async def test_blocks_of_code_are_copied_one_after_the_other():
    app = ChatLike()
    async with app.run_test(size=(80, 50)) as pilot:
        conversation = await shown(app, pilot, Entry(2, "assistant", ANSWER))
        copied = []
        for _ in range(3):
            await pilot.press("y")
            copied.append(app.clipboard)
        assert copied == [*conversation.code_blocks(2), "def f(x):\n    return x + 1"]
        assert conversation.code_blocks(2) == ["def f(x):\n    return x + 1", "plain"]


async def test_words_are_found_everywhere_and_stepped_through():
    app = ChatLike()
    async with app.run_test(size=(80, 20)) as pilot:
        conversation = await shown(
            app, pilot, *entries(300), Entry(999, "assistant", "天气 Weather 天气", growing=True)
        )
        assert conversation.find("天气") == 2
        assert conversation.find("TEXT 7") == 11  # 7 and 70 to 79
        conversation.find_step(1)
        await pilot.pause()
        assert conversation.found == (2, 11)
        assert "some text 70" in "\n".join(rows(app))
        conversation.find_step(-2)
        await pilot.pause()
        assert conversation.found == (11, 11)
        assert "some text 79" in "\n".join(rows(app))
        conversation.grow(999, " some text 7")
        await pilot.pause(0.2)
        assert conversation.found == (11, 12)
        conversation.end_find()
        assert conversation.found == (0, 0)


@pytest.mark.parametrize(
    "source",
    [
        "needle\n\n" + "x " * 30_000 + "needle",
        "```py\n" + "line\n" * 300 + "needle\n```\nneedle",
        "| a |\n|---|\n" + "| b |\n" * 300 + "| needle |\n",
        "- x\n" * 300 + "- needle\n",
    ],
)
async def test_a_hit_far_down_in_a_long_message_is_gone_to(source):
    app = ChatLike()
    async with app.run_test(size=(80, 20)) as pilot:
        conversation = await shown(app, pilot, *entries(5), Entry(99, "assistant", source), *entries(5))
        count = conversation.find("needle")
        for _ in range(count):
            assert "needle" in "\n".join(rows(app))
            conversation.find_step(1)
            await pilot.pause()


async def test_the_find_bar_counts_steps_and_closes():
    app = ChatLike()
    async with app.run_test(size=(80, 20)) as pilot:
        conversation = await shown(app, pilot, *entries(100))
        bar = app.query_one(FindBar)
        bar.open()
        await pilot.press(*"text 1")
        await pilot.pause(0.3)
        assert "1/12" in rows(app)[-1] or "12/12" in rows(app)[-1]
        first = conversation.found[0]
        await pilot.press("enter")
        assert conversation.found[0] == first % 12 + 1
        await pilot.press("shift+enter")
        assert conversation.found[0] == first
        await click(app, pilot, "↓")
        assert conversation.found[0] == first % 12 + 1
        await pilot.press("z")
        await pilot.pause(0.3)
        assert "not found" in rows(app)[-1]
        await pilot.press("escape")
        assert not bar.is_open
        assert conversation.has_focus
        assert conversation.found == (0, 0)


async def test_a_search_that_goes_nowhere_leaves_the_view_as_it_was():
    app = ChatLike()
    async with app.run_test(size=(80, 20)) as pilot:
        conversation = await shown(app, pilot, *entries(100))
        await pilot.press("pageup", "pageup")
        before = rows(app)
        conversation.find("message 3")
        await pilot.pause()
        assert rows(app) != before
        conversation.end_find()
        await pilot.pause()
        assert rows(app) == before


async def test_selected_text_is_what_was_said():
    app = ChatLike()
    said = "a long sentence that goes on and on until it is cut for the screen"
    source = f"{said}\n\n- item one\n\n```py\nx = 1\n    y = 2\n```"
    async with app.run_test(size=(40, 30)) as pilot:
        conversation = await shown(app, pilot, Entry(2, "assistant", source))
        everything = Selection(Offset(0, 0), Offset(40, conversation.virtual_size.height))
        copied, _ = conversation.get_selection(everything)
        assert copied == f"{said}\n\n• item one\n\nx = 1\n    y = 2"
        await pilot.click(offset=spot(app, "item"))
        conversation.text_select_all()  # what Textual calls at a double click
        assert app.screen.get_selected_text() == copied


async def test_resizing_and_themes_keep_the_place_of_the_reader():
    app = ChatLike()
    async with app.run_test(size=(100, 30)) as pilot:
        conversation = await shown(app, pilot, *entries(300))
        for _ in range(5):
            await pilot.press("pageup")
        top = conversation.top_id
        await pilot.resize_terminal(40, 20)
        app.theme = "textual-light"
        await pilot.pause()
        assert conversation.top_id == top
        await pilot.resize_terminal(100, 30)
        await pilot.press("end")
        await pilot.resize_terminal(30, 10)
        await pilot.pause()
        assert "some text 300" in "\n".join(rows(app))


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (3, 2), (200, 60)])
async def test_nothing_strange_breaks_it_at_any_size(size):
    app = ChatLike()
    strange = [
        "👨‍👩‍👧‍👦👍🏽🇨🇳❤️é\u0301 مرحبا بالعالم \x1b[31mred\x1b[0m \u200b\u202e\ud800 \t tab\r\nend",
        *("[" * 20_000, "*" * 20_000, "`" * 20_000, "> " * 200 + "x", "- " * 100 + "x", "|" * 2_000, ""),
        "```\n" + "x" * 5_000 + "\n```",
    ]
    async with app.run_test(size=size) as pilot:
        messages = [Entry(idx, role, text) for idx, text in enumerate(strange) for role in ("user", "assistant")]
        conversation = await shown(app, pilot, *messages)
        await pilot.press("home", "pagedown", "[", "]", "pageup", "end")
        conversation.find("x")
        await pilot.pause()
        painted = "".join(rows(app))
        assert "\x1b" not in painted
        assert "\ud800" not in painted


async def test_in_the_accessible_mode_words_say_what_signs_said():
    app = ChatLike()
    async with app.run_test(size=(80, 50)) as pilot:
        app.add_class("-accessible")
        answer = Entry(2, "assistant", ANSWER + "\n> quoted\n\n---\n", variant=(2, 3), is_error=True, note="It failed.")
        conversation = await shown(app, pilot, Entry(1, "user", "q", attachments=("a.txt",)), answer)
        await pilot.press("[")
        screen = "\n".join(rows(app))
        for words in (
            "You:",
            "Assistant:",
            "Attached: a.txt",
            "name: a",
            "值: 1",
            "Version 2 of 3",
            "> quoted",
            "python:",
        ):
            assert words in screen
        assert not set(screen) & set("│─┼▌┃▎•‹›✗❯↓")
        app.remove_class("-accessible")
        await pilot.pause()
        assert conversation.cursor_id == 2
        assert "Assistant:" not in "\n".join(rows(app))


async def test_every_key_has_a_name_and_an_explanation():
    for binding in [*Conversation.BINDINGS, *FindBar.BINDINGS]:
        assert binding.id
        assert binding.tooltip
