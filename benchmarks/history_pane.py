"""What the history pane costs with 10,000 conversations: listing them, a key, a view, what is found.

    python -m benchmarks.history_pane [--conversations 10000] [--runs 15]

CPU time, the median of the runs. Listing is beyond the query of the store, which is told beside it, and may be 50 ms.
The exit status is 1 if it is more.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from textual.app import App, ComposeResult

from chatglm_slim_llm.storage import ConversationStore, Draft
from tui.widgets.history import History
from tui.widgets.history_list import HistoryList
from tui.widgets.history_rows import rows_found

_MOST_MS = 50.0


class _Pane(App[None]):
    def __init__(self, store: ConversationStore) -> None:
        super().__init__()
        self._store = store

    def compose(self) -> ComposeResult:
        yield History(self._store)


def _fill(store: ConversationStore, count: int) -> None:
    for number in range(count):
        title = f"Conversation {number} 关于旋转位置编码"
        one = store.create(
            title, [Draft("user", f"问题 {number}: why rotary?"), Draft("assistant", "Because.", "stop")]
        )
        if number % 50 == 0:
            store.move(one.id, f"Folder {number % 7}")


def _median_ms(act: Callable[[], object], runs: int) -> float:
    taken: list[float] = []
    for _ in range(runs):
        start = time.process_time()
        act()
        taken.append(time.process_time() - start)
    return statistics.median(taken) * 1000


async def _measure(store: ConversationStore, runs: int) -> float:
    app = _Pane(store)
    async with app.run_test(size=(100, 40)) as pilot:
        history, listed = app.query_one(History), app.query_one(HistoryList)
        history.show(None)
        await pilot.pause()
        query = _median_ms(store.conversations, runs)
        listing = _median_ms(lambda: history.show(None), runs) - query
        key = _median_ms(lambda: listed.action_move(1), runs)
        view = _median_ms(lambda: [listed.render_line(y) for y in range(listed.size.height)], runs)
        hits = store.search("rotary")
        found = _median_ms(lambda: listed.show(rows_found(hits, "rotary"), nothing="", current_id=None), runs)
        lines = listed.size.height
    print(f"listing {listing:.1f} ms beyond the query's {query:.1f} ms; a key {key:.2f} ms; a view of {lines} lines")
    print(f"{view:.1f} ms; {len(hits)} hits {found:.1f} ms")
    return listing


def main() -> int:
    """Print the figures; 1 if listing takes too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ConversationStore.open(Path(folder) / "history.db") as store:
        _fill(store, arguments.conversations)
        return int(asyncio.run(_measure(store, arguments.runs)) > _MOST_MS)


if __name__ == "__main__":
    sys.exit(main())
