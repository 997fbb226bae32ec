"""Earlier prompts, one step at a time."""

from __future__ import annotations

from tui.widgets.prompt_past import PastPrompts


def past(*texts: str) -> PastPrompts:
    prompts = PastPrompts()
    prompts.set(texts)
    return prompts


def test_what_was_being_typed_comes_back():
    prompts = past("new", "old")
    assert [prompts.step(1, "typed"), prompts.step(1, "new"), prompts.step(1, "old")] == ["new", "old", None]
    assert [prompts.step(-1, "old"), prompts.step(-1, "new"), prompts.step(-1, "typed")] == ["new", "typed", None]


def test_a_change_to_an_earlier_prompt_is_there_until_something_is_sent():
    prompts = past("new", "old")
    prompts.step(1, "")
    prompts.step(1, "new, changed")
    assert prompts.step(-1, "old") == "new, changed"
    prompts.leave()
    assert prompts.step(1, "") == "new"


def test_what_was_sent_is_the_newest_and_not_there_twice():
    prompts = past("new")
    prompts.remember("newer")
    prompts.remember("newer")
    assert [prompts.step(1, ""), prompts.step(1, "newer")] == ["newer", "new"]


def test_another_list_waits_while_someone_looks_at_this_one():
    prompts = past("new", "old")
    prompts.step(1, "typed")
    prompts.set(["newest"])
    prompts.remember("sent elsewhere")
    assert prompts.step(1, "new") == "old"
    assert [prompts.step(-1, "old"), prompts.step(-1, "new")] == ["new", "typed"]
    assert [prompts.step(1, "typed"), prompts.step(1, "sent elsewhere")] == ["sent elsewhere", "newest"]
