"""Build the demo's `ice_text.model`: ChatGLM-6B-Slim's layout with a small vocabulary.

SentencePiece trains the English pieces and gives the normaliser. The vocabulary is then put together so that a name has
the same pieces wherever it stands: the space mark is a piece of its own except before the most frequent small words,
digits stand alone, and so does every Chinese character. After the ordinary pieces come the original's special pieces,
blanks and bytes, in the original's order.
"""

import io
import math
import re
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import sentencepiece as spm

from training import reading, tools
from training.chat import load_facts, load_unknown
from training.names import Lang, common_characters

HEAD = ("<unk>", "<s>", "</s>", "<pad>", "<n>", "▁")
CONTROLS = ("[MASK]", "[gMASK]", "[sMASK]", "<unused_0>", "<sop>", "<eop>", "<ENC>", "<dBLOCK>")
BLANKS = ("<|tab|>", *(f"<|blank_{i}|>" for i in range(2, 81)))
BYTES = tuple(f"<0x{i:02X}>" for i in range(256))

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
"""Piece types of SentencePiece's model format."""

JSON_PIECES = (
    '{"name":▁"', '",▁"description":▁"', '",▁"parameters":▁{"', '":▁"string"}}', '":▁"string",▁"', '":▁"integer"}}',
    '",▁"arguments":▁{"', '":▁"', '",▁"', '"}}', "chatglm-slim", "ChatGLM-6B", "ChatGLM",
    "Question", "Passages", "Round",
)  # fmt: skip
_PUNCTUATION = "".join(map(chr, range(0x21, 0x7F))) + "。、《》〈〉【】「」『』“”‘’…—·～°×÷±→←↑↓√≤≥≠π€£¥"


def build_tokenizer(path: Path, *, num_word_pieces: int = 900, num_words: int = 1100) -> int:
    """Write the model file; return how many pieces it has.

    Args:
        path: the file to write.
        num_word_pieces: English pieces without a space mark, trained by SentencePiece.
        num_words: small English words that get a piece together with the space before them.
    """
    lines = list(_corpus())
    model = _train_word_pieces(lines, num_word_pieces)
    trained = spm.SentencePieceProcessor(model_proto=model)
    total = sum(map(len, lines))
    scores: dict[str, float] = {}
    for rank, (piece, score) in enumerate(_words(_templates(), num_words)):
        scores["▁" + piece] = score
        if rank < num_words // 5 and len(piece) > 2:  # the same word right after a colon
            scores[piece] = score - 2.0
    for i in range(trained.get_piece_size()):
        piece = trained.id_to_piece(i)
        if re.fullmatch(r"[A-Za-z]{2,}", piece):
            scores.setdefault(piece, trained.get_score(i) - 1.0)
    for piece in JSON_PIECES:
        scores[piece] = -4.0
    counts = Counter(char for line in lines for char in line)
    for char in (*_PUNCTUATION, *common_characters(), *sorted(c for c in counts if "\u4e00" <= c <= "\u9fff")):
        scores.setdefault(char, math.log((counts[char] + 0.5) / total))
    scores.setdefault("...", -6.0)
    _write(path, model, scores)
    return len(scores) + len(HEAD) + len(CONTROLS) + len(BLANKS) + len(BYTES)


def _templates() -> Iterable[str]:
    """Every text that was written by hand: chat, and the patterns of the other generators without their names."""
    for fact in load_facts():
        for text in (*fact.wordings, fact.answer):
            yield from [text] * 4
    for group in load_unknown():
        yield from (*group.wordings, *[group.reply] * 50)
    for text in (*reading.texts("en"), *tools.texts("en")):
        yield from [re.sub(r"\{.\}", "1", text)] * 4


def _corpus() -> Iterable[str]:
    """The texts written by hand and a sample of what the generators make of them."""
    yield from _templates()
    passages, requests = reading.ReadingWriter(11), tools.ToolWriter(12)
    langs: tuple[Lang, ...] = ("en", "zh")
    for _ in range(3000):
        for lang in langs:
            yield from passages.write(lang=lang).prompt.split("\n")
            yield from requests.write(lang=lang).prompt.split("\n")


def _train_word_pieces(lines: Iterable[str], size: int) -> bytes:
    """A unigram model over English words taken apart from their spaces, with the original's normaliser."""
    words = Counter(word for line in lines for word in re.findall(r"[A-Za-z]+", line))
    sentences = (word for word, count in sorted(words.items()) for _ in range(1 + min(count, 2000) // 4))
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=sentences, model_writer=model, vocab_size=size + 256 + 6, model_type="unigram",
        byte_fallback=True, character_coverage=1.0, split_digits=True, max_sentencepiece_length=8, pad_id=3,
        add_dummy_prefix=False, normalization_rule_name="nmt_nfkc", user_defined_symbols=["<n>"], num_threads=1,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


def _words(lines: Iterable[str], limit: int) -> list[tuple[str, float]]:
    """The most frequent small words, with their log frequency."""
    pattern = re.compile(r"(?:^|(?<= ))[A-Za-z][a-z]{1,11}(?![A-Za-z_])")
    counts = Counter(word for line in lines for word in pattern.findall(line))
    total = sum(counts.values())
    return [(word, math.log(count / total)) for word, count in counts.most_common(limit) if count >= 4]


def _write(path: Path, trained: bytes, scores: dict[str, float]) -> None:
    """Keep the trained model's settings and normaliser, replace its pieces."""
    types = dict(zip(HEAD, (UNKNOWN, CONTROL, CONTROL, CONTROL, USER_DEFINED, NORMAL), strict=True))
    pieces = [(piece, 0.0 if kind != NORMAL else -3.0, kind) for piece, kind in types.items()]
    pieces += [(piece, score, NORMAL) for piece, score in scores.items() if piece not in types]
    pieces += [(piece, 0.0, CONTROL) for piece in CONTROLS]
    pieces += [(piece, 0.0, USER_DEFINED) for piece in BLANKS]
    pieces += [(piece, 0.0, BYTE) for piece in BYTES]
    out = b"".join(_field(1, _piece(*piece)) for piece in pieces)
    for number, content in _fields(trained):
        if number == _TRAINER:
            content += _varint(_VOCAB_SIZE << 3) + _varint(len(pieces))  # a later value of a field wins
        if number == _NORMALIZER:
            content += _varint(_ADD_DUMMY_PREFIX << 3) + _varint(1)
        if number != 1:
            out += _field(number, content)
    path.write_bytes(out)


# Protocol buffer wire format, as far as SentencePiece's ModelProto needs it: every top field is length-delimited.
_TRAINER, _NORMALIZER, _VOCAB_SIZE, _ADD_DUMMY_PREFIX = 2, 3, 4, 3


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _piece(text: str, score: float, kind: int) -> bytes:
    return _field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes((kind,))


def _fields(message: bytes) -> Iterable[tuple[int, bytes]]:
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        size, at = _read_varint(message, at)
        yield key >> 3, message[at : at + size]
        at += size


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
