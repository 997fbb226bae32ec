"""`chatglm-tui` with a model that says what it is told, as fast as it is told; `terminal.py` looks at it.

python -m benchmarks.terminal_app STORE [--rate TOKENS_PER_S]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from chatglm_slim_llm.hosting.assistant import ContextUse, ModelFacts, Piece, Progress, Request
from chatglm_slim_llm.storage import ConversationStore, Draft
from tui import settings
from tui.app import ChatApp

PARAGRAPH = "这是一段 **中文** 文字 and some English text with `code`, see [the page](https://example.com/a)。 "
ANSWER = f"""## 标题 {{number}}

{PARAGRAPH * 4}

1. 第一 one
2. second
   - nested 嵌套

```python
def f{{number}}(x):
    return x + {{number}}  # 注释
```

| a | b |
|---|---|
| {{number}} | 中文 |

结尾 text.
"""
_TOKEN = 3  # characters


class Told:
    """An assistant that says ``first`` at once and then ``rest``, token by token."""

    def __init__(self, first: str, rest: str, rate: float) -> None:
        self._first, self._rest, self._rate = first, rest, rate

    def is_available(self) -> bool:
        return True

    def is_loaded(self) -> bool:
        return True

    def load(self, progress: Progress) -> ModelFacts:
        return ModelFacts("told", "fp16", "cpu", 2048)

    def count(self, request: Request) -> ContextUse:
        return ContextUse(1000, 2048)

    def stream(self, request: Request) -> Generator[Piece]:
        yield Piece(self._first)
        started = time.monotonic()
        for number, token in enumerate(tokens(self._rest)):
            time.sleep(max(started + number / self._rate - time.monotonic(), 0))
            yield Piece(token)
        yield Piece("", "stop")

    def close(self) -> None:
        pass


def tokens(text: str) -> Iterator[str]:
    """A text in pieces of a token each."""
    yield from (text[start : start + _TOKEN] for start in range(0, len(text), _TOKEN))


def fill(store: ConversationStore, num_messages: int) -> int:
    """A conversation as people have them, in Chinese and English, with code and tables; returns its id."""
    drafts = [
        Draft("assistant", ANSWER.format(number=number), "stop")
        if number % 2
        else Draft("user", f"问题 {number}: 怎么做 how do I do this?")
        for number in range(num_messages)
    ]
    return store.create(f"{num_messages} messages", drafts).id


def app(store: ConversationStore, told: Told) -> ChatApp:
    """The real one, but for the model."""
    loaded = settings.load(store.path.parent / "settings.toml", {}, {})
    return ChatApp(loaded, store, assistants=lambda _settings: told, settings_file=store.path.parent / "settings.toml")


def main() -> None:
    """Run until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--rate", type=float, default=50, help="tokens a second")
    arguments = parser.parse_args()
    with ConversationStore.open(arguments.store) as store:
        app(store, Told("", ANSWER.format(number=1) * 40, arguments.rate)).run()


if __name__ == "__main__":
    main()
