"""The commands of ``chatglm-slim`` and the shape of its command line."""

from __future__ import annotations

import argparse

from chatglm_slim_llm import __version__
from chatglm_slim_llm.cli import (
    ask,
    bench,
    chat,
    completion,
    doctor,
    history,
    index,
    kb,
    mcp,
    plugins,
    pull,
    quantize,
    search,
    slim,
)
from chatglm_slim_llm.plugins.words import add_words

COMMANDS = (chat, history, ask, index, search, kb, mcp, plugins, slim, quantize, pull, bench, doctor, completion)


def build_parser() -> argparse.ArgumentParser:
    """The parser; each command adds its own options and names the function to run."""
    parser = argparse.ArgumentParser(
        prog="chatglm-slim",
        description="ChatGLM-6B-Slim on your own machine. For a conversation in the terminal, run chatglm-tui.",
        epilog="'chatglm-slim COMMAND --help' explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"chatglm-slim {__version__}")
    add_words(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_command(commands)
    return parser
