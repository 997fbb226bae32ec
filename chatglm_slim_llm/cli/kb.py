"""``chatglm-slim kb list|show|sync|remove``: what knowledge bases there are, and the care of them."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.cli import ERROR, INTERRUPTED
from chatglm_slim_llm.cli.asking import asks_yes, can_ask
from chatglm_slim_llm.cli.documents import add_kb_option, check_exists, opened, printable, vectors_made_by
from chatglm_slim_llm.cli.index import add_report_options, print_report, shown, skipped_lines, watched
from chatglm_slim_llm.errors import ChatGLMSlimError, ConfigError, RetrievalError
from chatglm_slim_llm.hosting.amounts import size_text

if TYPE_CHECKING:
    from chatglm_slim_llm.retrieval import KnowledgeBase
    from chatglm_slim_llm.retrieval.sync import SyncReport


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``kb`` and its own commands to the command line."""
    parser = commands.add_parser(
        "kb",
        help="list, show, bring up to date and remove knowledge bases",
        description="Look after the knowledge bases that 'chatglm-slim index' makes.",
    )
    own = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_list(own)
    _add_show(own)
    _add_sync(own)
    _add_remove(own)


def _add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "list the knowledge bases that have a name"
    parser = commands.add_parser("list", help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("--json", action="store_true", help="print them as one JSON object")
    parser.set_defaults(run=run_list)


def _add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "show",
        help="show what is in one",
        description="Show what was added to a knowledge base, how much is in it, and which files could not be read.",
    )
    add_kb_option(parser)
    add_report_options(parser)
    parser.set_defaults(run=run_show)


def _add_sync(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "sync",
        help="follow new, changed and removed files",
        description="Bring a knowledge base up to date with its files; only what changed is read.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--kb", metavar="NAME", help="the knowledge base: a name or a file")
    which.add_argument("--all", action="store_true", help="all that have a name")
    add_report_options(parser)
    parser.set_defaults(run=run_sync)


def _add_remove(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "remove",
        help="take files out of one, or delete it",
        description="Take files and folders out of a knowledge base, or delete it; the files themselves stay.",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="what was added with 'chatglm-slim index'")
    parser.add_argument("--kb", required=True, metavar="NAME", help="the knowledge base: a name or a file")
    parser.add_argument("--everything", action="store_true", help="delete the whole knowledge base")
    parser.add_argument("--yes", action="store_true", help="do not ask before deleting it")
    parser.add_argument("--json", action="store_true", help="print what was removed as one JSON object")
    parser.set_defaults(run=run_remove)


# list


def run_list(args: argparse.Namespace) -> int:
    """Print a line for each knowledge base; one that cannot be read does not hide the others."""
    found = [_summary(name) for name in _names()]
    if args.json:
        print(json.dumps({"knowledge_bases": found}, ensure_ascii=False))
        return 0
    if not found:
        print("there is no knowledge base yet; make one with: chatglm-slim index FOLDER", file=sys.stderr)
        return 0
    print(f"{'files':>8} {'chunks':>9} {'size':>8}  {'last sync':<16}  name")
    for each in found:
        if "error" in each:
            print(f"{printable(each['name'])}: {printable(each['error'])}", file=sys.stderr)
            continue
        print(
            f"{each['files']:>8,} {each['chunks']:>9,} {size_text(each['size_bytes']):>8}  "
            f"{_time_text(each['synced_at']):<16}  {printable(each['name'])}"
        )
    return 0


def _names() -> list[str]:
    from chatglm_slim_llm.retrieval.place import knowledge_base_names

    return knowledge_base_names()


def _summary(name: str) -> dict[str, Any]:
    try:
        with opened(name) as kb:
            counts = kb.counts()
            return {
                "name": name,
                "file": shown(kb.path),
                "files": counts["ready"],
                "skipped": counts["skipped"],
                "chunks": counts["chunks"],
                "size_bytes": _size_bytes(kb.path),
                "synced_at": kb.synced_at,
            }
    except ChatGLMSlimError as error:
        return {"name": name, "error": str(error)}


def _size_bytes(path: Path) -> int:
    return sum(each.stat().st_size for each in (path, Path(f"{path}-wal")) if each.exists())


def _time_text(seconds: float | None) -> str:
    return "never" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


# show


def run_show(args: argparse.Namespace) -> int:
    """Print what is known of one knowledge base."""
    with opened(args.kb) as kb:
        check_exists(args.kb, kb)
        about = _about(args.kb, kb)
    if args.json:
        print(json.dumps(about, ensure_ascii=False))
        return 0
    print(_about_text(about, is_verbose=args.verbose))
    return 0


def _about(name: str, kb: KnowledgeBase) -> dict[str, Any]:
    counts, documents = kb.counts(), kb.documents()
    mark = vectors_made_by(kb)
    return {
        "kb": name,
        "file": shown(kb.path),
        "size_bytes": _size_bytes(kb.path),
        "embedder": None if mark is None else {"name": mark.name, "dimension": mark.dimension},
        "files": counts["ready"],
        "chunks": counts["chunks"],
        "synced_at": kb.synced_at,
        "roots": [{"path": shown(root), "is_there": root.exists()} for root in kb.roots()],
        "skipped": [
            {"path": shown(each.path), "reason": each.reason or "cannot be read"}
            for each in documents
            if each.state == "skipped" and each.path
        ],
    }


def _about_text(about: dict[str, Any], *, is_verbose: bool) -> str:
    from chatglm_slim_llm.retrieval.scanning import SkippedFile

    embedder = about["embedder"]
    lines = [
        f"name          {printable(about['kb'])}",
        f"file          {about['file']}, {size_text(about['size_bytes'])}",
        f"content       {_counted(about['files'], 'file')}, {_counted(about['chunks'], 'chunk')}",
        f"embedder      {embedder['name']}, {embedder['dimension']} numbers a vector"
        if embedder
        else "embedder      none: found by words alone",
        f"last sync     {_time_text(about['synced_at'])}",
        "Added:" if about["roots"] else "Nothing was added.",
        *(f"  {root['path']}{'' if root['is_there'] else ' (not there now)'}" for root in about["roots"]),
    ]
    skipped = [SkippedFile(Path(each["path"]), each["reason"]) for each in about["skipped"]]
    if skipped:
        lines += [f"Could not be read ({len(skipped):,}):", *skipped_lines(skipped, is_verbose=is_verbose)]
    return "\n".join(lines)


# sync


def run_sync(args: argparse.Namespace) -> int:
    """Sync one or all; one that fails does not keep the others from it."""
    if args.kb is not None:
        return INTERRUPTED if _sync(args, args.kb).was_stopped else 0
    status = 0
    for name in _names():
        try:
            if _sync(args, name).was_stopped:
                return INTERRUPTED
        except ChatGLMSlimError as error:
            print(f"error: {printable(name)}: {error}", file=sys.stderr)
            status = ERROR
    return status


def _sync(args: argparse.Namespace, name: str) -> SyncReport:
    with opened(name) as kb:
        check_exists(name, kb)
        with watched() as (progress, stop):
            report = kb.sync(progress=progress, stop=stop)
        print_report(args, name, kb, report)
    return report


# remove


def run_remove(args: argparse.Namespace) -> int:
    """Take paths out, or delete the knowledge base."""
    if bool(args.paths) == args.everything:
        raise ConfigError("give either the paths to take out, or --everything to delete the knowledge base", key="path")
    with opened(args.kb) as kb:
        check_exists(args.kb, kb)
        if args.everything:
            return _delete(args, kb)
        before = kb.counts()["ready"]
        gone = kb.remove(args.paths)  # those that could not be read, too
        files = before - kb.counts()["ready"]
        covered = _covered(kb, args.paths)
    if args.json:
        by = {shown(path): shown(folder) for path, folder in covered.items()}
        print(json.dumps({"kb": args.kb, "removed_files": files, "still_in_folder": by}, ensure_ascii=False))
    elif gone or not covered:
        print(_gone_text(args.kb, files, gone - files))
    for path, folder in covered.items():
        print(
            f"error: {shown(path)} is still in {printable(args.kb)}: the folder {shown(folder)}, which was added, too,"
            " covers it; take that out, or move the file",
            file=sys.stderr,
        )
    return ERROR if covered else 0


def _gone_text(name: str, files: int, unread: int) -> str:
    out = f"{_counted(files, 'file')} {'is' if files == 1 else 'are'} out of {printable(name)}"
    too = f", and {unread:,} that could not be read" if unread else ""
    return f"{out}{too}; on disk {'it stays' if files + unread == 1 else 'they stay'}."


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _covered(kb: KnowledgeBase, paths: Sequence[str]) -> dict[Path, Path]:
    """What was taken out, and is still there because of a folder around it."""
    from chatglm_slim_llm.retrieval.sync import root_of

    taken = [Path(os.path.abspath(Path(path).expanduser())) for path in paths]  # noqa: PTH100  # takes ".." away
    around = {path: root_of(path, kb.roots()) for path in taken}
    return {path: folder for path, folder in around.items() if folder is not None}


def _delete(args: argparse.Namespace, kb: KnowledgeBase) -> int:
    from chatglm_slim_llm.retrieval.sync import lock_path, only_one

    counts = kb.counts()
    size_bytes = _size_bytes(kb.path)
    what = f"{printable(args.kb)} ({_counted(counts['ready'], 'file')}, {size_text(size_bytes)})"
    if not args.yes:
        if not can_ask():
            raise RetrievalError(f"nobody can be asked whether to delete {what}; add --yes to delete it")
        if not asks_yes(f"Delete the knowledge base {what}? The files themselves stay. [y/N] "):
            print("nothing was deleted", file=sys.stderr)
            return ERROR
    with only_one(kb.path):  # not under the hands of a process that indexes
        kb.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{kb.path}{suffix}").unlink(missing_ok=True)
        with suppress(PermissionError):  # Windows keeps a file that is open
            Path(lock_path(kb.path)).unlink(missing_ok=True)
    if args.json:
        print(json.dumps({"kb": args.kb, "deleted": shown(kb.path), "removed_files": counts["ready"]}))
    else:
        print(f"{what} is deleted; the files themselves stay.")
    return 0
