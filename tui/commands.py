"""The commands that a line beginning with a slash names; the palette offers the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui.language import tr


@dataclass(frozen=True)
class Command:
    """One command of the terminal."""

    name: str
    """What is typed after the slash."""
    action: str
    """The action that the chat screen runs, with the argument as a string if there is one; empty for a plugin's."""
    help: str
    argument: str = ""
    """What the argument is called in the help; empty where none is taken."""
    origin: str = ""
    """Which package or file it comes from; empty for ours."""

    @property
    def about(self) -> str:
        """What it does, and whose it is where it is not ours."""
        if not self.origin:
            return tr(self.help)
        return f"{self.help} ({self.origin})" if self.help else self.origin


COMMANDS: tuple[Command, ...] = (
    Command("new", "new", "Begin a new conversation"),
    Command("model", "model", "Choose the model, its level and its device"),
    Command("system", "system", "Set the system prompt of this chat", "TEXT"),
    Command("settings", "chat_settings", "System prompt and parameters of this chat"),
    Command("kb", "knowledge", "Choose, fill and sync knowledge bases", "NAME"),
    Command("tools", "tools", "Choose the tools that the model may use in this chat"),
    Command("attach", "attach", "Attach a file to the next message", "PATH"),
    Command("find", "find", "Find in this chat", "TEXT"),
    Command("copy", "copy", "Copy the last answer"),
    Command("copycode", "copy_code", "Copy the last code block"),
    Command("copyall", "copy_all", "Copy the whole chat as Markdown"),
    Command("retry", "regenerate", "Answer the last question again"),
    Command("edit", "edit", "Edit the last question and send it again"),
    Command("fork", "fork", "Go on in a copy of this chat"),
    Command("rename", "rename", "Rename this chat", "TITLE"),
    Command("pin", "pin", "Pin or unpin this chat"),
    Command("archive", "archive", "Archive this chat"),
    Command("delete", "delete", "Move this chat to the trash"),
    Command("export", "export", "Write this chat to a file", "PATH"),
    Command("import", "import", "Read chats from a file", "PATH"),
    Command("plugins", "plugins", "See plugins, and switch them on or off"),
    Command("options", "options", "Settings of the program"),
    Command("help", "help", "Keys and commands"),
    Command("quit", "quit", "Quit; everything is saved"),
)


def named(name: str, commands: Sequence[Command] = COMMANDS) -> Command | None:
    """The command of this name, however its letters are written."""
    return next((command for command in commands if command.name.lower() == name.lower()), None)
