"""Two windows on one history: what one deletes, the other cannot write into."""

from __future__ import annotations

import pytest

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ConversationStore


def test_a_message_never_lands_in_a_conversation_that_came_after_a_deleted_one(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as a, ConversationStore.open(tmp_path / "history.db") as b:
        deleted = a.create("secret")
        a.append(deleted.id, "user", "secret")
        a.delete(deleted.id)
        later = a.create("other")
        a.append(later.id, "user", "hello")
        with pytest.raises(StorageError):
            b.append(deleted.id, "user", "more")
        assert [message.content for message in a.messages(later.id)] == ["hello"]
