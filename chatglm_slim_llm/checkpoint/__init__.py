"""Checkpoints: bytes on disk, and the model that they become.

Reads safetensors and ``.bin`` files, slims and quantises them, fills the model. What a model
computes is not known here. Names are resolved on first use, so that fetching a checkpoint
needs no torch. No module has the name of a function (``loading``, ``slimming``): importing the module
would hide the function. ``pull.pull`` is therefore reached through its module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatglm_slim_llm.lazily import lazily

if TYPE_CHECKING:
    from chatglm_slim_llm.checkpoint.loading import Loaded, load, load_model, load_tokenizer, pick_device
    from chatglm_slim_llm.checkpoint.prefix import load_prefix
    from chatglm_slim_llm.checkpoint.progress import Progress
    from chatglm_slim_llm.checkpoint.pull import fingerprint, is_available, resolve_folder
    from chatglm_slim_llm.checkpoint.quantize import quantize_checkpoint
    from chatglm_slim_llm.checkpoint.slimming import slim

__all__ = [
    "Loaded",
    "Progress",
    "fingerprint",
    "is_available",
    "load",
    "load_model",
    "load_prefix",
    "load_tokenizer",
    "pick_device",
    "quantize_checkpoint",
    "resolve_folder",
    "slim",
]

_MODULES = {
    "Loaded": "loading",
    "Progress": "progress",
    "fingerprint": "pull",
    "is_available": "pull",
    "load": "loading",
    "load_model": "loading",
    "load_prefix": "prefix",
    "load_tokenizer": "loading",
    "pick_device": "loading",
    "quantize_checkpoint": "quantize",
    "resolve_folder": "pull",
    "slim": "slimming",
}
__getattr__, __dir__ = lazily(__name__, _MODULES)
