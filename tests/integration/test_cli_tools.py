"""``chatglm-slim chat`` with a model and tools of plugins: what a person is asked, and what a script gets."""

from __future__ import annotations

import json
import os
import sys

import pexpect
import pytest

from chatglm_slim_llm.cli import main
from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import PluginNotFoundError
from chatglm_slim_llm.hosting.assistant import Request
from chatglm_slim_llm.hosting.local import LocalAssistant
from chatglm_slim_llm.plugins import Turn
from chatglm_slim_llm.storage import ConversationStore, history_path
from tests.plugin_folder import SCRIPTED, PluginFolder

NOTES = """
    from pathlib import Path
    from langchain_core.tools import tool

    def make(file: str):
        @tool
        def take_note(text: str) -> str:
            "Write a note down."
            print("printed by the tool")
            Path(file).write_text(text)
            return "written"

        @tool
        def look() -> str:
            "Look around."
            return "a lamp"

        look.metadata = {"readOnlyHint": True}
        return [take_note, look]
"""
TOWNS = """
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever

    class make(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            return [Document("Graz lies on the Mur.", metadata={"source": "wiki/graz.md", "score": 0.9})]
"""
TAKES_A_NOTE = json.dumps([[["take_note", {"text": "买茶"}]]], ensure_ascii=False)


@pytest.fixture
def note(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("CHATGLM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    plugins = PluginFolder(tmp_path / "plugins", monkeypatch)
    plugins.add("models", "scripted", SCRIPTED)
    plugins.add("tools", "notes", NOTES, f"file = '{tmp_path / 'note.txt'}'")
    monkeypatch.setattr("sys.stdin", None)
    return tmp_path / "note.txt"


def chat(*words: str) -> int:
    return main(["chat", "--model", "plugin:scripted", *words])


def test_a_tool_that_only_reads_is_used_unasked_and_kept_with_the_answer(note, capsys):
    assert chat("--tool", "notes", '[[["look", {}]]]', "--json") == 0
    out, err = capsys.readouterr()
    reply = json.loads(out)
    assert reply["text"] == "<success: a lamp>"
    assert [(use["name"], use["state"], use["result"]) for use in reply["tools"]] == [("look", "done", "a lamp")]
    assert "(look(): a lamp)" in err
    with ConversationStore.at(history_path()) as store:
        [uses] = store.tool_uses_of_path(reply["conversation_id"]).values()
    assert [use.name for use in uses] == ["look"]


def test_a_tool_that_writes_is_refused_where_nobody_can_be_asked(note, capsys):
    assert chat("--tool", "notes", TAKES_A_NOTE) == 0
    out, err = capsys.readouterr()
    assert not note.exists()
    assert 'take_note(text="买茶") was refused: nobody is there to allow it; add --allow-tools' in err
    assert out.strip()


def test_a_script_may_allow_all_and_what_tools_print_is_not_in_its_answer(note, capsys):
    assert chat("--tool", "notes", "--allow-tools", TAKES_A_NOTE) == 0
    out, err = capsys.readouterr()
    assert (note.read_text(), out) == ("买茶", "<success: written>\n")
    assert "printed by the tool" in err


@pytest.mark.long
@pytest.mark.parametrize(("answer", "is_written"), [("y", True), ("n", False)])
def test_a_person_is_asked_with_all_that_the_tool_would_get(note, answer, is_written):
    words = ["-m", "chatglm_slim_llm", "chat", "--model", "plugin:scripted", "--tool", "notes", TAKES_A_NOTE]
    terminal = pexpect.spawn(sys.executable, words, encoding="utf-8", timeout=60, dimensions=(24, 120))
    terminal.expect_exact('The model wants to use take_note(text="买茶"). Allow it? [y/N] ')
    terminal.sendline(answer)
    terminal.expect(pexpect.EOF)
    assert note.exists() == is_written


def test_a_tool_that_is_not_on_is_said_before_the_model_is_loaded(note, capsys):
    assert chat("--tool", "nots", "hello") == 1
    assert capsys.readouterr() == ("", "error: no plugin 'nots' in tools; did you mean 'notes'?\n")


def test_a_model_of_a_plugin_that_is_not_on_is_one_sentence(note, capsys):
    assert main(["chat", "--model", "plugin:scriptet", "hello"]) == 1
    assert "no plugin 'scriptet' in models; did you mean 'scripted'?" in capsys.readouterr()[1]


def test_a_question_is_answered_by_a_model_from_a_retriever_of_plugins(note, capsys, tmp_path, monkeypatch):
    plugins = PluginFolder(tmp_path / "more", monkeypatch)
    plugins.add("models", "scripted", SCRIPTED)
    plugins.add("retrievers", "towns", TOWNS)
    assert main(["ask", "--retriever", "towns", "--model", "plugin:scripted", "--json", "Where is Graz?"]) == 0
    answer = json.loads(capsys.readouterr()[0])
    assert answer["answer"].startswith("<1 messages")
    assert [passage["text"] for passage in answer["passages"]] == ["Graz lies on the Mur."]


def test_a_conversation_answers_from_a_retriever_of_a_plugin(note, tmp_path, monkeypatch):
    plugins = PluginFolder(tmp_path / "more", monkeypatch)
    plugins.add("models", "scripted", SCRIPTED)
    plugins.add("retrievers", "towns", TOWNS)
    assistant = LocalAssistant(LoadOptions(model="plugin:scripted"))
    assistant.load(lambda *_: None)
    pieces = list(assistant.stream(Request([Turn("human", "Where is Graz?")], knowledge_base="plugin:towns")))
    assert pieces[-1].finish_reason == "stop"
    assert "".join(piece.text for piece in pieces)
    with pytest.raises(PluginNotFoundError, match="no plugin 'gone' in retrievers"):
        list(assistant.stream(Request([Turn("human", "x")], knowledge_base="plugin:gone")))
