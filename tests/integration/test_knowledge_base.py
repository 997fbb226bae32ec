"""A knowledge base as its users have it: texts in, passages out, by several threads and processes."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from chatglm_slim_llm.errors import ConfigError, RetrievalError
from chatglm_slim_llm.retrieval import KnowledgeBase
from chatglm_slim_llm.retrieval.embedders import FromLangChain, embedder, fingerprint
from chatglm_slim_llm.retrieval.parallel import ParallelEmbedder, _Helper
from chatglm_slim_llm.retrieval.splitting import sentences
from chatglm_slim_llm.retrieval.terms import passage_terms, terms
from tests.installed import enable, install

MODES = ("keyword", "vector", "hybrid")


class Bags(Embeddings):
    """A text's vector is the sum of its words': texts that share words are near. Counts what it is asked for.

    Like real ones it fails at what has no UTF-8; one that is far too long would take many seconds.
    """

    def __init__(self, size: int = 16, salt: str = "") -> None:
        self.size, self.salt, self.asked = size, salt, 0

    def embed_query(self, text: str) -> list[float]:
        assert len(text) < 10_000
        vector = np.ones(self.size) * 0.2
        for word in re.findall(r"\w", text) if not text.isascii() else text.lower().split():
            seed = zlib.crc32(f"{self.salt}{word}".encode())
            vector += np.random.default_rng(seed).standard_normal(self.size)
        return vector.tolist()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked += len(texts)
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def base(tmp_path):
    with KnowledgeBase.open(tmp_path / "kb.db", embedder=Bags()) as base:
        yield base


def texts(passages) -> list[str]:
    return [passage.text for passage in passages]


# The order of what is found, against a plain computation of what `finding.py` says


def slow_search(stored: list[str], question: str, mode: str, embeddings: Bags | None) -> list[tuple[str, float]]:
    """Every chunk scored by the formula: BM25 (k1 0.9, b 0.4) and the best sentence, and the mean of two cosines."""
    count = len(stored)
    lines = [[passage_terms(sentence) for sentence in sentences(text)] for text in stored]
    words = [[word for line in each for word in line] for each in lines]
    mean_length = sum(map(len, words)) / count
    asked = set(terms(question))

    def weight(with_term: int) -> float:
        return math.log(1 + (count - with_term + 0.5) / (with_term + 0.5))

    weights = {word: weight(n) for word in asked if (n := sum(word in each for each in words))}
    scale = 11 * math.log(1 + (count - 1 + 0.5) / (1 + 0.5))

    def is_chinese(some) -> bool:
        some = list(some)
        return sum("\u4e00" <= word[0] <= "\u9fff" for word in some) * 2 > len(some)

    def by_words(place: int) -> float:
        bm25 = 0.0
        for word, its_weight in weights.items():
            often = words[place].count(word)
            norm = 0.9 * (1 - 0.4 + 0.4 * len(words[place]) / mean_length)
            bm25 += its_weight * often * 1.9 / (often + norm)
        best = max((sum(w for word, w in weights.items() if word in line) for line in lines[place]), default=0)
        if is_chinese(words[place]) == is_chinese(asked):
            return (bm25 + best) / scale
        all_weights = sum(weights.get(word, weight(0)) for word in asked)
        held = sum(w for word, w in weights.items() if word in words[place]) / all_weights
        return (bm25 + best) / scale * max(0.3, held)

    def by_meaning(place: int) -> float:
        own = FromLangChain(embeddings)
        unrelated = min(fingerprint(own).unrelated, 0.95)
        query = own.queries([question])[0]
        whole = float(own.passages([stored[place]])[0] @ query)
        parts = sentences(stored[place])
        best = max(float(row @ query) for row in own.passages(parts)) if len(parts) > 1 else whole
        return ((whole + best) / 2 - unrelated) / (1 - unrelated)

    scored = []
    for place, text in enumerate(stored):
        score = 0.0
        if mode != "vector":
            score = by_words(place)
            if mode == "keyword" and score == 0:
                continue
        if mode != "keyword":
            score += by_meaning(place)
        scored.append((text, score))
    return sorted(scored, key=lambda each: -each[1])


WORDS = ["river", "bridge", "castle", "running", "ran", "stone", "tower", "gold", "king", "queen", "1,200", "paper"]
CHARACTERS = "北京大学图书馆河流城市历史"


def some_texts(count: int) -> list[str]:
    rng = np.random.default_rng(count)
    made = []
    for number in range(count):
        parts = []
        for _ in range(int(rng.integers(1, 5))):
            if number % 3:
                parts.append(" ".join(rng.choice(WORDS, int(rng.integers(3, 12)))) + ".")
            else:
                parts.append("".join(rng.choice(list(CHARACTERS), int(rng.integers(9, 20)))) + "。")
        made.append(" ".join(parts))
    return made


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("question", ["the castle's towers", "北京的大学", "king 大学 1200", "nothing matches this"])
def test_passages_and_scores_are_those_of_scoring_every_one(base, mode, question):
    stored = some_texts(60)
    base.add_texts(stored)
    expected = slow_search(stored, question, mode, Bags())
    found = base.search(question, k=100, mode=mode)
    assert [passage.score for passage in found] == pytest.approx([score for _, score in expected], abs=2e-3)
    assert len(found) == len(expected)
    said = dict(expected)
    assert all(said[passage.text] == pytest.approx(passage.score, abs=2e-3) for passage in found)
    for k in (1, 3):
        assert base.search(question, k=k, mode=mode) == found[:k]


@pytest.mark.parametrize("mode", MODES)
def test_the_same_search_gives_the_same_order_and_equals_come_as_they_were_added(base, mode):
    base.add_texts(["one text that is here often."] * 30 + ["another text."], ids=[f"{n:02}" for n in range(31)])
    first = base.search("a text here", k=20, mode=mode)
    assert [passage.id for passage in first] == [f"{n:02}" for n in range(20)]
    assert all(base.search("a text here", k=20, mode=mode) == first for _ in range(3))
    with KnowledgeBase.open(base.path, embedder=Bags()) as other:
        assert other.search("a text here", k=20, mode=mode) == first


# Filters


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("k", [1, 3])
def test_a_filter_holds_even_where_hundreds_of_better_passages_are_left_out(base, mode, k):
    base.add_texts(["exactly the question"] * 300, [{"kind": "loud"}] * 300)
    quiet = [f"the question and much more of number {n}" for n in range(5)]
    base.add_texts(quiet, [{"kind": "quiet", "n": n} for n in range(5)])
    for wanted in ({"kind": "quiet"}, lambda metadata: metadata.get("kind") == "quiet"):
        found = base.search("exactly the question", k=k, mode=mode, filter=wanted)
        assert len(found) == k
        assert set(texts(found)) <= set(quiet)
    assert texts(base.search("exactly the question", k=9, mode=mode, filter={"n": 3})) == quiet[3:4]
    assert base.search("exactly the question", mode=mode, filter={"n": 99}) == []
    assert base.search("exactly the question", mode=mode, filter=lambda _: False) == []
    assert len(base.search("exactly the question", mode=mode, filter={})) == 4


def test_a_filter_function_that_fails_is_the_callers_to_see(base):
    base.add_texts(["one"])
    with pytest.raises(KeyError):
        base.search("one", filter=lambda metadata: metadata["missing"])


# Questions of every kind

ODD = [
    '" OR NEAR( *',
    '"unclosed',
    "a* AND NOT (b",
    "terms:x ^y {z}",
    "'; drop table chunks; --",
    "nul \0 in it",
    "half \ud800 of a pair",
    "🎉🎉🎉",
    "\u200b\ufeff\u202e",
    "%s %d {} \\",
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("question", ODD)
def test_a_question_may_hold_anything(base, mode, question):
    base.add_texts(["a plain text about x and y", *ODD])
    found = base.search(question, k=20, mode=mode)
    if mode != "keyword":
        assert len(found) == 11
    elif terms(question):
        assert question.replace("\ud800", "\ufffd") in texts(found)
    assert len(base.search("plain text", k=20, mode="vector")) == 11
    assert len(base.max_marginal_relevance_search(question, k=3, mode=mode)) == min(3, len(found))


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_question_finds_nothing(base, mode):
    base.add_texts(["one"])
    assert [base.search(question, mode=mode) for question in ("", " ", "\n\t\u3000\x00 "[:3])] == [[], [], []]


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_base_finds_nothing_and_leaves_no_file(base, mode):
    assert base.search("anything", mode=mode) == []
    assert not base.path.exists()


def test_an_empty_text_can_be_kept(base):
    base.add_texts(["", " ", "!?", "words"])
    assert texts(base.search("words", k=9, mode="keyword")) == ["words"]
    assert texts(base.search("words", k=9)) == ["words", "!?"]


BLANK = ["", "  ", " \t\r\n\x0b\x0c\x1f\x85\xa0\u1680\u2009\u2028\u202f\u205f\u3000"]


class Middling(Bags):
    """Puts what says nothing between all texts: it is a little near to every question."""

    def embed_query(self, text: str) -> list[float]:
        return super().embed_query(text) if text.strip() else np.ones(self.size).tolist()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("blank", BLANK)
def test_a_text_that_says_nothing_is_kept_and_never_found(tmp_path, mode, blank):
    with KnowledgeBase.open(tmp_path / "kb.db", embedder=Middling()) as base:
        ids = base.add_texts(["Anna lives in room KD-402.", blank, "The meeting is at noon."])
        assert len(set(ids)) == 3
        found = base.search("the weather in Lima", k=3, mode=mode, filter={})
        assert blank not in texts(found)
        assert blank not in texts(base.search("the weather in Lima", k=3, mode=mode, filter=lambda metadata: True))
        assert [document.page_content for document in base.get_by_ids(ids)][1] == blank
        base.delete([ids[1]])
        assert base.get_by_ids([ids[1]]) == []
        assert base.search("the weather in Lima", k=3, mode=mode) == found


def test_texts_that_say_nothing_are_not_found_by_a_vector_and_get_one_of_the_next_embedder(tmp_path):
    with KnowledgeBase.open(tmp_path / "kb.db", embedder=Middling()) as base:
        base.add_texts(["one", *BLANK])
        near = base.similarity_search_by_vector(Middling().embed_query(""), k=9)
        assert [document.page_content for document in near] == ["one"]
    with KnowledgeBase.open(tmp_path / "kb.db", embedder=Middling(salt="b")) as base:
        base.sync()
        assert texts(base.search("one", k=9, mode="vector")) == ["one"]


def test_a_base_of_texts_that_say_nothing_finds_nothing(base):
    base.add_texts(BLANK)
    assert [base.search("anything", mode=mode) for mode in MODES] == [[], [], []]


def test_the_nearest_to_a_vector_that_say_different_things(base):
    base.add_texts(
        ["castle tower", "castle tower stone", "castle tower gold", "castle river"], [{"n": n} for n in range(4)]
    )
    vector = Bags().embed_query("castle tower")
    near = [each.page_content for each in base.similarity_search_by_vector(vector, k=4)]

    def found(**options) -> list[str]:
        return [each.page_content for each in base.max_marginal_relevance_search_by_vector(vector, **options)]

    every = [Bags().embed_query(text) for text in near]
    picked = maximal_marginal_relevance(np.array(vector), every, lambda_mult=0.2, k=3)
    assert found(k=3, lambda_mult=0.2) == [near[place] for place in picked]
    assert found(k=3, lambda_mult=0.2) != near[:3]
    assert found(k=4, lambda_mult=1) == near
    assert found(k=4, fetch_k=2) == near[:2]
    assert found(k=4, filter={"n": 3}) == ["castle river"]
    assert sorted(each.page_content for each in base.max_marginal_relevance_search("castle tower", k=4)) == sorted(near)


def test_a_vector_finds_nothing_in_an_empty_base_and_must_fit(base):
    assert base.max_marginal_relevance_search_by_vector([1.0] * 16) == []
    base.add_texts(["one"])
    with pytest.raises(RetrievalError, match="the vector has 3 numbers"):
        base.max_marginal_relevance_search_by_vector([1.0] * 3)
    with pytest.raises(ConfigError, match="at least 1"):
        base.max_marginal_relevance_search_by_vector([1.0] * 16, k=0)


@pytest.mark.long
def test_a_very_long_question_costs_what_its_length_does(base):
    base.add_texts(some_texts(200))
    rng = np.random.default_rng(0)
    long = "".join(chr(c) for c in rng.integers(0x4E00, 0x9FFF, 48_000))

    def spent_s(count: int) -> float:
        began = time.process_time()
        assert base.search(f"{long[:count]} castle", k=3)
        return time.process_time() - began

    assert min(spent_s(48_000) for _ in range(2)) < 10 * min(spent_s(12_000) for _ in range(2))


def test_a_very_long_text_is_found_by_all_its_words_and_by_the_meaning_of_its_beginning(base):
    base.add_texts(["castle " * 20_000 + "tower", "king", "河" * 100_000])
    assert len(base.search("tower", k=9, mode="keyword")) == 1
    assert len(base.search("castle", k=9, mode="vector")) == 3


def test_more_can_be_asked_for_than_there_is(base):
    base.add_texts(["one", "two", "three"])
    assert len(base.search("one", k=10**12)) == 3
    assert len(base.search("one", k=4, mode="keyword")) == 1


def test_what_cannot_be_asked_is_said(base):
    base.add_texts(["one"])
    with pytest.raises(ConfigError, match="at least 1"):
        base.search("one", k=0)
    with pytest.raises(ConfigError, match="hybrid, keyword or vector"):
        base.search("one", mode="magic")
    with KnowledgeBase.open(base.path, embedder="none") as other, pytest.raises(RetrievalError, match="no embedder"):
        other.search("one", mode="vector")


SAID = {
    "a filter in words": (lambda base: base.similarity_search("one", filter="n=1"), "filter", ["'n=1'", "a dict"]),
    "a filter by number": (lambda base: base.search("one", filter={5: 1}), "filter", ["5", "a str"]),
    "k in words": (lambda base: base.similarity_search("one", k="3"), "k", ["k is '3'", "whole number"]),
    "no k": (lambda base: base.search("one", k=None), "k", ["k is None", "whole number"]),
    "half a passage": (lambda base: base.search("one", k=1.5), "k", ["k is 1.5", "whole number"]),
    "a question that is none": (lambda base: base.search(5), "query", ["query is 5", "a str"]),
    "fewer than none": (lambda base: base.max_marginal_relevance_search("one", k=-1), "k", ["k is -1", "at least 1"]),
    "from none": (
        lambda base: base.max_marginal_relevance_search("one", k=2, fetch_k=0),
        "fetch_k",
        ["fetch_k is 0", "at least 1"],
    ),
    "by a vector from none": (
        lambda base: base.max_marginal_relevance_search_by_vector([1.0] * 16, k=2, fetch_k=0),
        "fetch_k",
        ["fetch_k is 0", "at least 1"],
    ),
    "more different than different": (
        lambda base: base.max_marginal_relevance_search("one", lambda_mult=7),
        "lambda_mult",
        ["lambda_mult is 7", "from 0 to 1"],
    ),
    "by a vector, as different as nothing": (
        lambda base: base.max_marginal_relevance_search_by_vector([1.0] * 16, lambda_mult="x"),
        "lambda_mult",
        ["lambda_mult is 'x'", "from 0 to 1"],
    ),
    "no numbers": (
        lambda base: base.similarity_search_by_vector([float("nan")] * 16),
        "embedding",
        ["nan", "finite", "embed_query"],
    ),
    "endless": (lambda base: base.similarity_search_by_vector([math.inf] + [1.0] * 15), "embedding", ["inf"]),
    "no direction": (lambda base: base.max_marginal_relevance_search_by_vector([0.0] * 16), "embedding", ["only 0"]),
    "words": (lambda base: base.similarity_search_by_vector("one"), "embedding", ["'one'", "embed_query"]),
    "numbers in words": (
        lambda base: base.similarity_search_by_vector(["1"] * 16),
        "embedding",
        ["['1', ", "embed_query"],
    ),
    "truth": (
        lambda base: base.similarity_search_by_vector([1.0, True] * 8),
        "embedding",
        ["True", "embed_query"],
    ),
    "truth in an array": (
        lambda base: base.similarity_search_by_vector(np.ones(16, bool)),
        "embedding",
        ["embed_query"],
    ),
    "too large for any float": (
        lambda base: base.similarity_search_by_vector([10**5000] * 16),
        "embedding",
        ["too large", "embed_query"],
    ),
    "imaginary": (lambda base: base.similarity_search_by_vector([1j] * 16), "embedding", ["1j", "embed_query"]),
    "unequal rows": (lambda base: base.similarity_search_by_vector([[1.0], 2.0]), "embedding", ["embed_query"]),
    "two vectors": (lambda base: base.similarity_search_by_vector([[1.0] * 16] * 2), "embedding", ["embed_query"]),
    "no text": (lambda base: base.add_texts(["a", 5]), "texts", ["text 1 is 5", "a str"]),
    "one text": (lambda base: base.add_texts("a text"), "texts", ["'a text'", "a list"]),
    "an id that is none": (lambda base: base.add_texts(["a", "b"], ids=[None, 5]), "ids", ["id 1 is 5", "a str"]),
    "one id": (lambda base: base.add_texts(["a", "b"], ids="xy"), "ids", ["'xy'", "a list"]),
    "an id to delete": (lambda base: base.delete([5]), "ids", ["id 0 is 5", "a str"]),
    "one id to delete": (lambda base: base.delete("1"), "ids", ["'1'", "a list"]),
    "an id to look up": (lambda base: base.get_by_ids([5]), "ids", ["id 0 is 5", "a str"]),
}


@pytest.mark.parametrize(("ask", "key", "words"), SAID.values(), ids=SAID)
def test_an_option_that_cannot_be_used_is_one_clear_error(base, ask, key, words):
    base.add_texts(["one"], ids=["1"])
    with pytest.raises(ConfigError) as caught:
        ask(base)
    assert caught.value.key == key
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert [document.id for document in base.similarity_search("one", k=9)] == ["1"]


async def test_a_vector_takes_the_filter_and_no_option_that_there_is_not(base):
    base.add_texts(["one", "two"], [{"n": 1}, {"n": 2}])
    vector = [1e300 * number for number in Bags().embed_query("one")]  # its length says nothing
    for find in (base.similarity_search_by_vector, base.max_marginal_relevance_search_by_vector):
        assert [each.page_content for each in find(vector, filter={"n": 2})] == ["two"]
        for wrong in ({"fliter": {"n": 2}}, {"mode": "keyword"}):
            with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(wrong))}'"):
                find(vector, **wrong)
    for afind in (base.asimilarity_search_by_vector, base.amax_marginal_relevance_search_by_vector):
        assert [each.page_content for each in await afind(vector, filter={"n": 2})] == ["two"]
        with pytest.raises(TypeError, match="unexpected keyword argument 'fliter'"):
            await afind(vector, fliter={"n": 2})


def test_a_vector_of_another_length_is_told_what_to_do(base):
    base.add_texts(["one"])
    with pytest.raises(
        RetrievalError, match=r"has 2 numbers.* have 16; make it with .*embeddings\.embed_query"
    ) as caught:
        base.similarity_search_by_vector([1.0, 2.0])
    assert "sync" not in str(caught.value)
    with KnowledgeBase.open(base.path, embedder=Bags(size=24)) as other:
        vector = other.embeddings.embed_query("one")
        with pytest.raises(RetrievalError, match=r"has 24 numbers.* have 16.*; run sync"):
            other.similarity_search_by_vector(vector)
        other.sync()
        assert [each.page_content for each in other.similarity_search_by_vector(vector)] == ["one"]


def test_counts_always_tell_the_documents_too(base, tmp_path):
    none = {"ready": 0, "skipped": 0, "chunks": 0}
    assert base.counts() == none
    (tmp_path / "a.txt").write_text("one")
    base.add(tmp_path / "a.txt")
    assert base.counts() == none | {"ready": 1, "chunks": 1}
    base.remove(tmp_path / "a.txt")
    assert base.counts() == none


# Texts


def test_texts_that_do_not_fit_together_change_nothing(base):
    base.add_texts(["one"], ids=["1"])
    for arguments in (
        {"texts": ["a", "b"], "metadatas": [{}]},
        {"texts": ["a"], "ids": ["x", "y"]},
        {"texts": ["a", "b"], "metadatas": [{}, {"when": object()}]},
        {"texts": ["a"], "metadatas": [{"score": float("nan")}]},
    ):
        with pytest.raises(RetrievalError):
            base.add_texts(**arguments)
    assert texts(base.search("one", k=9)) == ["one"]


def test_metadata_come_back_as_they_were(base):
    metadata = {"a": [1, {"b": None}], "c": True, "汉字": '"quoted"', "d": 1.5, "source": "somewhere", "page": 7}
    [key] = base.add_texts(["one"], [metadata])
    [found] = base.search("one")
    assert json.loads(json.dumps(dict(found.metadata))) == metadata
    assert (found.source, found.id) == ("somewhere", key)
    assert base.search("one", filter={"汉字": '"quoted"'}) == [found]


# Embedders


def test_words_alone_come_first_and_an_embedder_later(tmp_path):
    with KnowledgeBase.open(tmp_path / "kb.db", embedder="none") as words:
        words.add_texts(some_texts(20))
        assert words.search("castle")
    own = Bags()
    with KnowledgeBase.open(tmp_path / "kb.db", embedder=own) as base:
        base.add_texts(["a castle of stone"])
        assert base.search("castle") == base.search("castle", mode="keyword")
        base.sync()
        assert len(base.search("castle", k=99, mode="vector")) == 21
        asked = own.asked
        base.sync()
        assert own.asked == asked


@pytest.mark.parametrize("other", [DeterministicFakeEmbedding(size=8), Bags(salt="another")], ids=["size", "seed"])
def test_vectors_of_another_embedder_are_made_anew_and_never_mixed(tmp_path, other):
    stored = some_texts(20)
    with KnowledgeBase.open(tmp_path / "kb.db", embedder=Bags()) as first:
        first.add_texts(stored)
        with KnowledgeBase.open(tmp_path / "kb.db", embedder=other) as second:
            second.add_texts(["added by the other"])
            with pytest.raises(RetrievalError, match="run sync"):
                second.search("castle", mode="vector")
            with pytest.warns(UserWarning, match="only words are searched"):
                assert second.search("castle") == second.search("castle", mode="keyword")
            assert len(first.search("castle", k=99, mode="vector")) == 20
            second.sync()
            found = second.search("castle", k=99, mode="vector")
        with pytest.raises(RetrievalError, match="run sync"):
            first.search("castle", mode="vector")
    with KnowledgeBase.open(tmp_path / "fresh.db", embedder=other) as fresh:
        fresh.add_texts([*stored, "added by the other"])
        expected = fresh.search("castle", k=99, mode="vector")
    assert [(each.text, each.score) for each in found] == [(each.text, each.score) for each in expected]


def test_an_embedder_that_fails_leaves_the_base_as_it_was(base):
    class Failing(Bags):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if "poison" in texts:
                raise OSError("the network is down")
            return super().embed_documents(texts)

    base.add_texts(["one"])
    with KnowledgeBase.open(base.path, embedder=Failing()) as other:
        with pytest.raises(OSError, match="network"):
            other.add_texts(["two", "poison"])
        other.add_texts(["three"])
    assert sorted(texts(base.search("one", k=9, mode="vector"))) == ["one", "three"]


def test_a_vector_that_is_no_number_is_refused(base):
    class Broken(Bags):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[float("nan")] * self.size if "poison" in text else self.embed_query(text) for text in texts]

    base.add_texts(["one"])
    with KnowledgeBase.open(base.path, embedder=Broken()) as other, pytest.raises(RetrievalError, match="not finite"):
        other.add_texts(["poison"])
    assert texts(base.search("one", k=9)) == ["one"]


# Several at once


def test_threads_search_while_others_write_and_none_sees_half_a_change(base):
    base.add_texts(["steady castle"] * 3, ids=["a", "b", "c"])
    failed: list[BaseException] = []
    done = threading.Event()

    def search():
        try:
            while not done.is_set():
                for mode in MODES:
                    found = base.search("steady castle", k=3, mode=mode)
                    assert [passage.id for passage in found] == ["a", "b", "c"]
                pair = base.search("pair of texts", k=50, mode="keyword")
                assert len(pair) % 2 == 0
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(40):
        base.add_texts(["pair of texts", "pair of texts too"], ids=[f"{turn}x", f"{turn}y"])
        if turn % 2:
            base.delete([f"{turn}x", f"{turn}y"])
    done.set()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    assert len(base.search("pair of texts", k=99, mode="keyword")) == 40


def test_what_another_process_changes_is_found_by_the_next_search(base):
    base.add_texts(["one castle"])
    assert len(base.search("castle")) == 1
    with KnowledgeBase.open(base.path, embedder=Bags()) as other:  # its own connection, as another process has
        [key] = other.add_texts(["two castles"])
        for mode in MODES:
            assert len(base.search("castle", mode=mode)) == 2
        other.delete([key])
        for mode in MODES:
            assert len(base.search("castle", mode=mode)) == 1


@pytest.mark.long
def test_searches_during_a_change_of_embedder_find_by_words_or_by_their_own_vectors(tmp_path):
    """The searcher's question and the file's vectors may never be of two embedders, whatever the moment."""
    stored = some_texts(30)
    own, other = Bags(), Bags(size=24)
    failed: list[BaseException] = []
    done = threading.Event()
    with KnowledgeBase.open(tmp_path / "kb.db", embedder=own) as base:
        base.add_texts(stored)
        good = {mode: base.search("castle king", k=5, mode=mode) for mode in ("keyword", "hybrid")}

        def search():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    while not done.is_set():
                        found = base.search("castle king", k=5)
                        assert found in good.values()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=search)
        thread.start()
        for turn in range(30):
            with KnowledgeBase.open(tmp_path / "kb.db", embedder=own if turn % 2 else other) as changer:
                changer.sync()
        done.set()
        thread.join()
    if failed:
        raise failed[0]


def test_a_process_that_helps_to_make_vectors_runs_nothing_of_the_folder_it_is_started_in(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("open('was run', 'w')")
    monkeypatch.chdir(tmp_path)
    helper = _Helper("no such embedder")
    with pytest.raises(RetrievalError, match="has ended"):
        helper.passages(["a text"])
    helper.close()
    assert not (tmp_path / "was run").exists()


LETTERS = """
import os
import numpy as np

class Letters:
    name, keeps_one_core = "letters", True
    def queries(self, texts):
        return self.passages(texts)
    def passages(self, texts):
        if "die" in texts and "parent" not in globals():
            os._exit(3)
        rows = np.array([[ord(text[0]), len(text), 1] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

def make(argument):
    return Letters()
"""


@pytest.fixture
def letters(tmp_path, monkeypatch):
    """An installed embedder that is worth help from its first text on."""
    site = tmp_path / "site"
    install(
        site, "letters", "chatglm_slim.embedders", {"letters": "letters_embedder:make"}, "letters_embedder", LETTERS
    )
    monkeypatch.syspath_prepend(str(site))
    enable(monkeypatch, tmp_path / "plugins.toml", "embedders.letters")
    monkeypatch.setattr("chatglm_slim_llm.retrieval.parallel._WORTH_HELP", 0)
    monkeypatch.setattr("chatglm_slim_llm.retrieval.parallel._SLICE", 10)
    yield embedder("letters")
    sys.modules.pop("letters_embedder", None)


@pytest.mark.long
def test_vectors_of_several_processes_come_in_the_order_of_their_texts(letters):
    rng = np.random.default_rng(0)
    stored = ["".join(map(chr, rng.integers(97, 0x9FFF, int(rng.integers(1, 30))))) for _ in range(500)]
    with ParallelEmbedder(letters, processes=3) as together:
        for part in (stored, stored[:3], stored[:1]):
            assert np.array_equal(together.passages(part), letters.passages(part))
        helpers = [helper._process for helper in together._helpers]
        assert [helper.poll() for helper in helpers] == [None, None]
    assert [helper.returncode for helper in helpers] == [0, 0]


def test_a_process_that_dies_while_it_makes_vectors_is_a_clear_error(letters):
    sys.modules["letters_embedder"].parent = True  # only the others die
    with (
        pytest.raises(RetrievalError, match=r"has ended .*memory enough.*what was indexed so far is kept"),
        ParallelEmbedder(letters, processes=2) as together,
    ):
        together.passages(["die", "another text"] * 10_000)


CHILD = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_knowledge_base import Bags
from chatglm_slim_llm.retrieval import KnowledgeBase
name = sys.argv[2]
for path, size in zip(sys.argv[3::2], sys.argv[4::2]):
    base = KnowledgeBase.open(path, embedder=Bags(int(size)))
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(25):
        base.add_texts([f"text {name} {turn}", f"more {name} {turn}"])
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def at_once(tmp_path_factory):
    """Two bases that two processes added texts to at once: with one embedder, and with two."""
    folder = tmp_path_factory.mktemp("at once")
    bases = {(16, 16): folder / "one.db", (16, 24): folder / "two.db"}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), str(Path(__file__).parent), name]
            + [str(word) for sizes, path in bases.items() for word in (path, sizes[number])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for number, name in enumerate("ab")
    ]  # fmt: skip
    for _ in bases:
        for child in children:
            assert child.stdout.readline() == b"ready\n"
        for child in children:  # both begin with an empty file, at the same moment
            child.stdin.write(b"\n")
            child.stdin.flush()
        assert [child.stdout.readline() for child in children] == [b"done\n"] * 2
    assert [child.communicate(timeout=60)[0] for child in children] == [b""] * 2
    assert [child.returncode for child in children] == [0, 0]
    return bases


@pytest.mark.long
@pytest.mark.parametrize("sizes", [(16, 16), (16, 24)], ids=["one embedder", "two embedders"])
def test_processes_that_add_texts_at_once_lose_none(tmp_path, at_once, sizes):
    with KnowledgeBase.open(at_once[sizes], embedder=Bags()) as base:
        expected = {f"{word} {name} {turn}" for word in ("text", "more") for name in "ab" for turn in range(25)}
        assert sorted(texts(base.search("text more", k=999, mode="keyword"))) == sorted(expected)
        if sizes == (16, 16):
            assert len(base.search("text", k=999, mode="vector")) == 100
        base.sync()
        found = base.search("text a 7", k=999, mode="vector")
    with KnowledgeBase.open(tmp_path / "fresh.db", embedder=Bags()) as fresh:
        fresh.add_texts(texts(found))
        scores = {each.text: each.score for each in fresh.search("text a 7", k=999, mode="vector")}
    assert {each.text: each.score for each in found} == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize("text", ["猫喜欢晒太阳", "院子里有一只猫。", "邻居的猫很胖"])
def test_one_character_is_found_wherever_it_stands(tmp_path, text):
    with KnowledgeBase.open(tmp_path / "one.db", embedder="none") as base:
        base.add_texts([text, "狗在睡觉", "天气很好"])
        assert [passage.text for passage in base.search("猫")] == [text]


@pytest.mark.long
@pytest.mark.usefixtures("one_encoder")
@pytest.mark.parametrize("question", ["5432", "62781234", "PostgreSQL", "yen"])
def test_a_number_or_a_name_in_a_text_of_another_script_is_an_answer(tmp_path, question):
    with KnowledgeBase.open(tmp_path / "kb.db") as base:
        base.add_texts(
            [
                "数据库是PostgreSQL，端口5432，由李华负责。",
                "办公室电话62781234，早上九点以后有人。",
                "门票两千yen，学生半价。",
            ]
            + [f"第{number}个房间在三楼，钥匙在前台。" for number in range(40)]
            + [f"Room {number} is on the third floor, and its key hangs at the desk." for number in range(40)]
        )
        best = base.search(question)[0]
        assert question in best.text
        assert best.score >= base.least_score()


def test_the_place_of_an_added_text_is_what_its_metadata_say(tmp_path):
    with KnowledgeBase.open(tmp_path / "kb.db", embedder="none") as base:
        base.add_texts(["Turn the key twice."], [{"source": "manual.pptx", "page": 12, "heading": "Start"}])
        found = base.search("key")[0]
        assert (found.source, found.location, found.heading) == ("manual.pptx", "slide 12", "Start")
