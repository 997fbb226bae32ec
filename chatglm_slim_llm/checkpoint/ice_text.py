"""The SentencePiece file of a checkpoint folder, read with clear errors."""

from __future__ import annotations

from pathlib import Path

from chatglm_slim_llm.checkpoint.files import refuse_lfs_pointer
from chatglm_slim_llm.errors import CheckpointFormatError, CheckpointNotFoundError
from chatglm_slim_llm.network.ice_text import ICE_TEXT, complete


def read_ice_text(folder: Path) -> bytes:
    """Read a checkpoint's SentencePiece file.

    Raises:
        CheckpointNotFoundError: it is not there.
        CheckpointFormatError: it is a git-lfs pointer.
    """
    path = folder / ICE_TEXT
    if not path.is_file():
        raise CheckpointNotFoundError(
            f"{folder} has no {ICE_TEXT}, the tokenizer's vocabulary; fetch it from where the checkpoint came from"
        )
    refuse_lfs_pointer(path)
    return path.read_bytes()


def read_complete_ice_text(folder: Path) -> tuple[bytes, int]:
    """The file with the 344 pieces that early checkpoints lack, and the number of pieces before them.

    Raises:
        CheckpointNotFoundError: it is not there.
        CheckpointFormatError: it is a git-lfs pointer, no SentencePiece file, or of another model.
    """
    content, path = read_ice_text(folder), folder / ICE_TEXT
    try:
        return complete(content)
    except ValueError as error:
        raise CheckpointFormatError(f"{path}: {error}", path=path) from error
