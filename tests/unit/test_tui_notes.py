"""Notes stand where they were made, and nowhere else."""

from __future__ import annotations

from tui.notes import Notes
from tui.widgets.conversation_entry import Entry


def messages(*ids: int) -> list[Entry]:
    return [Entry(number, "user", str(number)) for number in ids]


def test_a_note_stands_below_its_message_in_its_conversation():
    notes = Notes()
    note = notes.add(7, 2, "/shout")
    assert notes.among(messages(1, 2, 3), 7)[2] is note
    assert note not in notes.among(messages(1, 2, 3), 8)
    assert note not in notes.among(messages(1, 3), 7), "another branch"


def test_notes_of_a_chat_that_begins_go_with_it():
    notes = Notes()
    note = notes.add(None, None, "/shout")
    notes.move(None, 7)
    assert notes.among(messages(1), 7)[0] is note
    assert notes.among([], None) == []


def test_a_note_can_be_taken_away_and_has_a_number_that_no_message_has():
    notes = Notes()
    first, second = notes.add(1, None, "/a"), notes.add(1, None, "/b")
    assert first.message_id != second.message_id
    assert first.message_id < 0 > second.message_id
    notes.remove(first)
    assert notes.among([], 1) == [second]
    notes.begin_anew(1)
    assert notes.among([], 1) == []
