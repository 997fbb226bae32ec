"""What slash commands of plugins said: it stands in the conversation until the program ends, and is not stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from tui.widgets.conversation_entry import Entry


@dataclass(frozen=True)
class Placed:
    """A note, and the message that it stands below; ``None`` for the top."""

    entry: Entry
    below: int | None


class Notes:
    """The notes of all conversations, by their numbers; ``None`` is the one that has not begun."""

    def __init__(self) -> None:
        self._placed: dict[int | None, list[Placed]] = {}
        self._numbers = count(-1, -1)  # messages have those above zero

    def add(self, conversation_id: int | None, below: int | None, command: str) -> Entry:
        """Begin a note of what a command says, as a line that still grows."""
        entry = Entry(next(self._numbers), "system", "", growing=True, command=command)
        self._placed.setdefault(conversation_id, []).append(Placed(entry, below))
        return entry

    def remove(self, entry: Entry) -> None:
        """Take a note away."""
        for placed in self._placed.values():
            placed[:] = [each for each in placed if each.entry is not entry]

    def begin_anew(self, conversation_id: int | None) -> None:
        """Forget the notes of a conversation."""
        self._placed.pop(conversation_id, None)

    def move(self, before: int | None, conversation_id: int) -> None:
        """A conversation has another number."""
        if moved := self._placed.pop(before, None):
            self._placed[conversation_id] = moved

    def among(self, entries: Sequence[Entry], conversation_id: int | None) -> list[Entry]:
        """The messages with the notes that stand below them; those of another branch stay away."""
        placed = self._placed.get(conversation_id, [])
        found = [each.entry for each in placed if each.below is None]
        for entry in entries:
            found += [entry, *(each.entry for each in placed if each.below == entry.message_id)]
        return found
