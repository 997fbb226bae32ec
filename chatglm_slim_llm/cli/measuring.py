"""How fast a model runs here, next to what this machine could do at most, measured in the same run."""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from chatglm_slim_llm.checkpoint import load
from chatglm_slim_llm.checkpoint.filling import Filling
from chatglm_slim_llm.checkpoint.packing import Packing, allocate, can_pack
from chatglm_slim_llm.config import QUANTIZATION_BITS, KVCacheDtype, LoadOptions, Quantization
from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.kernels import Linear, PackedLinear, QuantizedLinear, RowBatch, instruction_set, library
from chatglm_slim_llm.network import BatchedForward, ChatGLMConfig, Network, SequentialForward, forward_for
from chatglm_slim_llm.network.batched import Context, pieces_of
from chatglm_slim_llm.weights import kept_bits

_ROUNDS = 5
"""Repetitions of what takes a fraction of a second; the median counts."""
_DOT_REPEATS, _DOTS_A_REPEAT = 2_000_000, 32


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is run."""

    prompt: int
    """Tokens of each prompt, [gMASK] and <sop> included."""
    new: int
    """Tokens that each sequence makes; 2 or more."""
    batch: int
    """Sequences that share the steps of decoding."""
    kv_cache_dtype: KVCacheDtype = "auto"
    """How their keys and values are kept."""


@torch.inference_mode()
def measure(model: Network, workload: Workload, level: str) -> dict[str, Any]:
    """Prefill and decode, then the layers alone and the machine's limits.

    Returns:
        Times in seconds, rates per second, memory in GB of 10^9 bytes; fractions of what the machine can do are
        None where there are no compiled kernels to ask it.
    """
    forward: Any = forward_for(model, kept_bits(model, workload.kv_cache_dtype))
    figures: dict[str, Any] = _run(forward, model.lm_head, _prompts(model, workload), workload)
    peak_bytes = peak_memory_bytes()
    figures["peak_memory_gb"] = None if peak_bytes is None else peak_bytes / 1e9
    layers = layers_of(model)
    figures |= _measure_layers(layers, workload)
    about = {
        "level": level,
        "prompt": workload.prompt,
        "new": workload.new,
        "batch": workload.batch,
        "threads": torch.get_num_threads(),
        "kernels": instruction_set() if isinstance(forward, BatchedForward) else "torch",
        "kv_cache_dtype": _kept_as(forward, model),
        "machine": platform.processor() or platform.machine(),
        "weights_gb": sum(_size_bytes(layer) for layer in layers) / 1e9,
    }
    return about | figures


def _kept_as(forward: BatchedForward | SequentialForward, model: Network) -> str:
    if isinstance(forward, BatchedForward):
        return "int8" if forward.kv_cache_bits == 8 else "fp16"
    return str(model.dtype).removeprefix("torch.")


def layers_of(model: Network) -> list[nn.Module]:
    """All linear layers, the head among them."""
    return [m for m in model.modules() if isinstance(m, Linear | PackedLinear | QuantizedLinear)]


def peak_memory_bytes() -> int | None:
    """The most memory that this process ever had at once; Windows does not say it in this way."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _prompts(model: Network, workload: Workload) -> list[list[int]]:
    """Random words; what they are changes no time."""
    config = model.config
    assert config.gmask_token_id is not None  # the config fills it in
    generator = torch.Generator().manual_seed(0)
    size = (workload.batch, max(1, workload.prompt - 2))
    words = torch.randint(10, config.gmask_token_id - 10, size, generator=generator)
    return [[*row, config.gmask_token_id, config.bos_token_id] for row in words.tolist()]


def _run(
    forward: BatchedForward | SequentialForward, head: nn.Module, prompts: Sequence[list[int]], workload: Workload
) -> dict[str, float | None]:
    """The whole program's figures."""
    started = time.perf_counter()
    contexts, tokens = [], []
    first_s = 0.0
    for prompt in prompts:
        context, scores = exhaust(forward.prefill(prompt))
        contexts.append(context)
        tokens.append(int(scores.argmax()))
        first_s = first_s or time.perf_counter() - started
    prefill_s = time.perf_counter() - started

    def step() -> None:
        scores_of_all = forward.step(contexts, [[token] for token in tokens])
        tokens[:] = [int(scores[-1].argmax()) for scores in scores_of_all]

    step_s = statistics.median(_seconds(step) for _ in range(workload.new - 1))
    attention_s = other_share = None
    if isinstance(forward, BatchedForward):
        attention_s, other_share = _time_attention(contexts), _share_outside(forward, head, contexts, step)
    return {
        "prefill_tokens_per_s": sum(map(len, prompts)) / prefill_s,
        "decode_tokens_per_s": len(prompts) / step_s,
        "ttft_s": first_s,
        "step_s": step_s,
        "attention_step_s": attention_s,
        "other_share": other_share,
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _last_rows(contexts: Sequence[Context]) -> RowBatch:
    return RowBatch([(context.pages, context.pages.length - 1, context.pages.length) for context in contexts])


def _share_outside(
    forward: BatchedForward, head: nn.Module, contexts: Sequence[Context], step: Callable[[], object]
) -> float:
    """What a step takes outside the kernels, as a part of it: whole steps in turn with blocks and head alone."""
    hidden = torch.randn(len(contexts), _width(head))
    angles = torch.randn(len(contexts), 2, contexts[0].pages.shape.d // 4)
    cos, sin = angles.cos(), angles.sin()

    def kernels(rows: RowBatch) -> None:
        forward.blocks.run(rows, hidden, cos, sin)
        head(hidden)

    rounds = []
    for _ in range(3 * _ROUNDS):
        rows = _last_rows(contexts)  # of this round: a step makes the sequences longer
        rounds.append(1 - _seconds(partial(kernels, rows)) / _seconds(step))
    return statistics.median(rounds)


def _time_attention(contexts: Sequence[Context]) -> float:
    """Seconds that a step spends on the attention of all layers."""
    rows = _last_rows(contexts)
    query = torch.randn(len(contexts), rows.shape.heads * rows.shape.d)

    def attend() -> None:
        for layer in range(rows.shape.layers):
            rows.attend(layer, query)

    return statistics.median(_seconds(attend) for _ in range(_ROUNDS))


def exhaust(pieces: Any) -> Any:
    """What a generator returns, here the context and the scores of a prefill."""
    while True:
        try:
            next(pieces)
        except StopIteration as finished:
            return finished.value


def _measure_layers(layers: list[nn.Module], workload: Workload) -> dict[str, float | None]:
    """The linear layers alone, a step's rows and a prompt's, in turn with the machine's limits."""
    rates: dict[str, list[float]] = {"read": [], "bandwidth": [], "prefill": [], "peak": []}
    for _ in range(_ROUNDS):
        rates["bandwidth"].append(bandwidth(layers))
        rates["read"].append(sum(map(_read_bytes, layers)) / _time_layers(layers, workload.batch))
    few = layers[: max(4, len(layers) // 7)]  # four of 28 blocks tell the rate
    bits = 4 if isinstance(layers[0], PackedLinear) and layers[0].form.bits == 4 else 8
    rows = pieces_of(0, workload.prompt)[0].stop  # as many as pass a layer at a time
    for _ in range(_ROUNDS):
        rates["peak"].append(_peak(bits))
        rates["prefill"].append(2 * rows * sum(map(_num_weights, few)) / _time_layers(few, rows))
    middle = {name: statistics.median(values) for name, values in rates.items()}
    known = library() is not None
    return {
        "linear_step_s": sum(map(_read_bytes, layers)) / middle["read"],
        "bandwidth_gb_s": middle["bandwidth"] / 1e9 if known else None,
        "decode_read_gb_s": middle["read"] / 1e9,
        "decode_bandwidth_fraction": _ratio(rates["read"], rates["bandwidth"]) if known else None,
        "gemm_gflop_s": middle["peak"] / 1e9 if known else None,
        "gemm_weight_bits": bits,
        "prefill_gflop_s": middle["prefill"] / 1e9,
        "prefill_peak_fraction": _ratio(rates["prefill"], rates["peak"]) if known else None,
    }


def _ratio(rates: Sequence[float], limits: Sequence[float]) -> float:
    """The median of the ratios within a round: what a shared machine gives changes from one second to the next."""
    return statistics.median(rate / limit for rate, limit in zip(rates, limits, strict=True))


def _time_layers(layers: Sequence[nn.Module], rows: int) -> float:
    inputs = {width: torch.randn(rows, width) for width in {_width(layer) for layer in layers}}

    def multiply() -> None:
        for layer in layers:
            layer(inputs[_width(layer)])

    return _seconds(multiply)


def bandwidth(layers: Sequence[nn.Module]) -> float:
    """Bytes a second when all weights are read and nothing is done with them."""
    if (native := library()) is None:
        return float("nan")
    started = time.perf_counter()
    for layer in layers:
        weight = layer.get_parameter("weight")
        native.chatglm_read_all(weight.data_ptr(), weight.nbytes, torch.get_num_threads())
    return sum(layer.get_parameter("weight").nbytes for layer in layers) / (time.perf_counter() - started)


def _peak(bits: int) -> float:
    """Multiplications and additions a second of int8 with weights of so many bits, none of which leaves a register."""
    if (native := library()) is None:
        return float("nan")
    threads = torch.get_num_threads()
    started = time.perf_counter()
    native.chatglm_dot_peak(bits, _DOT_REPEATS, threads)
    return 2 * 64 * _DOTS_A_REPEAT * _DOT_REPEATS * threads / (time.perf_counter() - started)


def _tensors(layer: nn.Module) -> Iterator[Tensor]:
    for name in ("weight", "weight_scale", "weight_group_scale", "weight_low"):
        if getattr(layer, name, None) is not None:
            yield layer.get_parameter(name)


def _size_bytes(layer: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in _tensors(layer))


def _read_bytes(layer: nn.Module) -> int:
    """What a step reads of a layer, at least: everything but the rows of a low plane that are not on the shortlist.

    Each row of a batch has a shortlist of its own; they overlap, and one of them is counted.
    """
    low = getattr(layer, "weight_low", None)
    if not (isinstance(layer, PackedLinear) and isinstance(low, Tensor)):
        return _size_bytes(layer)
    unread_rows = max(0, layer.out_features - layer.form.shortlist)
    return _size_bytes(layer) - unread_rows * low.stride(0)


def _width(layer: nn.Module) -> int:
    return int(layer.in_features)  # type: ignore[arg-type]


def _num_weights(layer: nn.Module) -> int:
    return _width(layer) * int(layer.out_features)  # type: ignore[arg-type]


def load_shape(shape: str, level: Quantization, num_layers: int | None) -> tuple[Network, float]:
    """The model to measure, and the seconds until it was ready.

    Raises:
        CheckpointError: ``shape`` is neither ``6b`` nor a checkpoint.
        ConfigError: ``6b`` at int8 or int4 without the compiled kernels.
    """
    started = time.perf_counter()
    if shape == "6b":
        model = _random_6b(level, num_layers or 28)
    else:
        model = load(LoadOptions(model=shape, quantization=level, device="cpu"), allow_download=False).model
    return model, time.perf_counter() - started


def _random_6b(level: Quantization, num_layers: int) -> Network:
    """The sizes of ChatGLM-6B-Slim; the time a product takes does not depend on its numbers."""
    config = ChatGLMConfig(num_layers=num_layers)
    bits = QUANTIZATION_BITS[level]
    if bits and not can_pack(torch.device("cpu"), bits):
        raise ConfigError(
            f"random weights at {level} need the compiled kernels, which are not in use here; "
            "take --level fp16, or a checkpoint",
            key="level",
        )
    if bits:
        model = Packing.of(config, bits).model_of(config)
        allocate(model)
    else:
        with torch.device("meta"):
            model = Network(config)
        Filling(0, torch.device("cpu"), torch.float16).allocate(model)
    for parameter in model.parameters():
        _randomize(parameter.detach())
    model.train(False)
    return model


def _randomize(tensor: Tensor) -> None:
    """Small numbers, so that nothing overflows; a block of them over and over, as drawing 6e9 would take a minute."""
    if tensor.dtype == torch.uint8:
        block = torch.randint(0, 256, (2**20,), dtype=torch.uint8)
    else:
        block = (torch.randn(2**20) * 0.02).to(tensor.dtype)
    flat = tensor.view(-1)
    for start in range(0, len(flat), len(block)):
        part = flat[start : start + len(block)]
        part.copy_(block[: len(part)])
