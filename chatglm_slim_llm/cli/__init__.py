"""``chatglm-slim``: one module a command, each a thin face over a plain function.

This is the boundary where an error becomes one sentence on stderr and an exit status: 0 for success,
1 for an error, 2 for wrong usage, 130 for Ctrl-C, 141 for a reader that went away. Commands import
what they need when they run, so that ``--help`` is instant.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from chatglm_slim_llm.errors import ChatGLMSlimError, ConfigError

ERROR, USAGE, INTERRUPTED, CLOSED_PIPE = 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        return _run(argv)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more when it ends; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE if error.source == "argument" else ERROR
    except (ChatGLMSlimError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return ERROR


def _run(argv: Sequence[str] | None) -> int:
    signal.signal(signal.SIGTERM, _stop)
    from chatglm_slim_llm.cli.parser import build_parser

    _speak_utf8()
    args = build_parser().parse_args(argv)
    status: int = args.run(args)
    sys.stdout.flush()  # a full disk or a closed pipe shows here, not after the status is decided
    return status


def _stop(signum: int, frame: FrameType | None) -> None:
    """Leave through the ordinary way out, so that half-written files are removed."""
    raise SystemExit(128 + signum)


def _speak_utf8() -> None:
    """Files and pipes get UTF-8; a terminal keeps its encoding and shows '?' for what it lacks."""
    if sys.stdout.isatty():
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a TextIOWrapper at the boundary
    else:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
