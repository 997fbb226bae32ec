"""Text in, ids out, and back: against SentencePiece itself."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import sentencepiece as spm

from chatglm_slim_llm.network import ChatGLMTokenizer, StreamDecoder

TINY = Path(__file__).parents[1] / "data" / "reference" / "tiny_v11"
FULL = Path(__file__).parents[1] / "data" / "reference" / "tiny_v10_full"


@pytest.fixture(scope="module")
def tokenizer():
    return ChatGLMTokenizer.from_pretrained(TINY)


def test_a_stream_of_any_ids_joins_to_what_sentencepiece_decodes(tokenizer):
    plain = spm.SentencePieceProcessor(model_file=str(TINY / "ice_text.model"))
    rng = random.Random(0)
    odd = [0, 1, 2, 4, 5, 5, 5, *range(861, 1205)]  # controls, blanks and bytes: where decoders differ
    for _ in range(3000):
        ids = [rng.choice(odd) if rng.random() < 0.6 else rng.randrange(6, 861) for _ in range(rng.randrange(9))]
        decoder = StreamDecoder(tokenizer)
        streamed = "".join(decoder.push(i) for i in ids) + decoder.flush()
        expected = plain.decode(ids).replace("<n>", "\n").replace("<|tab|>", "\t")
        for blanks in range(80, 1, -1):
            expected = expected.replace(f"<|blank_{blanks}|>", " " * blanks)
        assert streamed == expected, ids


@pytest.mark.parametrize("text", ["👩‍👩‍👧", "𠮷野家", "ñandú 한국어 😊!"])
def test_no_part_of_a_stream_shows_half_a_character(tokenizer, text):
    decoder = StreamDecoder(tokenizer)
    parts = [decoder.push(i) for i in tokenizer.encode(text, add_special_tokens=False)]
    assert "".join(parts) == text
    assert not any("\ufffd" in part for part in parts)


@pytest.mark.parametrize("typed", ["<sop>", "<eop>", "[gMASK]", "[MASK]", "<pad>", "<unk>", "</s>", "a<eop>b"])
def test_typed_control_tokens_stay_text(tokenizer, typed):
    ids = tokenizer.encode(typed, add_special_tokens=False)
    assert not {0, 1, 2, 3, 861, 862, 863, 865, 866} & set(ids)
    assert tokenizer.decode(ids) == typed


def test_rows_that_no_piece_uses_decode_to_nothing(tokenizer):
    assert tokenizer.decode([5, 126, 1210]) == "你好"
    assert tokenizer.decode([5, 126, 3, 866]) == "你好"


def test_a_lone_surrogate_is_refused_with_its_place(tokenizer):
    with pytest.raises(ValueError, match=r"lone surrogate U\+D83D at character 2"):
        tokenizer.encode("你好\ud83d")


def test_a_batch_is_padded_on_the_left(tokenizer):
    batch = tokenizer(["你好", "Hello world, this is long"], padding=True)
    assert batch["input_ids"][0][:9] == [3] * 9
    assert batch["attention_mask"][0] == [0] * 9 + [1] * 4


def test_a_pair_is_a_prompt_and_its_reply(tokenizer):
    assert tokenizer("你好", "再见")["input_ids"] == [5, 126, 862, 865, 5, 168, 866]


def test_a_hundred_thousand_characters_are_encoded_and_come_back(tokenizer):
    text = "今天天气不错 hello.\n" * 6000
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_the_ids_of_a_full_checkpoint_start_after_the_image_tokens(tmp_path, tokenizer):
    shutil.copy(TINY / "ice_text.model", tmp_path)
    full = ChatGLMTokenizer(str(tmp_path / "ice_text.model"), num_image_tokens=20_000)
    assert full.encode("你好") == [i + 20_000 for i in tokenizer.encode("你好")]
    assert full.decode([17, *full.encode("你好")]) == "你好"


def test_configs_of_march_2023_name_the_end_of_a_reply_otherwise():
    old = ChatGLMTokenizer(str(TINY / "ice_text.model"), eos_token="</s>", eop_token="<eop>")
    assert old.eos_token_id == 866


def test_an_early_file_without_the_special_pieces_is_completed_in_memory(tokenizer):
    early = ChatGLMTokenizer(str(FULL / "ice_text.model"))
    for text in ("你好", "a\n\tb   c 😊", "def main():\n    pass"):
        assert early.encode(text) == tokenizer.encode(text)
    assert early.get_vocab() == tokenizer.get_vocab()


def test_a_pointer_file_is_named_for_what_it_is(tmp_path):
    pointer = tmp_path / "ice_text.model"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:5e97\nsize 2706249\n")
    with pytest.raises(ValueError, match="Git LFS pointer"):
        ChatGLMTokenizer(str(pointer))


def test_a_file_that_is_no_sentencepiece_model_is_refused(tmp_path):
    (tmp_path / "ice_text.model").write_bytes(b"\x00\xff not a model")
    with pytest.raises(ValueError, match="is not the SentencePiece model of a ChatGLM-6B checkpoint"):
        ChatGLMTokenizer(str(tmp_path / "ice_text.model"))


@pytest.mark.parametrize("typed", ["<|blank_99|>", "<|blank_5000|>", "<|blank_99999999999999999999|>", "<|blank_0|>"])
def test_runs_of_spaces_that_no_piece_stands_for_stay_text(tokenizer, typed):
    ids = tokenizer.encode(typed, add_special_tokens=False)
    decoder = StreamDecoder(tokenizer)
    assert tokenizer.decode(ids) == typed
    assert "".join(decoder.push(i) for i in ids) + decoder.flush() == typed
