"""Folders in, the files that are worth reading out, and each other file with the reason it is left.

Only names and `stat` are looked at: nothing is opened, so a FIFO or a device cannot block the scan.
What is in a file is `reading.py`'s business.
"""

# Plain strings: a Path for each of 50,000 names would only cost time.
# ruff: noqa: PTH100, PTH116, PTH119, PTH122, PTH206

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chatglm_slim_llm.errors import RetrievalError


@dataclass(frozen=True)
class FoundFile:
    """A regular file to read, as it was when it was seen."""

    path: Path
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder that is left out, and why, in words for people."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class ScanLimits:
    """What is too much."""

    max_file_bytes: int = 64 << 20
    """A larger file is skipped: logs and dumps of gigabytes drown everything else that is searched."""


def scan(
    roots: Iterable[Path], *, limits: ScanLimits, ignore: Sequence[str] = (), loadable: Container[str] = frozenset()
) -> Iterator[FoundFile | SkippedFile]:
    """Walk folders in a fixed order; a file that several names lead to comes once, under a name that is no link.

    Args:
        roots: folders, and files that are asked for by name (these may be hidden).
        limits: what is too large.
        ignore: files and folders to pass over in silence, such as the knowledge base's own.
        loadable: suffixes without the dot that a loader reads, even if they are of an image or an archive.

    Raises:
        RetrievalError: a root does not exist; said at once, before the first file.
    """
    starts = [_absolute(root) for root in roots]
    for start in starts:
        if not os.path.lexists(start):
            raise RetrievalError(f"{display_name(start)} does not exist; give a file or a folder that does")
    return _Walk(starts, limits, frozenset(ignore), loadable).run()


def display_name(path: Path | str) -> str:
    """The path on one line that every terminal can print, whatever bytes are in it."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _absolute(path: Path) -> str:
    # `..` after a link leads elsewhere than the text says, so only the system may take it away.
    return os.path.realpath(path) if ".." in path.parts else os.path.abspath(path)


@dataclass
class _Walk:
    """One walk; links wait until all that is really there was seen, so that adding a link changes no file's name."""

    roots: list[str]
    limits: ScanLimits
    ignore: frozenset[str]
    loadable: Container[str]
    links: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    """Device and inode in one number each: a few dozen bytes a file."""

    def __post_init__(self) -> None:
        self.ignored_paths = {os.path.realpath(path) for path in self.ignore}
        self.ignored_names = {os.path.basename(path) for path in self.ignored_paths}
        self.real_roots = [os.path.realpath(root) for root in self.roots]

    def run(self) -> Iterator[FoundFile | SkippedFile]:
        for root in self.roots:
            yield from self._root(root)
        for link in self.links:  # grows while it is walked: a linked folder may hold links
            yield from self._link(link)

    def _root(self, root: str) -> Iterator[FoundFile | SkippedFile]:
        if not _is_unicode(root):
            yield SkippedFile(Path(root), _BAD_NAME)
            return
        try:
            info = os.stat(root)
        except OSError as error:
            yield SkippedFile(Path(root), _reason(error))
            return
        yield from self._folder(root, info) if stat.S_ISDIR(info.st_mode) else self._file(root, info)

    def _link(self, link: str) -> Iterator[FoundFile | SkippedFile]:
        try:
            info = os.stat(link)
        except FileNotFoundError:
            yield SkippedFile(Path(link), "a link that leads nowhere")
            return
        except OSError as error:
            yield SkippedFile(Path(link), _reason(error))
            return
        real = os.path.realpath(link)
        is_folder = stat.S_ISDIR(info.st_mode)
        refusal = self._link_refusal(real, is_folder)
        if refusal:
            yield SkippedFile(Path(link), refusal)
        elif self._key(info) in self.seen:
            yield SkippedFile(Path(link), f"a link to a {'folder' if is_folder else 'file'} that is read already")
        else:
            yield from self._folder(link, info) if is_folder else self._file(link, info)

    def _link_refusal(self, real: str, is_folder: bool) -> str | None:
        """A link may lead out of the folder, but not up to one that holds it, nor to what would be skipped by name."""
        inside = next((root for root in self.real_roots if _holds(root, real)), "")
        if any(part.startswith(".") for part in real[len(inside) :].split(os.sep)):
            return "a link to something hidden"
        if is_folder and any(_holds(real, root) for root in self.real_roots):
            return "a link to a folder that holds this one"
        if real.startswith(("/proc/", "/sys/", "/dev/")) or real in ("/proc", "/sys", "/dev"):
            return "a link to what is no document of yours"
        return None

    def _folder(self, top: str, info: os.stat_result) -> Iterator[FoundFile | SkippedFile]:
        if self._is_ignored(top, os.path.basename(top)) or not self._is_new(info):
            return
        pending = [top]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                yield SkippedFile(Path(folder), _reason(error, is_folder=True))
                continue
            if folder != top and any(entry.name in _FOLDER_MARKS for entry in entries):
                yield SkippedFile(Path(folder), _CACHE)
                continue
            folders: list[str] = []
            for entry in entries:
                yield from self._entry(entry, folders)
            pending += reversed(folders)

    def _entry(self, entry: os.DirEntry[str], folders: list[str]) -> Iterator[FoundFile | SkippedFile]:
        if self._is_ignored(entry.path, entry.name):
            return
        try:
            info = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return  # it went away since the folder was listed
        except OSError as error:
            yield SkippedFile(Path(entry.path), _reason(error))
            return
        is_folder = stat.S_ISDIR(info.st_mode)
        reason = _name_refusal(entry.name, info, is_folder)
        if reason:
            yield SkippedFile(Path(entry.path), reason)
        elif stat.S_ISLNK(info.st_mode):
            self.links.append(entry.path)
        elif not is_folder:
            yield from self._file(entry.path, info)
        elif self._is_new(info):
            folders.append(entry.path)

    def _file(self, path: str, info: os.stat_result) -> Iterator[FoundFile | SkippedFile]:
        """One file, or what is no folder; a second name of it says so."""
        if self._is_ignored(path, os.path.basename(path)):
            return
        reason = self._file_refusal(path, info)
        if reason is None and not self._is_new(info):
            if path in self.roots:
                return
            reason = _DOUBLED
        yield SkippedFile(Path(path), reason) if reason else FoundFile(Path(path), info.st_size, info.st_mtime_ns)

    def _file_refusal(self, path: str, info: os.stat_result) -> str | None:
        if not stat.S_ISREG(info.st_mode):
            return f"{_KINDS.get(stat.S_IFMT(info.st_mode), 'something special')}, not a file"
        suffix = os.path.splitext(path)[1].lower().lstrip(".")
        if suffix in _REFUSED and suffix not in self.loadable:
            return _REFUSED[suffix]
        if info.st_size == 0:
            return _EMPTY
        if info.st_size > self.limits.max_file_bytes:
            return _too_large(info.st_size, self.limits.max_file_bytes)
        if not os.access(path, os.R_OK):
            return "no permission to read it"
        return None

    def _is_ignored(self, path: str, name: str) -> bool:
        return name in self.ignored_names and os.path.realpath(path) in self.ignored_paths

    def _is_new(self, info: os.stat_result) -> bool:
        key = self._key(info)
        if key in self.seen:
            return False
        self.seen.add(key)
        return True

    @staticmethod
    def _key(info: os.stat_result) -> int:
        return info.st_dev << 64 | info.st_ino


def matters_less(skipped: SkippedFile) -> int:
    """Files that someone may miss come first, then those of kinds without text, and last what is hidden or doubled."""
    reason = skipped.reason
    if reason in _NOT_MISSED or reason.startswith("a link "):
        return 2
    return 1 if reason in _SUFFIXES or reason == _EMPTY or reason.endswith(", not a file") else 0


def _name_refusal(name: str, info: os.stat_result, is_folder: bool) -> str | None:
    if not _is_unicode(name):
        return _BAD_NAME
    if name.startswith(".") or getattr(info, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_HIDDEN:
        return _HIDDEN_FOLDER if is_folder else _HIDDEN
    if is_folder and name in _DEPENDENCIES:
        return _OF_OTHERS
    if name.startswith("~$"):
        return _OPEN_NOTE
    return None


def _is_unicode(name: str) -> bool:
    """Other names are bytes that no database, no JSON and no terminal takes as text."""
    return name.isascii() or not any("\ud800" <= c <= "\udfff" for c in name)


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _reason(error: OSError, *, is_folder: bool = False) -> str:
    if isinstance(error, PermissionError):
        return f"no permission to {'look into' if is_folder else 'read'} it"
    if error.errno == errno.ELOOP:
        return "a link that leads round in a circle"
    return f"cannot be looked at: {error.strerror or error}"


def _too_large(size: int, limit: int) -> str:
    found, wanted = _size(size), _size(limit)
    return f"{found if found != wanted else f'{size:,} bytes'} is more than the {wanted} that is read"


def _size(size_bytes: int) -> str:
    for unit, name in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{size_bytes} bytes"


_EMPTY = "empty"
_HIDDEN, _HIDDEN_FOLDER = "hidden", "a hidden folder"
_OF_OTHERS = "code of others, not documents"
_OPEN_NOTE = "a note of an office program that the file is open"
_CACHE = "an environment or a cache, not documents"
_DOUBLED = "another name of a file that is read already"
_NOT_MISSED = {_HIDDEN, _HIDDEN_FOLDER, _OF_OTHERS, _OPEN_NOTE, _CACHE, _DOUBLED}
_BAD_NAME = "the name is not valid UTF-8; rename it"
_FOLDER_MARKS = {"pyvenv.cfg", "CACHEDIR.TAG"}
"""Files by which Python environments, and caches of many programs, call themselves that."""
_DEPENDENCIES = {"node_modules", "bower_components", "__pycache__", "site-packages"}
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_SUFFIXES = {
    "an archive; unpack it first": "zip tar gz tgz bz2 tbz tbz2 xz txz zst tzst lz lz4 lzma z 7z rar jar war whl egg "
    "cab iso dmg deb rpm apk cpio",
    "an image": "png jpg jpeg gif bmp tif tiff webp heic heif ico icns psd xcf raw cr2 nef avif jxl",
    "audio": "mp3 wav flac ogg oga opus m4a aac wma aiff mid midi amr",
    "video": "mp4 m4v mkv avi mov wmv webm flv mpg mpeg 3gp vob",
    "a program or a part of one": "exe dll so dylib a o obj lib pyc pyo pyd class bin elf com msi ko wasm node",
    "a font": "ttf otf ttc woff woff2 eot",
    "a database": "db db3 sqlite sqlite3 mdb accdb ldb dbf parquet feather arrow lmdb",
    "weights or arrays, not text": "safetensors pt pth ckpt onnx gguf ggml h5 hdf5 npy npz pkl pickle joblib pb tflite",
    "an image of a disk": "img vmdk vdi qcow2 vhd vhdx",
    "an old Word document; save it as .docx": "doc dot",
    "an old Excel workbook; save it as .xlsx": "xls xlt xlsb",
    "an old PowerPoint file; save it as .pptx": "ppt pps",
    "a format without a reader; save it as .docx, .pdf or .txt": "odt ods odp rtf pages numbers key wps mobi azw azw3 "
    "djvu",
}
_REFUSED = {suffix: reason for reason, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
