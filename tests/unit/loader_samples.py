"""Sample files for the tests of loaders, made byte by byte or by the libraries that also read them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_zip(path: Path, members: Mapping[str, str | bytes]) -> Path:
    """An archive with these members, compressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def replaced(path: Path, name: str, content: bytes) -> Path:
    """The same archive with one member's content replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    return write_zip(path, {**members, name: content})


def write_pdf(path: Path, pages: Sequence[Sequence[str]], *, trailer: str = "") -> Path:
    """A PDF whose pages show these lines; any character of the basic plane, through a ToUnicode map.

    Args:
        path: where it is written.
        pages: the lines of each page.
        trailer: further entries of the trailer.
    """
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{' '.join(f'{8 + 2 * n} 0 R' for n in range(len(pages)))}] >>",
        "<< /Type /Font /Subtype /Type0 /BaseFont /F /Encoding /Identity-H /DescendantFonts [4 0 R]"
        " /ToUnicode 6 0 R >>",
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /F /FontDescriptor 5 0 R /DW 1000"
        " /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>",
        "<< /Type /FontDescriptor /FontName /F /Flags 4 /FontBBox [0 0 1000 1000] /ItalicAngle 0 /Ascent 800 /Descent 0"
        " /CapHeight 700 /StemV 80 >>",
        _stream(
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /U def /CMapType 2 def"
            " 1 begincodespacerange <0000> <FFFF> endcodespacerange"
            " 1 beginbfrange <0000> <FFFF> <0000> endbfrange endcmap end end"
        ),
        "<< /Font << /F 3 0 R >> >>",
    ]
    for number, lines in enumerate(pages):
        shown = " T* ".join(f"<{line.encode('utf-16-be').hex()}> Tj" for line in lines)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 2000 1000] /Resources 7 0 R /Contents {9 + 2 * number} 0 R >>"
        )
        objects.append(_stream(f"BT /F 12 Tf 14 TL 40 960 Td {shown} ET" if lines else ""))
    path.write_bytes(_pdf_file(objects, trailer))
    return path


def _stream(content: str) -> str:
    return f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"


def _pdf_file(objects: Sequence[str], trailer: str) -> bytes:
    data = b"%PDF-1.7\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{content}\nendobj\n".encode("ascii")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    return data + (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(data)}\n%%EOF\n"
    ).encode("ascii")


def write_epub(path: Path, chapters: Sequence[str | bytes], **more: str) -> Path:
    """A book of these pages of XHTML; ``more`` are further members, a name's ``/`` written ``__``."""
    manifest = "".join(
        f'<item id="c{n}" href="text/chapter%20{n}.xhtml" media-type="application/xhtml+xml"/>'
        for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    members: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        "OEBPS/book.opf": f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{manifest}</manifest>'
        f"<spine>{spine}</spine></package>",
    }
    members |= {f"OEBPS/text/chapter {n}.xhtml": chapter for n, chapter in enumerate(chapters)}
    return write_zip(path, members | {name.replace("__", "/"): content for name, content in more.items()})
