"""Tool calls are read the same however the reply is cut into pieces."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest

from chatglm_slim_llm.call_reader import CallPiece, CallReader


def written(*calls: tuple[str, dict[str, Any]]) -> str:
    return "\n".join(json.dumps({"name": n, "arguments": a}, ensure_ascii=False) for n, a in calls)


def read(text: str, cuts: list[int]) -> tuple[str, list[tuple[str, str]]]:
    reader = CallReader()
    said, names, arguments = "", {}, {}
    edges = [0, *cuts, len(text)]
    pieces = [piece for start, end in pairwise(edges) for piece in reader.push(text[start:end])]
    for piece in [*pieces, *reader.finish()]:
        if isinstance(piece, CallPiece):
            if piece.name is not None:
                assert piece.index not in names
                names[piece.index] = piece.name
            arguments[piece.index] = arguments.get(piece.index, "") + piece.arguments
        else:
            said += piece
    return said, [(names[i], arguments[i]) for i in sorted(names)]


REPLIES = [
    [("f", {})],
    [("f", {"a": 'x"}\n{', "b": [{"c": "\\"}], "d": "}"})],
    [('quo"te\\, "arguments": {', {"x": 1})],
    [("查", {"城市": "北京"}), ("f", {"": None}), ("g", {"a": {"b": {"c": []}}})],
]


@pytest.mark.parametrize("calls", REPLIES)
def test_calls_come_out_as_they_were_written_wherever_the_text_is_cut(calls: list[tuple[str, dict[str, Any]]]) -> None:
    text = written(*calls)
    rng = random.Random(1)
    every = list(range(1, len(text)))
    for cuts in ([], every, *(sorted(rng.sample(every, rng.randrange(1, len(every)))) for _ in range(50))):
        said, found = read(text, cuts)
        assert said == ""
        assert [(name, json.loads(arguments)) for name, arguments in found] == calls


@pytest.mark.parametrize("text", ["", "{", '{"name": ', '{"name":"f"}', "你好", ' {"name": "f"', '[{"name": "f"}]'])
def test_words_come_out_as_they_are(text: str) -> None:
    for cuts in ([], list(range(1, len(text)))):
        assert read(text, cuts) == (text, [])


def test_words_are_not_held_back_longer_than_they_may_become_a_call() -> None:
    reader = CallReader()
    assert list(reader.push('{"na')) == []
    assert list(reader.push("rrow")) == ['{"narrow']
    assert list(reader.push(' {"name": "')) == [' {"name": "']
