"""Bytes of a text file become a string, whatever they were written in.

A byte order mark decides, then UTF-8, then whichever of the encodings of old Chinese, Japanese, Korean and Western
files gives mostly common characters of its language, then `charset-normalizer`, which alone takes short files in GBK
for Korean or Cyrillic.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import product

from chatglm_slim_llm.retrieval.loaders.boundary import extra_packages

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins with UTF-16's mark, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 1 << 16
_HEAD = 1 << 13
_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\f\r\b\x1b"))
_MOST_CONTROLS = 0.05
_NON_ASCII = bytes(range(0x80, 0x100))
_FEW = 0.2
"""Invalid bytes for each valid sequence up to which a file is damaged UTF-8 and not something else."""
_CONVINCING = 0.8
_WORDS_OF_KOREAN = 16
_LEAST_KANA = 0.1


class BinaryDataError(ValueError):
    """The bytes are no text in any encoding."""


def decode(data: bytes) -> str:
    """The text, with bytes that cannot be read replaced by U+FFFD.

    Raises:
        BinaryDataError: they are no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if (wide := _wide(data[:_HEAD])) is not None:
        return data.decode(wide, "replace")
    if _is_binary(data):
        raise BinaryDataError("binary, not text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line_start = data.rfind(b"\n", max(0, error.start - _SAMPLE), error.start) + 1
        sample = data[line_start or error.start :][:_SAMPLE]  # never from the middle of a character
    return data.decode("utf-8" if _is_damaged_utf8(data) else _legacy(sample), "replace")


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark, as some programs of Windows write it, when it is mostly ASCII."""
    if len(head) < 8:
        return None
    share_even, share_odd = (2 * head[start::2].count(0) / len(head) for start in (0, 1))
    if share_odd > 0.6 and share_even == 0:
        return "utf-16-le"
    return "utf-16-be" if share_even > 0.6 and share_odd == 0 else None


def _is_binary(data: bytes) -> bool:
    if b"\0" in data[:_HEAD]:
        return True
    middle = len(data) // 2
    sample = data[:_HEAD] + data[middle : middle + _HEAD] + data[-_HEAD:]
    return len(sample) - len(sample.translate(None, _CONTROLS)) > _MOST_CONTROLS * len(sample)


def _is_damaged_utf8(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    invalid = text.count("\ufffd") - data.count("\ufffd".encode())
    ascii_characters = len(data.translate(None, _NON_ASCII))
    return invalid <= _FEW * (len(text) - ascii_characters - invalid)


def _legacy(sample: bytes) -> str:
    """The encoding in which the sample reads most like the language it is for."""
    scores = {encoding: score(sample.decode(encoding, "replace")) for encoding, score in _SCORES.items()}
    best = max(scores, key=lambda encoding: scores[encoding])  # the first of equals: Chinese
    return best if scores[best] >= _CONVINCING else _guessed(sample)


def _guessed(sample: bytes) -> str:
    with extra_packages():
        from charset_normalizer import from_bytes
    best = from_bytes(sample, cp_exclusion=["utf_7"]).best()
    return best.encoding if best is not None else "cp1252"


@lru_cache
def _rows(encoding: str, first: int, last: int) -> frozenset[str]:
    """The characters of a double-byte encoding whose first byte is in a range: its common ones lie together."""
    pairs = (bytes(pair).decode(encoding, "ignore") for pair in product(range(first, last + 1), range(0x40, 0xFF)))
    return frozenset(character for character in pairs if len(character) == 1)


_HIGH = re.compile("[^\x00-\x7f]")
_KANA = re.compile("[\u3041-\u30ff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_PUNCTUATION = re.compile("[\u2010-\u2027\u3000-\u3020\uff01-\uff5e\u00b7]")
_LATIN = re.compile("[À-ÖØ-öø-ÿŒœŠšŽž‘’“”–—…•€£§°«»¿¡©®·½]")
_LETTERS = re.compile("[A-Za-z]")


def _ideographs(encoding: str, first: int, last: int) -> Callable[[str], float]:
    def score(text: str) -> float:
        common = _rows(encoding, first, last)
        high = _PUNCTUATION.sub("", text)
        found = _HIGH.findall(high)
        return sum(character in common for character in found) / len(found) if found else 0.0

    return score


def _japanese(encoding: str, first: int, last: int) -> Callable[[str], float]:
    kanji = _ideographs(encoding, first, last)

    def score(text: str) -> float:
        kana = len(_KANA.findall(text))
        others = _KANA.sub("", text)
        high = len(_HIGH.findall(_PUNCTUATION.sub("", others)))
        if kana < _LEAST_KANA * (kana + high):
            return 0.0
        return (kana + kanji(others) * high) / (kana + high)

    return score


def _korean(text: str) -> float:
    hangul, high = len(_HANGUL.findall(text)), len(_HIGH.findall(_PUNCTUATION.sub("", text)))
    # Two Chinese characters in GBK are often two valid Korean ones; sixteen never are.
    return hangul / high + 0.001 if hangul >= _WORDS_OF_KOREAN else 0.0


def _western(text: str) -> float:
    latin, high = len(_LATIN.findall(text)), len(_HIGH.findall(text))
    # Cyrillic letters read as accented ones, too, but then there is nothing else.
    return latin / high if high and len(_LETTERS.findall(text)) >= 2 * high else 0.0


_SCORES: dict[str, Callable[[str], float]] = {
    "gb18030": _ideographs("gb2312", 0xB0, 0xD7),
    "cp950": _ideographs("cp950", 0xA4, 0xC6),
    "cp932": _japanese("cp932", 0x88, 0x98),
    "euc_jp": _japanese("euc_jp", 0xB0, 0xCF),
    "cp949": _korean,
    "cp1252": _western,
}
