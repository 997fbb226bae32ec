"""Which tokens are allowed, against a matcher that knows every text of a small language; and texts as tokens."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chatglm_slim_llm.checkpoint import load_tokenizer
from chatglm_slim_llm.engine import CALL_START, CallsFormat, JsonFormat
from chatglm_slim_llm.engine.grammar.constraint import Guide, Opening
from chatglm_slim_llm.engine.grammar.guides import Guides
from chatglm_slim_llm.engine.grammar.outline import Outline
from chatglm_slim_llm.engine.grammar.plan import allowed_ids
from chatglm_slim_llm.engine.grammar.vocabulary import Vocabulary
from chatglm_slim_llm.network import StreamDecoder

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
CHECKPOINTS = {
    "demo": Path(__file__).parents[2] / "chatglm_slim_llm" / "demo",
    "tiny_v11": REFERENCE / "tiny_v11",
    "tiny_v10_full": REFERENCE / "tiny_v10_full",  # with 20,000 ids of images before the first piece
}
NAMES = ["".join(letters) for length in range(3) for letters in product('a中"', repeat=length)]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": '^[a中"]*$', "maxLength": 2},
        "n": {"type": "integer", "minimum": -1, "maximum": 12},
        "，x": {"enum": [None, "a", True]},
    },
    "required": ["n"],
}


def language() -> list[str]:
    names = ['"name": "{}", '.format(name.replace('"', '\\"')) for name in NAMES]
    ends = ["", ', "，x": null', ', "，x": "a"', ', "，x": true']
    return [f'{{{name}"n": {n}{end}}}' for name in ["", *names] for n in range(-1, 13) for end in ends]


@cache
def guides(checkpoint: str) -> Guides:
    tokenizer = load_tokenizer(CHECKPOINTS[checkpoint])
    return Guides(tokenizer, tokenizer.vocab_size + 6)  # as if the embedding had a few rows more


def vocabulary_of(checkpoint: str) -> Vocabulary:
    return guides(checkpoint).get(JsonFormat(SCHEMA)).vocabulary


def brute_force(vocabulary: Vocabulary, before: bytes, texts: list[bytes]) -> set[int]:
    """Every token after which one of the texts can still be written, and the end mark where one is complete."""
    following = {text[len(before) :] for text in texts if text.startswith(before)}
    alive = {rest[:length] for rest in following for length in range(1, len(rest) + 1)}
    tokenizer = vocabulary.tokenizer
    found = set()
    for token_id, piece in tokenizer.piece_texts.items():
        token = piece if isinstance(piece, bytes) else piece.replace("▁", " ").encode()
        if token in alive and token_id != tokenizer.unk_token_id:
            found.add(token_id)
    return found | ({tokenizer.eos_token_id} if b"" in following else set())


STARTS = [
    '{"',
    '{"n',
    '{"name": "',
    '{"name": "a',
    '{"name": "中\\"',
    '{"name": "\\',
    '{"n": ',
    '{"n": 1',
    '{"n": 3, "',
    "{",
]
STARTS += ['{"n": 12, "，x": ', '{"n": -1, "，x": "a"', '{"n": 0}']


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
@pytest.mark.parametrize("before", STARTS)
def test_the_mask_is_what_brute_force_finds(checkpoint: str, before: str) -> None:
    guide = guides(checkpoint).get(JsonFormat(SCHEMA))
    matcher = guide.matcher.deep_copy()
    assert matcher.consume_tokens(guide.vocabulary(before))
    texts = [text.encode() for text in language()]
    allowed, expected = set(allowed_ids(matcher)), brute_force(guide.vocabulary, before.encode(), texts)
    if forced := matcher.compute_ff_tokens():  # of several ways to write what is certain only the usual one is left
        assert allowed == {forced[0]} <= expected
        following = b"".join(guide.vocabulary.tokens[token_id] for token_id in forced)
        assert all(text.startswith(before.encode() + following) for text in texts if text.startswith(before.encode()))
    else:
        assert allowed == expected


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_a_reply_may_start_with_the_space_that_decoding_drops(checkpoint: str) -> None:
    guide = guides(checkpoint).get(JsonFormat(SCHEMA))
    found = allowed_ids(guide.matcher.deep_copy())
    allowed = set(found[~np.isin(found, guide.vocabulary.not_first)])
    assert guide.vocabulary.dropped_space_id in allowed
    for token_id in allowed:
        shown = StreamDecoder(guide.vocabulary.tokenizer).push(token_id)
        assert any(text.startswith(shown) for text in language()), shown
    texts = [text.encode() for text in language()]
    assert brute_force(guide.vocabulary, b"", texts) <= allowed


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_control_tokens_and_rows_without_a_piece_are_never_allowed(checkpoint: str) -> None:
    guide = guides(checkpoint).get(JsonFormat({"type": "string"}))
    matcher = guide.matcher.deep_copy()
    assert matcher.consume_tokens(guide.vocabulary('"'))
    allowed = set(allowed_ids(matcher))
    tokenizer = guide.vocabulary.tokenizer
    assert len(allowed) > 500
    assert not allowed & set(tokenizer.all_special_ids)
    assert all(tokenizer.num_image_tokens <= token_id < tokenizer.vocab_size for token_id in allowed)


AWKWARD = [
    "，",
    "“中”",
    "ﬁ",
    "<n>",
    "<|blank_3|>",
    "a  b   c",
    " lead",
    "▁",
    "é\u0301",
    "👋🏽",
    "①",
    '{"a": "b"}',
    "<sop>",
    "\n",
    "",
]


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
@pytest.mark.parametrize("text", AWKWARD)
def test_a_text_becomes_tokens_of_exactly_its_bytes(checkpoint: str, text: str) -> None:
    vocabulary = vocabulary_of(checkpoint)
    decoder = StreamDecoder(vocabulary.tokenizer)
    decoder._at_start = False  # in the middle of a reply
    assert "".join(map(decoder.push, vocabulary(text))) + decoder.flush() == text


# --- the start of a reply that may be words ---


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
@pytest.mark.parametrize("shared", range(len(CALL_START)))
@pytest.mark.parametrize("spaces", [0, 1, 2])
def test_words_never_begin_as_a_call_does(checkpoint: str, shared: int, spaces: int) -> None:
    guide = guides(checkpoint).get(CallsFormat({"now": {}}, may_be_words=True))
    opening, matcher, before = start(guide, shared, spaces)
    if opening is None or matcher is None:
        return  # that many spaces are words already
    allowed = opening.allowed(matcher)
    call_ids = [token_id for token_id in allowed.tolist() if opening.kind_after(token_id) != "words"]
    assert call_ids
    assert guide.vocabulary.eos_token_id in allowed
    call = '{"name": "now", "arguments": {}}'
    for token_id in sorted({*allowed[:: max(1, len(allowed) // 150)], *call_ids} - {guide.vocabulary.eos_token_id}):
        text = decode(guide.vocabulary, [*before, token_id])
        kind = opening.kind_after(int(token_id))
        if kind == "words":
            assert not text.startswith(CALL_START)
            assert not (text and CALL_START.startswith(text.rstrip("\ufffd")) and "\ufffd" not in text)
        else:
            assert text == call[: len(text)]


def start(guide: Guide, shared: int, spaces: int) -> tuple[Opening | None, Any, list[int]]:
    """A reply of so many dropped spaces and characters of a call."""
    vocabulary = guide.vocabulary
    opening, matcher = Opening(vocabulary), guide.matcher.deep_copy()
    assert vocabulary.dropped_space_id is not None
    before = [vocabulary.dropped_space_id] * spaces + vocabulary(CALL_START[:shared])
    for index, token_id in enumerate(before):
        if opening.kind_after(token_id) != "open":
            return None, None, before
        if index == 0 or not opening.is_dropped(token_id):
            assert matcher.consume_tokens([token_id])
        opening.push(token_id)
    return opening, matcher, before


def decode(vocabulary: Vocabulary, token_ids: list[int]) -> str:
    decoder = StreamDecoder(vocabulary.tokenizer)
    return "".join(map(decoder.push, token_ids)) + decoder.flush()


def test_the_outline_follows_strings_numbers_and_names() -> None:
    outline = Outline()
    for token, inside, number in [
        (b'{"a', True, False),
        (b'\\"', True, False),
        (b'": 1', False, True),
        (b", ", False, False),
    ]:
        outline.push(token)
        assert (outline.is_inside, outline.is_in_number) == (inside, number)
    assert not outline.after([b'"b": {"a\\"": ["a\\"", "a\\""]}}']).repeats
    assert outline.after([b'"a\\": ["": 1']).repeats is False
    assert outline.after([b'"a\\"": ']).repeats
    assert outline.after([b'"b": [{"x": 1}, {"x": 2, "', b'x"']).repeats
    assert not outline.repeats
    assert outline.after([b'"a\\"']).would_repeat
    assert outline.after([b'"\xe4\xb8']).text() is None
    assert outline.after([b'"\xe4\xb8\xad\\n']).text() == "中\n"
