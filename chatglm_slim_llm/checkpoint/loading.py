"""A checkpoint folder in, a model in memory out.

Files are looked through before any weight is read, so that what is missing or wrong is said at
once. The model is then built without memory and filled tensor by tensor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from chatglm_slim_llm.checkpoint.files import list_weights
from chatglm_slim_llm.checkpoint.filling import INT4_GROUP_SIZE, Filling
from chatglm_slim_llm.checkpoint.ice_text import read_ice_text
from chatglm_slim_llm.checkpoint.layout import check_columns, check_tensors
from chatglm_slim_llm.checkpoint.packed_file import fill_packed
from chatglm_slim_llm.checkpoint.packing import Packing, can_pack
from chatglm_slim_llm.checkpoint.progress import Progress
from chatglm_slim_llm.checkpoint.pull import resolve_folder
from chatglm_slim_llm.checkpoint.settings import CONFIG, parse_config, read_config
from chatglm_slim_llm.config import DEMO_MODEL, QUANTIZATION_BITS, LoadOptions, Quantization
from chatglm_slim_llm.errors import (
    CheckpointError,
    CheckpointFormatError,
    ConfigError,
    QuantizationError,
    VocabularyMismatchError,
)
from chatglm_slim_llm.kernels.library import is_switched_off, why_not
from chatglm_slim_llm.network import ChatGLMConfig, ChatGLMTokenizer, Network
from chatglm_slim_llm.network.ice_text import ICE_TEXT

if TYPE_CHECKING:
    from chatglm_slim_llm.model import ChatGLMForConditionalGeneration

_log = logging.getLogger(__name__)

_LEVELS: dict[int, Quantization] = {bits: level for level, bits in QUANTIZATION_BITS.items()}


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to answer, and what is known about it."""

    model: Network
    tokenizer: ChatGLMTokenizer
    folder: Path
    level: Quantization
    """The level the weights have now: a quantised checkpoint keeps its own."""
    device: torch.device
    is_demo: bool


def load(options: LoadOptions, *, allow_download: bool = True, progress: Progress | None = None) -> Loaded:
    """Load what ``options`` name: the demo, a folder or a hub id.

    Args:
        options: model, level and device.
        allow_download: whether a hub id that is not on this machine may be fetched.
        progress: told how far the download and the reading are.

    Raises:
        CheckpointError: one of its kinds; the message says which file, what is wrong and what to do.
        QuantizationError: the checkpoint is quantised to another level than asked for.
        ConfigError: the device is not there.
    """
    device = pick_device(options.device)
    folder = resolve_folder(options.model, allow_download=allow_download, progress=progress)
    config = parse_config(read_config(folder), folder / CONFIG)
    tokenizer = load_tokenizer(folder)
    _want_one_vocabulary(tokenizer, config, folder)
    bits = _choose_bits(config.quantization_bit, options.quantization, folder)
    if device.type == "cpu":
        _warn_without_kernels()
    if can_pack(device, bits):
        model = load_packed_model(folder, quantization=options.quantization, progress=progress)
    else:
        model = _filled(Network, folder, options.quantization, device, torch.float16, progress)
    level = _LEVELS[model.config.quantization_bit]
    return Loaded(model, tokenizer, folder, level, device, is_demo=options.model == DEMO_MODEL)


def load_model(
    folder: Path | str,
    *,
    quantization: Quantization | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
) -> ChatGLMForConditionalGeneration:
    """Load the model of a checkpoint folder as one of transformers, ready for inference.

    Args:
        folder: holds ``config.json`` and safetensors or ``.bin`` weights, sharded or not.
        quantization: ``int8`` and ``int4`` quantise the linears while they are read; ``None`` and ``fp16``
            leave the checkpoint at its own level.
        device: where the weights go.
        dtype: of the weights that are not quantised, fp16 by default. LayerNorms and a P-tuning prefix are
            fp32 always.
        progress: told how far the reading is.

    Raises:
        CheckpointNotFoundError: the folder, its config or its weights are missing.
        CheckpointFormatError: a file is damaged, or does not hold what the config promises.
        VocabularyMismatchError: config and weights have different numbers of tokens.
        QuantizationError: the checkpoint is quantised to another level than asked for.
    """
    from chatglm_slim_llm.model import ChatGLMForConditionalGeneration  # takes as long to import as torch

    device = torch.device(device)
    return _filled(ChatGLMForConditionalGeneration, folder, quantization, device, dtype or torch.float16, progress)


M = TypeVar("M", "Network", "ChatGLMForConditionalGeneration")


def _filled(
    make: Callable[[ChatGLMConfig], M],
    folder: Path | str,
    quantization: Quantization | None,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress | None,
) -> M:
    folder = Path(folder).expanduser()
    raw = read_config(folder)
    stored = parse_config(raw, folder / CONFIG)
    weights = list_weights(folder)
    check_tensors(weights, stored)
    bits = _choose_bits(stored.quantization_bit, quantization, folder)
    quantize_to = bits if bits != stored.quantization_bit else 0
    check_columns(weights, quantize_to)
    group_size = INT4_GROUP_SIZE if quantize_to == 4 else stored.quantization_group_size
    level = {"quantization_bit": bits, "quantization_group_size": group_size}
    with torch.device("meta"):
        model = make(parse_config(raw | level, folder / CONFIG))
    if device.type == "meta":
        return model
    filling = Filling(quantize_to, device, dtype)
    try:
        filling.fill(model, weights, progress)
    except torch.OutOfMemoryError as error:
        raise CheckpointError(
            f"{folder} does not fit into the memory of {device} at this level; choose int8 or int4, or device 'cpu'"
        ) from error
    model.train(False)
    return model


def load_packed_model(folder: Path | str, *, quantization: Quantization, progress: Progress | None = None) -> Network:
    """Load a model whose weights are packed for the compiled kernels of this processor.

    Arguments and errors are those of `load_model`. Such a model computes in fp32, only on a processor, and cannot be
    saved as a checkpoint.
    """
    folder = Path(folder).expanduser()
    raw = read_config(folder)
    stored = parse_config(raw, folder / CONFIG)
    weights = list_weights(folder)
    check_tensors(weights, stored)
    bits = _choose_bits(stored.quantization_bit, quantization, folder)
    if not can_pack(torch.device("cpu"), bits):
        raise QuantizationError(
            f"weights are packed at int8 and int4, where the compiled kernels are; load {folder} with load_model",
            bits=bits,
        )
    packing = Packing.of(stored, bits)
    plain = {"quantization_bit": 0, "quantization_group_size": 0, "quantization_embeddings": False}
    model = packing.model_of(parse_config(raw | plain, folder / CONFIG))
    fill_packed(model, weights, packing, progress)
    model.train(False)
    return model


def load_tokenizer(folder: Path | str) -> ChatGLMTokenizer:
    """Load the tokenizer of a checkpoint folder.

    Raises:
        CheckpointNotFoundError: ``ice_text.model`` is missing.
        CheckpointFormatError: it is a git-lfs pointer or damaged.
    """
    folder = Path(folder).expanduser()
    read_ice_text(folder)
    try:
        tokenizer: ChatGLMTokenizer = ChatGLMTokenizer.from_pretrained(folder)
    except (ValueError, TypeError, OSError) as error:
        raise CheckpointFormatError(
            f"{folder}: the tokenizer's files cannot be read ({error}); fetch them again", path=folder / ICE_TEXT
        ) from error
    return tokenizer


def pick_device(name: str) -> torch.device:
    """The device that a name stands for; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: this machine, or this build of torch, has no such device.
    """
    if name == "auto":
        accelerators = (("cuda", torch.cuda), ("mps", torch.mps))
        name = next((kind for kind, backend in accelerators if backend.is_available()), "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device {name!r} cannot be used by this build of torch on this machine; choose auto or cpu", key="device"
        ) from error


@cache
def _warn_without_kernels() -> None:
    """Say once that this installation is slow, and why."""
    if (reason := why_not()) is not None and not is_switched_off():
        _log.warning("the compiled kernels are not used, so replies come slowly: %s", reason)


def _choose_bits(stored: int, wanted: Quantization | None, folder: Path) -> int:
    asked = QUANTIZATION_BITS[wanted or "fp16"]
    if stored and asked not in (0, stored):
        raise QuantizationError(
            f"{folder} is already quantised to {_LEVELS[stored]} and cannot become {wanted}; "
            f"ask for {_LEVELS[stored]}, or load the fp16 checkpoint",
            bits=asked,
        )
    return stored or asked


def _want_one_vocabulary(tokenizer: ChatGLMTokenizer, config: ChatGLMConfig, folder: Path) -> None:
    if tokenizer.bos_token_id == config.bos_token_id and tokenizer.vocab_size <= config.vocab_size:
        return
    raise VocabularyMismatchError(
        f"{folder}: the tokenizer has {tokenizer.vocab_size:,} tokens with <sop> at {tokenizer.bos_token_id:,}, but "
        f"config.json says vocab_size {config.vocab_size:,} with <sop> at {config.bos_token_id:,}; they are of "
        "different checkpoints. If this is a full checkpoint (150,528 tokens), convert it with `chatglm-slim slim "
        "SRC DST`, else fetch its own ice_text.model and tokenizer_config.json",
        expected=config.vocab_size,
        found=tokenizer.vocab_size,
    )
