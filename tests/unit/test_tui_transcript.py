"""What the terminal sends of a stored conversation."""

from __future__ import annotations

from datetime import UTC, datetime

from chatglm_slim_llm.storage import Message, Role
from tui.transcript import turns_of


def stored(*messages: tuple[Role, str]) -> list[Message]:
    now = datetime.now(UTC)
    return [Message(number, 1, None, role, text, now, "stop") for number, (role, text) in enumerate(messages)]


def test_answered_rounds_and_the_last_question_are_sent() -> None:
    messages = stored(("user", "a"), ("assistant", "b"), ("user", "never answered"), ("user", "c"), ("assistant", ""))
    assert turns_of(messages) == [("human", "a"), ("ai", "b"), ("human", "c")]


def test_what_an_agent_said_before_and_after_a_call_is_one_answer() -> None:
    messages = stored(
        ("user", "a"), ("assistant", "Let me look."), ("assistant", ""), ("assistant", "3"), ("user", "b")
    )
    assert turns_of(messages) == [("human", "a"), ("ai", "Let me look.\n3"), ("human", "b")]
