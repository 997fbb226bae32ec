"""Tools that ask, one question at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from chatglm_slim_llm.hosting.assistant import ToolUse
from tui.asking import Asking


@dataclass
class Seen:
    """What the model and the screen were told."""

    permitted: list[tuple[str, bool]] = field(default_factory=list)
    shown: list[str | None] = field(default_factory=list)

    def asking(self) -> Asking:
        def show(use: ToolUse | None) -> None:
            self.shown.append(use.id if use else None)

        return Asking(lambda use_id, allowed: self.permitted.append((use_id, allowed)), show)


@pytest.fixture
def seen() -> Seen:
    return Seen()


def asks(use_id: str, name: str = "shell") -> ToolUse:
    return ToolUse(use_id, name, {}, "asked")


@pytest.mark.parametrize(("answer", "allowed"), [("once", True), ("chat", True), ("refuse", False)])
def test_an_answer_goes_to_the_model_and_the_question_away(seen, answer, allowed):
    asking = seen.asking()
    asking.follow(1, asks("a"))
    asking.answer(answer)
    assert (seen.permitted, seen.shown) == ([("a", allowed)], ["a", None])


def test_what_is_allowed_once_is_asked_about_again(seen):
    asking = seen.asking()
    for use_id in "ab":
        asking.follow(1, asks(use_id))
        asking.answer("once")
    assert seen.shown == ["a", None, "b", None]


def test_what_is_allowed_in_a_chat_is_that_tool_in_that_chat_alone(seen):
    asking = seen.asking()
    asking.follow(1, asks("a"))
    asking.answer("chat")
    asking.follow(1, asks("b"))
    assert seen.permitted == [("a", True), ("b", True)]
    asking.follow(1, asks("c", "mail"))
    assert asking.asked == asks("c", "mail")
    asking.end()
    asking.follow(2, asks("d"))
    assert asking.asked == asks("d")
    assert seen.permitted == [("a", True), ("b", True)]


def test_questions_wait_for_each_other(seen):
    asking = seen.asking()
    for use in (asks("a"), asks("b", "mail"), asks("c")):
        asking.follow(1, use)
    asking.answer("refuse")
    asking.answer("chat")
    asking.answer("chat")
    asking.answer("once")
    assert seen.permitted == [("a", False), ("b", True), ("c", True)]
    assert seen.shown == ["a", "b", "c", None]


def test_a_use_that_goes_on_by_itself_asks_no_more(seen):
    asking = seen.asking()
    asking.follow(1, asks("a"))
    asking.follow(1, ToolUse("a", "shell", {}, "failed"))
    asking.answer("once")
    assert (seen.permitted, seen.shown) == ([], ["a", None])


def test_at_the_end_nothing_is_permitted(seen):
    asking = seen.asking()
    asking.follow(1, asks("a"))
    asking.follow(1, asks("b"))
    asking.end()
    assert (seen.permitted, seen.shown, asking.asked) == ([], ["a", None], None)
