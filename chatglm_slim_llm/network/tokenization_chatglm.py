"""Text to ids and back, over the checkpoint's own SentencePiece model.

Before SentencePiece sees a text, line ends, tabs and runs of spaces become pieces of their own. Text that a
person typed never becomes a control token: ``<sop>`` in a message stays five letters.
"""

from __future__ import annotations

import re
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import sentencepiece as spm
from transformers import PreTrainedTokenizer

from chatglm_slim_llm.network.ice_text import ICE_TEXT, complete

_MOST_BLANKS = 80
_SPACES = re.compile(f" {{2,{_MOST_BLANKS}}}")
_BLANK = re.compile(r"<\|blank_([2-9]|[1-7]\d|80)\|>")
_SURROGATE = re.compile("[\ud800-\udfff]")
_GMASK = b"[gMASK]"
_LFS_HEADER = b"version https://git-lfs"


class ChatGLMTokenizer(PreTrainedTokenizer):
    """Tokenizer of ChatGLM-6B and ChatGLM-6B-Slim.

    Args:
        vocab_file: the SentencePiece model; the 344 special pieces that early files lack are added in memory.
        num_image_tokens: ids before the first text token; 0 in a slim checkpoint, 20,000 in a full one.
        split_special_tokens: True keeps typed control tokens as text; False splits them out as the original did.
        eop_token: how the configs of March 2023 name what is ``eos_token`` here.
        **kwargs: as for every tokenizer of transformers.
    """

    vocab_files_names = {"vocab_file": ICE_TEXT}
    model_input_names = ["input_ids", "attention_mask"]
    padding_side = "left"

    def __init__(
        self,
        vocab_file: str,
        *,
        bos_token: str = "<sop>",
        eos_token: str = "<eop>",
        end_token: str = "</s>",
        mask_token: str = "[MASK]",
        gmask_token: str = "[gMASK]",
        pad_token: str = "<pad>",
        unk_token: str = "<unk>",
        num_image_tokens: int = 0,
        split_special_tokens: bool = True,
        eop_token: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.vocab_file, self.num_image_tokens = vocab_file, num_image_tokens
        self.gmask_token, self.end_token = str(gmask_token), str(end_token)
        self._sp = _read_model(Path(vocab_file))
        kwargs.pop("clean_up_tokenization_spaces", None)  # it damages code: "a , b" would lose a space
        super().__init__(
            bos_token=bos_token,
            eos_token=eop_token or eos_token,
            mask_token=mask_token,
            pad_token=pad_token,
            unk_token=unk_token,
            split_special_tokens=split_special_tokens,
            num_image_tokens=num_image_tokens,
            gmask_token=str(gmask_token),
            end_token=str(end_token),
            **kwargs,
        )

    @property
    def vocab_size(self) -> int:
        """Number of ids that stand for something; the embedding may have more rows."""
        return int(self._sp.get_piece_size()) + self.num_image_tokens

    @cached_property
    def _vocab(self) -> dict[str, int]:
        images = {f"<image_{i}>": i for i in range(self.num_image_tokens)}
        pieces = (self._sp.id_to_piece(i) for i in range(self._sp.get_piece_size()))
        return images | {piece: i for i, piece in enumerate(pieces, self.num_image_tokens)}

    def get_vocab(self) -> dict[str, int]:
        """Every piece with its id."""
        return self._vocab | self._added_tokens_encoder

    @property
    def gmask_token_id(self) -> int:
        """Id of [gMASK]."""
        return self._convert_token_to_id(self.gmask_token)

    @property
    def end_token_id(self) -> int:
        """Id of </s>, which the model does not use to end a reply."""
        return self._convert_token_to_id(self.end_token)

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        if bad := _SURROGATE.search(text):
            raise ValueError(
                f"the text has a lone surrogate U+{ord(bad[0]):04X} at character {bad.start()}, which is no character; "
                "decode the text with its right encoding, or drop it with text.encode('utf-8', 'ignore').decode()"
            )
        return list(self._sp.encode(_mark_whitespace(text), out_type=str))

    def _convert_token_to_id(self, token: str) -> int:
        return self._vocab.get(token, self._vocab[str(self.unk_token)])

    def _convert_id_to_token(self, index: int) -> str:
        piece = index - self.num_image_tokens
        if piece < 0:
            return f"<image_{index}>"
        return str(self._sp.id_to_piece(piece)) if piece < self._sp.get_piece_size() else ""

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Pieces to text."""
        return self._ids_to_text([self._convert_token_to_id(token) for token in tokens])

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """ids [gMASK] <sop>, and for a pair (prompt, reply) also the reply and <eop>."""
        prompt = [*token_ids_0, self.gmask_token_id, self.bos_token_id]
        return prompt if token_ids_1 is None else [*prompt, *token_ids_1, self.eos_token_id]

    def _decode(
        self,
        token_ids: int | list[int],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> str:
        # clean_up_tokenization_spaces is taken and ignored: it would damage code.
        ids = [token_ids] if isinstance(token_ids, int) else list(token_ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else {self.pad_token_id}
        return self._ids_to_text([i for i in ids if i not in skipped])

    def _ids_to_text(self, ids: list[int]) -> str:
        shifted = (i - self.num_image_tokens for i in ids)
        known = [i for i in shifted if 0 <= i < self._sp.get_piece_size()]  # unused rows have no text
        return _restore_whitespace(self._sp.decode(known))

    @cached_property
    def piece_texts(self) -> dict[int, str | bytes]:
        """What each id adds to a text: characters, with "▁" for a space between words, or one byte of a character.

        Control pieces add nothing; padding and unused rows are left out.
        """
        ids = range(self.num_image_tokens, self.vocab_size)
        return {i: self._piece_text(i - self.num_image_tokens) for i in ids if i != self.pad_token_id}

    def _piece_text(self, piece_id: int) -> str | bytes:
        piece = str(self._sp.id_to_piece(piece_id))
        if self._sp.is_control(piece_id):
            return ""
        if self._sp.is_byte(piece_id):
            return bytes([int(piece[3:-1], 16)])
        if self._sp.is_unknown(piece_id):
            return str(self._sp.decode([piece_id]))
        return _restore_whitespace(piece)

    @cached_property
    def drops_leading_space(self) -> bool:
        """Whether decoding drops a "▁" at the start of a text."""
        return str(self._sp.decode([self._sp.piece_to_id("▁")])) == ""

    @cached_property
    def drops_all_leading_spaces(self) -> bool:
        """Whether decoding drops every "▁" at the start of a text, or only the one that encoding put there."""
        space = self._sp.piece_to_id("▁")
        return str(self._sp.decode([space, space])) == ""

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Copy the SentencePiece model to ``save_directory``."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        target = Path(save_directory) / (prefix + ICE_TEXT)
        if not target.exists() or not target.samefile(self.vocab_file):
            shutil.copyfile(self.vocab_file, target)
        return (str(target),)


def _read_model(path: Path) -> spm.SentencePieceProcessor:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; a checkpoint holds its SentencePiece model under this name")
    content = path.read_bytes()
    if content.startswith(_LFS_HEADER):
        raise ValueError(
            f"{path} is a Git LFS pointer of {len(content)} bytes, not the file itself; run `git lfs pull` in its "
            "folder, or download the file"
        )
    model = spm.SentencePieceProcessor()
    try:
        if _GMASK not in content:  # an early file; reading 130,000 pieces takes too long to do it always
            content, _ = complete(content)
        model.load_from_serialized_proto(content)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is not the SentencePiece model of a ChatGLM-6B checkpoint: {error}") from error
    return model


def _mark_whitespace(text: str) -> str:
    text = text.replace("\n", "<n>").replace("\t", "<|tab|>")
    return _SPACES.sub(lambda spaces: f"<|blank_{len(spaces[0])}|>", text)


def _restore_whitespace(text: str) -> str:
    text = text.replace("<n>", "\n").replace("<|tab|>", "\t")
    return _BLANK.sub(lambda blank: " " * int(blank[1]), text)
