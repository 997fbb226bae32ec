"""What goes wrong is said in Chinese wherever it is shown: at the start, in dialogs, in rows and in notes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from craft_app import Running, running
from dialogs import showing
from history_pane import listing
from textual.events import Paste
from textual.widgets import Input, Select, Static

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.hosting.library import Library
from chatglm_slim_llm.storage import Source
from chatglm_slim_llm.storage.exchange import write_export
from tui.language import use
from tui.parameters import PARAMETERS, parse
from tui.screens.knowledge import KnowledgeScreen
from tui.screens.passage import PassageScreen
from tui.screens.settings import SettingsScreen
from tui.widgets.setting_row import SettingRow

CHINESE = '[interface]\nlanguage = "zh"\n'


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    use("en")


async def settings_of(it: Running, key: str) -> SettingRow:
    """The row of a setting, on the screen."""
    await it.press("f2")
    screen = it.app.screen
    assert isinstance(screen, SettingsScreen)
    while key.partition(".")[0] != screen._group:
        await it.press("ctrl+pagedown")
    await it.until(lambda: any(row.key == key for row in screen.query(SettingRow)))
    return next(row for row in screen.query(SettingRow) if row.key == key)


async def test_what_is_wrong_at_the_start_is_told_in_the_language_of_the_settings(tmp_path):
    (tmp_path / "themes").mkdir()
    (tmp_path / "themes/坏.toml").write_text('dark = "是"')
    text = f'{CHINESE}theme = "没有"\n[keys]\n"app.quit" = "f1"\n"app.qiut" = "f9"\n'
    async with running(tmp_path, text) as it:
        assert "没有名为“没有”的主题" in it.told
        assert "F1 同时用于" in it.told
        assert "没有名为“app.qiut”的操作" in it.told
        assert "坏.toml：dark 的值是“是”，应为 true 或 false" in it.told
        (tmp_path / "themes/坏.toml").write_text('dark = "否么"')
        await it.until(lambda: "坏.toml：dark 的值是“否么”" in it.told)


@pytest.mark.long
async def test_the_settings_say_what_is_wrong_with_a_value_and_with_the_file(tmp_path):
    async with running(tmp_path, f"{CHINESE}animation = 3\n") as it:
        row = await settings_of(it, "sampling.top_p")
        assert "第 3 行：interface.animation 的值是 3，应为 true 或 false" in it.seen.replace("\n", "")
        row.query_one(Input).focus()
        await it.press("ctrl+u", *"9.9.9")
        problem = row.query_one(".setting--problem", Static)
        assert str(problem.content) == "sampling.top_p 的值是“9.9.9”，应为数字"
        await it.press("ctrl+u", *"5")
        assert str(problem.content) == "top_p 的值是 5.0，应为大于 0 且不超过 1 的数"


@pytest.mark.long
async def test_settings_are_called_as_in_the_settings_of_a_chat(tmp_path):
    async with running(tmp_path, CHINESE, size=(100, 60)) as it:
        row = await settings_of(it, "sampling.stop")
        assert str(row.query_one(".setting--name", Static).content) == "停止词"
        assert "回答最多的词元数" in it.seen
        assert "token" not in it.seen
        await it.press("escape")
        await it.until(lambda: not isinstance(it.app.screen, SettingsScreen))
    use("zh")
    with pytest.raises(ConfigError, match=r"^“abc”不是数字$"):
        parse(next(one for one in PARAMETERS if one.name == "top_p"), "abc")


@pytest.mark.long
async def test_a_setting_that_could_not_be_saved_is_not_said_to_be_in_the_file(tmp_path):
    async with running(tmp_path, "[interface\n") as it:
        use("zh")
        row = await settings_of(it, "interface.theme")
        row.query_one(Select).value = "nord"
        await it.until(lambda: it.app.theme == "nord")
        origin = row.query_one(".setting--origin", Static)
        await it.until(lambda: str(origin.content) == "未保存，退出前有效")
        assert "请修复后再设置 interface.theme" in it.told


async def test_an_opener_that_is_missing_is_what_is_said_to_be(tmp_path, monkeypatch):
    path = tmp_path / "清华大学.md"
    path.write_text("清华大学")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    use("zh")
    async with showing(
        PassageScreen([Source(number=1, passage_id="p", source=str(path), text="清华大学")], 1)
    ) as shown:
        await shown.press("o")
        await shown.until(lambda: "没有用来打开文件的程序 xdg-open" in shown.words)


async def test_words_that_another_shelf_holds_are_said_in_two_sentences(tmp_path):
    use("zh")
    async with listing(tmp_path, "图书") as pane:
        pane.store.archive(pane.id_of("图书"), True)
        await pane.look_for("图书", "没有找到“图书”")
        assert pane.shown == ["没有找到“图书”", "“归档”里有匹配的对话"]


async def test_an_import_says_how_many_were_there_already(tmp_path):
    async with running(tmp_path, CHINESE) as it:
        ids = [one.id for one in it.store.conversations()]
        target = write_export(it.store, ids, tmp_path / "chat.json")
        it.app.post_message(Paste(f"/import {target}"))
        await it.press("enter")
        await it.until(lambda: "已导入 0 个对话。" in it.told)
        assert "另有 1 个已经存在。" in it.told


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (["--model", "plugin:nosuch"], {"LANG": "zh_CN.UTF-8"}, "models 中没有插件“nosuch”"),
        (["--quantization", "int3", "--language", "zh"], {"LANG": "C"}, "load.quantization 的值是“int3”"),
        (["--model", "/nope"], {"CHATGLM_TUI_LANGUAGE": "zh"}, "/nope 不是文件夹"),
        ([], {"LANG": "zh_CN.UTF-8"}, "已损坏或格式不对"),
        (["--serve", "--port", "99999"], {"LANG": "zh_CN.UTF-8"}, "端口 99999 不在 0 到 65535 之间"),
        (["--model", "/nope", "--language", "en"], {"LANG": "zh_CN.UTF-8"}, "/nope is no folder"),
    ],
)
def test_what_ends_the_program_is_said_in_the_language_that_is_asked_for(tmp_path, arguments, environ, expected):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/history.db").write_bytes(b"no database, and long enough to be looked at" * 100)
    program = Path(sys.executable).parent / "chatglm-tui"
    environ |= {"CHATGLM_SLIM_HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONUTF8": "1"}
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, env=environ, check=False)
    assert ended.returncode == 1
    assert expected in ended.stderr


@pytest.mark.long
async def test_the_files_that_matter_are_named_first_and_the_others_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    folder = tmp_path / "资料"
    folder.mkdir()
    for name in (".a", ".b", ".c", ".d", ".e"):
        (folder / name).write_text("hidden")
    (folder / "图.png").write_bytes(b"x")
    (folder / "空.txt").touch()
    (folder / "坏.docx").write_bytes(b"no archive" * 9)
    (folder / "好.txt").write_text("长江全长约6300公里。")
    use("zh")
    library = Library()
    try:
        library.create("笔记", "none")
        async with showing(KnowledgeScreen(library, "")) as shown:
            await shown.until(lambda: shown.screen._marked == "笔记")
            await shown.press("a")
            await shown.paste(str(folder))
            await shown.press("enter")
            await shown.until(lambda: "完成" in shown.words)
            assert "跳过 8 个文件" in shown.words
            assert "坏.docx：Word 文件已损坏：不是 ZIP 文件" in shown.words
            assert "图.png：图片" in shown.words
            assert "空.txt：空文件" in shown.words
            assert ".a" not in shown.words
            assert "… 还有 5 项" in shown.words
    finally:
        library.close()
