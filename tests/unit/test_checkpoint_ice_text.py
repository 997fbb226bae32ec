from __future__ import annotations

import pytest
import sentencepiece as spm
from checkpoint_samples import LFS_POINTER, REFERENCE

from chatglm_slim_llm.checkpoint.ice_text import read_complete_ice_text, read_ice_text
from chatglm_slim_llm.errors import CheckpointFormatError, CheckpointNotFoundError
from chatglm_slim_llm.network.ice_text import ADDED_PIECES, added_records, complete

EARLY = (REFERENCE / "tiny_v10_full" / "ice_text.model").read_bytes()
LATE = (REFERENCE / "tiny_v11" / "ice_text.model").read_bytes()


def test_the_early_file_becomes_the_late_one_byte_for_byte():
    assert complete(EARLY) == (LATE, 861)


def test_a_complete_file_stays_as_it_is():
    assert complete(LATE) == (LATE, 861)


def test_the_real_file_would_grow_by_what_the_real_one_grew():
    before, after = 2_699_926, 2_706_249  # the two published files
    assert sum(map(len, added_records())) + len(b"\x98\x02\x01") == after - before


def test_sentencepiece_reads_the_result():
    model = spm.SentencePieceProcessor()
    model.load_from_serialized_proto(complete(EARLY)[0])
    assert [model.id_to_piece(i) for i in range(861, 1205)] == [piece for piece, _ in ADDED_PIECES]
    assert model.is_control(model.piece_to_id("<sop>"))
    assert model.is_byte(model.piece_to_id("<0x0A>"))
    assert model.decode(model.encode("👋")) == "👋"  # not among the words: by byte fallback


def test_byte_fallback_that_was_switched_off_is_switched_on():
    off = LATE.replace(b"\x98\x02\x01", b"\x98\x02\x00").replace(b"".join(added_records()), b"")
    assert complete(off) == (LATE, 861)


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff", b"<html>", LATE[:-1], EARLY[:100_000]])
def test_what_is_no_sentencepiece_model_is_refused(content):
    with pytest.raises(ValueError, match="SentencePiece model"):
        complete(content)


def test_a_file_with_only_some_of_the_pieces_is_refused():
    with pytest.raises(ValueError, match=r"\[MASK\] but not"):
        complete(LATE.replace(added_records()[-1], b""))


def test_the_file_at_fault_is_named(tmp_path):
    (tmp_path / "ice_text.model").write_bytes(b"<html>")
    with pytest.raises(CheckpointFormatError, match=r"ice_text\.model: this is not a SentencePiece model"):
        read_complete_ice_text(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=r"no ice_text\.model"):
        read_ice_text(tmp_path)


def test_a_git_lfs_pointer_says_what_to_do(tmp_path):
    (tmp_path / "ice_text.model").write_text(LFS_POINTER)
    with pytest.raises(CheckpointFormatError, match="git lfs pull"):
        read_ice_text(tmp_path)
