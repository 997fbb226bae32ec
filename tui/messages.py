"""What the model's threads tell the screen, and what widgets ask of it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from chatglm_slim_llm.storage import FinishReason


@dataclass
class ModelLoading(Message):
    """Bytes are being read or downloaded."""

    what: str
    done_bytes: int
    total_bytes: int


@dataclass
class ModelReady(Message):
    """The next reply starts at once."""


@dataclass
class ModelFailed(Message):
    """The model could not be loaded."""

    reason: str


@dataclass
class DownloadNeeded(Message):
    """The weights are not on this machine; someone must say whether to fetch them."""


@dataclass
class ReplyDelta(Message):
    """A piece of a reply."""

    message_id: int
    text: str


@dataclass
class ReplyFinished(Message):
    """A reply ended as it should."""

    message_id: int
    finish_reason: FinishReason
    summary: str
    """Speed and length in words, for the status line; may be empty."""


@dataclass
class ReplyFailed(Message):
    """A reply ended in an error."""

    message_id: int
    reason: str


@dataclass
class SaveFailed(Message):
    """What is on the screen is not on disk."""

    reason: str


@dataclass
class PromptSubmitted(Message):
    """Someone pressed Enter."""

    text: str


@dataclass
class ConversationChosen(Message):
    """A conversation of the history is to be opened."""

    conversation_id: int


@dataclass
class DeleteAsked(Message):
    """A conversation of the history is to be deleted, once that is confirmed."""

    conversation_id: int
    title: str


@dataclass
class ExampleChosen(Message):
    """One of the start screen's questions."""

    text: str
