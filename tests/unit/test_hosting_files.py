"""Files as the text that is sent with a message."""

from __future__ import annotations

import os

import pytest
from docx import Document

from chatglm_slim_llm.errors import UnreadableFileError
from chatglm_slim_llm.hosting import files
from chatglm_slim_llm.hosting.files import read_attachment
from tests.unit.loader_samples import write_pdf

CODE = "def f():\n\n\n    return '[1]'  # 你好\n"


def refusal(path):
    with pytest.raises(UnreadableFileError) as caught:
        read_attachment(path)
    return caught.value.reason


@pytest.mark.parametrize("name", ["a.py", "a.md", "a.csv", "a.txt", "Makefile", "a.weird"])
def test_text_is_taken_as_it_is(tmp_path, name):
    path = tmp_path / name
    path.write_text(CODE, encoding="utf-8")
    attachment = read_attachment(path)
    assert (attachment.name, attachment.text, attachment.path) == (name, CODE, path)


def test_old_chinese_encodings_are_read(tmp_path):
    path = tmp_path / "旧.txt"
    path.write_bytes("清华大学位于北京，成立于一九一一年。\r\n".encode("gb18030"))
    assert read_attachment(path).text == "清华大学位于北京，成立于一九一一年。\n"


def test_the_text_of_a_pdf_is_read(tmp_path):
    attachment = read_attachment(write_pdf(tmp_path / "a.pdf", [["First page 第一页"], ["Second page"]]))
    assert "First page 第一页" in attachment.text
    assert attachment.text.index("First") < attachment.text.index("Second")
    assert attachment.media_type == "application/pdf"


def test_the_text_of_a_word_file_stands_under_its_headings(tmp_path):
    document = Document()
    document.add_heading("Rooms", 1)
    document.add_paragraph("The key is under the mat.")
    document.add_paragraph("The lamp is in the hall.")
    document.save(str(tmp_path / "a.docx"))
    text = read_attachment(tmp_path / "a.docx").text
    assert " ".join(text.split()) == "Rooms The key is under the mat. The lamp is in the hall."


def test_what_has_no_text_is_refused_in_words(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "spaces.txt").write_text(" \n ")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    os.mkfifo(tmp_path / "pipe.txt")
    assert refusal(tmp_path / "a.png") == "an image"
    assert refusal(tmp_path / "empty.txt") == "empty"
    assert refusal(tmp_path / "spaces.txt") == "holds no text"
    assert "binary" in refusal(tmp_path / "binary.txt")
    assert "PDF" in refusal(tmp_path / "broken.pdf")
    assert "pipe" in refusal(tmp_path / "pipe.txt")
    assert "does not exist" in refusal(tmp_path / "nowhere.txt")
    assert "folder" in refusal(tmp_path)


def test_a_file_that_may_not_be_read_says_so(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text("secret")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "permission" in refusal(path)


def test_too_much_text_is_refused_with_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_CHARACTERS", 10)
    (tmp_path / "long.txt").write_text("字" * 11)
    assert "11 characters" in refusal(tmp_path / "long.txt")
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 10)
    assert "more than" in refusal(tmp_path / "long.txt")
