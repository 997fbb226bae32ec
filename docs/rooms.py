"""The picture of architecture.md: the rooms of the program, each on a floor above all that it may know.

    python -m docs.rooms

A test holds the floors against the import contracts in pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from chatglm_slim_llm.writing import write_whole

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Room:
    """A part of the program: what it is called, what it does, and which modules it is."""

    name: str
    does: str
    modules: tuple[str, ...]
    span: int = 3
    """Twelfths of the width."""


_CHAT_MODEL = (
    *("llm", "completion", "batching", "structured", "registration", "asking", "replies", "local_model", "messages"),
    *("local_weights", "call_reader", "llm_options", "weights", "wishes", "signatures", "until", "aside"),
    *("faults", "typed_dicts"),
)
FLOORS: tuple[tuple[str, tuple[Room, ...]], ...] = (
    (
        "programs",
        (
            Room("tui", "the terminal", ("tui",)),
            Room("cli", "chatglm-slim", ("cli",)),
            Room("llm_plugin", "for the llm command", ("llm_plugin",)),
            Room("mcp", "for other assistants", ("mcp",)),
        ),
    ),
    (
        "use",
        (
            Room("hosting", "the model in a process of its own", ("hosting",), 7),
            Room("shipped, toolbox", "our own tools and commands", ("shipped", "toolbox"), 5),
        ),
    ),
    (
        "work",
        (
            Room("retrieval", "documents, passages, answers that cite", ("retrieval",), 7),
            Room("history, checkpointer", "LangChain and LangGraph over the store", ("history", "checkpointer"), 5),
        ),
    ),
    (
        "LangChain",
        (
            Room("llm", "ChatGLMSlim: messages in, chunks out", _CHAT_MODEL, 5),
            Room("embeddings", "vectors", ("embeddings",), 2),
            Room("storage", "conversations, in SQLite", ("storage",), 5),
        ),
    ),
    (
        "engine",
        (
            Room("engine", "token ids in, text out: sampling, stopping, sharing steps", ("engine",), 7),
            Room("checkpoint", "files on disk to a model, and back", ("checkpoint",), 5),
        ),
    ),
    ("transformers", (Room("model", "the network for its Auto classes; nothing else here needs it", ("model",), 12),)),
    ("network", (Room("network", "ChatGLM as torch modules, its tokenizer, its steps", ("network",), 12),)),
    (
        "ground",
        (
            Room("kernels", "products in C++, or in torch", ("kernels",), 4),
            Room("plugins", "what others add", ("plugins",), 4),
            Room("config", "options, folders", ("config",), 4),
        ),
    ),
    ("", (Room("errors", "each says what to do next", ("errors", "writing", "lazily", "emphasis"), 12),)),
)
_WIDTH, _LEFT, _ROW, _GAP, _HEIGHT = 960, 108, 74, 12, 58
_COLOURS = {
    "light": ("#263238", "#5f6f76", "#e0f2ef", "#00897b", "#90a4ae"),
    "dark": ("#eceff1", "#a7b4ba", "#12302e", "#4db6ac", "#607d8b"),
}
_FONT = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"


def svg(look: str) -> str:
    """The picture for a ``light`` or a ``dark`` page."""
    ink, faint, ground, line, arrow = _COLOURS[look]
    height = len(FLOORS) * _ROW + 8
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="{_FONT}">',
            "<title>The rooms of ChatGLM-Slim, top to bottom; each may import what is on a floor below</title>",
            f"<style>.n{{font-weight:600;font-size:17px;fill:{ink}}}.d{{font-size:13.5px;fill:{faint}}}"
            f".f{{font-size:13px;fill:{faint}}}rect{{fill:{ground};stroke:{line};stroke-width:1.4}}</style>",
            *_arrow(height, arrow),
            *(part for number, (title, rooms) in enumerate(FLOORS) for part in _floor(number, title, rooms)),
            "</svg>\n",
        ]
    )


def _arrow(height: int, colour: str) -> Iterator[str]:
    yield (
        f'<path d="M14 8V{height - 22}M7 {height - 30}l7 9 7-9" fill="none" stroke="{colour}" stroke-width="2"'
        ' stroke-linecap="round" stroke-linejoin="round"/>'
    )


def _floor(number: int, title: str, rooms: Iterable[Room]) -> Iterator[str]:
    top = number * _ROW + 6
    yield f'<text class="f" x="30" y="{top + _HEIGHT / 2 + 5:g}">{escape(title)}</text>'
    unit = (_WIDTH - _LEFT - 4) / 12
    column = 0
    for room in rooms:
        left, width = _LEFT + column * unit, room.span * unit - _GAP
        middle = left + width / 2
        yield f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_HEIGHT}" rx="8"/>'
        yield f'<text class="n" x="{middle:.1f}" y="{top + 25}" text-anchor="middle">{escape(room.name)}</text>'
        yield f'<text class="d" x="{middle:.1f}" y="{top + 45}" text-anchor="middle">{escape(room.does)}</text>'
        column += room.span


def main() -> None:
    """Draw both pictures."""
    for look in _COLOURS:
        path = ASSETS / f"rooms-{look}.svg"
        write_whole(path, svg(look))


if __name__ == "__main__":
    main()
