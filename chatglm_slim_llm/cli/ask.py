"""``chatglm-slim ask``: an answer from your documents, streamed, with the sources that it cites."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.cli.chat import read_prompt
from chatglm_slim_llm.cli.documents import (
    add_finder_options,
    opened_finder,
    passage_json,
    passage_text,
    place_json,
    printable,
    where,
)
from chatglm_slim_llm.cli.model import add_model_options, bring_model, demo_notice, options_of
from chatglm_slim_llm.cli.progress import ProgressLine
from chatglm_slim_llm.config import LoadOptions

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from chatglm_slim_llm.retrieval.citations import Answer

_USAGE = (
    'there is no question: give one (chatglm-slim ask "Where is the key?") '
    'or pipe it in (echo "Where is the key?" | chatglm-slim ask)'
)


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``ask`` to the command line."""
    parser = commands.add_parser(
        "ask",
        help="answer a question from your documents, with sources",
        description="Answer a question from indexed documents, with the passages that the answer cites; or say that "
        "they do not tell. The question is the arguments, or the text on standard input, or both.",
        epilog="In a script whose standard input stays open, add </dev/null: piped text is read to its end.",
    )
    parser.add_argument("question", nargs="*", metavar="QUESTION", help="what to ask; several words are joined")
    add_finder_options(parser)
    parser.add_argument("-k", type=int, metavar="N", help="how many passages to look for (default: 8)")
    parser.add_argument("--show-passages", action="store_true", help="print all that the model was given to read")
    parser.add_argument("--json", action="store_true", help="print the whole answer as one JSON object when it is done")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Find passages, and answer from them."""
    question = read_prompt(args.question, _USAGE)
    options = options_of(args)
    with opened_finder(args) as finder:  # said before a model is downloaded or loaded
        from chatglm_slim_llm.retrieval.chains import AnswerChain, options_for

        bring_model(options, is_agreed=args.yes)
        llm = _loaded(options)
        wanted = options_for(llm) if args.k is None else replace(options_for(llm), k=args.k)
        pieces = AnswerChain(finder, llm, wanted).stream(question)
        if args.json:
            print(json.dumps(_as_json(_sum(pieces)), ensure_ascii=False))
            return 0
        answer = _print_text(pieces)
    _print_sources(answer)
    if args.show_passages:
        _print_passages(answer)
    return 0


def _loaded(options: LoadOptions) -> BaseChatModel:
    from chatglm_slim_llm import ChatGLMSlim
    from chatglm_slim_llm.hosting.model_loading import make_llm

    with ProgressLine() as progress:
        llm = make_llm(options, progress)
        if isinstance(llm, ChatGLMSlim):
            llm = llm.model_copy(update={"temperature": 0})  # what documents say is not a matter of chance: greedy
            llm.load(progress)
            if llm.is_demo:
                print(demo_notice("ask"), file=sys.stderr)
    return llm


def _sum(pieces: Iterable[Answer]) -> Answer:
    first, *others = pieces
    return sum(others, first)


def _print_text(pieces: Iterable[Answer]) -> Answer:
    """Print the text as it comes; whatever happens, the shell's prompt starts on a line of its own."""
    seen: list[Answer] = []
    ends_line = True
    try:
        for piece in pieces:
            seen.append(piece)
            if text := printable(piece.text):
                ends_line = text.endswith("\n")  # before printing: Ctrl-C may come right after it
                print(text, end="", flush=True)
    finally:
        if not ends_line:
            print(flush=True)
    return _sum(seen)


def _print_sources(answer: Answer) -> None:
    if answer.cited:
        print("\nSources:")
        for each in answer.cited:
            print(f"[{each.number}] {where(each.passage)}")
    elif answer.is_found:
        print("(the answer cites no passage; --show-passages shows what the model was given)", file=sys.stderr)
    if answer.unknown:
        numbers = ", ".join(f"[{number}]" for number in answer.unknown)
        print(f"(the answer cites {numbers}, but there is no such passage)", file=sys.stderr)


def _print_passages(answer: Answer) -> None:
    print("\nPassages:" if answer.passages_in_prompt else "\nNo passage was good enough.")
    for each in answer.passages_in_prompt:
        print(f"\n{passage_text(f'[{each.number}]', each.passage)}")


def _as_json(answer: Answer) -> dict[str, Any]:
    return {
        "answer": answer.text,
        "is_found": answer.is_found,
        "citations": [
            {"number": each.number, **place_json(each.passage), "quote": each.passage.text} for each in answer.cited
        ],
        "unknown_numbers": list(answer.unknown),
        "passages": [{"number": each.number, **passage_json(each.passage)} for each in answer.passages_in_prompt],
    }
