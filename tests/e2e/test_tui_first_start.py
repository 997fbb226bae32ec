"""The first start: three ways to begin, and none of them fetches anything."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest
from dialogs import VIEWS, showing, write_checkpoint

import tui.screens
from chatglm_slim_llm.config import DEFAULT_HUB_ID, LoadOptions
from chatglm_slim_llm.hosting.memory import Memory
from tui.language import use
from tui.screens.first_start import FirstStart


async def test_three_ways_to_begin_are_offered_with_what_each_means():
    async with showing(FirstStart()) as shown:
        assert "Small, answers at once, for trying out." in shown.words
        assert "A folder on this machine" in shown.text
        assert "13.0 GB to download, after you confirm." in shown.words


@pytest.mark.parametrize("key", ["enter", "escape"])
@pytest.mark.parametrize(("keeps_level", "expected"), [(False, "fp16"), (True, "int4")])
async def test_the_demo_model_is_one_key_away(key, keeps_level, expected):
    asked = LoadOptions(quantization="int4", device="cpu")
    async with showing(FirstStart(asked, keeps_level=keeps_level)) as shown:
        await shown.press(key)
        assert shown.results == [LoadOptions(model="demo", quantization=expected, device="cpu")]


async def test_the_download_comes_at_the_level_that_fits_into_memory(monkeypatch):
    monkeypatch.setattr("tui.screens.first_start.find_memory", lambda: Memory(None, 9_000_000_000))
    async with showing(FirstStart()) as shown:
        assert "it runs at int8" in shown.words
        await shown.press("end", "enter")
        assert shown.results == [LoadOptions(model=DEFAULT_HUB_ID, quantization="int8")]


@pytest.mark.parametrize(("stored_bits", "expected"), [(0, "int4"), (8, "int8")])
async def test_a_level_that_was_asked_for_is_kept_where_the_checkpoint_has_it(tmp_path, stored_bits, expected):
    folder = write_checkpoint(tmp_path / "six-b", quantization_bit=stored_bits)
    async with showing(FirstStart(LoadOptions(quantization="int4"), keeps_level=True), size=(120, 40)) as shown:
        assert "it runs at" not in shown.words
        await shown.press("down", "enter")
        await shown.paste(str(folder))
        await shown.press("enter")
        await shown.until(lambda: shown.results)
        assert shown.results == [LoadOptions(model=str(folder), quantization=expected)]


async def test_a_folder_is_checked_before_it_is_taken(tmp_path):
    good, bad = write_checkpoint(tmp_path / "good", quantization_bit=8), tmp_path / "bad"
    bad.mkdir()
    async with showing(FirstStart(), size=(120, 40)) as shown:
        await shown.press("down", "enter", "enter")
        assert "Type the path" in shown.words
        await shown.paste(str(bad))
        await shown.press("enter")
        await shown.until(lambda: "has no config.json" in shown.words)
        await shown.press("ctrl+u")
        await shown.paste(str(good))
        await shown.press("enter")
        await shown.until(lambda: shown.results)
        assert shown.results == [LoadOptions(model=str(good), quantization="int8")]


async def test_escape_from_the_folder_goes_back_to_the_three_ways():
    async with showing(FirstStart()) as shown:
        await shown.press("down", "enter")
        assert "Which folder" in shown.text
        await shown.press("escape")
        assert "Which model" in shown.text
        assert not shown.results
        await shown.press("escape")
        assert shown.results == [LoadOptions()]


@pytest.mark.parametrize(("size", "language"), VIEWS)
async def test_the_first_start_is_of_use_in_every_size_and_language(size, language):
    use(language)
    try:
        async with showing(FirstStart(), size=size) as shown:
            assert {"en": "demo model", "zh": "演示模型"}[language] in shown.text
            await shown.press("down", "enter", "a", "escape", "escape")
            assert shown.results == [LoadOptions()]
    finally:
        use("en")


def test_every_word_of_the_dialogs_has_its_chinese():
    words = {text for part in ("app", "knowledge", "model") for text in import_module(f"tui.language.zh_{part}").WORDS}
    folder = Path(tui.screens.__file__).parent
    names = "models download first_start open_path chat_settings knowledge new_knowledge passage dialog"
    paths = [folder / f"{name}.py" for name in names.split()]
    paths += [folder.parent / name for name in ("amounts.py", "local_models.py", "opening.py", "parameters.py")]
    paths += [folder.parent / "widgets" / name for name in ("choice.py", "path_input.py")]
    said = {text for path in paths for text in _texts(path)}
    assert len(said) > 150
    assert sorted(said - words) == []


def _texts(path: Path) -> list[str]:
    """What is given to ``tr``, and what bindings say."""
    texts: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            said: list[ast.expr] = node.args[:1] if node.func.id == "tr" else []
            if node.func.id == "Binding":
                said = [*node.args[2:3], *(word.value for word in node.keywords if word.arg == "tooltip")]
            constants = [part for each in said for part in ast.walk(each) if isinstance(part, ast.Constant)]
            texts += [part.value for part in constants if isinstance(part.value, str)]
    return texts
