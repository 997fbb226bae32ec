"""``chatglm-slim quantize SRC DST --level int8|int4``: write a checkpoint with fewer bits a weight."""

from __future__ import annotations

import argparse
from functools import partial

from chatglm_slim_llm.checkpoint.pull import resolve_folder
from chatglm_slim_llm.cli.converted import add_paths, convert
from chatglm_slim_llm.config import QUANTIZATION_BITS
from chatglm_slim_llm.errors import ConfigError

_LEVELS = [level for level, bits in QUANTIZATION_BITS.items() if bits]
_GROUPS = {"row": 0, "128": 128, "32": 32}


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``quantize`` to the command line."""
    parser = commands.add_parser(
        "quantize",
        help="write a checkpoint with fewer bits a weight",
        description="Write a quantised copy of a checkpoint; it loads without the full one.",
    )
    add_paths(parser)
    parser.add_argument("--level", required=True, choices=_LEVELS, help="how the linear layers are stored")
    parser.add_argument(
        "--group",
        choices=_GROUPS,
        default="row",
        help="columns that share a scale at int4: row is the original's format; 128 and 32 keep more of the model",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the quantised checkpoint and say what became of it."""
    if args.level == "int8" and args.group != "row":
        raise ConfigError(f"--group {args.group} is for --level int4; int8 has one scale a row", key="group")
    source = resolve_folder(args.source)  # before torch is imported, which takes seconds
    from chatglm_slim_llm.checkpoint import quantize_checkpoint

    return convert(
        args,
        source,
        partial(quantize_checkpoint, bits=QUANTIZATION_BITS[args.level], group_size=_GROUPS[args.group]),
        level=args.level,
    )
