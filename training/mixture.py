"""What a training batch is drawn from: chat, reading, tools and JSON, in shares that change as training goes on."""

import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.chat import DATA, ChatWriter, Fact, Unknown
from training.json_tasks import JsonWriter
from training.reading import ReadingWriter
from training.samples import Batch, Batches, Encoder, Sample, encode_pairs
from training.tools import Kind, ToolWriter

_PRACTICE = 3
"""Further questions that a reading sample answers after its first one, for practice only."""

_OTHER_TASKS: dict[Kind, float] = {"results": 0.16, "chat": 0.13, "calls": 0.04}
"""Share of the tool prompts that are about something else than one call; see also `Mixture.none`."""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """What the samples of one stretch of the run are; see `data/schedule.toml`."""

    until: int
    """The first step that is no longer in it."""
    chat: float
    """Share of the samples that are chat; likewise reading, tools, json and copying."""
    reading: float
    tools: float
    json: float
    copying: float
    history: float
    """Share of the chat prompts with earlier rounds."""
    unknown: float
    """Share of the chat questions that nobody expects a small model to answer."""
    missing: float
    """Share of the reading questions that the passages do not answer."""
    none: float
    """Share of the tool prompts whose request no listed tool serves."""


def load_schedule(path: Path = DATA / "schedule.toml") -> list[Mixture]:
    """The stretches of the run, in order."""
    return [Mixture(**entry) for entry in tomllib.loads(path.read_text("utf-8"))["stretch"]]


class SampleWriter:
    """Draws samples of every kind."""

    def __init__(
        self,
        encoder: Encoder,
        mixture: Mixture,
        level: float,
        seed: int,
        facts: Sequence[Fact],
        unknown: Sequence[Unknown],
    ) -> None:
        self.encoder, self.mixture, self.level, self.rng = encoder, mixture, level, random.Random(seed)
        shares = {"history": mixture.history, "unknown_share": mixture.unknown}
        self.chat = ChatWriter(self.rng.getrandbits(32), facts, unknown, **shares)
        self.reading = ReadingWriter(self.rng.getrandbits(32))
        small_talk = ChatWriter(self.rng.getrandbits(32), facts, unknown, unknown_share=0.0)
        self.tools = ToolWriter(self.rng.getrandbits(32), chat=small_talk.ask)
        self.json = JsonWriter(self.rng.getrandbits(32))

    def write(self) -> Sample:
        """One sample of a kind drawn by its share."""
        mixture = self.mixture
        shares = (mixture.chat, mixture.reading, mixture.tools, mixture.json, mixture.copying)
        kinds = (self._chat, self._reading, self._tools, self._json, self._copying)
        (kind,) = self.rng.choices(kinds, shares)
        return kind()

    def _chat(self) -> Sample:
        turn = self.chat.write()
        return encode_pairs(self.encoder, turn.prompt, turn.answer)

    def _reading(self) -> Sample:
        missing = self.rng.random() < self.mixture.missing
        level = self.level * self.rng.random()
        reading = self.reading.write(level, "missing" if missing else None)
        return encode_pairs(self.encoder, reading.prompt, reading.answer, reading.others[:_PRACTICE])

    def _tools(self) -> Sample:
        shares: dict[Kind, float] = {**_OTHER_TASKS, "none": self.mixture.none}
        shares["call"] = 1.0 - sum(shares.values())
        (kind,) = self.rng.choices(list(shares), list(shares.values()))
        task = self.tools.write(kind, history=0.08)
        return encode_pairs(self.encoder, task.prompt, task.answer)

    def _json(self) -> Sample:
        task = self.json.write()
        return encode_pairs(self.encoder, task.prompt, task.answer)

    def _copying(self) -> Sample:
        """Something to repeat: exercise for the pieces that the other samples hardly ever copy."""
        names = self.tools.names
        lang = names.lang()
        text = self.rng.choice((lambda: names.jumble(lang), names.foreign, lambda: names.title(lang)))()
        return encode_pairs(self.encoder, f"{'Repeat: ' if lang == 'en' else '复述：'}{text}", text)


def batches(writer: SampleWriter, tokens: int) -> Iterator[Batch]:
    """Endless batches of about `tokens` tokens."""
    return iter(Batches(writer.write, writer.encoder.pad_id, tokens, writer.rng))
