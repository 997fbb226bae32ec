"""``chatglm-slim``: one module a command, each a thin face over a plain function.

This is the boundary where an error becomes one sentence on stderr and an exit status: 0 for success,
1 for an error, 2 for wrong usage, 130 for Ctrl-C, 141 for a reader that went away. A command that sets
``has_json_errors`` says it as one JSON object under ``--json``. Commands import what they need when they
run, so that ``--help`` is instant.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from chatglm_slim_llm.errors import ChatGLMSlimError, ConfigError

ERROR, USAGE, INTERRUPTED, CLOSED_PIPE = 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        argv: the command's words; without it, those of this process, whose signals are then ours to handle.
    """
    interrupt = threading.Event()
    args = argparse.Namespace()
    if argv is None:
        _open_what_is_closed()
        _handle_signals(interrupt)
        gc.set_threshold(10_000)  # what torch and transformers make while they are imported is no garbage
    try:
        return _run(argv, args)
    except SystemExit:
        raise
    except BaseException as error:
        # Libraries turn a KeyboardInterrupt that hits them in the middle of an import into errors of their own.
        if interrupt.is_set() or isinstance(error, KeyboardInterrupt):
            _say("interrupted", "interrupted", args)
            return INTERRUPTED
        return _explain(error, args)
    finally:
        if argv is None:
            _end_soon()


def _run(argv: Sequence[str] | None, args: argparse.Namespace) -> int:
    from chatglm_slim_llm.cli.parser import build_parser

    if argv is None:
        _keep_stdout()
    _speak_utf8()
    try:
        build_parser().parse_args(argv, args)
    except SystemExit:  # help or the version was printed
        sys.stdout.flush()
        raise
    status: int = args.run(args)
    sys.stdout.flush()  # a full disk or a closed pipe shows here, not after the status is decided
    return status


def _explain(error: BaseException, args: argparse.Namespace) -> int:
    """One sentence and a status for what a user can do something about; anything else is our mistake and is raised."""
    unwritten = _drop_unwritten()
    if isinstance(error, BrokenPipeError):
        return CLOSED_PIPE
    if not isinstance(error, (ChatGLMSlimError, OSError)):
        raise error
    sentence = str(error)
    if unwritten is not None and isinstance(error, OSError) and error.errno == unwritten.errno:
        sentence = f"the output cannot be written ({unwritten.strerror}); make room, or write it elsewhere"
    _say(f"error: {sentence}", sentence, args, kind=type(error).__name__)
    return USAGE if isinstance(error, ConfigError) and error.source == "argument" else ERROR


def _drop_unwritten() -> OSError | None:
    """What stdout does not take is let go, and why: Python tries once more when it ends, which must not fail again."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def _say(line: str, sentence: str, args: argparse.Namespace, kind: str | None = None) -> None:
    """Say what went wrong, for people or for a script."""
    from chatglm_slim_llm.cli.documents import printable

    if getattr(args, "has_json_errors", False) and getattr(args, "json", False):
        line = json.dumps({"error": sentence, "kind": kind}, ensure_ascii=False)
    print(printable(line), file=sys.stderr)  # an error quotes names that others chose


def _handle_signals(interrupt: threading.Event) -> None:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)  # the ordinary way out, so that half-written files are removed

    def break_off(signum: int, frame: FrameType | None) -> None:
        interrupt.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell told us to ignore it
        signal.signal(signal.SIGINT, break_off)


def _end_soon() -> None:
    """The process ends now: no more interrupts, and no second spent on collecting torch's modules as garbage."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()


def _open_what_is_closed() -> None:
    """What a shell closed (``>&-``) goes nowhere: a file that is opened later must not get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            setattr(sys, name, os.fdopen(nowhere, "w" if number else "r", encoding="utf-8"))


def _keep_stdout() -> None:
    """Standard output is for us: what C code, or a program that a plugin starts, writes to file 1 goes to stderr."""
    if sys.stdout is not None and sys.stderr is not None:
        ours = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)
        sys.stdout = sys.__stdout__ = ours  # type: ignore[misc]  # whose size is that of the terminal
        os.dup2(2, 1)


def _speak_utf8() -> None:
    """Files and pipes get UTF-8; a terminal keeps its encoding and shows '?' for what it lacks."""
    if sys.stdout.isatty():
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a TextIOWrapper at the boundary
    else:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
