"""Words are found in titles and texts, Chinese ones of any length, and shown where they stand."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

import pytest

from chatglm_slim_llm.storage import ConversationStore, Draft, Hit
from chatglm_slim_llm.storage.words import composed, fold, terms


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


def said(store: ConversationStore, *texts: str, title: str = "-") -> int:
    return store.create(title, [Draft("user", text) for text in texts]).id


def marked(hit: Hit) -> list[str]:
    return [hit.excerpt[start:end] for start, end in hit.marks]


@pytest.mark.parametrize(
    ("text", "query", "words"),
    [
        ("北京今天天气很好", "天气", ["天气"]),
        ("北京今天天气很好", "好", ["好"]),
        ("北京今天天气很好", "今天天气", ["今天天气"]),
        ("北京今天天气很好", "天气 北京", ["北京", "天气"]),
        ("今天的天气", "天", ["天", "天"]),
        ("模型量化到 INT4 需要多少显存", "INT4", ["INT4"]),
        ("模型量化到 INT4 需要多少显存", "int", ["INT"]),
        ("模型量化到 INT4 需要多少显存", "到INT4需要", ["到 INT4 需要"]),
        ("用ChatGLM模型", "chatglm", ["ChatGLM"]),
        ("用ChatGLM模型", "glm", None),
        ("The weather is fine", "WEATH fin", ["weath", "fin"]),
        ("The weather is fine", "w", ["w"]),
        ("The weather is fine", "eather", None),
        ("The weather is fine", "weather rain", None),
        ("a Café in Zürich", "cafe zurich", ["Café", "Zürich"]),
        ("a cafe", "café", ["cafe"]),
        ("decomposed re\u0301sume\u0301", "résumé", ["résumé"]),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width", ["Ｆｕｌｌ", "ｗｉｄｔｈ"]),
        ("I write C++ and C#", "c++", ["C++"]),
        ("I write C", "c++", None),
        ("see foo.bar(baz)", "foo.bar", ["foo.bar"]),
        ("see foo bar", "foo.bar", None),
        ("see foo.bar", "foo bar", ["foo", "bar"]),
        ("my_variable = 3", "variable", ["variable"]),
        ("天气好，气温高", "天气温", None),
        ("天气，好", "天气好", None),
        ("👍🏽 great → done", "👍", ["👍"]),
        ("👍🏽 great → done", "→ great", ["great", "→"]),
        ("ひらがなとカタカナ", "カタ", ["カタ"]),
        ("한국어 검색", "국어", ["국어"]),
        ("ภาษาไทย", "ไทย", ["ไทย"]),
        ("по-русски ПРИВЕТ", "привет", ["ПРИВЕТ"]),
        ("שלום עולם", "עולם", ["עולם"]),
        ("𠮷野家", "𠮷野", ["𠮷野"]),
        ("x" * 100 + "y", "x" * 100 + "y", ["x" * 96]),
        ("a\0b hidden", "hidden", ["hidden"]),
        ("\"quoted\" 'or' NOT (this*)", '"quoted" NOT', ['"quoted"', "NOT"]),
        ("search_terms : * ^ AND", "AND", ["AND"]),
        ("anything", "   ", None),
        ("anything", '"', None),
        ("lone", "lo\ud800", None),
    ],
)
def test_a_text_is_found_by(store, text, query, words):
    message_id = store.messages(said(store, text))[0].id
    hits = store.search(query)
    if words is None:
        assert hits == []
        return
    [hit] = hits
    assert hit.message_id == message_id
    if len(text) < 100:
        assert sorted(marked(hit)) == sorted(words)


def test_every_piece_of_a_chinese_text_is_found(store):
    text = "清华大学成立于1911年，位于北京市海淀区。"
    chat = said(store, text)
    for start in range(len(text)):
        for end in range(start + 1, min(start + 6, len(text)) + 1):
            piece = text[start:end]
            if piece[0].isascii():  # found by how a word begins: 911 is no beginning of 1911
                continue
            assert [hit.conversation.id for hit in store.search(piece)] == [chat], piece


def test_what_is_found_is_what_a_look_at_every_text_finds(store):
    source = random.Random(5)
    letters = "天气很好我们去"
    texts = ["".join(source.choices(letters, k=12)) for _ in range(60)]
    ids = {said(store, text): text for text in texts}
    for length in (1, 2, 3, 4):
        for _ in range(30):
            query = "".join(source.choices(letters, k=length))
            found = {hit.conversation.id for hit in store.search(query)}
            assert found == {each for each, text in ids.items() if query in text}


def test_there_is_one_hit_a_conversation_with_its_newest_message(store):
    chat = said(store, "first word", "no", "second word", "no")
    [hit] = store.search("word")
    assert (hit.conversation.id, hit.excerpt) == (chat, "second word")
    assert hit.conversation == store.conversation(chat)


def test_a_title_is_found_and_counts_more_than_a_text(store):
    title = said(store, "nothing", title="Tea and 咖啡")
    said(store, "tea in the text, written later")
    both = said(store, "tea in the text as well", title="On tea")
    assert [(hit.conversation.id, hit.excerpt) for hit in store.search("tea")] == [
        (both, "tea in the text as well"),
        (title, "Tea and 咖啡"),
        (title + 1, "tea in the text, written later"),
    ]
    assert [hit.message_id is None for hit in store.search("tea")] == [False, True, False]
    assert marked(store.search("咖啡")[0]) == ["咖啡"]


def test_whole_words_come_before_beginnings_and_newer_before_older(store):
    whole, newer, beginning = said(store, "I can"), said(store, "you can"), said(store, "we cancel")
    assert [hit.conversation.id for hit in store.search("can")] == [newer, whole, beginning]


def test_a_renamed_conversation_is_found_by_its_new_title_only(store):
    chat = said(store, "x", title="before")
    store.rename(chat, "afterwards")
    assert store.search("before") == []
    assert [hit.conversation.id for hit in store.search("afterw")] == [chat]


def test_trash_and_archive_are_searched_only_when_asked(store):
    shown, archived, trashed = (said(store, "word") for _ in range(3))
    store.archive(archived, True)
    store.trash(trashed)
    ids = {
        shelf: {hit.conversation.id for hit in store.search("word", shelf=shelf)}
        for shelf in ("shown", "archived", "trash", None)
    }
    assert ids == {"shown": {shown}, "archived": {archived}, "trash": {trashed}, None: {shown, archived, trashed}}


def test_words_of_two_messages_are_not_found_together(store):
    said(store, "one", "two")
    assert store.search("one two") == []


def test_hidden_branches_are_searched_too(store):
    question, first = store.begin(None, None, "q")
    store.update(first.id, "mammoth", finish_reason="stop")
    store.begin_answer(question.id)
    assert [hit.message_id for hit in store.search("mammoth")] == [first.id]


def test_no_more_than_the_limit_comes(store):
    for _ in range(60):
        said(store, "word")
    assert len(store.search("word", limit=55)) == 55
    assert len(store.search("word")) == 60
    assert [hit.conversation.id for hit in store.search("word", limit=2)] == [60, 59]


def test_an_excerpt_is_one_line_around_the_place(store):
    said(store, "x" * 50 + " one\ttwo\r\n\n  three\x07 needle and " + "the rest of it " * 20)
    [hit] = store.search("needle")
    assert hit.excerpt.startswith("…one two three needle and the rest of it")
    assert hit.excerpt.endswith("…")
    assert len(hit.excerpt) <= 122
    assert marked(hit) == ["needle"]


def test_an_excerpt_of_a_long_chinese_text_shows_the_place(store):
    said(store, "春" * 5000 + "针" + "秋" * 5000)
    [hit] = store.search("针")
    assert marked(hit) == ["针"]
    assert hit.excerpt.startswith("…春")
    assert hit.excerpt.endswith("秋…")


def test_a_search_of_very_many_words_is_answered(store):
    words = [f"word{number}" for number in range(500)]
    chat = said(store, " ".join(words))
    assert [hit.conversation.id for hit in store.search(" ".join(words))] == [chat]
    assert store.search(" ".join([*words, "missing"])) == []
    assert [hit.conversation.id for hit in store.search("天" * 400 + " " + "word1")] == []


def test_a_search_for_a_whole_book_is_answered(store):
    said(store, "a book")
    assert store.search("天书 a book " * 100_000) == []


def test_a_message_of_a_megabyte_is_found_by_its_last_word(store):
    said(store, "灌水 and filler " * 60_000 + "needle")
    assert marked(store.search("needle")[0]) == ["needle"]


def test_what_another_program_changed_behind_the_index_is_no_false_hit(store):
    chat = said(store, "elephant")
    with closing(sqlite3.connect(store.path)) as db, db:
        db.execute("update messages set content = 'mammoth' where conversation_id = ?", (chat,))
    assert store.search("elephant") == []


def test_a_deleted_message_is_no_hit(store):
    chat = said(store, "elephant")
    store.clear(chat)
    assert store.search("elephant") == []


@pytest.mark.parametrize("text", ["ABC Äöü ﬁ ß", "İstanbul ǅ", "한국 が ﾊﾟ", "\U0001f468\u200d\U0001f469 á", "Ω Å"])
def test_folding_keeps_every_character_at_its_place(text):
    assert len(fold(text)) == len(composed(text))


def test_the_terms_of_a_text_are_its_words_characters_and_pairs():
    assert terms("Tea, tea! 喝茶了").split() == sorted(["tea", "t…", "te…", "喝", "茶", "了", "喝茶", "茶了"])
    assert terms("!?") == ""
