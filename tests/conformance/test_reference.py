"""Every number that the original gave on the tiny models, against this project's public classes.

`tests/data/reference/README.md` says where the numbers come from. Another folder of the same layout is
tested with `CHATGLM_SLIM_REFERENCE=folder`.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conformance.reference_adapter import Adapter

DATA = Path(os.environ.get("CHATGLM_SLIM_REFERENCE", Path(__file__).parents[1] / "data" / "reference"))
TOLERANCE = 3e-4
ADAPTER = Adapter()


@functools.cache
def numbers(name):
    return json.loads((DATA / "expected" / f"{name}.json").read_text(encoding="utf-8"))


@functools.cache
def tensors(name):
    return load_file(DATA / "expected" / f"{name}.safetensors")


@functools.cache
def model(name):
    return ADAPTER.load_model(DATA / name)


@functools.cache
def tokenizer():
    return ADAPTER.load_tokenizer(DATA / "tiny_v11")


@functools.cache
def prefixed(name):
    return ADAPTER.load_model_with_prefix(DATA / "tiny_v11", DATA / name)


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


def close(found, expected, tolerance=TOLERANCE):
    torch.testing.assert_close(torch.as_tensor(found).float(), expected.float(), atol=tolerance, rtol=0)


def cases(name, key="cases"):
    return [pytest.param(case, id=str(case.get("name", i))) for i, case in enumerate(numbers(name)[key])]


def test_the_rotation_uses_the_rounded_frequencies():
    expected = tensors("rotary")
    cos, sin = ADAPTER.rotary(64, expected["positions"].tolist())
    close(cos, expected["cos.float32"], 2e-4)
    close(sin, expected["sin.float32"], 2e-4)


@pytest.mark.parametrize("case", cases("v11_forward"))
def test_positions_and_mask_are_the_originals(case):
    positions, mask = ADAPTER.positions_and_mask(model("tiny_v11"), case["input_ids"])
    assert positions.tolist() == case["position_ids"]
    expected = tensors("v11_forward")[f"{case['name']}.attention_mask"].bool()
    assert torch.equal(mask[-len(expected) :], expected)


@pytest.mark.parametrize("given", [False, True], ids=["own positions", "given positions"])
@pytest.mark.parametrize("case", cases("v11_forward"))
def test_logits_are_the_originals(case, given):
    logits = ADAPTER.forward(model("tiny_v11"), case["input_ids"], case["position_ids"] if given else None)
    close(logits[case["logit_positions"]["tiny_v11"]], tensors("v11_forward")[f"{case['name']}.tiny_v11.logits"])


@pytest.mark.parametrize("case", cases("v11_forward"))
def test_greedy_decoding_gives_the_originals_ids(case):
    assert ADAPTER.greedy(model("tiny_v11"), case["input_ids"], 24) == case["greedy24"]["tiny_v11"]


@pytest.mark.parametrize("case", [case for case in cases("v11_forward") if "step_logit_rows" in case.values[0]])
def test_every_cached_step_gives_the_originals_logits(case):
    rows = case["step_logit_rows"]["tiny_v11"]
    logits = ADAPTER.step_logits(model("tiny_v11"), case["input_ids"], case["greedy24"]["tiny_v11"])
    close(logits[rows], tensors("v11_forward")[f"{case['name']}.tiny_v11.step_logits"])


def test_the_loss_is_the_originals():
    case = numbers("v11_forward")["loss_case"]
    loss = ADAPTER.loss(model("tiny_v11"), case["input_ids"], case["labels"])
    assert float(loss) == pytest.approx(case["loss"]["tiny_v11"], abs=1e-3)


def test_beam_search_gives_the_originals_ids():
    case = numbers("v11_forward")["beam4_16"]
    prompts = {entry["name"]: entry["input_ids"] for entry in numbers("v11_forward")["cases"]}
    names = case.keys() & prompts.keys()
    assert names
    for name in names:
        prompt = torch.tensor([prompts[name]])
        out = model("tiny_v11").generate(prompt, num_beams=4, max_new_tokens=16, do_sample=False)
        assert out[0, prompt.shape[-1] :].tolist() == case[name]["tiny_v11"]


@pytest.mark.parametrize("batch", range(len(numbers("v11_batch")["cases"])))
def test_a_padded_batch_gives_the_originals_logits_and_ids(batch):
    case = numbers("v11_batch")["cases"][batch]
    rows = [[token for token in row if token != 3] for row in case["input_ids"]]
    logits = ADAPTER.forward_batch(model("tiny_v11"), rows)
    expected = tensors("v11_batch")[f"b{batch}.tiny_v11.logits_last3"]
    for i, row in enumerate(rows):
        kept = min(3, len(row))
        close(logits[i][-kept:], expected[i, -kept:])
    greedy = [ids[: ids.index(866) + 1] if 866 in ids else ids for ids in case["greedy24"]["tiny_v11"]]
    assert ADAPTER.greedy_batch(model("tiny_v11"), rows, 24) == greedy


@pytest.fixture(scope="module")
def slimmed(tmp_path_factory):
    target = tmp_path_factory.mktemp("slim") / "slim"
    ADAPTER.slim(DATA / "tiny_v10_full", target)
    return target, ADAPTER.load_model(target)


@pytest.mark.parametrize("variant", ["v10", "v11"])
@pytest.mark.parametrize("i", range(len(numbers("v10")["cases"])))
def test_a_slimmed_checkpoint_gives_the_full_ones_logits(slimmed, i, variant):
    case = numbers("v10")["cases"][i]
    logits = ADAPTER.forward(slimmed[1], case["slim_input_ids"], case[f"{variant}_position_ids"])
    close(logits[case["logit_positions"]], tensors("v10")[f"{i}.text_logits_{variant}_positions"])


@pytest.mark.parametrize("i", range(len(numbers("v10")["cases"])))
def test_slimming_changes_no_bit_of_a_text_tokens_logit(slimmed, i):
    case = numbers("v10")["cases"][i]
    full = ADAPTER.forward(model("tiny_v10_full"), case["input_ids"], case["v11_position_ids"])
    slim = ADAPTER.forward(slimmed[1], case["slim_input_ids"], case["v11_position_ids"])
    assert torch.equal(full[:, numbers("v10")["num_image_tokens"] :], slim)
    assert ADAPTER.greedy(slimmed[1], case["slim_input_ids"], 24) == case["slim_greedy24_v11"]


@pytest.mark.parametrize("i", range(len(numbers("v10")["cases"])))
def test_position_variant_v10_gives_the_early_codes_positions(slimmed, i):
    case = numbers("v10")["cases"][i]
    slimmed[1].config.position_variant = "v1.0"
    try:
        positions, _ = ADAPTER.positions_and_mask(slimmed[1], case["slim_input_ids"])
    finally:
        slimmed[1].config.position_variant = "v1.1"
    assert positions.tolist() == case["v10_position_ids"]


@pytest.mark.parametrize("i", range(len(numbers("quant")["input_ids"])))
def test_the_originals_int4_checkpoint_gives_its_logits_and_ids(i):
    ids = numbers("quant")["input_ids"][i]
    close(ADAPTER.forward(model("quant_int4"), ids)[-2:], tensors("quant")[f"quant_int4.{i}.logits_last2"])
    assert ADAPTER.greedy(model("quant_int4"), ids, 24) == numbers("quant")["variants"]["quant_int4"]["greedy24"][i]


def test_quantising_gives_the_originals_bytes():
    fp16 = load_file(DATA / "tiny_v11" / "model.safetensors")
    int4 = load_file(DATA / "quant_int4" / "model.safetensors")
    weights = [key.removesuffix("_scale") for key in int4 if key.endswith("weight_scale")]
    assert len(weights) == 12
    for key in weights:
        packed, scale = ADAPTER.quantize(fp16[key], 4)
        assert torch.equal(packed, int4[key]), key
        assert torch.equal(scale.float(), int4[key + "_scale"].float()), key


@pytest.mark.parametrize("case", numbers("quant")["micro"], ids=lambda case: f"{case['name']} {case['bits']}")
def test_small_matrices_quantise_to_the_published_bytes(case):
    packed, scale = ADAPTER.quantize(torch.tensor(case["weight"]).half(), case["bits"])
    restored = ADAPTER.dequantize(packed, scale, case["bits"])
    if case["has_zero_scale"]:  # the original gives garbage here
        assert restored.isfinite().all()
        assert restored[0].abs().max() == 0
        return
    assert packed.tolist() == case["packed"]
    close(restored, torch.tensor(case["dequant_float"]), 1e-6)


def test_every_byte_unpacks_to_its_pair():
    for entry in numbers("quant")["pack_table"]:
        byte = torch.tensor([[entry["byte"]]], dtype=torch.int8)
        assert ADAPTER.dequantize(byte, torch.ones(1).half(), 4).tolist() == [entry["pair"]]


@pytest.mark.parametrize("name", numbers("ptuning")["variants"])
def test_a_tuned_prefix_gives_the_originals_logits(name):
    rows, expected = numbers("ptuning")["input_ids"], tensors("ptuning")
    for i, ids in enumerate(rows):
        close(ADAPTER.forward(prefixed(name), ids)[-2:], expected[f"{name}.{i}.logits_last2"])
        assert ADAPTER.greedy(prefixed(name), ids, 24) == numbers("ptuning")["variants"][name]["greedy24"][i]
    batch = torch.stack([logits[-1] for logits in ADAPTER.forward_batch(prefixed(name), rows)])
    close(batch, expected[f"{name}.batch_logits_last"])


def test_pieces_have_the_originals_ids():
    for piece, token_id in numbers("tokenizer")["piece_ids"].items():
        assert ADAPTER.token_id(tokenizer(), piece) == token_id


@pytest.mark.parametrize("case", numbers("tokenizer")["cases"], ids=lambda case: repr(case["text"][:20]))
def test_text_is_encoded_decoded_and_streamed_as_sentencepiece_does(case):
    ids = case["sp_encode"]
    assert ADAPTER.encode(tokenizer(), case["text"]) == [*ids, 862, 865]
    assert ADAPTER.decode(tokenizer(), ids) == case["sp_decode"]
    parts = ADAPTER.stream_decode(tokenizer(), ids)
    assert "".join(parts) == case["sp_decode"]
    assert "\ufffd" in case["sp_decode"] or not any("\ufffd" in part for part in parts)


@pytest.mark.parametrize("case", numbers("tokenizer")["decode_cases"], ids=lambda case: case["name"])
def test_ids_decode_without_clean_up(case):
    assert ADAPTER.decode(tokenizer(), case["ids"]) == case["decode_no_cleanup"]
    assert "".join(ADAPTER.stream_decode(tokenizer(), case["ids"])) == case["decode_no_cleanup"]


@pytest.mark.parametrize("case", numbers("tokenizer")["cases"], ids=lambda case: repr(case["text"][:20]))
def test_the_originals_splitting_of_typed_control_tokens_is_an_option(case):
    assert tokenizer().encode(case["text"], split_special_tokens=False) == case["encode"]


@pytest.mark.parametrize("case", numbers("chat")["chat_prompts"])
def test_prompts_are_the_originals(case):
    prompt = ADAPTER.build_prompt(case["query"], [tuple(turn) for turn in case["history"]])
    assert prompt == case["prompt"]
    assert ADAPTER.encode(tokenizer(), prompt) == case["input_ids"]


@pytest.mark.parametrize("case", numbers("chat")["process_response"])
def test_replies_are_punctuated_as_the_original_does(case):
    assert ADAPTER.process_response(case["input"]) == case["v11"]


@pytest.mark.parametrize("case", numbers("chat")["greedy_chats"])
def test_a_chat_and_its_stream_give_the_originals_reply(case):
    history = [tuple(turn) for turn in case["history"]]
    for answer in (ADAPTER.chat_greedy, ADAPTER.chat_stream_greedy):
        assert answer(model("tiny_v11"), tokenizer(), case["query"], history, 256) == case["response"]


@pytest.mark.parametrize("case", numbers("chat")["max_length_truncation"])
def test_max_length_ends_a_chat_and_its_stream_at_the_same_token(case):
    for answer in (ADAPTER.chat_greedy, ADAPTER.chat_stream_greedy):
        assert answer(model("tiny_v11"), tokenizer(), case["query"], [], case["max_length"]) == case["chat"]


@pytest.mark.parametrize("case", numbers("sampler")["cases"], ids=lambda case: f"{case['row']} {case['config']}")
def test_sampling_probabilities_are_those_of_transformers(case):
    config, expected = numbers("sampler")["configs"][case["config"]], tensors("sampler")
    found = ADAPTER.sample_probs(
        expected[f"logits.{case['row']}"].clone(),
        numbers("sampler")["repetition_penalty_ids"],
        config["temperature"],
        config["top_k"],
        config["top_p"],
        config.get("repetition_penalty", 1.0),
    )
    if case["row"] == "uniform":  # all scores tie: how many survive is fixed, which ones is not
        assert abs(int((found > 0).sum()) - case["kept"]) <= 1
        assert float(found.sum()) == pytest.approx(1, abs=1e-4)
    else:
        close(found, expected[f"probs.{case['row']}.{case['config']}"], 1e-5)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_broken_scores_give_a_blank(broken):
    logits = tensors("sampler")["logits.model"].clone()
    logits[17] = broken
    fixed = ADAPTER.fix_invalid(logits)
    assert fixed.isfinite().all()
    assert int(fixed.argmax()) == 5


def test_a_forbidden_token_does_not_make_the_scores_broken():
    logits = tensors("sampler")["logits.model"].clone()
    logits[17] = float("-inf")
    assert int(ADAPTER.fix_invalid(logits).argmax()) == int(logits.argmax())
