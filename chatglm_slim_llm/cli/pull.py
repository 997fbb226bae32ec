"""``chatglm-slim pull [ID]``: download a checkpoint from the hub, resumed and checked."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from chatglm_slim_llm.cli.progress import ProgressLine, time_text
from chatglm_slim_llm.config import DEFAULT_HUB_ID
from chatglm_slim_llm.hosting.amounts import size_text

if TYPE_CHECKING:
    from chatglm_slim_llm.checkpoint.download import Fetched
    from chatglm_slim_llm.checkpoint.hub import PullPlan


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pull`` to the command line."""
    parser = commands.add_parser(
        "pull",
        help="download a checkpoint from the Hugging Face hub",
        description="Download a checkpoint from the Hugging Face hub: only the files that are needed, checked against "
        "the hub's checksums. A download that was cut short continues where it stopped.",
        epilog="HF_ENDPOINT chooses a mirror of the hub, HF_HOME the folder of its cache, HF_TOKEN logs in.",
    )
    parser.add_argument("id", nargs="?", default=DEFAULT_HUB_ID, metavar="ID", help="owner/name (default: %(default)s)")
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit (default: main)")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="put the files there, not into the hub's cache")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Download, then say where it went and what to do next."""
    from chatglm_slim_llm.checkpoint.hub import plan_pull

    started_s = time.monotonic()
    plan = plan_pull(args.id, revision=args.revision, folder=args.to)
    fetched = fetch_with_progress(plan)
    elapsed_s = time.monotonic() - started_s
    if args.json:
        print(json.dumps(_as_json(plan, fetched, elapsed_s), ensure_ascii=False))
        return 0
    model = str(fetched.folder) if args.to or args.revision else plan.repo_id
    print(_summary(plan, fetched, elapsed_s))
    print(f"Next: chatglm-slim chat --model {shlex.quote(model)} 你好")
    return 0


def fetch_with_progress(plan: PullPlan) -> Fetched:
    """Fetch ``plan`` while a line on stderr says how far it is."""
    from chatglm_slim_llm.checkpoint.download import fetch

    with ProgressLine() as progress:
        return fetch(plan, progress)


def _summary(plan: PullPlan, fetched: Fetched, elapsed_s: float) -> str:
    place = f"{plan.repo_id} is in {fetched.folder}"
    total, elapsed = size_text(plan.total_bytes), time_text(elapsed_s)
    if not fetched.downloaded_bytes:
        return f"{place}: {total}, nothing to download, checked in {elapsed}."
    return f"{place}: {total}, {size_text(fetched.downloaded_bytes)} of it downloaded now, checked, {elapsed}."


def _as_json(plan: PullPlan, fetched: Fetched, elapsed_s: float) -> dict[str, object]:
    return {
        "model": plan.repo_id,
        "revision": plan.revision,
        "commit": plan.commit,
        "folder": str(fetched.folder),
        "total_bytes": plan.total_bytes,
        "downloaded_bytes": fetched.downloaded_bytes,
        "elapsed_s": round(elapsed_s, 3),
        "files": [{"name": file.name, "size_bytes": file.size_bytes, "digest": file.digest} for file in plan.files],
    }
