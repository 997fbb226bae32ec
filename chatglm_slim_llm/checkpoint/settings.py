"""The small JSON files of a checkpoint folder: ``config.json`` and the tokenizer's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chatglm_slim_llm.checkpoint.files import refuse_lfs_pointer
from chatglm_slim_llm.errors import CheckpointFormatError, CheckpointNotFoundError, QuantizationError
from chatglm_slim_llm.network import ChatGLMConfig

CONFIG, TOKENIZER_CONFIG, GENERATION_CONFIG = "config.json", "tokenizer_config.json", "generation_config.json"
_NEEDED = ("vocab_size", "hidden_size", "num_layers", "num_attention_heads", "bos_token_id", "eos_token_id")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointFormatError: the file is no JSON object, or a git-lfs pointer.
    """
    refuse_lfs_pointer(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointFormatError(f"{path} is not JSON ({error}); fetch it again", path=path) from error
    if not isinstance(content, dict):
        raise CheckpointFormatError(f"{path} holds a {type(content).__name__}, expected an object", path=path)
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object the way that transformers does."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` and see that it is a ChatGLM-6B's.

    Raises:
        CheckpointNotFoundError: no such folder, or no ``config.json`` in it.
        CheckpointFormatError: it is not JSON, or of another model.
    """
    if not folder.is_dir():
        raise CheckpointNotFoundError(f"{folder} is not a folder; give a folder that holds a ChatGLM-6B checkpoint")
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointNotFoundError(
            f"{folder} has no config.json, so it is not a checkpoint; give the folder that holds config.json "
            "and the weights, or fetch one with `chatglm-slim pull`"
        )
    raw = read_json(path)
    _want_chatglm(raw, path)
    return raw


def parse_config(raw: dict[str, Any], path: Path) -> ChatGLMConfig:
    """Make the model's configuration of a ``config.json``.

    Raises:
        CheckpointFormatError: a value cannot be used.
        QuantizationError: ``quantization_bit`` is a level that does not exist.
    """
    bits = raw.get("quantization_bit") or 0
    if bits not in (0, 4, 8):
        raise QuantizationError(f"{path}: quantization_bit is {bits!r}; it must be 4, 8 or absent", bits=None)
    known = {key: value for key, value in raw.items() if key not in ("auto_map", "model_type")}
    try:
        return ChatGLMConfig(**known)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise CheckpointFormatError(f"{path}: {error}", path=path) from error


def _want_chatglm(raw: dict[str, Any], path: Path) -> None:
    kind = raw.get("model_type")
    if kind != "chatglm":
        raise CheckpointFormatError(
            f"{path}: model_type is {kind!r}, expected 'chatglm'; this program runs ChatGLM-6B checkpoints only",
            path=path,
            key="model_type",
        )
    if "padded_vocab_size" in raw:
        raise CheckpointFormatError(
            f"{path} is of ChatGLM2 or ChatGLM3 (it has padded_vocab_size); this program runs ChatGLM-6B only",
            path=path,
            key="padded_vocab_size",
        )
    for key in _NEEDED:
        value = raw.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise CheckpointFormatError(
                f"{path}: {key} is {value!r}, expected a positive number; fetch the config.json of these weights",
                path=path,
                key=key,
            )
