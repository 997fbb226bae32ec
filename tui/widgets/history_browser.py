"""The history as it is looked at: a search box, the names of the shelves, and the list of what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Offset
from textual.message import Message

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import Conversation, ConversationStore, Hit, Shelf
from tui.language import tr
from tui.widgets.history_changes import short
from tui.widgets.history_list import HistoryList
from tui.widgets.history_rows import Found, Line, Row, rows_found, rows_of
from tui.widgets.history_search import HistorySearch
from tui.widgets.history_shelves import Shelves

_NOTHING: dict[Shelf, str] = {
    "shown": "No conversations yet",
    "archived": "Nothing is archived",
    "trash": "The trash is empty",
}
_ELSEWHERE: dict[Shelf, str] = {
    "shown": "The history holds some",
    "archived": "The archive holds some",
    "trash": "The trash holds some",
}


class HistoryBrowser(Vertical):
    """Reads the store and shows it; it changes nothing there."""

    SCOPED_CSS = False
    DEFAULT_CSS = "HistoryBrowser { height: 1fr; }"

    @dataclass
    class Chosen(Message):
        """A row is to be opened."""

        row: Row

    @dataclass
    class Failed(Message):
        """The store could not be read."""

        reason: str

    @dataclass
    class ShelfShown(Message):
        """Another shelf is looked at."""

    @dataclass
    class Searched(Message):
        """A search has ended, in its thread."""

        words: str
        shelf: Shelf
        hits: list[Hit]
        failure: str = ""
        elsewhere: Shelf | None = None
        """Where nothing was found, another shelf that has some."""

    def __init__(self, store: ConversationStore) -> None:
        super().__init__()
        self._store = store
        self._shelves = Shelves()
        self._search = HistorySearch()
        self._list = HistoryList()
        self._current_id: int | None = None
        self._open_folders: set[str] = set()
        self._words = ""
        """What the list shows the hits of; empty while it shows a whole shelf."""
        self._elsewhere: Shelf | None = None
        self._opens_first = False
        self._last_failure = ""

    def compose(self) -> ComposeResult:
        yield self._search
        yield self._shelves
        yield self._list

    # --- what the pane calls

    def show(self, current_id: int | None) -> None:
        """Read the store again, and mark the conversation that is open."""
        has_moved, self._current_id = current_id != self._current_id, current_id
        self._search.speak()
        self._shelves.refresh()
        if self._words:
            self._list.show(self._list.rows, nothing=self._nothing, current_id=current_id)
            self._find(self._words)
            return
        conversations = self._conversations()
        if has_moved:
            self._open_folders.update(one.folder for one in conversations if one.id == current_id)
        self._list_shelf(conversations)
        if has_moved:
            self._list.mark(current_id)

    def show_again(self) -> None:
        """Read the store again after a change."""
        if self._words:
            self._find(self._words)
        else:
            self._list_shelf(self._conversations())
            self._list.keep_mark_in_view()

    def show_shelf(self, shelf: Shelf) -> None:
        """Look at another shelf; what is searched for stays."""
        self._shelves.shelf = shelf
        self.show_again()
        self._mark_current()
        self.post_message(self.ShelfShown())

    def show_next_shelf(self) -> None:
        """Look at the shelf after this one."""
        self.show_shelf(self._shelves.next)

    def mark(self, conversation_id: int) -> None:
        """Put the mark on a conversation, if it is listed."""
        self._list.mark(conversation_id)

    def focus_list(self) -> None:
        """Give the list the keys."""
        self._list.focus()

    def focus_search(self) -> None:
        """Give the search box the keys."""
        self._search.focus()

    def end_search(self) -> bool:
        """Clear the search; returns False if there was none."""
        had_some = bool(self._search.value)
        if had_some:
            self._search.clear_words()
        return had_some

    def set_writing(self, conversation_ids: frozenset[int]) -> None:
        """Mark the conversations in which an answer is being written."""
        self._list.set_writing(conversation_ids)

    @property
    def shelf(self) -> Shelf:
        """The shelf looked at."""
        return self._shelves.shelf

    @property
    def has_search_focus(self) -> bool:
        """Whether keys go into the search box."""
        return self._search.has_focus

    @property
    def marked(self) -> Conversation | None:
        """The conversation that keys act on."""
        row = self._list.marked
        return row.conversation if isinstance(row, Line | Found) else None

    @property
    def listed_ids(self) -> tuple[int, ...]:
        """The conversations in the list."""
        return tuple(row.conversation.id for row in self._list.rows if isinstance(row, Line | Found))

    @property
    def place_of_mark(self) -> Offset:
        """The line of the screen below the marked row."""
        return self._list.place_of_mark

    # --- a shelf

    def _conversations(self) -> list[Conversation]:
        """What the shelf holds; what is listed already, where it cannot be read."""
        try:
            conversations = self._store.conversations(self.shelf)
        except StorageError as error:
            if str(error) != self._last_failure:  # said once, not at every look
                self.post_message(self.Failed(str(error)))
            self._last_failure = str(error)
            return [row.conversation for row in self._list.rows if isinstance(row, Line)]
        self._last_failure = ""
        return conversations

    def _list_shelf(self, conversations: Sequence[Conversation]) -> None:
        rows = rows_of(conversations, self.shelf, self._open_folders, datetime.now().astimezone())
        self._list.show(rows, nothing=self._nothing, current_id=self._current_id)

    def _mark_current(self) -> None:
        if not self._list.mark(self._current_id):
            self._list.mark_first()

    @property
    def _nothing(self) -> str:
        if self._words:
            told = tr("Nothing found for “{words}”", words=short(self._words))
            return f"{told}\n{tr(_ELSEWHERE[self._elsewhere])}" if self._elsewhere else told
        return tr(_NOTHING[self.shelf])

    @on(HistoryList.FolderAsked)
    def _fold(self, event: HistoryList.FolderAsked) -> None:
        (self._open_folders.add if event.is_open else self._open_folders.discard)(event.name)
        self.show_again()
        self._list.mark(event.name)

    @on(Shelves.Picked)
    def _pick_shelf(self, event: Shelves.Picked) -> None:
        self.show_shelf(event.shelf)
        self.focus_list()

    @on(HistoryList.Chosen)
    def _choose(self, event: HistoryList.Chosen) -> None:
        event.stop()  # sent on our behalf, where the search box asked for it, it would go no further than here
        self.post_message(self.Chosen(event.row))

    def on_descendant_focus(self) -> None:
        self._list.refresh()

    def on_descendant_blur(self) -> None:
        self._list.refresh()

    # --- the search

    @on(HistorySearch.Stepped)
    def _step(self, event: HistorySearch.Stepped) -> None:
        self._list.action_move(event.by)

    @on(HistorySearch.OpenAsked)
    def _open_found(self, event: HistorySearch.OpenAsked) -> None:
        if event.words == self._words:
            self._list.action_choose()
        else:
            self._opens_first = True
            self._find(event.words)

    @on(HistorySearch.Asked)
    def _ask(self, event: HistorySearch.Asked) -> None:
        self._opens_first = False
        if event.words:
            self._find(event.words)
        elif self._words:
            self._words = ""
            self._list_shelf(self._conversations())
            self._mark_current()

    def _find(self, words: str) -> None:
        look = partial(self._look_for, words, self.shelf)
        self.run_worker(look, thread=True, exclusive=True, group="history", exit_on_error=False)

    def _look_for(self, words: str, shelf: Shelf) -> None:
        try:
            hits = self._store.search(words, shelf=shelf)
            others = () if hits else [other for other in Shelves.ORDER if other != shelf]
            elsewhere = next((other for other in others if self._store.search(words, shelf=other, limit=1)), None)
            self.post_message(self.Searched(words, shelf, hits, elsewhere=elsewhere))
        except StorageError as error:
            self.post_message(self.Searched(words, shelf, [], str(error)))

    @on(Searched)
    def _show_found(self, event: Searched) -> None:
        event.stop()
        if event.words != self._search.words or event.shelf != self.shelf:
            return  # more was typed meanwhile
        if event.failure:
            self.post_message(self.Failed(event.failure))
        is_new, self._words = event.words != self._words, event.words
        self._elsewhere = event.elsewhere
        self._list.show(rows_found(event.hits, event.words), nothing=self._nothing, current_id=self._current_id)
        if is_new:
            self._list.mark_first()
        if self._opens_first:
            self._opens_first = False
            self._list.action_choose()
