"""``chatglm-slim slim SRC DST``: drop the 20,000 image tokens of a full checkpoint."""

from __future__ import annotations

import argparse

from chatglm_slim_llm.checkpoint.pull import resolve_folder
from chatglm_slim_llm.cli.converted import add_paths, convert


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``slim`` to the command line."""
    parser = commands.add_parser(
        "slim",
        help="drop the image tokens of a full ChatGLM-6B checkpoint",
        description="Turn a full ChatGLM-6B checkpoint (150,528 tokens) into a slim one (130,528): the first 20,000 "
        "rows of the embedding and the head go, nothing else changes, text gives the same numbers.",
    )
    add_paths(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the slim checkpoint and say what became of it."""
    source = resolve_folder(args.source)  # before torch is imported, which takes seconds
    from chatglm_slim_llm.checkpoint import slim

    return convert(args, source, slim)
