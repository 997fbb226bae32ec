"""``--plugins FILE`` and ``--no-plugins``: the same words for every program of ours."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VARIABLE = "CHATGLM_SLIM_PLUGINS"
"""Names the ``plugins.toml`` in use."""


def add_words(parser: argparse.ArgumentParser) -> None:
    """Add both options. They stand in the environment from then on, so that child processes follow them, too."""
    which = parser.add_mutually_exclusive_group()
    use = "use this plugins.toml instead of the folder's and your own"
    which.add_argument("--plugins", metavar="FILE", action=_Use, help=use)
    which.add_argument("--no-plugins", nargs=0, action=_Leave, help="start safe: only what we ship, as we ship it")


class _Use(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: str | Sequence[Any] | None, option: Any = None
    ) -> None:
        file = Path(str(values)).expanduser()
        if not file.is_file():
            parser.error(f"--plugins: {file} is not a file; give the path of a plugins.toml")
        os.environ[VARIABLE] = str(file.absolute())


class _Leave(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: str | Sequence[Any] | None, option: Any = None
    ) -> None:
        os.environ[VARIABLE] = os.devnull
