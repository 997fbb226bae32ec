"""Token ids to text while they arrive, never half a character."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatglm_slim_llm.network.tokenization_chatglm import ChatGLMTokenizer

_ERRORS = "chatglm-one-replacement-per-byte"
codecs.register_error(_ERRORS, lambda error: _replace_each_byte(error))


class StreamDecoder:
    """Decodes one reply; what it returns, joined, equals ``tokenizer.decode`` of all its ids."""

    def __init__(self, tokenizer: ChatGLMTokenizer) -> None:
        self._pieces = tokenizer.piece_texts
        self._drops_all_spaces = tokenizer.drops_all_leading_spaces
        self._bytes = codecs.getincrementaldecoder("utf-8")(_ERRORS)
        self._at_start = tokenizer.drops_leading_space

    def push(self, token_id: int) -> str:
        """Take the next id; return the text that is final now, often one word, sometimes nothing."""
        piece = self._pieces.get(token_id)
        if piece is None:  # padding, or a row of the embedding that no piece uses
            return ""
        if isinstance(piece, bytes):
            self._at_start = False
            return self._bytes.decode(piece)
        return self.flush() + self._without_leading_space(piece).replace("▁", " ")

    def _without_leading_space(self, piece: str) -> str:
        rest = piece.removeprefix("▁") if self._at_start else piece
        dropped = rest != piece
        self._at_start = self._at_start and not rest and (self._drops_all_spaces or not dropped)
        return rest

    def flush(self) -> str:
        """Give up waiting for the rest of a character: one U+FFFD for each byte that was held back."""
        return self._bytes.decode(b"", final=True)


def _replace_each_byte(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd" * (error.end - error.start), error.end
