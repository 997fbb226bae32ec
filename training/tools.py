"""Tool lists made up line by line, with a request and the call that serves it.

Tool names, topics, parameter names and values are drawn, so that what must be learned is to find the right tool and to
copy, not to remember.
"""

import json
import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.names import Lang, Names

Kind = Literal["call", "none"]

_TEXTS = tomllib.loads((Path(__file__).with_name("data") / "tools.toml").read_text("utf-8"))
_PARAMETERS = _TEXTS["common"]["parameters"].split()


@dataclass(frozen=True)
class ToolTask:
    """One prompt with tools, and what to answer."""

    listing: str
    """The tools, up to where the request begins."""
    request: str
    answer: str
    kind: Kind

    @property
    def prompt(self) -> str:
        """The whole prompt."""
        return self.listing + self.request


@dataclass(frozen=True)
class _Tool:
    name: str
    topic: str
    description: str
    parameter: str

    def line(self) -> str:
        return json.dumps(
            {"name": self.name, "description": self.description, "parameters": {self.parameter: "string"}},
            ensure_ascii=False,
        )


class ToolWriter:
    """Writes tool prompts from one side of the name split."""

    def __init__(self, seed: int, *, held_out: bool = False) -> None:
        self.rng = random.Random(seed)
        self.names = Names(self.rng, held_out)

    def write(self, level: float = 1.0, kind: Kind = "call", lang: Lang | None = None, most: int = 3) -> ToolTask:
        """One prompt with one tool (level 0) or up to `most` tools (level 1), and its answer."""
        rng = self.rng
        lang = lang or self.names.lang()
        count = min(most, rng.choice((1, 2, 2, 3))) if rng.random() < level else 1
        topics: set[str] = set()
        *tools, absent = [self._tool(lang, topics) for _ in range(count + 1)]
        wanted = absent if kind == "none" else rng.choice(tools)
        value = self.names.any(lang)
        request = rng.choice(_TEXTS[lang]["requests"]).format(t=wanted.topic, v=value, n=wanted.name)
        own = _TEXTS[lang]
        listing = own["head"] + "\n".join(tool.line() for tool in tools) + own["ask"]
        answer = call(wanted.name, wanted.parameter, value) if kind == "call" else own["no_tool"]
        return ToolTask(listing, request, answer, kind)

    def _tool(self, lang: Lang, topics: set[str]) -> _Tool:
        rng = self.rng
        while True:
            topic, stem, parameter = self._topic(lang)
            if rng.random() < 0.3:
                stem, topic, parameter = self.names.word("en"), self.names.word(lang), rng.choice(_PARAMETERS)
            if topic not in topics:
                break
        topics.add(topic)
        if rng.random() < 0.25:
            stem = self.names.word("en")
        if rng.random() < 0.3:
            parameter = rng.choice(_PARAMETERS) if rng.random() < 0.7 else self.names.word("en")
        description = rng.choice(_TEXTS[lang]["descriptions"]).format(t=topic, p=parameter)
        return _Tool(rng.choice(_TEXTS["common"]["prefixes"]) + stem, topic, description, parameter)

    def _topic(self, lang: Lang) -> tuple[str, str, str]:
        """What a tool is about, with a usual tool name and parameter for it."""
        topic, stem, parameter = self.rng.choice(_TEXTS[lang]["topics"]).split(" | ")
        return topic, stem, parameter


def call(name: str, parameter: str, value: str) -> str:
    """The answer that calls a tool, as JSON."""
    return json.dumps({"name": name, "arguments": {parameter: value}}, ensure_ascii=False)


def texts(lang: Lang) -> Iterator[str]:
    """Every fixed text of one language, patterns included."""
    own = _TEXTS[lang]
    yield from (own["head"], own["ask"], own["no_tool"], *own["descriptions"], *own["requests"])
    for topic in own["topics"]:
        yield topic.split(" | ")[0]
