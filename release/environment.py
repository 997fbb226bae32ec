"""An empty environment, as a user's machine has it: nothing of the checkout can be seen from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class SmokeError(Exception):
    """Something does not work outside the checkout; the message has what it said."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment, a folder to work in, and folders for the program's files."""

    folder: Path
    """Holds it all, and is the working folder."""
    wheel: Path
    version: str
    """What the wheel's name says."""

    @classmethod
    def create(cls, folder: Path, wheel: Path, version: str) -> Environment:
        """Make the virtual environment; nothing is installed in it yet."""
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        (folder / "home").mkdir()
        return cls(folder, wheel, version)

    @property
    def environ(self) -> dict[str, str]:
        """All that programs see of the outer environment."""
        home = self.folder / "home"
        return {
            "PATH": os.pathsep.join([str(self.folder / "venv" / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(home),
            "CHATGLM_SLIM_HOME": str(home / "chatglm-slim"),
            "HF_HOME": str(home / "hub"),
            "HF_HUB_OFFLINE": "1",
            "LLM_USER_PATH": str(home / "llm"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
        }

    def program(self, name: str) -> str:
        """The path of an installed command."""
        return str(self.folder / "venv" / "bin" / name)

    def install(self, *requirements: str | Path) -> str:
        """Install with pip, which keeps the outer settings, for it has to know where packages come from."""
        outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        options = ["--quiet", "--disable-pip-version-check", "--no-compile"]
        self._run([self.program("python"), "-m", "pip", "install", *options, *map(str, requirements)], outer, 600)
        return "installed"

    def run(self, name: str, *arguments: str, timeout_s: float = 120) -> str:
        """What an installed command prints.

        Raises:
            SmokeError: it failed, or took too long.
        """
        return self._run([self.program(name), *arguments], self.environ, timeout_s)

    def json(self, name: str, *arguments: str) -> Any:
        """What an installed command prints as JSON."""
        return json.loads(self.run(name, *arguments))

    def python(self, code: str) -> str:
        """What a few lines of Python print."""
        return self.run("python", "-c", code)

    def _run(self, command: Sequence[str], environ: dict[str, str], timeout_s: float) -> str:
        shown = " ".join([Path(command[0]).name, *command[1:]])
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=environ, input="", capture_output=True, text=True, timeout=timeout_s
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SmokeError(f"{shown} took longer than {timeout_s:.0f} s") from error
        if done.returncode:
            raise SmokeError(f"{shown} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout


def want(holds: object, message: str) -> None:
    """Raise SmokeError with this message unless something holds."""
    if not holds:
        raise SmokeError(message)
