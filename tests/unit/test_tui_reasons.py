"""What goes wrong below the terminal is said in Chinese to those who read it: of real errors, as they are raised."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from chatglm_slim_llm.checkpoint.files import list_weights
from chatglm_slim_llm.checkpoint.hub import plan_pull
from chatglm_slim_llm.checkpoint.loading import load_tokenizer
from chatglm_slim_llm.checkpoint.pull import DEMO_FOLDER
from chatglm_slim_llm.config import GenerationOptions, LoadOptions
from chatglm_slim_llm.engine.fitting import fit_prompt
from chatglm_slim_llm.errors import ChatGLMSlimError
from chatglm_slim_llm.hosting.files import read_attachment
from chatglm_slim_llm.hosting.process import ChildProcess
from chatglm_slim_llm.plugins import catalogue, plugin, problems
from chatglm_slim_llm.plugins.editing import set_enabled
from chatglm_slim_llm.retrieval.knowledge_base import KnowledgeBase
from chatglm_slim_llm.retrieval.plugged import PluggedFinder
from chatglm_slim_llm.retrieval.scanning import ScanLimits, SkippedFile, scan
from chatglm_slim_llm.storage import ConversationStore
from chatglm_slim_llm.storage.exchange import import_file, write_export
from chatglm_slim_llm.toolbox import build_tools
from chatglm_slim_llm.weights import share
from tests.plugin_folder import PluginFolder
from tui import settings, themes
from tui.language import use
from tui.reasons import _WITH_PLACES, _pattern, told
from tui.widgets.prompt_editor import EditorProblem, edit


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    use("zh")
    yield
    use("en")


def raised(act: Callable[[], object]) -> str:
    with pytest.raises(ChatGLMSlimError) as caught:
        act()
    return str(caught.value)


def is_chinese(text: str, *names: str) -> bool:
    """Whether all of a sentence is, but for names and what the system says in brackets."""
    for name in names:
        assert name in text
        text = text.replace(name, "")
    return bool(re.search("[一-鿿]", text)) and not re.search(r"[a-z]{3,} [a-z]{2,}", re.sub("（.*?）", "", text))


def test_keys_and_values_that_cannot_be_kept_so(without_kernels: None) -> None:
    said = raised(lambda: share(LoadOptions()).get("int8", allow_download=False))
    assert is_chinese(told(said), "kv_cache_dtype", "auto", "fp16")


def test_a_damaged_history(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"no database, and long enough to be looked at" * 100)

    def read() -> None:
        with ConversationStore.open(tmp_path / "history.db") as store:
            store.conversations()

    assert is_chinese(told(raised(read)), str(tmp_path))


def test_a_folder_where_the_history_should_be(tmp_path: Path) -> None:
    assert is_chinese(told(raised(lambda: ConversationStore.open(tmp_path))), str(tmp_path))


def test_a_conversation_and_a_message_that_are_gone(tmp_path: Path) -> None:
    with ConversationStore.open(tmp_path / "history.db") as store:
        assert is_chinese(told(raised(lambda: store.append(7, "user", "q"))))
        assert is_chinese(told(raised(lambda: store.begin_answer(7))))


def test_files_that_cannot_be_attached(tmp_path: Path) -> None:
    (tmp_path / "bytes.dat").write_bytes(b"a\0b\xff\xfe" * 100)
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "long.txt").write_text("word " * 2_000_000)
    for name in ("bytes.dat", "empty.txt", "long.txt", "gone.txt", ""):
        assert is_chinese(told(raised(lambda name=name: read_attachment(tmp_path / name))), str(tmp_path)), name


class Letters:
    """A token for each letter."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return list(map(ord, text))


@pytest.mark.parametrize(
    ("query", "context_length"), [("x" * 3000, 2048), ("x" * 3000, 4096), (" ", 2048), ("a\ud800", 2048)]
)
def test_a_question_that_cannot_be_asked(query: str, context_length: int) -> None:
    def fit() -> None:
        given = GenerationOptions(), context_length
        fit_prompt(Letters(), query=query, history=[], system="", options=given[0], context_length=given[1])

    assert is_chinese(told(raised(fit)))


def test_options_that_cannot_be_used() -> None:
    for name in ("temperature", "top_p", "top_k", "repetition_penalty", "max_tokens", "max_length"):
        assert is_chinese(told(raised(lambda name=name: GenerationOptions(**{name: -1}))), name)
    for name in ("model", "quantization", "device", "kv_cache_dtype"):
        assert is_chinese(told(raised(lambda name=name: LoadOptions(**{name: " "})))), name
        if name != "model":
            variable = f"CHATGLM_SLIM_{name.upper()}"
            load = partial(settings.load, Path("none"), {}, {variable: "int3"})
            assert is_chinese(told(raised(load)), variable), told(raised(load))
    for key, value in (("program.trash_days", -1), ("sampling.max_tokens", "x"), ("sampling.stop", 1)):
        assert is_chinese(told(raised(partial(settings.Settings().with_value, key, value))), key.partition(".")[2])
    said = told(raised(partial(settings.Settings().with_value, "load.quantization", "int3")))
    assert said == "load.quantization 的值是“int3”，应为以下之一：“fp16”、“int8”、“int4”"


@pytest.mark.parametrize(
    "line",
    ['dark = "是"', "variables = 1", 'primary = "rot"', 'primery = "red"', "[variables]\nx = 1", "[variables", "!"],
)
def test_a_theme_that_is_wrong(tmp_path: Path, line: str) -> None:
    path = tmp_path / "坏主题.toml"
    path.write_text(line)
    said = told(raised(lambda: themes.read_theme(path)))
    assert is_chinese(said, f"{path}：")
    assert "'" not in said.partition("（")[0]


def test_files_that_are_skipped(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / ".git").mkdir(parents=True)
    (folder / "node_modules").mkdir()
    for name in (".hidden", "a.png", "a.zip", "a.doc", "~$a.docx", "empty.txt"):
        (folder / name).write_text("" if name == "empty.txt" else "x")
    os.mkfifo(folder / "pipe")
    (folder / "large.txt").write_bytes(b"x" * 100)
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere").symlink_to(tmp_path / "gone")
    found = [one for one in scan([folder], limits=ScanLimits(max_file_bytes=99)) if isinstance(one, SkippedFile)]
    assert len(found) == 12
    for one in found:
        assert is_chinese(told(one.reason)), one


@pytest.mark.long
def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "坏.pdf").write_bytes(b"%PDF-1.4 nothing" * 9)
    (folder / "坏.docx").write_bytes(b"no archive" * 9)
    (folder / "bytes.txt").write_bytes(b"a\0b\xff\xfe" * 100)
    (folder / "blank.txt").write_text(" \n")
    with KnowledgeBase(tmp_path / "kb.db", embedder=None) as base:
        skipped = base.add([folder]).skipped
    assert len(skipped) == 4
    for one in skipped:
        assert is_chinese(told(one.reason)), one


def test_imports_and_exports_that_fail(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no export")
    (tmp_path / "a.json").write_text('{"format": "of others"}')
    (tmp_path / "b.json").write_text("[1, 2")
    (tmp_path / "c.json").write_text('{"a": 1}')
    with ConversationStore.open(tmp_path / "history.db") as store:
        for name in ("a.txt", "a.json", "b.json", "c.json", "gone.json"):
            assert is_chinese(told(raised(lambda name=name: import_file(store, tmp_path / name))), name), name
        question, _answer = store.begin(None, None, "q")
        for name in ("a.xyz", "nowhere/a.md"):
            here = partial(write_export, store, [question.conversation_id], tmp_path / name)
            assert is_chinese(told(raised(here)), name), told(raised(here))


@pytest.mark.parametrize(("command", "reason"), [("/nonexistent/ed", "没有这个文件或文件夹"), ("e\0d", "含有零字节")])
def test_an_editor_that_does_not_start(command: str, reason: str) -> None:
    with pytest.raises(EditorProblem, match=f"出错：{reason}$"):
        edit("x", [command])


def test_a_history_of_another_program_and_of_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table theirs (x)")
    said = told(raised(lambda: ConversationStore.open(path).conversations()))
    assert said == f"{path} 是其他程序的数据库，不是历史文件；请把它移走，或把 CHATGLM_SLIM_HOME 设为另一个文件夹"
    path.unlink()
    ConversationStore.open(path).begin(None, None, "q")
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 999")
    assert f"{path} 由更新版本的程序写成（结构版本 999，" in told(
        raised(lambda: ConversationStore.open(path).conversations())
    )


def test_a_conversation_of_a_file_that_is_not_as_it_should_be(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    with ConversationStore.open(tmp_path / "history.db") as store:
        question, _answer = store.begin(None, None, "你好")
        write_export(store, [question.conversation_id], path)
        path.write_text(path.read_text("utf-8").replace('"assistant"', '"xx"'), "utf-8")
        said = told(raised(lambda: import_file(store, path)))
    assert said == (
        "chats.json 中没有可读取的内容；第一个问题：第 1 个对话（你好）："
        "conversations[0].messages[1].role 的值是“xx”，应为以下之一：user、assistant、system"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[tools", "不是有效的 TOML（第 1 行：内容不完整）；请修正"),
        ("tools = 1", "中的 [tools.calculator] 不是表；请修正"),
        (None, "无法写入 {file}（不是文件）"),
    ],
)
def test_a_plugin_that_cannot_be_switched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, expected: str
) -> None:
    file = tmp_path / "plugins.toml"
    spec = next(spec for spec in catalogue("tools") if spec.name == "calculator")
    if content is None:
        file.mkdir()
    else:
        file.write_text(content)
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(file))
    assert expected.format(file=file) in told(raised(lambda: set_enabled(spec, True)))


def test_a_model_that_cannot_be_loaded_or_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    shutil.copytree(DEMO_FOLDER, folder)
    (folder / "ice_text.model").write_bytes(b"no pieces")
    said = told(raised(lambda: load_tokenizer(folder)))
    assert said.startswith(f"{folder}：无法读取分词器的文件（")
    assert "；请重新获取" in said
    (weights,) = folder.glob("*.safetensors")
    os.truncate(weights, 1000)
    assert told(raised(lambda: list_weights(folder))).startswith(f"{weights} 不完整：有 1,000 字节，至少应有 ")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = told(raised(lambda: plan_pull("silver/chatglm-6b-slim")))
    assert said.startswith("无法下载 silver/chatglm-6b-slim：已设置 HF_HUB_OFFLINE")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            "/s.toml is not valid TOML (Invalid initial character for a key part (at line 3, column 3)); the defaults"
            " are used",
            "/s.toml 不是有效的 TOML（第 3 行第 3 列：键的首字符无效），已改用默认设置",
        ),
        (
            "/h.db cannot grow (database or disk is full); make room on the disk and try again",
            "/h.db 无法再写入（磁盘空间已满）；请腾出磁盘空间后重试",
        ),
        (
            "a.json is not JSON, or was cut off (Unterminated string starting at: line 1 column 7 (char 6))",
            "a.json 不是 JSON，或内容不完整（第 1 行第 7 列：由此开始的字符串没有结束）",
        ),
        (
            "damaged PDF: Failed to load document (PDFium: Data format error).",
            "PDF 文件已损坏（无法打开文档：数据格式有误）",
        ),
        (
            "a.json is not JSON, or was cut off (something new: line 2 column 1 (char 6))",
            "a.json 不是 JSON，或内容不完整（第 2 行第 1 列：something new）",
        ),
        (
            "plugin tools.x cannot be used: plugin tools.x (package y) is not ready after 5 s; repair it, or switch it"
            " off with: z",
            "插件 tools.x 无法使用：插件 tools.x（软件包 y）5 秒后仍未就绪；请修复，或停用：z",
        ),
        (
            "/m/config.json: hidden_size is -3; it must be a whole number of 0 or more",
            "/m/config.json：hidden_size 的值是 -3，应为不小于 0 的整数",
        ),
    ],
)
def test_a_sentence_in_another_one_and_what_a_library_says(sentence: str, expected: str) -> None:
    assert told(sentence) == expected


def test_a_process_that_ended_by_itself() -> None:
    said = "The process of the commands ended by itself (exit status 3) while tools.x was at work: Bad; "
    assert told(said + "try again to start it anew") == (
        "tools.x 运行时，命令进程自行结束（退出状态 3）：Bad；重试即可重新启动"
    )


def test_a_model_that_was_killed() -> None:
    child = ChildProcess("The model's process", "choose a smaller level such as int4, or a smaller model")
    try:
        os.kill(child.pid, signal.SIGKILL)
        while child.is_alive():
            time.sleep(0.01)
        assert is_chinese(told(child.epitaph()), "int4")
    finally:
        child.close()


def test_a_settings_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[interface\n")
    (problem,) = settings.load(path, {}, {}).problems
    assert is_chinese(told(problem), str(path))


def test_settings_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(
        'zz = 1\n[load]\nmodle = "x"\nquantization = "int3"\ndevice = 4\n[sampling]\ntemperature = "a"\n'
        'top_k = 1.5\n[interface]\ntheme = ""\nanimation = 1\n[keys]\n"app.quit" = 3\n'
    )
    problems_of_file = settings.load(path, {}, {}).problems
    assert len(problems_of_file) == 9
    for problem in problems_of_file:
        assert is_chinese(told(problem), str(path)), told(problem)
        assert " 行：" in told(problem)


def test_a_group_of_settings_that_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("interface = 5\n")
    (problem,) = settings.load(path, {}, {}).problems
    assert told(problem) == f"{path} 第 1 行：interface 的值是 5，应为一个表，以 [interface] 开头"


def test_themes_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").mkdir()
    (tmp_path / "b.toml").write_bytes(b"\xff")
    (tmp_path / "c.toml").write_text("primary = ")
    for name, reason in (("a", "是文件夹"), ("b", "不是 UTF-8 文本"), ("c", "文件末尾：值无效")):
        path = tmp_path / f"{name}.toml"
        assert told(raised(partial(themes.read_theme, path))) == f"{path}：无法读取（{reason}）"


def test_an_export_over_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "chat.md").write_text("mine")
    with ConversationStore.open(tmp_path / "history.db") as store:
        question, _answer = store.begin(None, None, "q")
        reason = raised(lambda: write_export(store, [question.conversation_id], tmp_path / "chat.md"))
    assert is_chinese(told(reason), str(tmp_path))


def test_plugins_that_are_not_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CHATGLM_SLIM_PLUGINS", raising=False)
    monkeypatch.chdir(tmp_path)
    tables = {
        "loaders.org": 'target = "org_reader:load"',
        "loaders.dot": 'target = "dot.py:load"',
        "loaders.bib": "enabled = true",
        "loaders.csv": "enabled = false",
        "loaders.tex": 'package = "acme"',
        "tools.dice": 'target = "dice"',
    }
    own = tmp_path / "home/config/plugins.toml"
    own.parent.mkdir(parents=True)
    own.write_text("".join(f"[{key}]\n{line}\n" for key, line in tables.items()))
    found = {spec.key: spec.reason for spec in catalogue() if spec.key in tables}
    (tmp_path / "plugins.toml").write_text('[tools.dice]\ntarget = "dice:roll"\n')
    found |= {"untrusted": next(spec.reason for spec in catalogue("tools") if spec.name == "dice")}
    assert len(found) == 7
    for key, reason in found.items():
        names = [f"chatglm-slim {reason.partition('chatglm-slim ')[2]}"] if "chatglm-slim " in reason else []
        assert is_chinese(told(reason), *names), (key, told(reason))


def test_mistakes_in_a_file_of_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {
        "models.a": "enabeld = true",
        "models.b": "zzzzzz = true",
        "tools.c": "target = 3",
        "tools.d": "enabled = 'no'",
        "tools.e": "options = 1",
        "tols.f": "",
        "zzzzzz.g": "",
    }
    file = tmp_path / "plugins.toml"
    file.write_text("commands = 1\n[loaders]\nh = 2\n" + "".join(f"[{key}]\n{line}\n" for key, line in tables.items()))
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(file))
    assert len(problems()) == 9
    for problem in problems():
        assert is_chinese(told(problem), str(file)), told(problem)
    reason = next(spec.reason for spec in catalogue("models") if spec.name == "a")
    assert is_chinese(told(reason), str(file))


def test_a_plugin_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("def fail():\n    raise OSError\ndef takes(size: int = 1): ...\n")
    (tmp_path / "new.py").write_text("CHATGLM_SLIM_API = 99\n")
    file = tmp_path / "plugins.toml"
    file.write_text(
        "[models.bad]\ntarget = 'mine.py:fail'\n[models.new]\ntarget = 'new.py:make'\n"
        "[models.odd]\ntarget = 'mine.py:takes'\n[models.odd.options]\nsiez = 2\n"
    )
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(file))
    for name in ("bad", "new", "odd"):
        reason = told(raised(plugin("models", name).make))
        assert is_chinese(reason.partition("chatglm-slim plugins")[0], str(file)), reason
    assert f"（文件 {file}）" in told(raised(plugin("models", "bad").make))
    nested = told(f"plugin models.x is not on: {file} switches it off; to use it: chatglm-slim plugins enable x")
    assert nested == f"插件 models.x 没有启用：已在 {file} 中停用；启用：chatglm-slim plugins enable x"


def test_tools_that_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "import threading\nfrom langchain_core.tools import tool\n"
        "@tool\ndef dice() -> str:\n    'A die.'\n    return '4'\n"
        "def twice():\n    return [dice, dice]\ndef odd():\n    return 3\ndef hang():\n    threading.Event().wait()\n"
    )
    file = tmp_path / "plugins.toml"
    targets = {"good": "dice", "same": "dice", "twice": "twice", "odd": "odd", "hang": "hang"}
    tables = [f"[tools.{name}]\ntarget = 'mine.py:{target}'\n" for name, target in targets.items()]
    file.write_text("".join(tables) + "[tools.set]\ntarget = 'mine.py:dice'\n[tools.set.options]\nsides = 6\n")
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(file))
    late = build_tools(["hang"], seconds=0.05).notices
    notices = build_tools(["good", "same", "twice", "odd", "set"]).notices + late
    assert len(notices) == 6
    for notice in notices:
        assert is_chinese(told(notice).partition("chatglm-slim plugins")[0]), notice


def test_a_retriever_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = PluginFolder(tmp_path, monkeypatch)
    plugins.add(
        "retrievers",
        "slow",
        """
        import time
        from langchain_core.retrievers import BaseRetriever

        class make(BaseRetriever):
            def _get_relevant_documents(self, query, *, run_manager):
                time.sleep(600)
        """,
    )
    finder = PluggedFinder("slow", seconds=5)
    finder._seconds = 0.1
    assert is_chinese(told(raised(lambda: finder.search("x"))), "chatglm-slim plugins disable retrievers.slow")


def test_a_file_of_plugins_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugins.toml").write_text("[tools")
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(tmp_path / "plugins.toml"))
    (problem,) = problems()
    assert is_chinese(told(problem), str(tmp_path))


def test_what_is_not_known_stays_and_english_is_left_alone() -> None:
    assert told("shard 2 is cut short; pull again") == "shard 2 is cut short; pull again"
    use("en")
    assert told("/a: does not exist") == "/a: does not exist"


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("ValueError: empty", "ValueError: empty"),
        ("RuntimeError: hidden", "RuntimeError: hidden"),
        ("KeyError: does not exist", "KeyError: does not exist"),
        ("/a/Makefile: empty", "/a/Makefile：空文件"),
        ("C:\\notes: empty", "C:\\notes：空文件"),
        ("notes.txt: does not exist", "notes.txt：不存在"),
        ("X, signal lost", "X, signal lost"),
        ("SIGKILL, signal 9", "SIGKILL，信号 9"),
        ("and nothing more", "and nothing more"),
        ("and 1,234 more", "还有 1,234 个"),
        ("holds no more than two files", "holds no more than two files"),
        ("would unpack to 2,048 MiB, more than the 1,024 that are read", "解压后有 2,048 MiB，超过可读取的 1,024 MiB"),
        (
            "x/y needs 13.4 GB more but /m has 2.0 GB free; make room, or choose another disk with --to FOLDER or"
            " HF_HOME",
            "x/y 还需 13.4 GB，而 /m 只剩 2.0 GB；请腾出空间，或用 HF_HOME 另选磁盘",
        ),
        ("bad at line 4 (at line 12, column 3)", "第 12 行第 3 列：bad at line 4"),
        ("bad (at line of sight, column of fire)", "bad (at line of sight, column of fire)"),
    ],
)
def test_a_number_has_digits_and_a_short_reason_follows_what_looks_like_a_path(sentence: str, expected: str) -> None:
    assert told(sentence) == expected


def test_a_long_text_in_a_failure_is_said_as_it_is() -> None:
    many = "".join(f"unexpected token (at line {place}, column {place}); " for place in range(250))
    sentence = f"plugin tools.lint (file lint.py) failed: {many} and more"
    assert told(sentence) == sentence
    assert told("[Errno 1] " * 20_000 + "x").endswith("x")  # nor as deep as it goes
    assert told(f"plugin tools.lint (file lint.py) failed: {many[:1500]}").startswith("插件 tools.lint（文件 lint.py）")


def _seconds_to_match(pieces: int) -> float:
    """How long the processor looks at what almost is each of the known sentences, many times over."""
    begun = time.process_time()
    for english, _said in _WITH_PLACES:
        head, tail = re.sub(r"\{\w+\}", "1", english), re.split(r"\{\w+\}", english)[-1]
        _pattern(english).fullmatch(f"{tail}{head * pieces}")
        _pattern(english).fullmatch(f"{head * pieces}…")
    return time.process_time() - begun


def test_looking_for_a_sentence_takes_as_long_as_the_text_is() -> None:
    _seconds_to_match(1)  # makes the patterns
    few = min(_seconds_to_match(20) for _ in range(3))
    assert _seconds_to_match(80) < 10 * few  # the square would be 16, the cube 64
