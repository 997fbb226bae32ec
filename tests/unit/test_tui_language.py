"""Every English word that the terminal shows has a Chinese one, and none is left over."""

from __future__ import annotations

import ast
import string
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import chatglm_slim_llm
import tui
from chatglm_slim_llm.plugins.tables import shipped_file
from tui import keys, language
from tui.commands import COMMANDS
from tui.language import of_environment, tr, use
from tui.parameters import PARAMETERS
from tui.settings import hints
from tui.settings.docs import TITLES, explanations, label

TERMINAL = Path(tui.__path__[0])
PACKAGE = Path(chatglm_slim_llm.__path__[0])


def chinese() -> dict[str, dict[str, str]]:
    """The words of each file."""
    names = [module.name for module in iter_modules(language.__path__)]
    return {name: import_module(f"tui.language.{name}").WORDS for name in names}


def trees(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        if path.parent.name != "language":
            yield path, ast.parse(path.read_text("utf-8"))


def constants(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def translated() -> dict[str, str]:
    """Each text that is given to ``tr`` in the code, and where."""
    found = {}
    for path, tree in trees(TERMINAL):
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "tr" and call.args:
                where = f"{path.relative_to(TERMINAL)}:{call.lineno}"
                given = call.args[0]
                choices = [given.body, given.orelse] if isinstance(given, ast.IfExp) else [given]
                found.update({c.value: where for c in choices if isinstance(c, ast.Constant)})
    return found


def shown() -> dict[str, str]:
    """Each text that is shown, and where it comes from."""
    found = translated()
    for action in keys.actions():
        area = action.id.partition(".")[0].replace("_", " ").capitalize()
        found.update({text: action.id for text in (action.description, action.tooltip, area) if text})
    for command in COMMANDS:
        found.update({text: f"/{command.name}" for text in (command.help, command.argument) if text})
    found.update(dict.fromkeys(TITLES.values(), "the settings' tabs"))
    for key in hints():
        found.update(dict.fromkeys((label(key), explanations()[key]), key))
    found.update({text: parameter.name for parameter in PARAMETERS for text in (parameter.label, parameter.help)})
    shipped = tomllib.loads(shipped_file().read_text("utf-8"))
    found.update({one["description"]: "plugins.toml" for group in shipped.values() for one in group.values()})
    return found


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_everything_that_is_shown_has_a_chinese_word():
    known = {text for words in chinese().values() for text in words}
    missing = [
        f"{where}: {text}" for text, where in sorted(shown().items(), key=lambda pair: pair[1]) if text not in known
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.long
def test_no_chinese_word_is_left_over():
    used = set(shown())
    for folder in (TERMINAL, PACKAGE):
        used.update(text for _path, tree in trees(folder) for text in constants(tree))
    left = [f"{name}: {text}" for name, words in chinese().items() for text in words if text not in used]
    assert not left, "\n".join(left)


def test_a_word_is_said_in_one_way():
    said: dict[str, dict[str, str]] = {}
    for name, words in chinese().items():
        for text, chinese_text in words.items():
            said.setdefault(text, {})[name] = chinese_text
    apart = [f"{text}: {ways}" for text, ways in said.items() if len(set(ways.values())) > 1]
    assert not apart, "\n".join(apart)


def test_chinese_texts_have_the_fields_of_the_english_ones():
    wrong = [text for words in chinese().values() for text, said in words.items() if fields(text) != fields(said)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_TW"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "C"}, "en"),
        ({"LANG": "", "LC_ALL": ""}, "en"),
    ],
)
def test_the_language_is_that_of_the_locale(environ, expected):
    assert of_environment(environ) == expected


def test_a_text_is_filled_and_shown_in_the_language_in_use():
    try:
        use("zh")
        assert tr("Theme: {name}", name="[nord]") == "主题：[nord]"
        assert tr("nobody translated {this}", this=1) == "nobody translated 1"
        use("en")
        assert tr("Theme: {name}", name="{x}") == "Theme: {x}"
    finally:
        use("en")
