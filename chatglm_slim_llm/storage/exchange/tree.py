"""The messages of a conversation of another program, put into a tree as ours: parents first, nothing empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chatglm_slim_llm.storage.exchange.json_stream import MalformedError
from chatglm_slim_llm.storage.whole import WholeMessage


@dataclass(frozen=True)
class Node:
    """A message where it stood there."""

    key: str
    parent: str | None
    """The node that it follows; a node whose parent is not there is one of the first."""
    message: WholeMessage | None
    """``None`` for what nobody reads, such as a tool's request: what follows it hangs below the one before it."""


@dataclass(frozen=True)
class Tree:
    """What ``planted`` makes of nodes."""

    messages: tuple[WholeMessage, ...]
    head: int | None


def planted(nodes: Sequence[Node], shown: str | None = None) -> Tree:
    """All branches in their order, each message after its parent; an answer in several pieces becomes one message.

    Args:
        nodes: in any order; siblings keep theirs.
        shown: the node up to which the conversation is shown; without it, the newest of the last ones.

    Raises:
        MalformedError: the nodes form a circle.
    """
    children = _children(nodes)
    messages: list[WholeMessage] = []
    place_of: dict[str, int | None] = {}
    waiting: list[tuple[Node, int | None, bool]] = [(root, None, False) for root in reversed(children.get(None, []))]
    while waiting:
        node, parent, is_alone = waiting.pop()
        place = _place(node, parent, messages, is_alone=is_alone)
        place_of[node.key] = place
        below = children.get(node.key, [])
        # Below a node that was left out and has siblings, nothing may be joined to what is above them all.
        is_only = len(below) == 1 and (is_alone or node.message is not None)
        waiting += [(child, place, is_only) for child in reversed(below)]
    if len(place_of) < len(nodes):
        raise MalformedError("its messages form a circle")
    head = place_of.get(shown) if shown is not None else None
    return Tree(tuple(messages), _newest_leaf(messages) if head is None else head)


def _children(nodes: Sequence[Node]) -> dict[str | None, list[Node]]:
    known = {node.key for node in nodes}
    if len(known) < len(nodes):
        raise MalformedError("two of its messages have one id")
    children: dict[str | None, list[Node]] = {}
    for node in nodes:
        children.setdefault(node.parent if node.parent in known else None, []).append(node)
    return children


def _place(node: Node, parent: int | None, messages: list[WholeMessage], *, is_alone: bool) -> int | None:
    """Add a node's message, or join it to the one it goes on from; returns where it stands."""
    if node.message is None:
        return parent
    if parent is not None and is_alone and messages[parent].role == node.message.role:
        messages[parent] = _joined(messages[parent], node.message)
        return parent
    messages.append(replace(node.message, parent=parent))
    return len(messages) - 1


def _joined(first: WholeMessage, second: WholeMessage) -> WholeMessage:
    offset = max((source.number for source in first.sources), default=0)
    if offset and second.sources:  # their numbers would clash; the text's own would be wrong
        second = replace(second, sources=())
    return replace(
        first,
        content="\n\n".join(part for part in (first.content, second.content) if part),
        finish_reason=second.finish_reason,
        figures=second.figures or first.figures,
        attachments=first.attachments + second.attachments,
        sources=first.sources + second.sources,
        tool_uses=first.tool_uses + second.tool_uses,
    )


def _newest_leaf(messages: Sequence[WholeMessage]) -> int | None:
    parents = {message.parent for message in messages}
    leaves = [place for place in range(len(messages)) if place not in parents]
    return max(leaves, key=lambda place: (messages[place].created_at, place), default=None)
