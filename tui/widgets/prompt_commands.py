"""Lines that begin with a slash: what they mean, and the commands that match one while it is typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.commands import COMMANDS, Command, named
from tui.language import tr

_SLASH = "[/／、]"  # Chinese keyboards give the latter two on the same key
_WORD = re.compile(rf"{_SLASH}([^\s/]*)\Z")
_LINE = re.compile(rf"{_SLASH}([^\s/]+)(?:\s+(.*))?\Z", re.DOTALL)
_LEAST_HELP = 24
_MAX_ROWS = 10
_LEAST_FRAMED = 4


@dataclass(frozen=True)
class Given:
    """A command and what follows its name."""

    command: Command
    argument: str


def given(text: str, commands: Sequence[Command] = COMMANDS) -> Given | None:
    """The command that ``text`` gives, if its first word names one."""
    line = _LINE.match(text.strip())
    command = named(line[1], commands) if line else None
    return Given(command, (line[2] or "").strip()) if line and command else None


def is_unknown(text: str, commands: Sequence[Command] = COMMANDS) -> bool:
    """Whether ``text`` is one word after a slash that names no command; a path or a sentence is text."""
    text = text.strip()
    return text.startswith("/") and _WORD.match(text) is not None and given(text, commands) is None


def unescaped(text: str) -> str:
    """Two slashes at the beginning mean one, and no command."""
    return text[1:] if text.startswith("//") else text


def matching(text: str, commands: Sequence[Command] = COMMANDS) -> list[Command]:
    """The commands that a slash word may become, those that begin with it first; Chinese is looked for in the help."""
    word = _WORD.match(text)
    if not word:
        return []
    wanted = word[1].lower()
    if not wanted.isascii():
        return [command for command in commands if wanted in command.about.lower()]
    begin = [command for command in commands if command.name.lower().startswith(wanted)]
    return begin + [command for command in commands if wanted in command.name.lower() and command not in begin]


class Completions(OptionList, can_focus=False):
    """The commands to choose from, above the prompt; the keyboard stays in the text."""

    DEFAULT_CSS = """
    Completions {
        display: none; width: 100%; max-width: 72; height: auto; padding: 0 1;
        border: round $primary; background: $surface; scrollbar-size-vertical: 1;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    Completions.-open { display: block; }
    Completions.-low { border: none; }
    Completions.-hidden { display: none; }
    Completions > .option-list--option-highlighted {
        color: $block-cursor-foreground; background: $block-cursor-background; text-style: none;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._commands: list[Command] = []
        self.is_chosen = False
        """Whether someone has moved to one of them."""

    @property
    def is_open(self) -> bool:
        return bool(self._commands)

    def offer(self, commands: Iterable[Command], room: int = 80) -> None:
        """Show these in so many cells; none closes the list."""
        commands = list(commands)
        if commands == self._commands:
            return
        self._commands, self.is_chosen = commands, False
        self.clear_options()
        names = max((cell_len(_usage(command)) for command in commands), default=0)
        names = names if names + _LEAST_HELP < room else 0
        self.add_options(Option(_row(command, names), id=command.name) for command in commands)
        self.highlighted = 0 if commands else None
        self.set_class(bool(commands), "-open")

    def fit(self, rows: int) -> None:
        """Take no more rows than these; few of them have no frame, and without any it is not seen."""
        self.set_class(rows < _LEAST_FRAMED, "-low")
        self.set_class(rows < 1, "-hidden")
        self.styles.max_height = min(max(rows, 1), _MAX_ROWS)

    def move(self, by: int) -> None:
        """Choose another one."""
        self.is_chosen = True
        (self.action_cursor_up if by < 0 else self.action_cursor_down)()

    @property
    def command(self) -> Command | None:
        """The one that is chosen."""
        return self._commands[self.highlighted] if self._commands and self.highlighted is not None else None


def hint_of(text: str, commands: Sequence[Command] = COMMANDS) -> str:
    """What to type after a command that takes something, while there is nothing yet."""
    found = given(text, commands)
    if found is None or not found.command.argument or not text[1:].endswith((" ", "　")) or found.argument:
        return ""
    return f"{_usage(found.command)}  {found.command.about}"


def _usage(command: Command) -> str:
    return f"/{command.name} {tr(command.argument)}".rstrip()


def _row(command: Command, width: int) -> Content:
    """The command and what it does, ``width`` cells from the beginning; without that where there is no room."""
    usage = _usage(command)
    if not width:
        return Content.styled(usage, "bold")
    return Content.assemble((usage + " " * (width - cell_len(usage) + 3), "bold"), command.about)
