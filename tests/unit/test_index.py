"""The knowledge base's file: what is found of what was put in, and nothing else."""

from __future__ import annotations

import os
import sqlite3
import threading

import numpy as np
import pytest

from chatglm_slim_llm.retrieval.embedders import Fingerprint
from chatglm_slim_llm.retrieval.index import Index
from chatglm_slim_llm.retrieval.passages import Chunk
from chatglm_slim_llm.retrieval.rows import FileState, IndexedChunk

TABLES = ("documents", "chunks", "chunk_terms", "vectors", "sentence_vectors", "roots")


@pytest.fixture
def index(tmp_path):
    index = Index(tmp_path / "kb.db")
    yield index
    index.close()


@pytest.fixture
def rows(index):
    """How many rows each table has, as another program sees it."""

    def count(*tables: str) -> list[int]:
        db = sqlite3.connect(index.path)
        found = [db.execute(f"select count(*) from {table}").fetchone()[0] for table in tables or TABLES]
        db.close()
        return found

    return count


def made(text: str, *, sentences: int = 2, key: str | None = None, **chunk) -> IndexedChunk:
    vectors = np.random.default_rng(len(text)).standard_normal((1 + sentences, 4)).astype(np.float32)
    return IndexedChunk(Chunk(text, **chunk), text.lower(), vectors, key)


def texts_of(index: Index) -> list[str]:
    """What can be found, by each of the ways there are."""
    ids = index.visible()[0].tolist()
    assert ids == sorted(ids)
    assert list(index.terms_of(ids)) == ids
    assert list(index.vectors_of(ids)) == ids
    passages = index.passages(ids)
    return [passages[id_].text for id_ in ids]


def file(tmp_path, name: str = "a.md") -> FileState:
    return FileState(tmp_path / name, "digest", 10, 20)


def test_a_document_of_one_block_is_there_with_all_that_it_is_found_by(index, tmp_path, rows):
    index.put_document(file(tmp_path), "a.md", [[made("one"), made("two three", sentences=0)]])
    assert texts_of(index) == ["one", "two three"]
    assert rows() == [1, 2, 2, 2, 2, 0]
    ids, mean = index.visible()
    assert mean == 1.5
    assert index.term_counts(["one", "two", "none"]) == {"one": 1, "two": 1}
    assert index.chunks_with("three").tolist() == [ids[1]]
    [document] = index.documents()
    assert (document.path, document.state, document.digest, document.size_bytes, document.mtime_ns) == (
        tmp_path / "a.md",
        "ready",
        "digest",
        10,
        20,
    )
    expected = made("one").vectors
    assert np.array_equal(index.vectors_of([int(ids[0])])[int(ids[0])], expected[0])
    sentences = index.sentence_vectors_of([int(id_) for id_ in ids], 4)
    assert np.allclose(sentences[int(ids[0])], expected[1:], atol=np.abs(expected).max() / 250)
    assert sentences[int(ids[1])].shape == (0, 4)


def test_a_document_of_many_blocks_is_found_when_the_last_is_there_and_its_old_self_till_then(index, tmp_path):
    index.put_document(file(tmp_path), "a.md", [[made("old")]])
    seen = []

    def blocks():
        for number in range(4):
            yield [made(f"new {number}"), made(f"more {number}")]
            other = Index(index.path)
            seen.append((texts_of(other), other.counts(), len(other.documents()), other.passages_by_key([key])))
            other.close()

    key = index.passages([int(index.visible()[0][0])])[1].id
    index.put_document(file(tmp_path), "a.md", blocks())
    assert seen
    assert {(tuple(texts), counts["ready"], counts["chunks"], documents) for texts, counts, documents, _ in seen} == {
        (("old",), 1, 1, 1)
    }
    assert all([passage.text for passage in found] == ["old"] for *_, found in seen)
    assert texts_of(index) == [f"{word} {number}" for number in range(4) for word in ("new", "more")]


def test_what_a_dead_process_left_half_written_is_seen_by_nobody_and_goes(index, tmp_path, rows):
    index.put_document(file(tmp_path), "a.md", [[made("old")]])

    def blocks():
        yield [made("first")]
        yield [made("second")]
        yield [made("third")]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.put_document(file(tmp_path), "a.md", blocks())
    assert rows("documents", "chunks") == [2, 3]
    assert texts_of(index) == ["old"]
    assert index.counts() == {"ready": 1, "skipped": 0, "incoming": 1, "chunks": 1}
    key = index.passages(index.visible()[0].tolist())[1].id
    assert [passage.text for passage in index.around(key, 5, 5)] == ["old"]
    assert len(index.matching({"source": "a.md"})) == 1
    index.remove_incoming()
    assert rows() == [1, 1, 1, 1, 1, 0]
    assert texts_of(index) == ["old"]


def test_a_document_that_takes_anothers_place_leaves_nothing_of_it(index, tmp_path, rows):
    for text in ("one two", "three"):
        index.put_document(file(tmp_path), "a.md", [[made(text)]])
        index.put_document(file(tmp_path, "b.md"), "b.md", [[made(text)], [made(text)]])
    assert rows() == [2, 3, 3, 3, 3, 0]
    assert index.term_counts(["one", "three"]) == {"three": 3}
    index.skip(file(tmp_path, "b.md"), "b.md", "broken")
    assert rows() == [2, 1, 1, 1, 1, 0]
    assert [(each.state, each.reason) for each in index.documents()] == [("ready", None), ("skipped", "broken")]
    index.put_document(file(tmp_path, "b.md"), "b.md", [[made("well again")]])
    assert [each.state for each in index.documents()] == ["ready", "ready"]
    index.remove_documents([each.id for each in index.documents()])
    assert rows() == [0, 0, 0, 0, 0, 0]


def test_ids_are_never_given_twice(index, tmp_path):
    given: set[int] = set()
    for turn in range(5):
        index.put_document(file(tmp_path), "a.md", [[made(f"{turn}"), made("b")]])
        index.put_texts([made("t", key="t")])
        ids = set(index.visible()[0].tolist())
        new = ids - given
        assert len(new) == 3
        assert min(new) > max(given, default=0)
        given |= ids
        if turn % 2:
            index.remove_documents([each.id for each in index.documents()])
            index.delete_texts(None)


def test_a_text_keeps_its_stable_id_while_it_is_in_its_file(index, tmp_path):
    def keys():
        found = index.passages(index.visible()[0].tolist())
        return {(passage.text, passage.source): passage.id for passage in found.values()}

    index.put_document(file(tmp_path), "a.md", [[made("stays"), made("goes"), made("stays too")]])
    index.put_document(file(tmp_path, "b.md"), "b.md", [[made("stays")]])
    before = keys()
    assert len(set(before.values())) == 4
    index.put_document(file(tmp_path), "a.md", [[made("new")], [made("stays too")], [made("stays")]])
    after = keys()
    assert all(after[where] == before[where] for where in set(before) & set(after))
    index.put_document(file(tmp_path), "a.md", [[made("same"), made("same")], [made("same")]])
    ids = [passage.id for passage in index.passages(index.visible()[0].tolist()).values()]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"source": "a.md"}, ["A1", "A2"]),
        ({"source": "b.md"}, ["B"]),
        ({"source": "given"}, ["T1"]),
        ({"page": 2}, ["A2", "T2"]),
        ({"page": "2"}, []),
        ({"heading": "Head"}, ["A1"]),
        ({"source": "a.md", "page": 2}, ["A2"]),
        ({"source": "a.md", "page": 3}, []),
        ({"year": 2023}, ["T1"]),
        ({"year": 2023.0}, ["T1"]),
        ({"year": None}, ["A1", "A2", "B", "T2", "T3"]),
        ({"is_new": True}, ["T1"]),
        ({"is_new": False}, ["T2"]),
        ({"name": '汉字 "quoted" \' % _'}, ["T2"]),
        ({"with.dot": 1}, ["T3"]),
        ({"with": None, "year": 2023}, ["T1"]),
        ({"标签": "数"}, ["T3"]),
        ({'quo"te': 1}, ["T3"]),
        ({"no such key": 1}, []),
        ({}, ["A1", "A2", "B", "T1", "T2", "T3"]),
        ({"first_line": 7}, ["A1"]),
        ({"tags": ["a", "b"]}, ["T1"]),
        ({"tags": ["b", "a"]}, []),
        ({"inner": {"x": 1, "y": None}}, ["T1"]),
    ],
)
def test_a_filter_finds_exactly_what_has_its_values(index, tmp_path, wanted, found):
    index.put_document(file(tmp_path), "a.md", [[made("A1", heading="Head", page=1, first_line=7), made("A2", page=2)]])
    index.put_document(file(tmp_path, "b.md"), "b.md", [[made("B")]])
    more = {"tags": ["a", "b"], "inner": {"y": None, "x": 1}}
    index.put_texts(
        [
            made("T1", metadata={"source": "given", "year": 2023, "is_new": True} | more, key="1"),
            made("T2", metadata={"page": 2, "is_new": False, "name": '汉字 "quoted" \' % _'}, key="2"),
            made("T3", metadata={"with.dot": 1, "标签": "数", 'quo"te': 1}, key="3"),
        ]
    )
    ids = index.matching(wanted).tolist()
    assert ids == sorted(ids)
    assert [passage.text for passage in index.passages(ids).values()] == found


def test_neighbours_come_in_the_order_of_the_text_and_from_no_other_document(index, tmp_path):
    index.put_document(file(tmp_path, "x.md"), "x.md", [[made("x1"), made("x2")]])
    index.put_document(file(tmp_path), "a.md", [[made(f"a{n}") for n in range(3)], [made(f"a{n}") for n in (3, 4)]])
    index.put_document(file(tmp_path, "y.md"), "y.md", [[made("y1")]])
    keys = {passage.text: passage.id for passage in index.passages(index.visible()[0].tolist()).values()}

    def around(text, before, after):
        return [passage.text for passage in index.around(keys[text], before, after)]

    assert around("a2", 1, 1) == ["a1", "a2", "a3"]
    assert around("a0", 2, 1) == ["a0", "a1"]
    assert around("a4", 1, 9) == ["a3", "a4"]
    assert around("a2", 0, 0) == ["a2"]
    assert around("a3", 99, 99) == ["a0", "a1", "a2", "a3", "a4"]
    assert index.around("no such key", 1, 1) == []


def test_texts_have_no_neighbours(index):
    index.put_texts([made("one", key="1"), made("two", key="2")])
    assert [passage.text for passage in index.around("1", 1, 1)] == ["one"]


def test_a_text_of_the_same_id_takes_the_others_place(index, rows):
    index.put_texts([made("one", key="1"), made("two", key="2")])
    index.put_texts([made("ONE", key="1"), made("three", key="3")])
    assert texts_of(index) == ["two", "ONE", "three"]
    assert [passage.text for passage in index.passages_by_key(["3", "none", "1", "3"])] == ["three", "ONE", "three"]
    index.delete_texts(["2", "none"])
    assert rows() == [1, 2, 2, 2, 2, 0]
    index.delete_texts([])
    assert rows() == [1, 2, 2, 2, 2, 0]
    index.delete_texts(None)
    assert rows() == [0, 0, 0, 0, 0, 0]


def test_any_text_can_be_kept(index, tmp_path):
    odd = "nul \0 half \ud800 newline \n quote \" ' 汉字 🎉"
    [key] = index.put_texts([IndexedChunk(Chunk(odd, odd, metadata={"k": odd}), "nul half", None, "k\ud800")])
    index.put_document(file(tmp_path), odd.replace("\ud800", "?"), [[IndexedChunk(Chunk(odd), "nul", None)]])
    found = list(index.passages(index.visible()[0].tolist()).values())
    assert [passage.text for passage in found] == [odd.replace("\ud800", "\ufffd")] * 2
    assert index.passages_by_key([key])
    index.delete_texts([key])
    assert len(index.visible()[0]) == 1


def test_every_change_of_what_is_found_is_seen_by_others(index, tmp_path):
    other = Index(index.path)
    fingerprint = Fingerprint("e", np.ones((12, 4), np.float32))
    steps = [
        lambda: index.put_document(file(tmp_path), "a.md", [[made("one")], [made("two")]]),
        lambda: index.put_texts([made("t", key="t")]),
        lambda: index.delete_texts(["t"]),
        lambda: index.begin_vectors(fingerprint),
        lambda: index.put_vectors({1: made("one").vectors}),
        lambda: index.skip(file(tmp_path), "a.md", "broken"),
        lambda: index.remove_documents([each.id for each in index.documents()]),
    ]
    for step in steps:
        before = other.generation
        step()
        assert other.generation > before
    assert other.fingerprint().is_same(fingerprint)
    assert other.vectors_epoch == 1
    other.close()


def test_new_vectors_come_for_all_chunks_and_for_none_that_has_gone(index, rows):
    index.put_texts([made(f"t{n}", key=str(n)) for n in range(5)])
    index.begin_vectors(Fingerprint("e", np.ones((12, 3), np.float32)))
    assert rows("vectors", "sentence_vectors") == [0, 0]
    waiting = index.without_vectors(100)
    assert [text for _, _, text in waiting] == [f"t{n}" for n in range(5)]
    index.delete_texts(["1"])  # by another process, while their vectors are being made
    index.put_vectors({id_: np.ones((3, 3), np.float32) for id_, _, _ in waiting})
    assert rows("chunks", "vectors", "sentence_vectors") == [4, 4, 4]
    assert index.without_vectors(100) == []
    assert index.count_without_vectors() == 0


def test_vectors_that_were_made_before_all_were_thrown_away_do_not_come_in(index, rows):
    epoch = index.vectors_epoch
    index.put_texts([made("one", key="1")], epoch)
    index.begin_vectors(Fingerprint("e", np.ones((12, 3), np.float32)))
    index.put_texts([made("two", key="2")], epoch)
    assert rows("chunks", "vectors") == [2, 0]
    index.put_texts([made("three", key="3")], index.vectors_epoch)
    assert rows("chunks", "vectors") == [3, 1]


def test_the_first_embedder_of_two_that_come_together_stays(index, rows):
    first, second = (Fingerprint(name, np.ones((12, 4), np.float32)) for name in "ab")
    index.begin_vectors(first, if_none=True)
    index.put_texts([made("one", key="1")], index.vectors_epoch)
    index.begin_vectors(second, if_none=True)
    assert index.fingerprint().name == "a"
    assert rows("vectors") == [1]


def test_vectors_are_given_in_blocks_that_leave_none_out(index, monkeypatch):
    monkeypatch.setattr("chatglm_slim_llm.retrieval.index._BLOCK", 3)
    index.put_texts([made(f"{n}", key=str(n)) for n in range(10)])
    index.delete_texts(["4"])
    ids = index.visible()[0].tolist()
    for after in (0, ids[3], ids[-1]):
        read = [int(id_) for block, _ in index.vectors_after(after) for id_ in block]
        assert read == [id_ for id_ in ids if id_ > after]


def test_threads_may_write_and_read_at_once(index, tmp_path):
    failed = []

    def work(number):
        try:
            for turn in range(10):
                index.put_document(file(tmp_path, f"{number}.md"), "s", [[made(f"{number} {turn}")], [made("b")]])
                index.passages(index.visible()[0].tolist())
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(texts_of(index)) == sorted([f"{number} 9" for number in range(4)] + ["b"] * 4)


def test_a_file_that_is_not_there_is_empty_and_stays_away(tmp_path):
    index = Index(tmp_path / "none.db")
    assert index.visible()[0].tolist() == []
    assert index.counts() == {"ready": 0, "skipped": 0, "chunks": 0}
    assert (index.roots(), index.documents(), index.fingerprint(), index.generation) == ([], [], None, 0)
    assert index.matching({"a": 1}).tolist() == []
    assert not (tmp_path / "none.db").exists()


def test_paths_of_any_bytes_are_kept(index, tmp_path):
    odd = tmp_path / os.fsdecode(b"bad \xff name\nof two lines")
    odd.mkdir()
    index.add_roots([odd, tmp_path, odd])
    assert index.roots() == sorted([odd, tmp_path])
    index.remove_roots([odd])
    assert index.roots() == [tmp_path]
