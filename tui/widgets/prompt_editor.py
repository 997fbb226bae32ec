"""Writing the prompt in the editor that the user likes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tui.language import tr
from tui.reasons import told


class EditorProblem(Exception):  # noqa: N818  (it is said to people, in their language)
    """The editor could not be used; the text is what it was."""


def editor_command(wanted: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """The editor to run: the one of the settings, else ``$VISUAL``, else ``$EDITOR``.

    Raises:
        EditorProblem: if there is none, or its line cannot be read.
    """
    line = wanted or environ.get("VISUAL", "") or environ.get("EDITOR", "")
    if not line.strip():
        raise EditorProblem(tr("No editor is set: set $VISUAL or $EDITOR, or editor in the settings"))
    try:
        return shlex.split(line)
    except ValueError as error:
        raise EditorProblem(tr("The editor's command cannot be read: {line}", line=line)) from error


def edit(text: str, command: list[str]) -> str:
    """What the editor makes of ``text``, without the line end that editors put last.

    Raises:
        EditorProblem: if it does not start or says that it failed.
    """
    try:
        with TemporaryDirectory(prefix="chatglm-tui-") as folder:
            path = Path(folder) / "prompt.md"
            path.write_text(text, encoding="utf-8", errors="replace", newline="")
            with _unstopped():
                status = subprocess.run([*command, str(path)], check=False).returncode
            edited = path.read_bytes().decode("utf-8", "replace")
    except (OSError, ValueError) as error:  # no place for the file either; a zero byte in the command
        reason = told(getattr(error, "strerror", None) or str(error))
        raise EditorProblem(tr("The editor {name} failed: {reason}", name=command[0], reason=reason)) from error
    if status != 0:
        raise EditorProblem(tr("The editor {name} ended with status {status}", name=command[0], status=status))
    return edited.removesuffix("\n").removesuffix("\r")


@contextmanager
def _unstopped() -> Iterator[None]:
    """Leave Ctrl+C and Ctrl+\\ to the editor: the terminal sends them to both, and they would end this program.

    They are caught and not ignored, as what is ignored here would be ignored by the editor, too.
    """
    names = [getattr(signal, name) for name in ("SIGINT", "SIGQUIT") if hasattr(signal, name)]
    before = {name: signal.signal(name, lambda *_: None) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
