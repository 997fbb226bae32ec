"""Markdown becomes the same lines however it was cut on its way, and every line fits."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from tui.markdown import Document, Palette, Row
from tui.markdown.segments import Words
from tui.wrapping import visible, wrap

PALETTE = Palette(*(Style(color=name) for name in ("red", "green", "blue", "cyan", "white")), code_theme="monokai")
PIECES = (
    *("\n", "\n\n", "- ", "1. ", "2", "# ", "> ", "```", "`", "**", "*", "a", "你好", "    ", "  ", "|", "---"),
    *(
        "| a | b |\n|---|---|\n",
        "=",
        "\t",
        "[x]",
        "(u)",
        ": ",
        "<b>",
        "~~~",
        "10) ",
        "+ ",
        "<!--",
        "-->",
        "\\",
        "\u2028",
    ),
    *("- a\n", "1. b\n", "2) c\n", "  - n\n", "   x\n", "[a]: /u\n", "[a]", "[b]: ", "'t\n", "| x |\n", "~~~\n"),
    *("```py\n", "> q\n", "\r\n", "***\n", "  \n", "$x*y*$", "- [x] t\n", "![i](/p)"),
)
CASES = {
    "fence": "```\n  Client\n    |\n\n  x\n```\n\nafter",
    "code": "Text:\n\n```python\nx = 1\n\ny = 2\n```\n\nEnd",
    "list": "- a\n- b\n  - c\n- d\n\nend",
    "numbers that go on after a gap": "1. a\n2. b\n\n3. c\n\nend",
    "table": "x\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nend",
    "a table that is none": "text\n你好|\n--> x",
    "underlined heading": "x\n\nTitle\n===\n\nbody",
    "quote": "> q1\n> q2\n\n> q3\n\nx",
    "Chinese": "你好,**世界**!\n\n1. 第一\n2. 第二\n\n`代码`",
    "address given far below": "see [x][1]\n\npara\n\npara\n\n[1]: http://e.com\n",
    "html": "<div>\nx\n\n</div>\n\n**b**",
}


def appearance(rows: list[Row]) -> list[object]:
    return [(row.text.plain, row.text.style, row.text.spans, row.joins, row.margin, row.is_said) for row in rows]


def rows_of(source: str, width: int = 40) -> list[Row]:
    document = Document()
    document.update(source)
    return document.rows(width, PALETTE)


def plain(source: str, width: int = 40) -> list[str]:
    return [row.text.plain.rstrip() for row in rows_of(source, width)]


def random_sources() -> list[str]:
    rng = random.Random(0)
    return ["".join(rng.choice(PIECES) for _ in range(rng.randint(3, 20))) for _ in range(150)]


@pytest.mark.parametrize("source", [*CASES.values(), *random_sources()])
def test_a_streamed_answer_ends_as_the_same_text_opened_from_history(source):
    whole = appearance(rows_of(source, 30))
    for size in (1, 2, 7):
        streamed = Document()
        for cut in range(size, len(source) + size, size):
            streamed.update(source[:cut], growing=True)
            streamed.rows(30, PALETTE)
        streamed.update(source)
        assert appearance(streamed.rows(30, PALETTE)) == whole, size


@pytest.mark.parametrize("width", [4, 7, 20, 80])
def test_no_line_is_wider_than_asked(width):
    source = (
        "# 标题 heading\n\n一二三四五六七八九十 word 👨‍👩‍👧 " + "x" * 50 + "\n\n```py\nprint('很长')\n```\n\n> 引用"
    )
    assert max(cell_len(row.text.plain) for row in rows_of(source, width)) <= max(width, 8)


def test_what_is_written_is_what_is_shown():
    source = "# T\n\nA **b** `c` [d](http://e)\nnext\n\n1. x\n2. y\n   - z\n\n> q\n\n---\n\n"
    source += "| h | 显存 |\n|---|--:|\n| 1 | 2 |"
    assert plain(source, 20) == [
        *("T", "", "A b c d", "next", "", "1. x", "2. y", "   • z", "", "▎ q", "", "─" * 20, ""),
        *("h │ 显存", "──┼─────", "1 │    2"),
    ]


def test_code_keeps_its_blanks_and_gets_its_colours():
    rows = rows_of("```python\nif x:\n\n    y = 'z'\n```", 30)
    assert [row.text.plain.rstrip() for row in rows] == [
        "                python  copy",
        *("  if x:", "", "      y = 'z'", ""),
    ]
    assert rows[1].text.spans
    growing = Document()
    growing.update("```python\nif x:\n\n    y = 'z'", growing=True)
    assert [row.text.plain for row in growing.rows(30, PALETTE)] == [row.text.plain for row in rows]


def test_chinese_breaks_anywhere_but_not_before_a_closing_or_after_an_opening_mark():
    wrapped = [line.plain for line in wrap(Text("他说：“你好，世界！”（再见）。"), 10)]
    assert "".join(wrapped) == "他说：“你好，世界！”（再见）。"
    assert all(cell_len(line) <= 10 for line in wrapped)
    assert not any(line[0] in "，！”）。：" or line[-1] in "“（" for line in wrapped)


def test_words_stay_whole_between_chinese_characters():
    assert [line.plain for line in wrap(Text("使用 ChatGLM-6B 模型"), 12)] == ["使用", "ChatGLM-6B", "模型"]


def test_control_characters_are_shown_and_direction_marks_dropped():
    assert visible("a\x1b[2J\x00\x9b\x7f\r\nb\tc\u202ed") == "a␛[2J␀\ufffd\ufffd\nb   cd"


@pytest.mark.long
@pytest.mark.timeout(20)
def test_a_megabyte_is_rendered_in_seconds():
    assert len(plain("long words and 中文 " * 50_000)) > 10_000
    assert len(plain("x" * 1_000_000)) == 25_000


BOLD = [
    ("1. **第一步：**打开", ["第一步："]),
    ("- **第一步：**打开", ["第一步："]),
    ("> **注意：**请", ["注意："]),
    ("**甲：**乙", ["甲："]),
    ("**（可选）**打开", ["（可选）"]),
    ("先**（可选）**打开", ["（可选）"]),
    ("的**`x`**，**C++**语言", ["x", "C++"]),
    ("**注意：**请保存文件。它叫**“引号”**的东西，还有**正常**的。", ["注意：", "“引号”", "正常"]),
    ("**텍스트(text)**는", ["텍스트(text)"]),
    ("a**(b)**c **d** e", ["d"]),  # without Chinese, all is CommonMark's
    ("a**!b**😀", []),
    ("5 ** 3 ** 2，** 甲 **", []),
    ("** 甲**", []),
]


@pytest.mark.parametrize(("source", "expected"), BOLD)
def test_bold_words_may_touch_chinese_marks(source, expected):
    (row,) = rows_of(source, 80)
    assert [row.text.plain[s.start : s.end] for s in row.text.spans if Style.parse(str(s.style)).bold] == expected
    is_chinese = bool(expected) and "d" not in expected
    assert ("**" in row.text.plain) != is_chinese


def test_italics_and_strokes_may_touch_chinese_marks_and_underscores_may_not():
    (row,) = rows_of("*注：*请看~~旧。~~新，_名：_值", 80)
    assert row.text.plain == "注：请看旧。新，_名：_值"


GROWING = (
    *("> a\n", "> - x\n", ">\n", "> b **c** d\n", "> ```\n", "> | a | b |\n", "> |---|---|\n", "> > n\n", "> 1. k\n"),
    *(
        "> ---\n",
        "> [r]: /u\n",
        "> [r]\n",
        "> \t x\n",
        ">",
        "> ",
        "\n",
        "words\n",
        "**b** x\n",
        "(c) d\n",
        "*e\n",
        "e*\n",
    ),
    *(
        "a | b\n",
        "-|-\n",
        "1. \n",
        "3x\n",
        "[q]\n",
        "[q]: /u\n",
        "`c\n",
        "c`\n",
        "中文\n",
        "“引”\n",
        "===\n",
        "    y\n",
    ),
    *("*a **b* c**\n", "**x** `y` [1] [t](http://e)  \n", " **p** q \n", "x **o\n", "p** x\n", "> **p** `q`\n"),
    *("\u200e- x\n", "&amp;\n", "a  \n", "\\\n", "<b\n", "c>\n", "[l\n", "m](/u)\n"),
)


@pytest.mark.parametrize("seed", range(60))
def test_what_is_shown_of_an_answer_that_grows_is_what_has_come_of_it(seed):
    rng = random.Random(seed)
    source = "".join(rng.choice(GROWING) for _ in range(rng.randint(3, 20)))
    size = rng.choice((1, 2, 5))
    streamed = Document()
    for cut in range(size, len(source) + size, size):
        streamed.update(source[:cut], growing=True)
        at_once = Document()
        at_once.update(source[:cut], growing=True)
        assert appearance(streamed.rows(30, PALETTE)) == appearance(at_once.rows(30, PALETTE)), source[:cut]
    streamed.update(source)
    assert appearance(streamed.rows(30, PALETTE)) == appearance(rows_of(source, 30))


WORDS = (
    *("word ", "中文", "，", "。", "*", "**", "a_b ", "`", "[", "]", "[a](http://x.y/z)", "http://a.b/c，", "$", "$5 "),
    *(
        "$x$",
        "\\",
        "\\(",
        "\\)",
        "!",
        "<br>",
        "&amp;",
        "~~",
        "超长" * 9,
        "longword" * 5,
        "（",
        "5 * 3 ",
        "👍🏽",
        "e\u0301",
    ),
    *("👩\u200d👧", "\u200dx", "\ufe0f", "\n", "\n  ", "\n> ", "  ", "一。二"),
)


@pytest.mark.parametrize("seed", range(60))
def test_a_paragraph_that_grows_is_drawn_as_it_is_drawn_whole(seed):
    rng = random.Random(seed)
    pieces = [*rng.sample(WORDS, rng.randint(2, 10)), "word ", "中文，"]
    source = rng.choice(["", "> "]) + "".join(rng.choice(pieces) for _ in range(80))
    width, document, cut = rng.choice([5, 20, 40]), Document(), 0
    while cut < len(source):
        cut += rng.randint(1, 30)
        document.update(source[:cut], growing=True)
        whole = Document()
        whole.update(source[:cut], growing=True)
        for segment in whole.segments:
            if isinstance(segment.body, Words):
                segment.body.kept = None
        assert appearance(document.rows(width, PALETTE)) == appearance(whole.rows(width, PALETTE))
