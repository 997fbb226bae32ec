"""Text as the terms that keyword search counts.

Chinese, Japanese and Korean are cut into overlapping pairs of characters, as they are written without spaces; words
of other scripts are stemmed as English. A question of one character, 猫, has to find it within any run of them: each
character begins a pair but the last, which a passage has once more by itself.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from chatglm_slim_llm.errors import MissingExtraError

_CJK = "\u2e80-\u2fdf\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"[{_CJK}]+|[^\\W_{_CJK}]+")
_FIRST_CJK = "\u2e80"
_ACCENTS = re.compile("[\u0300-\u036f]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_LONGEST_WORD = 64
_STEMMING = threading.Lock()  # the stemmer works on a word that it holds


def terms(text: str) -> list[str]:
    """The terms of a question, in order, repeated as often as they occur; none holds white space."""
    return [term for run in _runs(text) for term in _terms_of(run)]


def passage_terms(text: str) -> list[str]:
    """The terms of a passage, in order: those of a question, and the last character of each run of pairs."""
    return [
        term for run in _runs(text) for term in (*_terms_of(run), *([run[-1]] if len(run) > 1 and is_cjk(run) else ()))
    ]


def begins_pairs(term: str) -> bool:
    """Whether a question's term is a single character, to be found at the beginning of pairs as well."""
    return len(term) == 1 and is_cjk(term)


def _runs(text: str) -> list[str]:
    return _RUN.findall(_folded(text))


def _terms_of(run: str) -> list[str]:
    if not is_cjk(run):
        return [_stem(run[:_LONGEST_WORD])]
    return [run[start : start + 2] for start in range(len(run) - 1)] or [run]


def is_cjk(term: str) -> bool:
    """Whether a term is of a script that is written without spaces."""
    return term >= _FIRST_CJK


def _folded(text: str) -> str:
    """Without case, accents, full-width forms and commas in numbers."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text)))
    return _THOUSANDS.sub("", text.casefold())


@lru_cache(maxsize=1 << 15)  # a language's common words; without it stemming takes half the time of indexing
def _stem(word: str) -> str:
    if not word.isascii():
        return word
    with _STEMMING:
        return _stemmer()(word)


@lru_cache(maxsize=1)
def _stemmer() -> Callable[[str], str]:
    try:
        from snowballstemmer.english_stemmer import EnglishStemmer
    except ImportError as error:
        raise MissingExtraError(
            "searching documents needs packages that are not installed; run: pip install 'chatglm-slim-llm[rag]'",
            extra="rag",
        ) from error
    # The package's own `stemmer()` takes PyStemmer where it is installed, whose rules may be of another year.
    stem: Callable[[str], str] = EnglishStemmer().stemWord
    return stem
