"""Made-up names and values, split for good into those for training and those for testing.

A string belongs to the test side when its checksum says so, so no name of a test passage was ever seen in training,
whichever generator drew it.
"""

import random
import tomllib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Lang = Literal["en", "zh"]

_PARTS = tomllib.loads((Path(__file__).with_name("data") / "names.toml").read_text("utf-8"))
_EN = {part: text.split() for part, text in _PARTS["en"].items()}
_ZH = {part: text.split() for part, text in _PARTS["zh"].items()}
_SCRIPTS = {part: text.split() for part, text in _PARTS["scripts"].items()}
_SCRIPT_SHARES = {"hiragana": 3, "katakana": 2, "cyrillic": 3, "latin": 4, "greek": 1, "hangul": 1}


def common_characters() -> list[str]:
    """The 3,755 most used Chinese characters, in the order of the GB2312 table (rows 16 to 55)."""
    pairs = (bytes((row, cell)) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
    return [char for pair in pairs if (char := pair.decode("gb2312", "ignore"))]


_CHARACTERS = common_characters()


def is_held_out(text: str) -> bool:
    """Whether a name or value is on the test side: one in ten is, for ever the same."""
    return zlib.crc32(text.encode()) % 10 == 0


def some_lang(rng: random.Random) -> Lang:
    """English a little more often than Chinese: its names take more pieces to copy."""
    return "en" if rng.random() < 0.6 else "zh"


@dataclass
class Names:
    """Draws names and values from one side of the split only."""

    rng: random.Random
    held_out: bool = False

    def lang(self) -> Lang:
        """English or Chinese, evenly."""
        return "en" if self.rng.random() < 0.5 else "zh"

    def person(self, lang: Lang) -> str:
        """A first name, known or made up."""
        return self._keep(lambda: self._person_en() if lang == "en" else self._person_zh())

    def place(self, lang: Lang) -> str:
        """A town, known or made up."""
        return self._keep(lambda: self._place_en() if lang == "en" else self._place_zh())

    def thing(self, lang: Lang) -> str:
        """Something one may like, buy or own."""
        return self._keep(lambda: self._thing_en() if lang == "en" else self._thing_zh())

    def number(self) -> str:
        """A whole number of one to six digits."""
        return self._keep(lambda: str(self.rng.randrange(1, 10 ** self.rng.randint(2, 6))))

    def code(self) -> str:
        """Letters, a dash and digits, such as KD-402."""
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
        return self._keep(
            lambda: "".join(self.rng.choices(letters, k=self.rng.randint(1, 3))) + f"-{self.rng.randrange(2, 9999)}"
        )

    def date(self, lang: Lang) -> str:
        """A day of the year, or a year."""
        return self._keep(lambda: self._date(lang))

    def word(self, lang: Lang) -> str:
        """A made-up word in small letters, or two random characters."""
        return self._keep(lambda: self._word() if lang == "en" else self._characters())

    def title(self, lang: Lang) -> str:
        """A name of several words, sometimes with a comma: Porto Lanza, QX."""
        return self._keep(lambda: self._title_en() if lang == "en" else self._title_zh())

    def foreign(self) -> str:
        """A name in a script that the vocabulary knows by its bytes only, or with one accented letter."""
        return self._keep(self._foreign)

    def jumble(self, lang: Lang) -> str:
        """A few words without sense, or up to a dozen characters, each as likely as the other."""
        if lang == "zh":
            return self._keep(lambda: "".join(self.rng.choices(_CHARACTERS, k=self.rng.randint(2, 12))))
        return " ".join(self.any("en") for _ in range(self.rng.randint(1, 4)))

    def any(self, lang: Lang) -> str:
        """A value of any kind."""
        kinds: list[Callable[[], str]] = [
            self.number, self.number, self.code,
            lambda: self.person(lang), lambda: self.place(lang), lambda: self.thing(lang), lambda: self.word(lang),
        ]  # fmt: skip
        return self.rng.choice(kinds)()

    def _keep(self, draw: Callable[[], str]) -> str:
        while is_held_out(text := draw()) != self.held_out:
            pass
        return text

    def _pick(self, pool: Sequence[str]) -> str:
        return self.rng.choice(pool)

    def _word(self) -> str:
        syllables = self.rng.choice((1, 2, 2, 2, 3))
        parts = (_EN["onsets"], _EN["vowels"], _EN["codas"])
        return "".join(self._pick(part) for _ in range(syllables) for part in parts).replace("-", "")

    def _characters(self) -> str:
        return "".join(self.rng.choices(_CHARACTERS, k=self.rng.choice((2, 2, 3))))

    def _known(self) -> bool:
        return self.rng.random() < 0.3

    def _person_en(self) -> str:
        return self._pick(_EN["people"]) if self._known() else self._word().capitalize()

    def _person_zh(self) -> str:
        given = _ZH["given"][0] if self.rng.random() < 0.4 else _CHARACTERS
        return self._pick(_ZH["surnames"][0]) + "".join(self.rng.choices(given, k=self.rng.choice((1, 1, 2))))

    def _place_en(self) -> str:
        return self._pick(_EN["places"]) if self._known() else self._word().capitalize()

    def _place_zh(self) -> str:
        if self._known():
            return self._pick(_ZH["places"])
        return self._characters() + (self._pick(_ZH["suffixes"]) if self.rng.random() < 0.5 else "")

    def _thing_en(self) -> str:
        return self._pick(_EN["things"]).replace("_", " ") if self._known() else self._word()

    def _thing_zh(self) -> str:
        return self._pick(_ZH["things"]) if self._known() else self._characters()

    def _date(self, lang: Lang) -> str:
        month, day, year = self.rng.randint(1, 12), self.rng.randint(1, 28), self.rng.randint(1900, 2030)
        if self.rng.random() < 0.4:
            return str(year) if lang == "en" else f"{year}年"
        return f"{day} {_EN['months'][month - 1]}" if lang == "en" else f"{month}月{day}日"

    def _title_en(self) -> str:
        words = [self._word().capitalize() for _ in range(self.rng.choice((1, 2, 2, 2, 3)))]
        tail = self.rng.choice(("", "", ", " + "".join(self.rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=2))))
        if self.rng.random() < 0.15:
            tail = ", " + self._word().capitalize()
        return " ".join(words) + tail

    def _title_zh(self) -> str:
        name = "".join(self.rng.choices(_CHARACTERS, k=self.rng.randint(2, 5)))
        return name + (self._pick(_ZH["suffixes"]) if self.rng.random() < 0.6 else "")

    def _foreign(self) -> str:
        (script,) = self.rng.choices(list(_SCRIPT_SHARES), list(_SCRIPT_SHARES.values()))
        words = ["".join(self.rng.choices(_SCRIPTS[script], k=self.rng.randint(2, 5))) for _ in range(2)]
        if script in {"hiragana", "katakana"}:
            kanji = "".join(self.rng.choices(_CHARACTERS, k=self.rng.choice((1, 2, 2, 3, 4))))
            return self.rng.choice(
                (words[0], words[0] + kanji, words[0] + kanji, kanji + words[0], words[0] + words[1])
            )
        if script == "hangul":
            return self.rng.choice((words[0], " ".join(words)))
        return self.rng.choice((words[0], words[0].capitalize(), " ".join(words).title()))
