"""The logs of ``llm``: rows of prompts and responses, and the newer tree; only the columns are its own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from exchange_samples import DATA, database

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import Attachment, ConversationStore, Figures
from chatglm_slim_llm.storage.exchange import import_file


@pytest.fixture
def store(tmp_path):
    with ConversationStore.at(tmp_path / "history.db") as store:
        yield store


def titles(store):
    return {chat.title: chat for chat in store.conversations()}


def test_rows_of_prompts_and_responses_are_conversations(store, tmp_path):
    path = database(tmp_path / "logs.db", "llm_old.sql")
    report = import_file(store, path)
    assert (report.conversations, report.messages, report.problems) == (2, 6, ())
    assert import_file(store, path).skipped == 2
    chats = titles(store)
    assert set(chats) == {"A talk about lamps", "alone"}
    talk = chats["A talk about lamps"]
    assert (talk.uid, talk.folder) == ("llm:01talk", "llm")
    assert talk.created_at == datetime(2024, 5, 1, 10, 0, tzinfo=UTC)
    path_shown = store.messages(talk.id)
    assert [message.content for message in path_shown] == ["灯亮着吗", "亮着", "and now?", "It is dark."]
    assert path_shown[3].figures == Figures(output_tokens=10, prompt_tokens=40, tokens_per_s=20.0)
    assert path_shown[1].figures is None
    assert store.chat_settings(talk.id).system == "Be kind.\n\nYou are a lamp."


def test_fragments_and_attachments_are_attachments(store, tmp_path):
    import_file(store, database(tmp_path / "logs.db", "llm_old.sql"))
    path = store.messages(titles(store)["A talk about lamps"].id)
    assert store.attachments(path[0].id) == [Attachment("long.md", "a long text")]
    assert store.attachments(path[2].id) == [
        Attachment("notes.txt", "注意", None, "text/plain"),
        Attachment("lamp.png", "", None, "image/png"),
    ]


def test_a_log_of_the_first_days_has_fewer_columns(store, tmp_path):
    report = import_file(store, database(tmp_path / "logs.db", "llm_oldest.sql"))
    assert (report.conversations, report.messages) == (1, 2)
    (chat,) = store.conversations()
    assert (chat.title, chat.created_at) == ("hello", datetime(2023, 8, 1, 10, 0, 0, 123456, UTC))


def test_a_tree_of_messages_keeps_its_branches(store, tmp_path):
    path = database(tmp_path / "logs.db", "llm_new.sql")
    report = import_file(store, path)
    assert (report.conversations, report.messages, report.problems) == (2, 9, ())
    assert import_file(store, path).skipped == 2
    lamps = titles(store)["lamps"]
    shown = store.messages(lamps.id)
    assert [message.content for message in shown] == ["read: 片段!", "second answer", "what time is it?", "noon"]
    assert [each.content for each in store.variants(shown[1].id)] == ["first answer", "second answer"]
    assert store.attachments(shown[0].id) == [Attachment("att", "# notes", None, "text/markdown")]
    assert shown[1].figures == Figures(output_tokens=20, prompt_tokens=5, tokens_per_s=20.0)
    assert store.chat_settings(lamps.id).system == "You are a lamp."
    assert [message.created_at.second for message in shown[:2]] == [1, 5]


def test_a_fork_is_a_conversation_with_what_came_before_it(store, tmp_path):
    import_file(store, database(tmp_path / "logs.db", "llm_new.sql"))
    shown = store.messages(titles(store)["forked"].id)
    assert [message.content for message in shown] == ["read: 片段!", "first answer", "another way", "yes"]


def test_a_file_with_both_holds_each_conversation_once(store, tmp_path):
    path = database(tmp_path / "logs.db", "llm_old.sql")
    script = (DATA / "llm_new.sql").read_text(encoding="utf-8")
    for shared in ("fragments", "attachments"):
        script = script.replace(f"create table {shared}", f"create table if not exists {shared}")
    database(path, script.replace("'t1'", "'01talk'"))
    report = import_file(store, path)
    assert (report.conversations, set(titles(store))) == (3, {"lamps", "forked", "alone"})


def test_the_log_is_not_written(store, tmp_path):
    path = database(tmp_path / "logs.db", "llm_old.sql")
    path.chmod(0o400)
    before = path.read_bytes()
    import_file(store, path)
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith("logs")) == ["logs.db"]


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("create table t (a)", "neither a log of llm nor a history file"),
        ("create table responses (id, prompt)", "neither a log of llm"),
        ("create view responses as select 1 as id, 2 as prompt, 3 as system, 4 as response, 5 as conversation_id,"
         " 6 as datetime_utc", "neither a log of llm"),
    ],
)  # fmt: skip
def test_another_programs_database_is_refused(store, tmp_path, sql, sentence):
    with pytest.raises(StorageError, match=sentence):
        import_file(store, database(tmp_path / "x.db", sql))


def test_values_of_any_type_and_circles_do_no_harm(store, tmp_path):
    path = database(tmp_path / "logs.db", "llm_new.sql")
    database(
        path,
        "update messages set parent_hash = 'a2' where hash = 'q2'; update turns set output_tokens = 'many';"
        "update parts set payload = '[1]' where type = 'attachment';"
        "update parts set text = x'ff00' where text = 'yes';"
        "update threads set name = x'00', datetime_utc = x'00' where id = 't2'",
    )
    report = import_file(store, path)
    assert report.problems == ("its messages form a circle",)
    (chat,) = store.conversations()
    assert (chat.title, len(store.messages(chat.id))) == ("read: 片段!", 3)


def test_a_damaged_file_is_one_clear_error(store, tmp_path):
    path = database(tmp_path / "logs.db", "llm_old.sql")
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * 3000 + whole[3100:])
    with pytest.raises(StorageError, match=r"logs\.db is damaged"):
        import_file(store, path)
    assert store.count() == 0
