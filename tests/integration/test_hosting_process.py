"""A child process and the talk with it; none of these needs a model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from chatglm_slim_llm.errors import GenerationError, RetrievalError
from chatglm_slim_llm.hosting import process
from chatglm_slim_llm.hosting.assistant import Request, Turn
from chatglm_slim_llm.hosting.process import ChildProcess
from chatglm_slim_llm.hosting.wire import request_to_wire

ADVICE = "choose a smaller level"


@pytest.fixture
def child(tmp_path, monkeypatch):
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path))
    child = ChildProcess("The model's process", ADVICE)
    yield child
    child.close()


def facts(child):
    return child.call("facts", {"name": "nothing"})


def is_gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"  # whoever it was left to has not looked at it yet


def wait_until(holds, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_work_that_fails_is_an_error_of_its_own_kind(child):
    with pytest.raises(RetrievalError, match="nothing is gone"):
        facts(child).result()
    with pytest.raises(GenerationError, match="no model is loaded"):
        child.call("count", request_to_wire(Request([Turn("human", "hi")]))).result()
    assert child.is_alive()


def test_many_threads_get_their_own_answers(child):
    def ask(number):
        for _ in range(20):
            with pytest.raises(RetrievalError) as caught:
                child.call("facts", {"name": f"n{number}"}).result()
            right.append(f"n{number} is gone" in str(caught.value))

    right: list[bool] = []
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 160


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, "was ended by the system, most likely for lack of memory (signal 9); choose a smaller level"),
        (signal.SIGABRT, "crashed (SIGABRT, signal 6)"),
        (signal.SIGSEGV, "crashed (SIGSEGV, signal 11)"),
        (signal.SIGTERM, "crashed (SIGTERM, signal 15)"),
    ],
)
def test_its_death_is_explained_to_whoever_waits(child, number, words):
    with pytest.raises(RetrievalError):
        facts(child).result()
    os.kill(child.pid, signal.SIGSTOP)
    call = facts(child)
    os.kill(child.pid, number)
    os.kill(child.pid, signal.SIGCONT)
    with pytest.raises(GenerationError) as caught:
        call.result()
    assert f"The model's process {words}" in str(caught.value)
    assert not child.is_alive()
    with pytest.raises(GenerationError, match="signal"):
        facts(child).result()


def test_what_it_said_last_is_part_of_the_explanation(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import os, sys\nprint('no room left')\nsys.exit('the disk is full')")
    monkeypatch.syspath_prepend(str(tmp_path))
    child = ChildProcess("The model's process", ADVICE)
    with pytest.raises(GenerationError, match=r"ended by itself .*the disk is full"):
        facts(child).result()
    child.close()


def test_a_child_that_dies_while_its_threads_start_is_noticed(tmp_path, monkeypatch):
    class SlowThread(threading.Thread):
        def start(self):
            time.sleep(0.5)
            super().start()

    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.exit('the disk is full')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(process.threading, "Thread", SlowThread)
    child = ChildProcess("The model's process", ADVICE)
    monkeypatch.undo()
    wait_until(lambda: not child.is_alive())
    with pytest.raises(GenerationError, match=r"ended by itself .*the disk is full"):
        facts(child).result()
    child.close()


def test_what_prints_in_there_does_not_disturb_the_talk(tmp_path, monkeypatch):
    noise = "import atexit, threading, builtins\nbuiltins.print('noise 你好')\n"
    (tmp_path / "langchain_core.py").write_text(noise + "import sys; sys.stdout.write('x' * 100000)")
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "data" / "knowledge").mkdir(parents=True)
    (tmp_path / "data" / "knowledge" / "nothing.db").write_bytes(b"")
    child = ChildProcess("The model's process", ADVICE)
    with pytest.raises(Exception, match="langchain_core"):  # our own module hides it, and has said a lot
        facts(child).result()
    assert child.is_alive()
    child.close()


def test_modules_in_the_folder_where_it_starts_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    (tmp_path / "chatglm_slim_llm.py").write_text("raise SystemExit('the wrong package')")
    monkeypatch.chdir(tmp_path)
    child = ChildProcess("The model's process", ADVICE)
    with pytest.raises(RetrievalError):
        facts(child).result()
    child.close()


def test_nothing_is_left_of_it(child):
    with pytest.raises(RetrievalError):
        facts(child).result()
    child.close()
    before = threads_and_descriptors()
    for _ in range(3):
        another = ChildProcess("The model's process", ADVICE)
        pid = another.pid
        another.close()
        assert not Path(f"/proc/{pid}").exists()
        another.close()
    wait_until(lambda: all(now <= then for now, then in zip(threads_and_descriptors(), before, strict=True)))


def threads_and_descriptors():
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def test_ctrl_c_is_not_for_it(child):
    for _ in range(2):
        with pytest.raises(RetrievalError):
            facts(child).result()
        os.kill(child.pid, signal.SIGINT)
    assert os.getsid(child.pid) != os.getsid(0)


def test_it_ends_with_the_program_that_was_killed(tmp_path):
    code = (
        "import time\nfrom chatglm_slim_llm.hosting.process import ChildProcess\n"
        "child = ChildProcess('x', 'y')\n"
        "try:\n    child.call('facts', {'name': 'a'}).result()\nexcept Exception: pass\n"
        "print(child.pid, flush=True)\ntime.sleep(60)"
    )
    environ = {**os.environ, "CHATGLM_SLIM_HOME": str(tmp_path)}
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environ)
    with program:
        pid = int(program.stdout.readline())
        assert not is_gone(pid)
        program.kill()
    wait_until(lambda: is_gone(pid))


def test_where_memory_runs_out_it_goes_before_the_program(child):
    with pytest.raises(RetrievalError):
        facts(child).result()
    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert int(Path(f"/proc/{child.pid}/oom_score_adj").read_text()) >= max(own, 500)


@pytest.mark.parametrize("line", ["hello", "[1]", "{}", '{"id": [], "say": 1}', "x" * 100])
def test_a_line_that_is_no_talk_of_ours_ends_it(tmp_path, monkeypatch, line):
    monkeypatch.setattr(process, "_DYING_S", 0.1)
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, time\nos.write(1, {line!r}.encode() + b'\\n')\ntime.sleep(60)"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    child = ChildProcess("The model's process", ADVICE)
    wait_until(lambda: not child.is_alive())
    with pytest.raises(GenerationError, match="cannot be understood"):
        facts(child).result()
    child.close()


def test_a_request_that_is_too_long_is_refused_here(child, monkeypatch):
    monkeypatch.setattr(process, "MAX_LINE_BYTES", 1 << 20)
    with pytest.raises(GenerationError, match="shorten it"):
        child.call("facts", {"name": "x" * (2 << 20)})
    with pytest.raises(RetrievalError):
        facts(child).result()


def test_a_child_that_does_not_read_holds_nobody_up(child):
    os.kill(child.pid, signal.SIGSTOP)
    started = time.monotonic()
    call = child.call("facts", {"name": "x" * (8 << 20)})  # far more than a pipe takes
    assert not call.stop(0.1)
    child.close()
    assert time.monotonic() - started < 5
