"""The prompt by its keys, mounted alone below something to read."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual import events
from textual.app import App, ComposeResult
from textual.drivers.headless_driver import HeadlessDriver
from textual.message import Message
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static
from waiting import wait_until

from chatglm_slim_llm.storage import Attachment
from tui.commands import COMMANDS
from tui.language import use
from tui.messages import CommandGiven, PromptEdited, PromptSubmitted
from tui.widgets import prompt
from tui.widgets.prompt import LONGEST_TEXT, AttachAsked, MessagesWanted, PromptBox
from tui.widgets.prompt_area import PromptArea
from tui.widgets.prompt_chips import Chips
from tui.widgets.prompt_commands import Completions

FAMILY = "👨‍👩‍👧"


class Chat(Screen[None]):
    """Takes what the prompt posts."""

    def __init__(self, told: list[Message]) -> None:
        super().__init__()
        self.told = told

    def compose(self) -> ComposeResult:
        yield Static("conversation\n" * 50, id="conversation")
        yield PromptBox(id="prompt")

    def on_mount(self) -> None:
        self.query_one(PromptBox).focus()

    def _take(self, message: Message) -> None:
        self.told.append(message)

    on_prompt_submitted = on_prompt_edited = on_command_given = on_attach_asked = on_messages_wanted = _take

    def action_read(self, pages: int) -> None:
        self.told.append(Read(pages))


@dataclass
class Read(Message):
    pages: int


class TestApp(App[None]):
    __test__ = False
    CSS = "#conversation { height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Message] = []

    def on_mount(self) -> None:
        self.push_screen(Chat(self.told))


@dataclass
class Typing:
    """A person at the prompt."""

    app: TestApp
    pilot: Pilot[None]
    told_before: list[Message] = field(default_factory=list)

    @property
    def box(self) -> PromptBox:
        return self.app.screen.query_one(PromptBox)

    @property
    def area(self) -> PromptArea:
        return self.app.screen.query_one(PromptArea)

    @property
    def offered(self) -> list[str]:
        completions = self.app.screen.query_one(Completions)
        return [option.id or "" for option in completions.options] if completions.display else []

    def told(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.app.told if type(message) is kind]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        await self.burst(*letters(text))

    async def burst(self, *keys: events.Key | events.Paste) -> None:
        """All at once, as a fast hand or a slow connection has them."""
        for key in keys:
            self.app.post_message(key)
        await self.pilot.pause()
        await self.pilot.pause()

    async def paste(self, text: str) -> None:
        await self.burst(events.Paste(text))

    def lines(self) -> list[str]:
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def hint(self) -> str:
        return self.lines()[-1].strip()


def key(name: str, character: str | None = None) -> events.Key:
    return events.Key(name, character)


def letters(text: str) -> list[events.Key]:
    return [key(letter, letter) for letter in text]


@asynccontextmanager
async def typing(size: tuple[int, int] = (80, 24), *, is_accessible: bool = False) -> AsyncIterator[Typing]:
    app = TestApp()
    app.set_class(is_accessible, "-accessible")
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield Typing(app, pilot)


@contextmanager
def chinese() -> Iterator[None]:
    use("zh")
    try:
        yield
    finally:
        use("en")


# --- sending


async def test_enter_hands_over_the_text_and_keys_wait_until_it_is_taken(monkeypatch):
    monkeypatch.setattr(prompt, "_TAKEN_S", 60)
    async with typing() as person:
        await person.burst(
            *letters("hi"), key("enter"), *letters("mo"), events.Paste("re"), key("enter"), *letters("x")
        )
        assert person.told(PromptSubmitted) == [PromptSubmitted("hi")]
        assert person.box.text == "hi"  # whoever takes it clears it
        person.box.clear()
        await person.type("y")
        assert person.told(PromptSubmitted)[1:] == [PromptSubmitted("more")]
        person.box.clear()
        await person.type("z")
        assert person.box.text == "xyz"


async def test_a_prompt_that_is_not_taken_stays_and_can_be_changed(monkeypatch):
    monkeypatch.setattr(prompt, "_TAKEN_S", 0.01)
    async with typing() as person:
        await person.burst(*letters("a"), key("enter"), *letters("b"))
        await person.pilot.pause(0.05)
        assert person.box.text == "ab"
        await person.burst(key("enter"), *letters("c"))
        person.box.keep()
        await person.pilot.pause()
        assert person.box.text == "abc"
        person.box.clear()
        assert person.box.text == ""


@pytest.mark.parametrize("new_line", ["ctrl+j", "shift+enter", "alt+enter", "shift+\r"])
async def test_a_new_line_does_not_send(new_line):
    async with typing() as person:
        await person.burst(*letters("a"), key(new_line), *letters("b"))
        assert person.box.text == "a\nb"
        await person.press("enter")
        assert person.told(PromptSubmitted) == [PromptSubmitted("a\nb")]


async def test_an_empty_prompt_sends_nothing():
    async with typing() as person:
        await person.press("enter", "space", "ctrl+j", "enter")
        assert person.told(PromptSubmitted) == []


async def test_keys_act_in_the_order_they_were_pressed():
    async with typing() as person:
        await person.burst(
            *letters("abx"), key("backspace"), *letters("d"), key("left"), *letters("c"), key("end"), *letters("e")
        )
        assert person.box.text == "abcde"
        await person.burst(*letters("!"), key("enter"))
        assert person.told(PromptSubmitted) == [PromptSubmitted("abcde!")]


async def test_what_an_input_method_types_is_all_there():
    typed = f"你好\u3000世界，{FAMILY}\xa0\U0001fae9é"
    async with typing() as person:
        await person.burst(*(key("x", letter) for letter in typed))
        assert person.box.text == typed
        assert person.area.cursor_location == (0, len(typed))


async def test_keys_with_alt_type_nothing():
    async with typing() as person:
        await person.burst(key("alt+q", "q"), *letters("a"))
        assert person.box.text == "a"


async def test_keys_can_be_given_another_meaning():
    async with typing() as person:
        person.app.set_keymap({"prompt.send": "ctrl+enter", "prompt.new_line": "enter"})
        await person.press("a", "enter", "b")
        assert person.told(PromptSubmitted) == []
        await person.press("ctrl+enter")
        assert person.told(PromptSubmitted) == [PromptSubmitted("a\nb")]


async def test_what_is_typed_is_told_once_the_keyboard_rests(monkeypatch):
    monkeypatch.setattr(prompt, "_LONGEST_WORK_S", 600)
    monkeypatch.setattr(prompt, "_REST_S", 600)
    async with typing() as person:
        await person.type("hello")
        assert person.told(PromptEdited) == []
        monkeypatch.setattr(prompt, "_REST_S", 0.01)
        await person.type("!")
        await wait_until(person.pilot, lambda: person.told(PromptEdited))
        assert person.told(PromptEdited) == [PromptEdited("hello!")]


async def test_typing_without_a_rest_is_told_all_the_same(monkeypatch):
    monkeypatch.setattr(prompt, "_LONGEST_WORK_S", 0.2)
    monkeypatch.setattr(prompt, "_REST_S", 0.15)
    async with typing() as person:
        for number in range(12):
            person.box.text = "x" * (number + 1)
            await person.pilot.pause(0.05)
        assert person.told(PromptEdited)
        assert len(person.told(PromptEdited)[0].text) < 12


# --- pastes and files


async def test_a_paste_is_one_piece_that_never_sends_and_one_step_to_undo():
    async with typing() as person:
        await person.type("a")
        await person.paste("1\r\n2\r3\n")
        assert person.box.text == "a1\n2\n3\n"
        assert person.told(PromptSubmitted) == []
        await person.press("ctrl+z")
        assert person.box.text == "a"
        await person.press("alt+z")
        assert person.box.text == "a1\n2\n3\n"


async def test_letters_after_a_paste_come_after_it():
    async with typing() as person:
        await person.burst(*letters("a"), events.Paste("bc"), *letters("d"))
        assert person.box.text == "abcd"


async def test_a_paste_too_long_to_edit_is_attached_whole():
    text = "第一行 line\n" * 70_000
    async with typing() as person:
        await person.paste(text.replace("\n", "\r"))
        assert person.box.attachments == (Attachment("Pasted text", text),)
        assert person.box.text == ""
        assert any("Pasted text 1.1 MB ×" in line for line in person.lines())
        assert "Backspace removes it" in person.hint
        await person.paste(text[: LONGEST_TEXT + 1])
        assert [each.name for each in person.box.attachments] == ["Pasted text", "Pasted text 2"]
        await person.type("sum it up")
        assert "Backspace" not in person.hint
        await person.press("enter")
        assert person.told(PromptSubmitted) == [PromptSubmitted("sum it up", person.box.attachments)]


async def test_attachments_alone_are_not_sent():
    async with typing() as person:
        person.box.attach(Attachment("a.txt", "x"))
        await person.press("enter")
        assert person.told(PromptSubmitted) == []
        assert "attachments" in person.hint


async def test_a_dropped_file_is_attached_and_a_path_in_a_sentence_is_text(tmp_path):
    path = tmp_path / "my file.txt"
    path.write_text("x")
    async with typing() as person:
        await person.paste(f"'{path}'")
        await person.paste(path.as_uri())
        assert person.told(AttachAsked) == [AttachAsked(path), AttachAsked(path)]
        assert person.box.text == ""
        await person.paste(f"look at {path}")
        assert person.box.text == f"look at {path}"


async def test_what_was_cut_can_be_pasted_again():
    async with typing() as person:
        await person.type("cut me")
        await person.press("f7", "ctrl+x", "ctrl+v", "ctrl+v")
        assert person.box.text == "cut mecut me"


# --- attachments


async def test_backspace_in_an_empty_prompt_removes_the_last_attachment():
    async with typing() as person:
        person.box.attach(Attachment("a.txt", "x"), Attachment("b.txt", "y" * 2500))
        await person.press("q", "backspace")
        assert any("a.txt 1 B ×" in line and "b.txt 2.5 kB ×" in line for line in person.lines())
        await person.press("backspace")
        assert [each.name for each in person.box.attachments] == ["a.txt"]
        await person.press("backspace", "backspace")
        assert person.box.attachments == ()
        assert not person.app.screen.query_one(Chips).display


async def test_any_attachment_can_be_removed_by_keys_and_by_mouse():
    async with typing() as person:
        person.box.attach(*(Attachment(f"{name}.txt", "x") for name in "abcd"))
        await person.press("shift+tab", "right", "delete")
        assert [each.name for each in person.box.attachments] == ["a.txt", "c.txt", "d.txt"]
        y = next(y for y, line in enumerate(person.lines()) if "a.txt" in line)
        x = person.lines()[y].index("×")
        await person.pilot.click(offset=(x - 6, y))
        assert len(person.box.attachments) == 3  # on the name, which removes nothing
        await person.pilot.click(offset=(x, y))
        assert [each.name for each in person.box.attachments] == ["c.txt", "d.txt"]
        await person.press("delete", "backspace")
        assert person.app.focused is person.area


async def test_of_many_attachments_the_chosen_one_is_seen():
    async with typing((40, 24)) as person:
        person.box.attach(*(Attachment(f"number {number}.txt", "x") for number in range(20)))
        await person.pilot.pause()
        assert "number 19.txt" in "\n".join(person.lines())
        await person.press("shift+tab")
        assert "number 0.txt" in "\n".join(person.lines())
        await person.press("left")
        assert "number 19.txt" in "\n".join(person.lines())
        assert sum("number" in line for line in person.lines()) == 3


async def test_escape_goes_from_the_attachments_back_to_the_text():
    async with typing() as person:
        person.box.attach(Attachment("a.txt", "x"))
        await person.press("shift+tab", "escape", "x")
        assert person.box.text == "x"


async def test_a_file_attached_again_takes_the_place_of_the_old_one():
    async with typing() as person:
        path = Path("/tmp/a.txt")
        person.box.attach(Attachment("a.txt", "old", path), Attachment("b", "x"))
        person.box.attach(Attachment("a.txt", "new", path))
        assert [each.text for each in person.box.attachments] == ["x", "new"]


async def test_a_name_that_would_steer_the_terminal_is_shown_harmless():
    async with typing() as person:
        person.box.attach(Attachment("[b]\x1b[31m\u202e名字" + "长" * 100, "x"), Attachment("\n", "x"))
        await person.pilot.pause()
        shown = "\n".join(person.lines())
        assert "[b] [31m 名字长" in shown
        assert "\x1b" not in shown
        assert "no name" in shown


# --- slash commands


async def test_commands_are_offered_as_one_types_and_completed():
    async with typing() as person:
        await person.type("/")
        assert person.offered == [command.name for command in COMMANDS]
        await person.type("fi")
        assert person.offered == ["find"]
        await person.press("tab")
        assert (person.box.text, person.offered) == ("/find ", [])
        assert "TEXT" in person.hint
        await person.type("two words")
        await person.press("enter")
        assert person.told(CommandGiven) == [CommandGiven("find", "two words")]
        assert person.box.text == ""


async def test_enter_completes_first_and_then_gives_the_command():
    async with typing() as person:
        await person.type("/mod")
        await person.press("enter")
        assert (person.box.text, person.told(CommandGiven)) == ("/model", [])
        await person.press("enter")
        assert person.told(CommandGiven) == [CommandGiven("model", "")]


async def test_arrows_choose_among_the_commands_and_the_mouse_does_too():
    async with typing() as person:
        await person.type("/copy")
        assert person.offered == ["copy", "copycode", "copyall"]
        await person.press("down", "enter")
        assert person.box.text == "/copycode"
        await person.burst(key("ctrl+u"), *letters("/copy"))
        y = next(y for y, line in enumerate(person.lines()) if "/copyall" in line)
        await person.pilot.click(offset=(6, y))
        assert person.box.text == "/copyall"
        await person.press("enter")
        assert person.told(CommandGiven) == [CommandGiven("copyall", "")]


async def test_a_whole_command_is_given_though_longer_ones_begin_like_it():
    async with typing() as person:
        await person.burst(*letters("/copy"), key("enter"))
        assert person.told(CommandGiven) == [CommandGiven("copy", "")]


async def test_escape_hides_the_commands_until_another_is_begun():
    async with typing() as person:
        await person.type("/co")
        await person.press("escape", "p")
        assert person.offered == []
        await person.press("ctrl+u")
        await person.type("/co")
        assert person.offered == ["copy", "copycode", "copyall"]


async def test_a_command_that_is_none_is_said_and_not_sent():
    async with typing() as person:
        await person.burst(*letters("/nope"), key("enter"))
        assert "There is no command /nope" in person.hint
        assert person.box.text == "/nope"
        await person.burst(key("ctrl+u"), *letters("/new what is this"), key("enter"))
        assert "/new takes nothing after it" in person.hint
        assert (person.told(PromptSubmitted), person.told(CommandGiven)) == ([], [])


async def test_a_text_that_only_begins_with_a_slash_is_sent():
    async with typing() as person:
        for typed in ("//new is a command", "/etc/hosts 是什么", "/nope and more"):
            person.box.text = typed
            await person.press("enter")
            person.box.clear()
            await person.pilot.pause()
        sent = ["/new is a command", "/etc/hosts 是什么", "/nope and more"]
        assert person.told(PromptSubmitted) == [PromptSubmitted(text) for text in sent]


async def test_all_that_a_command_says_is_said_in_chinese_too():
    with chinese():
        async with typing() as person:
            assert "输入问题" in "".join(person.lines())
            await person.type("/")
            shown = "\n".join(person.lines())
            assert "开始新对话" in shown
            starts = {
                cell_len(line[: line.index(words)])
                for words in ("开始新对话", "选择模型", "设置本对话")
                for line in person.lines()
                if words in line
            }
            assert len(starts) == 1


# --- earlier prompts


async def test_arrows_at_the_edges_go_through_earlier_prompts_and_back():
    async with typing() as person:
        person.box.set_history(["newest", "two\nlines", "oldest"])
        await person.type("typed")
        await person.press("up")
        assert person.box.text == "newest"
        await person.type("!")
        await person.press("up")
        assert person.box.text == "two\nlines"
        await person.press("up")
        assert person.box.text == "two\nlines"  # to its first line
        await person.press("up", "up")
        assert person.box.text == "oldest"
        await person.press("down", "down")
        assert person.box.text == "newest!"
        await person.press("down", "down")
        assert person.box.text == "typed"


async def test_arrows_inside_a_wrapped_text_move_by_what_is_seen():
    async with typing((30, 24)) as person:
        person.box.set_history(["earlier"])
        await person.type("这是一个很长的句子，它在这里会换行，而且不止一次。")
        rows = person.area.wrapped_document.height
        assert rows > 1
        await person.press(*["up"] * (rows - 1))
        assert person.box.text != "earlier"
        await person.press("up")
        assert person.box.text == "earlier"


async def test_what_was_sent_is_one_key_away():
    async with typing() as person:
        await person.type("hello")
        await person.press("enter")
        person.box.clear()
        await person.press("up")
        assert person.box.text == "hello"


# --- the external editor


@pytest.fixture
def may_suspend(monkeypatch):
    """A terminal that can be handed over; the editors of these tests draw nothing on it."""
    monkeypatch.setattr(HeadlessDriver, "can_suspend", True)
    monkeypatch.setattr(HeadlessDriver, "suspend_application_mode", lambda _driver: None)
    monkeypatch.setattr(HeadlessDriver, "resume_application_mode", lambda _driver: None)


@pytest.mark.usefixtures("may_suspend")
async def test_the_editor_gets_the_text_and_gives_it_back(tmp_path):
    editor = tmp_path / "editor.py"
    editor.write_text("import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.write_text(p.read_text().upper() + '\\n')")
    async with typing() as person:
        person.box.editor = f"{sys.executable} {editor}"
        await person.type("hello")
        await person.press("ctrl+g")
        assert person.box.text == "HELLO"
        assert person.area.cursor_location == (0, 5)
        await person.press("ctrl+z")
        assert person.box.text == "hello"


@pytest.mark.usefixtures("may_suspend")
async def test_an_editor_that_fails_is_said_and_the_text_stays(monkeypatch):
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    async with typing() as person:
        await person.type("hello")
        await person.press("ctrl+g")
        assert "No editor is set" in person.hint
        monkeypatch.setenv("EDITOR", "false")
        await person.press("ctrl+g")
        assert "ended with status 1" in person.hint
        assert person.box.text == "hello"


async def test_where_nothing_can_be_handed_over_it_is_said(monkeypatch):
    monkeypatch.setenv("EDITOR", "true")
    async with typing() as person:
        await person.press("ctrl+g")
        assert "cannot be opened" in person.hint


# --- what it looks like


def cursor_of(person: Typing) -> tuple[int, int]:
    """Where the block of the cursor is drawn: cells before it and its width."""
    style = person.area.get_component_rich_style("text-area--cursor")
    for strip in person.app.screen._compositor.render_strips(person.app.size):
        x = 0
        for segment in strip:
            if segment.style and segment.style.bgcolor == style.bgcolor:
                return x, cell_len(segment.text)
            x += cell_len(segment.text)
    raise AssertionError("there is no cursor")


async def test_the_cursor_covers_the_character_it_stands_on():
    async with typing() as person:
        person.area.cursor_blink = False
        for text, lefts, x, width in (
            ("ab", 0, 4, 1),
            ("你好", 1, 4, 2),
            (f"a{FAMILY}b", 2, 3, 2),
            (f"a{FAMILY}b", 1, 5, 1),
            ("e\u0301e\u0301", 2, 2, 1),
            ("مرحبا", 0, 7, 1),
            ("a\u200bb", 1, 3, 1),
            ("\tx", 1, 6, 1),
        ):
            person.box.text = text
            await person.burst(*[key("left")] * lefts)
            assert (text, cursor_of(person)) == (text, (x, width))
            assert person.app.cursor_position[0] == x


async def test_a_joined_character_is_deleted_as_one():
    async with typing() as person:
        person.box.text = f"a{FAMILY}b"
        await person.press("left", "backspace")
        assert person.box.text == "ab"
        await person.press("ctrl+z", "home", "right", "delete")
        assert person.box.text == "ab"


async def test_controls_and_half_characters_never_get_into_the_text():
    async with typing() as person:
        await person.paste("a\x1b[31mb\x00\ud83d\u202ec")
        assert person.box.text == "ab\ufffdc"
        person.box.text = "x\x1b]0;title\x07\ud83dy"
        assert person.box.text == "x\ufffdy"
        await person.pilot.pause()


async def test_it_grows_with_its_text_up_to_ten_lines():
    async with typing((80, 40)) as person:
        heights = [person.area.size.height]
        for count in (2, 5, 10, 30):
            person.box.text = "\n".join("x" * count)
            await person.pilot.pause()
            heights.append(person.area.size.height)
        assert heights == [1, 2, 5, 10, 10]


async def test_an_input_method_is_told_where_the_cursor_is_when_the_text_grows():
    async with typing() as person:
        before = person.app.cursor_position
        await person.press("a", "ctrl+j", "b")
        assert person.app.cursor_position == (before.x + 1, before.y)  # the last row stays where it is


async def test_a_click_beside_the_text_goes_to_the_text():
    async with typing() as person:
        person.box.attach(Attachment("a.txt", "x"))
        await person.press("shift+tab")
        await person.pilot.click(offset=(40, person.area.region.bottom))
        assert person.app.focused is person.area


async def test_nothing_moves_when_the_line_below_has_something_to_say():
    async with typing() as person:
        before = person.area.region
        person.box.show_hint("Ctrl+J new line")
        person.box.show_count("12 tokens · 1,203 / 2,048", is_warning=True)
        await person.pilot.pause()
        assert person.area.region == before
        assert person.hint.startswith("Ctrl+J new line")
        assert person.hint.endswith("12 tokens · 1,203 / 2,048")


async def test_in_a_tiny_terminal_one_still_sees_what_one_types():
    async with typing((20, 5)) as person:
        person.box.attach(Attachment("a very long name.txt", "x"), Attachment("b", "x"))
        person.box.show_hint("a hint")
        await person.type("/")
        assert [line.strip() for line in person.lines()[-2:]] == ["/new", "/"]
        await person.press("escape", "backspace")
        await person.type("一二三四五六七八九十一二三")
        assert any("一二三" in line for line in person.lines())
        assert person.lines()[0].startswith("conversation")
        await person.burst(key("ctrl+u"), *letters("/nope"), key("enter"))
        assert "There is no" in person.hint


@pytest.mark.parametrize("rows", [12, 13, 17])
async def test_commands_leave_the_prompt_whole_in_a_low_terminal(rows):
    async with typing((60, rows)) as person:
        before = person.lines()[-4:]
        await person.type("/")
        frame = [line.replace("/", "") for line in person.lines()[-4:-1]]
        assert [line.strip()[:1] for line in frame] == ["╭", "│", "╰"]
        assert person.lines()[-2] == before[2]
        assert person.lines()[0].startswith("conversation")
        assert len(person.offered) == len(COMMANDS)
        await person.press("up")  # to the last one, which is brought into view
        assert any(f"/{COMMANDS[-1].name}" in line for line in person.lines())


async def test_what_stands_above_the_prompt_leaves_fewer_rows_to_the_commands():
    async with typing((60, 14)) as person:
        notice = Static("a notice\n" * 6, id="notice")
        notice.styles.height = 6
        await person.app.screen.mount(notice, before="#prompt")
        await person.type("/")
        assert person.lines()[-5].strip().startswith("/")
        assert person.lines()[-2].strip().startswith("╰")


async def test_counts_make_room_for_a_hint_that_is_needed_and_for_no_other():
    async with typing((40, 20)) as person:
        person.box.show_count("12 tokens · 1,203 / 2,048")
        person.box.show_hint("Esc gives up the change · Enter sends it")
        await person.pilot.pause()
        assert person.hint.endswith("12 tokens · 1,203 / 2,048")
        person.box.show_hint("Esc gives up the change · Enter sends it", is_needed=True)
        await person.pilot.pause()
        assert person.hint.startswith("Esc gives up the change")


async def test_an_accessible_prompt_has_a_label_and_no_frame():
    async with typing(is_accessible=True) as person:
        shown = "\n".join(person.lines())
        assert "Message:" in shown
        assert not set(shown) & set("╭╮╰╯│─")


async def test_reading_keys_and_the_way_to_the_messages_are_the_screens():
    async with typing() as person:
        await person.press("pageup", "pagedown", "ctrl+up")
        assert person.told(Read) == [Read(-1), Read(1)]
        assert len(person.told(MessagesWanted)) == 1


def test_every_key_has_a_name_of_its_own_and_says_what_it_does():
    bindings = [*PromptBox.BINDINGS, *PromptArea.BINDINGS, *Chips.BINDINGS]
    ids = [binding.id for binding in bindings]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert all(binding.tooltip and binding.description for binding in bindings)


def test_no_key_of_the_chat_is_taken():
    chat = {f"ctrl+{letter}" for letter in "qnbpotkfrlsy"} | {"f1", "f2"}
    keys = {key for binding in [*PromptBox.BINDINGS, *PromptArea.BINDINGS] for key in binding.key.split(",")}
    assert not chat & keys


async def test_a_command_is_found_by_the_chinese_of_what_it_does():
    with chinese():
        async with typing() as it:
            await it.burst(*letters("、导出"))
            assert [line for line in it.lines() if "/export" in line]
            await it.burst(key("enter"))
            assert it.box.text == "/export "
            assert it.box.is_command
            await it.burst(key("ctrl+u"), *letters("/usr/bin 是什么？"))
            assert not it.box.is_command


async def test_the_cursor_stays_in_view_when_the_terminal_changes_its_size():
    async with typing() as it:
        it.box.text = "\n".join(f"line {number}" for number in range(30)) + "\n"
        area = it.app.screen.query_one(PromptArea)
        for size in ((80, 24), (20, 5), (80, 24), (120, 40)):
            await it.pilot.resize_terminal(*size)
            await it.pilot.pause()
            assert area.content_region.contains_point(area.cursor_screen_offset), f"at {size}"
