"""``chatglm-slim chat``: one question, one answer, streamed to stdout as it is made."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.cli.progress import ProgressLine, size_text
from chatglm_slim_llm.config import DEFAULT_HUB_ID, LoadOptions
from chatglm_slim_llm.errors import CheckpointNotFoundError, ConfigError

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessageChunk

    from chatglm_slim_llm import ChatGLMSlim

_DEMO_NOTICE = (
    "This is the small demo model that ships with the program. "
    f"For the 6B model: chatglm-slim pull, then chatglm-slim chat --model {DEFAULT_HUB_ID} …"
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
    parser.add_argument("--yes", action="store_true", help="download a model that is not on this machine, unasked")
    load = parser.add_argument_group("model")
    load.add_argument("--model", help="'demo', a checkpoint folder, or a hub id (default: $CHATGLM_SLIM_MODEL or demo)")
    load.add_argument("--quantization", metavar="LEVEL", help="fp16, int8 or int4 (default: fp16)")
    load.add_argument("--device", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
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
    _bring_model(options.model, is_agreed=args.yes)
    llm = _build(args, options)
    with ProgressLine() as progress:
        llm.load(progress)
    if llm.is_demo:
        print(_DEMO_NOTICE, file=sys.stderr)
    messages = [("system", args.system)] if args.system else []
    chunks = llm.stream([*messages, ("human", prompt)])
    return _print_json(chunks) if args.json else _print_text(chunks)


def read_prompt(words: list[str]) -> str:
    """The arguments, then a blank line, then what is piped in; either may be absent.

    Raises:
        ConfigError: there is no text at all, or it is not UTF-8.
    """
    argument = " ".join(words).strip()
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        raise ConfigError("the message is not UTF-8 text; check the terminal's encoding", key="message") from error
    prompt = "\n\n".join(part for part in (argument, _read_stdin()) if part)
    if not prompt:
        raise ConfigError(
            "there is no message: give one (chatglm-slim chat 你好) or pipe text in (echo 你好 | chatglm-slim chat); "
            "for a conversation run chatglm-tui",
            key="message",
        )
    return prompt


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


def _bring_model(model: str, *, is_agreed: bool) -> None:
    """Download a hub id that is not on this machine, if the user wants that."""
    from chatglm_slim_llm.checkpoint.pull import find_folder, is_hub_id, resolve_folder

    if find_folder(model) is not None:
        return
    if not is_hub_id(model):
        resolve_folder(model)  # raises, before seconds are spent on importing torch
    from chatglm_slim_llm.checkpoint.hub import plan_pull
    from chatglm_slim_llm.cli.pull import fetch_with_progress

    can_ask = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    if not is_agreed and not can_ask:
        raise CheckpointNotFoundError(
            f"{model} is not on this machine; run 'chatglm-slim pull {model}' first, or add --yes to download it now"
        )
    plan = plan_pull(model)
    if not is_agreed and not _asks_yes(
        f"{model} is not on this machine. Download {size_text(plan.missing_bytes)} to {plan.folder}? [y/N] "
    ):
        raise CheckpointNotFoundError(f"{model} was not downloaded; without --model the bundled demo model answers")
    fetch_with_progress(plan)


def _asks_yes(question: str) -> bool:
    print(question, end="", file=sys.stderr, flush=True)  # input() would print to stdout, which may be a file
    return sys.stdin.readline().strip().lower() in ("y", "yes", "是")


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
