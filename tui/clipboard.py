"""Copying: through the terminal, which also works from another machine, and into the system's clipboard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any
from weakref import WeakSet

from textual.app import App

from tui.language import tr

_SYSTEM = "import sys, pyperclip; pyperclip.copy(sys.stdin.buffer.read().decode())"
_WAIT_S = 3.0


_told: WeakSet[App[Any]] = WeakSet()


def copy(app: App[Any], text: str) -> None:
    """Copy; returns at once, and nothing of it can fail loudly.

    The terminal is asked with OSC 52, which it may ignore without a word. Where the system's clipboard cannot be
    reached, that is said once.
    """
    text = text.encode("utf-8", "replace").decode()  # half of a surrogate pair cannot be sent
    app.copy_to_clipboard(text)
    if not app.is_web:  # there, the system is not the one that the person sits at
        threading.Thread(target=_copy_to_system, args=(app, text), name="clipboard", daemon=True).start()


def _copy_to_system(app: App[Any], text: str) -> None:
    if not reaches_system(text) and app.is_running and app not in _told:
        _told.add(app)
        said = tr("No clipboard was found on this machine; the text is copied if your terminal allows it.")
        app.call_later(app.notify, said, markup=False)


def reaches_system(text: str, wait_s: float = _WAIT_S) -> bool:
    """Whether the system's clipboard holds the text now.

    It is asked from a process of its own, which can be ended: xclip hangs where its display does not answer.
    """
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _SYSTEM],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        process.communicate(text.encode(), timeout=wait_s)
    except subprocess.TimeoutExpired:
        _end(process)
    except OSError:  # it ended without reading
        process.wait()
    return process.returncode == 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it has started."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
