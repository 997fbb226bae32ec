"""EPUB: the chapters in the order of the book's spine, each read as the page of HTML that it is."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from chatglm_slim_llm.errors import UnreadableFileError
from chatglm_slim_llm.retrieval.loaders.archive import MAX_XML_BYTES, check_archive
from chatglm_slim_llm.retrieval.loaders.boundary import extra_packages, loader
from chatglm_slim_llm.retrieval.loaders.html import read_page
from chatglm_slim_llm.retrieval.passages import Section

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = frozenset({"application/xhtml+xml", "text/html"})
_MAX_XML_BYTES = 8 << 20


@loader("EPUB book")
def load(path: Path) -> Iterator[Section]:
    """The chapters' text by heading; the page is the chapter's place in the spine, counted from 1."""
    check_archive(path, "EPUB book")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        chapters = _chapters(archive)
        if not chapters:
            raise UnreadableFileError("damaged EPUB book: it lists no chapters", path=path)
        if chapters.keys() & _encrypted(archive, names):
            raise UnreadableFileError("protected against copying (DRM)", path=path)
        for name, number in chapters.items():
            if name in names and archive.getinfo(name).file_size <= MAX_XML_BYTES:
                yield from read_page(archive.read(name), path, page=number)


def _chapters(archive: zipfile.ZipFile) -> dict[str, int]:
    """The names of the chapters with their place; one that is listed twice is read once."""
    package_name = _xml(archive, _CONTAINER).xpath("string(//*[local-name()='rootfile']/@full-path)")
    package = _xml(archive, package_name)
    items = {
        item.get("id"): _resolved(package_name, item.get("href", ""))
        for item in package.xpath("//*[local-name()='manifest']/*[local-name()='item']")
        if item.get("media-type") in _PAGES
    }
    spine = package.xpath("//*[local-name()='spine']/*[local-name()='itemref']/@idref")
    chapters: dict[str, int] = {}
    for number, reference in enumerate(spine, start=1):
        if reference in items:
            chapters.setdefault(items[reference], number)
    return chapters


def _encrypted(archive: zipfile.ZipFile, names: set[str]) -> set[str]:
    """What is encrypted; fonts often are, and that is no obstacle."""
    if _ENCRYPTION not in names:
        return set()
    return {unquote(uri) for uri in _xml(archive, _ENCRYPTION).xpath("//*[local-name()='CipherReference']/@URI")}


def _resolved(package_name: str, href: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(package_name), unquote(href.partition("#")[0])))


def _xml(archive: zipfile.ZipFile, name: str) -> Any:
    with extra_packages():
        from lxml import etree
    if archive.getinfo(name).file_size > _MAX_XML_BYTES:
        raise ValueError(f"{name} is larger than {_MAX_XML_BYTES >> 20} MiB")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True)
    root = etree.fromstring(archive.read(name), parser)
    if root is None:
        raise ValueError(f"{name} holds no XML")
    return root
