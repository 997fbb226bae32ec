"""One model in memory for everybody who runs the same weights.

`share` hands out a handle that costs nothing; the weights load when somebody first asks for them, and leave memory when
the last handle is gone. The tokenizer alone can be had without the weights.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakValueDictionary

from chatglm_slim_llm.config import KV_CACHE_BITS, KVCacheDtype, LoadOptions
from chatglm_slim_llm.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from chatglm_slim_llm.checkpoint import Loaded, Progress
    from chatglm_slim_llm.engine import Engine
    from chatglm_slim_llm.network import ChatGLMTokenizer
    from chatglm_slim_llm.network.network import AnyModel


_Key = tuple[str, str, str, str]
"""Folder, fingerprint of its files, level and device."""


@dataclass(frozen=True)
class Running:
    """A model that answers."""

    engine: Engine
    loaded: Loaded


class Weights:
    """A model that is loaded once, whichever threads ask for it; made by `share`.

    However its keys and values are kept, the weights are the same; only the engine is another one.
    """

    def __init__(self, options: LoadOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._running: dict[KVCacheDtype, Running] = {}
        self._key: _Key | None = None  # of the model in memory; its files may have changed since
        self._tokenizer: ChatGLMTokenizer | None = None

    @property
    def loaded(self) -> Loaded | None:
        """The model, if it is in memory."""
        return next((running.loaded for running in list(self._running.values())), None)

    def get(
        self, kv_cache_dtype: KVCacheDtype = "auto", *, allow_download: bool, progress: Progress | None = None
    ) -> Running:
        """The model, which is loaded first if nobody has done so.

        Args:
            kv_cache_dtype: how keys and values are kept.
            allow_download: whether a hub id that is not on this machine may be fetched.
            progress: called with what is being done, the bytes done and the bytes in all.

        Raises:
            CheckpointError: there is no such checkpoint, or it cannot be read or downloaded.
            QuantizationError: the checkpoint is quantised to another level than asked for.
            ConfigError: the device is not there, or keys and values are to be int8, but the compiled kernels cannot
                run this model.
        """
        if kv_cache_dtype not in self._running:
            with self._lock:
                if kv_cache_dtype not in self._running:
                    self._running[kv_cache_dtype] = self._load(kv_cache_dtype, allow_download, progress)
        return self._running[kv_cache_dtype]

    def _load(self, kv_cache_dtype: KVCacheDtype, allow_download: bool, progress: Progress | None) -> Running:
        from chatglm_slim_llm.checkpoint import load, pick_device, resolve_folder
        from chatglm_slim_llm.engine import Engine
        from chatglm_slim_llm.network import forward_for

        _spare_the_collector()
        device = pick_device(self._options.device)
        want_kernels(device, kv_cache_dtype)  # before gigabytes are read for nothing
        if (key := self._key) is None:
            folder = resolve_folder(self._options.model, allow_download=allow_download, progress=progress)
            key = (str(folder.resolve()), _fingerprint(folder), self._options.quantization, str(device))
        with _loading:  # two loads at a time would only fight for memory and disk
            if (loaded := _loaded.get(key)) is None:
                loaded = _loaded[key] = load(self._options, allow_download=allow_download, progress=progress)
            bits = kept_bits(loaded.model, kv_cache_dtype)
            key_and_bits = (*key, bits)
            if (running := _running.get(key_and_bits)) is None:
                forward = forward_for(loaded.model, bits)
                running = Running(Engine(loaded.model, loaded.tokenizer, forward=forward), loaded)
                _running[key_and_bits] = running
            self._key = key
        return running

    def are_of(self, options: LoadOptions) -> bool:
        """Whether these options name the same weights, however they have keys and values kept."""
        return self._options == _weights_alone(options)

    def get_tokenizer(self, *, allow_download: bool) -> ChatGLMTokenizer:
        """The model's tokenizer, without loading gigabytes of weights for it."""
        if (loaded := self.loaded) is not None:
            return loaded.tokenizer
        with self._lock:
            if self._tokenizer is None:
                from chatglm_slim_llm.checkpoint import load_tokenizer, resolve_folder

                folder = resolve_folder(self._options.model, allow_download=allow_download)
                self._tokenizer = load_tokenizer(folder)
            return self._tokenizer

    def fingerprint(self) -> str:
        """Changes when a file of the checkpoint does; empty while the checkpoint is not on this machine."""
        from chatglm_slim_llm.checkpoint import is_available, resolve_folder

        model = self._options.model
        return _fingerprint(resolve_folder(model, allow_download=False)) if is_available(model) else ""

    def __deepcopy__(self, _memo: object) -> Weights:
        return self  # a copy of a chat model answers with the same weights

    def __reduce__(self) -> tuple[Any, ...]:
        return share, (self._options,)  # in another process it loads its own


def share(options: LoadOptions) -> Weights:
    """The handle of whoever else uses these weights, or a new one; reads nothing.

    Args:
        options: which weights; how keys and values are kept does not matter.
    """
    options = _weights_alone(options)
    with _sharing:
        if (weights := _handles.get(options)) is None:
            weights = _handles[options] = Weights(options)
        return weights


def _weights_alone(options: LoadOptions) -> LoadOptions:
    return replace(options, kv_cache_dtype="auto")


def kept_bits(model: AnyModel, kv_cache_dtype: KVCacheDtype) -> Literal[16, 8] | None:
    """How keys and values of a loaded model are kept; None: torch keeps them.

    Raises:
        ConfigError: they are to be int8, but the compiled kernels cannot run this model.
    """
    from chatglm_slim_llm.network import kv_cache_bits

    with _naming_the_option(kv_cache_dtype):
        return kv_cache_bits(model, KV_CACHE_BITS[kv_cache_dtype])


def want_kernels(device: torch.device, kv_cache_dtype: KVCacheDtype) -> None:
    """Refuse what no model could do on that device.

    Raises:
        ConfigError: keys and values are to be int8, but the compiled kernels are not in use there.
    """
    from chatglm_slim_llm.network import want_kernels_on

    if KV_CACHE_BITS[kv_cache_dtype] == 8:
        with _naming_the_option(kv_cache_dtype):
            want_kernels_on(device)


@contextmanager
def _naming_the_option(kv_cache_dtype: KVCacheDtype) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ConfigError(
            f"kv_cache_dtype is {kv_cache_dtype}, but {error}; auto and fp16 do without", key="kv_cache_dtype"
        ) from error


@cache
def _spare_the_collector() -> None:
    """Take what the libraries have made so far out of the garbage collector's rounds, once.

    torch, transformers and LangChain leave 270,000 objects that live as long as the program. A full collection walks
    over all of them, some 160 ms in which no event loop runs and no token is shown. The price: garbage in cycles that
    is already there now stays. Models come later and are collected as ever; ``gc.unfreeze()`` undoes it.
    """
    gc.freeze()


def _fingerprint(folder: Path) -> str:
    from chatglm_slim_llm.checkpoint import fingerprint

    return fingerprint(folder)


_sharing, _loading = threading.Lock(), threading.Lock()
_handles: WeakValueDictionary[LoadOptions, Weights] = WeakValueDictionary()
_loaded: WeakValueDictionary[_Key, Loaded] = WeakValueDictionary()
"""By folder and device, so that two names of one checkpoint share it too."""
_running: WeakValueDictionary[tuple[str, str, str, str, int | None], Running] = WeakValueDictionary()
"""The same, and by how keys and values are kept."""
