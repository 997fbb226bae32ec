"""``chatglm-slim chat``: one question, one answer, streamed to stdout as it is made."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.cli.model import add_model_options, bring_model, demo_notice
from chatglm_slim_llm.cli.progress import ProgressLine
from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import ConfigError

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessageChunk

    from chatglm_slim_llm import ChatGLMSlim

_USAGE = (
    "there is no message: give one (chatglm-slim chat 你好) or pipe text in (echo 你好 | chatglm-slim chat); "
    "for a conversation run chatglm-tui"
)
_SAMPLING = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop")


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``chat`` to the command line."""
    parser = commands.add_parser(
        "chat",
        help="answer one message and end",
        description="Answer one message: the arguments, or the text on standard input, or both with a blank line "
        "between them. For a conversation, run chatglm-tui.",
        epilog="In a script whose standard input stays open, add </dev/null: piped text is read to its end.",
    )
    parser.add_argument("message", nargs="*", metavar="MESSAGE", help="what to say; several words are joined")
    parser.add_argument("--system", metavar="TEXT", help="what the model should know or be, before the message")
    parser.add_argument("--json", action="store_true", help="print the whole reply as one JSON object when it is done")
    add_model_options(parser)
    pick = parser.add_argument_group("sampling")
    pick.add_argument("--temperature", type=float, metavar="T", help="0 is greedy (default: 0.95)")
    pick.add_argument("--top-p", type=float, metavar="P", help="likeliest tokens up to this sum (default: 0.7)")
    pick.add_argument("--top-k", type=int, metavar="K", help="sample from so many tokens; 0 is all (default: 50)")
    pick.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of the reply")
    pick.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same reply")
    pick.add_argument("--stop", action="append", metavar="TEXT", help="end the reply before this text; may be repeated")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer the message on the command line and on stdin."""
    prompt = read_prompt(args.message)
    options = LoadOptions.resolve(args.model, args.quantization, args.device)
    bring_model(options.model, is_agreed=args.yes)
    llm = _build(args, options)
    with ProgressLine() as progress:
        llm.load(progress)
    if llm.is_demo:
        print(demo_notice("chat"), file=sys.stderr)
    messages = [("system", args.system)] if args.system else []
    chunks = llm.stream([*messages, ("human", prompt)])
    return _print_json(chunks) if args.json else _print_text(chunks)


def read_prompt(words: list[str], usage: str = _USAGE) -> str:
    """The arguments, then a blank line, then what is piped in; either may be absent.

    Args:
        words: the arguments.
        usage: what to do if there is neither.

    Raises:
        ConfigError: there is no text at all, or it is not UTF-8.
    """
    prompt = "\n\n".join(part for part in (joined_words(words), _read_stdin()) if part)
    if not prompt:
        raise ConfigError(usage, key="message")
    return prompt


def joined_words(words: list[str]) -> str:
    """The arguments as one text.

    Raises:
        ConfigError: it is not UTF-8.
    """
    argument = " ".join(words).strip()
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        raise ConfigError("the message is not UTF-8 text; check the terminal's encoding", key="message") from error
    return argument


def _read_stdin() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    piped = sys.stdin.buffer.read()
    try:
        return piped.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"standard input is not UTF-8 text (byte {piped[error.start]:#04x} at position {error.start}); "
            "convert it first, for example with: iconv -f GB18030 -t UTF-8",
            key="message",
            source="stdin",
        ) from error


def _build(args: argparse.Namespace, options: LoadOptions) -> ChatGLMSlim:
    from chatglm_slim_llm import ChatGLMSlim

    given = {name: value for name in _SAMPLING if (value := getattr(args, name)) is not None}
    return ChatGLMSlim(model=options.model, quantization=options.quantization, device=options.device, **given)


def _print_text(chunks: Iterator[BaseMessageChunk]) -> int:
    """Print the pieces as they come; whatever happens, the shell's prompt starts on a line of its own."""
    ends_line = True
    finish_reason = None
    try:
        for chunk in chunks:
            if text := str(chunk.content):
                ends_line = text.endswith("\n")  # before printing: Ctrl-C may come right after it
                print(text, end="", flush=True)
            finish_reason = chunk.response_metadata.get("finish_reason", finish_reason)
    finally:
        if not ends_line:
            print(flush=True)
    if finish_reason == "length":
        print("(cut off: the limit of tokens was reached)", file=sys.stderr)
    return 0


def _print_json(chunks: Iterator[BaseMessageChunk]) -> int:
    text = ""
    usage: dict[str, Any] = {}
    details: dict[str, Any] = {}
    for chunk in chunks:
        text += str(chunk.content)
        usage = dict(getattr(chunk, "usage_metadata", None) or usage)
        details |= chunk.response_metadata
    print(json.dumps({"text": text, **details, "usage": usage}, ensure_ascii=False))
    return 0
