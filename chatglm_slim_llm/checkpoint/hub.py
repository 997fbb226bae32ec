"""What a repository on the Hugging Face hub holds, and where its files go on this disk.

Only the files that our loader reads are chosen, never code. They go into the hub's own cache, where
transformers finds them too, or into a folder of the user's. ``download.py`` moves the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chatglm_slim_llm.errors import CheckpointError, CheckpointNotFoundError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

REQUIRED_FILES = ("config.json", "ice_text.model")
_SMALL_FILES = (*REQUIRED_FILES, "tokenizer_config.json", "generation_config.json")
_WEIGHT_FORMATS = (  # the first format that a repository has is taken
    re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json"),
    re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin|pytorch_model\.bin\.index\.json"),
)
METADATA_TIMEOUT_S = 5


@dataclass(frozen=True)
class HubFile:
    """One file of a repository, as the hub describes it."""

    name: str
    size_bytes: int
    digest: str
    """SHA-256 of a file in large-file storage, git's blob id (SHA-1) of any other; also its name in the hub's cache."""


@dataclass(frozen=True, kw_only=True)
class PullPlan:
    """What would be fetched, and where each file would lie."""

    repo_id: str
    revision: str
    commit: str
    files: tuple[HubFile, ...]
    in_cache: bool
    """Whether the files go into the hub's cache, or into a folder of the user's."""
    folder: Path
    """Where the checkpoint can be loaded from afterwards."""
    blobs: Path | None
    """Where the cache keeps contents by digest; ``None`` when the files go straight into ``folder``."""
    lock: Path
    """Held while downloading, so that two runs never append to the same file."""

    @property
    def store(self) -> Path:
        """The folder that the bytes land in."""
        return self.blobs or self.folder

    @property
    def total_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def missing_bytes(self) -> int:
        """What is still to be downloaded; a part that an earlier run left counts as there."""
        return sum(file.size_bytes - self._have_bytes(file) for file in self.files)

    def target(self, file: HubFile) -> Path:
        """Where the finished file lies."""
        return self.store / (file.digest if self.blobs else file.name)

    def partial(self, file: HubFile) -> Path:
        """The unfinished download, named by content: another revision never continues this one's part."""
        return self.store / f".{self.target(file).name[:40]}.{file.digest[:8]}.partial"

    def _have_bytes(self, file: HubFile) -> int:
        if self.target(file).exists():
            return file.size_bytes
        try:
            return min(self.partial(file).stat().st_size, file.size_bytes)
        except (FileNotFoundError, NotADirectoryError):  # none was begun, or another download has just finished it
            return file.size_bytes if self.target(file).exists() else 0


def plan_pull(repo_id: str, *, revision: str | None = None, folder: Path | None = None) -> PullPlan:
    """Ask the hub what ``repo_id`` holds and choose the files that our loader needs.

    Args:
        repo_id: ``owner/name``.
        revision: branch, tag or commit; the main branch without it.
        folder: where the files go; into the hub's cache without it.

    Raises:
        CheckpointNotFoundError: no such repository or revision, no access, or no ChatGLM-6B checkpoint in it.
        CheckpointError: the hub cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import are_symlinks_supported, repo_folder_name

    revision = revision or "main"
    with hub_errors(repo_id, revision):
        info = HfApi().model_info(repo_id, revision=revision, files_metadata=True, timeout=METADATA_TIMEOUT_S)
    files = tuple(_as_hub_file(sibling) for sibling in _choose(repo_id, info.siblings or []))
    commit = info.sha or revision
    cache, repo_folder = Path(HF_HUB_CACHE), repo_folder_name(repo_id=repo_id, repo_type="model")
    # Without symbolic links (Windows, some disks) the cache holds plain files in the snapshot; a blob would be a copy.
    has_blobs = folder is None and are_symlinks_supported(cache)
    return PullPlan(
        repo_id=repo_id,
        revision=revision,
        commit=commit,
        files=files,
        in_cache=folder is None,
        folder=(folder or cache / repo_folder / "snapshots" / commit).absolute(),
        blobs=cache / repo_folder / "blobs" if has_blobs else None,
        lock=cache / ".locks" / repo_folder / "chatglm-slim-pull.lock",
    )


def _choose(repo_id: str, siblings: list[RepoSibling]) -> list[RepoSibling]:
    names = {sibling.rfilename for sibling in siblings}
    absent = [name for name in REQUIRED_FILES if name not in names]
    weights = find_weights(names)
    if not weights:
        absent.append("model*.safetensors and no pytorch_model*.bin")
    if absent:
        raise CheckpointNotFoundError(
            f"{repo_id} has no {', no '.join(absent)}, so it is not a ChatGLM-6B checkpoint; nothing was downloaded"
        )
    needed = weights.union(_SMALL_FILES)
    # Small files first: a wrong repository shows before the gigabytes.
    return sorted((s for s in siblings if s.rfilename in needed), key=lambda s: (s.rfilename in weights, s.rfilename))


def find_weights(names: set[str]) -> set[str]:
    """The weight files (and their index) among ``names``: safetensors if there are any, else PyTorch's."""
    for form in _WEIGHT_FORMATS:
        found = {name for name in names if form.fullmatch(name)}
        if any(not name.endswith(".json") for name in found):
            return found
    return set()


def _as_hub_file(sibling: RepoSibling) -> HubFile:
    if sibling.lfs is not None:
        return HubFile(sibling.rfilename, sibling.lfs.size, sibling.lfs.sha256)
    if sibling.size is None or sibling.blob_id is None:
        raise CheckpointError(
            f"the hub gives no size or checksum for {sibling.rfilename}; check that HF_ENDPOINT names a real hub"
        )
    return HubFile(sibling.rfilename, sibling.size, sibling.blob_id)


@contextmanager
def hub_errors(repo_id: str, revision: str) -> Iterator[None]:
    """Turn what ``huggingface_hub`` raises into one sentence that says what to do."""
    from huggingface_hub import errors as hub
    from huggingface_hub.constants import ENDPOINT

    try:
        yield
    except hub.OfflineModeIsEnabled as error:
        raise CheckpointError(
            f"cannot download {repo_id}: HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set; "
            "unset it, or copy the checkpoint's folder here and give its path as the model"
        ) from error
    except hub.HFValidationError as error:
        raise CheckpointNotFoundError(f"{repo_id!r} is not a hub id; give one of the form owner/name") from error
    except hub.GatedRepoError as error:
        raise CheckpointNotFoundError(
            f"{repo_id} is gated: accept its terms at {ENDPOINT}/{repo_id}, then run 'hf auth login' or set HF_TOKEN"
        ) from error
    except hub.RepositoryNotFoundError as error:
        raise CheckpointNotFoundError(
            f"{ENDPOINT} shows no model {repo_id}; check the spelling, "
            "or run 'hf auth login' or set HF_TOKEN if it is private"
        ) from error
    except hub.RevisionNotFoundError as error:
        raise CheckpointNotFoundError(
            f"{repo_id} has no revision {revision!r}; look at {ENDPOINT}/{repo_id}/tree/main for branches and tags"
        ) from error
    except hub.HfHubHTTPError as error:
        raise CheckpointError(_refusal(error.response.status_code, repo_id, ENDPOINT)) from error
    except (hub.HTTPError, hub.LocalEntryNotFoundError) as error:  # type: ignore[attr-defined]  # httpx's base class
        raise CheckpointError(
            f"cannot reach {ENDPOINT} ({_reason(error)}); check the network, or set HF_ENDPOINT to a mirror, "
            "then run the command again: it continues where it stopped"
        ) from error


def _refusal(status: int, repo_id: str, endpoint: str) -> str:
    if status in (401, 403):
        return f"{endpoint} refuses access to {repo_id} (HTTP {status}); run 'hf auth login' or set a valid HF_TOKEN"
    return f"{endpoint} answered HTTP {status} for {repo_id}; try again later: the download continues where it stopped"


def _reason(error: BaseException) -> str:
    first_line = (str(error).strip().splitlines() or [""])[0]
    return first_line or type(error).__name__
