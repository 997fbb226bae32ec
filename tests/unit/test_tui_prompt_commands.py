"""What a line with a slash means."""

from __future__ import annotations

import pytest

from tui.commands import COMMANDS
from tui.widgets.prompt_commands import given, is_unknown, matching, unescaped


@pytest.mark.parametrize(
    ("text", "name", "argument"),
    [
        ("/new", "new", ""),
        (" /NEW \n", "new", ""),
        ("/find  two words ", "find", "two words"),
        ("/system line one\nline two", "system", "line one\nline two"),
        ("／find　中文", "find", "中文"),
        ("、new", "new", ""),
    ],
)
def test_a_command_is_known_by_its_first_word(text, name, argument):
    found = given(text)
    assert (found.command.name, found.argument) == (name, argument)


@pytest.mark.parametrize("text", ["", "/", "//new", "/etc/hosts 是什么", "/newer", "new", "a /new", "/ new", "、顿号"])
def test_all_else_is_no_command(text):
    assert given(text) is None


@pytest.mark.parametrize("text", ["/nope", "/", " /帮助 "])
def test_one_word_after_a_slash_that_names_nothing_is_a_mistake(text):
    assert is_unknown(text)


@pytest.mark.parametrize("text", ["/etc/hosts", "/etc/hosts 是什么", "/nope and more", "//nope", "/new", "、顿号", ""])
def test_a_path_a_sentence_and_two_slashes_are_none(text):
    assert not is_unknown(text)


def test_two_slashes_are_one_and_nothing_else_changes():
    assert [unescaped(text) for text in ("//new", "/new", "a//b", "///")] == ["/new", "/new", "a//b", "//"]


def test_what_begins_with_the_word_comes_before_what_holds_it():
    assert [command.name for command in matching("/co")] == ["copy", "copycode", "copyall"]
    assert [command.name for command in matching("/ttings")] == ["settings"]
    assert matching("/") == list(COMMANDS)


@pytest.mark.parametrize("text", ["", "a", "/find x", "/new\n", "//", "/etc/"])
def test_nothing_is_offered_for_what_cannot_become_a_command(text):
    assert matching(text) == []
