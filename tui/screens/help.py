"""What can be done from here, by which keys: the focused widget first, then the screen, the program, the commands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingsMap, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static

from tui import keys
from tui.commands import COMMANDS, Command
from tui.language import tr

_MANY = 12
"""What a place has more of, such as the keys of editing, comes after everything else."""


@dataclass(frozen=True)
class Section:
    """Keys that belong together."""

    title: str
    rows: tuple[tuple[str, str], ...]
    """Keys and what they do."""
    early: int = _MANY
    """How many of them come before the sections of other places."""

    def holding(self, words: str) -> Section:
        """Only the rows in which every one of the words stands."""
        wanted = words.lower().split()
        rows = (row for row in self.rows if all(word in " ".join(row).lower() for word in wanted))
        return Section(self.title, tuple(rows))


class Help(ModalScreen[None]):
    """Every key and command, to scroll and to search; Escape, F1 or Enter closes it."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    Help {
        align: center middle;
        & > Vertical {
            width: 76; max-width: 100%; height: 96%; padding: 0 1;
            border: round $primary; border-title-color: $primary; background: $surface;
        }
        & Input { margin: 0 0 1 0; padding: 0 1; background: $boost; }
        & VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
        & Static { padding: 0 1; }
        & .help--title { color: $primary; text-style: bold; }
        & .help--key { color: $accent; }
    }
    Help.-short > Vertical { border: none; height: 100%; padding: 0; }
    Help.-short Input { margin: 0; }
    .-accessible Help > Vertical { border: none; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"help--title", "help--key"}
    VERTICAL_BREAKPOINTS = [(0, "-short"), (12, "-tall")]  # noqa: RUF012  (Textual declares no ClassVar)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1", "dismiss", "Close", id="help.close", tooltip="Close the help"),
        Binding("up", "scroll(-1)", "Up", show=False, id="help.up", tooltip="A line up"),
        Binding("down", "scroll(1)", "Down", show=False, id="help.down", tooltip="A line down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="help.page_up", tooltip="A page up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="help.page_down", tooltip="A page down"),
    ]

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self._sections = sections(screen)

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = tr("Keys and commands")
            box.border_subtitle = tr("Esc closes")
            yield Input(placeholder=tr("Search"), compact=True)
            with VerticalScroll(can_focus=False):
                yield Static(id="keys")

    def on_mount(self) -> None:
        self._list("")

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        self._list(event.value)

    @on(Input.Submitted)
    def _close(self) -> None:
        self.dismiss()

    def _list(self, words: str) -> None:
        title, key = (self.get_component_rich_style(f"help--{part}", partial=True) for part in ("title", "key"))
        found = [section for section in (section.holding(words) for section in self._sections) if section.rows]
        width = max((len(shown) for section in found for shown, _ in section.rows), default=0)
        parts: list[Table | Text] = []
        for section in found:
            parts += [Text(section.title, title), self._table(section, str(key), min(width, 22)), Text()]
        shown = Group(*parts[:-1]) if found else Text(tr("Nothing here is called that."))
        self.query_one("#keys", Static).update(shown)
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def _table(self, section: Section, key_style: str, width: int) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(width=width if self.size.width >= 60 else None, ratio=None if self.size.width >= 60 else 1)
        table.add_column(ratio=1)
        for shown, does in section.rows:
            table.add_row(Text(shown, key_style), Text(does))
        return table

    def action_scroll(self, lines: int) -> None:
        """Scroll while the search keeps the keyboard."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by what is seen."""
        self.action_scroll(pages * max(1, self.query_one(VerticalScroll).size.height - 1))


def sections(screen: Screen[Any]) -> tuple[Section, ...]:
    """What the keys of a screen do, as they are now; what has the keyboard comes first."""
    chain = [pair for pair in screen._binding_chain if pair[0] is not screen and pair[0] is not screen.app]
    nodes = {node for node, _bindings in chain}
    others = [_bindings_of(widget) for widget in screen.query("*") if widget not in nodes]
    maps = [*(bindings for _node, bindings in chain), _bindings_of(screen), _bindings_of(screen.app), *others]
    found = [_section(bindings) for bindings in maps]
    short = [Section(section.title, section.rows[: section.early]) for section in found]
    rest = [Section(section.title, section.rows[section.early :]) for section in found]
    return tuple(section for section in dict.fromkeys([*short, _commands(screen), *rest]) if section.rows)


def _bindings_of(node: DOMNode) -> BindingsMap:
    bindings = node._bindings.copy()
    bindings.apply_keymap(node.app._keymap)
    return bindings


def _section(bindings: BindingsMap) -> Section:
    """The bindings that have an id, which are ours; those of Textual's own widgets go without saying."""
    ours: dict[str, list[Binding]] = {}
    for _key, binding in bindings:
        if binding.id:
            ours.setdefault(binding.id, []).append(binding)
    area = next(iter(ours), "").partition(".")[0]
    title = tr(area.replace("_", " ").capitalize()) if area else ""
    first = sorted(ours.values(), key=lambda same: not same[0].show)
    rows = tuple((_keys(same), tr(same[0].tooltip or same[0].description)) for same in first)
    if len(rows) > _MANY and not first[0][0].show:  # a text to edit: what every one of them has
        return Section(tr("Editing text"), rows, early=0)
    return Section(title, rows)


def _keys(bindings: Iterable[Binding]) -> str:
    return keys.shown(",".join(dict.fromkeys(binding.key for binding in bindings)))


def _commands(screen: Screen[Any]) -> Section:
    commands: Iterable[Command] = getattr(screen, "commands", COMMANDS)
    rows = tuple((f"/{c.name} {tr(c.argument) if c.argument else ''}".strip(), c.about) for c in commands)
    return Section(tr("Commands"), rows)
