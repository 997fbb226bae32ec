"""Yes or no from the person at the terminal."""

from __future__ import annotations

import sys


def can_ask() -> bool:
    """Whether somebody is there to see a question and to answer it."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def asks_yes(question: str) -> bool:
    """Ask on stderr; anything but a yes is a no."""
    print(question, end="", file=sys.stderr, flush=True)  # input() would print to stdout, which may be a file
    return sys.stdin.readline().strip().lower() in ("y", "yes", "是")
