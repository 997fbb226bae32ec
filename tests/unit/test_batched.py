"""The batched forward pass against the plain one of transformers, token by token."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import pytest
import torch

from chatglm_slim_llm.checkpoint import load_model
from chatglm_slim_llm.checkpoint.loading import load_packed_model
from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.kernels import PackedFormat, PackedLinear, replace_linears
from chatglm_slim_llm.model import BatchedForward, ChatGLMForConditionalGeneration, SequentialForward, forward_for
from chatglm_slim_llm.network import batched as batched_module
from chatglm_slim_llm.network import layers as layers_module
from chatglm_slim_llm.weights import kept_bits
from tests.unit.native import kept, needs_library, threads
from tests.unit.test_model import small_config

pytestmark = needs_library

DEMO = Path(__file__).parents[2] / "chatglm_slim_llm" / "demo"
PROMPTS = [[9, 8, 67, 70], [5, 70 - 3, 70], list(range(10, 64)) * 3 + [67, 70]]
BITS = pytest.mark.parametrize("bits", [16, 8])
REPLY = [11, 12, 13, 14, 15, 16, 17]


def half_model(**changes) -> ChatGLMForConditionalGeneration:
    torch.manual_seed(0)
    model = ChatGLMForConditionalGeneration(small_config(**changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    for name, parameter in model.named_parameters():
        if "layernorm" not in name and "prefix" not in name:
            parameter.data = parameter.data.half()
    return model


@pytest.fixture(scope="module")
def model() -> ChatGLMForConditionalGeneration:
    return half_model()


def read(forward, prompt, *, exact=False):
    pieces = forward.prefill(prompt, exact=exact)
    while True:
        try:
            next(pieces)
        except StopIteration as finished:
            return finished.value


def scores_of(forward, prompt, reply) -> torch.Tensor:
    """Scores after the prompt and after each token of the reply, one step a token."""
    context, first = read(forward, prompt)
    return torch.stack([first, *(forward.step([context], [[token]])[0][0] for token in reply)])


def test_the_fastest_forward_is_chosen(model):
    assert isinstance(forward_for(model), BatchedForward)
    assert isinstance(forward_for(half_model().float()), SequentialForward)
    transposed = half_model()
    weight = transposed.transformer.layers[1].attention.dense.weight
    weight.data = weight.data.T.contiguous().T
    assert isinstance(forward_for(transposed), SequentialForward)


def test_keys_and_values_are_int8_on_demand_and_beside_weights_of_int4():
    def bits(model, *wanted) -> int:
        context, _ = read(forward_for(model, *wanted), [500, 600, 700, 5987, 5990])
        return context.pages.shape.bits

    models = [load_model(DEMO), *(load_packed_model(DEMO, quantization=level) for level in ("int8", "int4"))]
    assert [bits(model) for model in models] == [16, 16, 8]
    assert [bits(model, 8) for model in models] == [8, 8, 8]
    assert [bits(model, 16) for model in models] == [16, 16, 16]


def test_int8_keys_and_values_are_refused_where_torch_runs_the_model():
    with pytest.raises(ValueError, match="8 bits need the compiled kernels"):
        forward_for(half_model().float(), 8)
    with pytest.raises(ConfigError, match=r"kv_cache_dtype is int8, but .* need the compiled kernels") as caught:
        kept_bits(half_model().float(), "int8")
    assert caught.value.key == "kv_cache_dtype"


@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
@pytest.mark.parametrize("changes", [{}, {"position_variant": "v1.0"}, {"pre_seq_len": 70}], ids=str)
def test_int8_scores_are_those_of_attention_over_rounded_keys_and_values(instruction_set, prompt, changes, monkeypatch):
    model = half_model(**changes)
    for name, parameter in model.named_parameters():
        if "prefix" in name:
            parameter.data = parameter.half().float()  # as the kernels get it
    found = scores_of(BatchedForward(model, kv_cache_bits=8), prompt, REPLY)
    unrounded = scores_of(SequentialForward(model.float()), prompt, REPLY)
    attend = layers_module.attend

    def attend_to_kept(query, key, value, mask, **options):
        return attend(query, kept(key, 8), kept(value, 8), mask, **options)

    monkeypatch.setattr(layers_module, "attend", attend_to_kept)
    rounded = scores_of(SequentialForward(model), prompt, REPLY)
    assert (found - rounded).norm() < 0.05 * (unrounded - rounded).norm()


@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
@pytest.mark.parametrize("changes", [{}, {"position_variant": "v1.0"}, {"pre_seq_len": 70}], ids=str)
def test_scores_equal_those_of_the_plain_forward_pass(instruction_set, prompt, changes):
    model = half_model(**changes)
    expected = scores_of(SequentialForward(model), prompt, REPLY)
    torch.testing.assert_close(scores_of(BatchedForward(model), prompt, REPLY), expected, rtol=1e-3, atol=5e-3)


@BITS
def test_several_tokens_in_a_step_score_as_one_by_one(instruction_set, model, bits):
    forward = BatchedForward(model, kv_cache_bits=bits)
    expected = scores_of(forward, PROMPTS[0], REPLY)
    context, first = read(forward, PROMPTS[0])
    assert torch.equal(torch.cat([first[None], *forward.step([context], [REPLY])]), expected)


@BITS
def test_company_changes_no_bit_of_a_sequence(instruction_set, model, bits):
    forward = BatchedForward(model, kv_cache_bits=bits)
    alone = [scores_of(forward, prompt, REPLY) for prompt in PROMPTS]
    contexts = [read(forward, prompt)[0] for prompt in PROMPTS]
    cuts = [[0, 1, 3, 7], [0, 3, 4, 7], [0, 4, 5, 7]]  # how many tokens each sequence takes a step
    parts = [[REPLY[a:b] for a, b in itertools.pairwise(cut)] for cut in cuts]
    steps = [forward.step(contexts, [part[i] for part in parts]) for i in range(3)]
    for number, expected in enumerate(alone):
        assert torch.equal(torch.cat([step[number] for step in steps]), expected[1:])


@BITS
def test_the_size_of_the_pieces_and_the_threads_change_no_bit_of_a_prompt(instruction_set, model, bits, monkeypatch):
    forward = BatchedForward(model, kv_cache_bits=bits)
    expected = scores_of(forward, PROMPTS[2], REPLY)
    monkeypatch.setattr(batched_module, "_PIECE_ROWS", 7)
    with threads(1):
        assert torch.equal(scores_of(forward, PROMPTS[2], REPLY), expected)


@pytest.mark.parametrize("make", [BatchedForward, partial(BatchedForward, kv_cache_bits=8), SequentialForward])
def test_forgotten_tokens_leave_no_trace(make, model):
    forward = make(model)
    expected = scores_of(forward, PROMPTS[2], REPLY)
    context, _ = read(forward, PROMPTS[2])
    forward.step([context], [[40] * 70])  # more than a page
    forward.forget(context, 70)
    forward.forget(context, 0)
    for token, scores in zip(REPLY, expected[1:], strict=True):
        assert torch.equal(forward.step([context], [[token]])[0][0], scores)


@pytest.mark.parametrize(("level", "limit"), [("int8", 2), ("int4", 1)])
def test_int8_activations_cost_no_more_than_int8_weights_and_groups_of_int4_gain_more(level, limit):
    prompt = [500, 600, 700, 5987, 5990]
    expected = scores_of(SequentialForward(load_model(DEMO)), prompt, [100, 200])
    originals_format = load_model(DEMO).quantize(8 if level == "int8" else 4)
    theirs = scores_of(SequentialForward(originals_format), prompt, [100, 200])
    ours = scores_of(BatchedForward(load_packed_model(DEMO, quantization=level)), prompt, [100, 200])
    assert (ours - expected).norm() < limit * (theirs - expected).norm()


def test_packed_linears_equal_the_linears_they_were_made_from(model):
    packed = half_model()
    replace_linears(packed, lambda linear: PackedLinear.from_linear(linear, PackedFormat(8)))
    expected = scores_of(BatchedForward(model), PROMPTS[0], REPLY)
    scores = scores_of(BatchedForward(packed), PROMPTS[0], REPLY)
    assert 0 < (scores - expected).norm() / expected.norm() < 0.05


def test_weights_that_change_between_two_prompts_count():
    model, other = half_model(), half_model()
    other.transformer.layers[0].mlp.dense_h_to_4h.weight.data *= 2
    with torch.no_grad():
        other.transformer.layers[1].attention.dense.bias.add_(1)
    forward = BatchedForward(model)
    before = scores_of(forward, PROMPTS[0], REPLY)
    model.transformer.layers[0].mlp.dense_h_to_4h.weight = other.transformer.layers[0].mlp.dense_h_to_4h.weight
    with torch.no_grad():
        model.transformer.layers[1].attention.dense.bias.add_(1)
    after = scores_of(forward, PROMPTS[0], REPLY)
    assert not torch.equal(after[1:], before[1:])
    assert torch.equal(after, scores_of(BatchedForward(other), PROMPTS[0], REPLY))


def test_a_prefix_that_comes_after_the_forward_counts():
    model = half_model()
    forward = BatchedForward(model)
    before = scores_of(forward, PROMPTS[0], REPLY)
    tuned = half_model(pre_seq_len=5)
    model.config.pre_seq_len = 5
    model.transformer.prefix_encoder = tuned.transformer.prefix_encoder
    after = scores_of(forward, PROMPTS[0], REPLY)
    assert not torch.equal(after, before)
    torch.testing.assert_close(after, scores_of(SequentialForward(model), PROMPTS[0], REPLY), rtol=1e-3, atol=5e-3)


def test_who_wants_exact_scores_gets_them_beside_others_who_do_not():
    model = half_model()
    model.lm_head = PackedLinear.from_linear(model.lm_head, PackedFormat(8, shortlist=5))
    forward = BatchedForward(model)

    def alone(prompt, exact):
        context, first = read(forward, prompt, exact=exact)
        return first, forward.step([context], [REPLY])[0]

    expected = [alone(prompt, exact) for prompt, exact in zip(PROMPTS, (False, True, False), strict=True)]
    wanted = [read(forward, prompt, exact=exact) for prompt, exact in zip(PROMPTS, (False, True, False), strict=True)]
    together = forward.step([context for context, _ in wanted], [REPLY] * 3)
    for (first, steps), (_, found), rows in zip(expected, wanted, together, strict=True):
        assert torch.equal(found, first)
        assert torch.equal(rows, steps)
    rough = alone(PROMPTS[1], exact=False)[1]
    model.lm_head.forward = model.lm_head.exact
    assert torch.equal(together[1], alone(PROMPTS[1], exact=False)[1])
    assert not torch.equal(together[1], rough)


def test_a_packed_model_cannot_be_saved_as_a_checkpoint(tmp_path):
    packed = half_model()
    replace_linears(packed, lambda linear: PackedLinear.from_linear(linear, PackedFormat(8)))
    with pytest.raises(ValueError, match="cannot be saved as a checkpoint"):
        packed.save_pretrained(tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_prompt_without_its_end_is_refused(model):
    with pytest.raises(ValueError, match="has no <sop>"):
        read(BatchedForward(model), [9, 8, 67])
