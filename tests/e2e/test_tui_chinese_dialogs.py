"""Dialogs in Chinese: nothing is said that is not so, and nothing stands between two sentences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from craft_app import running
from dialogs import showing
from textual.widgets import Static

from chatglm_slim_llm.config import DEFAULT_HUB_ID
from chatglm_slim_llm.hosting.library import Library
from chatglm_slim_llm.storage.exchange import ImportReport
from tui.language import use
from tui.screens.chat_files import _imported
from tui.screens.chat_settings import ChatSettingsScreen
from tui.screens.download import Download
from tui.screens.knowledge import KnowledgeScreen
from tui.screens.settings import SettingsScreen
from tui.widgets.setting_row import SettingRow


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    use("en")


def test_two_sentences_have_a_blank_between_them_in_english_only() -> None:
    report = ImportReport(conversations=0, messages=0, skipped=1)
    assert _imported(report) == "0 conversations were imported. 1 there already."
    use("zh")
    assert _imported(report) == "已导入 0 个对话。另有 1 个已经存在。"


async def test_the_question_before_a_download_has_no_blank_between_its_sentences() -> None:
    use("zh")
    async with showing(Download(DEFAULT_HUB_ID, lambda _: None)) as shown:
        assert "不会下载任何内容。中断的下载会从断点继续。" in shown.words


async def test_space_is_named_where_there_is_something_that_it_switches(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    use("zh")
    library = Library()
    try:
        async with showing(KnowledgeScreen(library, "")) as shown:
            await shown.until(lambda: "还没有知识库" in shown.words)
            assert "空格" not in shown.text
            assert "Esc 关闭" in shown.text
            library.create("笔记", "none")
            shown.screen._look("笔记")
            await shown.until(lambda: "空格 启用或停用" in shown.text)
    finally:
        library.close()


async def test_each_field_of_stop_strings_says_how_several_are_written(tmp_path: Path) -> None:
    async with running(tmp_path, '[interface]\nlanguage = "zh"\n', size=(100, 60)) as it:
        await it.press("f2")
        screen = it.app.screen
        assert isinstance(screen, SettingsScreen)
        while screen._group != "sampling":
            await it.press("ctrl+pagedown")
        await it.until(lambda: any(row.key == "sampling.stop" for row in screen.query(SettingRow)))
        row = next(row for row in screen.query(SettingRow) if row.key == "sampling.stop")
        said = str(row.query_one(".setting--help", Static).content)
        assert "多个以逗号分隔" in said
        assert "每行一个" not in said
        await it.press("escape", "ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, ChatSettingsScreen))
        it.app.screen.query_one("#stop").focus()
        await it.until(lambda: "每行一个。" in it.seen.replace("\n", ""))
