"""What the history pane asks before it does something, and what it offers in the menu of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from chatglm_slim_llm.storage import Conversation, Shelf
from tui.language import tr
from tui.screens.ask_text import AskText
from tui.screens.confirm import Confirm
from tui.screens.folder import ChooseFolder
from tui.screens.menu import Item
from tui.widgets.history_changes import short

Change = Literal["rename", "pin", "move", "archive", "export", "restore", "delete"]

CHANGES: dict[Shelf, tuple[Change, ...]] = {
    "shown": ("rename", "pin", "move", "archive", "export", "delete"),
    "archived": ("rename", "archive", "export", "delete"),
    "trash": ("restore", "delete"),
}
"""What can be done to a conversation on each shelf, as its menu lists it."""

_LONGEST_TITLE = 200  # to be edited; longer ones come from files


def title(one: Conversation) -> AskText:
    """Which title it is to have."""
    return AskText(
        tr("Rename the conversation"),
        value=" ".join(one.title.split())[:_LONGEST_TITLE],
        yes=tr("Rename"),
        refusal=tr("A title needs at least one letter."),
    )


def folder(one: Conversation, folders: Sequence[str]) -> ChooseFolder:
    """Which folder it is to be in."""
    question = tr("Move “{title}” to a folder", title=short(one.title))
    return ChooseFolder(question, folders=folders, current=one.folder)


def restoring(one: Conversation) -> Confirm:
    """Whether it is to be brought back, and opened."""
    question = tr("“{title}” is in the trash. Restore and open it?", title=short(one.title))
    return Confirm(question, yes=tr("Restore"), no=tr("Cancel"), is_harmless=True)


def deletion(one: Conversation) -> Confirm:
    """Whether it is to be gone for good."""
    question = tr("Delete “{title}” for good? Nothing brings it back.", title=short(one.title))
    return Confirm(question, yes=tr("Delete"), no=tr("Cancel"))


def emptying(count: int) -> Confirm:
    """Whether all that is in the trash is to be gone for good."""
    question = tr("Empty the trash? One conversation is deleted for good.")
    if count > 1:
        question = tr("Empty the trash? {count} conversations are deleted for good.", count=count)
    return Confirm(question, yes=tr("Empty"), no=tr("Cancel"))


def menu_of(one: Conversation, shelf: Shelf) -> list[Item]:
    """What can be done with it, each with its key."""
    labels: dict[Change, tuple[str, str]] = {
        "rename": (tr("Rename"), "r"),
        "pin": (tr("Unpin") if one.is_pinned else tr("Pin"), "p"),
        "move": (tr("Move to a folder"), "m"),
        "archive": (tr("Archive") if shelf == "shown" else tr("Bring back"), "a"),
        "export": (tr("Export"), "x"),
        "restore": (tr("Restore"), "u"),
        "delete": (tr("Delete for good") if shelf == "trash" else tr("Delete"), "d"),
    }
    return [Item(change, *labels[change]) for change in CHANGES[shelf]]
