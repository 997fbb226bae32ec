"""ChatGPT's export: branches, hidden messages, parts of many kinds; the sample was written for these tests."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime

import pytest
from exchange_samples import DATA

from chatglm_slim_llm.storage import Attachment, ConversationStore
from chatglm_slim_llm.storage.exchange import import_file

SAMPLE = DATA / "chatgpt_conversations.json"


@pytest.fixture
def store(tmp_path):
    with ConversationStore.at(tmp_path / "history.db") as store:
        yield store


@pytest.fixture
def chat(store):
    import_file(store, SAMPLE)
    return next(chat for chat in store.conversations() if chat.title == "小灯怎么用")


def test_all_conversations_with_words_are_added_once(store):
    first, again = import_file(store, SAMPLE), import_file(store, SAMPLE)
    assert (first.conversations, first.messages, first.skipped, first.problems) == (2, 7, 0, ())
    assert (again.conversations, again.messages, again.skipped) == (0, 0, 2)
    assert (store.count(), store.count("archived")) == (1, 1)


def test_dates_pin_and_folder_come_along(chat):
    assert chat.created_at == datetime(2023, 11, 14, 22, 13, 20, 250000, UTC)
    assert chat.updated_at == datetime(2023, 11, 14, 22, 28, 20, 500000, UTC)
    assert (chat.folder, chat.is_pinned, chat.uid) == ("ChatGPT", True, "chatgpt:c0ffee00-0000-4000-8000-000000000001")


def test_the_branch_that_was_shown_is_shown_though_another_is_newer(store, chat):
    path = store.messages(chat.id)
    assert [(message.role, message.content.split("\n")[0]) for message in path] == [
        ("user", "这是什么灯？"),
        ("assistant", "我来算一下。"),
        ("user", "thanks"),
        ("assistant", "不客气"),
    ]
    assert path[-1].finish_reason == "interrupted"


def test_other_branches_are_variants(store, chat):
    path = store.messages(chat.id)
    assert store.variants(path[1].id)[0].content == "第一次回答"
    assert [each.finish_reason for each in store.variants(path[1].id)] == ["cancelled", "length"]
    assert [each.content for each in store.variants(path[3].id)] == ["newer, but not shown", "不客气"]


def test_an_answer_in_pieces_is_one_message_with_its_code_but_not_its_thoughts(store, chat):
    answer = store.messages(chat.id)[1]
    assert answer.content == "我来算一下。\n\n```python\nprint(6 * 7)\n```\n\n```\n42\n```\n\n答案是四十二。[1] "
    (source,) = store.sources(answer.id)
    assert (source.number, source.source, source.heading) == (1, "https://example.org/lamps", "Lamps")
    assert source.text == "A lamp gives light."


def test_parts_of_a_question_are_text_and_names_of_files(store, chat):
    question = store.messages(chat.id)[0]
    assert question.content == "这是什么灯？\n\n请看图。"
    assert store.attachments(question.id) == [
        Attachment("lamp.png", "", None, "image/png"),
        Attachment("file_other", "", None, "image/*"),
    ]


def test_what_nobody_saw_is_not_added(store, chat):
    everything = json.dumps([message.content for message in store.whole(chat.id).messages])
    assert "secret" not in everything
    assert "private" not in everything
    assert "raw results" not in everything
    assert store.chat_settings(chat.id).system == ""


def test_values_of_other_types_are_left_out(store):
    import_file(store, SAMPLE)
    (chat,) = store.conversations("archived")
    (message,) = store.messages(chat.id)
    assert (chat.title, message.content) == ("only this", "only this")
    assert chat.created_at == datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)


@pytest.mark.parametrize("names", [["conversations.json"], ["export/conversations-000.json"]])
def test_the_archive_is_read_as_it_came(store, tmp_path, names):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chat.html", "<html>")
        archive.writestr("shared_conversations.json", "[]")
        for name in names:
            archive.write(SAMPLE, name)
    assert import_file(store, path).conversations == 2


def test_an_archive_in_several_files_is_read_whole(store, tmp_path):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, chat in enumerate(json.loads(SAMPLE.read_text(encoding="utf-8"))):
            archive.writestr(f"conversations-{number:03}.json", json.dumps([chat]))
    assert import_file(store, path).conversations == 2


def test_one_conversation_saved_alone_is_read_too(store, tmp_path):
    path = tmp_path / "one.json"
    path.write_text(json.dumps(json.loads(SAMPLE.read_text(encoding="utf-8"))[0]))
    assert import_file(store, path).conversations == 1


def node(parent, text="x", role="user"):
    content = {"content_type": "text", "parts": [text]}
    return {"parent": parent, "message": {"author": {"role": role}, "content": content}}


def export(tmp_path, *mappings):
    path = tmp_path / "made.json"
    chats = [{"id": str(n), "title": f"t{n}", "mapping": mapping} for n, mapping in enumerate(mappings)]
    path.write_text(json.dumps(chats))
    return path


@pytest.mark.parametrize(
    "mapping", [{"a": node("a")}, {"r": node(None), "a": node("b"), "b": node("c"), "c": node("a")}]
)
def test_a_circle_of_messages_is_a_problem_and_the_next_conversation_is_added(store, tmp_path, mapping):
    report = import_file(store, export(tmp_path, mapping, {"a": node(None)}))
    assert report.problems == ("conversation 1 (t0): its messages form a circle",)
    assert [chat.title for chat in store.conversations()] == ["t1"]


@pytest.mark.parametrize("mapping", [None, [], "x", 3])
def test_a_mapping_that_is_none_is_a_problem(store, tmp_path, mapping):
    report = import_file(store, export(tmp_path, mapping, {"a": node(None)}))
    assert report.problems == ("conversation 1 (t0): conversations[0].mapping is no object",)


def test_a_conversation_of_thousands_of_messages_in_a_row_is_read(store, tmp_path):
    roles = ("user", "assistant")
    mapping = {str(n): node(str(n - 1) if n else None, str(n), roles[n % 2]) for n in range(5000)}
    report = import_file(store, export(tmp_path, dict(reversed(mapping.items()))))
    assert report.messages == 5000
    path = store.messages(store.conversations()[0].id)
    assert [path[0].content, path[-1].content, len(path)] == ["0", "4999", 5000]
