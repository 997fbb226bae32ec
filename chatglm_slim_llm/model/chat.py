"""``model.chat`` and ``model.stream_chat`` as the original's README shows them.

These are for those who work with the model directly. The engine has its own sampling, stopping and
cancelling, and shares the prompt, the decoding loop and the post-processing with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation.logits_process import LogitsProcessor

from chatglm_slim_llm.network.decoding import decode_steps
from chatglm_slim_llm.network.detokenize import StreamDecoder
from chatglm_slim_llm.network.text import build_prompt, process_response

if TYPE_CHECKING:
    from chatglm_slim_llm.model.modeling_chatglm import ChatGLMForConditionalGeneration
    from chatglm_slim_llm.network.tokenization_chatglm import ChatGLMTokenizer

History = list[tuple[str, str]]


class InvalidScoreLogitsProcessor(LogitsProcessor):
    """Choose a blank when scores are broken, so that sampling does not fail half-way.

    A score of -inf only forbids a token; the original took it for broken.
    """

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[batch, vocab] -> the same shape; rows with nan or +inf become all zero but for id 5 ("▁")."""
        broken = (scores.isnan() | scores.isposinf()).any(dim=-1, keepdim=True)
        blank = torch.zeros_like(scores)
        blank[..., 5] = 5e4
        return torch.where(broken, blank, scores)


@torch.inference_mode()
def chat(
    self: ChatGLMForConditionalGeneration,
    tokenizer: ChatGLMTokenizer,
    query: str,
    history: History | None = None,
    max_length: int = 2048,
    num_beams: int = 1,
    do_sample: bool = True,
    top_p: float = 0.7,
    temperature: float = 0.95,
    logits_processor: LogitsProcessorList | None = None,
    **kwargs: Any,
) -> tuple[str, History]:
    """Answer one query.

    Args:
        self: the model, so that this function is its method.
        tokenizer: the checkpoint's own.
        query: what is asked now.
        history: earlier rounds; the oldest are left out while the prompt does not fit.
        max_length: prompt and reply together, in tokens.
        num_beams: beams of beam search; 1 is none.
        do_sample: draw tokens, else take the likeliest.
        top_p: nucleus to draw from.
        temperature: above 1 flattens the distribution.
        logits_processor: further processors of transformers.
        **kwargs: anything else that ``generate()`` takes.

    Returns:
        The reply and the history with this round at its end.

    Raises:
        ValueError: the query alone leaves no room for a reply.
    """
    rounds = list(history or [])
    input_ids = _encode(self, tokenizer, query, rounds, max_length)
    processors = LogitsProcessorList([*(logits_processor or []), InvalidScoreLogitsProcessor()])
    sampling = {"top_p": top_p, "temperature": temperature, "top_k": kwargs.pop("top_k", 50)} if do_sample else {}
    generate: Callable[..., Any] = self.generate  # type: ignore[misc,unused-ignore]  # its protocol asks for more than it uses
    output_ids = generate(
        input_ids,
        attention_mask=torch.ones_like(input_ids),
        max_length=max_length,
        num_beams=num_beams,
        do_sample=do_sample,
        logits_processor=processors,
        pad_token_id=self.config.pad_token_id,
        **sampling,
        **kwargs,
    )
    reply_ids = output_ids[0, input_ids.shape[-1] :].tolist()
    reply = process_response(str(tokenizer.decode(reply_ids)))
    return reply, [*rounds, (query, reply)]


def stream_chat(
    self: ChatGLMForConditionalGeneration,
    tokenizer: ChatGLMTokenizer,
    query: str,
    history: History | None = None,
    max_length: int = 2048,
    do_sample: bool = True,
    top_p: float = 0.7,
    temperature: float = 0.95,
    logits_processor: LogitsProcessorList | None = None,
    *,
    top_k: int = 50,
    repetition_penalty: float = 1.0,
) -> Iterator[tuple[str, History]]:
    """Answer one query and show the reply while it grows.

    Arguments are those of ``chat``. Unlike the original's, the stream shows the last token when
    ``max_length`` ends the reply, and never half a character.

    Yields:
        The reply so far (cumulative) and the history with this round at its end.
    """
    rounds = list(history or [])
    input_ids = _encode(self, tokenizer, query, rounds, max_length)
    warpers = [TemperatureLogitsWarper(temperature), TopKLogitsWarper(top_k), TopPLogitsWarper(top_p)]
    penalty = [RepetitionPenaltyLogitsProcessor(repetition_penalty)] if repetition_penalty != 1 else []
    processors = [*penalty, *(logits_processor or []), InvalidScoreLogitsProcessor(), *(warpers if do_sample else [])]
    ids = input_ids[0].tolist()
    pick = _picker(LogitsProcessorList(processors), ids, do_sample=do_sample)
    decoder, text = StreamDecoder(tokenizer), ""
    for token in decode_steps(self, input_ids, pick):
        ids.append(token)
        ended = token == self.config.eos_token_id or len(ids) >= max_length
        text += decoder.push(token) + (decoder.flush() if ended else "")
        reply = process_response(text)
        yield reply, [*rounds, (query, reply)]
        if ended:
            return


def _picker(processors: LogitsProcessorList, ids: list[int], *, do_sample: bool) -> Callable[[Tensor], int]:
    def pick(logits: Tensor) -> int:
        seen = torch.tensor([ids], device=logits.device)
        scores = processors(seen, logits[None])[0]  # type: ignore[arg-type]  # any tensor of ids does
        return int(torch.multinomial(scores.softmax(-1), 1) if do_sample else scores.argmax())

    return pick


def _encode(
    model: ChatGLMForConditionalGeneration, tokenizer: ChatGLMTokenizer, query: str, rounds: History, max_length: int
) -> Tensor:
    """The prompt as ids, [1, seq]; the oldest rounds go until a quarter of ``max_length`` is left for the reply."""
    kept = 0
    spare = max_length - max_length // 4
    for past in reversed(rounds):  # each round is encoded once, and no more of them than may fit
        kept += 1
        spare -= len(tokenizer.encode(build_prompt("", [past]), add_special_tokens=False))
        if spare < 0:
            break
    for start in range(len(rounds) - kept, len(rounds) + 1):
        ids = tokenizer.encode(build_prompt(query, rounds[start:]))
        limit = max_length - (max_length // 4 if start < len(rounds) else 0)
        if len(ids) < limit:
            return torch.tensor([ids], device=model.device)
    raise ValueError(
        f"the prompt has {len(ids)} tokens and leaves no room for a reply within max_length {max_length}; "
        "shorten the prompt or raise max_length (the model was trained for "
        f"{model.config.max_sequence_length})"
    )
