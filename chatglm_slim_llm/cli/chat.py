"""``chatglm-slim chat``: one question, one answer, streamed to stdout as it is made and kept in the history."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.cli.documents import printable
from chatglm_slim_llm.cli.model import add_model_options, bring_model, demo_notice, options_of
from chatglm_slim_llm.cli.progress import ProgressLine
from chatglm_slim_llm.config import DEMO_MODEL, GenerationOptions
from chatglm_slim_llm.errors import ConfigError

if TYPE_CHECKING:
    from chatglm_slim_llm.cli.recording import Recording
    from chatglm_slim_llm.cli.tool_use import ToolDesk
    from chatglm_slim_llm.hosting.assistant import ModelFacts, Piece

LAST = "last"

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
        "between them. Both are kept in the history of chatglm-tui. For a conversation, run chatglm-tui.",
        epilog="In a script whose standard input stays open, add </dev/null: piped text is read to its end.",
    )
    parser.add_argument("message", nargs="*", metavar="MESSAGE", help="what to say; several words are joined")
    parser.add_argument("--system", metavar="TEXT", help="what the model should know or be, before the message")
    parser.add_argument(
        "-c", "--continue", dest="past", nargs="?", action=_Continue, metavar="ID",
        help="go on with the last conversation of the history, or with that one",
    )  # fmt: skip
    parser.add_argument(
        "--tool", action="append", default=[], metavar="NAME", help="let the model use this plugin's tools; repeatable"
    )
    parser.add_argument("--allow-tools", action="store_true", help="do not ask before a tool that writes or runs")
    parser.add_argument("--no-history", action="store_true", help="do not keep this in the history")
    parser.add_argument("--json", action="store_true", help="print the whole reply as one JSON object when it is done")
    add_model_options(parser)
    pick = parser.add_argument_group("sampling")
    pick.add_argument("--temperature", type=float, metavar="T", help="0 is greedy (default: 0.95)")
    pick.add_argument("--top-p", type=float, metavar="P", help="likeliest tokens up to this sum (default: 0.7)")
    pick.add_argument("--top-k", type=int, metavar="K", help="sample from so many tokens; 0 is all (default: 50)")
    pick.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of the reply")
    pick.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same reply")
    pick.add_argument("--stop", action="append", metavar="TEXT", help="end the reply before this text; may be repeated")
    parser.set_defaults(run=run, first_words=[], has_json_errors=True)


class _Continue(argparse.Action):
    """``--continue`` may stand before the message: a word behind it that is no number belongs to the message."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if values is None or values == LAST:
            namespace.past = LAST
        elif isinstance(values, str) and values.isascii() and values.isdecimal():
            namespace.past = int(values)
        elif namespace.message:
            parser.error(f"{values!r} is no conversation's number; 'chatglm-slim history list' shows them")
        else:
            namespace.past, namespace.first_words = LAST, [values]


def run(args: argparse.Namespace) -> int:
    """Answer the message on the command line and on stdin."""
    prompt = read_prompt([*args.first_words, *args.message])
    options = options_of(args)
    given = {name: value for name in _SAMPLING if (value := getattr(args, name)) is not None}
    GenerationOptions(**given | {"stop": tuple(given.get("stop", ()))})  # raises before seconds are spent on loading
    from chatglm_slim_llm.cli.past import past_of
    from chatglm_slim_llm.cli.tool_use import ToolDesk, check_tools
    from chatglm_slim_llm.storage import ConversationStore, history_path

    check_tools(args.tool)
    with ConversationStore.at(history_path()) as store:
        past = past_of(store, args.past, system=args.system, tools=args.tool)
        bring_model(options, is_agreed=args.yes)
        from chatglm_slim_llm.hosting.local import LocalAssistant

        assistant = LocalAssistant(options)
        with ProgressLine() as progress:
            facts = assistant.load(progress)
        if options.model == DEMO_MODEL and not args.json:
            print(demo_notice("chat"), file=sys.stderr)
        from chatglm_slim_llm.cli.recording import recorded

        kept_in = None if args.no_history else store
        desk = ToolDesk(assistant.permit, allows_all=args.allow_tools)
        pieces = _seen_by(desk, assistant.stream(past.request(prompt, given)))
        with recorded(kept_in, past, prompt) as recording, closing(pieces):
            return _print_json(recording, pieces, facts) if args.json else _print_text(recording, pieces)


def _seen_by(desk: ToolDesk, pieces: Generator[Piece]) -> Generator[Piece]:
    with closing(pieces):
        for piece in pieces:
            desk.see(piece)
            yield piece


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


def _print_text(recording: Recording, pieces: Iterable[Piece]) -> int:
    """Print the pieces as they come; whatever happens, the shell's prompt starts on a line of its own."""
    ends_line = True
    is_terminal = sys.stdout.isatty()
    last: Piece | None = None
    try:
        for piece in pieces:
            recording.push(piece)
            if piece.text:
                ends_line = piece.text.endswith("\n")  # before printing: Ctrl-C may come right after it
                print(printable(piece.text) if is_terminal else piece.text, end="", flush=True)
            last = piece
    finally:
        if not ends_line:
            print(flush=True)
    if last is not None:
        _print_notes(last)
    return 0


def _print_notes(last: Piece) -> None:
    if last.sources:
        from chatglm_slim_llm.cli.past import source_line

        print("\nSources:")
        for source in last.sources:
            print(source_line(source))
    if last.finish_reason == "length":
        print("(cut off: the limit of tokens was reached)", file=sys.stderr)
    if last.dropped_rounds:
        rounds = "round" if last.dropped_rounds == 1 else f"{last.dropped_rounds:,} rounds"
        print(f"(the oldest {rounds} did not fit before the model)", file=sys.stderr)


def _print_json(recording: Recording, pieces: Iterable[Piece], facts: ModelFacts) -> int:
    for piece in pieces:
        recording.push(piece)
    last, figures = recording.last, recording.last.figures
    read, written = (figures.prompt_tokens, figures.output_tokens) if figures else (None, None)
    reply: dict[str, Any] = {
        "text": recording.text,
        "finish_reason": last.finish_reason,
        "usage": {"input_tokens": read, "output_tokens": written, "total_tokens": (read or 0) + (written or 0)},
        "figures": None if figures is None else asdict(figures),
        "dropped_rounds": last.dropped_rounds,
        "sources": [asdict(source) for source in last.sources],
        "tools": [asdict(use) for use in recording.tool_uses],
        "conversation_id": recording.conversation_id,
        "model_name": facts.name,
        "quantization": facts.quantization,
        "device": facts.device,
    }
    print(json.dumps(reply, ensure_ascii=False), flush=True)
    return 0
