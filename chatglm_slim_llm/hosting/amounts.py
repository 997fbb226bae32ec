"""Bytes as people read them, how fast something grows, and how much memory a checkpoint takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast

from chatglm_slim_llm.config import KVCacheDtype, Quantization

_LEVEL_BYTES: dict[Quantization, float] = {"fp16": 2.0, "int8": 1.0, "int4": 0.516}
"""A weight of a linear layer; at int4 every 128 share a scale of two bytes."""
_WORKING_BYTES = 500_000_000
"""Python, torch and what a layer computes, beside the weights and the conversation."""
_WINDOW_S = 10.0


def size_text(size_bytes: float) -> str:
    """Such as ``870 B``, ``2.7 MB`` or ``13.4 GB``, in powers of 1000 as disks are sold."""
    if size_bytes < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size_bytes /= 1000
        if size_bytes < 999.5 or unit == "TB":
            break
    return f"{size_bytes:.{0 if size_bytes >= 99.5 else 1}f} {unit}"


class Pace:
    """How fast something grows, over the last seconds: what was there at the start does not count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._what = ""
        self._samples: deque[tuple[float, int]] = deque()

    def per_s(self, what: str, done: int) -> float:
        """Take note that so much of ``what`` is done; returns the speed, 0 before there is one."""
        if what != self._what:
            self._what = what
            self._samples.clear()
        now_s = self._clock()
        self._samples.append((now_s, done))
        while now_s - self._samples[0][0] > _WINDOW_S:
            self._samples.popleft()
        start_s, start = self._samples[0]
        return max(done - start, 0) / (now_s - start_s) if now_s - start_s >= 0.5 else 0.0


def memory_needs(
    config: Mapping[str, Any], *, compiled: bool = True, kv_cache_dtype: KVCacheDtype = "auto"
) -> dict[Quantization, int]:
    """Bytes of memory that a checkpoint with this config takes at each level that it can be loaded at.

    The linear layers have 2, 1 or half a byte a weight. Embedding and head share 2, or with the compiled kernels 1
    beside quantised layers. A conversation of full length has two numbers for each token, layer and column, of 2
    bytes, or with the compiled kernels 1 where they are int8.
    """
    hidden, layers = int(config["hidden_size"]), int(config["num_layers"])
    inner = int(config.get("inner_hidden_size") or 4 * hidden)
    linear = layers * (4 * hidden * hidden + 2 * hidden * inner)
    kept = 2 * layers * hidden * int(config.get("max_sequence_length") or 2048)
    needs: dict[Quantization, int] = {}
    for level, bytes_each in _levels(config).items():
        table = int(config["vocab_size"]) * hidden * (1 if compiled and level != "fp16" else 2)
        is_int8 = kv_cache_dtype == "int8" or (kv_cache_dtype == "auto" and level == "int4")
        conversation = kept * (1 if compiled and is_int8 else 2)
        needs[level] = round(linear * bytes_each) + table + conversation + _WORKING_BYTES
    return needs


def _levels(config: Mapping[str, Any]) -> dict[Quantization, float]:
    """The levels that a checkpoint can be loaded at, with the bytes of a weight; a quantised one has its own alone."""
    stored_bits = config.get("quantization_bit") or 0
    if not stored_bits:
        return _LEVEL_BYTES
    group_size = config.get("quantization_group_size") or 0
    return {cast(Quantization, f"int{stored_bits}"): stored_bits / 8 + (2 / group_size if group_size else 0)}
