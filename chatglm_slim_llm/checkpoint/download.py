"""Move a checkpoint's bytes from the hub to this disk: resumed, checked, never half there.

A file is written beside its target and renamed once its size and checksum are right. A download that
was cut short continues where it stopped, also in a later run: ``huggingface_hub`` itself drops a
partial file when its process ends, and one shard of the real model is close to 2 GB.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chatglm_slim_llm.checkpoint.hub import METADATA_TIMEOUT_S, HubFile, PullPlan, hub_errors
from chatglm_slim_llm.errors import CheckpointError, CheckpointFormatError

if TYPE_CHECKING:
    from chatglm_slim_llm.checkpoint.progress import Progress

Report = Callable[[int], None]

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_CHUNK_BYTES = 1 << 20
_READ_TIMEOUT_S = 20
_FRUITLESS_ATTEMPTS = 4


@dataclass(frozen=True)
class Fetched:
    """A checkpoint that is on this disk now."""

    folder: Path
    downloaded_bytes: int
    """Received in this run; 0 if everything was there."""


def fetch(plan: PullPlan, progress: Progress | None = None) -> Fetched:
    """Bring every file of ``plan`` onto this disk, checked.

    Files that are already there are checked again, so that a second run repairs a damaged one.

    Raises:
        CheckpointError: the connection failed for good, the disk is too small, a file of the user's is in the way.
        CheckpointFormatError: what arrived is not what the hub announced, or is an LFS pointer.
    """
    tell = progress or (lambda what, done, total: None)
    with hub_errors(plan.repo_id, plan.revision), _disk_errors(plan), _only_one(plan):
        plan.store.mkdir(parents=True, exist_ok=True)
        _want_disk_space(plan)
        before = downloaded_bytes = 0
        for file in plan.files:
            downloaded_bytes += _bring(plan, file, lambda what, done: tell(what, before + done, plan.total_bytes))  # noqa: B023  # called at once
            before += file.size_bytes
        return Fetched(_settle(plan), downloaded_bytes)


def _bring(plan: PullPlan, file: HubFile, tell: Callable[[str, int], None]) -> int:
    target, partial = plan.target(file), plan.partial(file)
    if target.exists():
        if _matches(target, file, lambda done: tell("checking", done)):
            return 0
        if not plan.in_cache:
            raise CheckpointError(
                f"{target} is not the file of {plan.repo_id} at {plan.revision}; move it away or choose another folder"
            )
        target.unlink()
    received_bytes = _download(plan, file, partial, lambda done: tell("downloading", done))
    if not _matches(partial, file, lambda done: tell("checking", done)):
        partial.unlink()
        raise CheckpointFormatError(
            f"{file.name} arrived damaged: its checksum is not the hub's; it was removed, run the command again",
            path=target,
        )
    _refuse_pointer(partial, file, plan)
    partial.replace(target)
    return received_bytes


def _download(plan: PullPlan, file: HubFile, partial: Path, report: Report) -> int:
    """Append to ``partial`` until it is complete; start over from what is there when the connection breaks."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]  # httpx's base class

    url = hf_hub_url(plan.repo_id, file.name, revision=plan.commit)
    partial.touch()
    had_bytes, fruitless = partial.stat().st_size, 0
    while (have := partial.stat().st_size) != file.size_bytes:
        error: Exception = CheckpointError("the connection closed early")
        try:
            _append(url, partial, have if have < file.size_bytes else 0, report)
        except HfHubHTTPError:
            raise  # the hub answered and means it
        except HTTPError as broken:
            error = broken
        fruitless = 0 if partial.stat().st_size > have else fruitless + 1
        if fruitless == _FRUITLESS_ATTEMPTS:
            raise error
        time.sleep(fruitless)
    return file.size_bytes - had_bytes


def _append(url: str, partial: Path, start: int, report: Report) -> None:
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # exported by name only
        build_hf_headers,
        hf_raise_for_status,
        http_stream_backoff,
    )

    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with http_stream_backoff(
        "GET", url, headers=headers, timeout=_READ_TIMEOUT_S, max_retries=2, retry_on_exceptions=()
    ) as response:
        hf_raise_for_status(response)
        with partial.open("ab") as file:
            file.truncate(start if response.status_code == 206 else 0)  # 200: the server sends all of it again
            for chunk in response.iter_bytes():
                file.write(chunk)
                report(file.tell())


def _matches(path: Path, file: HubFile, report: Report) -> bool:
    """Whether ``path`` has the size and the digest that the hub announced."""
    if path.stat().st_size != file.size_bytes:
        return False
    is_sha256 = len(file.digest) == hashlib.sha256().digest_size * 2
    hasher = hashlib.sha256() if is_sha256 else hashlib.sha1(b"blob %d\0" % file.size_bytes)  # git's blob id
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            hasher.update(chunk)
            report(opened.tell())
    return hasher.hexdigest() == file.digest


def _refuse_pointer(path: Path, file: HubFile, plan: PullPlan) -> None:
    with path.open("rb") as opened:
        is_pointer = opened.read(len(_LFS_POINTER)) == _LFS_POINTER
    if is_pointer:
        path.unlink()
        raise CheckpointFormatError(
            f"{plan.repo_id} holds a Git LFS pointer instead of {file.name}: the repository itself is broken; "
            "use another repository or revision",
            path=plan.target(file),
        )


def _want_disk_space(plan: PullPlan) -> None:
    missing, free = plan.missing_bytes, shutil.disk_usage(plan.store).free
    if missing > free:
        raise CheckpointError(
            f"{plan.repo_id} needs {missing / 1e9:.1f} GB more but {plan.store} has {free / 1e9:.1f} GB free; "
            "make room, or choose another disk with --to FOLDER or HF_HOME"
        )


def _settle(plan: PullPlan) -> Path:
    """Let the hub's library link the contents into its cache; every byte is there already."""
    if not plan.in_cache:
        return plan.folder
    from huggingface_hub import snapshot_download

    with _quiet_hub():
        folder = snapshot_download(
            plan.repo_id,
            revision=plan.revision,
            allow_patterns=[file.name for file in plan.files],
            etag_timeout=METADATA_TIMEOUT_S,
            max_workers=1,
        )
    return Path(folder)


@contextmanager
def _only_one(plan: PullPlan) -> Iterator[None]:
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # exported by name only

    plan.lock.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(WeakFileLock(plan.lock, timeout=1))
        except TimeoutError as error:
            raise CheckpointError(f"another download of {plan.repo_id} is running; wait until it has ended") from error
        yield


@contextmanager
def _disk_errors(plan: PullPlan) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not the system's: an error of the hub's, or ours
            raise
        raise CheckpointError(
            f"cannot write to {error.filename or plan.store} ({error.strerror}); "
            "make room or get permission, or choose another place with --to FOLDER or HF_HOME"
        ) from error


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keep the hub's own bars and warnings off the terminal, which may be showing a full-screen program."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # exported by name only
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from huggingface_hub.utils import (
        logging as hub_logging,
    )

    level, had_bars = hub_logging.get_verbosity(), not are_progress_bars_disabled()
    hub_logging.set_verbosity(logging.ERROR)
    disable_progress_bars()
    try:
        yield
    finally:
        hub_logging.set_verbosity(level)
        if had_bars:
            enable_progress_bars()
