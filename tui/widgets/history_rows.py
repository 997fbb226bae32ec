"""What stands in the history list, from top to bottom: headings, conversations, what was found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby

from chatglm_slim_llm.storage import Conversation, Hit, Shelf
from tui.language import tr

# fmt: off
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Heading:
    """A name above the conversations that belong together; the keys pass over it."""

    text: str
    key: None = None
    height: int = 1


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder's name, which opens and closes it."""

    name: str
    count: int
    is_open: bool
    height: int = 1

    @property
    def key(self) -> str:
        """What the row is known by when the list is made anew."""
        return self.name


@dataclass(frozen=True, slots=True)
class Line:
    """A conversation."""

    conversation: Conversation
    depth: int = 0
    height: int = 1

    @property
    def key(self) -> int:
        """What the row is known by when the list is made anew."""
        return self.conversation.id


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation that holds what was searched for, and the place."""

    hit: Hit
    words: str
    height: int = 2

    @property
    def conversation(self) -> Conversation:
        """Where it was found."""
        return self.hit.conversation

    @property
    def key(self) -> int:
        """What the row is known by when the list is made anew."""
        return self.hit.conversation.id


@dataclass(frozen=True, slots=True)
class EmptyTrash:
    """The line above the trash that empties it."""

    count: int
    key: int = 0
    height: int = 1


Row = Heading | Folder | Line | Found | EmptyTrash


def rows_of(
    conversations: Sequence[Conversation], shelf: Shelf, open_folders: Collection[str], now: datetime
) -> list[Row]:
    """The pinned first, then the folders, then the rest by day; the trash by the day of its deletion."""
    if shelf == "trash":
        deleted = sorted(conversations, key=_deleted_at, reverse=True)
        rows: list[Row] = [EmptyTrash(len(deleted))] if deleted else []
        return rows + list(_by_day([(_deleted_at(one), one) for one in deleted], now, has_some_above=bool(rows)))
    pinned = [one for one in conversations if one.is_pinned]
    rows = [Heading(tr("Pinned")), *map(Line, pinned)] if pinned else []
    rows += _in_folders([one for one in conversations if one.folder and not one.is_pinned], open_folders, bool(rows))
    loose = [(one.updated_at, one) for one in conversations if not one.folder and not one.is_pinned]
    return rows + list(_by_day(loose, now, has_some_above=bool(rows)))


def rows_found(hits: Sequence[Hit], words: str) -> list[Row]:
    """The hits, best first; those in a title alone have no second line."""
    return [Found(hit, words, height=2 if hit.message_id is not None else 1) for hit in hits]


def _in_folders(
    conversations: Sequence[Conversation], open_folders: Collection[str], has_some_above: bool
) -> Iterator[Row]:
    ordered = sorted(conversations, key=lambda one: (one.folder.casefold(), one.folder))  # stable: newest first inside
    for name, group in groupby(ordered, key=lambda one: one.folder):
        inside = list(group)
        yield Folder(name, len(inside), name in open_folders, height=2 if has_some_above else 1)
        has_some_above = name in open_folders
        if name in open_folders:
            yield from (Line(one, depth=1) for one in inside)


def _by_day(dated: Sequence[tuple[datetime, Conversation]], now: datetime, *, has_some_above: bool) -> Iterator[Row]:
    """Newest first, so one look at the local calendar is enough for each group."""
    since: datetime | None = None
    for moment, conversation in dated:
        if since is None or moment < since:
            text, since = _group(moment, now)
            yield Heading(text, height=2 if has_some_above else 1)
            has_some_above = True
        yield Line(conversation)


def _group(moment: datetime, now: datetime) -> tuple[str, datetime]:
    """The name of the days that ``moment`` belongs to, and when the first of them began."""
    day, today = moment.astimezone().date(), now.astimezone().date()
    for text, days in (("Today", 0), ("Yesterday", 1), ("Previous 7 days", 7), ("Previous 30 days", 30)):
        if day >= (first := today - timedelta(days)):
            return tr(text), _midnight(first)
    month = tr(_MONTHS[day.month - 1])
    text = month if day.year == today.year else tr("{month} {year}", month=month, year=day.year)
    return text, _midnight(day.replace(day=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min).astimezone()


def _deleted_at(conversation: Conversation) -> datetime:
    return conversation.deleted_at or conversation.updated_at
