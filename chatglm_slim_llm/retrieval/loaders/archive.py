"""Formats that are ZIP files inside: what is refused before a library unpacks anything.

Sizes are those that the archive declares; Python's `zipfile` never gives more of a member than that.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
from pathlib import Path

from chatglm_slim_llm.errors import UnreadableFileError

MAX_UNPACKED_BYTES = 512 << 20
MAX_XML_BYTES = 64 << 20
"""Of members that a library reads as a whole: a tree takes some ten times as much memory as its file."""
MAX_MEMBERS = 20_000

_MAX_RATIO = 200
_SMALL_BYTES = 64 << 20
"""Up to this size a member may be as compressible as it likes."""
_MAX_DIRECTORY_BYTES = MAX_MEMBERS * 512
_END, _END64, _LOCATOR = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_LONGEST_END = (1 << 16) + 22 + 20
_OLE = bytes.fromhex("D0CF11E0A1B11AE1")
_OLE_STREAMS = {  # names of streams, as the file's directory has them
    "EncryptedPackage": "protected by a password",
    "WordDocument": "an old Word file; save it as .docx",
    "PowerPoint Document": "an old PowerPoint file; save it as .pptx",
    "Workbook": "an old Excel file; save it as .xlsx",
}
_PROLOG = 1 << 12


def check_archive(path: Path, kind: str) -> None:
    """Refuse an archive that is none, is encrypted, or would unpack to more than a document needs.

    Raises:
        UnreadableFileError: with the reason.
    """
    if reason := _refusal(path, kind):
        raise UnreadableFileError(reason, path=path)


def check_office(path: Path, kind: str, *, streamed: str | None = None) -> None:
    """The same, and refuse what a file of Microsoft's XML formats never has: large trees, and entities of its own.

    Args:
        path: the file.
        kind: what it should be, for the message.
        streamed: a folder in the archive whose members are not read as a whole.

    Raises:
        UnreadableFileError: with the reason.
    """
    check_archive(path, kind)
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith((".xml", ".rels", ".vml"))]
        whole = sum(info.file_size for info in members if not (streamed and info.filename.startswith(streamed)))
        if whole > MAX_XML_BYTES:
            raise UnreadableFileError(
                f"holds {whole >> 20:,} MiB of XML, more than the {MAX_XML_BYTES >> 20} that are read", path=path
            )
        for info in members:
            with archive.open(info) as member:
                prolog = member.read(_PROLOG).replace(b"\0", b"")  # whatever UTF it is
            if b"<!DOCTYPE" in prolog or b"<!ENTITY" in prolog:
                raise UnreadableFileError(f"damaged {kind}: {info.filename} declares entities", path=path)


def _refusal(path: Path, kind: str) -> str | None:
    with path.open("rb") as file:
        if file.read(len(_OLE)) == _OLE:
            return _ole_reason(path)
    if (size := _directory_bytes(path)) is None:
        return f"damaged {kind}: not a ZIP archive"
    if size > _MAX_DIRECTORY_BYTES:
        return f"holds more than {MAX_MEMBERS:,} files"
    try:
        with zipfile.ZipFile(path) as archive:
            return _refusal_of_members(archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        return f"damaged {kind}: {error}"


def _refusal_of_members(members: list[zipfile.ZipInfo]) -> str | None:
    if len(members) > MAX_MEMBERS:
        return f"holds {len(members):,} files, more than {MAX_MEMBERS:,}"
    if any(info.flag_bits & 1 for info in members):
        return "protected by a password"
    unpacked = sum(info.file_size for info in members)
    if unpacked > MAX_UNPACKED_BYTES:
        return f"would unpack to {unpacked >> 20:,} MiB, more than the {MAX_UNPACKED_BYTES >> 20:,} that are read"
    for info in members:
        if info.file_size > _SMALL_BYTES and info.file_size > _MAX_RATIO * info.compress_size:
            return f"would unpack {info.filename!r} to {info.file_size >> 20:,} MiB; that is no document"
    return None


def _directory_bytes(path: Path) -> int | None:
    """Size of the list of members, which `zipfile` reads as a whole; ``None`` if the file is no archive."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LONGEST_END))
        tail = file.read()
        end = tail.rfind(_END)
        if end < 0 or len(tail) - end < 22:
            return None
        directory: int = struct.unpack_from("<L", tail, end + 12)[0]
        if tail[max(0, end - 20) : end].startswith(_LOCATOR):
            file.seek(min(size, struct.unpack_from("<Q", tail, end - 12)[0]))
            record = file.read(56)
            if record.startswith(_END64) and len(record) == 56:
                directory = struct.unpack_from("<Q", record, 40)[0]
        return directory


def _ole_reason(path: Path) -> str:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for stream, reason in _OLE_STREAMS.items():
            if data.find(stream.encode("utf-16-le")) >= 0:
                return reason
    return "an old Office file; save it in the format of its suffix"
