"""Parameters of made-up tools: a name, a schema, a value, and how a request says it."""

import random
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.names import Lang, Names

TEXTS: dict[str, Any] = tomllib.loads((Path(__file__).with_name("data") / "tools.toml").read_text("utf-8"))

_QUOTES: dict[Lang, tuple[str, ...]] = {
    "en": ("'{}'", '"{}"', "'{}'", "“{}”"),
    "zh": ("“{}”", "「{}」", "《{}》", "'{}'", '"{}"'),
}
_KINDS = {"quoted": 6, "title": 5, "integer": 10, "number": 5, "boolean": 3, "enum": 4, "list": 1, "any": 30}
"""How often a kind of value is drawn; `any` takes a parameter of the list whatever its kind."""
_STRINGS = {"title", "place", "person", "thing", "word", "code", "date", "quoted", "text"}


@dataclass(frozen=True)
class Argument:
    """One parameter with the value that a request gives it."""

    name: str
    label: str
    """What people call the parameter."""
    schema: dict[str, object]
    value: object
    shown: str
    """The value as it stands in the request."""
    phrase: str
    """The value with what it is for: named 'Pear'."""


@dataclass(frozen=True)
class _Parameter:
    name: str
    label: str
    kind: str
    phrases: tuple[str, ...]


class ArgumentWriter:
    """Draws parameters and values from one side of the name split."""

    def __init__(self, names: Names) -> None:
        self.names, self.rng = names, names.rng

    def draw(self, lang: Lang, count: int, kind: str | None = None) -> list[Argument]:
        """Parameters of different names; the first one of `kind` if that is given."""
        out: list[Argument] = []
        kinds: set[str] = set()
        while len(out) < count:
            wanted = kind if kind and not out else self.rng.choices(list(_KINDS), list(_KINDS.values()))[0]
            parameter = self._parameter(lang, wanted)
            if parameter.name not in {argument.name for argument in out}:
                out.append(self._argument(lang, parameter, plain=parameter.kind not in kinds))
                kinds.add(parameter.kind)
        return out

    def named(self, lang: Lang, name: str) -> Argument:
        """The value of a parameter whose name is given, of the kind that it has in the list or of any kind."""
        known = [parameter for parameter in _PARAMETERS[lang] if parameter.name == name and parameter.kind in _STRINGS]
        if known and self.rng.random() < 0.5:
            return self._argument(lang, known[0], plain=True)
        kinds = ("place", "title", "person", "thing", "word", "code", "quoted")
        return self._argument(lang, _Parameter(name, name, self.rng.choice(kinds), ()), plain=True)

    def free_text(self, lang: Lang) -> str:
        """Some words that belong together, of the kind that stands in a note or a description."""
        names, own = self.names, TEXTS[lang]
        text = self.rng.choice(own["things"])
        while "{" in text:
            at = text.index("{")
            draw: dict[str, Callable[[], str]] = {
                "j": lambda: self.rng.choice(own["adjectives"].split()), "i": lambda: names.thing(lang),
                "l": lambda: names.place(lang), "m": lambda: names.person(lang), "d": lambda: names.date(lang),
                "c": names.number, "w": lambda: names.word(lang),
            }  # fmt: skip
            text = text[:at] + draw[text[at + 1]]() + text[at + 3 :]
        return str(text)

    def _parameter(self, lang: Lang, kind: str) -> _Parameter:
        rng = self.rng
        if rng.random() < 0.12:
            name = self.names.word("en")
            kinds = ("title", "integer", "integer", "number", "quoted", "place", "thing", "word", "boolean", "enum")
            return _Parameter(name, name, rng.choice(kinds) if kind == "any" else kind, ())
        fitting = "title" if kind == "quoted" else kind
        chosen = rng.choice([p for p in _PARAMETERS[lang] if fitting in ("any", p.kind)])
        if rng.random() < 0.15:
            noun = rng.choice(TEXTS["en"]["nouns"][:20])
            label = f"{noun} {chosen.name}" if rng.random() < 0.6 else chosen.label
            chosen = _Parameter(f"{noun}_{chosen.name}", label, chosen.kind, chosen.phrases)
        return chosen if kind != "quoted" else _Parameter(chosen.name, chosen.label, "quoted", chosen.phrases)

    def _argument(self, lang: Lang, parameter: _Parameter, *, plain: bool) -> Argument:
        """A value for a parameter; `plain` allows phrases that do not name the parameter."""
        rng, own = self.rng, TEXTS[lang]
        schema, value, shown = self._value(lang, parameter.kind)
        label = parameter.label if rng.random() < 0.75 else parameter.name
        label = label.replace("_", " ") if rng.random() < 0.8 else label
        phrases: Sequence[str] = own["generic"]
        if parameter.kind == "boolean":
            phrases = own["yes" if value else "no"]
        elif plain and parameter.phrases and rng.random() < 0.6:
            phrases = parameter.phrases
        if rng.random() < 0.12:
            schema = {**schema, "description": rng.choice(own["notes"]).format(p=parameter.label.replace("_", " "))}
        phrase = rng.choice(phrases).replace("{p}", label).replace("{v}", shown)
        return Argument(parameter.name, label, schema, value, shown, phrase)

    def _value(self, lang: Lang, kind: str) -> tuple[dict[str, object], object, str]:
        """Schema, value, and the value as a request shows it."""
        rng = self.rng
        if kind == "integer":
            whole = self._integer()
            return {"type": rng.choice(("integer",) * 5 + ("number",))}, whole, str(whole)
        if kind == "number":
            number = self._decimal() if rng.random() < 0.6 else self._integer()
            return {"type": "number"}, number, str(number)
        if kind == "boolean":
            flag = rng.random() < 0.5
            return {"type": "boolean"}, flag, ""
        if kind == "enum":
            options = self._options()
            chosen = rng.choice(options)
            return {"enum": options}, chosen, chosen
        if kind == "list":
            words = [self.names.word(lang) for _ in range(rng.randint(2, 3))]
            joint = {"en": ", ", "zh": "、"}[lang]
            shown = joint.join(words[:-1]) + TEXTS[lang]["and"] + words[-1]
            return {"type": "array", "items": {"type": "string"}}, words, shown
        text = self._string(lang, kind)
        quoted = rng.random() < {"quoted": 0.85, "title": 0.5, "text": 0.0}.get(kind, 0.12)
        return {"type": "string"}, text, rng.choice(_QUOTES[lang]).format(text) if quoted else text

    def _string(self, lang: Lang, kind: str) -> str:
        names, rng = self.names, self.rng
        other: Lang = lang if rng.random() < 0.85 else rng.choice(("en", "zh"))
        draw: dict[str, Callable[[], str]] = {
            "title": lambda: names.title(other), "person": lambda: names.person(other),
            "thing": lambda: names.thing(other), "word": lambda: names.word(other), "code": names.code,
            "date": lambda: names.date(lang), "text": lambda: self.free_text(lang),
            "place": lambda: names.title("en") if lang == "en" and rng.random() < 0.3 else names.place(other),
            "quoted": lambda: names.foreign() if rng.random() < 0.7 else names.title("zh"),
        }  # fmt: skip
        return draw[kind]()

    def _integer(self) -> int:
        if self.rng.random() < 0.4:
            return self.rng.randrange(-9, 100) if self.rng.random() < 0.1 else self.rng.randrange(0, 100)
        return int(self.names.number())

    def _decimal(self) -> float:
        return float(f"{self.rng.randrange(0, 10 ** self.rng.randint(1, 3))}.{self.rng.randrange(1, 100)}")

    def _options(self) -> list[str]:
        if self.rng.random() < 0.15:
            return [self.names.word("en") for _ in range(self.rng.randint(2, 4))]
        options = self.rng.choice(TEXTS["common"]["enums"]).split()
        return list(self.rng.sample(options, len(options)))


def _parameters(lang: Lang) -> list[_Parameter]:
    out = []
    for line in TEXTS[lang]["parameters"]:
        named, kind, phrases = (part.strip() for part in line.split("|"))
        name, _, label = named.partition(" = ")
        out.append(_Parameter(name, label or name, kind, tuple(p.strip() for p in phrases.split(";") if p.strip())))
    return out


_PARAMETERS: dict[Lang, list[_Parameter]] = {"en": _parameters("en"), "zh": _parameters("zh")}


def listed(phrases: Sequence[str], lang: Lang, rng: random.Random) -> str:
    """Phrases in a row: with commas, or with "and" before the last one."""
    if lang == "zh":
        return "，".join(phrases)
    if len(phrases) > 1 and rng.random() < 0.6:
        return ", ".join(phrases[:-1]) + rng.choice((" and ", ", ", ", and ")) + phrases[-1]
    return rng.choice((" ", ", ")).join(phrases)
