"""Texts with a few values, and the JSON object that gives them back in the form that was asked for."""

import json
import random
from dataclasses import dataclass

from chatglm_slim_llm.signatures import ask_for_json, language
from training.arguments import TEXTS, Argument, ArgumentWriter, listed
from training.names import Lang, Names, some_lang


@dataclass(frozen=True)
class JsonTask:
    """One prompt with a schema, and the object to answer with."""

    schema: dict[str, object]
    request: str
    answer: str

    @property
    def prompt(self) -> str:
        """The whole prompt, as the engine writes it."""
        return ask_for_json(self.schema, language([self.request])) + "\n\n" + self.request


class JsonWriter:
    """Writes such prompts from one side of the name split."""

    def __init__(self, seed: int, *, held_out: bool = False) -> None:
        self.rng = random.Random(seed)
        self.arguments = ArgumentWriter(Names(self.rng, held_out))

    def write(self, lang: Lang | None = None) -> JsonTask:
        """One prompt with one to four fields; now and then a further field is optional and not in the text."""
        rng = self.rng
        lang = lang or some_lang(rng)
        fields = self.arguments.draw(lang, rng.choice((1, 1, 2, 2, 2, 3, 3, 4)))
        properties: dict[str, object] = {field.name: field.schema for field in fields}
        schema: dict[str, object] = {"type": "object", "properties": properties, "required": list(properties)}
        if rng.random() < 0.1:
            spare = self.arguments.draw(lang, 1)[0]
            properties.setdefault(spare.name, spare.schema)
        spoken = rng.sample(fields, len(fields)) if rng.random() < 0.25 else fields
        answer = json.dumps({field.name: field.value for field in fields}, ensure_ascii=False)
        return JsonTask(schema, self._request(lang, spoken), answer)

    def _request(self, lang: Lang, fields: list[Argument]) -> str:
        rng, own = self.rng, TEXTS[lang]
        form = rng.choice(own["json"])
        noun = rng.choice(own["nouns"]) if lang == "en" else rng.choice(own["nouns"]).split()[0]
        thing = ("an " if noun[0] in "aeiou" else "a ") + noun if lang == "en" else noun
        phrases = listed([field.phrase for field in fields], lang, rng)
        words = {"w": phrases, "s": self._sentences(lang, fields), "o": thing, "O": thing[0].upper() + thing[1:]}
        for key, word in words.items():
            if "{" + key + "}" in form:
                return str(form.replace("{o}", thing).replace("{O}", words["O"]).replace("{" + key + "}", word))
        return str(form)

    def _sentences(self, lang: Lang, fields: list[Argument]) -> str:
        """A sentence for each field."""
        joint = " " if lang == "en" else ""
        return joint.join(self._sentence(lang, field) for field in fields)

    def _sentence(self, lang: Lang, field: Argument) -> str:
        if not field.shown:
            return field.phrase[:1].upper() + field.phrase[1:] + {"en": ".", "zh": "。"}[lang]
        label = field.label.replace("_", " ")
        sentence = self.rng.choice(TEXTS[lang]["sentences"])
        return str(sentence.replace("{p}", label).replace("{v}", field.shown))
