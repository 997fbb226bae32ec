"""Prompts with tools: a list of made-up tools, a conversation, and what to answer.

The prompt is put together by the same functions that the engine uses, so the model meets in training what it meets in
use: a request that a tool serves, one that none serves, and what a tool gave back.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from chatglm_slim_llm.network import build_prompt
from chatglm_slim_llm.signatures import Tool, language, list_tools, tool_result
from training.arguments import TEXTS
from training.names import Lang, Names, some_lang
from training.toolbox import Shape, Toolbox, Use

Kind = Literal["call", "calls", "none", "results", "chat"]
Rounds = Sequence[tuple[str, str]]

_FEW: tuple[int, ...] = (1, 1, 1, 1, 1, 2, 2, 2, 3, 4)
"""How many tools are listed, as often as they stand here."""


@dataclass(frozen=True)
class ToolTask:
    """One prompt with tools, and what to answer."""

    tools: tuple[Tool, ...]
    history: tuple[tuple[str, str], ...]
    request: str
    answer: str
    kind: Kind

    @property
    def prompt(self) -> str:
        """The whole prompt, as the engine writes it."""
        lang = language([*(asked for asked, _ in self.history), self.request])
        listing = list_tools(self.tools, lang) + "\n\n" if self.tools else ""
        return listing + build_prompt(self.request, self.history)


class ToolWriter:
    """Writes tool prompts from one side of the name split.

    Args:
        seed: of everything that is drawn.
        held_out: which side.
        chat: draws a question about something else with its answer, for rounds without a tool.
    """

    def __init__(self, seed: int, *, held_out: bool = False, chat: Callable[[], tuple[str, str]] | None = None) -> None:
        self.rng = random.Random(seed)
        self.names = Names(self.rng, held_out)
        self.toolbox = Toolbox(self.names)
        self._chat = chat

    def write(
        self,
        kind: Kind = "call",
        lang: Lang | None = None,
        count: int | None = None,
        *,
        shape: Shape | None = None,
        value: str | None = None,
        history: float = 0.0,
    ) -> ToolTask:
        """One prompt and its answer.

        Args:
            kind: what happens.
            lang: of the request; None draws it.
            count: how many tools are listed; None draws it.
            shape: what sort of tool serves the request; None draws it.
            value: kind of the only argument; None draws any number of arguments of any kind.
            history: how likely earlier rounds are.
        """
        rng = self.rng
        lang = lang or some_lang(rng)
        count = count or rng.choice(_FEW)
        uses = self._uses(lang, count + 1, shape, value)
        wanted, others = uses[0], uses[1:]
        listed = tuple(use.tool for use in rng.sample(uses[:count], count))
        if kind == "none":
            listed = tuple(use.tool for use in others)
        rounds = tuple(self._rounds(uses[:count])) if rng.random() < history else ()
        if kind == "calls":
            return self._several(lang, uses[:count], listed, rounds)
        if kind == "results":
            return self._results(wanted, listed, rounds, lang)
        if kind == "chat":
            assert self._chat is not None, "a writer of chat rounds is needed"
            return ToolTask(listed, rounds, *self._chat(), kind)
        if kind == "none":
            lang_told = language([*(asked for asked, _ in rounds), wanted.request])
            return ToolTask(listed, rounds, wanted.request, TEXTS[lang_told]["no_tool"], kind)
        return ToolTask(listed, rounds, wanted.request, call(wanted.tool.name, wanted.arguments), kind)

    def _uses(self, lang: Lang, count: int, shape: Shape | None, value: str | None) -> list[Use]:
        """Tools about different things with different names; the first one as it is asked for."""
        only = 1 if value else None
        uses = [self.toolbox.draw(lang, shape or ("named" if value and self.rng.random() < 0.5 else None), value, only)]
        while len(uses) < count:
            use = self.toolbox.draw(lang)
            if use.key not in {other.key for other in uses} and use.tool.name not in {o.tool.name for o in uses}:
                uses.append(use)
        return uses

    def _rounds(self, uses: Sequence[Use]) -> Iterator[tuple[str, str]]:
        """Earlier rounds: chat, or a call with its result."""
        if self._chat is not None and self.rng.random() < 0.5:
            yield self._chat()
            return
        use = self.rng.choice(uses)
        lang = language([use.request])
        text = self._result(lang)
        yield use.request, call(use.tool.name, use.arguments)
        yield tool_result(use.tool.name, text, lang), text

    def _several(self, lang: Lang, uses: Sequence[Use], listed: tuple[Tool, ...], rounds: Rounds) -> ToolTask:
        """A request that takes two or three calls, of one tool or of several."""
        rng = self.rng
        chosen = list(uses[:2])
        if len(chosen) < 2 or rng.random() < 0.5:
            return self._one_tool_twice(lang, uses, listed, rounds)
        joint = {"en": (" And ", "\n", " Then "), "zh": ("另外，", "\n", "然后")}[lang]
        request = rng.choice(joint).join(use.request for use in chosen)
        answer = "\n".join(call(use.tool.name, use.arguments) for use in chosen)
        return ToolTask(listed, tuple(rounds), request, answer, "calls")

    def _one_tool_twice(self, lang: Lang, uses: Sequence[Use], listed: tuple[Tool, ...], rounds: Rounds) -> ToolTask:
        topic, values, name = "", [self.names.place(lang), self.names.place(lang)], ""
        while name in {"", *(tool.name for tool in listed)}:
            topic, stem, _ = self.rng.choice(TEXTS[lang]["topics"]).split(" | ")
            name = "get_" + stem
        parameter = self.rng.choice(("city", "place", "name", "item", "key"))
        schema = {"type": "object", "properties": {parameter: {"type": "string"}}, "required": [parameter]}
        description = {"en": f"Get the {topic}", "zh": f"查询{topic}"}[lang]
        kept = [tool for tool in listed if tool.name != uses[0].tool.name]
        ways = {
            "en": ("What is the {t} of {a} and of {b}?", "{t} for {a} and {b}?", "Look up the {t} of {a} and {b}."),
            "zh": ("{a}和{b}的{t}是多少？", "查询{a}和{b}的{t}", "{a}的{t}和{b}的{t}"),
        }[lang]
        request = self.rng.choice(ways).format(t=topic, a=values[0], b=values[1])
        answer = "\n".join(call(name, {parameter: value}) for value in values)
        return ToolTask((*kept, Tool(name, description, schema)), tuple(rounds), request, answer, "calls")

    def _results(self, use: Use, listed: tuple[Tool, ...], rounds: Rounds, lang: Lang) -> ToolTask:
        """What a tool gave back, to be said as it is."""
        rng = self.rng
        told = language([*(asked for asked, _ in rounds), use.request])
        name = use.tool.name
        asked = (use.request, call(name, use.arguments))
        if rng.random() < 0.1:
            text = self._fill(rng.choice(TEXTS[lang]["failures"]), lang)
            query = tool_result(name, text, told, failed=True)
            return ToolTask(listed, (*rounds, asked), query, query, "results")
        texts = [self._result(lang) for _ in range(2 if rng.random() < 0.1 else 1)]
        query = "\n".join(tool_result(name, text, told) for text in texts)
        listed = () if rng.random() < 0.15 else tuple(tool for tool in listed if tool == use.tool or rng.random() < 0.4)
        return ToolTask(listed, (*rounds, asked), query, "\n".join(texts), "results")

    def _result(self, lang: Lang) -> str:
        return self._fill(self.rng.choice(TEXTS[lang]["results"]), lang)

    def _fill(self, form: str, lang: Lang) -> str:
        names, free_text = self.names, self.toolbox.arguments.free_text
        value = names.title(lang) if self.rng.random() < 0.3 else names.any(lang)
        number = names.number() if self.rng.random() < 0.7 else f"{self.rng.randrange(100)}.{self.rng.randrange(1, 99)}"
        words = {
            "v": value, "k": number, "x": free_text(lang), "f": names.foreign(), "r": names.jumble(lang),
            "w": self.rng.choice(TEXTS[lang]["topics"]).split(" | ")[0], "u": names.word(lang),
        }  # fmt: skip
        return form.format(**words)


def call(name: str, arguments: Mapping[str, object]) -> str:
    """The answer that calls a tool, as JSON."""
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def texts(lang: Lang) -> Iterator[str]:
    """Every fixed text of one language, patterns included."""
    own = TEXTS[lang]
    yield own["no_tool"]
    yield from _parts(own["topics"], 1)
    yield from _parts(own["parameters"], 1)
    for name in ("phrases", "bare"):
        yield from (part.strip() for line in own[name] for part in line.split(" | ", 2)[2].split(";"))
    for name in ("descriptions", "requests", "named", "action_requests", "generic", "things", "results", "json"):
        yield from own[name]


def _parts(lines: Iterable[str], count: int) -> Iterator[str]:
    for line in lines:
        yield from line.split(" | ")[:count]
