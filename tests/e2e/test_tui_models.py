"""The model picker by its keys, with checkpoints in real folders."""

from __future__ import annotations

import pytest
from dialogs import VIEWS, showing, write_checkpoint

from chatglm_slim_llm.config import DEFAULT_HUB_ID, LoadOptions
from chatglm_slim_llm.errors import CheckpointFormatError, CheckpointNotFoundError
from chatglm_slim_llm.hosting.amounts import memory_needs
from chatglm_slim_llm.hosting.assistant import ModelFacts
from chatglm_slim_llm.hosting.memory import Memory
from tui.language import use
from tui.local_models import best_level, find_models, look_at
from tui.screens.models import ModelPicker
from tui.screens.open_path import OpenPath
from tui.widgets.choice import Choice
from tui.widgets.path_input import PathInput, completions


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def picker(options: LoadOptions | None = None, facts: ModelFacts | None = None) -> ModelPicker:
    return ModelPicker(options or LoadOptions(), facts)


async def test_the_checkpoints_of_the_models_folder_are_listed_and_the_current_one_is_marked(home):
    write_checkpoint(home / "home/data/models/six-b")
    write_checkpoint(home / "home/data/models/another", model_type="llama")
    async with showing(picker()) as shown:
        assert "● demo" in shown.text
        assert "six-b" in shown.text
        assert "13.4 GB" in shown.text
        assert "another" not in shown.text


async def test_enter_on_a_checkpoint_loads_it_at_the_level_and_on_the_device_shown(home):
    folder = write_checkpoint(home / "home/data/models/six-b")
    async with showing(picker(LoadOptions(quantization="int8", device="cpu"))) as shown:
        await shown.press("down", "enter")
        assert shown.results == [LoadOptions(model=str(folder), quantization="int8", device="cpu")]


async def test_arrows_choose_a_level_and_its_memory_is_told(home):
    write_checkpoint(home / "home/data/models/six-b")
    async with showing(picker(facts=ModelFacts("demo", "fp16", "cpu", 2048, 0, 412_000_000))) as shown:
        await shown.press("down", "tab", "right", "right")
        assert "about 4.4 GB needed · 412 MB held now" in shown.text
        await shown.press("tab", "right", "tab", "tab", "enter")
        assert (shown.results[0].quantization, shown.results[0].device) == ("int4", "cpu")


async def test_a_quantised_checkpoint_keeps_its_own_level(home):
    write_checkpoint(home / "home/data/models/small", quantization_bit=4)
    async with showing(picker()) as shown:
        await shown.press("down")
        assert "int4" in shown.text
        assert "int8" not in shown.text
        await shown.press("enter")
        assert shown.results[0].quantization == "int4"


async def test_a_level_that_needs_more_than_is_free_is_warned_of(home, monkeypatch):
    write_checkpoint(home / "home/data/models/six-b")
    monkeypatch.setattr("tui.screens.models.find_memory", lambda: Memory(None, 8_000_000_000))
    async with showing(picker()) as shown:
        await shown.press("down")
        assert "More than is free" in shown.text
        await shown.press("tab", "right")
        assert "More than is free" not in shown.text


async def test_a_folder_that_is_typed_joins_the_list_and_can_be_loaded(home):
    folder = write_checkpoint(home / "elsewhere", quantization_bit=8)
    async with showing(picker()) as shown:
        await shown.press("down", "enter")
        await shown.paste(str(folder)[:-4])
        await shown.press("tab", "enter")
        await shown.until(lambda: "int8" in shown.text and "elsewhere" in shown.text)
        await shown.press("tab", "tab", "tab", "enter")
        assert shown.results == [LoadOptions(model=str(folder), quantization="int8")]


async def test_a_folder_without_a_checkpoint_is_refused_with_what_was_wanted(home):
    (home / "empty").mkdir()
    async with showing(picker(), size=(120, 40)) as shown:
        await shown.press("down", "enter", "enter")
        assert "Type the path of a folder" in shown.words
        await shown.paste(str(home / "empty"))
        await shown.press("enter")
        await shown.until(lambda: "has no config.json" in shown.words)
        assert not shown.results


async def test_a_hub_id_is_returned_and_what_is_none_is_refused(home):
    async with showing(picker()) as shown:
        await shown.press("end", "enter", "!", "enter")
        assert "is no hub id" in shown.words
        await shown.press("ctrl+u")
        await shown.paste("someone/six-b")
        assert "is no hub id" not in shown.words
        await shown.press("enter")
        assert shown.results == [LoadOptions(model="someone/six-b")]


async def test_the_6b_model_of_the_hub_is_offered_at_once(home):
    async with showing(picker()) as shown:
        await shown.press("end")
        assert DEFAULT_HUB_ID in shown.text
        assert "about 13.8 GB needed" in shown.text
        await shown.press("enter", "enter")
        assert shown.results == [LoadOptions(model=DEFAULT_HUB_ID)]


async def test_escape_keeps_the_model(home):
    async with showing(picker()) as shown:
        await shown.press("escape")
        assert shown.results == [None]


@pytest.mark.parametrize(("size", "language"), VIEWS)
async def test_the_picker_is_of_use_in_every_size_and_language(home, size, language):
    use(language)
    try:
        async with showing(picker(), size=size) as shown:
            assert "demo" in shown.text
            assert ("内存" in shown.text) == (language == "zh" and size != (20, 5))
            if size != (20, 5):
                assert {"en": "Load", "zh": "加载"}[language] in shown.text
            await shown.press("down", "tab", "tab", "tab", "escape")
            assert shown.results == [None]
    finally:
        use("en")


async def test_without_symbols_the_words_say_what_is_chosen(home):
    async with showing(picker(), classes="-accessible") as shown:
        assert "auto (chosen)" in shown.text
        assert "(current)" in shown.text
        assert "●" not in shown.text.replace("● demo", "")
        assert "Load" in shown.text
        assert not any(line in shown.text for line in "─│╭╮╰╯▔▁")


async def test_a_click_marks_and_two_clicks_load(home):
    folder = write_checkpoint(home / "home/data/models/six-b")
    async with showing(picker()) as shown:
        await shown.pilot.click("#models", offset=(5, 1))
        assert "13.8 GB" in shown.text
        assert not shown.results
        await shown.pilot.double_click("#models", offset=(5, 1))
        await shown.until(lambda: shown.results)
        assert shown.results[0].model == str(folder)


async def test_a_choice_can_be_clicked(home):
    write_checkpoint(home / "home/data/models/six-b")
    async with showing(picker()) as shown:
        await shown.press("down")
        line = next(line for line in shown.text.split("\n") if "int8" in line)
        region = shown.screen.query_one("#level", Choice).region
        await shown.pilot.click("#level", offset=(line.index("int8") - region.x, 0))
        assert shown.screen.query_one("#level", Choice).value == "int8"


# --- what is on this machine


def test_memory_follows_from_the_config_as_measured():
    """Peaks at 2,048 tokens, measured (docs/performance.md): 14.4, 7.6 and 4.5 GB; 4.8 with fp16 keys and values."""
    six_b = {"hidden_size": 4096, "num_layers": 28, "vocab_size": 130528}
    needs = memory_needs(six_b)
    assert {level: needed / 1e9 for level, needed in needs.items()} == pytest.approx(
        {"fp16": 14.4, "int8": 7.63, "int4": 4.47}, rel=0.05
    )
    number_each = 2 * 28 * 4096 * 2048  # of keys and values
    assert memory_needs(six_b, kv_cache_dtype="fp16")["int4"] - needs["int4"] == number_each
    assert needs["int8"] - memory_needs(six_b, kv_cache_dtype="int8")["int8"] == number_each


def test_the_finest_level_that_fits_is_the_best():
    needs = memory_needs({"hidden_size": 4096, "num_layers": 28, "vocab_size": 130528})
    assert [best_level(needs, free) for free in (None, 64_000_000_000, 9_000_000_000, 6_000_000_000, 1)] == [
        "fp16", "fp16", "int8", "int4", "int4"
    ]  # fmt: skip


def test_checkpoints_in_the_hubs_cache_are_found_by_their_id_and_the_current_folder_as_it_is(home):
    write_checkpoint(home / "hub/models--owner--six-b/snapshots/abc")
    (home / "hub/models--owner--six-b/refs").mkdir()
    (home / "hub/models--owner--six-b/refs/main").write_text("abc")
    current = write_checkpoint(home / "my/six-b")
    found = [(model.model, model.place) for model in find_models(str(current))]
    assert found == [("demo", "built in"), ("owner/six-b", "hub cache"), (str(current), "folder")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "llama"}, "llama"),
        ({"padded_vocab_size": 1}, "chatglm2"),
        ({"hidden_size": "x"}, "cannot be"),
        ({"inner_hidden_size": "many"}, "cannot be"),
        ({"quantization_bit": "four"}, "cannot be"),
        ({"quantization_bit": 3}, "cannot be"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(tmp_path, changes, said):
    folder = write_checkpoint(tmp_path / "other", **changes)
    with pytest.raises(CheckpointFormatError, match=said):
        look_at(folder)


def test_a_checkpoint_with_files_missing_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "half")
    (folder / "ice_text.model").unlink()
    with pytest.raises(CheckpointNotFoundError, match="lacks ice_text"):
        look_at(folder)


# --- paths


def test_a_path_is_completed_with_folders_marked_and_hidden_ones_left_out(tmp_path):
    for name in ("alpha", "alphabet", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "alpine.txt").touch()
    assert completions(f"{tmp_path}/alp") == [f"{tmp_path}/alpha/", f"{tmp_path}/alphabet/", f"{tmp_path}/alpine.txt"]
    assert completions(f"{tmp_path}/alp", only_folders=True) == [f"{tmp_path}/alpha/", f"{tmp_path}/alphabet/"]
    assert completions(f"{tmp_path}/ALPI") == [f"{tmp_path}/alpine.txt"]
    assert f"{tmp_path}/.hidden/" not in completions(f"{tmp_path}/")
    assert completions(f"{tmp_path}/none/x") == []
    assert completions("~") == ["~/"]


async def test_tab_completes_as_far_as_there_is_one_way_and_lists_the_rest(tmp_path):
    for name in ("alpha", "alphabet"):
        (tmp_path / name).mkdir()
    async with showing(OpenPath("Attach", yes="Attach")) as shown:
        line = shown.screen.query_one(PathInput)
        await shown.paste(f"{tmp_path}/al")
        await shown.press("tab")
        assert line.value == f"{tmp_path}/alpha"
        await shown.until(lambda: "alpha/ alphabet/" in shown.words)
        await shown.type("b")
        await shown.press("tab", "enter")
        assert shown.results == [tmp_path / "alphabet"]


async def test_a_path_of_the_wrong_kind_is_refused(tmp_path):
    (tmp_path / "f[b]").touch()
    for kind, typed, said in (
        ("file", tmp_path, "is not a file"),
        ("folder", tmp_path / "f[b]", "is not a folder"),
        ("any", tmp_path / "gone", "does not exist"),
        ("new", tmp_path, "is a folder"),
        ("new", tmp_path / "no/file", "there is no folder"),
        ("any", "", "Type a path."),
    ):
        async with showing(OpenPath("Open", yes="Open", kind=kind, value=str(typed)), size=(120, 40)) as shown:
            await shown.press("enter")
            assert said in shown.words
            await shown.press("escape")
            assert shown.results == [None]


async def test_a_new_file_needs_only_its_folder(tmp_path):
    async with showing(OpenPath("Export", yes="Export", kind="new", value=f"{tmp_path}/chat.md")) as shown:
        await shown.press("enter")
        assert shown.results == [tmp_path / "chat.md"]
