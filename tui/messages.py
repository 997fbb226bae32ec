"""What the model's threads tell the screen, and what widgets ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textual.message import Message

from chatglm_slim_llm.hosting.assistant import ContextUse, ModelFacts, ToolUse
from chatglm_slim_llm.storage import Attachment, Figures, FinishReason, Source

# --- from the model's threads


@dataclass
class ModelLoading(Message):
    """Bytes are being read or downloaded."""

    what: str
    done_bytes: int
    total_bytes: int


@dataclass
class ModelReady(Message):
    """The next reply starts at once."""

    facts: ModelFacts


@dataclass
class ModelFailed(Message):
    """The model could not be loaded, or its process ended."""

    reason: str


@dataclass
class DownloadNeeded(Message):
    """The weights are not on this machine; someone must say whether to fetch them."""


@dataclass
class ReplyDelta(Message, bubble=False):
    """A piece of a reply; hundreds a second may come, so nobody else is told."""

    message_id: int
    text: str


@dataclass
class ToolStep(Message):
    """A tool is used on the way to a reply: it asks, it runs, it has ended."""

    message_id: int
    use: ToolUse


@dataclass
class ReplyNotice(Message):
    """What a reply goes on without, and why."""

    message_id: int
    text: str


@dataclass
class ReplyFinished(Message):
    """A reply ended as it should."""

    message_id: int
    finish_reason: FinishReason
    figures: Figures | None = None
    sources: tuple[Source, ...] = ()
    dropped_rounds: int = 0
    """How many of the oldest rounds did not fit before the model."""
    is_saved: bool = True
    """Whether it is in the history file; else that is tried again until it is, or until the program ends."""


@dataclass
class ReplyFailed(Message):
    """A reply ended in an error."""

    message_id: int
    reason: str
    is_saved: bool = True


@dataclass
class ReplySaved(Message):
    """A reply that had ended and was not saved is in the history file now."""

    message_id: int


@dataclass
class SaveFailed(Message):
    """What is on the screen is not on disk."""

    reason: str


@dataclass
class ContextCounted(Message):
    """How much of the context a request would fill."""

    use: ContextUse
    conversation_id: int | None


# --- from the prompt


@dataclass
class PromptSubmitted(Message):
    """Someone pressed Enter."""

    text: str
    attachments: tuple[Attachment, ...] = ()


@dataclass
class PromptEdited(Message):
    """What is typed has changed, and the keyboard rests."""

    text: str


@dataclass
class CommandGiven(Message):
    """A line that begins with a slash and names a command."""

    name: str
    argument: str


# --- from the history


@dataclass
class ConversationChosen(Message):
    """A conversation of the history is to be opened, at a message where one was found."""

    conversation_id: int
    message_id: int | None = None
    words: str = ""
    """What was searched for, to be marked in the conversation."""


@dataclass
class ConversationsChanged(Message):
    """The history pane has changed these: renamed, moved, archived, deleted or brought back."""

    conversation_ids: tuple[int, ...]


@dataclass
class ExportAsked(Message):
    """A conversation is to be written to a file."""

    conversation_id: int


# --- from the conversation


@dataclass
class TalkChanged(Message):
    """A reply has begun, grows or has ended; ``state`` says so, and is empty where nothing new is to be said."""

    state: str = ""
    has_begun: bool = False
    """A question was kept: its conversation is new in the history, or goes to the top."""


MessageAction = Literal[
    "copy", "copy_code", "regenerate", "edit", "fork", "previous_variant", "next_variant", "sources", "tools"
]


@dataclass
class MessageAsked(Message):
    """Something is to be done with a message."""

    action: MessageAction
    message_id: int


@dataclass
class CitationChosen(Message):
    """A number in a reply was clicked or opened: the passage behind it is wanted."""

    message_id: int
    number: int


@dataclass
class ToolUseChosen(Message):
    """A line of a reply's tool uses was clicked: it is to be seen in full."""

    message_id: int
    place: int


@dataclass
class ToolsInUse(Message):
    """How many tools the model may use in the chat that is shown, where that has changed."""

    count: int


@dataclass
class ExampleChosen(Message):
    """One of the start screen's questions."""

    text: str
