"""The plugin through the door that the program uses."""

import pytest

from chatglm_slim_llm.plugins import CommandCall, plugin


@pytest.fixture(autouse=True)
def enabled(tmp_path, monkeypatch):
    file = tmp_path / "plugins.toml"
    notes_file = tmp_path / "notes.txt"
    file.write_text(
        "[models.parrot]\n[models.parrot.options]\ntimes = 2\n[commands.count]\n"
        f"[tools.notes]\n[tools.notes.options]\nfile = '{notes_file}'\n"
    )
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(file))


def test_the_command_counts():
    count = plugin("commands", "count").function()
    assert count(CommandCall("你好")) == "2 characters"


def test_the_model_says_what_it_hears():
    assert plugin("models", "parrot").make().invoke("polly").content == "polly polly"


def test_notes_that_are_taken_can_be_read():
    take_note, read_notes = plugin("tools", "notes").make()
    take_note.invoke({"text": "buy tea"})
    assert read_notes.invoke({}) == "buy tea\n"
