"""The numbered steps of the history file's schema.

A landed step is never edited: a change of the schema is a new step at the end. All that a file lacks run in
one transaction, and ``pragma user_version`` is the number of steps it has seen.
"""

from __future__ import annotations

from sqlite3 import Connection

from chatglm_slim_llm.storage import index
from chatglm_slim_llm.storage.connection import Migration


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


def m005_shelve_conversations(db: Connection) -> None:
    """Folders, pins, archive and trash; settings of a conversation, and a name that copies in other files share."""
    for column in (
        "folder text not null default ''",
        "is_pinned integer not null default 0",
        "archived_at real",
        "deleted_at real",
        "settings text not null default ''",
        "uid text not null default ''",
    ):
        db.execute(f"alter table conversations add column {column}")
    db.execute("update conversations set uid = lower(hex(randomblob(16)))")
    db.execute("create unique index conversations_by_uid on conversations (uid) where uid != ''")
    db.execute("create index conversations_in_order on conversations (is_pinned desc, updated_at desc, id desc)")
    db.execute("drop index conversations_by_update")


def m006_keep_what_was_typed(db: Connection) -> None:
    """Prompts not yet sent, one a conversation and one of none; files that were sent with a message."""
    db.execute(
        "create table drafts ("
        " conversation_id integer unique references conversations (id) on delete cascade,"
        " text text not null)"
    )
    db.execute(
        "create table attachments ("
        " message_id integer not null references messages (id) on delete cascade,"
        " number integer not null,"
        " name text not null,"
        " text text not null,"
        " path text,"
        " media_type text not null,"
        " primary key (message_id, number))"
    )


def m007_tell_of_replies(db: Connection) -> None:
    """How a reply was made, why it failed, who writes it, and which of several that follow a message was shown."""
    for column in (
        "failure text not null default ''",
        "figures text",
        "writer text",
        "shown_child_id integer",
        "is_indexed integer not null default 0",
    ):
        db.execute(f"alter table messages add column {column}")
    db.execute("create index messages_not_indexed on messages (id) where not is_indexed")


def m008_index_texts(db: Connection) -> None:
    """Titles and messages can be searched. A reply without an end is indexed when its writer is known to be dead."""
    db.execute(
        "create virtual table search_terms using fts5"
        " (terms, content = '', columnsize = 0, detail = none, tokenize = 'ascii')"
    )
    for conversation_id, title in db.execute("select id, title from conversations").fetchall():
        index.add(db, conversation_id, index.TITLE, title)
    ended = "role != 'assistant' or finish_reason is not null"
    for conversation_id, message_id, content in db.execute(
        f"select conversation_id, id, content from messages where {ended}"
    ):
        index.add(db, conversation_id, message_id, content)
    db.execute(f"update messages set is_indexed = 1 where {ended}")


def m009_keep_tool_uses(db: Connection) -> None:
    """What a model did with tools on the way to a reply; ``arguments`` is JSON."""
    db.execute(
        "create table tool_uses ("
        " message_id integer not null references messages (id) on delete cascade,"
        " number integer not null,"
        " use_id text not null,"
        " name text not null,"
        " arguments text not null,"
        " state text not null check (state in ('asked', 'running', 'done', 'refused', 'failed')),"
        " result text not null,"
        " primary key (message_id, number))"
    )


def m010_keep_what_was_attached(db: Connection) -> None:
    """Files, and long pastes, that are to be sent with a prompt not yet sent."""
    db.execute(
        "create table draft_attachments ("
        " conversation_id integer references conversations (id) on delete cascade,"
        " number integer not null,"
        " name text not null,"
        " text text not null,"
        " path text,"
        " media_type text not null)"
    )
    db.execute("create index draft_attachments_by_conversation on draft_attachments (conversation_id, number)")


MIGRATIONS: tuple[Migration, ...] = (
    m001_create_conversations,
    m002_keep_original_messages,
    m003_create_threads,
    m004_create_sources,
    m005_shelve_conversations,
    m006_keep_what_was_typed,
    m007_tell_of_replies,
    m008_index_texts,
    m009_keep_tool_uses,
    m010_keep_what_was_attached,
)
