"""Where the history file is, for those who are not told."""

from __future__ import annotations

import os
from pathlib import Path

from chatglm_slim_llm.config import Folders
from chatglm_slim_llm.storage.conversations import ConversationStore

StoreLike = ConversationStore | str | os.PathLike[str] | None


def history_path() -> Path:
    """The terminal's history file; ``CHATGLM_SLIM_HOME`` moves it."""
    return Folders.of_user().data / "history.db"


def store_at(store: StoreLike) -> ConversationStore:
    """A store as it is, a path as the store of the file there, and ``None`` as the terminal's own history.

    The file is not touched before it is used; the store of a path lets go of it when nobody holds the store any more.
    """
    if isinstance(store, ConversationStore):
        return store
    return ConversationStore.at(history_path() if store is None else store)
