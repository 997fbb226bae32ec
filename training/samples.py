"""Prompts and answers as token ids, and samples of like length as one batch of tensors."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sentencepiece as spm
import torch
from torch import Tensor


class Encoder:
    """Text to ids as the project's tokenizer does it, without its bookkeeping: thousands of texts a second."""

    def __init__(self, vocab_file: Path) -> None:
        self._pieces = spm.SentencePieceProcessor(model_file=str(vocab_file))
        self.gmask_id, self.sop_id, self.eop_id, self.pad_id = map(self.id_of, ("[gMASK]", "<sop>", "<eop>", "<pad>"))

    def id_of(self, piece: str) -> int:
        """Id of one piece."""
        return int(self._pieces.piece_to_id(piece))

    @property
    def size(self) -> int:
        """Number of pieces."""
        return int(self._pieces.get_piece_size())

    def encode(self, text: str) -> list[int]:
        """Ids of a text without tabs or runs of spaces (training has none)."""
        return list(self._pieces.encode(text.replace("\n", "<n>")))

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to text."""
        return str(self._pieces.decode(list(ids))).replace("<n>", "\n")


_FIRST, _FIRST_WEIGHT = 4, 3.0
"""The first tokens of the answer decide which answer it becomes; they count more."""

MULTIPLE = 8
"""Sequences are padded to a multiple of this, so that few different shapes occur."""


@dataclass(frozen=True)
class Sample:
    """One sequence: a context that is read in both directions, then what is written after <sop>."""

    ids: list[int]
    context_length: int
    """Tokens before <sop>, [gMASK] among them."""
    targets: dict[int, int]
    """Position -> the token to predict there."""


def encode_pairs(encoder: Encoder, prompt: str, answer: str, others: Sequence[tuple[str, str]] = ()) -> Sample:
    """The model's layout, prompt + [gMASK] <sop> + answer + <eop>; more questions and answers may follow.

    The later pairs never occur in use: they are extra practice in the same passages. Only answers are trained.
    """
    context = [*encoder.encode(prompt), encoder.gmask_id]
    ids = [*context, encoder.sop_id]
    targets: dict[int, int] = {}
    for question, text in ((None, answer), *others):
        if question is not None:
            ids += encoder.encode(question)
        reply = [*encoder.encode(text), encoder.eop_id]
        targets |= {len(ids) - 1 + i: token for i, token in enumerate(reply)}
        ids += reply
    return Sample(ids[:-1], len(context), targets)


@dataclass(frozen=True)
class Batch:
    """Padded samples. `attention_mask` is True where attention is forbidden."""

    input_ids: Tensor  # [batch, seq]
    position_ids: Tensor  # [batch, 2, seq]
    attention_mask: Tensor  # [batch, 1, seq, seq]
    selected: Tensor  # flat indices into batch * seq
    targets: Tensor  # one token for each of them
    weights: Tensor  # how much each of them counts in the loss
    owners: Tensor  # the sample that each of them belongs to


def collate(samples: Sequence[Sample], pad_id: int, multiple: int = MULTIPLE) -> Batch:
    """Pad on the right to a multiple, so that few different shapes occur."""
    longest = max(len(sample.ids) for sample in samples)
    width = -(-longest // multiple) * multiple
    input_ids = torch.full((len(samples), width), pad_id)
    for row, sample in enumerate(samples):
        input_ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
    context = torch.tensor([sample.context_length for sample in samples])[:, None]  # [batch, 1]
    length = torch.tensor([len(sample.ids) for sample in samples])[:, None]
    steps = torch.arange(width)[None]  # [1, seq]
    position_ids = torch.stack((steps.minimum(context - 1), (steps - context + 1).clamp(min=0)), dim=1)
    visible = (steps[:, None] <= steps[:, :, None]) | (steps < context)[:, None]  # [batch, seq, seq]
    visible = visible & (steps < length)[:, None]
    flat = [(row, at, token) for row, sample in enumerate(samples) for at, token in sample.targets.items()]
    return Batch(
        input_ids,
        position_ids,
        ~visible[:, None],
        torch.tensor([row * width + at for row, at, _ in flat]),
        torch.tensor([token for _, _, token in flat]),
        torch.tensor([_FIRST_WEIGHT if at < samples[row].context_length + _FIRST else 1.0 for row, at, _ in flat]),
        torch.tensor([row for row, _, _ in flat]),
    )


@dataclass
class Batches:
    """Endless batches of about `tokens` tokens; samples of like length share one."""

    draw: Callable[[], Sample]
    pad_id: int
    tokens: int
    rng: random.Random
    _waiting: dict[int, list[Sample]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Batch]:
        while True:
            ready = []
            for _ in range(512):
                sample = self.draw()
                width = -(-len(sample.ids) // MULTIPLE) * MULTIPLE
                group = self._waiting.setdefault(width, [])
                group.append(sample)
                if len(group) >= max(1, self.tokens // width):
                    ready.append(self._waiting.pop(width))
            self.rng.shuffle(ready)
            for group in ready:
                yield collate(group, self.pad_id)
