"""One model in memory for everybody who runs the same weights in the same way.

`share` hands out a handle that costs nothing; the weights load when somebody first asks for them, and leave memory when
the last handle is gone. The tokenizer alone can be had without the weights.
"""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass
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
    """What `LoadOptions` name, loaded once whichever threads ask for it; made by `share`."""

    def __init__(self, options: LoadOptions) -> None:
        self.options = options
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._tokenizer: ChatGLMTokenizer | None = None

    @property
    def running(self) -> Running | None:
        """The model, if it is loaded."""
        return self._running

    def get(self, *, allow_download: bool, progress: Progress | None = None) -> Running:
        """The model; loads it first if nobody has.

        Args:
            allow_download: whether a hub id that is not on this machine may be fetched.
            progress: called with what is being done, the bytes done and the bytes in all.

        Raises:
            CheckpointError: there is no such checkpoint, or it cannot be read or downloaded.
            QuantizationError: the checkpoint is quantised to another level than asked for.
            ConfigError: keys and values are to be int8, but the compiled kernels cannot run this model.
        """
        if self._running is None:
            with self._lock:
                if self._running is None:
                    self._running = self._load(allow_download, progress)
        return self._running

    def _load(self, allow_download: bool, progress: Progress | None) -> Running:
        from chatglm_slim_llm.checkpoint import load, resolve_folder
        from chatglm_slim_llm.engine import Engine
        from chatglm_slim_llm.network import forward_for

        _spare_the_collector()
        options = self.options
        folder = resolve_folder(options.model, allow_download=allow_download, progress=progress)
        with _loading:  # two loads at a time would only fight for memory and disk
            key = (str(folder.resolve()), _fingerprint(folder), options.quantization, options.device)
            if (loaded := _loaded.get(key)) is None:
                loaded = _loaded[key] = load(options, allow_download=allow_download, progress=progress)
            bits = kept_bits(loaded.model, options.kv_cache_dtype)
            key_and_bits = (*key, bits)
            if (running := _running.get(key_and_bits)) is None:
                forward = forward_for(loaded.model, bits)
                running = Running(Engine(loaded.model, loaded.tokenizer, forward=forward), loaded)
                _running[key_and_bits] = running
        return running

    def get_tokenizer(self, *, allow_download: bool) -> ChatGLMTokenizer:
        """The model's tokenizer, without loading gigabytes of weights for it."""
        if self._running is not None:
            return self._running.loaded.tokenizer
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
    """The handle of whoever else uses these options, or a new one; reads nothing."""
    with _sharing:
        if (weights := _handles.get(options)) is None:
            weights = _handles[options] = Weights(options)
        return weights


def kept_bits(model: AnyModel, kv_cache_dtype: KVCacheDtype) -> Literal[16, 8] | None:
    """How keys and values of a loaded model are kept; None: in the model's own precision.

    Raises:
        ConfigError: they are to be int8, but the compiled kernels cannot run this model.
    """
    from chatglm_slim_llm.network import kv_cache_bits

    try:
        return kv_cache_bits(model, KV_CACHE_BITS[kv_cache_dtype])
    except ValueError as error:
        raise ConfigError(
            f"kv_cache_dtype is {kv_cache_dtype}, but {error}; take auto or fp16, or see `chatglm-slim doctor`",
            key="kv_cache_dtype",
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
_loaded: WeakValueDictionary[tuple[str, str, str, str], Loaded] = WeakValueDictionary()
"""By folder, so that two names of one checkpoint share it too."""
_running: WeakValueDictionary[tuple[str, str, str, str, int | None], Running] = WeakValueDictionary()
"""The same, and by how keys and values are kept."""
