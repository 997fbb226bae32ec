"""Where text is cut, that nothing is lost, and that no text takes more than linear time."""

from __future__ import annotations

import random
import time

import pytest

from chatglm_slim_llm.retrieval.passages import Section
from chatglm_slim_llm.retrieval.splitting import estimate_tokens, sentences, split


def texts(text: str, **options) -> list[str]:
    return [chunk.text for chunk in split([Section(text)], **options)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "今天的天气真的很好。我们一起去公园吧！你们觉得怎么样呢？",
            ["今天的天气真的很好。", "我们一起去公园吧！", "你们觉得怎么样呢？"],
        ),
        ("老师说：“明天不用来上课。”同学们全都很高兴。", ["老师说：“明天不用来上课。”", "同学们全都很高兴。"]),
        (
            "他想了很久很久……最后还是下决心离开；她却一个人留下来了。",
            ["他想了很久很久……", "最后还是下决心离开；", "她却一个人留下来了。"],
        ),
        (
            "Dr. Smith paid 3.14 dollars, e.g. for tea. It was good.",
            ["Dr. Smith paid 3.14 dollars, e.g. for tea. ", "It was good."],
        ),
        ("J. K. Rowling left the U.S. Army. Then what?", ["J. K. Rowling left the U.S. Army. ", "Then what?"]),
        (
            '"Are you sure?" he asked. "Of course I am!" she said.',
            ['"Are you sure?" he asked. ', '"Of course I am!" she said.'],
        ),
        ("It ended in 2004. The next began.", ["It ended in 2004. ", "The next began."]),
        ("他昨天去见了医生。Dr. Wang 说没有问题。", ["他昨天去见了医生。", "Dr. Wang 说没有问题。"]),
        (
            "你今天过得还好吗?我们明天再见吧!好的没问题",
            ["你今天过得还好吗?", "我们明天再见吧!好的没问题"],
        ),
        ("1. Wash the rice.\n2. Boil the water.", ["1. Wash the rice.\n", "2. Boil the water."]),
        ("A line that\nwas wrapped - not a list\nof things", ["A line that\nwas wrapped - not a list\nof things"]),
        (
            "Shopping list\n- milk and eggs\n- bread and butter",
            ["Shopping list\n", "- milk and eggs\n", "- bread and butter"],
        ),
        ("| name | age |\n| Ann | 30 |\n| Bob | 40 |", ["| name | age |\n", "| Ann | 30 |\n", "| Bob | 40 |"]),
        ("No mark here\n\nA new paragraph", ["No mark here\n\n", "A new paragraph"]),
        ("是的。我知道这件事情。好。", ["是的。我知道这件事情。好。"]),
        ("  Padded sentence.  ", ["Padded sentence."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_say(text, expected):
    found = sentences(text)
    assert found == expected
    assert "".join(found) == text.strip()


def test_a_token_estimate_counts_characters_digits_marks_and_parts_of_words():
    assert estimate_tokens("今天天气") == 4
    assert estimate_tokens("3.14") == 4
    assert estimate_tokens("the internationalization") == 1 + 4
    assert estimate_tokens("a\n\n    b") == 1 + 2 + 1 + 1
    assert estimate_tokens("") == 0
    assert estimate_tokens("中" * 200_000) == 200_000


def test_paragraphs_stay_whole_and_are_packed():
    words = [" ".join(["word"] * length) + "." for length in (20, 20, 20, 50)]
    assert texts("\n\n".join(words), max_tokens=70) == ["\n\n".join(words[:3]), words[3]]


def test_a_long_paragraph_is_cut_between_sentences():
    said = ["这是第一句话，它比较长一些。", "这是第二句话，它也不算短。", "这是第三句话，到此为止了。"]
    assert texts("".join(said), max_tokens=28) == ["".join(said[:2]), said[2]]


def test_a_long_sentence_is_cut_behind_a_comma_and_else_between_words():
    assert texts("甲乙丙丁戊己，庚辛壬癸子丑寅卯", max_tokens=10) == ["甲乙丙丁戊己，", "庚辛壬癸子丑寅卯"]
    pieces = texts("one two three four five six seven eight nine ten eleven twelve", max_tokens=8)
    assert " ".join(pieces) == "one two three four five six seven eight nine ten eleven twelve"


def test_a_cut_leaves_words_and_characters_whole_unless_one_alone_is_too_long():
    assert all(len(piece) <= 48 for piece in texts("a" * 500, max_tokens=8))
    accented = texts("e\u0301" * 100, max_tokens=9)
    assert "".join(accented) == "e\u0301" * 100
    assert not any(piece.startswith("\u0301") for piece in accented)
    family = "👨\u200d👩\u200d👧"
    assert all(len(piece) % len(family) == 0 for piece in texts(family * 30, max_tokens=12))


def test_a_tiny_rest_is_shared_out():
    text = "。".join(["这句话正好有十个字呀"] * 9) + "。完。"
    chunks = list(split([Section(text)], max_tokens=100))
    assert "".join(chunk.text for chunk in chunks) == text
    assert [chunk.tokens >= 40 for chunk in chunks] == [True, True]
    one_word = list(split([Section("a" * 606)], max_tokens=100))
    assert min(chunk.tokens for chunk in one_word) >= 15


def test_chunks_keep_heading_page_and_the_files_lines():
    text = "\n\n".join(f"Paragraph {number} has\ntwo lines." for number in range(6))
    chunks = list(split([Section(text, "A › B", 7, first_line=101)], max_tokens=25))
    assert [(chunk.heading, chunk.page) for chunk in chunks] == [("A › B", 7)] * len(chunks)
    file_lines = text.split("\n")
    for chunk in chunks:
        assert "\n".join(file_lines[chunk.first_line - 101 : chunk.last_line - 100]) == chunk.text
    assert chunks[0].first_line == 101
    assert chunks[-1].last_line == 100 + len(file_lines)


def test_the_first_line_of_code_keeps_its_indentation():
    code = "class A:\n    x = 1\n\n    def f(self):\n        return self.x + 1\n"
    assert texts(code, max_tokens=16)[1].startswith("    def f")


def test_sections_are_never_joined_and_empty_ones_give_nothing():
    chunks = list(split([Section("one", "A"), Section(" \n "), Section("two", "B", page=2)]))
    assert [(chunk.text, chunk.heading, chunk.page) for chunk in chunks] == [("one", "A", None), ("two", "B", 2)]
    assert chunks[0].first_line is chunks[0].last_line is None


def test_a_heading_of_a_megabyte_is_not_repeated_in_each_chunk():
    assert len(next(split([Section("text", "h" * 1_000_000)])).heading) == 300


def random_text(source: random.Random) -> str:
    parts = [
        "word",
        "internationalization",
        "中",
        "文字",
        "。",
        "，",
        ". ",
        ", ",
        "\n",
        "\n\n",
        " ",
        "    ",
        "\t",
        "1",
        "…",
    ]
    parts += [
        "”",
        "“",
        "!",
        "- ",
        "| ",
        "e\u0301",
        "👍🏽",
        "Dr.",
        "Ü",
        "русский",
        "…",
        "\r",
        "\u3000",
        "a" * 90,
        "-" * 40,
    ]
    weights = [source.random() ** 3 for _ in parts]
    return "".join(source.choices(parts, weights, k=source.randrange(1, 600)))


@pytest.mark.parametrize("seed", range(300))
def test_every_character_is_in_one_chunk_in_order_and_no_chunk_is_too_long(seed):
    source = random.Random(seed)
    text = random_text(source)
    limit = source.choice([8, 20, 64, 256])
    chunks = list(split([Section(text, first_line=1)], max_tokens=limit))
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())
    assert all(chunk.text.strip() and chunk.tokens <= limit for chunk in chunks)
    assert "".join(sentences(text)) == text.strip()
    position = 0
    for chunk in chunks:  # lines, counted again from the place where the text is found
        position = text.index(chunk.text, position)
        first = position + len(chunk.text) - len(chunk.text.lstrip())
        assert chunk.first_line == text.count("\n", 0, first) + 1
        position += len(chunk.text)
        assert chunk.last_line == text.count("\n", 0, position) + 1


@pytest.mark.parametrize("count", [len, lambda text: 3 + len(text.encode())])
def test_another_count_is_kept_to(count):
    text = "Some words here. 还有中文。\n\n" * 40
    chunks = list(split([Section(text)], max_tokens=40, count=count))
    assert max(chunk.tokens for chunk in chunks) <= 40
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())


HARD = [
    "a",
    "中",
    " ",
    ".",
    ". ",
    "。",
    "\n",
    "\n ",
    '.")',
    "1,2,3\n",
    "\u0301",
    ",",
    "Ab. Cd efg hij kl. ",
    "x\n\n",
    "-",
    "“",
]


@pytest.mark.parametrize("unit", HARD)
def test_time_grows_with_the_length_and_no_faster(unit):
    def seconds(size: int) -> float:
        started = time.process_time()
        for _ in split([Section(unit * (size // len(unit)), first_line=1)]):
            pass
        return time.process_time() - started

    assert seconds(80_000) < 1  # a quadratic step over 80,000 characters takes more


@pytest.mark.slow
@pytest.mark.parametrize("unit", HARD)
def test_twenty_megabytes_take_seconds(unit):
    started = time.process_time()
    for _ in split([Section(unit * (20_000_000 // len(unit.encode())), first_line=1)]):
        pass
    assert time.process_time() - started < 20
