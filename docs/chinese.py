"""The Chinese pages have the code of the English ones: ``python -m docs.chinese`` puts it there.

``chat.zh.md`` is the Chinese ``chat.md``. A test compares all of them.
"""

from __future__ import annotations

import re
from pathlib import Path

from chatglm_slim_llm.writing import write_whole

DOCS = Path(__file__).parent
SUFFIX = ".zh.md"
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def pairs() -> list[tuple[Path, Path]]:
    """Each Chinese page with the English one before it."""
    return [(page.with_name(page.name.replace(SUFFIX, ".md")), page) for page in sorted(DOCS.rglob(f"*{SUFFIX}"))]


def blocks(text: str) -> list[str]:
    """The blocks of code of a page, with their fences."""
    return _FENCED.findall(text)


def with_blocks(chinese: str, wanted: list[str]) -> str:
    """A page with these blocks in place of its own.

    Raises:
        ValueError: it has another number of blocks.
    """
    if (count := len(blocks(chinese))) != len(wanted):
        raise ValueError(f"the Chinese page has {count} blocks of code, the English one {len(wanted)}")
    left = iter(wanted)
    return _FENCED.sub(lambda _: next(left), chinese)


def main() -> None:
    """Bring the Chinese pages up to date."""
    for english, page in pairs():
        try:
            text = with_blocks(page.read_text(encoding="utf-8"), blocks(english.read_text(encoding="utf-8")))
        except ValueError as error:
            raise SystemExit(f"{page.name}: {error}; write what is new there first") from error
        write_whole(page, text)


if __name__ == "__main__":
    main()
