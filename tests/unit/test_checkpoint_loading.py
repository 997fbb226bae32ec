from __future__ import annotations

import json
from functools import partial

import pytest
import torch
from checkpoint_samples import (
    LFS_POINTER,
    REFERENCE,
    copy_reference,
    edit_json,
    edit_weights,
    random_model,
    write_checkpoint,
)
from safetensors.torch import load_file

from chatglm_slim_llm.checkpoint import load, load_model, load_tokenizer
from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import (
    CheckpointError,
    CheckpointFormatError,
    CheckpointNotFoundError,
    ConfigError,
    QuantizationError,
    VocabularyMismatchError,
)
from chatglm_slim_llm.kernels import QuantizedLinear, quantize_weight, replace_linears

TINY, FULL, INT4 = (REFERENCE / name for name in ("tiny_v11", "tiny_v10_full", "quant_int4"))
EMBEDDING, HEAD = "transformer.word_embeddings.weight", "lm_head.weight"
DENSE = "transformer.layers.1.attention.dense.weight"
NORM = "transformer.layers.0.input_layernorm.weight"


@pytest.fixture
def tiny(tmp_path):
    return copy_reference("tiny_v11", tmp_path / "tiny")


@torch.no_grad()
def _logits(model, ids):
    return model(torch.tensor([ids])).logits[0].float()


def test_logits_are_those_of_the_original():
    model = load_model(TINY, dtype=torch.float32)
    expected = load_file(REFERENCE / "expected" / "v11_forward.safetensors")
    for case in json.loads((REFERENCE / "expected" / "v11_forward.json").read_text())["cases"]:
        found = _logits(model, case["input_ids"])[case["logit_positions"]["tiny_v11"]]
        torch.testing.assert_close(found, expected[f"{case['name']}.tiny_v11.logits"], atol=3e-4, rtol=0)


def test_the_originals_int4_checkpoint_gives_the_originals_logits():
    model = load_model(INT4, dtype=torch.float32)
    expected = load_file(REFERENCE / "expected" / "quant.safetensors")
    for i, ids in enumerate(json.loads((REFERENCE / "expected" / "quant.json").read_text())["input_ids"]):
        torch.testing.assert_close(
            _logits(model, ids)[-2:], expected[f"quant_int4.{i}.logits_last2"], atol=3e-4, rtol=0
        )


def test_every_weight_is_what_the_file_holds():
    truth = load_file(TINY / "model.safetensors")
    for name, tensor in load_model(TINY).state_dict().items():
        assert torch.equal(tensor, truth[name].to(tensor.dtype)), name


def test_weights_become_fp16_and_layernorms_fp32_whatever_the_file_holds(tmp_path):
    tensors = random_model().state_dict()
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        stored = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        model = load_model(write_checkpoint(tmp_path / str(dtype), stored))
        for name, parameter in model.named_parameters():
            assert parameter.dtype == (torch.float32 if "layernorm" in name else torch.float16), name
            assert torch.equal(parameter, stored[name].to(parameter.dtype)), name


def test_the_model_is_ready_for_inference():
    model = load_model(TINY)
    assert not model.training
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


def test_bin_shards_and_safetensors_give_the_same_model(tiny):
    expected = load_model(tiny).state_dict()
    tensors = load_file(tiny / "model.safetensors")
    (tiny / "model.safetensors").unlink()
    names, shards = sorted(tensors), ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
    for offset, shard in enumerate(shards):
        torch.save({name: tensors[name] for name in names[offset::2]}, tiny / shard)
    weight_map = {name: shards[i % 2] for i, name in enumerate(names)}
    (tiny / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    found = load_model(tiny).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_the_head_is_the_embedding_whether_the_file_has_it_or_not(tiny):
    expected = load_file(tiny / "model.safetensors")[EMBEDDING]
    for change in (lambda tensors: tensors[HEAD].fill_(3), lambda tensors: tensors.pop(HEAD)):
        edit_weights(tiny, change)
        model = load_model(tiny)
        assert model.lm_head.weight is model.transformer.word_embeddings.weight
        assert torch.equal(model.lm_head.weight, expected)


def test_quantising_while_reading_is_quantising_the_loaded_model():
    for bits, group_size, level in ((8, 0, "int8"), (4, 128, "int4")):
        expected, found = load_model(TINY), load_model(TINY, quantization=level)
        replace_linears(expected, partial(QuantizedLinear.from_linear, bits=bits, group_size=group_size))
        assert (found.config.quantization_bit, found.config.quantization_group_size) == (bits, group_size)
        for name, tensor in expected.state_dict().items():
            assert torch.equal(found.state_dict()[name], tensor), name


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_embeddings_load(tmp_path, bits):
    plain = random_model()
    level = {"quantization_bit": bits, "quantization_embeddings": True}
    tensors = {}
    for name, tensor in plain.state_dict().items():
        is_matrix = tensor.dim() == 2
        packed, scale = quantize_weight(tensor.half(), bits) if is_matrix else (tensor, None)
        tensors |= {name: packed} | ({f"{name}_scale": scale} if is_matrix else {})
    model = load_model(write_checkpoint(tmp_path / "qe", tensors, **level), dtype=torch.float32)
    rebuilt = {}
    for name, tensor in tensors.items():
        if f"{name}_scale" in tensors:
            levels = tensor if bits == 8 else torch.stack((tensor >> 4, (tensor << 4) >> 4), -1).flatten(-2)
            rebuilt[name] = levels.float() * tensors[f"{name}_scale"].float()[:, None]
        elif not name.endswith("_scale"):
            rebuilt[name] = tensor
    plain.load_state_dict(rebuilt)
    ids = [5, 126, 862, 865]
    torch.testing.assert_close(_logits(model, ids), _logits(plain.eval(), ids), atol=2e-2, rtol=0)  # rows come as fp16


@pytest.mark.parametrize("wanted", [None, "fp16", "int4"])
def test_a_quantised_checkpoint_keeps_its_level(wanted):
    assert load_model(INT4, quantization=wanted).config.quantization_bit == 4


def test_another_level_than_the_checkpoints_is_refused():
    with pytest.raises(QuantizationError, match="already quantised to int4 and cannot become int8") as caught:
        load_model(INT4, quantization="int8")
    assert caught.value.bits == 8


@pytest.mark.parametrize("quantization", ["fp16", "int8", "int4"])
@pytest.mark.parametrize("name", [EMBEDDING, DENSE, NORM])
@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_a_weight_that_is_no_number_names_its_tensor(tiny, quantization, name, bad):
    edit_weights(tiny, lambda tensors: tensors[name].view(-1)[7].fill_(bad))
    with pytest.raises(CheckpointFormatError, match="NaN or infinite") as caught:
        load_model(tiny, quantization=quantization)
    assert caught.value.key == name


def test_a_number_too_large_for_fp16_is_not_turned_into_infinity(tmp_path):
    tensors = random_model().state_dict()
    tensors[DENSE][0, 0] = 1e6
    folder = write_checkpoint(tmp_path / "large", tensors)
    for quantization in ("fp16", "int4"):
        with pytest.raises(CheckpointFormatError, match="too large for fp16"):
            load_model(folder, quantization=quantization)
    assert load_model(folder, dtype=torch.float32).get_parameter(DENSE)[0, 0] == 1e6


def test_progress_ends_at_the_total():
    seen = []
    load_model(TINY, progress=lambda what, done, total: seen.append((what, done, total)))
    assert seen[-1][1] == seen[-1][2] == sum(t.nbytes for t in load_file(TINY / "model.safetensors").values())
    assert {what for what, _, _ in seen} == {"reading tiny_v11"}


def test_a_full_checkpoint_loads_as_a_bare_model():
    model = load_model(FULL)
    assert model.config.vocab_size == 21216
    assert model.config.gmask_token_id == 20862


def test_load_gives_all_that_an_engine_needs(tmp_path):
    loaded = load(LoadOptions(model=str(TINY), quantization="int8", device="cpu"))
    assert (loaded.folder, loaded.level, loaded.device.type, loaded.is_demo) == (TINY, "int8", "cpu", False)
    assert loaded.tokenizer.encode("你好") == [5, 126, 862, 865]


def test_load_tells_the_level_that_a_checkpoint_has(tmp_path):
    folder = copy_reference("quant_int4", tmp_path / "q")
    for name in ("ice_text.model", "tokenizer_config.json"):
        (folder / name).write_bytes((TINY / name).read_bytes())
    assert load(LoadOptions(model=str(folder))).level == "int4"


def test_load_of_an_early_full_checkpoint_says_to_slim_it():
    with pytest.raises(VocabularyMismatchError, match="chatglm-slim slim SRC DST"):
        load(LoadOptions(model=str(FULL)))


def test_load_with_the_tokenizer_of_another_checkpoint_gives_both_numbers(tmp_path):
    full = copy_reference("tiny_v10_full", tmp_path / "full")
    (full / "ice_text.model").write_bytes((TINY / "ice_text.model").read_bytes())
    with pytest.raises(VocabularyMismatchError, match=r"1,205 tokens with <sop> at 865.*21,216") as caught:
        load(LoadOptions(model=str(full)))
    assert (caught.value.expected, caught.value.found) == (21216, 1205)


def test_load_names_a_folder_that_is_missing(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="nowhere"):
        load(LoadOptions(model=str(tmp_path / "nowhere")), allow_download=False)


def test_a_device_that_is_not_there_is_refused():
    missing = "cuda" if not torch.cuda.is_available() else "cuda:99"
    with pytest.raises(ConfigError, match=missing) as caught:
        load(LoadOptions(model=str(TINY), device=missing))
    assert caught.value.key == "device"


@pytest.mark.parametrize("content", [LFS_POINTER.encode(), b"<html>404</html>", b""])
def test_a_tokenizer_file_that_is_none_is_refused(tiny, content):
    (tiny / "ice_text.model").write_bytes(content)
    with pytest.raises(CheckpointFormatError, match=r"ice_text\.model"):
        load_tokenizer(tiny)


def test_a_broken_tokenizer_config_is_refused(tiny):
    (tiny / "tokenizer_config.json").write_text("{")
    with pytest.raises(CheckpointError, match="tokenizer"):
        load_tokenizer(tiny)


def test_the_tokenizer_does_not_need_its_config(tiny):
    (tiny / "tokenizer_config.json").unlink()
    assert load_tokenizer(tiny).encode("你好") == [5, 126, 862, 865]


def test_a_missing_tokenizer_is_named(tiny):
    (tiny / "ice_text.model").unlink()
    with pytest.raises(CheckpointNotFoundError, match=r"ice_text\.model"):
        load(LoadOptions(model=str(tiny)))


def test_the_shape_of_a_model_can_be_had_without_its_memory(tiny):
    edit_json(tiny / "config.json", quantization_bit=None)
    assert all(parameter.is_meta for parameter in load_model(tiny, device="meta").parameters())
