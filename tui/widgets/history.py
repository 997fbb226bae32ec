"""The history pane: past conversations to open, to find, to keep in order.

``history_browser.py`` shows them, ``history_changes.py`` does what is asked and takes it back. This file is where
keys become calls on the two, and it tells the screen what has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import ClassVar, Self

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Offset
from textual.message import Message

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import Conversation, ConversationStore, Shelf
from tui.language import tr
from tui.messages import ConversationChosen, ConversationsChanged, ExportAsked
from tui.screens.ask_text import AskText
from tui.screens.confirm import Confirm
from tui.screens.folder import ChooseFolder
from tui.screens.menu import Item, Menu
from tui.widgets.history_browser import HistoryBrowser
from tui.widgets.history_changes import Changes, short
from tui.widgets.history_list import HistoryList
from tui.widgets.history_rows import EmptyTrash, Found, Line
from tui.widgets.history_search import HistorySearch

_LOW = 12  # rows of a terminal that has none to spare
_LONGEST_TITLE = 200  # to be edited; longer ones come from files
_CHANGES: dict[Shelf, tuple[str, ...]] = {
    "shown": ("rename", "pin", "move", "archive", "export", "delete"),
    "archived": ("rename", "archive", "export", "delete"),
    "trash": ("restore", "delete"),
}
"""What can be done to a conversation on each shelf, as the menu lists it."""


@dataclass
class HistoryLeft(Message):
    """Escape in the history: the keys are wanted elsewhere."""


class History(Vertical):
    """A search box, the shelves, and the conversations; what it does to them it can take back."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    History { width: 30; height: 1fr; border: round $panel; background: $background; }
    History:focus-within { border: round $primary; }
    History.-low, .-accessible History { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", key_display="/", id="history.search", tooltip="Search all conversations"),
        Binding("r", "rename", "Rename", id="history.rename", tooltip="Give the conversation another title"),
        Binding("p", "pin", "Pin", id="history.pin", tooltip="Keep the conversation on top, or no longer"),
        Binding("m", "move", "Move", show=False, id="history.move", tooltip="Move the conversation to a folder"),
        Binding("a", "archive", "Archive", show=False, id="history.archive", tooltip="Archive it, or bring it back"),
        Binding(
            "d,delete",
            "delete",
            "Delete",
            id="history.delete",
            tooltip="Move the conversation to the trash; in the trash, delete it for good",
        ),
        Binding("u", "restore", "Undo", id="history.undo", tooltip="Take the last change back; in the trash, restore"),
        Binding("x", "export", "Export", show=False, id="history.export", tooltip="Write the conversation to a file"),
        Binding("t", "next_shelf", "Shelves", id="history.shelves", tooltip="History, archive, trash"),
        Binding("space", "menu", "Menu", show=False, id="history.menu", tooltip="What can be done with it"),
        Binding("escape", "leave", "Back", id="history.leave", tooltip="End the search, then back to the prompt"),
    ]

    def __init__(self, store: ConversationStore, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._store = store
        self._changes = Changes(store)
        self._browser = HistoryBrowser(store)

    def compose(self) -> ComposeResult:
        yield self._browser

    # --- what the screen calls

    def show(self, current_id: int | None) -> None:
        """Read the store again, and mark the conversation that is open."""
        self._browser.show(current_id)

    def focus(self, scroll_visible: bool = True) -> Self:
        """Give the list the keys."""
        self._browser.focus_list()
        return self

    def focus_search(self) -> None:
        """Give the search box the keys."""
        self._browser.focus_search()

    def set_writing(self, conversation_ids: Collection[int]) -> None:
        """Mark the conversations in which an answer is being written."""
        self._browser.set_writing(frozenset(conversation_ids))

    def undo(self) -> bool:
        """Take back the last thing done here; returns False if there is none."""
        try:
            step = self._changes.undo()
        except StorageError as error:
            self._report(str(error))
            return True
        if step is None:
            return False
        self._tell(step.undone)
        self._changed(step.conversation_id)
        self._browser.mark(step.conversation_id)
        return True

    # --- moving about

    @on(HistoryBrowser.Chosen)
    def _choose(self, event: HistoryBrowser.Chosen) -> None:
        match event.row:
            case EmptyTrash():
                self._ask_to_empty_trash(event.row.count)
            case Line() | Found() if self._browser.shelf == "trash":
                self._ask_to_restore(event.row.conversation)
            case Line():
                self.post_message(ConversationChosen(event.row.conversation.id))
            case Found(hit=hit, words=words):
                self.post_message(ConversationChosen(hit.conversation.id, hit.message_id, words))

    def action_search(self) -> None:
        self.focus_search()

    def action_leave(self) -> None:
        if not self._browser.end_search():
            self.post_message(HistoryLeft())

    @on(HistorySearch.Left)
    def _leave(self) -> None:
        self.post_message(HistoryLeft())

    def action_next_shelf(self) -> None:
        self._browser.show_next_shelf()

    @on(HistoryBrowser.ShelfShown)
    def _offer_its_keys(self) -> None:
        self.refresh_bindings()

    @on(HistoryBrowser.Failed)
    def _report_failure(self, event: HistoryBrowser.Failed) -> None:
        self._report(event.reason)

    def on_resize(self, _event: events.Resize) -> None:
        self.set_class(self.app.size.height < _LOW, "-low")

    # --- what is done to a conversation

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done on the shelf that is shown is offered."""
        if action == "search":
            return not self._browser.has_search_focus
        return action not in _CHANGES["shown"] or action in _CHANGES[self._browser.shelf]

    def action_rename(self) -> None:
        if (one := self._browser.marked) is None:
            return
        title = " ".join(one.title.split())[:_LONGEST_TITLE]

        def rename(answer: str | None) -> None:
            if answer is not None:
                self._do(one, lambda: self._changes.rename(one, answer))

        ask = AskText(
            tr("Rename the conversation"),
            value=title,
            yes=tr("Rename"),
            refusal=tr("A title needs at least one letter."),
        )
        self.app.push_screen(ask, rename)

    def action_pin(self) -> None:
        if (one := self._browser.marked) is not None:
            self._do(one, lambda: self._changes.pin(one, not one.is_pinned))

    def action_move(self) -> None:
        if (one := self._browser.marked) is None:
            return

        def move(folder: str | None) -> None:
            if folder is not None and folder != one.folder:
                told = tr("Moved to “{folder}”", folder=short(folder)) if folder else tr("Taken out of its folder")
                self._do(one, lambda: self._changes.move(one, folder), told)

        try:
            folders = self._store.folders()
        except StorageError as error:
            self._report(str(error))
            return
        question = tr("Move “{title}” to a folder", title=short(one.title))
        self.app.push_screen(ChooseFolder(question, folders=folders, current=one.folder), move)

    def action_archive(self) -> None:
        if (one := self._browser.marked) is not None:
            archives = self._browser.shelf == "shown"
            told = tr("Archived — u or Ctrl+Z brings it back") if archives else tr("Back in the history")
            self._do(one, lambda: self._changes.archive(one, archives), told)

    def action_delete(self) -> None:
        if (one := self._browser.marked) is None:
            return
        if self._browser.shelf == "trash":
            question = tr("Delete “{title}” for good? Nothing brings it back.", title=short(one.title))
            self._confirm(question, tr("Delete"), lambda: self._do(one, lambda: self._changes.delete(one)))
        else:
            told = tr("Moved to the trash — u or Ctrl+Z brings it back")
            self._do(one, lambda: self._changes.trash(one), told)

    def action_restore(self) -> None:
        """In the trash, bring back what is marked; elsewhere take the last step back."""
        if self._browser.shelf != "trash":
            if not self.undo():
                self._tell(tr("There is nothing to take back"))
        elif (one := self._browser.marked) is not None:
            self._do(one, lambda: self._changes.restore(one), tr("Back in the history"))

    def action_export(self) -> None:
        if (one := self._browser.marked) is not None:
            self.post_message(ExportAsked(one.id))

    def _ask_to_restore(self, one: Conversation) -> None:
        def restore() -> None:
            if self._do(one, lambda: self._changes.restore(one)):
                self.post_message(ConversationChosen(one.id))

        question = tr("“{title}” is in the trash. Restore and open it?", title=short(one.title))
        self._confirm(question, tr("Restore"), restore, is_harmless=True)

    def _ask_to_empty_trash(self, count: int) -> None:
        question = tr("Empty the trash? One conversation is deleted for good.")
        if count > 1:
            question = tr("Empty the trash? {count} conversations are deleted for good.", count=count)
        self._confirm(question, tr("Empty"), self._empty_trash)

    def _empty_trash(self) -> None:
        ids = self._browser.listed_ids
        try:
            self._store.empty_trash()
        except StorageError as error:
            self._report(str(error))
        else:
            self._changes.forget()
        self._changed(*ids)

    # --- the menu of a row

    def action_menu(self) -> None:
        if self._browser.marked is not None:
            self._open_menu(self._browser.place_of_mark + Offset(2, 0))

    @on(HistoryList.MenuAsked)
    def _ask_menu(self, event: HistoryList.MenuAsked) -> None:
        self._open_menu(event.at)

    def _open_menu(self, at: Offset) -> None:
        def act(action: str | None) -> None:
            if action is not None:
                getattr(self, f"action_{action}")()

        if (one := self._browser.marked) is not None:
            self.app.push_screen(Menu(_menu_of(one, self._browser.shelf), at), act)

    # --- saying and asking

    def _do(self, one: Conversation, change: Callable[[], None], told: str = "") -> bool:
        try:
            change()
        except StorageError as error:
            self._report(str(error))
            self._browser.show_again()
            return False
        if told:
            self._tell(told, title=short(one.title))
        self._changed(one.id)
        return True

    def _changed(self, *conversation_ids: int) -> None:
        self._browser.show_again()
        self.post_message(ConversationsChanged(conversation_ids))

    def _confirm(self, question: str, yes: str, act: Callable[[], object], *, is_harmless: bool = False) -> None:
        def answered(answer: bool | None) -> None:
            if answer:
                act()

        self.app.push_screen(Confirm(question, yes=yes, no=tr("Cancel"), is_harmless=is_harmless), answered)

    def _tell(self, text: str, *, title: str = "") -> None:
        self.app.notify(text, title=title, markup=False)

    def _report(self, reason: str) -> None:
        self.app.notify(reason, title=tr("The history"), severity="error", timeout=15, markup=False)


def _menu_of(one: Conversation, shelf: Shelf) -> list[Item]:
    labels = {
        "rename": (tr("Rename"), "r"),
        "pin": (tr("Unpin") if one.is_pinned else tr("Pin"), "p"),
        "move": (tr("Move to a folder"), "m"),
        "archive": (tr("Archive") if shelf == "shown" else tr("Bring back"), "a"),
        "export": (tr("Export"), "x"),
        "restore": (tr("Restore"), "u"),
        "delete": (tr("Delete for good") if shelf == "trash" else tr("Delete"), "d"),
    }
    return [Item(action, *labels[action]) for action in _CHANGES[shelf]]
