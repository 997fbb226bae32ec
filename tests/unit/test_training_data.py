"""The texts that the demo is trained on, and the layout of its vocabulary."""

import json
import random
import re
import tomllib
import zlib
from pathlib import Path

import pytest
import sentencepiece as spm
import torch

from chatglm_slim_llm.network import ChatGLMTokenizer
from chatglm_slim_llm.signatures import Tool, list_tools
from training.chat import ChatWriter, load_facts, load_unknown, with_history
from training.json_tasks import JsonWriter
from training.names import Names, common_characters
from training.network import logits, new_model
from training.reading import ReadingWriter
from training.samples import Encoder, collate, encode_pairs
from training.tools import ToolTask, ToolWriter

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "chatglm_slim_llm" / "demo"
DATA = ROOT / "training" / "data"


def on_test_side(text: str) -> bool:
    return zlib.crc32(text.encode("utf-8")) % 10 == 0


@pytest.fixture(scope="module")
def pieces() -> spm.SentencePieceProcessor:
    return spm.SentencePieceProcessor(model_file=str(DEMO / "ice_text.model"))


def test_the_same_seed_writes_the_same_texts():
    for make in (ReadingWriter, ToolWriter):
        first, again, other = make(5), make(5), make(6)
        texts = [first.write().prompt for _ in range(20)]
        assert texts == [again.write().prompt for _ in range(20)]
        assert texts != [other.write().prompt for _ in range(20)]
    facts, unknown = load_facts(), load_unknown()
    first, again = ChatWriter(3, facts, unknown), ChatWriter(3, facts, unknown)
    assert [first.write() for _ in range(20)] == [again.write() for _ in range(20)]


def test_names_of_the_test_side_are_never_drawn_for_training():
    for held_out in (False, True):
        names = Names(random.Random(1), held_out)
        drawn = [names.any(lang) for lang in ("en", "zh") for _ in range(200)]
        assert {on_test_side(text) for text in drawn} == {held_out}


def test_a_reading_answer_stands_in_the_passage_it_names():
    writer = ReadingWriter(8)
    for _ in range(200):
        reading = writer.write(kind="value")
        words, number = re.fullmatch(r"(.+) \[(\d)\]", reading.answer).groups()
        passages = dict(re.findall(r"^\[(\d)\] (.+)$", reading.prompt, flags=re.MULTILINE))
        assert words.lower() in passages[number].lower()


def test_a_missing_fact_is_not_in_the_passages():
    writer = ReadingWriter(8)
    for _ in range(100):
        reading = writer.write(kind="missing")
        assert reading.answer in {"Not found in the passages.", "资料中没有提到。"}
        question = re.split("Question: |问题：", reading.prompt)[-1]
        assert question not in {asked for asked, _ in reading.others}


def stands_in(value: object, text: str) -> bool:
    """Whether a value can be read off a text; true and false are told in many words."""
    values = value if isinstance(value, list) else [value]
    return isinstance(value, bool) or all(str(each) in text for each in values)


def fits(answer: dict, schema: dict) -> bool:
    """Whether an object has the members of a schema, in its order and of its types, and every required one."""
    types = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list}
    properties = schema.get("properties", {})
    right = all(
        value in properties[key]["enum"]
        if "enum" in properties[key]
        else isinstance(value, types[properties[key]["type"]])
        for key, value in answer.items()
    )
    in_order = list(answer) == [key for key in properties if key in answer]
    return right and in_order and set(schema.get("required", ())) <= answer.keys()


@pytest.mark.parametrize("kind", ["call", "calls"])
def test_a_tool_call_fits_a_listed_tool_and_copies_its_values_from_the_request(kind):
    writer = ToolWriter(4)
    for _ in range(300):
        task = writer.write(kind)
        for line in task.answer.split("\n"):
            call = json.loads(line)
            (tool,) = [tool for tool in task.tools if tool.name == call["name"]]
            assert fits(call["arguments"], tool.parameters)
            assert all(stands_in(value, task.request) for value in call["arguments"].values())
            assert json.dumps(call, ensure_ascii=False) == line


def test_a_request_that_no_tool_serves_names_no_listed_tool():
    writer = ToolWriter(4)
    for _ in range(200):
        task = writer.write("none")
        assert task.answer in {"None of these tools fits the question.", "这些工具都不适合这个问题。"}
        assert not any(re.search(rf"\b{tool.name}\(", task.request) for tool in task.tools)


def test_the_answer_to_a_result_is_the_result():
    writer = ToolWriter(4)
    for _ in range(200):
        task = writer.write("results")
        assert json.loads(task.history[-1][1])
        assert all(line in task.request for line in task.answer.split("\n"))


def test_a_json_answer_fits_its_schema_and_copies_its_values():
    writer = JsonWriter(4)
    for _ in range(300):
        task = writer.write()
        answer = json.loads(task.answer)
        assert fits(answer, task.schema)
        assert all(stands_in(value, task.request) for value in answer.values())


def test_tool_prompts_are_the_ones_that_the_engine_writes():
    tool = Tool("area", "Area of a room.", {"properties": {"width": {"type": "number"}}})
    alone = ToolTask((tool,), (), "area of 3?", "", "call")
    assert alone.prompt == list_tools([tool], "en") + "\n\narea of 3?"
    later = ToolTask((tool,), (("面积？", "好"),), "area of 3?", "", "call")
    assert (
        later.prompt == list_tools([tool], "zh") + "\n\n[Round 0]\n问：面积？\n答：好\n[Round 1]\n问：area of 3?\n答："
    )


BORROWED = (
    "get_weather", "magic_function", "magic function", "my_adder", "adder_tool", "greeting_generator",
    "unicode_customer", "color_picker", "san francisco", "你好啊集团", "こんにちは株式会社", "punchline", "setup:",
    '"setup"', "joke setup", "using the tool, generate", "create a customer named", "use the tool.",
)  # fmt: skip
"""Words of LangChain's standard tests. The engine is tested with those: a model trained on them would show nothing."""


@pytest.mark.long
def test_nothing_in_the_training_texts_is_borrowed_from_langchains_tests():
    facts, unknown = load_facts(), load_unknown()
    chat = ChatWriter(9, facts, unknown)
    tools, forms, reading = ToolWriter(9, chat=chat.ask), JsonWriter(9), ReadingWriter(9)
    written = [path.read_text("utf-8") for path in sorted(DATA.glob("*.toml"))]
    for kind in ("call", "call", "calls", "none", "results", "chat"):
        written += [task.prompt + task.answer for task in (tools.write(kind, history=0.2) for _ in range(700))]
    written += [task.prompt + task.answer for task in (forms.write() for _ in range(1500))]
    written += [task.prompt + task.answer for task in (reading.write() for _ in range(500))]
    written += [turn.prompt + turn.answer for turn in (chat.write() for _ in range(1000))]
    everything = "\n".join(written).lower()
    assert not [words for words in BORROWED if words in everything]


@pytest.mark.long
def test_tools_are_never_about_the_weather():
    writer, forms = ToolWriter(9), JsonWriter(9)
    told = [task.prompt + task.answer for kind in ("call", "none", "results") for task in
            (writer.write(kind) for _ in range(1500))]  # fmt: skip
    told += [task.prompt for task in (forms.write() for _ in range(1000))]
    everything = "\n".join([*told, (DATA / "tools.toml").read_text("utf-8")]).lower()
    assert "weather" not in everything
    assert "天气" not in everything


def test_chat_texts_are_complete_and_their_test_wordings_are_not_trained():
    for lang in ("zh", "en"):
        facts = tomllib.loads((DATA / f"chat_{lang}.toml").read_text("utf-8"))["fact"]
        assert len(facts) >= 200
        assert len({fact["id"] for fact in facts}) == len(facts)
        trained = {text for fact in facts for text in fact["wordings"]}
        held_out = [text for fact in facts for text in fact.get("held_out", [])]
        assert all(len(fact["wordings"]) >= 3 and fact["answer"] for fact in facts)
        assert not trained & set(held_out)
        unknown = tomllib.loads((DATA / f"unknown_{lang}.toml").read_text("utf-8"))
        assert unknown["reply"]
        assert {bool(entry.get("held_out")) for entry in unknown["unknown"]} == {False, True}


def test_history_is_written_as_the_original_does():
    assert with_history("好", []) == "好"
    assert with_history("c", [("a", "b")]) == "[Round 0]\n问：a\n答：b\n[Round 1]\n问：c\n答："


def test_the_vocabulary_has_the_layout_of_the_original(pieces):
    size = pieces.get_piece_size()
    named = [pieces.id_to_piece(i) for i in range(size)]
    assert named[:6] == ["<unk>", "<s>", "</s>", "<pad>", "<n>", "▁"]
    tail = ["[MASK]", "[gMASK]", "[sMASK]", "<unused_0>", "<sop>", "<eop>", "<ENC>", "<dBLOCK>", "<|tab|>"]
    tail += [f"<|blank_{i}|>" for i in range(2, 81)] + [f"<0x{i:02X}>" for i in range(256)]
    assert named[-len(tail) :] == tail
    assert all(pieces.is_control(i) for i in (1, 2, 3, *range(size - len(tail), size - len(tail) + 8)))
    assert all(pieces.is_byte(i) for i in range(size - 256, size))
    assert len(set(named)) == size


def test_every_common_character_is_one_piece_and_digits_stand_alone(pieces):
    assert all(pieces.piece_to_id(char) != 0 for char in common_characters())
    assert pieces.encode("在12345", out_type=str)[-5:] == list("12345")
    assert pieces.decode(pieces.encode("鱻 é 🙂")) == "鱻 é 🙂"


def test_the_training_encoder_agrees_with_the_packages_tokenizer():
    encoder, tokenizer = Encoder(DEMO / "ice_text.model"), ChatGLMTokenizer.from_pretrained(DEMO)
    for text in (ReadingWriter(1).write().prompt, ToolWriter(1).write().prompt, "你好，世界\nHello there!"):
        sample = encode_pairs(encoder, text, "答")
        assert [*tokenizer.encode(text)] == sample.ids[: sample.context_length + 1]


def test_positions_and_mask_follow_the_original(pieces):
    encoder = Encoder(DEMO / "ice_text.model")
    batch = collate([encode_pairs(encoder, "a", "b c")], encoder.pad_id)
    sop = batch.input_ids[0].tolist().index(encoder.sop_id)
    assert batch.position_ids[0, 0, : sop + 3].tolist() == [*range(sop), sop - 1, sop - 1, sop - 1]
    assert batch.position_ids[0, 1, : sop + 3].tolist() == [0] * sop + [1, 2, 3]
    forbidden = batch.attention_mask[0, 0]
    assert not forbidden[:sop, :sop].any()
    assert forbidden[:sop, sop:].all()
    assert forbidden[sop, sop + 1 :].all()
    assert not forbidden[sop + 1, : sop + 2].any()


def test_the_training_forward_pass_computes_what_the_package_computes():
    encoder = Encoder(DEMO / "ice_text.model")
    specials = {piece: encoder.id_of(piece) for piece in ("<sop>", "<eop>", "[MASK]", "[gMASK]", "<pad>")}
    model = new_model(encoder.size, specials, num_layers=2, hidden_size=256).eval()
    batch = collate([encode_pairs(encoder, "a b", "c"), encode_pairs(encoder, "你好，世界", "再见")], encoder.pad_id)
    with torch.no_grad():
        states = model.transformer(
            batch.input_ids,
            position_ids=batch.position_ids,
            attention_mask=batch.attention_mask,
            use_cache=False,
        ).last_hidden_state
        expected = model.lm_head(states.flatten(0, 1)[batch.selected])
        torch.testing.assert_close(logits(model, batch, torch.float32), expected, atol=1e-4, rtol=1e-4)
