"""What the terminal sends of a stored conversation."""

from __future__ import annotations

from datetime import UTC, datetime

from chatglm_slim_llm.hosting.assistant import Turn
from chatglm_slim_llm.hosting.turns import turns_of, with_attachments
from chatglm_slim_llm.storage import Attachment, Message, Role


def stored(*messages: tuple[Role, str]) -> list[Message]:
    now = datetime.now(UTC)
    return [Message(number, 1, None, role, text, now, "stop") for number, (role, text) in enumerate(messages)]


def told(messages: list[Message]) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in turns_of(messages, {})]


def test_answered_rounds_and_the_last_question_are_sent() -> None:
    messages = stored(("user", "a"), ("assistant", "b"), ("user", "never answered"), ("user", "c"), ("assistant", ""))
    assert told(messages) == [("human", "a"), ("ai", "b"), ("human", "c")]


def test_what_an_agent_said_before_and_after_a_call_is_one_answer() -> None:
    messages = stored(
        ("user", "a"), ("assistant", "Let me look."), ("assistant", ""), ("assistant", "3"), ("user", "b")
    )
    assert told(messages) == [("human", "a"), ("ai", "Let me look.\n3"), ("human", "b")]


def test_a_question_that_is_being_typed_comes_after_the_answered_rounds() -> None:
    messages = stored(("user", "a"), ("assistant", "b"), ("user", "never answered"))
    assert turns_of(messages, {}, "typed") == [Turn("human", "a"), Turn("ai", "b"), Turn("human", "typed")]


def test_files_come_before_the_words_between_fences_they_do_not_hold() -> None:
    notes = Attachment("notes.md", "```\ncode\n```\n")
    assert with_attachments("What?", [notes]) == "notes.md:\n````\n```\ncode\n```\n````\n\nWhat?"


def test_each_round_has_its_own_files() -> None:
    messages = stored(("user", "a"), ("assistant", "b"), ("user", "c"))
    first, last = turns_of(messages, {0: [Attachment("x", "1")]})[::2]
    assert (first.text, last.text) == ("x:\n```\n1\n```\n\na", "c")
