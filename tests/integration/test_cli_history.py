"""``chatglm-slim history`` and ``completion``: what people and scripts see of the conversations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest
from rich.cells import cell_len

from chatglm_slim_llm.cli import main
from chatglm_slim_llm.storage import ConversationStore, history_path

DATA = Path(__file__).parent.parent / "data" / "exchange"
COMMAND = [sys.executable, "-m", "chatglm_slim_llm"]


@pytest.fixture(autouse=True)
def environ(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("CHATGLM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COLUMNS", raising=False)  # it would win over the terminal's own width
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    monkeypatch.chdir(tmp_path)
    time.tzset()
    yield dict(os.environ)
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def history(environ):
    with ConversationStore.at(history_path()) as store:
        yield store


@pytest.fixture
def run(capsys):
    """Run ``history`` in this process; returns status, stdout and stderr."""

    def run(*args: str) -> tuple[int, str, str]:
        status = main(["history", *args])
        return status, *capsys.readouterr()

    return run


def said(history, title, *texts):
    """A conversation of a question, an answer …; returns its id."""
    chat = history.create(title)
    for number, text in enumerate(texts):
        role = ("user", "assistant")[number % 2]
        history.append(chat.id, role, text, finish_reason="stop" if number % 2 else None)
    return chat.id


# --- list


def test_conversations_are_listed_in_columns_that_line_up(run, history):
    said(history, "睡不着怎么办", "晚上睡不着")
    said(history, "short")
    history.move(1, "健康")
    history.pin(1, True)
    status, out, err = run("list")
    assert (status, err) == (0, "")
    head, first, second = out.splitlines()
    assert head.split() == ["ID", "USED", "PINNED", "FOLDER", "TITLE"]
    assert first.split()[0] == "1"  # pinned before newer
    column = cell_len(head[: head.index("TITLE")])
    assert cell_len(first[: first.index("睡不着")]) == column
    assert cell_len(second[: second.index("short")]) == column


def test_a_title_of_strangers_stays_on_its_line_and_harmless(run, history):
    said(history, "a\n\x1b[2Jb\u202ec\tq")
    assert run("list")[1].splitlines()[1].endswith("a [2Jbc q")


def test_an_error_that_quotes_strangers_is_harmless(run):
    status, _, err = run("export", "1", "-o", "x\x1b[2J.txt")
    assert status == 1
    assert "\x1b" not in err
    assert "[2J.txt" in err


def test_dates_are_of_this_machines_clock(run, history):
    said(history, "x")
    moment = history.conversations()[0].updated_at
    assert f"{(moment.hour + 8) % 24:02}:{moment.minute:02}" in run("list")[1]


def test_each_shelf_and_folder_is_listed_alone_or_all_together(run, history):
    for title in ("shown", "put away", "thrown away"):
        said(history, title)
    history.archive(2, True)
    history.trash(3)
    history.move(1, "work")

    def titles(*args):
        return [each["title"] for each in json.loads(run("list", "--json", *args)[1])["conversations"]]

    assert titles() == titles("--folder", "work") == ["shown"]
    assert titles("--folder", "other") == []
    assert titles("--shelf", "archived") == ["put away"]
    assert titles("--shelf", "trash") == ["thrown away"]
    assert titles("--shelf", "all") == ["shown", "put away", "thrown away"]
    assert titles("--shelf", "all", "-n", "2") == ["shown", "put away"]
    shelves = [line.split()[3:5] for line in run("list", "--shelf", "all")[1].splitlines()]
    assert shelves[2][0] == "archived"


def test_json_is_one_object_with_what_a_script_needs(run, history):
    said(history, "你好")
    status, out, _ = run("list", "--json")
    (chat,) = json.loads(out)["conversations"]
    kept = history.conversations()[0]
    assert (status, out.count("\n")) == (0, 1)
    assert chat == {
        "id": 1, "uid": kept.uid, "title": "你好", "folder": "", "is_pinned": False, "shelf": "shown",
        "created_at": kept.created_at.isoformat(), "updated_at": kept.updated_at.isoformat(),
    }  # fmt: skip


def test_looking_at_an_empty_history_makes_no_file(run):
    assert run("list") == (0, "", "there is no conversation\n")
    assert run("search", "x") == (0, "", "nothing was found\n")
    assert run("show")[0] == 1
    assert run("backup") == (1, "", f"error: there is no history yet ({history_path()})\n")
    assert not history_path().exists()


def test_lines_fit_the_terminal_and_a_pipe_gets_all(environ, history):
    title = "很长的标题" * 30
    said(history, title, "words 睡不着 " * 100)
    for command, words in (("list", []), ("search", ["睡不着"])):
        narrow = ["-c", 'stty cols 50; exec "$@"', "sh"]  # the terminal has its size before the command looks
        terminal = pexpect.spawn(
            "sh", [*narrow, *COMMAND, "history", command, *words], env=environ, encoding="utf-8", timeout=20,
            dimensions=(24, 50),  # pexpect sets them while the shell runs, now and then after `stty`
        )  # fmt: skip
        terminal.expect(pexpect.EOF)
        lines = terminal.before.replace("\x1b[1m", "").replace("\x1b[22m", "").splitlines()
        assert any("…" in line for line in lines)
        assert all(cell_len(line) <= 50 for line in lines), lines
        if command == "search":
            assert "\x1b[1m睡不着\x1b[22m" in terminal.before
    piped = subprocess.run(
        [*COMMAND, "history", "list"], env=environ, capture_output=True, encoding="utf-8", timeout=30
    )
    assert title in piped.stdout


def test_a_reader_that_has_enough_ends_it_quietly(environ, history):
    said(history, "x", *["words " * 2000] * 40)
    with subprocess.Popen(
        [*COMMAND, "history", "show"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        running.stdout.read(10)
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(timeout=20) == 141


@pytest.mark.parametrize("words", [["list"], ["search", "x"], ["show"], ["export", "--all"], ["--help"]])
def test_nothing_heavy_is_loaded(environ, history, words):
    said(history, "x")
    history.close()
    code = (
        "import sys\nfrom chatglm_slim_llm.cli import main\n"
        f"try:\n    status = main({['history', *words]!r})\nexcept SystemExit as left:\n    status = left.code\n"
        "heavy = {'torch', 'transformers', 'langchain_core', 'numpy', 'textual', 'markdown_it'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else status)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


# --- show and search


def test_a_conversation_is_shown_by_its_number_or_the_last_one(run, history):
    said(history, "first", "one")
    said(history, "second", "two")
    assert run("show", "1")[1].startswith("# first\n")
    assert run("show")[1].startswith("# second\n")
    whole = json.loads(run("show", "1", "--json")[1])
    assert [message["content"] for message in whole["conversations"][0]["messages"]] == ["one"]
    assert run("show", "1", "--format", "html")[1].startswith("<!doctype html>")


def test_a_number_that_is_none_is_an_error(run, history):
    said(history, "first", "one")
    status, out, err = run("show", "99")
    assert (status, out) == (1, "")
    assert "conversation 99" in err
    status, out, err = run("show", "99", "--json")
    assert (status, out) == (1, "")
    assert "conversation 99" in json.loads(err)["error"]


def test_words_are_found_in_chinese_and_english(run, history):
    said(history, "健康", "我晚上睡不着")
    said(history, "lamps", "The lamp is dark.")
    (hit,) = json.loads(run("search", "睡不", "--json")[1])["hits"]
    ((start, end),) = hit["marks"]
    assert (hit["id"], hit["title"], hit["excerpt"][start:end]) == (1, "健康", "睡不")
    assert run("search", "dark")[1].splitlines()[1].strip() == "The lamp is dark."
    assert run("search", "lamps")[1].split()[0] == "2"
    history.archive(2, True)
    assert run("search", "dark")[1] == ""
    assert "The lamp" in run("search", "dark", "--shelf", "all")[1]


# --- export, import, backup


def test_conversations_go_to_a_file_and_come_back_elsewhere(run, history, environ, tmp_path, monkeypatch):
    said(history, "first", "one", "eins")
    said(history, "second", "two")
    history.trash(2)
    status, out, err = run("export", "--all", "--shelf", "all", "-o", "all.json")
    assert (status, out, err) == (0, "", "2 conversations are in all.json\n")
    assert run("export", "1", "-o", "all.json")[0] == 1
    assert run("export", "1", "-o", "all.json", "--replace")[0] == 0
    assert run("export", "1", "-o", "page.html")[0] == 0
    assert run("export", "1", "2")[1].count("\n# ") == 1
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "elsewhere"))
    assert run("import", "all.json") == (0, "all.json: 1 conversation with 2 messages added\n", "")
    assert run("import", "all.json") == (0, "all.json: 0 conversations with 0 messages added, 1 there already\n", "")
    assert run("show")[1].startswith("# first\n")


@pytest.mark.parametrize("words", [["export"], ["export", "1", "--all"], ["list", "-n", "0"], ["search", " "]])
def test_wrong_usage_is_status_2(run, history, words):
    assert run(*words)[0] == 2


def test_files_of_other_programs_are_imported_and_each_is_told_of(run, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text("[}")
    status, out, err = run(
        "import", str(DATA / "chatgpt_conversations.json"), str(bad), str(DATA / "chatglm_slim_v1.json")
    )
    assert status == 1
    assert [line.partition(": ")[2] for line in out.splitlines()] == [
        "2 conversations with 7 messages added",
        "1 conversation with 6 messages added",
    ]
    assert err.startswith("error: bad.json is not JSON, or was cut off")
    assert err.count("\n") == 1
    status, out, err = run("import", str(bad), str(DATA / "chatgpt_conversations.json"), "--json")
    first, second = json.loads(out)["files"]
    assert (status, err) == (1, "")
    assert first["error"].startswith("bad.json is not JSON")
    assert (second["conversations"], second["skipped"], second["problems"]) == (0, 2, [])


def test_a_backup_is_a_history_and_never_replaces_one(run, history, tmp_path):
    said(history, "kept", "words")
    assert run("backup", "copy.db") == (0, "the history is copied to copy.db\n", "")
    with ConversationStore.open(tmp_path / "copy.db") as copy:
        assert [chat.title for chat in copy.conversations()] == ["kept"]
    assert run("backup", "copy.db")[0] == 1
    made = json.loads(run("backup", "--json")[1])["file"]
    assert Path(made).exists()
    assert made.startswith("chatglm-slim-20")


# --- completion


def completed(script: Path, line: str) -> list[str]:
    """What a real bash offers at the end of the line."""
    words = line.split(" ")
    code = (
        f"source {script}\nCOMP_WORDS=({' '.join(repr(word) for word in words)})\nCOMP_CWORD={len(words) - 1}\n"
        f"COMP_LINE={line!r}\nCOMP_POINT={len(line)}\n"
        "$(complete -p chatglm-slim | sed 's/.*-F \\([^ ]*\\).*/\\1/') chatglm-slim \"${COMP_WORDS[COMP_CWORD]}\""
        ' "${COMP_WORDS[COMP_CWORD-1]}"\nprintf \'%s\\n\' "${COMPREPLY[@]}"'
    )
    result = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, timeout=30)
    return sorted(filter(None, (word.strip() for word in result.stdout.splitlines())))


def test_bash_completes_commands_options_choices_and_files(environ, tmp_path):
    script = tmp_path / "completion.bash"
    made = subprocess.run([*COMMAND, "completion", "bash"], env=environ, capture_output=True, timeout=60)
    script.write_bytes(made.stdout)
    assert (made.returncode, made.stderr) == (0, b"")
    assert {"chat", "history", "completion", "quantize"} <= set(completed(script, "chatglm-slim "))
    assert completed(script, "chatglm-slim hi") == ["history"]
    assert completed(script, "chatglm-slim history ") == ["backup", "export", "import", "list", "search", "show"]
    assert completed(script, "chatglm-slim history list --sh") == ["--shelf"]
    assert completed(script, "chatglm-slim history list --shelf ") == ["all", "archived", "shown", "trash"]
    assert completed(script, "chatglm-slim quantize a b --level ") == ["int4", "int8"]
    assert completed(script, "chatglm-slim chat --quantization ") == ["fp16", "int4", "int8"]
    assert {"--continue", "--no-history", "--json"} <= set(completed(script, "chatglm-slim chat --"))
    (tmp_path / "logs.db").touch()
    assert completed(script, "chatglm-slim history import logs") == ["logs.db"]


@pytest.mark.parametrize(("shell", "word"), [("zsh", "#compdef chatglm-slim"), ("fish", "complete -c chatglm-slim")])
def test_other_shells_get_a_script_of_theirs(capsys, shell, word):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert word in script
    for name in ("history", "--no-history", "archived"):
        assert name in script.replace("-l no-history", "--no-history")
