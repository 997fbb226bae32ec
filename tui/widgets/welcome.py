"""The start screen of an empty conversation: a greeting and questions to begin with."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Center, Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.language import tr
from tui.messages import ExampleChosen

EXAMPLES = ("你好", "你能做什么？", "What is ChatGLM-6B-Slim?", "How do I get the 6B model?")


class Welcome(Vertical):
    """Shown until the first message; choosing a question sends it."""

    def compose(self) -> ComposeResult:
        yield Static(tr("Hello! 你好！"), id="greeting")
        yield Static(tr("Type below, or pick a question to begin."), id="hint")
        with Center():
            yield OptionList(*(Option(text) for text in EXAMPLES), id="examples", markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(ExampleChosen(EXAMPLES[event.option_index]))
