"""Numbers in an answer point at passages that were in the prompt, and at nothing else."""

from __future__ import annotations

import random
from functools import reduce
from operator import add

import pytest

from chatglm_slim_llm.retrieval.citations import Answer, CitationReader, read_citations
from chatglm_slim_llm.retrieval.context import NOT_FOUND, Numbered
from chatglm_slim_llm.retrieval.passages import Passage


def numbered(count: int) -> list[Numbered]:
    return [Numbered(i, Passage(f"id{i}", f"text {i}", 1.0, "/x"), f"text {i}") for i in range(1, count + 1)]


def cited(text: str, count: int = 9) -> list[int]:
    return [citation.number for citation in read_citations(text, numbered(count)).citations]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tom Reed [1]", [1]),
        ("Tom [1][2] and Ann [1]", [1, 2, 1]),
        ("Tom [1, 2；3]", [1, 2, 3]),
        ("Tom [2-4, 6]", [2, 3, 4, 6]),
        ("1911年【1】、［2］、[３]", [1, 2, 3]),
        ("a footnote [^4]", [4]),
        ("[1] Tom", [1]),
        ("[1]", [1]),
        ("none [ 1], (2), {3}, [x], [], [1, [], [-1], 1]", []),
    ],
)
def test_every_usual_way_to_cite_is_read(text, expected):
    assert cited(text) == expected


def test_a_citation_knows_its_passage_and_its_place():
    text = "1911年【2】，在北京 [1]"
    first, second = read_citations(text, numbered(2)).citations
    assert (first.passage.text, text[first.start : first.end]) == ("text 2", "【2】")
    assert (second.passage.text, text[second.start : second.end]) == ("text 1", "[1]")


def test_numbers_that_were_not_in_the_prompt_are_reported_and_not_cited():
    answer = read_citations("a [3] b [1, 0] c [3] d [2023] e [1-999]", numbered(2))
    assert [citation.number for citation in answer.citations] == [1, 1]
    assert answer.unknown == (3, 0, 999)
    assert [each.number for each in answer.cited] == [1]


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_cut_anywhere_gives_the_same_as_the_whole_text(seed):
    text = "清华大学 [1]建于1911年【2, 3】，[x] [12 and [4-5] ［1］[[2]] 完[7]。"
    rng = random.Random(seed)
    reader, pieces, at = CitationReader(numbered(6)), [Answer(passages_in_prompt=tuple(numbered(6)))], 0
    while at < len(text):
        size = rng.randint(1, 6)
        pieces.append(reader.push(text[at : at + size]))
        at += size
    pieces.append(reader.end())
    assert reduce(add, pieces) == read_citations(text, numbered(6))
    assert reduce(add, pieces).text == text


def test_a_citation_comes_with_the_piece_that_completes_it():
    reader = CitationReader(numbered(2))
    assert [len(reader.push(delta).citations) for delta in ("Tom ", "[", "1", "]", " Ann")] == [0, 0, 0, 1, 0]


@pytest.mark.parametrize("refusal", [*NOT_FOUND.values(), "not found in the passages", " 资料中没有提到 ", "", "  "])
def test_a_refusal_finds_nothing(refusal):
    answer = read_citations(refusal, numbered(2))
    assert not answer.is_found
    assert answer.citations == ()


def test_a_refusal_that_cites_all_the_same_cites_nothing():
    answer = read_citations("Not found in the passages. [1]", numbered(2))
    assert (answer.is_found, answer.citations) == (False, ())


def test_a_refusal_that_goes_on_without_evidence_is_one():
    assert not read_citations("Not found in the passages. I think it is Tom.", numbered(2)).is_found


def test_an_answer_after_a_refusal_that_cites_is_an_answer():
    answer = read_citations("资料中没有提到。不过 [2] 说是1911年。", numbered(2))
    assert answer.is_found
    assert [citation.number for citation in answer.citations] == [2]


def test_an_answer_that_cites_nothing_is_still_an_answer():
    assert read_citations("1911", numbered(2)).is_found


def test_an_empty_piece_changes_nothing():
    answer = read_citations("Tom [1] [5]", numbered(2))
    assert Answer() + answer == answer == answer + Answer()
