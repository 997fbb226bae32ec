"""A hook of the site's builder: the pages are written to be read in the repository, too.

There ``../benchmarks/results/peers.json`` is a file beside them. Measured figures and plots are copied into the site;
of what else is linked, the site names the place in the repository. And Chinese lines are broken where they are long,
which must not become a space between two characters.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

ROOT = Path(__file__).parents[1]
COPIED = "benchmarks/results"
"""A folder of the repository that the site has, too."""
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>\.\./[^)#\s]+)\)")
_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_BROKEN_LINE = re.compile(
    r"(?<=[\u3001-\u9fff\uff01-\uff60])\n(?=[\u3001-\u9fff\uff01-\uff60])"  # between two characters
    r"|(?<=[\u3001-\u3011\uff01-\uff60])\n(?=[\w`\[*])(?!\d+\.|\* )"  # after a sign, before other text
)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page that leave the documentation, and join its Chinese lines."""
    return joined(rewritten(markdown, page.file.src_uri, page.file.url))


def on_post_build(config: Any, **_: Any) -> None:
    """Copy what those links lead to."""
    shutil.copytree(ROOT / COPIED, Path(config.site_dir) / COPIED, dirs_exist_ok=True)


def rewritten(markdown: str, source: str, url: str) -> str:
    """The text of ``docs/<source>`` for a page at ``url``, with links out of ``docs/`` that work there.

    Raises:
        FileNotFoundError: a link leads to nothing in the repository.
    """

    def with_place(match: re.Match[str]) -> str:
        place = normpath(str(PurePosixPath("docs") / PurePosixPath(source).parent / match["target"]))
        if place.startswith("docs/"):
            return match[0]
        if not (ROOT / place).exists():
            raise FileNotFoundError(f"docs/{source} links to {place}, which is not there")
        if not place.startswith(f"{COPIED}/"):
            return f"{match['text']} (`{place}`)"
        # HTML, as the builder takes a link of Markdown for one to a page
        address = relpath(place, str(PurePosixPath(url).parent))
        if match["image"]:
            return f'<img alt="{match["text"]}" src="{address}">'
        return f'<a href="{address}">{match["text"]}</a>'

    return _LINK.sub(with_place, markdown)


def joined(markdown: str) -> str:
    """The text with Chinese lines in one piece; code stays as it is."""
    parts = _FENCED.split(markdown)
    return "".join(part if number % 2 else _BROKEN_LINE.sub("", part) for number, part in enumerate(parts))
