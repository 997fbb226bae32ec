"""Text of others on the screen: none of it reaches the terminal as something that steers it."""

from __future__ import annotations

import re

import pytest
from rich.segment import Segment
from test_tui_chat import Chat, chatting
from textual.color import Color
from textual.widgets._toast import ToastRack

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.storage import ChatSettings, ConversationStore
from tui.screens.confirm import Confirm
from tui.screens.download import Download
from tui.unsteered import Unsteered

EVIL = "evil \x1b]0;title\x07\x1b[2J\x9b31m\x00\x08\x7f\u202e[b]"
STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def folder(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        settings = ChatSettings(system=EVIL, knowledge_base=EVIL)
        question, answer = store.begin(None, None, EVIL, title=EVIL, settings=settings)
        store.update(answer.id, EVIL, finish_reason="error", failure=EVIL)
        store.move(question.conversation_id, EVIL)
    return tmp_path


async def is_safe(chat: Chat) -> bool:
    await chat.until(lambda: any("evil" in line for line in chat.lines()))
    return not any(STEERING.search(line) for line in chat.lines())


@pytest.mark.long
async def test_names_and_titles_of_others_steer_nothing(folder):
    async with chatting(folder, options=LoadOptions(model=f"owner/{EVIL}"), paints_notes=True) as chat:
        assert await is_safe(chat)
        await chat.pilot.press("ctrl+p", *"title")
        await chat.until(lambda: any("]0;title[2J" in line for line in chat.lines()))
        assert await is_safe(chat)
        await chat.pilot.press("escape")
        for screen in (Confirm(EVIL, yes="Yes", no="No"), Download(EVIL, lambda answer: None)):
            chat.app.push_screen(screen)
            assert await is_safe(chat)
            await chat.pilot.press("escape")
        chat.app.notify(EVIL, title=EVIL, markup=False)
        painted = chat.app.screen.get_child_by_type(ToastRack).children
        await chat.until(lambda: "evil" in chat.told and len(painted) == len(chat.app._notifications))
        assert await is_safe(chat)


def test_what_is_taken_out_has_no_width_and_the_rest_stays():
    line = [Segment("a\x1b中"), Segment("plain"), Segment("\ud800b"), Segment("\x1b[H", control=[(1,)])]
    gone = Unsteered().apply(line, Color(0, 0, 0))
    assert [segment.text for segment in gone] == ["a中", "plain", "�b", "\x1b[H"]
    assert sum(segment.cell_length for segment in gone) == sum(segment.cell_length for segment in line)
    assert Unsteered().apply(line[1:2], Color(0, 0, 0)) == line[1:2]
