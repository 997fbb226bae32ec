"""What terminals send when files are dropped on them."""

from __future__ import annotations

import pytest

from tui.widgets.prompt_files import dropped_files


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "报告 (a 'b').txt"
    path.write_text("x")
    return path


def test_a_plain_path_with_spaces(report):
    assert dropped_files(f"{report}\n") == [report]


def test_a_path_in_quotes(report):
    assert dropped_files(f'"{report}" ') == [report]


def test_a_path_with_escaped_spaces(report):
    escaped = "".join(f"\\{letter}" if letter in " ()'" else letter for letter in str(report))
    assert dropped_files(escaped) == [report]


def test_an_address_of_a_file(report):
    assert dropped_files(report.as_uri()) == [report]
    assert dropped_files(report.as_uri().replace("file://", "file://localhost")) == [report]


def test_a_path_from_the_home_folder(report, monkeypatch):
    monkeypatch.setenv("HOME", str(report.parent))
    assert dropped_files(f"~/{report.name}") == [report]


def test_several_files_at_once(report):
    other = report.with_name("b.txt")
    other.write_text("y")
    assert dropped_files(f"'{other}' {report.as_uri()}") == [other, report]


@pytest.mark.parametrize(
    "text", ["", "/", "/etc", "/nowhere/at/all.txt", "'/etc", "/a\x00b", "/" + "a" * 5000, "~nobody-x/f"]
)
def test_what_names_no_file_is_text(text):
    assert dropped_files(text) == []


def test_a_path_in_a_sentence_is_text(report):
    assert dropped_files(f"read {report}") == []
    assert dropped_files(f"{report} 是什么") == []


def test_a_name_without_its_folder_is_text(report, monkeypatch):
    monkeypatch.chdir(report.parent)
    assert dropped_files(report.name) == []
