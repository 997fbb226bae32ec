"""Which files a scan finds, which it skips, and what it says of them."""

# Names as bytes, and descriptors of folders, are beyond Path.
# ruff: noqa: PTH118, PTH123, PTH211

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatglm_slim_llm.errors import RetrievalError
from chatglm_slim_llm.retrieval.scanning import FoundFile, ScanLimits, display_name, scan

LIMITS = ScanLimits()


def write(path: Path, content: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def look(*roots: Path, **options) -> tuple[list[str], dict[str, str]]:
    """Found and skipped, relative to the first root."""
    found: list[str] = []
    skipped: dict[str, str] = {}
    for item in scan(roots, limits=options.pop("limits", LIMITS), **options):
        name = os.path.relpath(item.path, roots[0])
        if isinstance(item, FoundFile):
            found.append(name)
        else:
            assert name not in skipped
            skipped[name] = item.reason
    return found, skipped


def test_files_come_in_the_same_order_each_time_with_size_and_time(tmp_path):
    for name in ("b.txt", "a.txt", "sub/deep/c.md", "sub/B.md", "README"):
        write(tmp_path / name)
    items = list(scan([tmp_path], limits=LIMITS))
    assert [str(item.path.relative_to(tmp_path)) for item in items] == [
        "README",
        "a.txt",
        "b.txt",
        "sub/B.md",
        "sub/deep/c.md",
    ]
    assert items[1] == FoundFile(tmp_path / "a.txt", 4, (tmp_path / "a.txt").stat().st_mtime_ns)


def test_hidden_things_are_one_line_each(tmp_path):
    for name in (".git/a", ".git/b/c", ".secret.txt", "seen.txt"):
        write(tmp_path / name)
    assert look(tmp_path) == (["seen.txt"], {".git": "a hidden folder", ".secret.txt": "hidden"})


def test_a_root_may_be_hidden_or_lie_in_a_hidden_folder_or_be_a_hidden_file(tmp_path):
    hidden = write(tmp_path / ".notes" / "inner" / ".a.txt")
    write(tmp_path / ".notes" / "inner" / "b.txt")
    assert look(tmp_path / ".notes")[0] == ["inner/b.txt"]
    assert look(tmp_path / ".notes" / "inner")[0] == ["b.txt"]
    assert look(hidden)[0] == ["."]


def test_a_missing_root_is_said_before_anything_is_read(tmp_path):
    with pytest.raises(RetrievalError, match="nowhere does not exist"):
        scan([tmp_path, tmp_path / "nowhere"], limits=LIMITS)


def test_links_are_followed_and_each_real_file_and_folder_comes_once(tmp_path):
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    write(outside / "far.txt")
    write(inside / "b" / "real.txt")
    os.symlink(inside / "b" / "real.txt", inside / "a.txt")
    os.symlink(inside / "b", inside / "again")
    os.symlink(outside, inside / "out")
    os.symlink(inside, outside / "loop")
    os.symlink(tmp_path, inside / "up")
    os.symlink(inside / "round", inside / "round")
    os.symlink("nothing", inside / "broken")
    os.link(inside / "b" / "real.txt", inside / "b" / "second.txt")
    found, skipped = look(inside)
    assert found == ["b/real.txt", "out/far.txt"]
    assert skipped == {
        "a.txt": "a link to a file that is read already",
        "again": "a link to a folder that is read already",
        "out/loop": "a link to a folder that holds this one",
        "up": "a link to a folder that holds this one",
        "round": "a link that leads round in a circle",
        "broken": "a link that leads nowhere",
        "b/second.txt": "another name of a file that is read already",
    }


def test_a_link_opens_nothing_that_would_be_skipped_by_name(tmp_path):
    write(tmp_path / ".keys" / "id.txt")
    write(tmp_path / "docs" / "a.txt")
    os.symlink(tmp_path / ".keys" / "id.txt", tmp_path / "docs" / "id.txt")
    os.symlink("/proc", tmp_path / "docs" / "proc")
    os.symlink("/", tmp_path / "docs" / "all")
    found, skipped = look(tmp_path / "docs")
    assert found == ["a.txt"]
    assert skipped == {
        "id.txt": "a link to something hidden",
        "proc": "a link to what is no document of yours",
        "all": "a link to a folder that holds this one",
    }


def test_roots_that_overlap_give_each_file_once_and_no_complaint(tmp_path):
    write(tmp_path / "sub" / "a.txt")
    assert look(tmp_path, tmp_path / "sub", tmp_path / "sub" / "a.txt") == (["sub/a.txt"], {})
    assert look(tmp_path, tmp_path / "sub" / ".." / "sub") == (["sub/a.txt"], {})


def test_pipes_sockets_and_devices_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
        skipped = look(tmp_path)[1]
    assert skipped == {"pipe.txt": "a pipe, not a file", "socket": "a socket, not a file"}
    assert look(tmp_path / "pipe.txt")[1] == {".": "a pipe, not a file"}
    assert look(Path("/dev/null"))[1] == {".": "a device, not a file"}


def test_what_is_no_text_is_skipped_by_its_suffix_unless_a_loader_reads_it(tmp_path):
    for name in ("a.ZIP", "b.tar.gz", "c.PNG", "d.mp3", "e.safetensors", "f.doc", "g.docx", "~$g.docx"):
        write(tmp_path / name)
    write(tmp_path / "empty.txt", "")
    found, skipped = look(tmp_path)
    assert found == ["g.docx"]
    assert skipped == {
        "a.ZIP": "an archive; unpack it first",
        "b.tar.gz": "an archive; unpack it first",
        "c.PNG": "an image",
        "d.mp3": "audio",
        "e.safetensors": "weights or arrays, not text",
        "f.doc": "an old Word document; save it as .docx",
        "~$g.docx": "a note of an office program that the file is open",
        "empty.txt": "empty",
    }
    assert look(tmp_path, loadable={"png"})[0] == ["c.PNG", "g.docx"]


def test_folders_of_other_peoples_code_are_left(tmp_path):
    for name in ("node_modules/x/index.js", "src/__pycache__/a.txt", "venv/pyvenv.cfg", "target/CACHEDIR.TAG", "a.py"):
        write(tmp_path / name)
    found, skipped = look(tmp_path)
    assert found == ["a.py"]
    assert sorted(skipped) == ["node_modules", "src/__pycache__", "target", "venv"]
    assert look(tmp_path / "venv")[0] == ["pyvenv.cfg"]


def test_a_file_that_is_too_large_says_how_large(tmp_path):
    os.truncate(write(tmp_path / "log.txt"), int(2.1 * 2**30))
    os.truncate(write(tmp_path / "one_more.txt"), 2**26 + 1)
    assert look(tmp_path)[1] == {
        "log.txt": "2.1 GB is more than the 64 MB that is read",
        "one_more.txt": "67,108,865 bytes is more than the 64 MB that is read",
    }


def test_the_knowledge_bases_own_file_is_passed_over_in_silence_under_any_name(tmp_path):
    own = write(tmp_path / "docs" / "kb.txt")
    write(tmp_path / "docs" / "sub" / "kb.txt")
    write(tmp_path / "docs" / "left" / "a.txt")
    os.symlink(tmp_path / "docs", tmp_path / "link")
    ignore = [str(own), str(tmp_path / "docs" / "left")]
    assert look(tmp_path / "link", ignore=ignore) == (["sub/kb.txt"], {})


def test_odd_names_work_or_are_skipped_with_a_reason_that_prints(tmp_path):
    write(tmp_path / "two\nlines.txt")
    write(tmp_path / "中文 名字.txt")
    bad = os.path.join(os.fsencode(tmp_path), b"caf\xe9.txt")
    with open(bad, "wb") as file:
        file.write(b"x")
    found, skipped = look(tmp_path)
    assert found == ["two\nlines.txt", "中文 名字.txt"]
    assert skipped == {os.fsdecode(b"caf\xe9.txt"): "the name is not valid UTF-8; rename it"}
    assert display_name(Path(os.fsdecode(bad)).name) == r"caf\xe9.txt"
    assert display_name("two\nlines.txt") == r"two\nlines.txt"


def test_a_very_deep_folder_needs_no_recursion(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):  # 3,000 characters of path: within the system's 4,096, beyond Python's 1,000 frames
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("deep.txt", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)
    items = list(scan([tmp_path], limits=LIMITS))
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # pytest's own clean-up recurses
    assert [(item.path.name, item.reason) for item in items] == [("deep.txt", "empty")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_skipped(tmp_path):
    write(tmp_path / "a.txt").chmod(0)
    write(tmp_path / "locked" / "b.txt").parent.chmod(0)
    skipped = look(tmp_path)[1]
    (tmp_path / "locked").chmod(0o700)
    assert skipped == {"a.txt": "no permission to read it", "locked": "no permission to look into it"}


def test_a_refusal_of_the_system_is_a_reason_and_not_the_end(tmp_path, monkeypatch):
    write(tmp_path / "a.txt")
    write(tmp_path / "locked" / "b.txt")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: real(path if Path(path).name != "locked" else "/nowhere"))
    assert look(tmp_path)[1] == {
        "a.txt": "no permission to read it",
        "locked": "cannot be looked at: No such file or directory",
    }


@pytest.mark.slow
def test_fifty_thousand_files_take_seconds_and_little_memory(tmp_path):
    for index in range(50_000):
        folder = tmp_path / str(index // 1000)
        if index % 1000 == 0:
            folder.mkdir()
        with open(folder / f"{index}.txt", "wb") as file:
            file.write(b"x")
    code = """
import resource, sys
from pathlib import Path
from chatglm_slim_llm.retrieval.scanning import ScanLimits, scan
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in scan([Path(sys.argv[1])], limits=ScanLimits()))
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"""
    started = time.perf_counter()
    out = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True).stdout
    count, grown_mb = map(int, out.split())
    assert count == 50_000
    assert grown_mb < 30
    assert time.perf_counter() - started < 10
