"""A tool asks whether it may be used: its name, all it would be given, and three answers.

It never takes the keyboard from whoever is typing: its keys hold only while it has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Button

from chatglm_slim_llm.hosting.assistant import ToolUse
from tui.asking import Answer
from tui.language import tr
from tui.screens.dialog import Buttons
from tui.tool_uses import in_full
from tui.widgets.prose import Prose
from tui.wrapping import visible

_SHORT = 14
"""Below so many rows there is no frame, and the keys stand in for the buttons."""
_TINY = 9
"""Below so many there is one row: the name, or the arguments while it has the keyboard; the footer says the keys."""


class ToolQuestion(Vertical):
    """The question, above the prompt; hidden while no tool asks."""

    DEFAULT_CSS = """
    ToolQuestion {
        display: none; height: auto; border: round $warning; border-title-color: $text-warning;
        border-subtitle-color: $text-muted; padding: 0 1; background: $surface;
        & #question-name { text-style: bold; max-height: 2; }
        & #question-arguments { height: auto; max-height: 8; scrollbar-size-vertical: 1; }
        & #question-keys { color: $text-muted; display: none; max-height: 2; }
        & Buttons { margin-top: 0; }
        & Button { height: 1; border: none !important; min-width: 0; margin-left: 1; }
    }
    ToolQuestion.-open { display: block; }
    ToolQuestion:focus-within { border: round $accent; }
    ToolQuestion.-plain { border: none; border-top: blank; }
    ToolQuestion.-short { border: none; }
    ToolQuestion.-short Buttons { display: none; }
    ToolQuestion.-short #question-name { max-height: 1; }
    ToolQuestion.-short #question-keys, ToolQuestion.-plain #question-keys { display: block; }
    ToolQuestion.-tiny #question-keys, ToolQuestion.-tiny.-answering #question-name { display: none; }
    ToolQuestion.-tiny #question-arguments { display: none; max-height: 1; }
    ToolQuestion.-tiny.-answering #question-arguments { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer('once')", "Allow", id="tool.once", tooltip="Allow the tool this once"),
        Binding("a", "answer('chat')", "In this chat", id="tool.chat", tooltip="Allow it in this chat until you quit"),
        Binding("n,escape", "answer('refuse')", "Refuse", id="tool.refuse", tooltip="Refuse; the model is told"),
    ]

    @dataclass
    class Answered(Message):
        """Somebody has decided."""

        answer: Answer

    def compose(self) -> ComposeResult:
        yield Prose(id="question-name")
        with VerticalScroll(id="question-arguments"):
            yield Prose()
        yield Prose(id="question-keys")
        with Buttons():
            yield Button(id="tool-refuse")
            yield Button(id="tool-chat")
            yield Button(id="tool-once", variant="warning")

    def on_mount(self) -> None:
        self.screen.screen_layout_refresh_signal.subscribe(self, self._fit)

    def show(self, use: ToolUse | None, where: str = "") -> None:
        """Ask about a use; ``None`` hides the question.

        Args:
            use: what is asked about.
            where: the chat whose answer it is for, where that is not the one that is shown.
        """
        self.set_class(use is not None, "-open")
        self._fit(self.screen)
        if use is None:
            return
        self.border_title = tr("May the model use this tool?")
        name = visible(" ".join(use.name.split()))
        self.query_one("#question-name", Prose).update(f"{name} · {visible(where)}" if where else name)
        body = self.query_one("#question-arguments", VerticalScroll)
        body.query_one(Prose).update(in_full(use.arguments))
        body.scroll_home(animate=False)
        labels = {"once": tr("Allow once"), "chat": tr("Allow for this chat"), "refuse": tr("Refuse")}
        for name, key in (("once", "y"), ("chat", "a"), ("refuse", "n")):
            self.query_one(f"#tool-{name}", Button).label = f"{labels[name]} ({key})"
        self._say_keys()

    @property
    def is_open(self) -> bool:
        """Whether a tool asks."""
        return self.has_class("-open")

    def focus(self, scroll_visible: bool = True) -> Self:
        """Give it the keyboard, at the arguments."""
        self.add_class("-answering")
        self.query_one("#question-arguments").focus(scroll_visible)
        return self

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        self._say_keys()

    def on_descendant_blur(self, _event: events.DescendantBlur) -> None:
        self._say_keys()

    def _say_keys(self) -> None:
        """The keys that hold now."""
        is_here = self.has_focus_within
        self.set_class(is_here, "-answering")
        keys = tr("y once · a in this chat · n or Esc refuses") if is_here else tr("F4 goes here to answer")
        self.border_subtitle = keys
        self.query_one("#question-keys", Prose).update(keys)

    def _fit(self, screen: Screen[object]) -> None:
        """Leave room for the conversation, however small the terminal is."""
        height = screen.size.height
        self.set_class(self.app.has_class("-accessible"), "-plain")
        self.set_class(height < _SHORT, "-short")
        self.set_class(height < _TINY, "-tiny")
        if isinstance(self.parent, Widget):
            self.parent.set_class(height < _TINY and self.is_open, "-tight")
        self.query_one("#question-arguments").styles.max_height = max(min(height // 3, 12), 1)

    def action_answer(self, answer: Answer) -> None:
        self.post_message(self.Answered(answer))

    @on(Button.Pressed)
    def _press(self, event: Button.Pressed) -> None:
        event.stop()
        answers: dict[str | None, Answer] = {"tool-once": "once", "tool-chat": "chat"}
        self.post_message(self.Answered(answers.get(event.button.id, "refuse")))
