"""Files that are made to do harm: one clear error, bounded memory, nothing half-imported."""

from __future__ import annotations

import io
import json
import sqlite3
import tracemalloc
import zipfile
from contextlib import closing

import pytest

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ConversationStore
from chatglm_slim_llm.storage.exchange import import_file
from chatglm_slim_llm.storage.exchange.json_stream import JsonStream, MalformedError

MB = 1 << 20


@pytest.fixture
def store(tmp_path):
    with ConversationStore.at(tmp_path / "history.db") as store:
        yield store


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "none of the kinds"),
        (b"hello", "none of the kinds"),
        (b"\xff\xfe\xfd", "not JSON|not text|none of the kinds"),
        (b'{"a": "\xff"}', "not text"),
        (b"[1, 2]", "nothing in .* can be read; the first problem: conversation 1: .* is no object"),
        (b"[{]", "not JSON, or was cut off"),
        (b'[{"mapping": {}', "not JSON, or was cut off"),
        (b'{"conversations": [', "not JSON, or was cut off"),
        (b'{"conversations": [],', "not JSON, or was cut off"),
        (b'{"conversations": []} x', "something after the end"),
        (b'{"conversations": 5}', "holds no conversations"),
        (b'{"hello": "world"}', "holds no conversations"),
        (b'{"format": "other", "conversations": []}', "a format that is unknown here: 'other'"),
        (b'{"format": "chatglm-slim-conversations", "version": "1", "conversations": []}', "the version of its format"),
        (b'[{"mapping": {"a": NaN}}]', "NaN is no number"),
        (b'[{"mapping": ' + b"9" * 5000 + b"}]", "not JSON"),
        (b"[" * 200_000, "nested too deeply|is no object"),
        (b'[{"mapping": ' + b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b"PK\x03\x04 and then nothing of a zip archive", "cannot be unpacked"),
        (b"SQLite format 3\0 and then nothing of a database", "is damaged"),
    ],
)
def test_a_file_that_is_none_is_one_clear_error(store, tmp_path, content, sentence):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=sentence) as caught:
        import_file(store, path)
    assert str(caught.value).startswith(("x.json ", "nothing in x.json "))
    assert "\n" not in str(caught.value)
    assert store.count() == 0


def test_what_is_no_file_is_said(store, tmp_path):
    with pytest.raises(StorageError, match=f"^{tmp_path / 'gone.json'} is not there; name the file to import$"):
        import_file(store, tmp_path / "gone.json")
    with pytest.raises(StorageError, match="is no file"):
        import_file(store, tmp_path)


def bomb(path, pieces):
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("conversations.json", "w", force_zip64=True) as member,
    ):
        for piece in pieces:
            member.write(piece)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("filling", [b"a" * MB, b" " * MB, b"[" * MB])
def test_a_gigabyte_in_an_archive_of_a_megabyte_fills_no_memory(store, tmp_path, filling):
    path = bomb(tmp_path / "bomb.zip", [b'[{"mapping": "', *[filling] * 1024])
    assert path.stat().st_size < 3 * MB
    tracemalloc.start()
    try:
        with pytest.raises(StorageError, match=r"bomb\.zip is not JSON, or holds one entry of more than 64 million"):
            import_file(store, path)
        assert tracemalloc.get_traced_memory()[1] < 500 * MB
    finally:
        tracemalloc.stop()


def test_one_value_may_be_so_long_and_the_whole_text_too():
    with pytest.raises(MalformedError, match="one entry of more than"):
        list(JsonStream(io.BytesIO(b'["' + b"a" * 500_000), max_value_chars=100_000).items())
    with pytest.raises(MalformedError, match="longer than any history"):
        list(JsonStream(io.BytesIO(b"[" + b"1," * 500_000), max_bytes=100_000).items())


def test_an_archive_without_conversations_or_with_a_lock_is_refused(store, tmp_path):
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(StorageError, match=r"without a conversations\.json"):
        import_file(store, empty)
    whole = bomb(tmp_path / "cut.zip", [json.dumps([{"title": "x" * 1000}]).encode()]).read_bytes()
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        (tmp_path / "broken.zip").write_bytes(broken)
        with pytest.raises(StorageError):
            import_file(store, tmp_path / "broken.zip")


def test_a_history_file_with_views_or_triggers_is_refused(store, tmp_path):
    path = tmp_path / "other.db"
    with ConversationStore.open(path) as other:
        other.create("one")
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "alter table conversations rename to kept;"
            "create view conversations as"
            " with recursive forever (id) as (select 1 union all select id + 1 from forever)"
            " select * from forever;"
        )
    with pytest.raises(StorageError, match=r"other\.db holds views or triggers"):
        import_file(store, path)


def test_a_file_that_ends_too_early_leaves_whole_conversations_only(store, tmp_path):
    def chat(number):
        return {"id": number, "title": number, "mapping": {"a": {"message": {
            "author": {"role": "user"}, "content": {"parts": ["hi"]}}}}}  # fmt: skip

    text = json.dumps([chat("one"), chat("two"), chat("three")])
    path = tmp_path / "cut.json"
    path.write_text(text[: text.index("three")])
    report = import_file(store, path)
    assert report.conversations == 2
    assert len(report.problems) == 1
    assert "the rest of cut.json could not be read" in report.problems[0]
    assert {chat.title for chat in store.conversations()} == {"one", "two"}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_every_way_of_cutting_a_text_gives_the_same_values(size):
    values = [{"键": '值\U0001f600\\"', "n": [1, -2.5e3, True, None]}, 12, "x", [], {}, 3.5]
    text = json.dumps(values, ensure_ascii=False).encode()

    class Slow(io.BytesIO):
        def read(self, count=-1):
            return super().read(min(size, count) if count > 0 else size)

    assert list(JsonStream(Slow(text)).items()) == values
