"""Puts the files of ``examples/plugin`` into the page that explains them: ``python -m docs.guide_plugin``."""

from __future__ import annotations

import re
from pathlib import Path

from chatglm_slim_llm.writing import write_whole

PAGES = [Path("docs/guide/plugins.md"), Path("docs/guide/plugins.zh.md")]
EXAMPLE = Path("examples/plugin")
_BLOCK = re.compile(r'(?P<head>```\w+ title="(?P<name>[^"]+)"\n).*?(?P<foot>\n```)', re.DOTALL)


def with_files(text: str) -> str:
    """The page with each titled block as the file of that name is."""
    return _BLOCK.sub(lambda m: m["head"] + (EXAMPLE / m["name"]).read_text("utf-8").rstrip() + m["foot"], text)


def main() -> None:
    """Write the pages anew."""
    for page in PAGES:
        write_whole(page, with_files(page.read_text("utf-8")))


if __name__ == "__main__":
    main()
