"""Whatever may go wrong below the terminal has its Chinese: all sentences of the code are looked at, none by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatglm_slim_llm
from chatglm_slim_llm.retrieval.scanning import _SUFFIXES
from tests.sentences import HOLE, sentences_of
from tui.language import use
from tui.reasons import told

OTHER_ROOMS = {
    "cli/": "commands of the shell, which speak English",
    "llm_plugin/": "the command llm",
    "mcp/answers": "what other assistants are told",
    "mcp/bases": "what other assistants are told",
    "mcp/checking": "what other assistants are told",
    "mcp/http": "what other assistants are told",
    "mcp/server": "what other assistants are told",
    "checkpointer": "of LangGraph, in Python",
    "history": "of LangChain, in Python",
    "completion": "of LangChain, in Python",
    "structured": "of LangChain, in Python",
    "retrieval/chains": "of LangChain, in Python",
    "retrieval/wanted": "of LangChain, in Python",
    "model/": "of transformers, in Python",
    "network/network": "of transformers, in Python",
    "network/positions": "of transformers, in Python",
    "registration": "of a library's registry, in Python",
    "lazily": "a name that a module does not have",
    "checkpoint/slimming": "chatglm-slim slim",
    "checkpoint/quantize": "chatglm-slim quantize",
    "checkpoint/write": "both of them",
    "checkpoint/prefix": "load_prefix, in Python",
    "storage/backups": "chatglm-slim history backup",
    "kernels/packed": "a model that is used as none of ours is, in Python",
    "engine/grammar": "a tool's JSON schema, in the words of JSON schemas, for who writes it",
    "shipped/arithmetic": "what the model is told of its formula",
    "hosting/tool_use": "what the model is told of its call",
}
"""Modules of which nothing comes to the terminal, and who is meant instead."""

MISUSE = (
    "tool_choice is",
    "tools is",
    "parallel_tool_calls is",
    "tools and response_format are given together",
    "the form of the reply,",
    "cannot be read as the form of a reply",
    "stop is",
    "stream is",
    "timeout is",
    "cannot be given for one call",
    "texts is one text",
    f"text {HOLE} is {HOLE}; only a str can be embedded",
    f"the vector has {HOLE} numbers",
    f"is {HOLE}; it must be a text that is not empty",
    f"model is {HOLE}; it must be a text that is not empty",
    "has no option",
    f"mode {HOLE} is unknown",
    f"there are {HOLE} texts, {HOLE} metadata",
    f"there are {HOLE} keys",
    "a knowledge base is a file: give path=",
    f"the metadata of text {HOLE}",
    f"max_tokens is {HOLE}; a chunk",
    "the pool of readers is closed",
    f"it gives {HOLE} instead of Section",
    "names no file; give the path of one",
    "cannot quantise",
    "the text has a lone surrogate",
    f"a line holds {HOLE} instead of an object",
)
"""How sentences begin, after a value, that only a program in Python meets, or another process of ours."""

IN_PIECES = (
    f"several packages offer it ({HOLE}); install it",
    f"the package {HOLE} does not offer it; say whose",
    "no installed package offers it; say whose",
    "repair it, or: chatglm-slim plugins disable",
    f"its table in {HOLE} {HOLE}",
    ", found",
    f"[{HOLE}.options] {HOLE}{HOLE}",
    f"plugin {HOLE} ({HOLE}) {HOLE} after",
    f"is {HOLE}; it must be a {HOLE}number",
)
"""How sentences begin, after a value, of which the scan sees pieces only, or pieces that never meet.

`test_tui_reasons.py` has them whole.
"""

_COMMANDS = re.compile(r"chatglm-slim [a-z-]+( [a-z]+)?|pip install \S+|hf auth login|git lfs \w+")


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    use("zh")
    yield
    use("en")


def is_chinese(text: str) -> bool:
    """Whether nothing is left in English but commands, names in quotes and what stands for a value."""
    plain = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", "", _COMMANDS.sub("", text))
    return bool(re.search("[一-鿿：]", plain)) and not re.search(r"[A-Za-z]{2,} [a-z]{2,}", plain)


def _filled(text: str) -> str:
    """With a value in each place that may be a number as well as a path."""
    return text.replace(HOLE, "1.5")


def _own_words(text: str) -> str:
    return text.lstrip(f"{HOLE}.:; ")


def test_every_sentence_that_can_come_to_the_terminal_has_its_chinese() -> None:
    found = list(sentences_of(Path(chatglm_slim_llm.__file__).parent))
    assert len(found) > 500  # it finds them
    english = [
        f"{one.module}:{one.line}: {one.text}"
        for one in found
        if not one.module.startswith(tuple(OTHER_ROOMS))
        and not _own_words(one.text).startswith((*MISUSE, *IN_PIECES))
        and not is_chinese(told(_filled(one.text)))
    ]
    assert not english, "no Chinese in tui/reasons*.py:\n" + "\n".join(english)


def test_every_kind_of_file_that_is_skipped_has_its_chinese() -> None:
    assert [reason for reason in _SUFFIXES if not is_chinese(told(reason))] == []


@pytest.mark.parametrize("begins", [*OTHER_ROOMS, *MISUSE, *IN_PIECES])
def test_what_is_left_out_is_there(begins: str) -> None:
    found = sentences_of(Path(chatglm_slim_llm.__file__).parent)
    assert any(one.module.startswith(begins) or _own_words(one.text).startswith(begins) for one in found)
