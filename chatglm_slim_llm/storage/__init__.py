"""What was said, on disk: one SQLite file that threads and processes may share.

``connection.py`` opens the file and turns SQLite's errors into ours, ``migrations.py`` holds the numbered steps of its
schema, ``backups.py`` copies it, ``place.py`` says where it is. ``conversations.py`` and ``threads.py`` are what the
rest of the program uses: talks that people read, and the states of LangGraph's threads.

What a ``ConversationStore`` does is in the modules it asks: ``shelves.py`` (lists), ``tree.py`` (messages, branches),
``replies.py`` and ``marks.py`` (answers that grow, and who writes them), ``drafts.py`` (what is typed), ``sources.py``
(what a reply rests on), ``tool_uses.py`` (what was done on the way to it), ``copies.py`` (forks, whole conversations),
``searching.py``, ``index.py`` and ``words.py``.
``exchange/`` writes and reads the files of other programs.
"""

from __future__ import annotations

from chatglm_slim_llm.storage.conversations import ConversationStore, title_of
from chatglm_slim_llm.storage.place import StoreLike, history_path, store_at
from chatglm_slim_llm.storage.records import (
    Attachment,
    ChatSettings,
    Conversation,
    Draft,
    Figures,
    FinishReason,
    Hit,
    Message,
    Role,
    Shelf,
)
from chatglm_slim_llm.storage.sources import Source
from chatglm_slim_llm.storage.threads import CheckpointKey, StoredCheckpoint, StoredWrite, ThreadStore
from chatglm_slim_llm.storage.tool_uses import ToolState, ToolUse
from chatglm_slim_llm.storage.whole import WholeConversation, WholeMessage

__all__ = [
    "Attachment",
    "ChatSettings",
    "CheckpointKey",
    "Conversation",
    "ConversationStore",
    "Draft",
    "Figures",
    "FinishReason",
    "Hit",
    "Message",
    "Role",
    "Shelf",
    "Source",
    "StoreLike",
    "StoredCheckpoint",
    "StoredWrite",
    "ThreadStore",
    "ToolState",
    "ToolUse",
    "WholeConversation",
    "WholeMessage",
    "history_path",
    "store_at",
    "title_of",
]
