"""What a training batch is drawn from: chat, reading and tools, in shares that change as training goes on."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.chat import ChatWriter, Fact, Unknown
from training.reading import ReadingWriter
from training.samples import Batch, Batches, Encoder, Sample, encode_pairs
from training.tools import ToolWriter


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Shares of samples, and how hard they are."""

    chat: float = 0.35
    reading: float = 0.4
    tools: float = 0.25
    copying: float = 0.0
    level: float = 1.0
    """0: one or two facts and one tool; 1: everything."""
    practice: int = 3
    """Further questions answered after the first one, for practice only."""


class SampleWriter:
    """Draws samples of every kind."""

    def __init__(
        self, encoder: Encoder, mixture: Mixture, seed: int, facts: Sequence[Fact], unknown: Sequence[Unknown]
    ) -> None:
        self.encoder, self.mixture, self.rng = encoder, mixture, random.Random(seed)
        self.chat = ChatWriter(self.rng.getrandbits(32), facts, unknown)
        self.reading = ReadingWriter(self.rng.getrandbits(32))
        self.tools = ToolWriter(self.rng.getrandbits(32))

    def write(self) -> Sample:
        """One sample of a kind drawn by its share."""
        mixture = self.mixture
        shares = (mixture.chat, mixture.reading, mixture.tools, mixture.copying)
        (kind,) = self.rng.choices((self._chat, self._reading, self._tools, self._copying), shares)
        return kind()

    def _chat(self) -> Sample:
        turn = self.chat.write()
        return encode_pairs(self.encoder, turn.prompt, turn.answer)

    def _reading(self) -> Sample:
        reading = self.reading.write(self.mixture.level * self.rng.random())
        return encode_pairs(self.encoder, reading.prompt, reading.answer, reading.others[: self.mixture.practice])

    def _tools(self) -> Sample:
        task = self.tools.write(self.mixture.level)
        if self.rng.random() < 0.12:  # tools are listed, but the question is chat
            question, answer = self.chat.ask()
            return encode_pairs(self.encoder, task.listing + question, answer)
        return encode_pairs(self.encoder, task.prompt, task.answer)

    def _copying(self) -> Sample:
        """Something to repeat: exercise for the pieces that the other samples hardly ever copy."""
        names = self.tools.names
        lang = names.lang()
        text = names.jumble(lang)
        return encode_pairs(self.encoder, f"{'Repeat: ' if lang == 'en' else '复述：'}{text}", text)


def batches(writer: SampleWriter, tokens: int) -> Iterator[Batch]:
    """Endless batches of about `tokens` tokens."""
    return iter(Batches(writer.write, writer.encoder.pad_id, tokens, writer.rng))
