"""The history pane: past conversations to open, to find, to keep in order.

``history_browser.py`` shows them, ``history_changes.py`` does what is asked and takes it back. This file is where
keys become calls on the two, and it tells the screen what has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Offset
from textual.message import Message

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import Conversation, ConversationStore
from tui.language import tr
from tui.messages import ConversationChosen, ConversationsChanged, ExportAsked
from tui.screens.confirm import Confirm
from tui.screens.menu import Menu
from tui.telling import complain, tell
from tui.widgets import history_questions as questions
from tui.widgets.history_browser import HistoryBrowser
from tui.widgets.history_changes import Changes, short
from tui.widgets.history_list import HistoryList
from tui.widgets.history_questions import CHANGES, Change
from tui.widgets.history_rows import EmptyTrash, Found, Line
from tui.widgets.history_search import HistorySearch

_LOW = 12  # rows of a terminal that has none to spare


@dataclass
class HistoryLeft(Message):
    """Escape in the history: the keys are wanted elsewhere."""


@dataclass
class DeletedForGood(Message):
    """These are gone, or are not, for a reason."""

    conversation_ids: tuple[int, ...]
    failure: str = ""


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
        Binding("r", "change('rename')", "Rename", id="history.rename", tooltip="Give the conversation another title"),
        Binding("p", "change('pin')", "Pin", id="history.pin", tooltip="Keep the conversation on top, or no longer"),
        Binding(
            "m", "change('move')", "Move", show=False, id="history.move", tooltip="Move the conversation to a folder"
        ),
        Binding(
            "a",
            "change('archive')",
            "Archive",
            show=False,
            id="history.archive",
            tooltip="Archive it, or bring it back",
        ),
        Binding(
            "d,delete",
            "change('delete')",
            "Delete",
            id="history.delete",
            tooltip="Move the conversation to the trash; in the trash, delete it for good",
        ),
        Binding("u", "undo", "Undo", id="history.undo", tooltip="Take the last change back; in the trash, restore"),
        Binding(
            "x",
            "change('export')",
            "Export",
            show=False,
            id="history.export",
            tooltip="Write the conversation to a file",
        ),
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
        tell(self, step.undone)
        self._changed(step.conversation_id)
        self._browser.mark(step.conversation_id)
        return True

    # --- moving about

    @on(HistoryBrowser.Chosen)
    def _choose(self, event: HistoryBrowser.Chosen) -> None:
        match event.row:
            case EmptyTrash():
                self._if_yes(
                    questions.emptying(event.row.count),
                    partial(self._delete_for_good, self._store.empty_trash, self._browser.listed_ids),
                )
            case Line(conversation=one) | Found(conversation=one) if self._browser.shelf == "trash":
                self._if_yes(questions.restoring(one), lambda: self._restore_and_open(one))
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
        return action != "change" or parameters[0] in CHANGES[self._browser.shelf]

    def act(self, change: Change, conversation_id: int | None, argument: str = "") -> None:
        """Do to a conversation what a key does to the marked one; ``argument`` is the title or folder, if it is known.

        Where something is to be asked it is asked, and what was done can be taken back.
        """
        if conversation_id is None:
            tell(self, tr("This conversation has not begun yet"))
            return
        try:
            one = self._store.conversation(conversation_id)
        except StorageError as error:
            self._report(str(error))
        else:
            self._act(change, one, argument)

    def _act(self, change: Change, one: Conversation | None, argument: str = "") -> None:
        match change:
            case _ if one is None:
                pass  # no row is marked
            case "rename" if argument.strip():
                self._rename(one, argument.strip())
            case "rename":
                self._ask_for_title(one)
            case "pin":
                told = tr("No longer pinned") if one.is_pinned else tr("Pinned")
                self._do(one, lambda: self._changes.pin(one, not one.is_pinned), told)
            case "move" if argument.strip():
                self._move(one, argument.strip())
            case "move":
                self._ask_for_folder(one)
            case "archive":
                archives = one.archived_at is None
                told = tr("Archived — u or Ctrl+Z brings it back") if archives else tr("Back in the history")
                self._do(one, lambda: self._changes.archive(one, archives), told)
            case "export":
                self.post_message(ExportAsked(one.id))
            case "restore":
                self._do(one, lambda: self._changes.restore(one), tr("Back in the history"))
            case "delete" if one.deleted_at is not None:
                self._if_yes(
                    questions.deletion(one),
                    partial(self._delete_for_good, partial(self._store.delete, one.id), (one.id,)),
                )
            case "delete":
                told = tr("Moved to the trash — u or Ctrl+Z brings it back")
                self._do(one, lambda: self._changes.trash(one), told)

    def action_change(self, change: Change) -> None:
        """Do something to the marked conversation."""
        self._act(change, self._browser.marked)

    def action_undo(self) -> None:
        """In the trash, bring back what is marked; elsewhere take the last change back."""
        if self._browser.shelf == "trash":
            self._act("restore", self._browser.marked)
        elif not self.undo():
            tell(self, tr("There is nothing to take back."))

    # --- what is asked first

    def _ask_for_title(self, one: Conversation) -> None:
        def rename(answer: str | None) -> None:
            if answer is not None:
                self._rename(one, answer)

        self.app.push_screen(questions.title(one), rename)

    def _rename(self, one: Conversation, title: str) -> None:
        self._do(one, lambda: self._changes.rename(one, title), tr("Renamed"))

    def _ask_for_folder(self, one: Conversation) -> None:
        def move(folder: str | None) -> None:
            if folder is not None:
                self._move(one, folder)

        try:
            folders = self._store.folders()
        except StorageError as error:
            self._report(str(error))
        else:
            self.app.push_screen(questions.folder(one, folders), move)

    def _move(self, one: Conversation, folder: str) -> None:
        told = tr("Moved to “{folder}”", folder=short(folder)) if folder else tr("Taken out of its folder")
        self._do(one, lambda: self._changes.move(one, folder), told)

    def _restore_and_open(self, one: Conversation) -> None:
        if self._do(one, lambda: self._changes.restore(one)):
            self.post_message(ConversationChosen(one.id))

    def _if_yes(self, question: Confirm, act: Callable[[], None]) -> None:
        self.app.push_screen(question, lambda answer: act() if answer else None)

    def _delete_for_good(self, delete: Callable[[], object], conversation_ids: tuple[int, ...]) -> None:
        def run() -> None:
            try:
                delete()
            except StorageError as error:
                self.post_message(DeletedForGood(conversation_ids, str(error)))
            else:
                self.post_message(DeletedForGood(conversation_ids))

        self.run_worker(run, thread=True, group="trash", exit_on_error=False)  # long ones take their time

    @on(DeletedForGood)
    def _follow_deletion(self, event: DeletedForGood) -> None:
        event.stop()
        if event.failure:
            self._report(event.failure)
        else:
            self._changes.forget(event.conversation_ids)
        self._changed(*event.conversation_ids)

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
                self._act(cast(Change, action), one)

        if (one := self._browser.marked) is not None:
            self.app.push_screen(Menu(questions.menu_of(one, self._browser.shelf), at), act)

    # --- saying and asking

    def _do(self, one: Conversation, change: Callable[[], None], told: str = "") -> bool:
        try:
            change()
        except StorageError as error:
            self._report(str(error))
            self._browser.show_again()
            return False
        if told:
            tell(self, told, title=short(one.title))
        self._changed(one.id)
        return True

    def _changed(self, *conversation_ids: int) -> None:
        self._browser.show_again()
        self.post_message(ConversationsChanged(conversation_ids))

    def _report(self, reason: str) -> None:
        complain(self, reason, tr("The history"))
