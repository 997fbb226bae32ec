"""``chatglm-slim search``: the passages of a knowledge base that answer a question best."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from chatglm_slim_llm.cli.chat import joined_words
from chatglm_slim_llm.cli.documents import add_finder_options, opened_finder, passage_json, passage_text
from chatglm_slim_llm.errors import ConfigError


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``search`` to the command line."""
    parser = commands.add_parser(
        "search",
        help="find passages in your documents",
        description="Find the passages of indexed documents that answer a question best, by words and by meaning.",
    )
    parser.add_argument("query", nargs="+", metavar="QUERY", help="a question or some words, in any language")
    add_finder_options(parser)
    parser.add_argument("-k", type=int, default=4, metavar="N", help="how many passages at most (default: %(default)s)")
    parser.add_argument(
        "--mode",
        choices=("hybrid", "keyword", "vector"),
        help="in a knowledge base: by words, by meaning (vector), or by both (default: hybrid)",
    )
    parser.add_argument("--json", action="store_true", help="print the passages as one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is found, the best first."""
    query = joined_words(args.query)
    if not query:
        raise ConfigError("there is nothing to search for; give a question or some words", key="query")
    if args.retriever and args.mode:
        raise ConfigError("--mode is for knowledge bases; a retriever of a plugin searches its own way", key="mode")
    how: dict[str, Any] = {} if args.retriever else {"mode": args.mode or "hybrid"}
    with opened_finder(args) as finder:
        found = finder.search(query, args.k, **how)
    if args.json:
        passages = [passage_json(passage) for passage in found]
        print(json.dumps({"query": query, **how, "passages": passages}, ensure_ascii=False))
        return 0
    for number, passage in enumerate(found, 1):
        print("\n" * (number > 1) + passage_text(f"{number}. {passage.score:.2f} ", passage))
    if not found:
        print("nothing was found", file=sys.stderr)
    return 0
