from __future__ import annotations

import pytest
from checkpoint_samples import REFERENCE, copy_reference, edit_json, edit_weights, random_model

from chatglm_slim_llm.checkpoint.files import list_weights
from chatglm_slim_llm.checkpoint.layout import check_tensors, expected_tensors, is_block_linear
from chatglm_slim_llm.checkpoint.settings import parse_config, read_config
from chatglm_slim_llm.errors import CheckpointFormatError, VocabularyMismatchError

DENSE = "transformer.layers.1.mlp.dense_h_to_4h.weight"


@pytest.fixture
def tiny(tmp_path):
    return copy_reference("tiny_v11", tmp_path / "tiny")


def _check(folder):
    check_tensors(list_weights(folder), parse_config(read_config(folder), folder / "config.json"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"quantization_bit": 8},
        {"quantization_bit": 4},
        {"quantization_bit": 4, "quantization_embeddings": True},
        {"pre_seq_len": 5},
        {"pre_seq_len": 5, "prefix_projection": True},
    ],
)
def test_the_layout_is_that_of_the_model(settings):
    model = random_model(**settings)
    state = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if "lm_head" not in name}
    assert {name: slot.shape for name, slot in expected_tensors(model.config).items()} == state


@pytest.mark.parametrize("name", ["tiny_v11", "tiny_v10_full", "quant_int4"])
def test_the_originals_checkpoints_fit(name):
    _check(REFERENCE / name)


def test_only_the_four_linears_of_a_block_are_quantised():
    block = "transformer.layers.0."
    names = [name for name in list_weights(REFERENCE / "tiny_v11").specs if name.startswith(block)]
    found = {name.removeprefix(block) for name in names if is_block_linear(name)}
    assert found == {
        "attention.query_key_value.weight",
        "attention.dense.weight",
        "mlp.dense_h_to_4h.weight",
        "mlp.dense_4h_to_h.weight",
    }
    assert not is_block_linear("lm_head.weight")


def test_a_missing_tensor_is_named(tiny):
    edit_weights(tiny, lambda tensors: tensors.pop(DENSE))
    with pytest.raises(CheckpointFormatError, match="lack 1 tensors") as caught:
        _check(tiny)
    assert caught.value.key == DENSE


def test_an_unexpected_tensor_is_named(tiny):
    edit_weights(tiny, lambda tensors: tensors.update({"transformer.extra": tensors[DENSE].clone()}))
    with pytest.raises(CheckpointFormatError, match=r"'transformer\.extra'"):
        _check(tiny)


def test_a_tensor_of_the_wrong_shape_gives_both_shapes(tiny):
    edit_weights(tiny, lambda tensors: tensors.update({DENSE: tensors[DENSE][:, :60].contiguous()}))
    with pytest.raises(CheckpointFormatError, match=r"\[256, 60\].*expected \[256, 64\].*another model"):
        _check(tiny)


def test_an_absent_head_is_fine(tiny):
    edit_weights(tiny, lambda tensors: tensors.pop("lm_head.weight"))
    _check(tiny)


def test_config_and_weights_of_different_vocabularies_give_both_numbers(tmp_path):
    full = copy_reference("tiny_v10_full", tmp_path / "full")
    edit_json(full / "config.json", vocab_size=1216)
    with pytest.raises(VocabularyMismatchError, match=r"21,216 rows.*vocab_size 1,216.*150,528") as caught:
        _check(full)
    assert (caught.value.expected, caught.value.found) == (1216, 21216)


def test_quantised_weights_need_a_config_that_says_so(tmp_path):
    folder = copy_reference("quant_int4", tmp_path / "quant_fp16")
    edit_json(folder / "config.json", quantization_bit=None, quantization_embeddings=None)
    with pytest.raises(CheckpointFormatError, match=r"quantised, but config\.json has no quantization_bit"):
        _check(folder)


def test_a_config_that_promises_quantised_weights_needs_them(tiny):
    edit_json(tiny / "config.json", quantization_bit=4)
    with pytest.raises(CheckpointFormatError, match="quantization_bit 4, but these weights are not quantised"):
        _check(tiny)


def test_a_config_with_another_level_is_the_likely_cause(tmp_path):
    folder = copy_reference("quant_int4", tmp_path / "quant")
    edit_json(folder / "config.json", quantization_bit=8)
    with pytest.raises(CheckpointFormatError, match=r"\[64, 32\].*expected \[64, 64\].*another one"):
        _check(folder)


def test_a_pre_seq_len_without_a_prefix_is_explained(tiny):
    edit_json(tiny / "config.json", pre_seq_len=128)
    with pytest.raises(CheckpointFormatError, match="pre_seq_len 128, but no prefix is there"):
        _check(tiny)


def test_a_prefix_alone_is_explained():
    with pytest.raises(CheckpointFormatError, match=r"P-tuning prefix only.*load_prefix"):
        _check(REFERENCE / "ptuning_noproj")
