"""``chatglm-slim history list|show|search|export|import|backup``: the conversations of the terminal, for a shell."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.cli.chat import joined_words
from chatglm_slim_llm.cli.documents import printable
from chatglm_slim_llm.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from chatglm_slim_llm.storage import Conversation, ConversationStore, Hit, Shelf
    from chatglm_slim_llm.storage.exchange import Format

_SHELVES = ("shown", "archived", "trash", "all")
_FORMATS = ("markdown", "json", "html")


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``history`` and its own commands to the command line."""
    parser = commands.add_parser(
        "history",
        help="list, read, search, export and import conversations",
        description="Look into the conversations that chatglm-tui and 'chatglm-slim chat' keep.",
    )
    own = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_list(own)
    _add_show(own)
    _add_search(own)
    _add_export(own)
    _add_import(own)
    _add_backup(own)


def _add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "list",
        help="list the conversations",
        description="List the conversations: the pinned ones, then those that were used last.",
    )
    _add_shelf(parser)
    parser.add_argument("--folder", metavar="NAME", help="only those in this folder")
    parser.add_argument("-n", "--limit", type=int, metavar="N", help="at most so many")
    parser.add_argument("--json", action="store_true", help="print them as one JSON object")
    parser.set_defaults(run=run_list, has_json_errors=True)


def _add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "show", help="print a conversation", description="Print a conversation, as Markdown unless told otherwise."
    )
    parser.add_argument("id", nargs="?", type=int, metavar="ID", help="its number (default: the last one)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--format", choices=_FORMATS, default="markdown", help="(default: %(default)s)")
    how.add_argument("--json", action="store_true", help="print it whole, with all its branches, as one JSON object")
    parser.set_defaults(run=run_show, has_json_errors=True)


def _add_search(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "search",
        help="find conversations by their words",
        description="Find conversations by the words in their titles and messages, the best first.",
    )
    parser.add_argument("query", nargs="+", metavar="QUERY", help="words, or the beginnings of words, in any language")
    _add_shelf(parser)
    parser.add_argument("-n", "--limit", type=int, default=20, metavar="N", help="at most so many (default: 20)")
    parser.add_argument("--json", action="store_true", help="print them as one JSON object")
    parser.set_defaults(run=run_search, has_json_errors=True)


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "export",
        help="write conversations to a file",
        description="Write conversations as Markdown or HTML, to be read, or as JSON, which holds all of them and can "
        "be imported again.",
    )
    parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="numbers of conversations")
    parser.add_argument("--all", action="store_true", help="all of a shelf, instead of some")
    _add_shelf(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to (default: standard output)")
    parser.add_argument("--format", choices=_FORMATS, help="(default: what the file's name says, or markdown)")
    parser.add_argument("--replace", action="store_true", help="replace the file if it is there")
    parser.set_defaults(run=run_export)


def _add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "import",
        help="add conversations from a file",
        description="Add conversations from an export or a backup of this program, from ChatGPT's export (the zip "
        "archive, or the conversations.json in it) or from llm's logs.db. What is there already is not added again.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what to read; it is not changed")
    parser.add_argument("--json", action="store_true", help="print what became of each as one JSON object")
    parser.set_defaults(run=run_import, has_json_errors=True)


def _add_backup(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "backup",
        help="copy the whole history",
        description="Copy the whole history to a file, also while it is in use; 'history import' brings it back.",
    )
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="where to; it must not be there (default: one with the date)"
    )
    parser.add_argument("--json", action="store_true", help="print where it is as one JSON object")
    parser.set_defaults(run=run_backup, has_json_errors=True)


def _add_shelf(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shelf", choices=_SHELVES, default="shown", help="which of them (default: %(default)s)")


# list and search


def run_list(args: argparse.Namespace) -> int:
    """Print the conversations of a shelf."""
    _want_positive(args.limit)
    with _store() as store:
        chats = [chat for chat in _chats(store, args.shelf) if args.folder is None or chat.folder == args.folder]
    chats = chats[: args.limit]
    if args.json:
        print(json.dumps({"conversations": [_as_json(chat) for chat in chats]}, ensure_ascii=False))
        return 0
    if not chats:
        print("there is no conversation", file=sys.stderr)
        return 0
    from chatglm_slim_llm.cli.table import table

    rows = [_row(chat, with_shelf=args.shelf == "all") for chat in chats]
    print(table(("ID", "USED", "PINNED", "FOLDER", "SHELF", "TITLE"), rows, right=(0,)))
    return 0


def _row(chat: Conversation, *, with_shelf: bool) -> list[str]:
    from chatglm_slim_llm.cli.table import one_line

    marks = ["yes" if chat.is_pinned else "", one_line(chat.folder), _shelf_note(chat) if with_shelf else ""]
    return [str(chat.id), _when(chat.updated_at), *marks, one_line(chat.title)]


def run_search(args: argparse.Namespace) -> int:
    """Print what is found, with the words around it."""
    _want_positive(args.limit)
    query = joined_words(args.query)
    if not query:
        raise ConfigError("there is nothing to search for; give some words", key="query")
    with _store() as store:
        hits = store.search(query, shelf=None if args.shelf == "all" else args.shelf, limit=args.limit)
    if args.json:
        print(json.dumps({"query": query, "hits": [_hit_json(hit) for hit in hits]}, ensure_ascii=False))
        return 0
    for hit in hits:
        print(_hit_text(hit))
    if not hits:
        print("nothing was found", file=sys.stderr)
    return 0


def _hit_text(hit: Hit) -> str:
    from chatglm_slim_llm.cli.table import cut, one_line, room

    chat, width = hit.conversation, room()
    first = f"{chat.id:>5}  {_when(chat.updated_at)}  {one_line(chat.title)}"
    if hit.message_id is None:
        return cut(first, width)
    return f"{cut(first, width)}\n       {_marked(hit, None if width is None else width - 7)}"


def _marked(hit: Hit, width: int | None) -> str:
    """The excerpt, its hits in bold where that can be shown."""
    from chatglm_slim_llm.cli.table import cut, has_colours

    text = printable(hit.excerpt).replace("\n", " ").replace("\t", " ")  # as long as before: marks count characters
    shown = cut(text, width)
    if not has_colours() or len(text) != len(hit.excerpt):
        return shown
    kept = len(shown) if shown == text else len(shown) - 1
    for start, end in sorted(hit.marks, reverse=True):
        if start < kept:
            end = min(end, kept)
            shown = f"{shown[:start]}\x1b[1m{shown[start:end]}\x1b[22m{shown[end:]}"
    return shown


def _chats(store: ConversationStore, shelf: str) -> list[Conversation]:
    wanted: Sequence[Shelf] = ("shown", "archived", "trash") if shelf == "all" else (shelf,)  # type: ignore[assignment]
    return [chat for each in wanted for chat in store.conversations(each)]


def _as_json(chat: Conversation) -> dict[str, Any]:
    return {
        "id": chat.id,
        "uid": chat.uid,
        "title": chat.title,
        "created_at": chat.created_at.isoformat(),
        "updated_at": chat.updated_at.isoformat(),
        "folder": chat.folder,
        "is_pinned": chat.is_pinned,
        "shelf": _shelf_note(chat) or "shown",
    }


def _hit_json(hit: Hit) -> dict[str, Any]:
    return {
        **_as_json(hit.conversation),
        "message_id": hit.message_id,
        "excerpt": hit.excerpt,
        "marks": [list(mark) for mark in hit.marks],
    }


def _shelf_note(chat: Conversation) -> str:
    return "trash" if chat.deleted_at is not None else "archived" if chat.archived_at is not None else ""


def _when(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def _want_positive(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}; it must be a positive count", key="limit")


# show, export, import, backup


def run_show(args: argparse.Namespace) -> int:
    """Print one conversation."""
    with _store() as store:
        wanted = args.id if args.id is not None else _last(store)
        _print_export(store, [wanted], "json" if args.json else args.format)
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Write conversations to a file, or to standard output."""
    from chatglm_slim_llm.storage.exchange import write_export

    if bool(args.ids) == args.all:
        raise ConfigError("give either the numbers of conversations, or --all", key="ids")
    with _store() as store:
        ids = [chat.id for chat in _chats(store, args.shelf)] if args.all else list(dict.fromkeys(args.ids))
        if not ids:
            raise StorageError("there is no conversation to export")
        if args.output is None:
            _print_export(store, ids, args.format or "markdown")
            return 0
        path = write_export(store, ids, args.output, args.format, replace=args.replace)
    print(f"{len(ids):,} {'conversation is' if len(ids) == 1 else 'conversations are'} in {path}", file=sys.stderr)
    return 0


def _print_export(store: ConversationStore, ids: Sequence[int], format: Format) -> None:
    from chatglm_slim_llm.storage.exchange import export_to

    for each in ids:
        store.conversation(each)  # raises before half of it is printed
    is_terminal = sys.stdout.isatty()
    export_to(lambda piece: sys.stdout.write(printable(piece) if is_terminal else piece), store, ids, format)


def run_import(args: argparse.Namespace) -> int:
    """Add what is in each file; one that cannot be read does not keep the others from it."""
    from chatglm_slim_llm.cli.importing import import_files

    with _store() as store:
        return import_files(store, args.files, as_json=args.json)


def run_backup(args: argparse.Namespace) -> int:
    """Copy the history."""
    path = args.file or Path(f"chatglm-slim-{datetime.now().strftime('%Y%m%d-%H%M%S')}.db")
    with _store() as store:
        if not store.path.exists():
            raise StorageError(f"there is no history yet ({store.path})")
        path = store.backup(path)
    print(json.dumps({"file": str(path)}, ensure_ascii=False) if args.json else f"the history is copied to {path}")
    return 0


def _last(store: ConversationStore) -> int:
    from chatglm_slim_llm.cli.past import last_of

    return last_of(store).id


def _store() -> ConversationStore:
    from chatglm_slim_llm.storage import ConversationStore, history_path

    return ConversationStore.at(history_path())
