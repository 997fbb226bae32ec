"""Questions and growing replies: begun in one step, saved while they grow, marked when their writer has died."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from chatglm_slim_llm.storage import drafts, index, marks, tree
from chatglm_slim_llm.storage.connection import Database
from chatglm_slim_llm.storage.records import Attachment, ChatSettings, Draft, Figures, FinishReason, Message
from chatglm_slim_llm.storage.rows import figures_text, settings_text
from chatglm_slim_llm.storage.text import storable
from chatglm_slim_llm.storage.tree import NewMessage

_GROWING = "role = 'assistant' and finish_reason is null"


@dataclass(frozen=True)
class Question:
    """A prompt and all that goes with it."""

    conversation_id: int | None
    parent_id: int | None
    prompt: str
    title: str
    attachments: Sequence[Attachment]
    settings: ChatSettings | None


def begin(db: Connection, question: Question, writer: str) -> tuple[Message, Message]:
    """Add a question and the empty answer to it; begins a conversation where there is none."""
    conversation_id = _conversation_for(db, question)
    if question.parent_id is not None and tree.message(db, question.parent_id).conversation_id != conversation_id:
        raise tree.gone("message", question.parent_id)
    drafts.write(db, question.conversation_id, "")
    drafts.attach(db, question.conversation_id, ())
    now = time.time()
    asked = tree.insert(db, NewMessage(conversation_id, question.parent_id, Draft("user", question.prompt), now))
    tree.attach(db, asked.id, question.attachments)
    answer = tree.insert(db, NewMessage(conversation_id, asked.id, Draft("assistant", ""), now), writer)
    tree.show(db, answer)
    return asked, answer


def _conversation_for(db: Connection, question: Question) -> int:
    if question.conversation_id is None:
        return tree.create(db, question.title, question.settings)
    tree.conversation(db, question.conversation_id)
    if question.settings is not None:
        db.execute(
            "update conversations set settings = ? where id = ?",
            (settings_text(question.settings), question.conversation_id),
        )
    return question.conversation_id


def begin_answer(db: Connection, question_id: int, writer: str) -> Message:
    """Add another empty answer to a question."""
    question = tree.message(db, question_id)
    new = NewMessage(question.conversation_id, question.id, Draft("assistant", ""), time.time())
    answer = tree.insert(db, new, writer)
    tree.show(db, answer)
    return answer


@dataclass(frozen=True)
class Progress:
    """All that a message holds by now."""

    content: str
    finish_reason: FinishReason | None
    failure: str
    figures: Figures | None


def update(db: Connection, message_id: int, now: Progress, writer: str | None) -> bool:
    """Replace what a message holds; returns whether it is still there."""
    row = db.execute(
        "select conversation_id, role, is_indexed, case when is_indexed then content end from messages where id = ?",
        (message_id,),
    ).fetchone()
    if row is None:
        return False
    conversation_id, role, is_indexed, indexed = row
    is_growing = tree.grows(role, now.finish_reason)
    content = storable(now.content)
    if is_indexed:
        index.remove(db, conversation_id, message_id, indexed)
    if not is_growing:
        index.add(db, conversation_id, message_id, content)
    db.execute(
        "update messages set content = ?, finish_reason = ?, original = null, failure = ?, figures = ?, writer = ?,"
        " is_indexed = ? where id = ?",
        (
            content,
            now.finish_reason,
            storable(now.failure),
            figures_text(now.figures),
            writer if is_growing else None,
            not is_growing,
            message_id,
        ),
    )
    return True


def mark_interrupted(database: Database) -> int:
    """End the replies whose writers have died, and make findable what nobody has indexed."""
    if not database.query("select 1 from messages where not is_indexed limit 1") and not marks.left(database.path):
        return 0
    with database.transaction() as db:
        growing = db.execute(f"select id, writer from messages where not is_indexed and {_GROWING}").fetchall()
        living = {writer for writer in {row["writer"] for row in growing} if marks.is_alive(database.path, writer)}
        dead = [(row["id"],) for row in growing if row["writer"] not in living]
        db.executemany("update messages set finish_reason = 'interrupted', writer = null where id = ?", dead)
        ended = f"select conversation_id, id, content from messages where not is_indexed and not ({_GROWING})"
        for conversation_id, message_id, content in db.execute(ended).fetchall():
            index.add_message(db, conversation_id, message_id, content)
        marks.remove_dead(database.path)
    return len(dead)


def is_being_written(database: Database, message_id: int) -> bool:
    """Whether a living process writes this message."""
    rows = database.query(f"select writer from messages where id = ? and {_GROWING}", (message_id,))
    return bool(rows) and marks.is_alive(database.path, rows[0][0])
