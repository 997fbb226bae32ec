"""Where people type: Enter sends, a paste stays one piece, earlier prompts and commands are one key away."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult, RenderResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import OptionList, Static, TextArea

from chatglm_slim_llm.storage import Attachment
from tui.commands import COMMANDS, Command
from tui.language import tr
from tui.messages import CommandGiven, PromptEdited, PromptSubmitted
from tui.widgets.prompt_area import PromptArea
from tui.widgets.prompt_chips import ChipRemoved, Chips
from tui.widgets.prompt_commands import Completions, given, hint_of, is_unknown, matching, unescaped
from tui.widgets.prompt_editor import EditorProblem, edit, editor_command
from tui.widgets.prompt_files import dropped_files
from tui.widgets.prompt_hint import HintLine
from tui.widgets.prompt_past import PastPrompts

LONGEST_TEXT = 8_000
"""A paste of more characters becomes an attachment, so that typing stays quick."""
_REST_S = 0.3
_LONGEST_WORK_S = 2.0
"""What is typed without a rest is told after this, as it is kept only then."""
_TAKEN_S = 2
_MAX_ROWS = 10
_SHORT = 12
"""Below so many rows there is no frame, and no line below but for what must be said."""
_TINY = 6
"""Below so many rows there is no line below at all."""


@dataclass
class AttachAsked(Message):
    """A file was dropped here, or its path pasted."""

    path: Path


@dataclass
class MessagesWanted(Message):
    """The keyboard is to go from the prompt to the messages."""


class PromptBox(Vertical):
    """Attachments, the text, completions of slash commands, and a line with a hint and counts."""

    DEFAULT_CSS = """
    PromptBox { height: auto; }
    PromptBox .frame { height: auto; border: round $panel; padding: 0 1; }
    PromptBox .frame:focus-within { border: round $primary; }
    PromptBox PromptArea, PromptBox PromptArea:focus {
        height: auto; min-height: 1; max-height: 10; border: none; padding: 0; background: transparent;
        scrollbar-size-vertical: 1;
    }
    PromptBox .label { display: none; height: 1; }
    PromptBox Chips { max-height: 3; }
    PromptBox.-short Chips { max-height: 1; }
    PromptBox HintLine { height: 1; padding: 0 2; color: $text-muted; }
    PromptBox.-plain .label { display: block; }
    PromptBox.-plain .frame, PromptBox.-plain .frame:focus-within { border: none; padding: 0; }
    PromptBox.-plain HintLine { padding: 0; }
    PromptBox.-plain Completions { border: none; padding: 0; }
    PromptBox.-short .frame, PromptBox.-short .frame:focus-within { border: none; }
    PromptBox.-short.-completing Chips { display: none; }
    PromptBox.-short HintLine { display: none; }
    PromptBox.-short HintLine.-said, PromptBox.-short HintLine.-needed { display: block; }
    PromptBox.-tiny HintLine.-needed { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", id="prompt.send", tooltip="Send what is typed"),
        Binding(
            "ctrl+j,shift+enter,alt+enter",
            "new_line",
            "New line",
            id="prompt.new_line",
            tooltip="Begin a new line",
        ),
        Binding("up", "go(-1)", "Up", show=False, id="prompt.up", tooltip="A line up; at the first, earlier prompts"),
        Binding(
            "down", "go(1)", "Down", show=False, id="prompt.down", tooltip="A line down; at the last, later prompts"
        ),
        Binding("tab", "complete", "Complete", show=False, id="prompt.complete", tooltip="Complete a slash command"),
        Binding("escape", "hide", "Hide", show=False, id="prompt.hide", tooltip="Hide the list of commands"),
        Binding(
            "backspace,shift+backspace",
            "backspace",
            "Delete",
            show=False,
            id="prompt.backspace",
            tooltip="Delete to the left; in an empty prompt, the last attachment",
        ),
        Binding("ctrl+g", "edit_externally", "Editor", show=False, id="prompt.editor", tooltip="Write in your editor"),
        Binding("ctrl+up", "messages", "Messages", show=False, id="prompt.messages", tooltip="Go to the messages"),
        Binding(
            "pageup",
            "screen.read(-1)",
            "Page up",
            show=False,
            id="prompt.read_up",
            tooltip="Scroll the conversation up",
        ),
        Binding(
            "pagedown",
            "screen.read(1)",
            "Page down",
            show=False,
            id="prompt.read_down",
            tooltip="Scroll the conversation down",
        ),
    ]

    def __init__(self, *, id: str | None = None, editor: str = "") -> None:
        super().__init__(id=id)
        self.editor = editor
        """The command of the external editor; empty for the one of the environment."""
        self.commands: Sequence[Command] = COMMANDS
        """What a line with a slash may name: ours, then those of plugins."""
        self._area = PromptArea(self._take_paste)
        self._chips = Chips()
        self._completions = Completions()
        self._line = HintLine()
        self._past = PastPrompts()
        self._rest: Timer | None = None
        self._works_since = 0.0
        self._said_for = ""
        self._is_hidden = False

    def compose(self) -> ComposeResult:
        yield self._completions
        with Vertical(classes="frame"):
            yield _Label(classes="label")
            yield self._chips
            yield self._area
        yield self._line

    def on_click(self, event: events.Click) -> None:
        if not isinstance(event.widget, Chips):
            self.focus()

    def on_mount(self) -> None:
        self.screen.screen_layout_refresh_signal.subscribe(self, self._fit)
        self._fit(self.screen)

    # --- what the screen calls

    @property
    def text(self) -> str:
        """What is typed; setting it begins anew, the cursor at its end."""
        return self._area.text

    @text.setter
    def text(self, text: str) -> None:
        self._past.leave()
        self._area.set_text(text)

    @property
    def is_command(self) -> bool:
        """Whether what is typed would not be sent to the model."""
        return (
            self._completions.is_open
            or given(self.text, self.commands) is not None
            or is_unknown(self.text, self.commands)
        )

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """What will be sent with it."""
        return self._chips.attachments

    def attach(self, *attachments: Attachment) -> None:
        """Add these; one that was read from the same file is replaced."""
        paths = {each.path for each in attachments} - {None}
        kept = (each for each in self._chips.attachments if each.path not in paths)
        self._chips.attachments = (*kept, *attachments)
        self._wait_for_rest()

    def clear(self) -> None:
        """Take away what was sent; keys pressed since then come after it."""
        self._chips.attachments = ()
        self._past.leave()
        self._area.set_text("")
        self._area.release()

    def insert(self, text: str) -> None:
        """Put a text where the cursor is, for the person to go on with."""
        self._area.insert_text(text)
        self.focus()

    def keep(self) -> None:
        """What was sent is not taken: it stays, and keys pressed since then change it."""
        self._area.release()

    def focus(self, scroll_visible: bool = True) -> Self:
        """Put the keyboard into the text."""
        self._area.focus(scroll_visible)
        return self

    def set_history(self, prompts: Sequence[str]) -> None:
        """Earlier prompts, newest first."""
        self._past.set(prompts)

    def show_count(self, text: str, is_warning: bool = False) -> None:
        """Say how long it is, on the right of the line below."""
        self._line.count, self._line.is_warning = text, is_warning

    def show_hint(self, text: str, *, is_needed: bool = False) -> None:
        """Say what to know, on the left of the line below; counts make room for how one that is needed begins."""
        self._line.hint, self._line.is_needed = text, is_needed
        self._line.set_class(is_needed, "-needed")

    # --- sending

    def action_send(self) -> None:
        self._offer()
        if self._completions.is_open and (self._completions.is_chosen or given(self.text, self.commands) is None):
            self._complete()
        elif (found := given(self.text, self.commands)) is not None:
            self._give(found.command.name, found.argument, takes_argument=bool(found.command.argument))
        elif is_unknown(self.text, self.commands):
            self._say(tr("There is no command {word}; two slashes send it as text", word=self.text.strip()))
        elif text := unescaped(self.text.strip("\n")).strip("\n"):
            self._submit(text)
        elif self.attachments:
            self._say(tr("Type what is to be done with the attachments"))

    def _submit(self, text: str) -> None:
        if not text.strip():
            return
        self._area.hold()  # until it is cleared: a fast hand types the next one already
        self.set_timer(_TAKEN_S, self.keep)
        self._past.remember(self.text.strip("\n"))
        self.post_message(PromptSubmitted(text, self.attachments))

    def _give(self, name: str, argument: str, *, takes_argument: bool) -> None:
        if argument and not takes_argument:
            self._say(tr("/{name} takes nothing after it; two slashes send it as text", name=name))
            return
        self._past.remember(self.text.strip())
        self.text = ""
        self.post_message(CommandGiven(name, argument))

    def action_new_line(self) -> None:
        self._area.insert_text("\n")

    # --- slash commands

    def action_complete(self) -> None:
        self._offer()
        if not self._completions.is_open:
            raise SkipAction
        self._complete()

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._complete()
        self.focus()

    def action_hide(self) -> None:
        if not self._completions.is_open:
            raise SkipAction  # Escape means something else to the screen
        self._is_hidden = True
        self._offer()

    def _complete(self) -> None:
        if command := self._completions.command:
            self._area.select_all()
            self._area.insert_text(f"/{command.name}{' ' * bool(command.argument)}")
            self._completions.is_chosen = False

    def _offer(self) -> None:
        commands = matching(self.text, self.commands)
        self._is_hidden = self._is_hidden and bool(commands)
        self._completions.offer(() if self._is_hidden else commands, room=self.size.width)
        self.set_class(self._completions.is_open, "-completing")

    # --- keys that mean something else at the edge of the text

    def action_go(self, by: int) -> None:
        area = self._area
        if self._completions.is_open:
            self._completions.move(by)
        elif not (area.is_on_first_row if by < 0 else area.is_on_last_row) or not self._show_past(-by):
            (area.action_cursor_up if by < 0 else area.action_cursor_down)()

    def _show_past(self, by: int) -> bool:
        text = self._past.step(by, self.text)
        if text is not None:
            self._area.set_text(text)
        return text is not None

    def action_backspace(self) -> None:
        if self.text or not self.attachments:
            self._area.action_delete_left()
        else:
            self._remove(len(self.attachments) - 1)

    def action_messages(self) -> None:
        self.post_message(MessagesWanted())

    # --- attachments

    def _take_paste(self, text: str) -> bool:
        if files := dropped_files(text):
            for path in files:
                self.post_message(AttachAsked(path))
            return True
        if len(text) <= LONGEST_TEXT:
            return False
        number = 1 + sum(each.path is None for each in self.attachments)
        name = tr("Pasted text") if number == 1 else tr("Pasted text {number}", number=number)
        self.attach(Attachment(name, text))
        self._say(tr("A long paste is attached; Backspace removes it"))
        return True

    @on(ChipRemoved)
    def _on_chip_removed(self, event: ChipRemoved) -> None:
        event.stop()
        self._remove(event.place)

    def _remove(self, place: int) -> None:
        attachments = list(self.attachments)
        del attachments[place : place + 1]
        self._chips.attachments = tuple(attachments)
        if not attachments:
            self.focus()
        self._say("")
        self._wait_for_rest()

    # --- the external editor

    def action_edit_externally(self) -> None:
        self.edit_externally()

    def edit_externally(self) -> None:
        """Hand the text to the user's editor and take what comes back; what goes wrong is said below."""
        try:
            edited = self._edited(editor_command(self.editor))
        except SuspendNotSupported:
            self._say(tr("An editor cannot be opened in this terminal"))
        except EditorProblem as problem:
            self._say(str(problem))
        else:
            self._area.select_all()
            self._area.insert_text(edited)
        self.focus()

    def _edited(self, command: list[str]) -> str:
        with self.app.suspend():
            try:
                return edit(self.text, command)
            except Exception as error:  # Textual does not take the terminal back after one
                problem = error
        raise problem

    # --- what follows from a change

    @on(TextArea.Changed)
    def _follow_text(self) -> None:
        self._offer()
        if self.text != self._said_for:
            self._say(hint_of(self.text, self.commands))
        self._wait_for_rest()

    def _say(self, text: str) -> None:
        self._line.passing, self._said_for = text, self.text
        self._line.set_class(bool(text), "-said")

    def _wait_for_rest(self) -> None:
        now = time.monotonic()
        if self._rest is None:
            self._works_since = now
        elif now - self._works_since < _LONGEST_WORK_S:
            self._rest.stop()
        else:
            return
        self._rest = self.set_timer(_REST_S, self._tell_edited)

    def _tell_edited(self) -> None:
        self._rest = None
        self.post_message(PromptEdited(self.text))

    def _fit(self, screen: Screen[object]) -> None:
        """Leave room for the conversation, however small the terminal is."""
        height = screen.size.height
        self.set_class(self.app.has_class("-accessible"), "-plain")
        self.set_class(height < _SHORT, "-short")
        self.set_class(height < _TINY, "-tiny")
        self._area.styles.max_height = min(max(height // 3, 1), _MAX_ROWS)
        self._completions.fit(min(self._room(), 1) if height < _SHORT else self._room())
        if self._area.has_focus:  # input methods show what they compose where the cursor is
            self.app.cursor_position = self._area.cursor_screen_offset

    def _room(self) -> int:
        """The rows that completions may take: beside the prompt, what gives way to others keeps one."""
        assert isinstance(self.parent, Widget)
        others = [each for each in (*self.parent.children, *self.children) if each.display]
        taken = sum(_least_height(each) for each in others if each not in (self, self._completions))
        return self.parent.size.height - taken


def _least_height(widget: Widget) -> int:
    height = widget.styles.height
    least = 1 if height is not None and height.is_fraction else widget.outer_size.height
    return least + widget.styles.margin.height


class _Label(Static):
    """What the prompt is, where no frame shows it."""

    def render(self) -> RenderResult:
        return tr("Message:")
