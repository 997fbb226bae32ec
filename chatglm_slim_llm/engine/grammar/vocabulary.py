"""The tokenizer's pieces as the grammar's tokens."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chatglm_slim_llm.engine.formats import CALL_START
from chatglm_slim_llm.errors import MissingExtraError
from chatglm_slim_llm.network import ChatGLMTokenizer

if TYPE_CHECKING:
    import llguidance

Ids = NDArray[np.int64]


def load_llguidance() -> Any:
    """The package that follows grammars.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import llguidance
    except ImportError as error:
        raise MissingExtraError(
            "replies that must be JSON or tool calls need the package llguidance; "
            "install it with: pip install 'chatglm-slim-llm[structured]'",
            extra="structured",
        ) from error
    return llguidance


class Vocabulary:
    """What each token adds to a text, as bytes, and texts as tokens."""

    def __init__(self, tokenizer: ChatGLMTokenizer, num_scores: int) -> None:
        """Read the pieces.

        Args:
            tokenizer: the model's own.
            num_scores: the length of a row of scores; what no piece uses is never allowed.
        """
        guidance = load_llguidance()
        self.tokenizer, self._num_scores = tokenizer, num_scores
        self.eos_token_id: int = tokenizer.eos_token_id
        self.bos_token_id = None
        self._pieces = tokenizer.piece_texts
        without_text = [i for i in range(num_scores) if not self._pieces.get(i)]
        self.special_token_ids = [*without_text, tokenizer.unk_token_id]
        self.tokens = [self._bytes(token_id) for token_id in range(num_scores)]
        self._line_end = tokenizer.encode("\n", add_special_tokens=False)
        self.for_grammar: llguidance.LLTokenizer = guidance.LLTokenizer(
            guidance.TokenizerWrapper(self),
            n_vocab=num_scores,
            eos_token=self.eos_token_id,
            slices=guidance.LLTokenizer.json_slices(),
        )

    def warm_up(self) -> None:
        """Make now, in a reader's thread, what the thread that runs the model would wait for later."""
        _ = self.dropped_space_id, self.not_first, self.words, self._like_calls, self._like_calls_after_space

    def _bytes(self, token_id: int) -> bytes:
        piece = self._pieces.get(token_id)
        if token_id == self.tokenizer.unk_token_id or not piece:
            return b"<%d>" % token_id
        return piece if isinstance(piece, bytes) else piece.replace("▁", " ").encode()

    def __call__(self, text: str | bytes) -> list[int]:
        """The tokens of a text in the middle of a reply: exactly its bytes, whatever the tokenizer would make of it."""
        plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        found: list[int] = self.tokenizer.encode(
            f"\n{plain}", add_special_tokens=False
        )  # a line end takes no "▁" before it
        start = len(self._line_end)
        if found[:start] == self._line_end and b"".join(self.tokens[i] for i in found[start:]) == plain.encode():
            return found[start:]
        return list(self.for_grammar.greedy_tokenize(plain))

    @cached_property
    def dropped_space_id(self) -> int | None:
        """The token that is only a space, where decoding drops it at the start of a text."""
        if not self.tokenizer.drops_leading_space:
            return None
        return next((i for i, piece in self._pieces.items() if piece == "▁"), None)

    @cached_property
    def not_first(self) -> Ids:
        """Tokens that start with a space which stays where it is, so that no JSON may start with them."""
        droppable = self.tokenizer.drops_leading_space
        return self._ids(
            i
            for i, token in enumerate(self.tokens)
            if token[:1] == b" " and not (droppable and isinstance(piece := self._pieces[i], str) and piece[0] == "▁")
        )

    @cached_property
    def words(self) -> NDArray[np.bool_]:
        """Whether a token may stand in a text, the end mark included."""
        allowed = np.ones(self._num_scores, dtype=np.bool_)
        allowed[self.special_token_ids] = False
        allowed[self.eos_token_id] = True
        return allowed

    @cached_property
    def _like_calls(self) -> list[Ids]:
        """For each length of text that a reply shares with a call: the tokens that would share more."""
        rests = [CALL_START[start:].encode() for start in range(len(CALL_START))]
        pairs = [(i, token) for i, token in enumerate(self.tokens) if token and token[:1] in b'{"name: ']
        return [self._ids(i for i, t in pairs if t.startswith(rest) or rest.startswith(t)) for rest in rests]

    @cached_property
    def _like_calls_after_space(self) -> Ids:
        """Tokens that look like the start of a call once their space is dropped."""
        start = CALL_START.encode()
        rests = ((i, token[1:]) for i, token in enumerate(self.tokens) if token[:1] == b" " and len(token) > 1)
        return self._ids(i for i, rest in rests if rest.startswith(start) or start.startswith(rest))

    def like_call(self, num_shared: int, *, drops_space: bool) -> Ids:
        """Tokens after which a reply that shares so many characters with a call would share more."""
        found = self._like_calls[num_shared]
        return np.concatenate((found, self._like_calls_after_space)) if drops_space else found

    @staticmethod
    def _ids(found: Any) -> Ids:
        return np.fromiter(found, dtype=np.int64)
