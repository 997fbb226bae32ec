"""A plugin tried in a process of its own, with a limit of time: ``python -m chatglm_slim_llm.plugins.trying KEY``."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

from chatglm_slim_llm.errors import ChatGLMSlimError, ConfigError
from chatglm_slim_llm.plugins.spec import PluginSpec

SECONDS = 20.0
_LONGEST = 300
_MAX_BYTES = 100_000
"""Of what it said; its complaint is a sentence."""


@dataclass(frozen=True)
class Trial:
    """What came of loading a plugin and checking its options."""

    key: str
    complaint: str
    """Why it cannot be used; empty if it can."""
    elapsed_s: float
    printed: str = ""
    """The last line that it printed meanwhile."""


def try_plugin(spec: PluginSpec, seconds: float = SECONDS) -> Trial:
    """Load a plugin that is on, wherever that leads."""
    started_s = time.monotonic()
    words = [sys.executable, "-P", "-m", __name__, spec.group, spec.name]
    path = os.pathsep.join(each for each in sys.path if each)
    environ = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    with TemporaryFile() as said, TemporaryFile() as printed:  # a pipe is open until all that it started have ended
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=said, stderr=printed, env=environ, start_new_session=True
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            complaint = _blame(spec, f"is not loaded after {seconds:g} s")
        else:
            complaint = _complaint(spec, _end_of(said), process.returncode)
        finally:
            _end(process)
        return Trial(spec.key, complaint, time.monotonic() - started_s, _last_line(_end_of(printed)))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with what the plugin has started in it."""
    with contextlib.suppress(OSError):  # nothing of it is left
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:  # Windows
            process.kill()
    process.wait()


def _complaint(spec: PluginSpec, said: bytes, status: int) -> str:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(said.decode())["complaint"])
    return _blame(spec, f"ended the process that loaded it (exit status {status})")


def _blame(spec: PluginSpec, what: str) -> str:
    return f"plugin {spec.key} ({spec.origin}) {what}; repair it, or: chatglm-slim plugins disable {spec.word}"


def _end_of(file: IO[bytes]) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _MAX_BYTES, 0))
    return file.read()


def _last_line(printed: bytes) -> str:
    lines = printed.decode("utf-8", "replace").strip().splitlines()
    return "".join(c for c in lines[-1] if c.isprintable())[:_LONGEST] if lines else ""


def main() -> None:
    """Load one plugin and say what came of it as JSON; all that it prints goes to stderr."""
    from chatglm_slim_llm.plugins.choosing import plugin

    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    complaint = ""
    try:
        found = plugin(sys.argv[1], sys.argv[2])
        if found.group == "tools" and not callable(found.load()):  # a tool that is made already
            found.load()
        else:
            found.function()
            _check_options(found)
    except ChatGLMSlimError as error:
        complaint = str(error)
    replies.write(json.dumps({"complaint": complaint}))
    replies.flush()
    os._exit(0)  # threads of the plugin may not want to end


def _check_options(spec: PluginSpec) -> None:
    """What a module says of its plugin's options without starting anything, in a function ``CHATGLM_SLIM_CHECK``."""
    check = getattr(sys.modules.get(spec.module), "CHATGLM_SLIM_CHECK", None)
    try:
        if check is not None:
            check(**spec.options)
    except ConfigError as error:
        raise ConfigError(_blame(spec, f"cannot be started: {error}"), key=error.key) from error


if __name__ == "__main__":
    main()
