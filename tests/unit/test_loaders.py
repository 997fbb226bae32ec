"""Each kind of file becomes the text that a person reads in it; what is no document says why in one sentence."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import zipfile

import pytest

from chatglm_slim_llm.errors import UnreadableFileError
from chatglm_slim_llm.retrieval.loaders import archive, boundary, epub, html, markdown, pdf, sheet, slides, text, word
from chatglm_slim_llm.retrieval.loaders.encoding import decode
from chatglm_slim_llm.retrieval.passages import Section
from tests.unit.loader_samples import replaced, write_epub, write_pdf, write_zip

CHINESE = "清华大学的研究人员在北京发布了一个开源的对话模型，它支持中文和英文。"
TRADITIONAL = "臺灣的圖書館收藏了許多關於歷史與文學的書籍，歡迎讀者來閱讀。"
JAPANESE = "東京の図書館には、たくさんの本があります。毎日新しい本を読みます。"
KOREAN = "서울의 도서관에는 많은 책이 있습니다. 매일 새로운 책을 읽습니다."
FRENCH = "L'été dernier, nous avons mangé des crêpes près de l'hôtel où Zoë était née."
RUSSIAN = "В московской библиотеке хранится много книг, и каждый день приходят новые читатели."


@pytest.fixture
def read(tmp_path):
    """Write a file and read it back: ``(text, heading, page, first_line)`` of each section."""

    def read(load, content, name="sample"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return sections_of(load, path)

    return read


def sections_of(load, path):
    return [(s.text, s.heading, s.page, s.first_line) for s in load(path)]


def reason(load, path):
    with pytest.raises(UnreadableFileError) as caught:
        list(load(path))
    assert "\n" not in caught.value.reason
    return caught.value.reason


# Bytes and characters


@pytest.mark.parametrize(
    ("sample", "encoding"),
    [
        (CHINESE, "gb18030"),
        ("会议", "gb18030"),
        ("姓名,年龄\n张伟,30\n", "gbk"),
        (TRADITIONAL, "big5"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (KOREAN, "euc_kr"),
        (FRENCH, "cp1252"),
        ("naïve café", "cp1252"),
        (RUSSIAN, "cp1251"),
        (CHINESE, "utf-8"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "utf-16"),
        (CHINESE, "utf-32"),
        ("Windows text\n" * 3, "utf-16-le"),
        ("Windows text\n" * 3, "utf-16-be"),
    ],
)
def test_text_is_read_in_the_encoding_it_was_written_in(sample, encoding):
    assert decode(sample.encode(encoding)) == sample


def test_long_files_in_old_encodings_are_not_read_from_the_middle_of_a_character():
    sample = "x" * 70_001 + CHINESE * 3_000
    assert decode(sample.encode("gbk")) == sample


def test_a_few_bad_bytes_do_not_make_another_encoding_of_utf8():
    data = CHINESE.encode()
    assert decode(data + b"\xff" + data) == CHINESE + "\ufffd" + CHINESE
    assert decode(data[:-1]).startswith(CHINESE[:-1])


@pytest.mark.parametrize("data", [b"\x7fELF\0\0\0\1", bytes(range(1, 32)) * 9, random.Random(1).randbytes(5000)])
def test_binary_files_are_refused(tmp_path, data):
    path = tmp_path / "x.txt"
    path.write_bytes(data)
    assert reason(text.load, path) == "binary, not text"


# Plain text


def test_lines_end_alike_and_what_no_database_holds_is_dropped(read):
    assert read(text.load, "a\r\nb\rc\n" + "x" * 9000 + "\0y") == [("a\nb\nc\n" + "x" * 9000 + "y", "", None, 1)]


def test_long_text_is_cut_at_lines_and_nothing_is_lost(read):
    lines = [f"line {number} " + "x" * (number % 90) for number in range(1, 12_001)]
    sections = read(text.load, "\n".join(lines))
    assert len(sections) > 2
    assert "".join(section[0] for section in sections) == "\n".join(lines)
    assert all(len(section[0]) <= 200_000 for section in sections)
    assert all(section[0].startswith(f"line {section[3]} ") for section in sections)


def test_a_line_longer_than_a_section_is_cut_anyway(read):
    assert [len(section[0]) for section in read(text.load, "字" * 450_000)] == [200_000, 200_000, 50_000]


def test_text_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(boundary, "MAX_CHARACTERS", 1000)
    path = tmp_path / "x"
    path.write_text("x" * 1001)
    assert reason(text.load, path) == "holds more than 1,000 characters of text"


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path):
    assert reason(text.load, tmp_path / "gone") == "cannot be read: No such file or directory"


# Markdown


def test_markdown_sections_have_the_path_of_their_headings_and_their_line(read):
    source = """\
---
title: "手册"
---
Before.

# One ##
text *as written*

```python
# no heading
```
## Two
- item
---
Under
the line
========
last
### Alone
"""
    assert read(markdown.load, source) == [
        ('---\ntitle: "手册"\n---\nBefore.', "手册", None, 1),
        ("text *as written*\n\n```python\n# no heading\n```", "手册 › One", None, 7),
        ("- item\n---\nUnder\nthe line\n========\nlast", "手册 › One › Two", None, 13),
        ("Alone", "手册 › One › Two › Alone", None, 19),
    ]


def test_underlined_headings_of_markdown_count_after_a_blank_line(read):
    source = "Big\nand long\n===\na\n\nSmall\n---\nb\n\n| x |\n---\nc\n"
    assert read(markdown.load, source) == [
        ("a", "Big and long", None, 4),
        ("b\n\n| x |\n---\nc", "Big and long › Small", None, 8),
    ]


def test_a_fence_ends_only_with_its_own_kind(read):
    assert [s[1] for s in read(markdown.load, "````\n```\n# no\n~~~\n````\n# Yes\nx")] == ["", "Yes"]


# HTML


def test_html_gives_what_is_seen_in_reading_order(read):
    source = """<!doctype html><meta charset=utf-8><title>Not the heading</title><nav>menu</nav>
    <h1>标题</h1><p>中文\n换行 and\nEnglish<br>new line</p><script>if (a<b) "<p>"</script>
    <ul><li><p>one</p><li>two<ul><li>deep</ul></ul><div hidden>no<input><b>no</b></div><p style="display: none">no</p>
    <h2>Table</h2><table><tr><th>A<th>B<tr><td>1<td><p>2</p><p>3</p></table>
    <pre>  x\n   y</pre><template>no</template>end"""
    assert read(html.load, source) == [
        ("中文换行 and English\nnew line\n\n- one\n- two\n- deep", "标题", None, None),
        ("A | B\n1 | 2 3\n\n  x\n   y\n\nend", "标题 › Table", None, None),
    ]


def test_the_title_stands_for_a_missing_h1(read):
    assert read(html.load, "<title>T &amp; U</title><h2>H</h2>x") == [("x", "T & U › H", None, None)]


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ("<meta charset=gb2312>", "gb18030"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=big5">', "big5"),
        ('<?xml version="1.0" encoding="Shift_JIS"?>', "shift_jis"),
        ("<meta charset=no-such-thing>", "utf-8"),
        ("", "utf-16"),
    ],
)
def test_html_is_read_in_the_encoding_it_declares(read, head, encoding):
    assert read(html.load, f"{head}<p>文字</p>".encode(encoding))[0][0] == "文字"


def test_html_cut_into_parts_for_the_parser_reads_the_same(read, monkeypatch):
    source = "<h1>字</h1>" + "".join(f"<p>第{n}段 &amp; <b>粗</b>体</p>" for n in range(300))
    whole = read(html.load, source)
    assert whole[0][0].startswith("第0段 & 粗体\n\n第1段 & 粗体")
    monkeypatch.setattr(html, "_PART", 7)
    assert read(html.load, source) == whole


def test_deep_and_unclosed_html_is_read_to_its_end(read):
    assert read(html.load, "<div><b>" * 100_000 + "at last") == [("at last", "", None, None)]
    assert read(html.load, "") == []


# PDF


def test_pdf_pages_have_their_paragraphs_joined(tmp_path):
    pages = [
        [
            "清华大学与智谱公司共同研究的一种对话语言模型具",
            "有六十二亿参数并且支持中英双语。",
            "short",
            "lines",
            "The quick brown fox jumps over the lazy docu-",
            "ments, and then it sleeps until next morning.",
        ],
        [],
        ["Only"],
    ]
    assert sections_of(pdf.load, write_pdf(tmp_path / "x.pdf", pages)) == [
        (
            "清华大学与智谱公司共同研究的一种对话语言模型具有六十二亿参数并且支持中英双语。\n\n"
            "short\nlines\n\nThe quick brown fox jumps over the lazy documents, and then it sleeps until next morning.",
            "",
            1,
            None,
        ),
        ("Only", "", 3, None),
    ]


def test_a_pdf_without_text_says_that_it_needs_ocr(tmp_path):
    assert reason(pdf.load, write_pdf(tmp_path / "x.pdf", [[], []])) == "has no text layer; it needs OCR"


def test_a_damaged_pdf_is_one_clear_error(tmp_path):
    path = tmp_path / "x.pdf"
    path.write_bytes(b"%PDF-1.7\n" + bytes(1000))
    assert reason(pdf.load, path).startswith("damaged PDF: Failed to load document")


def test_a_pdf_behind_a_password_says_so(tmp_path):
    # Keys that no empty password opens; the standard handler of PDF 1.4, its revision 2.
    lock = f"/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{'11' * 32}> /U <{'22' * 32}> >>"
    assert reason(pdf.load, write_pdf(tmp_path / "x.pdf", [["a"]], trailer=lock)) == "protected by a password"


def test_three_thousand_pages_come_one_by_one(tmp_path):
    path = write_pdf(tmp_path / "x.pdf", [[f"page {number}"] for number in range(1, 3001)])
    assert all(section == Section(f"page {section.page}", page=section.page) for section in pdf.load(path))
    assert sum(1 for _ in pdf.load(path)) == 3000


# Word, PowerPoint, Excel


@pytest.fixture
def word_file(tmp_path):
    from docx import Document

    document = Document()
    document.add_heading("手册", level=0)
    document.add_paragraph("Before.")
    document.add_heading("One", level=1)
    document.add_paragraph("first", style="List Bullet")
    document.add_paragraph("second", style="List Bullet")
    document.add_heading("Deep", level=3)
    table = document.add_table(rows=2, cols=3)
    for cell, content in zip(table._cells, ["a", "b", "c", "1", "2", "3"], strict=True):
        cell.text = content
    table.cell(0, 0).merge(table.cell(0, 1)).text = "ab"
    document.add_paragraph("after\nthe table")
    document.save(tmp_path / "x.docx")
    return tmp_path / "x.docx"


def test_word_gives_paragraphs_lists_and_tables_in_order(word_file):
    assert sections_of(word.load, word_file) == [
        ("Before.", "手册", None, None),
        ("- first\n- second", "手册 › One", None, None),
        ("ab | c\n1 | 2 | 3\n\nafter\nthe table", "手册 › One › Deep", None, None),
    ]


def test_word_gives_insertions_and_controls_but_no_deletions(word_file):
    body = (
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
        "<w:p><w:r><w:t>kept </w:t></w:r><w:ins><w:r><w:t>new</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>old</w:delText></w:r></w:del></w:p>"
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        "<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val='999999999'/></w:tcPr><w:p><w:r><w:t>wide</w:t></w:r></w:p>"
        "</w:tc></w:tr></w:tbl></w:body></w:document>"
    )
    replaced(word_file, "word/document.xml", body.encode())
    assert [section[0] for section in sections_of(word.load, word_file)] == ["kept new\n\ncontrol\n\nwide"]


@pytest.fixture
def slides_file(tmp_path):
    from pptx import Presentation
    from pptx.util import Inches

    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "第一页"
    slide.placeholders[1].text = "point one\npoint two"
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 9, 9).text_frame.text = "in a group"
    slide.notes_slide.notes_text_frame.text = "say this"
    presentation.slides.add_slide(presentation.slide_layouts[6])
    last = presentation.slides.add_slide(presentation.slide_layouts[6])
    table = last.shapes.add_table(1, 2, 0, 0, Inches(1), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "a", "b"
    presentation.save(tmp_path / "x.pptx")
    return tmp_path / "x.pptx"


def test_slides_have_title_shapes_tables_and_notes(slides_file):
    assert sections_of(slides.load, slides_file) == [
        ("point one\npoint two\n\nin a group\n\nsay this", "第一页", 1, None),
        ("a | b", "", 3, None),
    ]


@pytest.fixture
def excel_file(tmp_path):
    from datetime import datetime

    from openpyxl import Workbook

    workbook = Workbook()
    people = workbook.active
    people.title = "人员"
    for row in [
        ["姓名", "年龄", "born"],
        ["张伟", 30.0, datetime(1990, 1, 2)],
        [None, None, None],
        ["李娜", None, 1.5],
    ]:
        people.append(row)
    numbers = workbook.create_sheet("Numbers")
    numbers.append([1, 2])
    numbers.append([3, None, "x"])
    workbook.save(tmp_path / "x.xlsx")
    return tmp_path / "x.xlsx"


def test_excel_rows_carry_their_headers(excel_file):
    assert sections_of(sheet.load_xlsx, excel_file) == [
        ("姓名: 张伟; 年龄: 30; born: 1990-01-02", "人员", 1, None),
        ("姓名: 李娜; born: 1.5", "人员", 1, None),
        ("1 | 2\n3 | x", "Numbers", 2, None),
    ]


def test_a_workbook_of_endless_cells_is_refused(excel_file, monkeypatch):
    monkeypatch.setattr(sheet, "MAX_CELLS", 10)
    assert reason(sheet.load_xlsx, excel_file) == "holds more than 10 cells"


@pytest.mark.parametrize(("name", "delimiter"), [("x.csv", ","), ("x.csv", ";"), ("x.csv", "|"), ("x.tsv", "\t")])
def test_csv_rows_carry_their_headers_and_lines(read, name, delimiter):
    rows = ["name,age", "Ann,30", "", "Bob,41", "Cy,5"]
    assert read(sheet.load_csv, "\n".join(rows).replace(",", delimiter), name) == [
        ("name: Ann; age: 30", "", None, 2),
        ("name: Bob; age: 41\nname: Cy; age: 5", "", None, 4),
    ]


def test_csv_values_may_hold_lines_and_quotes(read):
    assert read(sheet.load_csv, 'a,b\n"x\ny","say ""hi"""\n1,2\n', "x.csv") == [
        ('a: x y; b: say "hi"', "", None, 2),
        ("a: 1; b: 2", "", None, 4),
    ]


def test_csv_that_no_rule_takes_apart_is_read_as_text(read):
    source = 'a,"' + "x" * 200_000
    assert "".join(section[0] for section in read(sheet.load_csv, source, "x.csv")) == source


# EPUB


def test_epub_chapters_come_in_order_with_their_place(tmp_path):
    page = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{}</body></html>'
    chapters = [page.format("<h1>第一章</h1><p>话说&nbsp;天下</p>"), page.format(""), page.format("<p>end</p>")]
    assert sections_of(epub.load, write_epub(tmp_path / "x.epub", chapters)) == [
        ("话说 天下", "第一章", 1, None),
        ("end", "", 3, None),
    ]


def test_entities_of_a_book_do_not_read_files_of_the_machine(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    evil = f'<?xml version="1.0"?><!DOCTYPE h [<!ENTITY e SYSTEM "{secret.as_uri()}">]><html><body>a&e;b</body></html>'
    package = f'<!DOCTYPE p [<!ENTITY e SYSTEM "{secret.as_uri()}">]><package><manifest>&e;</manifest></package>'
    assert "SECRET" not in str(sections_of(epub.load, write_epub(tmp_path / "x.epub", [evil])))
    path = write_epub(tmp_path / "y.epub", [], OEBPS__book_opf="")
    assert reason(epub.load, replaced(path, "OEBPS/book.opf", package.encode())) == (
        "damaged EPUB book: it lists no chapters"
    )


def test_a_copy_protected_book_says_so(tmp_path):
    encryption = '<encryption><CipherReference URI="OEBPS/text/chapter%200.xhtml"/></encryption>'
    path = write_epub(tmp_path / "x.epub", [b"\1\2\3"])
    replaced(path, "META-INF/encryption.xml", encryption.encode())
    assert reason(epub.load, path) == "protected against copying (DRM)"


# Archives that are no documents

ZIPPED = [(word.load, "word_file"), (slides.load, "slides_file"), (sheet.load_xlsx, "excel_file")]


@pytest.mark.parametrize(("load", "sample"), ZIPPED)
def test_office_files_cut_short_are_damaged(load, sample, request):
    path = request.getfixturevalue(sample)
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        assert reason(load, path).startswith("damaged ")


@pytest.mark.parametrize(("load", "sample"), ZIPPED)
def test_office_files_with_any_bytes_changed_give_text_or_one_error(load, sample, request):
    path, rng = request.getfixturevalue(sample), random.Random(5)
    whole = path.read_bytes()
    for _ in range(25):
        broken = bytearray(whole)
        for _ in range(5):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        path.write_bytes(broken)
        with contextlib.suppress(UnreadableFileError):
            list(load(path))


@pytest.mark.parametrize(
    ("load", "sample", "member"),
    [
        (word.load, "word_file", "word/document.xml"),
        (slides.load, "slides_file", "ppt/slides/slide1.xml"),
        (sheet.load_xlsx, "excel_file", "xl/worksheets/sheet1.xml"),
    ],
)
def test_a_billion_laughs_are_not_laughed(load, sample, member, request):
    path = request.getfixturevalue(sample)
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    for encoding in ("utf-8", "utf-16"):
        bomb = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x>&l9;</x>'
        replaced(path, member, bomb.encode(encoding))
        assert reason(load, path).endswith(f"{member} declares entities")


@pytest.mark.long
def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path):
    one = write_zip(tmp_path / "one", {"word/document.xml": bytes(65 << 20)})
    assert "would unpack 'word/document.xml' to 65 MiB" in reason(word.load, one)
    many = write_zip(tmp_path / "many", {f"{n}.xml": b"" for n in range(20_001)})
    assert "more than 20,000" in reason(epub.load, many)


def test_sizes_that_add_up_to_too_much_are_refused(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "x", {f"{n}.xml": bytes(100_000) for n in range(30)})
    monkeypatch.setattr(archive, "MAX_XML_BYTES", 2 << 20)
    assert reason(word.load, path) == "holds 2 MiB of XML, more than the 2 that are read"
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1 << 20)
    assert reason(word.load, path) == "would unpack to 2 MiB, more than the 1 that are read"


def test_a_list_of_members_too_long_to_be_read_is_refused(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, 1 << 30, 0, 0))
    assert reason(epub.load, path) == "holds more than 20,000 files"


def test_encrypted_archives_say_so(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
    data = bytearray(buffer.getvalue())
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "x").write_bytes(data)
    assert reason(epub.load, tmp_path / "x") == "protected by a password"


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("EncryptedPackage", "protected by a password"),
        ("WordDocument", "an old Word file; save it as .docx"),
        ("Workbook", "an old Excel file; save it as .xlsx"),
        ("?", "an old Office file; save it in the format of its suffix"),
    ],
)
def test_old_office_files_say_what_they_are(tmp_path, stream, expected):
    ole = bytes.fromhex("D0CF11E0A1B11AE1") + bytes(500) + stream.encode("utf-16-le")
    (tmp_path / "x.docx").write_bytes(ole)
    assert reason(word.load, tmp_path / "x.docx") == expected


def test_a_spreadsheet_is_no_word_file(excel_file):
    assert reason(word.load, excel_file).startswith("damaged Word file")
