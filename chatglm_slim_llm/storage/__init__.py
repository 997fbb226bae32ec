"""What was said, on disk: one SQLite file that threads and processes may share.

``connection.py`` opens the file and turns SQLite's errors into ours, ``migrations.py`` holds the
numbered steps of its schema, ``conversations.py`` is what the rest of the program uses.
"""

from __future__ import annotations

from chatglm_slim_llm.storage.conversations import Conversation, ConversationStore, FinishReason, Message, Role

__all__ = ["Conversation", "ConversationStore", "FinishReason", "Message", "Role"]
