"""Reading in child processes: real processes, real files, and loaders that do the worst."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from chatglm_slim_llm.errors import RetrievalError
from chatglm_slim_llm.retrieval.reading import ReaderPool, ReadFile, ReadLimits, UnreadFile
from chatglm_slim_llm.retrieval.scanning import FoundFile
from tests.installed import enable, install

LIMITS = ReadLimits(seconds=20, max_tokens=64)

LOADERS = """
import ctypes, os, sys, time
from chatglm_slim_llm.retrieval.passages import Section

def load(path):
    text = path.read_text().strip()
    word, _, rest = text.partition(" ")
    if word == "sleep":
        time.sleep(float(rest))
    elif word == "hang":
        ctypes.PyDLL(None).sleep(100)  # holds the interpreter's lock
    elif word == "crash":
        ctypes.string_at(0)
    elif word == "exit":
        sys.exit(3)
    elif word == "leave":
        os._exit(3)
    elif word == "eat":
        rest = "x" * 10**10
    elif word == "raise":
        raise ValueError("first line\\nsecond \\x00 line")
    elif word == "chatter":
        print("noise"); os.write(1, b"noise"); os.write(2, b"noise" * 100_000)
    elif word == "ask":
        rest = repr(sys.stdin.read())
    elif word == "grow":
        with path.open("a") as file:
            file.write(" more")
    elif word == "grow_once":
        path.write_text("now " + rest)
    elif word == "repeat":
        rest = "Some words of a paragraph.\\n\\n" * int(rest)
    elif word == "document":
        yield {"text": "no section"}
    elif word == "half":
        rest = "half \\ud800 of a pair"
    yield Section(rest, "Head", 3, 5)
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """Write a file that the stand-in loader reads: `odd(words, name)`."""
    site = tmp_path / "site"
    entries = {"odd": "odd_loaders:load", "broken": "odd_missing:load"}
    install(site, "odd", "chatglm_slim.loaders", entries, "odd_loaders", LOADERS)
    monkeypatch.syspath_prepend(str(site))
    enable(monkeypatch, tmp_path / "plugins.toml", "loaders.odd", "loaders.broken")

    def write(words: str, name: str = "a.odd") -> FoundFile:
        (tmp_path / "docs").mkdir(exist_ok=True)
        path = tmp_path / "docs" / name
        path.write_text(words)
        return found(path)

    return write


def found(path: Path) -> FoundFile:
    info = path.stat()
    return FoundFile(path, info.st_size, info.st_mtime_ns)


def read(*files: FoundFile, limits: ReadLimits = LIMITS, processes: int = 1):
    with ReaderPool(processes, limits) as pool:
        return list(pool.read(files, lambda: False))


def never() -> bool:
    return False


def test_a_file_gives_its_chunks_its_digest_and_where_they_were(odd):
    file = odd("words and\nmore words", "a.ODD")
    [result] = read(file)
    assert isinstance(result, ReadFile)
    assert result.file == file
    assert result.digest == hashlib.sha256(b"words and\nmore words").hexdigest()
    [chunk] = result.chunks
    assert (chunk.text, chunk.heading, chunk.page, chunk.first_line, chunk.last_line) == (
        "and\nmore words",
        "Head",
        3,
        5,
        6,
    )


def test_a_suffix_without_a_loader_is_read_as_text_and_a_binary_refused(tmp_path, odd):
    code = odd("def f():\n    return 1\n", "name\nof two lines.py")
    (tmp_path / "docs" / "b.bin").write_bytes(bytes(range(256)) * 10)
    text, binary = read(code, found(tmp_path / "docs" / "b.bin"))
    assert text.chunks[0].text == "def f():\n    return 1"
    assert isinstance(binary, UnreadFile)
    assert "binary" in binary.reason


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("crash", "the reader crashed on it (signal 11)"),
        ("leave", "the reader crashed on it (exit status 3)"),
        ("exit", "its loader failed: SystemExit: 3"),
        ("raise", "its loader failed: ValueError: first line second line"),
        ("eat", "needs more than the 1536 MB of memory it may"),
        ("document", "its loader failed: TypeError: it gives dict instead of Section"),
        ("nothing", "holds no text"),
        ("grow", "changes while it is read; the next sync tries again"),
    ],
)
def test_whatever_a_file_does_it_is_one_reason_and_the_next_one_is_read(odd, words, reason):
    bad, good = read(odd(words), odd("fine text", "b.odd"))
    assert isinstance(bad, UnreadFile)
    assert bad.reason == reason
    assert good.chunks[0].text == "text"


@pytest.mark.parametrize("words", ["sleep 100", "hang"])
def test_a_file_over_its_time_is_ended(odd, words):
    started = time.monotonic()
    bad, good = read(odd(words), odd("fine text", "b.odd"), limits=ReadLimits(seconds=0.6))
    assert bad.reason == "took longer than 0.6 s"
    assert good.chunks[0].text == "text"
    assert time.monotonic() - started < 10


def test_a_loader_that_prints_or_asks_does_not_break_the_talk(odd):
    chatter, ask = read(odd("chatter text"), odd("ask", "b.odd"))
    assert chatter.chunks[0].text == "text"
    assert ask.chunks[0].text == "''"


def test_a_plugin_that_cannot_be_imported_is_a_reason(odd):
    [bad] = read(odd("text", "a.broken"))
    assert isinstance(bad, UnreadFile)
    assert "odd_missing" in bad.reason


def test_half_a_surrogate_pair_does_not_come_through(odd):
    [result] = read(odd("half"))
    assert result.chunks[0].text == "half ? of a pair"


def test_too_many_passages_are_refused(odd):
    limits = ReadLimits(max_chunks=50, max_tokens=12)
    many, few = read(odd("repeat 51"), odd("repeat 50", "b.odd"), limits=limits)
    assert many.reason == "it would make more than 50 passages; split it"
    assert len(few.chunks) == 50


def test_a_file_that_changed_since_it_was_found_comes_as_it_is_now(odd):
    file = odd("old words here")
    odd("new words and more")
    [result] = read(file)
    assert result.chunks[0].text == "words and more"
    assert result.file == found(file.path) != file


def test_a_file_that_changes_once_while_it_is_read_is_read_again(odd):
    [result] = read(odd("grow_once text"))
    assert [chunk.text for chunk in result.chunks] == ["text"]
    assert result.digest == hashlib.sha256(b"now text").hexdigest()


def test_what_became_a_pipe_a_folder_or_nothing_is_not_waited_for(odd):
    pipe, folder, gone, grown = (odd("text", name) for name in ("a.odd", "b.odd", "c.odd", "d.odd"))
    for file in (pipe, folder, gone):
        file.path.unlink()
    os.mkfifo(pipe.path)
    folder.path.mkdir()
    os.truncate(grown.path, 2**26 + 1)
    reasons = [result.reason for result in read(pipe, folder, gone, grown)]
    assert reasons == [
        "is not a file any more",
        "is not a file any more",
        "cannot be read: No such file or directory",
        "has grown beyond the size that is read",
    ]


def test_no_more_files_are_taken_than_two_for_each_process(odd):
    files = [odd(f"word {number}", f"{number}.odd") for number in range(20)]
    taken = 0

    def asked():
        nonlocal taken
        for file in files:
            taken += 1
            yield file

    with ReaderPool(2, LIMITS) as pool:
        ahead = []
        for done, _ in enumerate(pool.read(asked(), never)):
            ahead.append(taken - done)
    assert len(ahead) == 20
    assert max(ahead) <= 4


def test_results_come_as_they_get_done(odd):
    results = read(odd("sleep 1.5"), odd("fast text", "b.odd"), processes=2)
    assert [result.file.path.name for result in results] == ["b.odd", "a.odd"]


def test_stop_drops_what_is_under_way_at_once_and_the_pool_still_works(odd):
    started = time.monotonic()
    with ReaderPool(1, LIMITS) as pool:
        assert list(pool.read([odd("sleep 100")], lambda: time.monotonic() - started > 0.5)) == []
        for _ in pool.read([odd("fine text", "b.odd"), odd("sleep 100", "c.odd")], never):
            break
        assert [len(result.chunks) for result in pool.read([odd("fine text", "b.odd")], never)] == [1]
        list(pool.read([], never))
    assert time.monotonic() - started < 10
    with pytest.raises(RuntimeError, match="closed"):
        next(pool.read([], never))


def test_a_child_that_cannot_start_is_an_error_and_not_a_reason_for_each_file(odd, monkeypatch):
    file = odd("text")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "executable", "/usr/bin/false")
    with pytest.raises(RetrievalError, match="does not start"):
        read(file)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(RetrievalError, match="cannot be started"):
        read(file)


PARENT = """
import sys
from pathlib import Path
from chatglm_slim_llm.retrieval.reading import ReaderPool, ReadLimits
from chatglm_slim_llm.retrieval.scanning import FoundFile
sys.path.insert(0, sys.argv[1])
with ReaderPool(1, ReadLimits(seconds=50)) as pool:
    files = [FoundFile(Path(name), 1, 1) for name in sys.argv[2:]]
    for result in pool.read(files, lambda: False):
        print("read", flush=True)
"""


def children_of(pid: int) -> list[int]:
    """Children of any thread: one belongs to the thread that started it."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for children in /proc")
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_no_child_outlives_its_parent(odd, tmp_path, ending):
    files = [odd("fine text"), odd("sleep 100", "b.odd")]
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path / "site"), *(str(f.path) for f in files)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert parent.stdout.readline() == b"read\n"
    [child] = children_of(parent.pid)
    time.sleep(0.3)  # the second file sleeps by now
    parent.send_signal(ending)
    parent.communicate(timeout=10)
    deadline = time.monotonic() + 5
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_child_is_small_and_loads_none_of_the_large_libraries(tmp_path):
    (tmp_path / "a.txt").write_text("Some text.")
    before = children_of(os.getpid())  # of other tests in this process
    with ReaderPool(1, LIMITS) as pool:
        assert len(list(pool.read([found(tmp_path / "a.txt")], never))) == 1
        [child] = set(children_of(os.getpid())) - set(before)
        status = Path(f"/proc/{child}/status").read_text()
        mapped = Path(f"/proc/{child}/maps").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 40 * 1024
    assert not any(name in mapped for name in ("numpy", "torch", "lxml"))
    code = (
        "import sys, chatglm_slim_llm.retrieval.reader as _\n"
        "print([name for name in ('numpy', 'langchain_core', 'torch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
