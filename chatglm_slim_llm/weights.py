"""One model in memory for everybody who runs the same weights in the same way.

`share` hands out a handle that costs nothing; the weights load when somebody first asks for them, and leave memory when
the last handle is gone. The tokenizer alone can be had without the weights.
"""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakValueDictionary

from chatglm_slim_llm.config import KV_CACHE_BITS, KVCacheDtype, LoadOptions
from chatglm_slim_llm.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from chatglm_slim_llm.checkpoint import Loaded, Progress
    from chatglm_slim_llm.engine import Engine
    from chatglm_slim_llm.network import ChatGLMTokenizer
    from chatglm_slim_llm.network.network import AnyModel


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
        self.options = options
        self._lock = threading.Lock()
        self._in_memory: _InMemory | None = None
        self._tokenizer: ChatGLMTokenizer | None = None

    @property
    def loaded(self) -> Loaded | None:
        """The model, if it is in memory."""
        return None if self._in_memory is None else self._in_memory.loaded

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
            ConfigError: keys and values are to be int8, but the compiled kernels cannot run this model.
        """
        if self._in_memory is None:
            _want_kernels(self.options.device, kv_cache_dtype)
            with self._lock:
                if self._in_memory is None:
                    self._in_memory = self._load(allow_download, progress)
        return self._in_memory.run(kv_cache_dtype)

    def _load(self, allow_download: bool, progress: Progress | None) -> _InMemory:
        from chatglm_slim_llm.checkpoint import load, resolve_folder

        _spare_the_collector()
        options = self.options
        folder = resolve_folder(options.model, allow_download=allow_download, progress=progress)
        with _loading:  # two loads at a time would only fight for memory and disk
            key = (str(folder.resolve()), _fingerprint(folder), options.quantization, options.device)
            if (known := _all_in_memory.get(key)) is None:
                known = _InMemory(load(options, allow_download=allow_download, progress=progress))
                _all_in_memory[key] = known
        return known

    def are_of(self, options: LoadOptions) -> bool:
        """Whether these options name the same weights, however they have keys and values kept."""
        return self.options == _weights_alone(options)

    def get_tokenizer(self, *, allow_download: bool) -> ChatGLMTokenizer:
        """The model's tokenizer, without loading gigabytes of weights for it."""
        if self._in_memory is not None:
            return self._in_memory.loaded.tokenizer
        with self._lock:
            if self._tokenizer is None:
                from chatglm_slim_llm.checkpoint import load_tokenizer, resolve_folder

                folder = resolve_folder(self.options.model, allow_download=allow_download)
                self._tokenizer = load_tokenizer(folder)
            return self._tokenizer

    def fingerprint(self) -> str:
        """Changes when a file of the checkpoint does; empty while the checkpoint is not on this machine."""
        from chatglm_slim_llm.checkpoint import is_available, resolve_folder

        model = self.options.model
        return _fingerprint(resolve_folder(model, allow_download=False)) if is_available(model) else ""

    def __deepcopy__(self, _memo: object) -> Weights:
        return self  # a copy of a chat model answers with the same weights

    def __reduce__(self) -> tuple[Any, ...]:
        return share, (self.options,)  # in another process it loads its own


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


class _InMemory:
    """A loaded model and the engines that run it."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self._lock = threading.Lock()
        self._running: dict[int | None, Running] = {}

    def run(self, kv_cache_dtype: KVCacheDtype) -> Running:
        """The one engine that keeps keys and values in this way."""
        from chatglm_slim_llm.engine import Engine
        from chatglm_slim_llm.network import forward_for

        model, tokenizer = self.loaded.model, self.loaded.tokenizer
        bits = kept_bits(model, kv_cache_dtype)
        with self._lock:
            if bits not in self._running:
                self._running[bits] = Running(Engine(model, tokenizer, forward=forward_for(model, bits)), self.loaded)
            return self._running[bits]


def kept_bits(model: AnyModel, kv_cache_dtype: KVCacheDtype) -> Literal[16, 8] | None:
    """How keys and values of a loaded model are kept; None: in the model's own precision.

    Raises:
        ConfigError: they are to be int8, but the compiled kernels cannot run this model.
    """
    from chatglm_slim_llm.network import kv_cache_bits

    try:
        return kv_cache_bits(model, KV_CACHE_BITS[kv_cache_dtype])
    except ValueError as error:
        raise _cannot_keep(kv_cache_dtype, error) from error


def _want_kernels(device: str, kv_cache_dtype: KVCacheDtype) -> None:
    """Refuse before gigabytes are read what could not be done with them."""
    from chatglm_slim_llm.checkpoint.loading import pick_device
    from chatglm_slim_llm.network import want_kernels_on

    if KV_CACHE_BITS[kv_cache_dtype] == 8:
        try:
            want_kernels_on(pick_device(device))
        except ValueError as error:
            raise _cannot_keep(kv_cache_dtype, error) from error


def _cannot_keep(kv_cache_dtype: KVCacheDtype, why: ValueError) -> ConfigError:
    return ConfigError(
        f"kv_cache_dtype is {kv_cache_dtype}, but {why}; take auto or fp16, or see `chatglm-slim doctor`",
        key="kv_cache_dtype",
    )


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
_all_in_memory: WeakValueDictionary[tuple[str, str, str, str], _InMemory] = WeakValueDictionary()
"""By folder, so that two names of one checkpoint share it too."""
