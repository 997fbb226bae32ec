"""The figures of `benchmarks.retrieval`: what counts as found, and how it is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.retrieval import merge
from benchmarks.retrieval_baselines import full_text, overlapping, windows
from benchmarks.retrieval_data import fused, load, mean_reciprocal_rank, place_of, recall
from benchmarks.retrieval_report import tables
from benchmarks.retrieval_scale import Writer
from chatglm_slim_llm.retrieval.passages import Section
from chatglm_slim_llm.retrieval.splitting import estimate_tokens, split


def test_the_place_is_that_of_the_first_of_all_that_answer():
    assert place_of(["a", "b", "c"], {"c", "b"}) == 2
    assert place_of(["a"], {"b"}) is None


def test_recall_and_mean_reciprocal_rank_of_a_hand_made_case():
    places = [1, 2, 6, None]
    assert recall(places, 1) == 0.25
    assert recall(places, 5) == 0.5
    assert mean_reciprocal_rank(places) == pytest.approx((1 + 1 / 2 + 1 / 6) / 4)


def test_rankings_are_fused_by_the_sum_of_reciprocal_places():
    # a: 1/61 + 1/63, b: 1/62 + 1/61, c: 1/63 and d: 1/62 alone
    assert fused([["a", "b", "c"], ["b", "d", "a"]]) == ["b", "a", "d", "c"]


def test_windows_hold_the_whole_text_and_no_more_tokens_than_they_may():
    text = "The quick brown fox jumps over the lazy dog. 敏捷的棕色狐狸跳过了懒狗。" * 20
    cut = windows(text, 50)
    assert "".join(text[start:end] for start, end in cut) == text
    assert all(estimate_tokens(text[start:end]) <= 50 for start, end in cut)
    assert all(estimate_tokens(text[start : end + 8]) > 50 for start, end in cut[:-1])


def test_a_window_has_a_part_of_each_paragraph_that_it_touches():
    paragraphs = [(0, 10), (12, 20), (22, 30)]
    assert overlapping(5, 13, paragraphs) == [0, 1]
    assert overlapping(10, 12, paragraphs) == []
    assert overlapping(0, 30, paragraphs) == [0, 1, 2]


def test_the_default_tokenizer_of_fts5_misses_chinese_words_that_trigrams_find():
    texts = {"1": "黑豹队的防守只丢了308分，在联赛中排名第六。", "2": "维也纳位于多瑙河畔。"}
    assert full_text(texts, "unicode61")("防守只丢了多少分") == []
    assert full_text(texts, "trigram")("防守只丢了多少分") == ["1"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    paragraphs = {
        "en": ["The Danube flows through Vienna. It ends in the Black Sea.", "Bread rises because of yeast."],
        "zh": ["多瑙河流经维也纳。它流入黑海。", "面包因为酵母而发起来。"],
    }
    for lang, texts in paragraphs.items():
        questions = [[{"question": f"{text[:4]}?", "answers": [{"text": text[:3]}]}] for text in texts]
        articles = [
            {"title": text[:5], "paragraphs": [{"context": text, "qas": qas}]}
            for text, qas in zip(texts, questions, strict=True)
        ]
        (tmp_path / f"xquad.{lang}.json").write_text(json.dumps({"data": articles}), "utf-8")
    return tmp_path


def test_questions_know_the_place_of_their_paragraph_among_all_articles(data: Path):
    english = load(data, "en")
    assert [each.paragraph for each in english.questions] == [0, 1]
    assert english.paragraphs[1].startswith("Bread")
    assert english.questions[1].answers == ("Bre",)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(SystemExit, match=r"xquad\.en\.json is missing"):
        load(tmp_path, "en")


def test_each_generated_paragraph_makes_one_chunk(data: Path):
    writer = Writer({lang: load(data, lang) for lang in ("zh", "en")})
    assert len(list(split([Section(writer.file(7))]))) == 7


def test_new_figures_take_the_place_of_old_ones_of_the_same_name_alone():
    report = merge({"scale": {"10": {"figures": 1}, "20": {"figures": 2}}, "speed": {}}, "scale", {"20": {"x": 3}})
    assert report["scale"]["10"] == {"figures": 1}
    assert report["scale"]["20"]["figures"] == {"x": 3}
    assert report["scale"]["20"]["about"]["commit"]


def test_the_table_puts_chinese_beside_english():
    row = {"embedder": "use", "held": "zh", "asked": "zh", "as": "paragraphs", "way": "hybrid", "recall_at_1": 0.5}
    row |= {"recall_at_5": 0.75, "mrr_at_10": 0.625}
    english = row | {"held": "en", "asked": "en", "recall_at_1": 0.25}
    text = tables({"recall": {"use": {"figures": [row, english]}}})
    assert "| **ours**: hybrid | use | 0.500 | 0.750 | 0.625 | 0.250 | 0.750 | 0.625 |" in text
