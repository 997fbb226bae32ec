"""Searching in the history pane."""

from __future__ import annotations

import threading

from history_pane import listing, pane_over

from chatglm_slim_llm.storage import ConversationStore, Draft, Hit, Shelf
from tui.messages import ConversationChosen
from tui.widgets.history_search import HistorySearch


async def test_what_is_typed_is_looked_for_in_texts_and_opens_at_the_message(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        other = store.create("Cooking", [Draft("user", "a soup")])
        math = store.create("Maths", [Draft("user", "hi"), Draft("user", "为什么旋转位置编码有效？")])
        found = store.messages(math.id)[1]
        async with pane_over(store) as pane:
            await pane.look_for("位置", "为什么旋转位置编码有效？")
            assert pane.shown == ["Maths", "为什么旋转位置编码有效？"]
            await pane.press("enter")
            assert pane.app.asked == [ConversationChosen(math.id, found.id, "位置")]
            await pane.press("escape")
            assert {"Maths", "Cooking"} <= set(pane.shown)
            await pane.press("enter")
            assert pane.app.asked[1:] == [ConversationChosen(math.id)]
            assert other.id != math.id


async def test_words_found_stand_out_in_the_title_and_in_the_text(tmp_path):
    async with listing(tmp_path, "one soup", "other") as pane:
        await pane.look_for("soup", "one soup")
        strips = [pane.list.render_line(y) for y in range(2)]
        segments = [segment for strip in strips for segment in strip if segment.text.strip()]
        outstanding = [segment.text for segment in segments if segment.style and segment.style.bold]
        assert outstanding == ["soup", "soup"]


async def test_what_is_found_far_to_the_right_is_moved_into_view(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        store.create("t", [Draft("user", "many words stand before the needle, and behind it some more")])
        async with pane_over(store) as pane:
            await pane.look_for("needle", "t")
            assert "needle" in pane.shown[1]
            assert pane.shown[1].startswith("…")


async def test_enter_just_behind_the_last_letter_opens_what_was_typed(tmp_path):
    async with listing(tmp_path, "alpha", "beta") as pane:
        pane.history.focus_search()
        await pane.pilot.press(*"beta", "enter")
        await pane.until(lambda: pane.app.asked)
        [chosen] = pane.app.asked
        assert (chosen.conversation_id, chosen.words) == (pane.id_of("beta"), "beta")


async def test_up_and_down_move_among_the_hits_while_typing(tmp_path):
    async with listing(tmp_path, "soup b", "soup a") as pane:
        await pane.look_for("soup", "soup a")
        await pane.press("down", "enter")
        assert [event.conversation_id for event in pane.app.asked] == [pane.id_of("soup a")]
        assert isinstance(pane.app.focused, HistorySearch)


async def test_nothing_found_is_said(tmp_path):
    async with listing(tmp_path, "one") as pane:
        pane.history.focus_search()
        await pane.pilot.press(*"zzz")
        await pane.until(lambda: pane.shown == ["Nothing found for “zzz”"])
        await pane.press("enter")
        assert pane.app.asked == []


class SlowStore(ConversationStore):
    """A search for “a” takes until it is let go."""

    gate: threading.Event
    searched: list[str]

    def search(self, query: str, *, shelf: Shelf | None = "shown", limit: int = 200) -> list[Hit]:
        self.searched.append(query)
        if query == "a":
            self.gate.wait(10)
        return super().search(query, shelf=shelf, limit=limit)


async def test_what_is_on_another_shelf_alone_is_said_to_be_there(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        store.archive(store.create("京都旅行", [Draft("user", "a")]).id, True)
        store.create("Cooking", [Draft("user", "a soup")])
        async with pane_over(store) as pane:
            await pane.look_for("京都", "The archive holds some")
            await pane.press("escape")
            await pane.look_for("soup", "Cooking")
            assert "The archive holds some" not in pane.shown


async def test_an_answer_that_comes_late_does_not_replace_a_newer_one(tmp_path):
    store = SlowStore.open(tmp_path / "history.db")
    store.gate, store.searched = threading.Event(), []
    with store:
        store.create("ab")
        store.create("ax")
        async with pane_over(store) as pane:
            pane.history.focus_search()
            await pane.pilot.press("a")
            await pane.until(lambda: store.searched == ["a"])
            await pane.pilot.press("b")
            await pane.until(lambda: pane.shown == ["ab"])
            store.gate.set()
            await pane.pilot.pause(0.05)
            assert pane.shown == ["ab"]


async def test_a_search_survives_a_new_look_at_the_store(tmp_path):
    async with listing(tmp_path, "soup b", "soup a", "other") as pane:
        await pane.look_for("soup", "soup a")
        await pane.press("down")
        pane.store.create("soup c")
        pane.history.show(None)
        await pane.until(lambda: "soup c" in pane.shown)
        assert pane.marked == "soup a"
        assert pane.history.query_one(HistorySearch).value == "soup"
