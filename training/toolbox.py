"""Made-up tools, each with a request that it serves and the arguments that the request gives it.

Names, topics, parameters and values are drawn, so that what must be learned is to find the right tool and to copy, not
to remember.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from chatglm_slim_llm.signatures import Tool
from training.arguments import TEXTS, Argument, ArgumentWriter, listed
from training.names import Lang, Names

Shape = Literal["lookup", "named", "action", "numbers", "phrase", "bare"]

_SHARES: dict[Shape, float] = {
    "lookup": 0.44,
    "named": 0.18,
    "action": 0.18,
    "numbers": 0.07,
    "phrase": 0.08,
    "bare": 0.05,
}


_TOPICS = TEXTS["en"]["nouns_of_topics"].split()
_PARAMETERS = ("city", "place", "location", "name", "id", "item", "person", "country", "date", "code", "word", "x")


@dataclass(frozen=True)
class Use:
    """A tool and one request for it."""

    tool: Tool
    request: str
    arguments: dict[str, object]
    key: str
    """What the tool is about; two tools of a list differ in it."""


class Toolbox:
    """Draws tools from one side of the name split."""

    def __init__(self, names: Names) -> None:
        self.names, self.rng = names, names.rng
        self.arguments = ArgumentWriter(names)

    def draw(self, lang: Lang, shape: Shape | None = None, kind: str | None = None, count: int | None = None) -> Use:
        """A tool with a request.

        Args:
            lang: the language of the request.
            shape: what sort of tool; None draws it.
            kind: of the first argument's value; None draws it.
            count: how many arguments; None draws it.
        """
        if shape is None:
            (shape,) = self.rng.choices(list(_SHARES), list(_SHARES.values()))
        make: dict[Shape, Callable[[Lang, str | None, int | None], Use]] = {
            "lookup": self._lookup, "named": self._named, "action": self._action, "numbers": self._numbers,
            "phrase": self._phrase, "bare": self._bare,
        }  # fmt: skip
        return make[shape](lang, kind, count)

    def _lookup(self, lang: Lang, kind: str | None, count: int | None) -> Use:
        rng, own = self.rng, TEXTS[lang]
        topic, stem, parameter = self._topic(lang)
        extra = count - 1 if count else rng.choice((0, 0, 0, 0, 0, 1, 1, 2))
        if kind is None and rng.random() < 0.75:
            main = self.arguments.named(lang, parameter)
            arguments = [main, *(a for a in self.arguments.draw(lang, extra) if a.name != main.name)]
        else:
            first = kind or rng.choice(("title", "integer", "quoted", "code", "place", "number"))
            arguments = self.arguments.draw(lang, 1 + extra, first)
        main, others = arguments[0], arguments[1:]
        name = self._name(stem)
        request = self._fill(rng.choice(own["requests"]), t=topic, v=main.shown, n=name)
        if others:
            request = _append(request, listed([a.phrase for a in others], lang, rng), lang)
        description = self._fill(rng.choice(own["descriptions"]), t=topic, p=main.label)
        if stem in name and rng.random() < 0.12:
            description = ""
        return self._use(name, description, request, arguments, topic, extras=len(others))

    def _topic(self, lang: Lang) -> tuple[str, str, str]:
        rng = self.rng
        if lang == "en" and rng.random() < 0.5:
            topic = " ".join(rng.sample(_TOPICS, rng.choice((1, 1, 1, 2))))
            stem = topic.replace(" ", "_") if rng.random() < 0.85 else self.names.word("en")
            return topic, stem, rng.choice(_PARAMETERS)
        if rng.random() < 0.25:  # a topic that nobody has heard of
            word = self.names.word(lang)
            stem = word if lang == "en" else self.names.word("en")
            return word, stem, rng.choice(("name", "id", "item", "place", "key", "word"))
        topic, stem, parameter = rng.choice(TEXTS[lang]["topics"]).split(" | ")
        return topic, stem if rng.random() < 0.85 else self.names.word("en"), parameter

    def _named(self, lang: Lang, kind: str | None, count: int | None) -> Use:
        """A request that says the tool's own name."""
        rng, own = self.rng, TEXTS[lang]
        word = self.names.word("en")
        name = word + rng.choice(("", "", "_" + self.names.word("en"), "_tool", "_function", "_fn", "_op", "Tool"))
        kinds = ("integer", "integer", "integer", "number", "title", "quoted", "word", "code")
        size = count or rng.choice((1, 1, 1, 2, 2, 3))
        arguments = self.arguments.draw(lang, size, kind or rng.choice(kinds))
        while any(not a.shown or isinstance(a.value, list) for a in arguments):
            arguments = self.arguments.draw(lang, size, kind or rng.choice(kinds))
        equal = rng.random() < 0.15
        shown = [f"{a.name}={a.shown}" if equal else a.shown for a in arguments]
        spoken = shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + own["and"] + shown[-1]
        form = rng.choice(own["named"])
        request = self._fill(form, n=name, c=f"{name}({', '.join(shown)})", l=spoken)
        description = self._fill(rng.choice(own["named_descriptions"]), w=word)
        return self._use(name, description, request, arguments, name)

    def _action(self, lang: Lang, kind: str | None, count: int | None) -> Use:
        rng, own = self.rng, TEXTS[lang]
        verb, english_verb = _both(rng.choice(own["verbs"]), lang)
        noun, english_noun = _both(rng.choice(own["nouns"]), lang)
        if rng.random() < 0.2:
            noun, english_noun = self.names.word(lang), self.names.word("en")
            english_noun = noun if lang == "en" else english_noun
        size = count or rng.choice((1, 1, 2, 2, 2, 3, 3, 4))
        arguments = self.arguments.draw(lang, size, kind)
        spoken = rng.sample(arguments, size) if rng.random() < 0.25 else arguments
        phrases = [argument.phrase for argument in spoken]
        last = self._remark(lang) if count is None and size < 4 and rng.random() < 0.25 else None
        name = self._name(f"{english_verb}_{english_noun}".replace(" ", "_"), bare=True)
        words = {"v": verb, "V": verb.capitalize(), "o": _article(noun) if lang == "en" else noun, "u": noun, "n": name}
        request = self._fill(rng.choice(own["action_requests"]), w=listed(phrases, lang, rng), **words)
        if last is not None:
            request = _append(request, last.phrase, lang)
            arguments = [*arguments, last]
        description = self._fill(rng.choice(own["action_descriptions"]), **words)
        return self._use(name, description, request, arguments, verb + noun, extras=size - 1 if count is None else 0)

    def _remark(self, lang: Lang) -> Argument:
        """An argument that takes a part of the request as it is."""
        rng = self.rng
        name = rng.choice(("description", "note", "comment", "text", "details", "summary", "reason", "message"))
        text = self.arguments.free_text(lang)
        forms = {
            "en": (
                " - {}",
                ", {}",
                ": {}",
                ", {p}: {}",
                ". {p}: {}",
                " with the {p} '{}'",
                ' and the {p} "{}"',
                " ({})",
                ". It is {}",
            ),
            "zh": ("，{}", "：{}", "，说明：{}", "，{p}：{}", "，内容是“{}”", "（{}）", "。说明是{}"),
        }[lang]
        phrase = rng.choice(forms).replace("{p}", name).replace("{}", text)
        return Argument(name, name, {"type": "string"}, text, text, phrase)

    def _numbers(self, lang: Lang, kind: str | None, count: int | None) -> Use:
        rng = self.rng
        line = rng.choice(TEXTS["common"]["operations"])
        name, symbol, english, chinese, wordings = line.split(" | ")
        ways = [way.strip() for way in wordings.split(";")]
        way = ways[-1] if lang == "zh" else rng.choice(ways[:-1])
        if rng.random() < 0.25 and len(symbol) == 1:
            way = f"{{a}} {symbol} {{b}}"
        parameters = rng.choice(
            (("a", "b"), ("a", "b"), ("x", "y"), ("first", "second"), ("m", "n"), ("left", "right"))
        )
        values = [
            self.arguments.draw("en", 1, rng.choice((kind or "integer", "integer", "number")))[0] for _ in range(2)
        ]
        whole = all(isinstance(value.value, int) for value in values) and rng.random() < 0.8
        arguments = [
            Argument(p, p, {"type": "integer" if whole else "number"}, value.value, value.shown, "")
            for p, value in zip(parameters, values, strict=True)
        ]
        way = way.replace("{a}", values[0].shown).replace("{b}", values[1].shown)
        asked = {
            "en": ("What is {}?", "How much is {}?", "{}", "{}?", "Calculate {}.", "{} = ?"),
            "zh": ("{}等于多少？", "{}是多少", "计算{}", "{}？"),
        }
        form = "{}?" if "which" in way or "哪个" in way else rng.choice(asked[lang])
        named = rng.random() < 0.75
        name = self._name(name if named else self.names.word("en"), bare=True)
        description = english if lang == "en" or rng.random() < 0.3 else chinese
        if named and rng.random() < 0.15:
            description = ""
        return self._use(name, description, form.replace("{}", way), arguments, line)

    def _phrase(self, lang: Lang, kind: str | None, count: int | None) -> Use:
        line = self.rng.choice(TEXTS[lang]["phrases"])
        name, parameter, description, wordings = line.split(" | ")
        text = self.arguments.free_text(lang) if self.rng.random() < 0.8 else self.names.title(lang)
        request = self.rng.choice(wordings.split(";")).strip().replace("{x}", text)
        argument = Argument(parameter, parameter, {"type": "string"}, text, text, "")
        return self._use(self._name(name, bare=True), description, request, [argument], name)

    def _bare(self, lang: Lang, kind: str | None, count: int | None) -> Use:
        rng, own = self.rng, TEXTS[lang]
        if rng.random() < 0.4:
            topic, stem, _ = self._topic(lang)
            ways = {
                "en": ("What is the {}?", "{}?", "Show me the {}.", "Tell me the {}"),
                "zh": ("{}是什么？", "查询{}", "看看{}", "{}"),
            }
            request = rng.choice(ways[lang]).format(topic)
            description = self._fill(rng.choice(own["descriptions"][:3]), t=topic)
            return self._use(self._name(stem), description, request, [], topic)
        name, description, wordings = rng.choice(own["bare"]).split(" | ")
        request = rng.choice(wordings.split(";")).strip()
        return self._use(self._name(name, bare=True), description, request, [], name)

    def _use(
        self, name: str, description: str, request: str, arguments: list[Argument], key: str, extras: int = 0
    ) -> Use:
        """Some of the last `extras` arguments are optional; a parameter that is not given may stand beside them."""
        rng = self.rng
        properties: dict[str, object] = {}
        required = []
        for i, argument in enumerate(arguments):
            properties[argument.name] = argument.schema
            if i < len(arguments) - extras or rng.random() < 0.7:
                required.append(argument.name)
        if rng.random() < 0.08 and arguments:
            spare = self.arguments.draw("en", 1)[0]
            nullable = {"anyOf": [spare.schema, {"type": "null"}]} if rng.random() < 0.4 else spare.schema
            properties.setdefault(spare.name, nullable)
        schema = {"type": "object", "properties": properties, "required": required} if properties else {}
        given = {argument.name: argument.value for argument in arguments}
        return Use(Tool(name, description, schema), request, given, key)

    def _name(self, stem: str, *, bare: bool = False) -> str:
        """A tool's name from what it does."""
        rng, common = self.rng, TEXTS["common"]
        name: str = ("" if bare else rng.choice(common["prefixes"])) + stem + rng.choice(common["suffixes"])
        if rng.random() < 0.1:
            first, *rest = name.split("_")
            return "".join((first, *(part.capitalize() for part in rest)))
        return name

    def _fill(self, form: str, **words: str) -> str:
        """A pattern with its words put in; now and then it begins with the other kind of letter, unless with a word."""
        if form[:1].isascii() and self.rng.random() < 0.15:
            form = form[:1].swapcase() + form[1:]
        for key, word in words.items():
            form = form.replace("{" + key + "}", word)
        return form


def _both(word: str, lang: Lang) -> tuple[str, str]:
    """A word of the data as a request says it and as a tool's name has it."""
    spoken, _, english = (word, "", word) if lang == "en" else word.partition(" ")
    return spoken, english


def _article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _append(request: str, phrase: str, lang: Lang) -> str:
    """A request with some words more before its end."""
    body = request.rstrip("?.!？。")
    end = request[len(body) :]
    joint = "" if phrase[0] in " ,.:，：。（" else {"en": " ", "zh": "，"}[lang]
    return body + joint + phrase + end
