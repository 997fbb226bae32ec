"""The numbered steps of a knowledge base's schema; a landed step is never edited."""

from __future__ import annotations

from sqlite3 import Connection

from chatglm_slim_llm.storage.connection import FileKind


def m001_create_documents(db: Connection) -> None:
    """Files and what they were cut into, the terms and the vectors to find them by.

    A document is ``incoming`` while its chunks are being written, several transactions for a long one; only chunks of
    ``ready`` documents are found. ``skipped`` ones are remembered so that a broken file is not read again and again.
    Ids are never given out twice: a process that searches may still hold old ones. A root's device is the number of the
    file system that it was on: the empty folder of a drive that is not mounted is on another.
    """
    db.execute("create table settings (key text primary key, value) without rowid")
    db.execute("create table roots (path blob primary key, device integer) without rowid")
    db.execute(
        "create table documents ("
        " id integer primary key autoincrement,"
        " source text not null,"
        " path blob,"  # as the file system has it; null for texts that came from no file
        " state text not null check (state in ('incoming', 'ready', 'skipped')),"
        " reason text,"
        " digest text,"
        " size_bytes integer,"
        " mtime_ns integer,"
        " indexed_at real not null)"
    )
    db.execute("create index documents_by_path on documents (path)")
    db.execute("create index documents_by_state on documents (state)")
    db.execute(
        "create table chunks ("
        " id integer primary key autoincrement,"
        " key text not null,"
        " document_id integer not null references documents (id),"
        " text text not null,"
        " heading text not null,"
        " page integer,"
        " first_line integer,"
        " last_line integer,"
        " metadata text not null,"
        " term_count integer not null)"
    )
    db.execute("create index chunks_by_key on chunks (key)")
    db.execute("create index chunks_by_document on chunks (document_id)")
    # Terms hold no ASCII but letters and digits, and every other character is a letter to this tokenizer: it cuts at
    # the white space between them and does nothing else. Positions are not kept, as ranking happens outside.
    db.execute("create virtual table chunk_terms using fts5 (terms, detail = none, tokenize = 'ascii')")
    db.execute("create virtual table term_counts using fts5vocab ('chunk_terms', 'row')")
    db.execute("create table vectors (chunk_id integer primary key, vector blob not null)")
    db.execute("create index vectors_by_chunk on vectors (chunk_id)")  # counts and compares ids without their vectors
    db.execute("create table sentence_vectors (chunk_id integer primary key, vectors blob not null)")
    db.execute(
        "create table records ("
        " namespace text not null,"
        " key text not null,"
        " group_id text,"
        " updated_at real not null,"
        " primary key (namespace, key)) without rowid"
    )


KNOWLEDGE_BASE = FileKind("knowledge base", 0x43474B42, (m001_create_documents,))  # "CGKB"
