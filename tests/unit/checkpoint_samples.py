"""Small checkpoint folders for tests, and ways to spoil them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from chatglm_slim_llm.model import ChatGLMConfig, ChatGLMForConditionalGeneration

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:5e974d9a\nsize 2706249\n"

_SIZES = {
    "hidden_size": 16,
    "num_layers": 2,
    "num_attention_heads": 2,
    "inner_hidden_size": 64,
    "vocab_size": 1216,
    "bos_token_id": 865,
    "eos_token_id": 866,
    "mask_token_id": 861,
    "gmask_token_id": 862,
}


def copy_reference(name: str, target: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(REFERENCE / name, target)
    return target


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; ``None`` removes one."""
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}), encoding="utf-8")


def edit_weights(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Let ``change`` work on the tensors of ``model.safetensors``."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def random_model(**settings: Any) -> ChatGLMForConditionalGeneration:
    """Two layers of width 16 with random fp32 weights, for the vocabulary of the reference tokenizer."""
    torch.manual_seed(7)
    return ChatGLMForConditionalGeneration(ChatGLMConfig(**(_SIZES | settings)))


def write_checkpoint(folder: Path, tensors: dict[str, Tensor], **settings: Any) -> Path:
    """A folder with ``config.json``, the reference tokenizer and one safetensors file."""
    folder.mkdir()
    config = {"model_type": "chatglm"} | _SIZES | settings
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in ("ice_text.model", "tokenizer_config.json"):
        shutil.copyfile(REFERENCE / "tiny_v11" / name, folder / name)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, folder / "model.safetensors")
    return folder
