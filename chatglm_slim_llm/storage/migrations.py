"""The numbered steps of the history file's schema.

A landed step is never edited: a change of the schema is a new step at the end. Each step runs in
its own transaction, and ``pragma user_version`` is the number of steps a file has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection

Migration = Callable[[Connection], None]


def m001_create_conversations(db: Connection) -> None:
    """A conversation is a tree of messages; ``head_id`` is the leaf whose path is the one shown.

    Ids are never given out again: another window may still show what was deleted here, and must not write into
    what came after it.
    """
    db.execute(
        "create table conversations ("
        " id integer primary key autoincrement,"
        " title text not null,"
        " created_at real not null,"
        " updated_at real not null,"
        " head_id integer references messages (id) on delete set null)"
    )
    db.execute(
        "create table messages ("
        " id integer primary key autoincrement,"
        " conversation_id integer not null references conversations (id) on delete cascade,"
        " parent_id integer references messages (id) on delete cascade,"
        " role text not null check (role in ('user', 'assistant', 'system')),"
        " content text not null,"
        " created_at real not null,"
        " finish_reason text)"
    )
    db.execute("create index conversations_by_update on conversations (updated_at)")
    db.execute("create index conversations_by_head on conversations (head_id)")
    db.execute("create index messages_by_conversation on messages (conversation_id)")
    db.execute("create index messages_by_parent on messages (parent_id)")


def m002_keep_original_messages(db: Connection) -> None:
    """What a message holds besides the text that is shown, as JSON of whoever wrote it."""
    db.execute("alter table messages add column original text")


def m003_create_threads(db: Connection) -> None:
    """Threads of LangGraph: the states that a graph went through, and what its tasks wrote on the way to the next.

    Writes refer to a state that may be saved after them, so there is no foreign key between the two.
    """
    db.execute(
        "create table thread_checkpoints ("
        " thread_id text not null,"
        " namespace text not null,"
        " checkpoint_id text not null,"
        " parent_id text,"
        " kind text not null,"
        " state blob not null,"
        " metadata text not null,"
        " primary key (thread_id, namespace, checkpoint_id))"
    )
    db.execute(
        "create table thread_writes ("
        " thread_id text not null,"
        " namespace text not null,"
        " checkpoint_id text not null,"
        " task_id text not null,"
        " position integer not null,"
        " task_path text not null,"
        " channel text not null,"
        " kind text not null,"
        " value blob not null,"
        " primary key (thread_id, namespace, checkpoint_id, task_id, position))"
    )


def m004_create_sources(db: Connection) -> None:
    """What a reply rests on: passages of documents with a copy of their text, which go with the reply."""
    db.execute(
        "create table sources ("
        " message_id integer not null references messages (id) on delete cascade,"
        " number integer not null,"
        " passage_id text not null,"
        " source text not null,"
        " heading text not null,"
        " page integer,"
        " first_line integer,"
        " last_line integer,"
        " score real,"
        " text text not null,"
        " primary key (message_id, number))"
    )


MIGRATIONS: tuple[Migration, ...] = (
    m001_create_conversations,
    m002_keep_original_messages,
    m003_create_threads,
    m004_create_sources,
)
