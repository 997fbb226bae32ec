"""What the history pane does to conversations, takes back, archives and throws away."""

from __future__ import annotations

import pytest
from history_pane import listing, pane_over
from textual.widgets import Input, OptionList

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import Conversation, ConversationStore, Hit, Shelf
from tui.messages import ConversationChosen, ConversationsChanged, ExportAsked
from tui.screens.ask_text import AskText
from tui.screens.confirm import Confirm
from tui.screens.folder import ChooseFolder
from tui.widgets.history_shelves import Shelves

# --- what is done to a conversation


async def test_a_deletion_is_at_once_and_undo_takes_it_back(tmp_path):
    async with listing(tmp_path, "three", "two", "one") as pane:
        await pane.mark("two")
        gone = pane.id_of("two")
        await pane.press("d")
        assert pane.titles() == ["three", "one"]
        assert pane.titles("trash") == ["two"]
        assert pane.marked == "one"
        assert "brings it back" in pane.told
        assert pane.app.asked == [ConversationsChanged((gone,))]
        await pane.press("delete")
        assert pane.history.undo()
        assert pane.history.undo()
        assert pane.titles() == ["three", "two", "one"]
        assert pane.marked == "two"
        assert not pane.history.undo()


@pytest.mark.parametrize("key", ["a", "d", "p"])
async def test_u_takes_back_what_one_key_did(tmp_path, key):
    async with listing(tmp_path, "two", "one") as pane:
        before = [pane.store.conversation(pane.id_of(title)) for title in ("one", "two")]
        await pane.mark("one")
        await pane.press(key)
        assert [pane.store.conversation(one.id) for one in before] != before
        await pane.press("u")
        assert [pane.store.conversation(one.id) for one in before] == before


async def test_a_pinned_conversation_is_on_top(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        await pane.mark("one")
        await pane.press("p")
        assert pane.shown == ["Pinned", "one", "Today", "two"]
        assert pane.marked == "one"
        await pane.press("p")
        assert pane.shown == ["Today", "two", "one"]


async def test_renaming_asks_for_a_title_that_is_not_empty(tmp_path):
    async with listing(tmp_path, "one") as pane:
        await pane.press("r")
        assert isinstance(pane.app.screen, AskText)
        assert pane.app.screen.query_one(Input).value == "one"
        await pane.press("ctrl+u", "enter")
        assert "at least one letter" in pane.screen
        await pane.press(*"better", "enter")
        assert pane.shown == ["Today", "better"]
        assert pane.app.asked == [ConversationsChanged((pane.id_of("better"),))]
        await pane.press("u")
        assert pane.titles() == ["one"]


async def test_escape_leaves_the_title_as_it_was(tmp_path):
    async with listing(tmp_path, "one") as pane:
        for end in ("escape", "enter"):
            await pane.press("r", end)
            assert (pane.titles(), pane.app.asked) == (["one"], [])
        await pane.press("r", "x")
        await pane.pilot.click("#cancel")
        await pane.press("r", "tab", "tab", "enter")  # the button that says so changes nothing either
        assert (pane.titles(), pane.app.asked) == (["one"], [])


async def test_a_conversation_moves_to_a_new_folder_to_one_that_is_there_and_out_again(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        await pane.mark("one")
        await pane.press("m")
        assert isinstance(pane.app.screen, ChooseFolder)
        await pane.press(*"Work", "enter")
        assert pane.store.conversation(pane.id_of("one")).folder == "Work"
        await pane.mark("two")
        await pane.press("m", "w", "enter")
        assert pane.store.conversation(pane.id_of("two")).folder == "Work"
        assert [line.split() for line in pane.shown] == [["▸", "Work", "2"]]
        await pane.press("home", "right", "down", "m", "enter")
        assert pane.store.conversation(pane.id_of("two")).folder == ""
        await pane.press("u")
        assert pane.store.conversation(pane.id_of("two")).folder == "Work"


async def test_folders_can_be_chosen_with_the_mouse_or_left_alone(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        pane.store.move(pane.id_of("one"), "[b]Work")
        pane.history.show(None)
        await pane.mark("two")
        await pane.press("m", "escape")
        assert pane.store.conversation(pane.id_of("two")).folder == ""
        await pane.press("m", *"xyz", "down", "up", *["backspace"] * 3)
        assert "[b]Work" in pane.screen
        await pane.pilot.click(OptionList, offset=(2, 0))
        await pane.pilot.pause()
        assert pane.store.conversation(pane.id_of("two")).folder == "[b]Work"


async def test_export_is_asked_of_the_screen(tmp_path):
    async with listing(tmp_path, "one") as pane:
        await pane.press("x")
        assert pane.app.asked == [ExportAsked(pane.id_of("one"))]


async def test_a_failing_store_is_told_and_the_pane_lives_on(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        await pane.mark("one")
        pane.store.delete(pane.id_of("one"))  # as another process would
        await pane.press("p")
        assert "deleted" in pane.told
        assert pane.shown == ["Today", "two"]


async def test_what_could_not_be_taken_back_can_be_tried_again(tmp_path, monkeypatch):
    def locked(_conversation_id: int) -> None:
        raise StorageError("history.db is held by another program")

    async with listing(tmp_path, "one") as pane:
        await pane.press("d")
        with monkeypatch.context() as patch:
            patch.setattr(pane.store, "restore", locked)
            await pane.press("u")
        assert "held by another program" in pane.told
        assert pane.titles("trash") == ["one"]
        await pane.press("u")
        assert pane.titles() == ["one"]


async def test_what_is_gone_for_good_cannot_be_taken_back_and_that_is_told(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        await pane.press("p")
        pane.store.delete(pane.id_of("two"))  # as another process would
        await pane.press("u")
        assert "deleted" in pane.told
        assert not pane.history.undo()


class BrokenStore(ConversationStore):
    """A file that cannot be read any more, with a reason that looks like markup."""

    is_broken = False

    def conversations(self, shelf: Shelf = "shown") -> list[Conversation]:
        if self.is_broken:
            raise StorageError("[/disk] is gone")
        return super().conversations(shelf)

    def search(self, query: str, *, shelf: Shelf | None = "shown", limit: int = 200) -> list[Hit]:
        raise StorageError("[/index] is gone")

    def empty_trash(self, older_than_days: float | None = None) -> int:
        raise StorageError("[/trash] is locked")

    def folders(self) -> list[str]:
        raise StorageError("[/folders] are gone")


async def test_a_store_that_cannot_be_read_is_told_once_and_the_list_stays(tmp_path):
    with BrokenStore.open(tmp_path / "history.db") as store:
        store.create("one")
        async with pane_over(store) as pane:
            store.is_broken = True
            for _ in range(3):
                pane.history.show(None)
            await pane.pilot.pause()
            assert pane.told.count("[/disk] is gone") == 1
            assert pane.shown == ["Today", "one"]
            await pane.press("m")
            assert "[/folders] are gone" in pane.told
            pane.history.focus_search()
            await pane.pilot.press("x")
            await pane.until(lambda: "[/index] is gone" in pane.told)


async def test_a_trash_that_cannot_be_emptied_is_told(tmp_path):
    with BrokenStore.open(tmp_path / "history.db") as store:
        store.create("one")
        async with pane_over(store) as pane:
            await pane.press("d", "t", "t", "home", "enter", "y")
            await pane.until(lambda: "[/trash] is locked" in pane.told)
            assert pane.titles("trash") == ["one"]


async def test_commands_do_the_same_to_the_conversation_that_is_open(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        one = pane.id_of("one")
        pane.history.act("rename", one, " better ")
        pane.history.act("move", one, "Work")
        pane.history.act("pin", one)
        pane.history.act("archive", one)
        found = pane.store.conversation(one)
        assert (found.title, found.folder, found.is_pinned) == ("better", "Work", True)
        assert pane.titles("archived") == ["better"]
        for _ in range(4):
            pane.history.undo()
        pane.history.act("delete", one)
        assert pane.titles("trash") == ["one"]
        pane.history.act("restore", one)
        pane.history.act("export", one)
        pane.history.act("rename", one)
        await pane.pilot.pause()
        assert isinstance(pane.app.screen, AskText)
        assert pane.app.asked == [*[ConversationsChanged((one,))] * 10, ExportAsked(one)]
        assert pane.titles() == ["two", "one"]


async def test_a_conversation_that_has_not_begun_or_is_gone_cannot_be_changed(tmp_path):
    async with listing(tmp_path) as pane:
        pane.history.act("pin", None)
        await pane.pilot.pause()
        assert "not begun" in pane.told
        pane.history.act("pin", 77)
        await pane.pilot.pause()
        assert "77" in pane.told


# --- the shelves


async def test_t_goes_round_the_shelves_and_a_click_picks_one(tmp_path):
    async with listing(tmp_path, "kept", "stored", "thrown") as pane:
        pane.store.archive(pane.id_of("stored"), True)
        pane.store.trash(pane.id_of("thrown"))
        pane.history.show(None)
        assert pane.shown == ["Today", "kept"]
        await pane.press("t")
        assert pane.shown == ["Today", "stored"]
        await pane.press("t")
        assert pane.shown == ["Empty the trash (1)", "Today", "thrown"]
        assert pane.marked == "thrown"
        await pane.press("t")
        assert pane.shown == ["Today", "kept"]
        await pane.pilot.click(Shelves, offset=(2 + len("History  A"), 0))
        await pane.pilot.pause()
        assert pane.shown == ["Today", "stored"]


async def test_where_the_shelves_do_not_fit_the_one_looked_at_is_named(tmp_path):
    async with listing(tmp_path, "one", size=(80, 24)) as pane:
        pane.history.styles.width = 18
        await pane.pilot.pause()
        assert "Archive" not in pane.screen
        await pane.pilot.click(Shelves, offset=(3, 0))
        await pane.pilot.pause()
        assert "Archive" in pane.screen
        assert "History" not in pane.screen
        assert pane.shown == ["Nothing is", "archived"]


async def test_each_shelf_is_searched_by_itself(tmp_path):
    async with listing(tmp_path, "soup a", "soup b") as pane:
        pane.store.archive(pane.id_of("soup b"), True)
        await pane.look_for("soup", "soup a")
        assert "soup b" not in pane.shown
        pane.history.focus()
        await pane.press("t")
        await pane.until(lambda: "soup b" in pane.shown)
        assert "soup a" not in pane.shown


async def test_an_archived_conversation_opens_and_comes_back(tmp_path):
    async with listing(tmp_path, "one") as pane:
        await pane.press("a", "t", "enter")
        assert pane.app.asked[-1] == ConversationChosen(pane.id_of("one"))
        await pane.press("a")
        assert pane.titles() == ["one"]
        assert pane.shown == ["Nothing is archived"]


async def test_enter_in_the_trash_asks_then_restores_and_opens(tmp_path):
    async with listing(tmp_path, "one") as pane:
        one = pane.id_of("one")
        await pane.press("d", "t", "t", "enter")
        assert isinstance(pane.app.screen, Confirm)
        await pane.press("escape")
        assert pane.titles("trash") == ["one"]
        await pane.press("enter", "enter")
        assert pane.titles() == ["one"]
        assert pane.app.asked[-2:] == [ConversationsChanged((one,)), ConversationChosen(one)]


async def test_u_in_the_trash_restores_the_marked_one(tmp_path):
    async with listing(tmp_path, "two", "one") as pane:
        await pane.press("home", "d", "d", "t", "t")
        await pane.mark("two")
        await pane.press("u")
        assert (pane.titles(), pane.titles("trash")) == (["two"], ["one"])
        assert pane.shown == ["Empty the trash (1)", "Today", "one"]


async def test_deleting_for_good_and_emptying_the_trash_are_asked_first(tmp_path):
    async with listing(tmp_path, "three", "two", "one") as pane:
        await pane.press("home", "d", "d", "d", "t", "t")
        await pane.mark("two")
        await pane.press("d", "enter")  # the button that keeps it has the focus
        assert len(pane.titles("trash")) == 3
        await pane.press("d", "y")
        await pane.until(lambda: pane.shown[:1] == ["Empty the trash (2)"])
        assert sorted(pane.titles("trash")) == ["one", "three"]
        await pane.click("Empty the trash (2)")
        await pane.press("n")
        assert len(pane.titles("trash")) == 2
        await pane.press("home", "enter")
        assert "2 conversations" in pane.screen
        await pane.press("y")
        await pane.until(lambda: pane.shown == ["The trash is empty"])
        assert pane.titles("trash") == []
        assert len(pane.app.asked[-1].conversation_ids) == 2
        assert not pane.history.undo()


async def test_in_the_trash_only_its_own_keys_work(tmp_path):
    async with listing(tmp_path, "one") as pane:
        await pane.press("d", "t", "t", "r", "p", "m", "a", "x")
        assert len(pane.app.screen_stack) == 1
        assert pane.titles("trash") == ["one"]
