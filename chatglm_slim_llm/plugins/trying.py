"""A plugin tried in a process of its own, with a limit of time: ``python -m chatglm_slim_llm.plugins.trying KEY``."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from chatglm_slim_llm.errors import ChatGLMSlimError
from chatglm_slim_llm.plugins.spec import PluginSpec

SECONDS = 20.0
_LONGEST = 300


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
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        complaint = f"is not loaded after {seconds:g} s; repair it, or: chatglm-slim plugins disable {spec.key}"
        return Trial(spec.key, f"plugin {spec.key} ({spec.origin}) {complaint}", time.monotonic() - started_s)
    return Trial(spec.key, _complaint(spec, done), time.monotonic() - started_s, _last_line(done.stderr))


def _complaint(spec: PluginSpec, done: subprocess.CompletedProcess[bytes]) -> str:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(done.stdout.decode())["complaint"])
    what = f"ended the process that loaded it (exit status {done.returncode})"
    return f"plugin {spec.key} ({spec.origin}) {what}; repair it, or: chatglm-slim plugins disable {spec.key}"


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
    except ChatGLMSlimError as error:
        complaint = str(error)
    replies.write(json.dumps({"complaint": complaint}))
    replies.flush()
    os._exit(0)  # threads of the plugin may not want to end


if __name__ == "__main__":
    main()
