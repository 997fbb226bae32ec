"""Runs the examples of the guide, the start and the questions, and writes what they print below them.

    python -m docs.run [--write] [PAGE ...]

A page's Python blocks are one program. A ``text`` block after one is what it prints; ``--write`` puts it there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chatglm_slim_llm.writing import write_whole

DOCS = Path(__file__).parent
GUIDE = DOCS / "guide"
PAGES = [*sorted(set(GUIDE.glob("*.md")) - set(GUIDE.glob("*.zh.md"))), DOCS / "index.md", DOCS / "faq.md"]
"""The pages whose examples run; the Chinese ones have the same examples."""
_BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL)
_MARK = "\n--- the next block ---\n"

# Importing torch and LangChain takes seconds, a page a tenth of one: so they are imported once, and each program runs
# in a fork. Programs and outcomes go through standard input and output as JSON.
_RUN_ALL = """
import gc, json, os, sys, tempfile, traceback, warnings
gc.set_threshold(10_000)
import chatglm_slim_llm.checkpoint.loading, chatglm_slim_llm.engine, chatglm_slim_llm.llm, langchain.agents
gc.freeze()  # or each fork would look for garbage in all of it, and copy it thereby
outcomes = []
for code, home in json.load(sys.stdin):
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # no thread of Python's runs yet
            child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1), os.dup2(errors.fileno(), 2)
            os.environ["CHATGLM_SLIM_HOME"] = os.environ["LLM_USER_PATH"] = home
            os.chdir(home)
            status = 0
            try:
                exec(compile(code, "<example>", "exec"), {"__name__": "__main__"})
            except BaseException:
                traceback.print_exc()
                status = 1
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0), errors.seek(0)
        outcomes.append((status, output.read().decode(), errors.read().decode()))
json.dump(outcomes, sys.stdout)
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a program."""

    status: int
    output: str
    errors: str


def run_all(programs: Sequence[str]) -> list[Outcome]:
    """Run programs offline, each in a process and a home of its own; warnings are errors. Not on Windows."""
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder) / str(number) for number in range(len(programs))]
        for home in homes:
            home.mkdir()
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", _RUN_ALL],
            input=json.dumps([(code, str(home)) for code, home in zip(programs, homes, strict=True)]),
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"},
            check=True,
        )
    return [Outcome(*outcome) for outcome in json.loads(done.stdout)]


def read(page: Path) -> list[tuple[str, str | None]]:
    """The Python blocks of a page, each with the output that stands below it."""
    return [(match["code"], match["output"]) for match in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


def run(pages: Sequence[Path]) -> dict[Path, list[str]]:
    """What each block of each page prints.

    Raises:
        RuntimeError: a block fails; the message has its traceback.
    """
    programs = ["\n".join(f"{code}\nprint({_MARK!r}, end='')" for code, _ in read(page)) for page in pages]
    printed = {}
    for page, outcome in zip(pages, run_all(programs), strict=True):
        if outcome.status:
            raise RuntimeError(f"{page.name}: {outcome.errors}")
        printed[page] = outcome.output.split(_MARK)[:-1]
    return printed


def write(page: Path, printed: Sequence[str]) -> None:
    """Put what the blocks print below them."""
    outputs = iter(printed)

    def with_output(match: re.Match[str]) -> str:
        output = next(outputs)
        return f"```python\n{match['code']}```\n" + (f"\n```text\n{output}```\n" if output else "")

    text = _BLOCK.sub(with_output, page.read_text(encoding="utf-8"))
    write_whole(page, text)


def main() -> None:
    """Run the pages, and write their outputs if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the outputs below the blocks")
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES)
    arguments = parser.parse_args()
    for page, printed in run(arguments.pages).items():
        if arguments.write:
            write(page, printed)
        else:
            print(page.name, *printed, sep="\n")


if __name__ == "__main__":
    main()
