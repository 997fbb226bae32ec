"""Markdown and HTML to read: what was said stands untouched, and nothing of it becomes part of the page."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from exchange_samples import NOON, everything
from markdown_it import MarkdownIt

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ChatSettings, ConversationStore
from chatglm_slim_llm.storage.exchange import export_text, write_export
from chatglm_slim_llm.storage.whole import WholeConversation, WholeMessage

CODE = "def f(a):\n\treturn '<b>' + a  # *not* bold_ \n\n\n    x = `y`\n"


@pytest.fixture
def store(tmp_path):
    with ConversationStore.at(tmp_path / "history.db") as store:
        yield store


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def chat_of(store, *texts, title="t"):
    """A conversation of a question, an answer, a question …; returns its id."""
    roles = ("user", "assistant")
    messages = [
        WholeMessage(n - 1 if n else None, roles[n % 2], text, NOON, "stop" if n % 2 else None)
        for n, text in enumerate(texts)
    ]
    return store.add_whole(WholeConversation(f"{title}-{len(texts)}", title, NOON, NOON, messages, len(texts) - 1)).id


def whole_id(store, **changes):
    return store.add_whole(replace(everything(), **changes)).id


# --- Markdown


def test_a_conversation_as_markdown_says_who_when_and_from_where(store):
    assert export_text(store, whole_id(store), "markdown") == (
        "# Rooms & \\*stars\\*\n\n"
        "- Begun: 2026-01-31 12:00\n"
        "- Folder: 工作\n"
        "- Knowledge base: notes\n"
        "- Settings: `temperature = 0.5, top_k = 3, stop = ['a', 'b']`\n"
        "- System prompt:\n\n  > Be a lamp.\n\n"
        "## You · 2026-01-31 12:00\n\n"
        "Attached: `地图.md`, `b.txt`\n\n"
        "Which <b>room</b>?\n  indented\n\n"
        "## Assistant · 2026-01-31 12:00\n\n"
        "Room 7 [3].\n\n"
        "**Sources**\n\n"
        "- \\[3\\] `rooms.md, page 2, lines 10–12` · Rooms\n\n  > Room 7 is 锁.\n\n"
        "## You · 2026-01-31 12:00\n\n再来\n\n"
        "## Assistant · 2026-01-31 12:00\n\n"
        "*(Failed: out of memory)*\n"
    )


def test_a_chinese_conversation_has_chinese_labels(store):
    text = export_text(store, chat_of(store, "你好", "你好！", title="问候"), "markdown")
    assert "## 我 · 2026-01-31 12:00\n\n你好\n" in text
    assert "## 助手 · " in text


def fences(text):
    return [token.content for token in MarkdownIt().parse(text) if token.type == "fence"]


def test_code_is_untouched(store):
    text = export_text(store, chat_of(store, "code?", f"Here:\n\n```python\n{CODE}```\n\ndone"), "markdown")
    assert fences(text) == [CODE]


@pytest.mark.parametrize("opened", ["```python\nx = 1", "~~~~\nx = 1\n~~~", "``` \n````x", "a\n  ```\n`````` b\ny"])
def test_a_code_block_that_was_never_ended_ends_with_its_message(store, opened):
    text = export_text(store, chat_of(store, "q", opened, "next"), "markdown")
    headings = [token for token in MarkdownIt().parse(text) if token.type == "heading_open" and token.tag == "h2"]
    assert len(headings) == 3


# --- HTML


class Page(HTMLParser):
    """Tags and attributes as a browser would see them, and the text between."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = set(), [], "", []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</section></main></body><iframe src=//evil.example>",
    "[click](javascript:alert(1)) [data](data:text/html,<script>1</script>) <javascript:alert(2)>",
    "![tracker](https://evil.example/pixel.png \"x\" ) ![a][b]\n\n[b]: https://evil.example/2.png",
    "```<script>\n</code></pre><script>alert(1)</script>\n```",
    "```html\n<script src='https://evil.example/x.js'></script>\n```",
    "<style>@import url(https://evil.example)</style>",
    "<!-- --> <base href=https://evil.example> <meta http-equiv=refresh content=0>",
    "[x](https://example.org/?\"onmouseover=\"alert(1))",
]  # fmt: skip


def test_nothing_in_a_conversation_becomes_part_of_the_page(store):
    whole = everything()
    messages = [
        replace(each, content=text, sources=whole.messages[2].sources if number % 2 else ())
        for number, text in enumerate(HOSTILE)
        for each in [WholeMessage(number - 1 if number else None, ("user", "assistant")[number % 2], "", NOON)]
    ]
    messages += [replace(each, parent=len(messages) - 1 + n) for n, each in enumerate(
        [WholeMessage(None, "assistant", text, NOON, "error", failure=text) for text in HOSTILE])]  # fmt: skip
    chat_id = whole_id(
        store,
        title=HOSTILE[0],
        folder=HOSTILE[1],
        messages=messages,
        head=len(messages) - 1,
        settings=ChatSettings(HOSTILE[2], {HOSTILE[0]: HOSTILE[1]}, HOSTILE[2]),
    )
    html = export_text(store, chat_id, "html")
    page = Page(html)
    assert page.open == []
    assert not page.tags & {"script", "img", "iframe", "base", "link", "object", "embed", "form", "svg"}
    assert page.tags >= {"main", "section", "pre", "h1"}
    names = {name for _, name, _ in page.attributes}
    assert names <= {"lang", "charset", "http-equiv", "content", "name", "class", "href", "rel"}
    for _, name, value in page.attributes:
        if name == "href":
            assert value.startswith("https://"), value
    assert ("meta", "http-equiv", "Content-Security-Policy") in page.attributes
    assert [value for tag, name, value in page.attributes if tag == "meta" and name == "http-equiv"] == [
        "Content-Security-Policy"
    ]
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    for text in HOSTILE[::2]:  # of people: letter for letter
        assert text in page.text


def test_markdown_of_an_answer_is_rendered_and_of_a_question_is_not(store):
    html = export_text(
        store, chat_of(store, "**a** <b>", f"**b**\n\n| x |\n|---|\n| y |\n\n```python\n{CODE}```"), "html"
    )
    page = Page(html)
    assert "<strong>b</strong>" in html
    assert "**a** <b>" in page.text
    assert page.tags >= {"table", "td", "pre", "code"}
    assert CODE in page.text


def test_bold_words_of_an_answer_may_touch_chinese_marks(store):
    html = export_text(store, chat_of(store, "怎么做？", "1. **第一步：**打开**“设置”**页"), "html")
    assert "<strong>第一步：</strong>打开<strong>“设置”</strong>页" in html


def test_a_page_names_its_language_and_is_dark_where_the_reader_is(store):
    chinese = export_text(store, chat_of(store, "你好", "你好！", title="问候"), "html")
    assert '<html lang="zh-CN">' in chinese
    assert "prefers-color-scheme: dark" in chinese
    assert '<html lang="en">' in export_text(store, chat_of(store, "hello", title="Greeting"), "html")


def test_sources_can_be_opened_on_the_page(store):
    html = export_text(store, whole_id(store), "html")
    assert "<summary>[3] rooms.md, page 2, lines 10–12 · Rooms</summary>" in html
    assert "Room 7 is 锁." in Page(html).text


def test_a_message_of_a_megabyte_is_exported(store):
    big = "字" * 350_000 + "\n```\n" + "x" * 100 + "\n```"
    for format in ("markdown", "html", "json"):
        assert "字" * 350_000 in export_text(store, chat_of(store, "q", big, title=format), format)


# --- files


@pytest.mark.parametrize(
    ("name", "begin"), [("a.md", "# "), ("a.HTML", "<!doctype"), ("a.htm", "<!doctype"), ("a.json", '{"format"')]
)
def test_the_suffix_chooses_the_format(store, tmp_path, name, begin):
    path = write_export(store, [chat_of(store, "x", title="T")], tmp_path / name)
    assert path.read_text(encoding="utf-8").startswith(begin)
    assert sorted(each.name for each in tmp_path.iterdir() if each.suffix != "" and "history" not in each.name) == [
        name
    ]


def test_several_conversations_are_one_file(store, tmp_path):
    ids = [chat_of(store, "a", title="One"), chat_of(store, "b", title="Two")]
    assert re.findall("^# .*", write_export(store, ids, tmp_path / "a.md").read_text(), re.M) == ["# One", "# Two"]
    page = Page(write_export(store, ids, tmp_path / "a.html").read_text())
    assert page.open == []
    assert "One" in page.text
    assert "Two" in page.text


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(store, tmp_path):
    path, chat_id = tmp_path / "a.md", chat_of(store, "x", title="T")
    path.write_text("mine")
    with pytest.raises(StorageError, match="is there already"):
        write_export(store, [chat_id], path)
    assert path.read_text() == "mine"
    assert write_export(store, [chat_id], path, replace=True).read_text().startswith("# T")


def test_an_export_that_fails_leaves_nothing_behind(store, tmp_path):
    chat_id = chat_of(store, "x", title="T")
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(StorageError, match="conversation 99"):
        write_export(store, [chat_id, 99], folder / "a.md")
    with pytest.raises(StorageError, match=r"\.md, \.html or \.json"):
        write_export(store, [chat_id], folder / "a.docx")
    assert list(folder.iterdir()) == []
    with pytest.raises(StorageError, match="cannot be written"):
        write_export(store, [chat_id], tmp_path / "gone" / "a.md")
