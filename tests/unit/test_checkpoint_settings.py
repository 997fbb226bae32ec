from __future__ import annotations

import json

import pytest
from checkpoint_samples import LFS_POINTER, REFERENCE, copy_reference, edit_json

from chatglm_slim_llm.checkpoint.settings import parse_config, read_config
from chatglm_slim_llm.errors import CheckpointFormatError, CheckpointNotFoundError, QuantizationError


@pytest.fixture
def config_file(tmp_path):
    return copy_reference("tiny_v11", tmp_path / "tiny") / "config.json"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="nowhere is not a folder"):
        read_config(tmp_path / "nowhere")


def test_a_folder_without_config_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=r"no config\.json"):
        read_config(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "not json", "\xff\xfe", "[" * 100_000])
def test_a_config_that_is_not_json_says_so(config_file, content):
    config_file.write_text(content, encoding="latin-1")
    with pytest.raises(CheckpointFormatError, match="is not JSON"):
        read_config(config_file.parent)


def test_a_config_that_is_no_object_says_so(config_file):
    config_file.write_text("[1]")
    with pytest.raises(CheckpointFormatError, match="holds a list"):
        read_config(config_file.parent)


def test_a_git_lfs_pointer_says_what_to_do(config_file):
    config_file.write_text(LFS_POINTER)
    with pytest.raises(CheckpointFormatError, match="git lfs pull"):
        read_config(config_file.parent)


@pytest.mark.parametrize("kind", ["llama", None])
def test_a_config_of_another_model_is_refused(config_file, kind):
    edit_json(config_file, model_type=kind)
    with pytest.raises(CheckpointFormatError, match="expected 'chatglm'") as caught:
        read_config(config_file.parent)
    assert caught.value.key == "model_type"


def test_a_config_of_chatglm2_is_told_apart(config_file):
    edit_json(config_file, padded_vocab_size=65024)
    with pytest.raises(CheckpointFormatError, match="ChatGLM2 or ChatGLM3"):
        read_config(config_file.parent)


@pytest.mark.parametrize("value", [None, "28", 0, -1, 2.5, True])
def test_a_size_that_is_no_number_is_named(config_file, value):
    edit_json(config_file, num_layers=value)
    with pytest.raises(CheckpointFormatError, match="num_layers is"):
        read_config(config_file.parent)


def test_sizes_that_do_not_fit_together_are_refused(config_file):
    edit_json(config_file, hidden_size=63)
    with pytest.raises(CheckpointFormatError, match="hidden_size 63"):
        parse_config(read_config(config_file.parent), config_file)


def test_a_level_that_does_not_exist_is_refused(config_file):
    edit_json(config_file, quantization_bit=3)
    with pytest.raises(QuantizationError, match="quantization_bit is 3"):
        parse_config(read_config(config_file.parent), config_file)


def test_ids_that_the_first_release_left_out_are_filled_in():
    folder = REFERENCE / "tiny_v10_full"
    assert "gmask_token_id" not in json.loads((folder / "config.json").read_text())
    config = parse_config(read_config(folder), folder / "config.json")
    assert (config.mask_token_id, config.gmask_token_id) == (20861, 20862)  # 20,000 image tokens and 861 words


def test_code_in_a_checkpoint_is_not_pointed_to(config_file):
    assert "auto_map" in read_config(config_file.parent)
    assert not hasattr(parse_config(read_config(config_file.parent), config_file), "auto_map")
