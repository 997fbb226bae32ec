"""Full checkpoint in, slim checkpoint out: the 20,000 rows of image tokens are dropped.

Token ids move down by 20,000 and nothing else changes, so the slim model gives the very same
logits for text. Ids that the code of March 2023 had built in are written into the config.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from chatglm_slim_llm.checkpoint.files import Shard, check_finite, list_weights, read_in_chunks
from chatglm_slim_llm.checkpoint.ice_text import read_complete_ice_text
from chatglm_slim_llm.checkpoint.layout import VOCABULARY_TENSORS, check_tensors
from chatglm_slim_llm.checkpoint.progress import Progress
from chatglm_slim_llm.checkpoint.safetensors_file import TensorSpec
from chatglm_slim_llm.checkpoint.settings import (
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER_CONFIG,
    parse_config,
    read_config,
    read_json,
    write_json,
)
from chatglm_slim_llm.checkpoint.write import (
    convert_weights,
    copy_companions,
    new_folder,
    output_bytes,
    refuse_existing,
)
from chatglm_slim_llm.errors import VocabularyMismatchError
from chatglm_slim_llm.network.ice_text import ADDED_PIECES, ICE_TEXT

NUM_IMAGE_TOKENS = 20_000
_PAD_ID = 3
TOKENIZER_SETTINGS: dict[str, Any] = {
    "bos_token": "<sop>",
    "eos_token": "<eop>",
    "end_token": "</s>",
    "gmask_token": "[gMASK]",
    "mask_token": "[MASK]",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "tokenizer_class": "ChatGLMTokenizer",
    "num_image_tokens": 0,
}
"""What the ``tokenizer_config.json`` of a slim checkpoint says."""


def slim(source: Path, target: Path, *, progress: Progress | None = None) -> None:
    """Write the slim checkpoint of a full one. ``source`` is only read.

    Args:
        source: folder of a full checkpoint: 150,528 tokens, safetensors or ``.bin``, quantised or not.
        target: folder to write; must not exist, or be empty.
        progress: told how far it is.

    Raises:
        CheckpointNotFoundError: a file of the source is missing.
        CheckpointFormatError: a file of the source is damaged or of another model.
        VocabularyMismatchError: the source is already slim, or has another vocabulary.
        CheckpointError: the target holds something, or cannot be written.
    """
    source, target = Path(source), Path(target)
    refuse_existing(target)
    raw = read_config(source)
    weights = list_weights(source)
    check_tensors(weights, parse_config(raw, source / CONFIG))
    ice_text, num_words = read_complete_ice_text(source)
    num_image_tokens = _want_full(source, raw, num_words)
    conversion = _DropRows(num_image_tokens)
    with new_folder(target, output_bytes(weights, conversion) + len(ice_text)) as folder:
        convert_weights(weights, folder, conversion, what=f"slimming {source.name}", progress=progress)
        copy_companions(source, folder)
        (folder / ICE_TEXT).write_bytes(ice_text)
        _write_settings(source, folder, raw, num_image_tokens, num_words)


@dataclass(frozen=True)
class _DropRows:
    """Leaves out the first rows of whatever has one row for each token."""

    count: int

    def outputs(self, spec: TensorSpec) -> list[TensorSpec]:
        return [TensorSpec(spec.name, spec.dtype, (spec.shape[0] - self._first(spec), *spec.shape[1:]))]

    def convert(self, shard: Shard, spec: TensorSpec) -> Iterator[tuple[str, Tensor]]:
        for _, rows in read_in_chunks(shard, spec, self._first(spec)):
            check_finite(rows, spec.name, shard.path)
            yield spec.name, rows

    def _first(self, spec: TensorSpec) -> int:
        return self.count if spec.name in VOCABULARY_TENSORS else 0


def _want_full(source: Path, raw: dict[str, Any], num_words: int) -> int:
    """The number of image tokens, once it is certain that these are what comes first."""
    num_image_tokens = _declared_image_tokens(source, raw)
    vocab_size, sop = raw["vocab_size"], raw["bos_token_id"]
    slim_sop = num_words + [piece for piece, _ in ADDED_PIECES].index("<sop>")
    if sop == slim_sop:
        raise VocabularyMismatchError(
            f"{source} is already slim: {vocab_size:,} tokens and none for images, where a full checkpoint has "
            f"{vocab_size + NUM_IMAGE_TOKENS:,}; use it as it is",
            expected=vocab_size + NUM_IMAGE_TOKENS,
            found=vocab_size,
        )
    fewest = num_image_tokens + num_words + len(ADDED_PIECES)
    if sop != slim_sop + num_image_tokens or vocab_size < fewest:
        raise VocabularyMismatchError(
            f"{source}: config.json says {vocab_size:,} tokens with <sop> at {sop:,}, but {ICE_TEXT} and "
            f"{num_image_tokens:,} image tokens make at least {fewest:,} with <sop> at "
            f"{slim_sop + num_image_tokens:,}; this is not a full ChatGLM-6B checkpoint (150,528 tokens), "
            "or its files are of different checkpoints",
            expected=fewest,
            found=vocab_size,
        )
    return num_image_tokens


def _declared_image_tokens(source: Path, raw: dict[str, Any]) -> int:
    path = source / TOKENIZER_CONFIG
    declared = read_json(path).get("num_image_tokens") if path.is_file() else None
    return declared or raw.get("num_image_tokens") or NUM_IMAGE_TOKENS


def _write_settings(source: Path, folder: Path, raw: dict[str, Any], num_image_tokens: int, num_words: int) -> None:
    ids = {piece: num_words + offset for offset, (piece, _) in enumerate(ADDED_PIECES)}
    config = _shift_ids(raw, num_image_tokens) | {
        "vocab_size": raw["vocab_size"] - num_image_tokens,
        "bos_token_id": ids["<sop>"],
        "eos_token_id": ids["<eop>"],
        "mask_token_id": ids["[MASK]"],
        "gmask_token_id": ids["[gMASK]"],
        "pad_token_id": _PAD_ID,
    }
    write_json(folder / CONFIG, without_code(config))
    path = source / TOKENIZER_CONFIG
    tokenizer = read_json(path) if path.is_file() else {}
    tokenizer.pop("eop_token", None)  # the early name of what is now eos_token
    write_json(folder / TOKENIZER_CONFIG, without_code(tokenizer | TOKENIZER_SETTINGS))
    path = source / GENERATION_CONFIG
    if path.is_file():
        write_json(folder / GENERATION_CONFIG, _shift_ids(read_json(path), num_image_tokens))


def _shift_ids(settings: dict[str, Any], count: int) -> dict[str, Any]:
    """Move every ``*_token_id`` down, be it one id or a list of them."""

    def shift(value: Any) -> Any:
        if isinstance(value, list):
            return [shift(item) for item in value]
        return value - count if isinstance(value, int) and value >= count else value

    moved = {k: shift(v) if k.endswith("_token_id") else v for k, v in settings.items()}
    moved.pop("num_image_tokens", None)
    return moved


def without_code(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave out what points to Python files, which are not copied."""
    return {key: value for key, value in settings.items() if key != "auto_map"}
