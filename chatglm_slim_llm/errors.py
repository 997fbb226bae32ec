"""Every error this project raises on purpose, in one tree.

    ChatGLMSlimError
    ├─ ConfigError(ValueError)          .key .source
    ├─ CheckpointError
    │  ├─ CheckpointNotFoundError(FileNotFoundError)
    │  ├─ CheckpointFormatError         .path .key
    │  └─ VocabularyMismatchError       .expected .found
    ├─ QuantizationError(ValueError)    .bits
    ├─ GenerationError
    │  ├─ PromptTooLongError            .prompt_tokens .limit
    │  └─ ReplyTooShortError            .needed .limit
    ├─ SchemaError(ValueError)          .path
    ├─ MissingExtraError(ImportError)   .extra
    ├─ RetrievalError
    │  ├─ UnreadableFileError           .path .reason
    │  └─ KnowledgeBaseBusyError        .path
    ├─ PluginError
    │  ├─ PluginNotFoundError           .name .known
    │  └─ PluginLoadError               .name
    └─ StorageError
       ├─ GoneError
       └─ SchemaTooNewError

Each message says what was found, what was wanted and what to do next.
Cancelling is a finish reason, not an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class ChatGLMSlimError(Exception):
    """Base of every error below; catch it to catch them all."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from their positional arguments alone; ours have keywords too.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[ChatGLMSlimError], args: tuple[Any, ...], attributes: dict[str, Any]) -> ChatGLMSlimError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class ConfigError(ChatGLMSlimError, ValueError):
    """An option has a value that cannot be used."""

    def __init__(self, message: str, *, key: str, source: str = "argument") -> None:
        super().__init__(message)
        self.key, self.source = key, source


class CheckpointError(ChatGLMSlimError):
    """A checkpoint cannot be found, read or written."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """There is no checkpoint, or one of its files is missing."""


class CheckpointFormatError(CheckpointError):
    """A checkpoint file is readable but does not hold what its config promises."""

    def __init__(self, message: str, *, path: Path, key: str | None = None) -> None:
        super().__init__(message)
        self.path, self.key = path, key


class VocabularyMismatchError(CheckpointError):
    """Weights, config and tokenizer disagree about the number of tokens."""

    def __init__(self, message: str, *, expected: int, found: int) -> None:
        super().__init__(message)
        self.expected, self.found = expected, found


class QuantizationError(ChatGLMSlimError, ValueError):
    """A weight cannot be quantised, or not at this level."""

    def __init__(self, message: str, *, bits: int | None) -> None:
        super().__init__(message)
        self.bits = bits


class GenerationError(ChatGLMSlimError):
    """The model could not produce a reply."""


class PromptTooLongError(GenerationError):
    """The prompt leaves no room for a reply."""

    def __init__(self, message: str, *, prompt_tokens: int, limit: int) -> None:
        super().__init__(message)
        self.prompt_tokens, self.limit = prompt_tokens, limit


class ReplyTooShortError(GenerationError):
    """The form that the reply must have takes more tokens than there are."""

    def __init__(self, message: str, *, needed: int, limit: int) -> None:
        super().__init__(message)
        self.needed, self.limit = needed, limit


class SchemaError(ChatGLMSlimError, ValueError):
    """No reply can be held to this JSON schema: it is contradictory, or uses what is not supported."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class MissingExtraError(ChatGLMSlimError, ImportError):
    """A package of an optional extra is not installed."""

    def __init__(self, message: str, *, extra: str) -> None:
        super().__init__(message)
        self.extra = extra


class RetrievalError(ChatGLMSlimError):
    """Documents cannot be indexed or searched."""


class UnreadableFileError(RetrievalError):
    """A file holds no text that can be taken out of it; the others go on."""

    def __init__(self, reason: str, *, path: Path) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class KnowledgeBaseBusyError(RetrievalError):
    """Another process is indexing the same knowledge base."""

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(message)
        self.path = path


class PluginError(ChatGLMSlimError):
    """A plugin cannot be used."""


class PluginNotFoundError(PluginError):
    """There is no plugin of this name."""

    def __init__(self, message: str, *, name: str, known: tuple[str, ...]) -> None:
        super().__init__(message)
        self.name, self.known = name, known


class PluginLoadError(PluginError):
    """A plugin is there, but importing it failed; the cause is chained."""

    def __init__(self, message: str, *, name: str) -> None:
        super().__init__(message)
        self.name = name


class StorageError(ChatGLMSlimError):
    """A history file or a knowledge base cannot be opened, read or written."""


class GoneError(StorageError):
    """A conversation or message was deleted, or never there."""


class SchemaTooNewError(StorageError):
    """The file was written by a newer version of this program."""
