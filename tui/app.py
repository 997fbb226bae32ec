"""The composition root of ``chatglm-tui``: arguments in, the real objects built, the app run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from chatglm_slim_llm import __version__
from chatglm_slim_llm.config import DEFAULT_HUB_ID, LoadOptions
from chatglm_slim_llm.errors import ChatGLMSlimError
from chatglm_slim_llm.storage import ConversationStore, history_path
from tui.assistant import Assistant, LocalAssistant
from tui.screens.chat import ChatScreen


class ChatApp(App[None]):
    """The terminal assistant."""

    TITLE = "chatglm-tui"
    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit", id="app.quit", tooltip="Quit; everything is saved", priority=True),
        Binding(
            "ctrl+c",
            "help_quit",
            show=False,
            system=True,
            id="app.copy",
            tooltip="Copy what is selected with the mouse",
        ),
    ]

    def __init__(self, options: LoadOptions, store: ConversationStore, assistant: Assistant) -> None:
        super().__init__()
        self._chat = ChatScreen(options, store, assistant)
        self.threads_ended = True

    def on_mount(self) -> None:
        self.push_screen(self._chat)

    def on_unmount(self) -> None:
        self.threads_ended = self._chat.close_worker()

    def action_help_quit(self) -> None:
        """Ctrl+C with nothing selected: people expect it to quit, and it would be a pity to lose their text."""
        self.notify("Press Ctrl+Q to quit. Ctrl+C copies what is selected.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the terminal assistant; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        options = LoadOptions.resolve(arguments.model, arguments.quantization, arguments.device)
        store = ConversationStore.open(history_path())
    except ChatGLMSlimError as error:
        sys.stderr.write(f"chatglm-tui: {error}\n")
        return 1
    with store:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            sys.stderr.write(
                "chatglm-tui: this needs a terminal for its input and output; use chatglm-slim chat in a pipe\n"
            )
            return 2
        app = ChatApp(options, store, LocalAssistant(options))
        app.run()
    status = app.return_code or 0
    if not app.threads_ended or "torch" in sys.modules:
        _end_now(status)
    return status


def _end_now(status: int) -> None:
    """End without waiting for a step of the model, or the seconds that tearing torch down takes; all is saved."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chatglm-tui", description="Talk to ChatGLM-6B-Slim in the terminal.")
    parser.add_argument(
        "--model",
        help=f"'demo' (the bundled small model, the default), a folder with a checkpoint, or a hub id"
        f" such as {DEFAULT_HUB_ID}",
    )
    parser.add_argument("--quantization", metavar="LEVEL", help="fp16 (default), int8 or int4")
    parser.add_argument("--device", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
