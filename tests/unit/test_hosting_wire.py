"""What passes between a program and its child process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatglm_slim_llm.errors import (
    ChatGLMSlimError,
    CheckpointFormatError,
    CheckpointNotFoundError,
    ConfigError,
    GenerationError,
    KnowledgeBaseBusyError,
    MissingExtraError,
    PromptTooLongError,
    StorageError,
)
from chatglm_slim_llm.hosting.assistant import Piece, Request, ToolUse, Turn
from chatglm_slim_llm.hosting.wire import (
    decode,
    encode,
    error_from_wire,
    error_to_wire,
    piece_from_wire,
    piece_to_wire,
    request_from_wire,
    request_to_wire,
)
from chatglm_slim_llm.storage import Figures, Source

HOSTILE = "你好 \u2028 \x00\x1b[31m \ud800 \U0001f468‍\U0001f469 \r\n\"'\\"


def there_and_back(value):
    line = encode({"value": value})
    assert line.isascii()
    assert line.count(b"\n") == 1
    return decode(line)["value"]


def test_any_text_comes_through_on_one_line_of_ascii():
    request = Request(
        [Turn("human", HOSTILE), Turn("ai", "")], HOSTILE, {"stop": [HOSTILE], "top_k": 3}, "笔记", (HOSTILE,)
    )
    assert request_from_wire(there_and_back(request_to_wire(request))) == request


@pytest.mark.parametrize(
    "piece",
    [
        Piece("字"),
        Piece(HOSTILE),
        Piece("", "stop"),
        Piece("end", "length", Figures(3, 4.5, 0.25, 17, 2048), dropped_rounds=2),
        Piece(tool=ToolUse("u1", "weather", {"city": HOSTILE, "days": [1, None]}, "asked")),
        Piece(tool=ToolUse("u1", "weather", {}, "failed", HOSTILE)),
        Piece(notice=HOSTILE),
        Piece("", "stop", None, (Source(1, "p", "/tmp/\udcff.md", HOSTILE, "A › B", 2, 3, 4, 0.5),)),
    ],
)
def test_a_piece_comes_through_as_it_was(piece):
    assert piece_from_wire(there_and_back(piece_to_wire(piece))) == piece


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("top_p is 3", key="top_p"),
        PromptTooLongError("too long", prompt_tokens=3000, limit=2048),
        CheckpointNotFoundError("no weights"),
        MissingExtraError("no package", extra="rag"),
        StorageError("full"),
    ],
)
def test_an_error_of_ours_keeps_its_kind_its_sentence_and_its_numbers(error):
    back = error_from_wire(there_and_back(error_to_wire(error)))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_paths_of_an_error_come_as_text():
    for error in (
        CheckpointFormatError("bad", path=Path("/a"), key="k"),
        KnowledgeBaseBusyError("busy", path=Path("/a")),
    ):
        assert error_from_wire(there_and_back(error_to_wire(error))).path == "/a"  # type: ignore[attr-defined]


def test_a_kind_that_only_the_child_knows_becomes_the_nearest_one_of_ours():
    class StrangeError(PromptTooLongError, KeyError):
        pass

    given = there_and_back(error_to_wire(StrangeError("too long", prompt_tokens=1, limit=2)))
    assert type(error_from_wire(given)) is PromptTooLongError


@pytest.mark.parametrize("name", ["Path", "annotations", "__doc__", "ValueError", "os.system"])
def test_no_name_makes_an_error_of_anything_but_our_own_kinds(name):
    assert type(error_from_wire({"kinds": [name], "text": "x", "about": {}})) is GenerationError


def test_any_other_error_becomes_a_sentence():
    back = error_from_wire(there_and_back(error_to_wire(RuntimeError("first\nsecond"))))
    assert isinstance(back, ChatGLMSlimError)
    assert str(back) == "The model failed with RuntimeError: first"
    assert "smaller" in str(error_from_wire(error_to_wire(MemoryError())))
    assert "smaller" in str(error_from_wire(error_to_wire(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))))
    assert str(error_from_wire(error_to_wire(KeyError(1), "The library"))) == "The library failed with KeyError: 1"


@pytest.mark.parametrize("line", [b"", b"{", b"[1]\n", b"hello\n", b"\xff\n"])
def test_what_is_no_message_is_refused(line):
    with pytest.raises(ValueError):
        decode(line)


def test_a_piece_of_a_reply_costs_little():
    assert len(encode({"id": 12, "say": piece_to_wire(Piece("字"))})) < 32
    assert json.loads(encode({"a": 1})) == {"a": 1}
