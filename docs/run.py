"""Runs the examples of the guide, and writes what they print below them.

    python -m docs.run [--write] [PAGE ...]

A page's Python blocks are one program. A ``text`` block after one is what it prints; ``--write`` puts it there.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

GUIDE = Path(__file__).parent / "guide"
_BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL)
_MARK = "\n--- the next block ---\n"


def read(page: Path) -> list[tuple[str, str | None]]:
    """The Python blocks of a page, each with the output that stands below it."""
    return [(match["code"], match["output"]) for match in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


def run(page: Path) -> list[str]:
    """What each block of a page prints, in a process and a home of its own.

    Raises:
        RuntimeError: a block fails; the message has its traceback.
    """
    program = [part for code, _ in read(page) for part in (code, f"print({_MARK!r}, end='')\n")]
    with tempfile.TemporaryDirectory() as home:
        environ = os.environ | {"CHATGLM_SLIM_HOME": home, "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", "\n".join(program)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=environ,
            cwd=home,
        )
    if done.returncode:
        raise RuntimeError(f"{page.name}: {done.stderr}")
    return done.stdout.split(_MARK)[:-1]


def write(page: Path) -> None:
    """Put what the blocks print below them."""
    outputs = iter(run(page))

    def with_output(match: re.Match[str]) -> str:
        output = next(outputs)
        return f"```python\n{match['code']}```\n" + (f"\n```text\n{output}```\n" if output else "")

    text = _BLOCK.sub(with_output, page.read_text(encoding="utf-8"))
    partial = page.with_name(page.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(page)


def main() -> None:
    """Run the pages, and write their outputs if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the outputs below the blocks")
    parser.add_argument("pages", nargs="*", type=Path, default=sorted(GUIDE.glob("*.md")))
    arguments = parser.parse_args()
    for page in arguments.pages:
        if arguments.write:
            write(page)
        else:
            print(page.name, *run(page), sep="\n")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
