"""The network apart from the reference numbers: batches, caches, dtypes, transformers' own ways in and out."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer, pipeline

from chatglm_slim_llm.kernels import quantize_weight
from chatglm_slim_llm.model import (
    ChatGLMConfig,
    ChatGLMForConditionalGeneration,
    ChatGLMTokenizer,
    decode_steps,
    process_response,
)
from chatglm_slim_llm.model.chat import _encode

TINY = Path(__file__).parents[1] / "data" / "reference" / "tiny_v11"
DEMO = Path(__file__).parents[2] / "chatglm_slim_llm" / "demo"
PROMPT = "晚上睡不着应该怎么办"
REPLY = "可以试试下面的方法：\n1. 喝一杯温水；\n2. 不要看手机；\n3. 慢慢地深呼吸。"  # what the original answers


@pytest.fixture(scope="module")
def tokenizer():
    return ChatGLMTokenizer.from_pretrained(TINY)


@pytest.fixture(scope="module")
def model():
    return ChatGLMForConditionalGeneration.from_pretrained(TINY, dtype=torch.float32).eval()


def small_config(**changes):
    sizes = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 4, "inner_hidden_size": 64, "vocab_size": 80}
    ids = {"bos_token_id": 70, "eos_token_id": 71}
    return ChatGLMConfig(**{**sizes, **ids, **changes})


@pytest.mark.parametrize("trust", [True, False])
@pytest.mark.parametrize("auto", [AutoModel, AutoModelForCausalLM])
def test_the_auto_classes_give_our_classes_with_and_without_trust_remote_code(auto, trust):
    assert type(AutoConfig.from_pretrained(TINY, trust_remote_code=trust)) is ChatGLMConfig
    assert type(AutoTokenizer.from_pretrained(TINY, trust_remote_code=trust)) is ChatGLMTokenizer
    assert type(auto.from_pretrained(TINY, trust_remote_code=trust)) is ChatGLMForConditionalGeneration


@pytest.mark.parametrize("prepare", ["half", "float", "bfloat16"])
def test_every_dtype_chats_on_a_cpu(prepare, tokenizer):
    model = getattr(AutoModel.from_pretrained(TINY), prepare)().eval()
    assert model.chat(tokenizer, PROMPT, history=[], do_sample=False)[0] == REPLY


@pytest.mark.parametrize("bits", [8, 4])
def test_quantize_keeps_the_reply_and_makes_the_model_smaller(bits, tokenizer):
    model = AutoModel.from_pretrained(TINY).half()
    before = sum(p.nbytes for p in model.transformer.layers.parameters())
    assert model.quantize(bits).config.quantization_bit == bits
    assert sum(p.nbytes for p in model.transformer.layers.parameters()) < before * (bits + 2) / 16
    assert model.chat(tokenizer, PROMPT, do_sample=False)[0] == REPLY
    with pytest.raises(ValueError, match=f"has {bits}-bit weights already"):
        model.quantize(12 - bits)


def test_a_chat_goes_on_from_its_history(model, tokenizer):
    reply, history = model.chat(tokenizer, "你好", history=[], do_sample=False)
    assert history == [("你好", reply)]
    _, history = model.chat(tokenizer, "再见", history=history, do_sample=False)
    assert [query for query, _ in history] == ["你好", "再见"]


def test_a_stream_grows_and_ends_as_the_chat_does(model, tokenizer):
    shown = [reply for reply, _ in model.stream_chat(tokenizer, PROMPT, do_sample=False)]
    assert len(shown) > 10
    assert shown[-1] == REPLY
    assert all(len(a) <= len(b) for a, b in itertools.pairwise(shown))


def test_the_oldest_rounds_are_left_out_when_the_history_does_not_fit(model, tokenizer):
    history = [(f"第{i}个问题" * 5, "回答" * 20) for i in range(30)]
    reply, longer = model.chat(tokenizer, "你好", history=history, max_length=300, do_sample=False)
    assert longer == [*history, ("你好", reply)]
    with pytest.raises(ValueError, match=r"leaves no room for a reply within max_length 20"):
        model.chat(tokenizer, "问题" * 40, max_length=20)
    with pytest.raises(ValueError, match="leaves no room"):
        next(model.stream_chat(tokenizer, "问题" * 40, max_length=20))


def test_a_long_history_leaves_room_for_the_reply_and_is_not_encoded_over_and_over(tokenizer, model, monkeypatch):
    encoded = []
    encode = type(tokenizer).encode
    monkeypatch.setattr(
        type(tokenizer), "encode", lambda self, text, **kwargs: encoded.append(text) or encode(self, text, **kwargs)
    )
    history = [("你好吗", "我很好。")] * 2000
    ids = _encode(model, tokenizer, "你好", history, 200)
    assert 100 < ids.shape[-1] < 150
    assert sum(map(len, encoded)) < 2000


@pytest.mark.parametrize("attn_implementation", ["sdpa", "eager"])
def test_cached_steps_give_the_logits_of_one_pass_over_everything(attn_implementation):
    torch.manual_seed(0)
    model = ChatGLMForConditionalGeneration._from_config(small_config(), attn_implementation=attn_implementation).eval()
    prompt, reply = [9, 8, 7, 67, 70], [11, 12, 13, 14]
    seen = []
    feed = iter([*reply, 71])
    steps = decode_steps(model, torch.tensor([prompt]), lambda logits: (seen.append(logits), next(feed))[1])
    assert list(steps) == [*reply, 71]
    whole = model(torch.tensor([prompt + reply])).logits[0, len(prompt) - 1 :]
    torch.testing.assert_close(torch.stack(seen), whole, atol=1e-5, rtol=1e-5)


def test_padding_is_found_without_a_mask_and_changes_nothing(model, tokenizer):
    rows = tokenizer([PROMPT, "你好", "Hello world"], padding=True, return_tensors="pt")
    with_mask = model(**rows).logits[:, -1]
    without = model(rows["input_ids"]).logits[:, -1]
    alone = torch.stack(
        [model(torch.tensor([tokenizer.encode(t)])).logits[0, -1] for t in (PROMPT, "你好", "Hello world")]
    )
    torch.testing.assert_close(with_mask, without, rtol=0, atol=0)
    torch.testing.assert_close(with_mask, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.long
def test_a_row_that_ends_before_another_of_the_same_length_is_filled_up_and_changes_nothing():
    demo, tokenizer = AutoModel.from_pretrained(DEMO).eval(), ChatGLMTokenizer.from_pretrained(DEMO)
    texts = ["你好", "再见"]  # of one length, so transformers drops their mask; the replies differ in length
    rows = tokenizer(texts, padding=True, return_tensors="pt")
    together = demo.generate(**rows, do_sample=False, max_new_tokens=40)
    alone = [demo.generate(**tokenizer(t, return_tensors="pt"), do_sample=False, max_new_tokens=40)[0] for t in texts]
    assert len(alone[0]) != len(alone[1])
    for found, expected in zip(together, alone, strict=True):
        assert found[: len(expected)].tolist() == expected.tolist()
        assert set(found[len(expected) :].tolist()) <= {3}


def test_a_batch_padded_on_the_right_is_refused(model):
    with pytest.raises(ValueError, match="padded on the left"):
        model(torch.tensor([[5, 126, 862, 865, 3]]))


@pytest.mark.parametrize(("ids", "missing"), [([5, 126], "<sop>"), ([5, 126, 865], r"\[gMASK\]")])
def test_a_prompt_without_its_end_is_refused_with_what_is_missing(model, ids, missing):
    with pytest.raises(ValueError, match=f"row 0 of input_ids has no {missing}"):
        model(torch.tensor([ids]))


def test_new_tokens_need_their_positions(model):
    cache = model(torch.tensor([[5, 126, 862, 865]])).past_key_values
    with pytest.raises(ValueError, match="pass position_ids"):
        model(torch.tensor([[5]]), past_key_values=cache)


def test_nothing_of_the_model_is_left_uninitialised_by_from_pretrained(model):
    assert list(model.buffers()) == []  # a non-persistent buffer would come back as whatever was in memory


def test_the_head_is_the_embedding(model):
    assert model.lm_head.weight is model.transformer.word_embeddings.weight


@pytest.mark.parametrize("bits", [0, 4])
def test_a_saved_model_loads_again_with_the_same_logits(tmp_path, model, tokenizer, bits):
    saved = AutoModel.from_pretrained(TINY).eval()
    saved = saved.quantize(bits) if bits else saved
    saved.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, ids = AutoModel.from_pretrained(tmp_path).eval(), torch.tensor([tokenizer.encode(PROMPT)])
    assert torch.equal(loaded(ids).logits, saved(ids).logits)
    assert AutoTokenizer.from_pretrained(tmp_path).encode(PROMPT) == tokenizer.encode(PROMPT)


def test_a_quantised_embedding_is_shared_with_the_head_and_survives_saving(tmp_path, tokenizer):
    model = AutoModel.from_pretrained(TINY).quantize(4)
    packed, scale = quantize_weight(model.transformer.word_embeddings.weight.detach(), 4)
    state = model.state_dict()
    for name in ("transformer.word_embeddings", "lm_head"):
        state |= {f"{name}.weight": packed, f"{name}.weight_scale": scale}
    model.config.quantization_embeddings = True
    quantized = ChatGLMForConditionalGeneration(model.config).half()
    quantized.load_state_dict(state)
    quantized.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert loaded.lm_head.weight is loaded.transformer.word_embeddings.weight
    assert loaded.lm_head.weight_scale is loaded.transformer.word_embeddings.weight_scale
    assert loaded.chat(tokenizer, PROMPT, do_sample=False)[0] == REPLY


def test_the_text_generation_pipeline_of_transformers_answers_a_batch(tokenizer):
    generate = pipeline("text-generation", model=AutoModel.from_pretrained(TINY), tokenizer=tokenizer)
    replies = generate([PROMPT, "你好"], do_sample=False, batch_size=2, return_full_text=False, max_new_tokens=60)
    assert process_response(replies[0][0]["generated_text"]) == REPLY


def test_training_reaches_every_parameter():
    model = ChatGLMForConditionalGeneration(small_config(pre_seq_len=3, prefix_projection=True)).train()
    ids = torch.tensor([[9, 8, 67, 70, 11, 71], [3, 9, 67, 70, 12, 71]])
    model(ids, labels=ids.masked_fill(ids == 3, -100)).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert without == []


def test_hidden_states_are_those_between_the_blocks(model):
    out = model(torch.tensor([[5, 126, 862, 865]]), output_hidden_states=True)
    assert len(out.hidden_states) == model.config.num_layers + 1
    torch.testing.assert_close(model.lm_head(out.hidden_states[-1]), out.logits)


@pytest.mark.parametrize("projection", [False, True])
def test_generate_and_decode_steps_agree_with_a_tuned_prefix(projection):
    torch.manual_seed(0)
    model = ChatGLMForConditionalGeneration(small_config(pre_seq_len=3, prefix_projection=projection)).eval()
    prompt = torch.tensor([[9, 8, 67, 70]])
    stepped = [
        token for token, _ in zip(decode_steps(model, prompt, lambda x: int(x.argmax())), range(6), strict=False)
    ]
    generated = model.generate(prompt, max_new_tokens=6, do_sample=False, num_beams=1, pad_token_id=3)
    assert generated[0, 4:].tolist() == stepped


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 30}, "hidden_size 30 cannot be cut into 4 heads"),
        ({"position_variant": "v2"}, "choose v1.1 or v1.0"),
        ({"quantization_bit": 3}, "it must be 0, 4 or 8"),
        ({"deepnorm_layers": "28"}, "deepnorm_layers is '28'; it must be a number"),
        ({"layernorm_epsilon": None}, "layernorm_epsilon is None"),
        ({"quantization_embeddings": True}, "does not say to how many bits"),
        ({"position_encoding_2d": False}, "2-D positions only"),
    ],
)
def test_a_config_that_cannot_be_run_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small_config(**changes)


def test_the_first_configs_name_no_mask_ids_and_get_the_right_ones():
    config = ChatGLMConfig(vocab_size=150_528, bos_token_id=150_004, eos_token_id=150_005)
    assert (config.mask_token_id, config.gmask_token_id) == (150_000, 150_001)


def test_the_slim_6b_model_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = ChatGLMForConditionalGeneration(ChatGLMConfig())
    assert sum(p.numel() for p in model.parameters()) == 6_173_286_400
