"""Write the history file of a schema from 5 on: `python tests/data/schemas/make.py VERSION`, once for each."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from chatglm_slim_llm.storage.connection import Database, FileKind
from chatglm_slim_llm.storage.migrations import MIGRATIONS

ADDED = {
    5: "update conversations set folder = '旅行', is_pinned = 1, settings = '{\"system\": \"简短\"}' where id = 1",
    6: "insert into drafts (conversation_id, text) values (1, '后天呢')",
    7: "update messages set failure = 'out of memory', finish_reason = 'error', figures = '{\"output_tokens\": 4}'"
    " where id = 7",
    9: "insert into tool_uses (message_id, number, use_id, name, arguments, state, result)"
    " values (2, 0, 'u', 'weather', '{\"city\": \"北京\"}', 'done', '晴')",
    10: "insert into draft_attachments (conversation_id, number, name, text, path, media_type)"
    " values (1, 1, 'b.csv', 'y,z', '/notes/b.csv', 'text/csv')",
}
ATTACHMENT = (
    "insert into attachments (message_id, number, name, text, path, media_type)"
    " values (5, 1, 'a.csv', 'x,y', '/notes/a.csv', 'text/csv')"
)


def make(version: int, folder: Path) -> None:
    """Bring a copy of ``4.db`` to a later schema and use what that added."""
    path = folder / f"{version}.db"
    shutil.copy(folder / "4.db", path)
    database = Database(path, FileKind("history file", 0x43474C4D, MIGRATIONS[:version]))
    with database.transaction() as db:
        for number, statement in ADDED.items():
            if number <= version:
                db.execute(statement)
        if version >= 6:
            db.execute(ATTACHMENT)
    database.close()


if __name__ == "__main__":
    make(int(sys.argv[1]), Path(__file__).parent)
