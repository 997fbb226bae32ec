"""``ice_text.model``: the SentencePiece file, and the pieces that the early checkpoints lack.

The first release's file ends with the words; its program added control tokens, runs of spaces
and bytes when it started. Later files hold these 344 pieces and switch byte fallback on. The
file is a protocol buffer (sentencepiece_model.proto), edited here without parsing what it need not.
"""

from __future__ import annotations

from collections.abc import Iterator

ICE_TEXT = "ice_text.model"

_CONTROL, _USER_DEFINED, _BYTE = 3, 4, 6
_CONTROLS = ("[MASK]", "[gMASK]", "[sMASK]", "<unused_0>", "<sop>", "<eop>", "<ENC>", "<dBLOCK>")
_BLANKS = ("<|tab|>", *(f"<|blank_{count}|>" for count in range(2, 81)))
_BYTES = tuple(f"<0x{value:02X}>" for value in range(256))
ADDED_PIECES: tuple[tuple[str, int], ...] = (
    *((piece, _CONTROL) for piece in _CONTROLS),
    *((piece, _USER_DEFINED) for piece in _BLANKS),
    *((piece, _BYTE) for piece in _BYTES),
)
"""Piece and type of the last 344 ids, in order."""

_PIECES_FIELD, _TRAINER_FIELD, _BYTE_FALLBACK_FIELD = 1, 2, 35
_VARINT, _FIXED64, _BYTES_WIRE, _FIXED32 = 0, 1, 2, 5


def added_records() -> list[bytes]:
    """The 344 pieces as they lie in the file."""
    return [_piece(piece, kind) for piece, kind in ADDED_PIECES]


def complete(model: bytes) -> tuple[bytes, int]:
    """Append the 344 pieces and switch byte fallback on, unless that is done.

    Args:
        model: contents of an ``ice_text.model``, early or late.

    Returns:
        The complete file's contents, and the number of pieces before the 344.

    Raises:
        ValueError: this is no SentencePiece file, or it has only some of the pieces.
    """
    try:
        fields = list(_fields(model))
        pieces = [record for number, record, _ in fields if number == _PIECES_FIELD]
        rest = [_with_byte_fallback(payload) if n == _TRAINER_FIELD else rec for n, rec, payload in fields if n != 1]
    except (IndexError, ValueError) as error:
        raise ValueError("this is not a SentencePiece model; fetch the file again") from error
    if not pieces:
        raise ValueError("this holds no pieces, it is not a SentencePiece model; fetch the file again")
    added = added_records()
    if pieces[-len(added) :] == added:
        return model, len(pieces) - len(added)
    if added[0] in pieces:
        raise ValueError(
            f"this has {ADDED_PIECES[0][0]} but not the {len(added)} pieces of ChatGLM-6B at its end; it is of another "
            "model, so take the file of this checkpoint"
        )
    return b"".join((*pieces, *added, *rest)), len(pieces)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (field number, the whole record, its payload) of a protocol buffer message."""
    position = 0
    while position < len(message):
        tag, start = _read_varint(message, position)
        begin, end = _payload_span(message, tag & 7, start)
        if end > len(message):
            raise ValueError("a field ends behind the message")
        yield tag >> 3, message[position:end], message[begin:end]
        position = end


def _payload_span(message: bytes, wire_type: int, start: int) -> tuple[int, int]:
    if wire_type == _VARINT:
        return start, _read_varint(message, start)[1]
    if wire_type == _BYTES_WIRE:
        length, begin = _read_varint(message, start)
        return begin, begin + length
    if wire_type in (_FIXED32, _FIXED64):
        return start, start + (4 if wire_type == _FIXED32 else 8)
    raise ValueError(f"wire type {wire_type} is unknown")


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _varint(value: int) -> bytes:
    low = value & 0x7F
    return bytes([low]) if value < 0x80 else bytes([low | 0x80]) + _varint(value >> 7)


def _record(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | _BYTES_WIRE) + _varint(len(payload)) + payload


def _piece(piece: str, kind: int) -> bytes:
    """piece = 1, score = 2 (fixed32 0.0), type = 3."""
    payload = _record(1, piece.encode()) + bytes([2 << 3 | _FIXED32, 0, 0, 0, 0]) + bytes([3 << 3 | _VARINT, kind])
    return _record(_PIECES_FIELD, payload)


def _with_byte_fallback(trainer: bytes) -> bytes:
    """The trainer settings with byte_fallback = true, in the order of field numbers as they were."""
    fields = [(number, record) for number, record, _ in _fields(trainer) if number != _BYTE_FALLBACK_FIELD]
    fields.append((_BYTE_FALLBACK_FIELD, _varint(_BYTE_FALLBACK_FIELD << 3 | _VARINT) + b"\x01"))
    fields.sort(key=lambda field: field[0])
    return _record(_TRAINER_FIELD, b"".join(record for _, record in fields))
