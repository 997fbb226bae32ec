"""A history for the pictures: chats written by hand, in two languages, on believable days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from chatglm_slim_llm.storage import ChatSettings, ConversationStore, Figures, Source
from chatglm_slim_llm.storage.whole import WholeConversation, WholeMessage

SORTING = "Quicksort or merge sort?"
SORTING_ZH = "快速排序和归并排序"
HAIKU = "A haiku about autumn rain"
LEAVE = "How many days of leave can I take along?"

_QUICKSORT = """Both sort in `O(n log n)` on average; they differ in *where the work happens* and in what they promise.

```python
def quicksort(items: list[int]) -> list[int]:
    if len(items) < 2:
        return items
    pivot, *rest = items
    smaller = [item for item in rest if item < pivot]
    larger = [item for item in rest if item >= pivot]
    return quicksort(smaller) + [pivot] + quicksort(larger)
```

| | average | worst | memory | stable |
| --- | --- | --- | --- | --- |
| quicksort | n log n | n² | log n | no |
| merge sort | n log n | n log n | n | **yes** |

1. Take **merge sort** when equal items must keep their order.
2. Take **quicksort** when memory is short and the order is random.
"""

_QUICKSORT_ZH = """两者平均都是 `O(n log n)`，区别在于**稳定性**和**内存**。

```python
def merge_sort(items):
    if len(items) < 2:
        return items
    middle = len(items) // 2
    return merge(merge_sort(items[:middle]), merge_sort(items[middle:]))
```

| 算法 | 平均 | 最坏 | 稳定 |
| --- | --- | --- | --- |
| 快速排序 | n log n | n² | 否 |
| 归并排序 | n log n | n log n | **是** |

- 相等的元素要保持原来的次序：用归并排序。
- 内存紧张、数据是乱序的：用快速排序。
"""

_LEAVE = """Up to **five days** go along into the next year [1]; take them **by 31 March**, or they lapse [1].

If you could not take them because the project needed you, your lead can extend that to 30 June [2].
"""

_HAIKUS = (
    "Autumn rain again —\nthe gutter counts to itself,\nloses, and begins.",
    "Rain on fallen leaves:\nsomeone turning, page by page,\nwhat the summer wrote.",
)

HANDBOOK = {
    "leave.md": """# Leave

## Carrying over

Up to five days of leave that were not taken go along into the next year. They are to be taken by 31 March; what is \
left then lapses. Carried days are used first.

## Exceptions

Where urgent work kept somebody from taking carried days in time, the lead may extend the date to 30 June.
""",
    "travel.md": "# Travel\n\nBook trains first; flights only where a train takes more than six hours.\n",
    "报销.md": "# 报销\n\n出差结束后三十天内提交票据，财务每周五付款。\n",
}
"""The files of a knowledge base, by name."""


def _sources(handbook: Path) -> tuple[Source, ...]:
    sections = HANDBOOK["leave.md"].split("\n\n")
    path = str(handbook / "leave.md")
    return (
        Source(1, "leave-1", path, sections[2], heading="Leave › Carrying over", first_line=5, last_line=5),
        Source(2, "leave-2", path, sections[4].strip(), heading="Leave › Exceptions", first_line=9, last_line=9),
    )


_SMALL = (
    (
        0.2,
        "用 awk 统计访问日志",
        "怎样用 awk 统计每个地址的访问次数？",
        "`awk '{n[$1]++} END {for (a in n) print n[a], a}' access.log`",
    ),
    (1.1, "git rebase or merge?", "When should I rebase?", "Rebase what only you have; merge what others have seen."),
    (1.4, "旅行计划：京都三日", "秋天去京都三天，怎么安排？", "第一天东山，第二天岚山，第三天伏见。"),
    (3.2, "Why does my sourdough not rise?", "It stays flat. Why?", "Most often the starter is too cold or too young."),
    (4.0, "读书笔记《三体》", "“黑暗森林”的前提是什么？", "生存是文明的第一需要；文明不断增长，而物质总量不变。"),
    (9.0, "Borrow checker, told with a library", "Explain borrowing", "One may write in a book, or many may read it."),
    (12.0, "拓扑排序怎么判断有环", "拓扑排序怎么判断有环？", "排序结束时还有入度不为零的点，就有环。"),
    (20.0, "面试准备：系统设计", "先准备哪些题目？", "短链接、消息队列、限流。"),
)


def fill(store: ConversationStore, now: datetime, handbook: Path) -> None:
    """Put the chats into an empty history, as if the last days had been spent with them.

    Args:
        store: where they go.
        now: when the last one was written.
        handbook: the folder that the cited file lies in.
    """
    for days, title, question, answer in _SMALL:
        folder = "学习" if "排序" in title or "面试" in title else ""
        _add(store, now - timedelta(days=days), title, [(question, answer)], folder=folder)
    _add(
        store, now - timedelta(hours=3), SORTING_ZH, [("快速排序和归并排序有什么区别？", _QUICKSORT_ZH)], is_pinned=True
    )
    _add_leave(store, now - timedelta(hours=2), _sources(handbook))
    _add_haiku(store, now - timedelta(hours=1))
    _add(store, now, SORTING, [("Quicksort or merge sort: which one, and why?", _QUICKSORT)])


def _add(
    store: ConversationStore,
    when: datetime,
    title: str,
    rounds: Sequence[tuple[str, str]],
    *,
    folder: str = "",
    is_pinned: bool = False,
) -> None:
    messages: list[WholeMessage] = []
    for question, answer in rounds:
        messages.append(_question(len(messages) - 1 if messages else None, question, when))
        messages.append(_answer(len(messages) - 1, answer, when))
    _keep(store, title, when, messages, folder=folder, is_pinned=is_pinned)


def _add_leave(store: ConversationStore, when: datetime, sources: tuple[Source, ...]) -> None:
    answer = _answer(0, _LEAVE, when, sources)
    _keep(store, LEAVE, when, [_question(None, LEAVE, when), answer], settings=ChatSettings(knowledge_base="handbook"))


def _add_haiku(store: ConversationStore, when: datetime) -> None:
    """A question that was edited once, and its answer made anew once."""
    first = "Write a poem about rain."
    messages = [
        _question(None, first, when),
        _answer(0, "Rain, rain, on the window pane …", when),
        _question(None, "Write a haiku about autumn rain, and mind the seasons.", when),
        *(_answer(2, haiku, when) for haiku in _HAIKUS),
    ]
    _keep(store, HAIKU, when, messages)


def _question(parent: int | None, text: str, when: datetime) -> WholeMessage:
    return WholeMessage(parent, "user", text, when)


def _answer(parent: int, text: str, when: datetime, sources: tuple[Source, ...] = ()) -> WholeMessage:
    tokens = max(len(text) // 3, 9)
    return WholeMessage(
        parent, "assistant", text, when, "stop", figures=Figures(tokens, 21.3, 0.42, 88, 2048), sources=sources
    )


def _keep(
    store: ConversationStore,
    title: str,
    when: datetime,
    messages: Sequence[WholeMessage],
    *,
    folder: str = "",
    is_pinned: bool = False,
    settings: ChatSettings | None = None,
) -> None:
    store.add_whole(
        WholeConversation(
            uid=f"sample:{title}",
            title=title,
            created_at=when,
            updated_at=when,
            messages=messages,
            head=len(messages) - 1,
            folder=folder,
            is_pinned=is_pinned,
            settings=settings or ChatSettings(),
        )
    )
