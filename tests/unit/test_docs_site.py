"""The site is whole: its pages, their made parts, their Chinese twins, their commands and their links."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from chatglm_slim_llm.cli.parser import build_parser
from docs import chinese, commands_page, performance_page, rooms, run, terminal_zh
from docs.site_pages import joined, rewritten
from docs.terminal_page import filled
from tui.arguments import parser as tui_parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(DOCS)): page for page in sorted(DOCS.rglob("*.md"))}
ENGLISH = {name: page for name, page in PAGES.items() if not name.endswith(chinese.SUFFIX)}
IN_BOTH = {name for name in ENGLISH if name in ("index.md", "faq.md", "terminal.md") or name.startswith("guide/")}
"""The start, the guides and the questions."""
CONFIG = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


# --- pages ---


def test_every_page_is_in_the_navigation_and_nothing_else():
    nav = CONFIG.partition("\nnav:\n")[2].partition("\n\n")[0]
    assert sorted(re.findall(r": (\S+\.md)$", nav, re.MULTILINE)) == sorted(ENGLISH)


def test_every_title_of_the_navigation_is_translated():
    nav = CONFIG.partition("\nnav:\n")[2].partition("\n\n")[0]
    titles = set(re.findall(r"- ([^:\n]+):", nav))
    translated = re.findall(r"^ {12}([^:\n]+): (.+)$", CONFIG.partition("nav_translations:\n")[2], re.MULTILINE)
    assert titles - {"transformers"} <= {title for title, _ in translated}


def test_start_guides_and_questions_are_there_in_both_languages():
    twins = {english.relative_to(DOCS).as_posix() for english, _ in chinese.pairs()}
    assert twins >= IN_BOTH
    assert twins <= set(ENGLISH)


@pytest.mark.parametrize(("english", "page"), chinese.pairs(), ids=lambda page: page.name)
def test_a_chinese_page_has_the_code_of_the_english_one(english, page):
    assert chinese.blocks(text_of(page)) == chinese.blocks(text_of(english)), "run python -m docs.chinese"


@pytest.mark.parametrize(("english", "page"), chinese.pairs(), ids=lambda page: page.name)
def test_a_chinese_page_has_the_sections_and_the_sources_of_the_english_one(english, page):
    ours, theirs = text_of(page), text_of(english)
    levels = re.compile(r"^(#+) ", re.MULTILINE)
    code = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
    assert levels.findall(code.sub("", ours)) == levels.findall(code.sub("", theirs))
    assert set(re.findall(r"\(https://github[^)]+", ours)) == set(re.findall(r"\(https://github[^)]+", theirs))


def test_a_chinese_page_with_too_few_blocks_is_told():
    with pytest.raises(ValueError, match="has 0 blocks of code, the English one 1"):
        chinese.with_blocks("nothing", ["```\na\n```"])


def test_every_page_with_examples_is_run():
    assert {page for page in ENGLISH.values() if "```python\n" in text_of(page)} <= set(run.PAGES)


# --- made parts ---


@pytest.mark.skipif(sys.version_info[:2] > (3, 12), reason="argparse of a later Python words its help differently")
def test_the_page_of_commands_shows_the_help_of_each():
    page = text_of(commands_page.PAGE)
    assert filled(page, commands_page.made()) == page, "run python -m docs.commands_page"
    shown = re.findall(r"^#+ (chatglm-.+)$", page, re.MULTILINE)
    assert len(shown) == len(set(shown)) > 20


@pytest.mark.parametrize("language", performance_page.PAGES)
def test_the_tables_of_performance_are_those_of_the_results(language):
    page = text_of(performance_page.PAGES[language])
    assert filled(page, performance_page.made(language)) == page, "run python -m docs.performance_page"


def test_the_keys_and_tables_of_the_chinese_terminal_page_are_up_to_date():
    page = text_of(terminal_zh.PAGE)
    assert filled(page, terminal_zh.made()) == page, "run python -m docs.terminal_zh"
    keys = page.partition("<!-- begin: keys ")[2].partition("<!-- end: keys ")[0]
    assert [line for line in keys.splitlines() if line.startswith("**") and not re.search("[一-鿿]", line)] == []


def test_the_pictures_of_the_rooms_are_up_to_date():
    for look in ("light", "dark"):
        assert text_of(DOCS / "assets" / f"rooms-{look}.svg") == rooms.svg(look), "run python -m docs.rooms"


def test_every_package_is_in_the_picture():
    packages = {init.parent.name for init in (ROOT / "chatglm_slim_llm").glob("*/__init__.py")} | {"tui"}
    modules = {path.stem for path in (ROOT / "chatglm_slim_llm").glob("*.py") if not path.stem.startswith("__")}
    assert packages | modules == set(FLOOR)


def test_the_floors_of_the_picture_are_those_of_the_import_contracts():
    layers = next(each["layers"] for each in PYPROJECT["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    floors = [[FLOOR[name.strip().rpartition(".")[2]] for name in layer.split("|")] for layer in layers]
    for above, below in pairwise(floors):
        assert max(above) <= min(below), (above, below)


FLOOR = {name: number for number, (_, floor) in enumerate(rooms.FLOORS) for room in floor for name in room.modules}


# --- commands ---


def commands() -> Iterator[tuple[str, list[str]]]:
    """The commands of all console blocks, without what they print."""
    for path in (*ENGLISH.values(), ROOT / "README.md", ROOT / "README.zh.md", ROOT / "CONTRIBUTING.md"):
        for block in re.findall(r"^```console\n(.*?)^```", text_of(path), re.DOTALL | re.MULTILINE):
            for line in re.findall(r"^\$ (.*(?:\n> .*)*)", block, re.MULTILINE):
                for command in re.split(r"(?<!\\) (?:\||&&) ", line.replace("\n> ", "\n")):
                    words = shlex.split(command, comments=True)
                    while "=" in words[0]:  # variables before the program
                        words.pop(0)
                    yield path.name, words


COMMANDS = list(commands())
FOREIGN = ("chatglm-slim", "chatglm-tui", "cat", "echo", "eval", "git", "jq", "llm")
"""Programs that the pages use beside ours; what they are told is not looked at here."""


def test_the_commands_of_the_pages_have_the_options_that_they_are_shown_with():
    own = [words for _, words in COMMANDS if words[0].startswith("chatglm-")]
    assert len(own) > 40
    for program, *words in own:
        parser = {"chatglm-slim": build_parser, "chatglm-tui": tui_parser}[program]()
        known = [word for word in words if word != "..."]
        parser.parse_args(known[: known.index("<")] if "<" in known else known)


def test_other_programs_of_the_pages_are_known():
    makefile = text_of(ROOT / "Makefile")
    extras = PYPROJECT["project"]["optional-dependencies"]
    for page, (program, *words) in COMMANDS:
        where = f"{page}: {program} {' '.join(words)}"
        if program == "make":
            assert re.search(rf"^{words[0]}:", makefile, re.MULTILINE), where
        elif program == "python":
            assert words[0] == "-m", where
            assert importlib.util.find_spec(words[1]), where
        elif program == "pip":
            assert words[0] == "install", where
            asked = re.findall(r"\[(.+)\]", " ".join(words))
            assert {name for names in asked for name in names.split(",")} <= set(extras), where
        else:
            assert program in FOREIGN, where


# --- links ---


@pytest.mark.parametrize(
    "page", [*PAGES.values(), ROOT / "README.md", ROOT / "README.zh.md"], ids=lambda page: page.name
)
def test_the_links_of_a_page_lead_to_files(page):
    code = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", code.sub("", text_of(page))):
        assert link.startswith("https://") or (page.parent / link).exists(), link


@pytest.mark.parametrize("page", [page for _, page in chinese.pairs()], ids=lambda page: page.name)
def test_a_chinese_page_leads_to_chinese_pages_where_there_are_some(page):
    for link in re.findall(r"\]\(([^)\s#:]+\.md)", text_of(page)):
        twin = page.parent / link.replace(".md", chinese.SUFFIX)
        assert link.endswith(chinese.SUFFIX) or not twin.exists(), link


def test_links_out_of_the_documentation_lead_to_copies_or_are_named():
    page = (
        "[figures](../../benchmarks/results/peers.json), ![Plot](../../benchmarks/results/peers.svg), [code](../run.py)"
    )
    assert rewritten(page, "guide/chat.md", "zh/guide/chat.html") == (
        '<a href="../../benchmarks/results/peers.json">figures</a>, '
        '<img alt="Plot" src="../../benchmarks/results/peers.svg">, [code](../run.py)'
    )
    assert rewritten("[the model](../training/)", "index.md", "index.html") == "the model (`training`)"
    with pytest.raises(FileNotFoundError, match=r"docs/index\.md links to no/such, which is not there"):
        rewritten("[x](../no/such)", "index.md", "index.html")


def test_chinese_lines_are_joined_outside_of_code():
    page = "模型在\n自己的线程，\n`batch` 也\nword\n\n- 一，\n- 二\n\n```text\n你\n好\n```\n"
    assert joined(page) == "模型在自己的线程，`batch` 也\nword\n\n- 一，\n- 二\n\n```text\n你\n好\n```\n"
