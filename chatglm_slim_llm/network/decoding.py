"""A prompt in, token ids out: the model step by step, whatever it runs on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from chatglm_slim_llm.kernels.library import why_not
from chatglm_slim_llm.network.batched import BatchedForward
from chatglm_slim_llm.network.forward import C, Forward
from chatglm_slim_llm.network.positions import Layout

if TYPE_CHECKING:
    from chatglm_slim_llm.network.network import AnyModel


@dataclass
class CachedSequence:
    """What is remembered of one sequence."""

    layout: Layout
    cache: DynamicCache
    length: int
    """Tokens of prompt and reply so far."""


class SequentialForward:
    """Scores on any device and in any precision, one token after the other; a `Forward` of the engine.

    Torch multiplies one row with other code than several, and the results differ in their last bits. So every
    token has a step of its own here.
    """

    max_rows = 1

    def __init__(self, model: AnyModel) -> None:
        self._model = model

    @torch.inference_mode()
    def prefill(
        self, prompt_ids: Sequence[int], *, exact: bool = False
    ) -> Generator[None, None, tuple[CachedSequence, Tensor]]:
        """Read a prompt in one piece; return its context and the next token's scores, [vocab], which are always exact.

        Raises:
            ValueError: the prompt has no [gMASK] or no <sop>.
        """
        input_ids = torch.tensor([list(prompt_ids)], device=self._model.device)  # [1, prompt]
        context = CachedSequence(Layout.of(input_ids, self._model.config), DynamicCache(), len(prompt_ids))
        yield
        output = self._model(input_ids, past_key_values=context.cache, use_cache=True, logits_to_keep=1)
        return context, output.logits[0, -1].float()

    @torch.inference_mode()
    def step(self, contexts: Sequence[CachedSequence], new_ids: Sequence[Sequence[int]]) -> list[Tensor]:
        """Append tokens to each context; return the scores after each, fp32 [tokens, vocab] a context."""
        pairs = zip(contexts, new_ids, strict=True)
        return [torch.stack([self._append(context, token) for token in ids]) for context, ids in pairs]

    def forget(self, context: CachedSequence, num_tokens: int) -> None:
        """Take back the last tokens that were appended."""
        if num_tokens:
            context.cache.crop(-num_tokens)
            context.length -= num_tokens

    def _append(self, context: CachedSequence, token: int) -> Tensor:
        output = self._model(
            torch.tensor([[token]], device=self._model.device),
            position_ids=context.layout.position_ids(context.length, 1),
            past_key_values=context.cache,
            use_cache=True,
        )
        context.length += 1
        scores: Tensor = output.logits[0, -1].float()
        return scores


def kv_cache_bits(model: AnyModel, wanted: Literal[16, 8] | None = None) -> Literal[16, 8] | None:
    """How keys and values are kept here; None: torch runs the model, in the model's own precision.

    Args:
        model: in eval mode.
        wanted: fp16 or int8; int8 beside weights of int4, else fp16, if missing.

    Raises:
        ValueError: they are to be int8, but the compiled kernels cannot run this model.
    """
    if BatchedForward.supports(model):
        return wanted or (8 if model.config.quantization_bit == 4 else 16)
    if wanted == 8:
        want_kernels_on(model.device)
        raise ValueError(f"{_NEEDS_KERNELS}, which cannot run this model")
    return None


def want_kernels_on(device: torch.device) -> None:
    """Make sure that some model at least could have keys and values of 8 bits there.

    Raises:
        ValueError: the compiled kernels are not in use, or are not for that device.
    """
    if device.type != "cpu":
        raise ValueError(f"{_NEEDS_KERNELS}, which run on a processor and not on {device}")
    if (reason := why_not()) is not None:
        raise ValueError(f"{_NEEDS_KERNELS}, which are not in use: {reason}")


_NEEDS_KERNELS = "keys and values of 8 bits need the compiled kernels"


def forward_for(model: AnyModel, wanted: Literal[16, 8] | None = None) -> BatchedForward | SequentialForward:
    """The fastest way to run this model here, with keys and values as `kv_cache_bits` says.

    Raises:
        ValueError: they are to be int8, but the compiled kernels cannot run this model.
    """
    bits = kv_cache_bits(model, wanted)
    return SequentialForward(model) if bits is None else BatchedForward(model, kv_cache_bits=bits)


def decode_steps(
    model: AnyModel,
    input_ids: Tensor,
    pick: Callable[[Tensor], int],
    *,
    eos_token_id: int | None = None,
) -> Iterator[int]:
    """Yield new token ids until <eop>, which is yielded too.

    Nothing is computed between two ``next()`` calls; closing the iterator frees the cache.

    Args:
        model: in eval mode.
        input_ids: the prompt, [1, seq], ending in [gMASK] <sop>.
        pick: chooses an id from the scores, fp32 [vocab].
        eos_token_id: where to stop; the config's if missing.

    Raises:
        ValueError: the prompt has no [gMASK] or no <sop>.
    """
    eos = model.config.eos_token_id if eos_token_id is None else eos_token_id
    forward: Forward[Any] = forward_for(model)
    yield from _decode(forward, input_ids[0].tolist(), pick, eos)


def _decode(forward: Forward[C], prompt_ids: list[int], pick: Callable[[Tensor], int], eos: int) -> Iterator[int]:
    pieces = forward.prefill(prompt_ids)
    while True:
        try:
            next(pieces)
        except StopIteration as finished:
            context, scores = finished.value
            break
    while True:
        token = pick(scores)
        yield token
        if token == eos:
            return
        scores = forward.step([context], [[token]])[0][-1]
