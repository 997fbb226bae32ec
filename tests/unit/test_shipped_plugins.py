"""The tools and commands that we ship, through the door that plugins of others come through."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.plugins import Ask, CommandCall, Turn, plugin


def command(name: str, text: str = "", *turns: Turn, **options: object):
    return plugin("commands", name).function()(CommandCall(text, turns), **options)


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("3 * (4 + 5)", "27"),
        ("12×（3＋4）÷2", "42"),
        ("2^10 - 1", "1023"),
        ("7 // 2 + 7 % 4", "6"),
        ("-3 ** 2", "-9"),
        ("0.1 + 0.2", "0.3"),
        ("sqrt(2)", f"{math.sqrt(2):.12g}"),
        ("max(1, 2.5, round(2.7))", "3"),
        ("2**100", "1267650600228229401496703205376"),
        ("sin(pi / 2)", "1"),
    ],
)
def test_the_calculator_works_out_formulas(formula, value):
    assert plugin("tools", "calculator").make().invoke({"formula": formula}) == value


@pytest.mark.parametrize(
    "formula",
    [
        *("", "1 +", "1/0", "9**9**9", "10**1001", "(-8) ** 0.5", "True + 1", "a", "'1' * 3", "[1] * 9", "f'{1}'"),
        *("__import__('os')", "(1).real", "open('x')", "lambda: 1", "sqrt(-1)", "1" * 201, "(" * 150 + ")" * 150),
    ],
)
def test_what_is_no_formula_is_a_sentence_for_the_model_and_nothing_is_run(formula):
    said = plugin("tools", "calculator").make().invoke({"formula": formula})
    assert "worked out" in said


def test_the_clock_tells_the_time_of_its_zone():
    told = plugin("tools", "clock").make(timezone="Asia/Shanghai").invoke({})
    there = datetime.now(UTC) + timedelta(hours=8)
    assert told.endswith("CST")
    assert abs(
        datetime.strptime(told[:10] + told.split()[2], "%Y-%m-%d%H:%M") - there.replace(tzinfo=None)
    ) < timedelta(minutes=2)
    with pytest.raises(ConfigError, match="Mars"):
        plugin("tools", "clock").make(timezone="Mars/Base")


def test_tools_that_only_read_say_so():
    for name in ("calculator", "clock", "documents"):
        assert plugin("tools", name).make().metadata == {"readOnlyHint": True}


def test_the_documents_tool_finds_what_was_indexed(tmp_path):
    from chatglm_slim_llm.retrieval import KnowledgeBase

    path = tmp_path / "notes.db"
    with KnowledgeBase.open(path, embedder="none") as base:
        base.add_texts(["The red key hangs in the kitchen.", "Bread needs an hour."])
    tool = plugin("tools", "documents").make(knowledge_base=str(path), passages=1)
    assert "kitchen" in tool.invoke({"query": "red key"})
    missing = plugin("tools", "documents").make(knowledge_base=str(tmp_path / "gone.db"))
    assert "there is no knowledge base" in missing.invoke({"query": "x"})


def test_translation_goes_to_the_other_language_or_the_one_that_is_set():
    assert command("translate", "Good morning") == Ask("请把下面的文字翻译成中文：\n\nGood morning")
    assert command("translate", "用 Python 写") == Ask("请把下面的文字翻译成英文：\n\n用 Python 写")
    assert command("translate", "", Turn("human", "hi"), Turn("ai", "早上好")).text.endswith("早上好")
    assert command("translate", "早", to="French") == Ask("Translate into French:\n\n早")
    assert "nothing to translate" in command("translate")


def test_summaries_are_of_the_text_or_of_the_conversation():
    assert command("summarize", "今天天气很好").text.startswith("请用3句话总结下面的文字")
    assert command("summarize", "", Turn("human", "hello"), sentences=2) == Ask(
        "Sum up our conversation in 2 sentences."
    )
    assert "nothing to summarize" in command("summarize")


def test_polishing_keeps_the_language():
    assert command("polish", "this are good").text.startswith("Improve the wording")
    assert command("polish", "他很好的人").text.startswith("请润色")
