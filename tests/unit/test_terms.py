"""Which terms a text is found by, written down by hand."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from chatglm_slim_llm.retrieval.terms import is_cjk, passage_terms, terms

SAID = {
    "": "",
    " \t\n": "",
    "!?…，。—「」": "",
    # English: case and endings do not matter
    "Running runs RUN": "run run run",
    "The cats' houses": "the cat hous",
    "don't": "don t",
    "snake_case and kebab-case": "snake case and kebab case",
    # Chinese: each pair of neighbours, a lone character by itself, no pair across a mark
    "大": "大",
    "大学": "大学",
    "北京大学": "北京 京大 大学",
    "北京，大学。": "北京 大学",
    "你好 世界": "你好 世界",
    "人人人人": "人人 人人 人人",
    "々〇": "々〇",
    "𠀀𠀁𠀂": "𠀀𠀁 𠀁𠀂",
    # Japanese and Korean the same way
    "東京タワー": "東京 京タ タワ ワー",
    "한국어": "한국 국어",
    # a mixture is cut where the script changes
    "用Python写code": "用 python 写 code",
    "第3章": "第 3 章",
    "GPT4模型": "gpt4 模型",
    # numbers: whole, with and without the commas of thousands
    "1,234,567 people": "1234567 peopl",
    "1,23": "1 23",
    "3.14": "3 14",
    "2023-05": "2023 05",
    "x1,000": "x1000",
    # full-width forms and half-width kana are what they stand for
    "Ｐｙｔｈｏｎ　３": "python 3",
    "ｱｲｳ": "アイ イウ",
    "ﬁnd": "find",
    "①②": "12",
    # accents and case of other scripts fold
    "Café CAFÉ cafe\u0301": "cafe cafe cafe",
    "Straße STRASSE": "strass strass",
    "ÅNGSTRÖM": "angstrom",
    "МОСКВА Москва": "москва москва",
    "Ελλάδα": "ελλαδα",
    # what is no letter parts words
    "a\0b": "a b",
    "🎉party🎉": "parti",
    '" OR NEAR( * ) AND NOT ^x:': "or near and not x",
}


@pytest.mark.parametrize("text", SAID)
def test_a_text_has_these_terms(text):
    assert " ".join(terms(text)) == SAID[text]


def test_terms_are_found_whichever_way_a_text_is_composed():
    assert terms("が") == terms("か\u3099")
    assert terms("각") == terms("\u1100\u1161\u11a8")


def test_a_term_tells_its_script():
    assert all(map(is_cjk, terms("汉字 かな カナ 한글 𠀀")))
    assert not any(map(is_cjk, terms("latin Ελληνικά кириллица עברית العربية 123")))


def test_a_word_that_never_ends_is_cut_and_a_chinese_one_is_not():
    [word] = terms("x" * 100_000)
    assert len(word) == 64
    assert len(terms("汉" * 100_000)) == 99_999


def test_half_a_surrogate_pair_is_no_word_and_no_error():
    assert terms("before \ud800 after") == ["befor", "after"]


def every_character() -> str:
    return "".join(chr(c) for c in range(0x110000))


@pytest.mark.long
def test_no_term_of_any_character_is_empty_holds_space_or_is_cut_by_the_index():
    """A term that FTS5 saw as two, or as another one, would never be found."""
    found = sorted({term for c in every_character() for term in terms(f"{c}") if c.isalnum()})
    assert len(found) > 100_000
    assert not any(term.split() != [term] for term in found)
    db = sqlite3.connect(":memory:")
    db.execute("create virtual table t using fts5 (terms, detail = none, tokenize = 'ascii')")
    db.execute("create virtual table counts using fts5vocab ('t', 'row')")
    db.execute("insert into t values (?)", (" ".join(found),))
    assert [row[0] for row in db.execute("select term from counts order by term collate binary")] == found
    db.close()


def test_threads_stem_at_the_same_time_as_one_would():
    words = [f"{stem}{ending}" for stem in ("connect", "relat", "general", "nation") for ending in ("ing", "ed", "s")]
    texts = [" ".join(f"{word}{number}x {word}" for word in words) for number in range(40)]
    expected = [terms(text) for text in texts]
    from chatglm_slim_llm.retrieval.terms import _stem

    _stem.cache_clear()
    found: dict[int, list[list[str]]] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.__setitem__(n, [terms(text) for text in texts])) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each == expected for each in found.values())


def test_a_passage_has_the_last_character_of_each_run_by_itself():
    assert passage_terms("北京大学，cats 大") == ["北京", "京大", "大学", "学", "cat", "大"]
