"""How fast the history file is when it is large: listing, opening, searching, saving, deleting.

    python -m benchmarks.storage [--messages 50000] [--runs 7] [--out FILE]

The history has 10,000 conversations, half of them Chinese, one of them with 5,000 messages. A figure is the slowest of
its queries but for one in twenty, each query at the median of its runs, beside what it may be at most. The exit status
is 1 if one is over. Other programs on the machine make the figures larger: CPU time is told beside them.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from benchmarks.peers import machine
from chatglm_slim_llm.storage import ConversationStore, WholeConversation, WholeMessage

_CONVERSATIONS = 10_000
_LONG = 5_000
_SYLLABLES = ("ta", "ri", "mon", "del", "ve", "pro", "con", "sh", "ing", "er", "lo", "qua", "ti", "ex", "ba", "un")
_START = datetime(2024, 1, 1, tzinfo=UTC)

Act = Callable[[], object]


@dataclass(frozen=True)
class Figure:
    """One measurement, in milliseconds."""

    name: str
    median: float
    p95: float
    cpu: float
    """Of this thread, in the median."""
    limit: float | None

    @property
    def is_over(self) -> bool:
        """Whether it takes longer than it may."""
        return self.limit is not None and self.p95 > self.limit

    def __str__(self) -> str:
        limit = "" if self.limit is None else f"of {self.limit:3.0f} ms ({self.p95 / self.limit:.2f})"
        return f"{self.name:36} median {self.median:7.2f}  p95 {self.p95:7.2f} {limit}  CPU {self.cpu:.2f}"


class Writer:
    """Texts whose words are as uneven as those of a language: few are frequent, most are rare."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        words = {"".join(self._random.choices(_SYLLABLES, k=self._random.randint(1, 5))) for _ in range(60_000)}
        self.english = self._random.sample(sorted(words), len(words))
        common, rare = range(0x4E00, 0x4E00 + 400), range(0x4E00 + 400, 0x4E00 + 3400)
        self.chinese = ["".join(map(chr, self._random.choices(common, k=2))) for _ in range(2_000)]
        self.chinese += ["".join(map(chr, self._random.choices(rare, k=2))) for _ in range(20_000)]

    def text(self, is_chinese: bool, length: int) -> str:
        """So many words; each tenfold of ranks is as frequent."""
        words, glue = (self.chinese, "") if is_chinese else (self.english, " ")
        return glue.join(words[int(len(words) ** self._random.random()) - 1] for _ in range(length))

    def conversation(self, number: int, messages: int) -> WholeConversation:
        """Questions and answers in one language."""
        is_chinese = number % 2 == 0
        at = _START + timedelta(minutes=number)
        said = [
            WholeMessage(place - 1 if place else None, "user", self.text(is_chinese, 30), at)
            if place % 2 == 0
            else WholeMessage(place - 1, "assistant", self.text(is_chinese, 150), at, "stop")
            for place in range(messages)
        ]
        return WholeConversation(f"bench:{number}", self.text(is_chinese, 6), at, at, said, messages - 1)


def fill(store: ConversationStore, writer: Writer, messages: int) -> int:
    """Write the history; returns the id of the long conversation."""
    long = store.add_whole(writer.conversation(0, _LONG))
    assert long is not None
    left, others = messages - _LONG, _CONVERSATIONS - 1
    for number in range(1, _CONVERSATIONS):
        store.add_whole(writer.conversation(number, left * number // others - left * (number - 1) // others))
    return long.id


def queries(writer: Writer) -> Mapping[str, Sequence[str]]:
    """What is searched for, by kind."""
    zh, en = writer.chinese, writer.english
    return {
        "one Chinese character": [word[0] for word in (*zh[:8], *zh[500:508], *zh[5_000:5_008])],
        "two, frequent": zh[:20],
        "two, rare": zh[10_000:10_020],
        "four": [a + b for a, b in pairwise(zh[:21])],
        "a frequent English word": en[:20],
        "a rare English word": en[-20:],
        "one letter": list("tmpcvebqluxsri"),
        "two letters": list(_SYLLABLES),
        "three letters": [word[:3] for word in en[:20]],
        "two words": [f"{a} {b}" for words in (en, zh) for a, b in zip(words[:10], words[20:30], strict=True)],
        "in titles": zh[100:110] + en[100:110],
        "nothing to find": ["zzzzzz", "龘龘", f"{en[0]} zzzz"],
        "a sign": ["👍", "→", "!!"],
    }


def measure(name: str, acts: Sequence[Act], runs: int, limit: float | None) -> Figure:
    """Run each several times."""
    walls, cpus = [], []
    for act in acts:
        times = [_timed(act) for _ in range(runs)]
        walls.append(statistics.median(wall for wall, _ in times))
        cpus.append(statistics.median(cpu for _, cpu in times))
    ordered = sorted(walls)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return Figure(name, statistics.median(walls), p95, statistics.median(cpus), limit)


def _timed(act: Act) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.thread_time()
    act()
    return (time.perf_counter() - wall) * 1000, (time.thread_time() - cpu) * 1000


def searching(store: ConversationStore, writer: Writer, runs: int) -> list[Figure]:
    """How long searches take, by kind."""
    return [
        measure(f"search: {kind}", [lambda word=word: store.search(word) for word in words], runs, 50)  # type: ignore[misc]
        for kind, words in queries(writer).items()
    ]


def reading(store: ConversationStore, long_id: int, runs: int) -> list[Figure]:
    """How long lists and conversations take."""
    acts: list[tuple[str, Act, float | None]] = [
        ("conversations() of 10,000", lambda: store.conversations(), 50),
        ("messages() of 5,000", lambda: store.messages(long_id), 60),
        ("variant_counts() of 5,000", lambda: store.variant_counts(long_id), 60),
        ("attachments_of_path() of 5,000", lambda: store.attachments_of_path(long_id), 60),
        ("prompts()", lambda: store.prompts(), 10),
        ("count(), folders(), revision()", lambda: (store.count(), store.folders(), store.revision()), 10),
    ]
    return [measure(name, [act], runs, limit) for name, act, limit in acts]


def writing(store: ConversationStore, long_id: int, runs: int) -> list[Figure]:
    """How long it takes to save a prompt and a growing answer, and to delete for good."""
    head_id = store.conversation(long_id).head_id
    text = "a growing answer " * 200
    _, answer = store.begin(long_id, head_id, "a question")
    doomed = iter([store.create(f"doomed {number}").id for number in range(3)])
    return [
        measure("begin() after 5,000", [lambda: store.begin(long_id, head_id, "a question")], runs, 10),
        measure("update() with 3,400 characters", [lambda: store.update(answer.id, text)], runs, 5),
        measure("update() that ends it", [lambda: store.update(answer.id, text, finish_reason="stop")], runs, 10),
        measure("delete(), words and all", [lambda: store.delete(next(doomed))], 3, None),
    ]


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    return parser.parse_args(argv)


def main() -> int:
    """Fill a history, measure, print; returns the exit status."""
    args = parse()
    writer = Writer()
    with tempfile.TemporaryDirectory() as folder, ConversationStore.at(Path(folder) / "history.db") as store:
        start = time.perf_counter()
        long_id = fill(store, writer, args.messages)
        filled_s, megabytes = time.perf_counter() - start, store.path.stat().st_size / 1e6
        print(f"{args.messages:,} messages written in {filled_s:.0f} s, {megabytes:.0f} MB")
        figures: list[Figure] = []
        for part in (searching(store, writer, args.runs), reading(store, long_id, args.runs)):
            figures += part
        figures += writing(store, long_id, args.runs)
        print("\n".join(map(str, figures)))
    if args.out:
        report = {"machine": machine(), "messages": args.messages, "megabytes": round(megabytes)}
        rows = [
            {key: round(x, 2) if isinstance(x, float) else x for key, x in asdict(each).items()} for each in figures
        ]
        args.out.write_text(json.dumps(report | {"figures_ms": rows}, indent=1, ensure_ascii=False) + "\n")
    return int(any(figure.is_over for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
