"""The commands that a line beginning with a slash names; the palette offers the same ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command of the terminal."""

    name: str
    """What is typed after the slash."""
    action: str
    """The action that the chat screen runs; the argument, if there is one, is given to it as a string."""
    help: str
    argument: str = ""
    """What the argument is called in the help; empty where none is taken."""


COMMANDS: tuple[Command, ...] = (
    Command("new", "new", "Begin a new conversation"),
    Command("model", "model", "Choose the model, its level and its device"),
    Command("system", "system", "Set the system prompt of this chat", "TEXT"),
    Command("settings", "chat_settings", "System prompt and parameters of this chat"),
    Command("kb", "knowledge", "Choose, fill and sync knowledge bases", "NAME"),
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
    Command("options", "options", "Settings of the program"),
    Command("help", "help", "Keys and commands"),
    Command("quit", "quit", "Quit; everything is saved"),
)
