"""``chatglm-slim completion bash|zsh|fish``: a script that lets the shell complete this command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from chatglm_slim_llm.config import KVCacheDtype, Quantization

_SHELLS = ("bash", "zsh", "fish")
_FILES = {"FILE", "PATH"}
_FOLDERS = {"FOLDER", "SRC", "DST"}
_WORDS = {
    "quantization": get_args(Quantization),
    "device": ("auto", "cpu", "cuda", "mps"),
    "kv_cache_dtype": get_args(KVCacheDtype),
}


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``completion`` to the command line."""
    parser = commands.add_parser(
        "completion",
        help="print a script for the shell that completes commands and options",
        description="Print a script that lets the shell complete commands, options and their values.",
        epilog='In ~/.bashrc or ~/.zshrc: eval "$(chatglm-slim completion bash)", or zsh. '
        "For fish: chatglm-slim completion fish > ~/.config/fish/completions/chatglm-slim.fish",
    )
    parser.add_argument("shell", choices=_SHELLS, metavar="SHELL", help="bash, zsh or fish")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script, made from the parsers as they are."""
    import shtab

    from chatglm_slim_llm.cli.parser import build_parser

    parser = build_parser()
    for action in _actions(parser):
        if action.dest in _WORDS:
            action.complete = shtab.cmd(f"echo {' '.join(_WORDS[action.dest])}")  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS or action.dest == "model":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.metavar in _FILES or action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, args.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for name in action.choices:
                yield from _actions(action.choices[name])
