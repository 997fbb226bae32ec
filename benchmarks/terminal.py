"""How quick the terminal assistant is, beside what it must hold.

    python -m benchmarks.terminal [WHAT ...] [--runs 3]

WHAT is one or more of paint, open, keys, stream, change, huge; all of them by default. The real app runs, with a model
that says what it is told (`terminal_app.py`); medians of several runs. CPU is that of the process, user and system.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pyte
from textual import events

from benchmarks import paint
from benchmarks.terminal_app import ANSWER, Told, app, fill
from chatglm_slim_llm.storage import ConversationStore, Draft
from tui.messages import ConversationChosen, PromptSubmitted
from tui.widgets.conversation import Conversation

_SIZE = (100, 40)
_NUM_KEYS = 60
_NUM_TOKENS = 250
_LONG = 20_000  # characters of an answer
STREAMS = {
    "text with code and tables": ANSWER.format(number=1) * 80,
    "one long block of code": "```python\n" + "def foo(x): return x + 1  # 注释\n" * 1000,
    "one long table": "| a | b | c |\n|---|---|---|\n" + "| 1 | 中文内容 | something |\n" * 1000,
    "one long list": "- item **one** and more 文字\n" * 1000,
    "one long quote": "> item **one** and more 文字\n" * 1000,
    "one long paragraph": "word 中文 and **more** of it " * 360,  # longer ones are shown as they were written
}
HUGE = {
    "one line": "word 中文 " * 120_000,
    "many lines": "word 中文 and more\n" * 55_000,
    "Markdown": ANSWER.format(number=1) * 1_900,
    "a block of code": "```python\n" + "x = foo(1, 2)  # comment here\n" * 33_000 + "```\n",
    "a table": "| a | b | c |\n|---|---|---|\n" + "| 1 | 中文内容 | something |\n" * 33_000,
    "a list": "- item **one** and more text\n" * 33_000,
    "100,000 [": "[" * 100_000,
    "100,000 *": "*" * 100_000,
    "100,000 `": "`" * 100_000,
}


def show(what: str, figures: list[float], unit: str, limit: float, *, scale: float = 1.0) -> None:
    """One line: what, the median, what it may be."""
    median = statistics.median(figures) * scale
    verdict = "" if median <= limit else "   TOO MUCH"
    print(f"{what:<58} {median:9.3f} {unit:<8} limit {limit:g}{verdict}", flush=True)


def _rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def _store() -> Iterator[ConversationStore]:
    with tempfile.TemporaryDirectory() as folder, ConversationStore.open(Path(folder) / "history.db") as store:
        (Path(folder) / "settings.toml").touch()  # else it greets a newcomer
        yield store


async def _cpu(pilot: Any, do: Callable[[], Any]) -> float:
    """CPU seconds until what ``do`` has started is painted."""
    began = time.process_time()
    result = do()
    if isinstance(result, Awaitable):
        await result
    await pilot.pause()
    await pilot.pause()
    return time.process_time() - began


def _choose(running: Any, conversation_id: int, count: int) -> Callable[[], Awaitable[None]]:
    async def choose() -> None:
        conversation = running.screen.query_one(Conversation)
        conversation.post_message(ConversationChosen(conversation_id))
        while len(conversation.entries) != count:
            await asyncio.sleep(0.01)

    return choose


# --- what is measured


async def measure_open(runs: int) -> None:
    """Conversations of 1,000 and of 5,000 messages, from the file to the screen."""
    with _store() as store:
        ids = {count: fill(store, count) for count in (1_000, 5_000)}
        small = fill(store, 4)
        running = app(store, Told("", "", 50))
        async with running.run_test(size=_SIZE) as pilot:
            await pilot.pause(1)
            for count, limit in ((1_000, 0.3), (5_000, 0.5)):
                before, figures = _rss_mb(), []
                for _ in range(runs):
                    figures.append(await _cpu(pilot, _choose(running, ids[count], count)))
                    grown = _rss_mb() - before
                    await _cpu(pilot, _choose(running, small, 4))
                show(f"open {count:,} messages, CPU", figures, "s", limit)
                if count == 1_000:
                    show(f"open {count:,} messages, memory", [grown], "MB", 20)


async def measure_change(runs: int) -> None:
    """Another size, another theme, the terminal losing and getting the keyboard."""
    for count in (5_000, 20_000):
        with _store() as store:
            fill(store, count)
            running = app(store, Told("", "", 50))
            async with running.run_test(size=_SIZE) as pilot:
                await pilot.pause(2)
                await _changes(running, pilot, f"{count:,} messages, CPU", runs)


async def _changes(running: Any, pilot: Any, where: str, runs: int) -> None:
    def use(theme: str) -> None:
        running.theme = theme

    changes: dict[str, list[Callable[[], Any]]] = {
        "resize": [lambda: pilot.resize_terminal(80, 40), lambda: pilot.resize_terminal(*_SIZE)],
        "theme": [lambda: use("textual-light"), lambda: use("nord")],
        "focus out": [lambda: running.post_message(events.AppBlur())],
        "focus in": [lambda: running.post_message(events.AppFocus())],
    }
    for name, steps in changes.items():
        show(f"{name}, {where}", [await _cpu(pilot, step) for step in steps * runs], "s", 0.1)


async def measure_stream(runs: int) -> None:
    """CPU of the interface's thread for each token that comes in at 50 a second, less what it takes when idle."""
    for name, text in STREAMS.items():
        figures = []
        for _ in range(runs):
            length = min(_LONG, len(text))
            first, rest = text[: length - 3 * _NUM_TOKENS], text[length - 3 * _NUM_TOKENS : length]
            with _store() as store:
                fill(store, 1_000)
                running = app(store, Told(first, rest, 50))
                async with running.run_test(size=_SIZE) as pilot:
                    figures.append(await _cpu_of_stream(running, pilot, length))
        show(f"a token, {name}, CPU", figures, "ms", 1, scale=1000)


async def _cpu_of_stream(running: Any, pilot: Any, length: int) -> float:
    await pilot.pause(2)
    gc.collect()  # of the apps before it in this process; a user has one
    conversation = running.screen.query_one(Conversation)
    conversation.post_message(PromptSubmitted("go"))
    while not conversation.entries[-1].text:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    reply = conversation.entries[-1]
    began, began_at, started = time.thread_time(), time.monotonic(), len(reply.text)
    while len(reply.text) < length - 30:  # the end has costs of its own
        await asyncio.sleep(0.1)
    used, wall_s, num_tokens = time.thread_time() - began, time.monotonic() - began_at, (len(reply.text) - started) / 3
    while reply.growing:
        await asyncio.sleep(0.1)
    await pilot.pause(0.5)
    began = time.thread_time()
    await asyncio.sleep(wall_s / 2)
    return (used - (time.thread_time() - began) * 2) / num_tokens


def measure_keys(runs: int) -> None:
    """From a key to its letter on a real terminal's screen, while an answer streams into 1,000 messages."""
    figures: list[float] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "history.db"
            (path.parent / "settings.toml").touch()
            with ConversationStore.open(path) as store:
                fill(store, 1_000)
            figures += _latencies(path)
    figures.sort()
    print(f"{'key to paint while 50 tokens/s stream in, median':<58} {statistics.median(figures) * 1000:9.3f} ms")
    show("key to paint while 50 tokens/s stream in, p95", [figures[int(len(figures) * 0.95) - 1]], "ms", 50, scale=1000)


def _latencies(path: Path) -> list[float]:
    screen = pyte.Screen(*_SIZE)
    stream = pyte.ByteStream(screen)
    environ = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "CHATGLM_SLIM_HOME": str(path.parent)}
    command = ["-m", "benchmarks.terminal_app", str(path)]
    child = pexpect.spawn(sys.executable, command, env=environ, dimensions=_SIZE[::-1])
    child.delaybeforesend = None  # 50 ms unless told

    def read(until: float, wanted: bytes = b"") -> bytes:
        got = b""
        while time.monotonic() < until and not (wanted and wanted in got):
            try:
                got += child.read_nonblocking(1 << 16, timeout=0.002)
            except pexpect.TIMEOUT:
                continue
        return got

    stream.feed(read(time.monotonic() + 3))
    child.send("go\r")
    stream.feed(read(time.monotonic() + 1.5))
    latencies = []
    for number in range(_NUM_KEYS):
        key = "鑫" if number % 2 else "Ж"  # neither stands in what streams in
        began = time.monotonic()
        child.send(key)
        got = read(began + 3, key.encode())
        latencies.append(time.monotonic() - began if key.encode() in got else 3.0)
        read(time.monotonic() + 0.05)
    child.close(force=True)
    return latencies


async def measure_huge(runs: int) -> None:
    """A message of a megabyte."""
    for name, text in HUGE.items():
        with _store() as store:
            huge = store.create("huge", [Draft("user", "?"), Draft("assistant", text, "stop")]).id
            small = fill(store, 4)
            running = app(store, Told("", "", 50))
            async with running.run_test(size=_SIZE) as pilot:
                await pilot.pause(1)
                opened, scrolled = [], []
                for _ in range(runs):
                    opened.append(await _cpu(pilot, _choose(running, huge, 2)))
                    conversation = running.screen.query_one(Conversation)
                    scrolled += [await _cpu(pilot, conversation.scroll_page_up) for _ in range(5)]
                    await _cpu(pilot, _choose(running, small, 4))
                show(f"open a message of {name}, CPU", opened, "s", 1)
                show("  a page up in it, CPU", scrolled, "s", 0.1)


def measure_paint(runs: int) -> None:
    """The first screen of the installed program."""
    show("first paint, CPU", [paint.measure() for _ in range(runs)], "s", 0.6)


def main() -> None:
    """Measure and print."""
    measures: dict[str, Callable[[int], Any]] = {
        "paint": measure_paint,
        "open": measure_open,
        "keys": measure_keys,
        "stream": measure_stream,
        "change": measure_change,
        "huge": measure_huge,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"of {', '.join(measures)}")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    if unknown := set(arguments.what) - set(measures):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    for name in arguments.what or measures:
        result = measures[name](arguments.runs)
        if asyncio.iscoroutine(result):
            asyncio.run(result)


if __name__ == "__main__":
    main()
