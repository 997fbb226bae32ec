from __future__ import annotations

import json
import shutil

import pytest
import torch
from checkpoint_samples import REFERENCE, copy_reference, edit_json, random_model, write_checkpoint
from safetensors import safe_open

from chatglm_slim_llm.checkpoint import load_model, load_tokenizer, slim
from chatglm_slim_llm.errors import (
    CheckpointError,
    CheckpointFormatError,
    CheckpointNotFoundError,
    VocabularyMismatchError,
)

FULL = REFERENCE / "tiny_v10_full"
NUM_IMAGE_TOKENS = 20_000


@pytest.fixture
def full(tmp_path):
    return copy_reference("tiny_v10_full", tmp_path / "full")


@pytest.fixture(scope="module")
def slimmed(tmp_path_factory):
    target = tmp_path_factory.mktemp("slim") / "slim"
    slim(FULL, target)
    return target


def _read_all(folder):
    tensors = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            tensors |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    return tensors


def test_only_the_rows_of_image_tokens_are_gone(slimmed):
    truth = {}
    for path in FULL.glob("*.bin"):
        truth |= torch.load(path, weights_only=True)
    found = _read_all(slimmed)
    assert found.keys() == truth.keys()
    for name, tensor in truth.items():
        expected = tensor[NUM_IMAGE_TOKENS:] if name.endswith(("word_embeddings.weight", "lm_head.weight")) else tensor
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], expected)


def test_logits_of_text_are_bit_identical(slimmed):
    full_model, slim_model = (load_model(folder, dtype=torch.float32) for folder in (FULL, slimmed))
    for case in json.loads((REFERENCE / "expected" / "v10.json").read_text())["cases"]:
        with torch.no_grad():
            expected = full_model(torch.tensor([case["input_ids"]])).logits[..., NUM_IMAGE_TOKENS:]
            found = slim_model(torch.tensor([case["slim_input_ids"]])).logits
        assert torch.equal(found, expected)


def test_the_config_gets_the_ids_that_were_built_into_the_code(slimmed):
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (FULL, slimmed))
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    assert changed == {
        "vocab_size": 1216,
        "bos_token_id": 865,
        "eos_token_id": 866,
        "mask_token_id": 861,
        "gmask_token_id": 862,
        "pad_token_id": 3,
    }
    assert before.keys() <= after.keys()


def test_the_tokenizer_is_that_of_the_later_release(slimmed):
    late = REFERENCE / "tiny_v11"
    assert (slimmed / "ice_text.model").read_bytes() == (late / "ice_text.model").read_bytes()
    expected = json.loads((late / "tokenizer_config.json").read_text())
    expected.pop("auto_map")
    assert json.loads((slimmed / "tokenizer_config.json").read_text()) == expected
    assert load_tokenizer(slimmed).encode("你好") == load_tokenizer(late).encode("你好")


def test_the_index_gives_the_true_size(slimmed):
    index = json.loads((slimmed / "model.safetensors.index.json").read_text())
    tensors = _read_all(slimmed)
    assert index["weight_map"].keys() == tensors.keys()
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in tensors.values())


def test_mixed_dtypes_and_quantised_embeddings_are_kept(tmp_path):
    vocabulary = {"vocab_size": 21216, "bos_token_id": 20865, "eos_token_id": 20866}
    level = {"quantization_bit": 4, "quantization_embeddings": True}
    tensors = random_model(**vocabulary, **level).state_dict()
    generator = torch.Generator().manual_seed(1)
    for name, tensor in tensors.items():
        if tensor.dtype == torch.int8:
            tensor.random_(-128, 127, generator=generator)
        elif name.endswith("weight_scale"):
            tensor.uniform_(0.001, 0.01, generator=generator)
        elif "layernorm" not in name:
            tensors[name] = tensor.half()
    write_checkpoint(tmp_path / "full", tensors, **vocabulary, **level)
    slim(tmp_path / "full", tmp_path / "slim")
    found = _read_all(tmp_path / "slim")
    assert found["transformer.final_layernorm.weight"].dtype == torch.float32
    for name in ("transformer.word_embeddings.weight", "transformer.word_embeddings.weight_scale"):
        assert found[name].dtype == tensors[name].dtype
        assert torch.equal(found[name], tensors[name][NUM_IMAGE_TOKENS:])
    assert load_model(tmp_path / "slim").config.quantization_embeddings


def test_ids_in_the_generation_settings_move_too(full, tmp_path):
    settings = {"eos_token_id": [20866, 20002], "pad_token_id": 20003, "max_length": 25000}
    (full / "generation_config.json").write_text(json.dumps(settings))
    slim(full, tmp_path / "slim")
    moved = json.loads((tmp_path / "slim" / "generation_config.json").read_text())
    assert moved == {"eos_token_id": [866, 2], "pad_token_id": 3, "max_length": 25000}


def test_a_later_full_checkpoint_with_complete_tokenizer_is_slimmed_too(full, tmp_path, slimmed):
    shutil.copy(REFERENCE / "tiny_v11" / "ice_text.model", full)
    edit_json(full / "tokenizer_config.json", num_image_tokens=NUM_IMAGE_TOKENS)
    edit_json(full / "config.json", mask_token_id=20861, gmask_token_id=20862, pad_token_id=20003)
    slim(full, tmp_path / "slim")
    for name in ("config.json", "tokenizer_config.json"):
        assert json.loads((tmp_path / "slim" / name).read_text()) == json.loads((slimmed / name).read_text())
    assert load_tokenizer(tmp_path / "slim").vocab_size == 1205


def test_no_code_is_copied_or_pointed_to(full, tmp_path):
    (full / "modeling_chatglm.py").write_text("raise SystemExit")
    (full / "MODEL_LICENSE").write_text("terms")
    auto_map = {"AutoModel": "modeling_chatglm.ChatGLMForConditionalGeneration"}
    edit_json(full / "config.json", auto_map=auto_map)
    slim(full, tmp_path / "slim")
    assert not list((tmp_path / "slim").glob("*.py"))
    assert "auto_map" not in (tmp_path / "slim" / "config.json").read_text()
    assert (tmp_path / "slim" / "MODEL_LICENSE").read_text() == "terms"


def test_the_source_is_left_as_it_was(full, tmp_path):
    before = {path.name: path.read_bytes() for path in full.iterdir()}
    slim(full, tmp_path / "slim")
    assert {path.name: path.read_bytes() for path in full.iterdir()} == before


def test_progress_ends_at_the_total(tmp_path):
    seen = []
    slim(FULL, tmp_path / "slim", progress=lambda what, done, total: seen.append((done, total)))
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] > 0
    assert seen == sorted(seen)


def test_an_already_slim_checkpoint_says_so(tmp_path):
    with pytest.raises(VocabularyMismatchError, match=r"already slim: 1,216 tokens") as caught:
        slim(REFERENCE / "tiny_v11", tmp_path / "slim")
    assert (caught.value.expected, caught.value.found) == (21216, 1216)
    assert list(tmp_path.iterdir()) == []


def test_another_vocabulary_is_refused_with_both_numbers(tmp_path):
    sizes = {"vocab_size": 3000, "bos_token_id": 2500, "eos_token_id": 2501}
    source = write_checkpoint(tmp_path / "other", random_model(**sizes).state_dict(), **sizes)
    with pytest.raises(VocabularyMismatchError, match=r"3,000 tokens.*at least 21,205") as caught:
        slim(source, tmp_path / "slim")
    assert (caught.value.expected, caught.value.found) == (21205, 3000)
    assert not (tmp_path / "slim").exists()


def test_a_config_of_the_slim_model_beside_full_weights_is_explained(full, tmp_path):
    edit_json(full / "config.json", vocab_size=1216, bos_token_id=865, eos_token_id=866)
    with pytest.raises(VocabularyMismatchError, match=r"21,216 rows.*vocab_size 1,216"):
        slim(full, tmp_path / "slim")


@pytest.mark.parametrize("name", ["ice_text.model", "config.json", "pytorch_model-00002-of-00002.bin"])
def test_a_missing_file_is_found_before_anything_is_written(full, tmp_path, name):
    (full / name).unlink()
    with pytest.raises(CheckpointNotFoundError, match=name):
        slim(full, tmp_path / "slim")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_truncated_shard_leaves_nothing_behind(full, tmp_path):
    shard = full / "pytorch_model-00002-of-00002.bin"
    shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(CheckpointFormatError, match="truncated"):
        slim(full, tmp_path / "slim")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_target_that_holds_something_is_not_touched(tmp_path):
    target = tmp_path / "slim"
    target.mkdir()
    (target / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="not an empty folder"):
        slim(FULL, target)
    assert [path.name for path in target.iterdir()] == ["thesis.txt"]


def test_an_empty_target_folder_is_filled(tmp_path):
    slim(FULL, tmp_path)
    assert (tmp_path / "config.json").is_file()
