"""A passage that an answer rests on, as it was quoted, and the file that it came from."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from chatglm_slim_llm.storage import Source
from tui import clipboard
from tui.language import tr
from tui.local_models import short_path
from tui.opening import State, file_of, may_open, open_file, state_of
from tui.reasons import told
from tui.screens.dialog import HEIGHTS, Panel, Said
from tui.widgets.prose import Prose
from tui.wrapping import visible

_PAGES = {"pptx": "slide {page}", "xlsx": "sheet {page}", "epub": "chapter {page}"}


class PassageScreen(ModalScreen[None]):
    """One of the sources of an answer; the arrows go to the others."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    PassageScreen {
        align: center middle;
        & Panel { width: 84; max-height: 96%; overflow: hidden; padding: 1 1 0 2; }
        & #passage-where { height: auto; }
        & #passage-body {
            height: auto; margin: 1 0; scrollbar-size-vertical: 1; padding-right: 1;
            border-left: outer $primary 60%; padding-left: 1;
        }
        & #passage-body:focus { border-left: outer $accent; }
    }
    PassageScreen.-short Panel { padding: 0; max-height: 100%; }
    PassageScreen.-short #passage-body { margin: 0; }
    PassageScreen.-short #passage-where { height: 1; }
    .-accessible PassageScreen #passage-body { border-left: none; padding-left: 0; }
    """
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "close", "Close", id="passage.close", tooltip="Back to the conversation"),
        Binding("left", "step(-1)", "Previous", id="passage.previous", tooltip="The source before this one"),
        Binding("right", "step(1)", "Next", id="passage.next", tooltip="The next source"),
        Binding("o", "open", "Open file", id="passage.open", tooltip="Open the file that the passage came from"),
        Binding("c", "copy", "Copy", id="passage.copy", tooltip="Copy the passage"),
    ]

    def __init__(self, sources: Sequence[Source], number: int) -> None:
        super().__init__()
        self._sources = list(sources)
        self._place = next((place for place, each in enumerate(self._sources) if each.number == number), 0)

    def compose(self) -> ComposeResult:
        with Panel() as panel:
            panel.border_subtitle = self._keys
            yield Static(id="passage-where", markup=False)
            yield Said(id="passage-said")
            with VerticalScroll(id="passage-body"):
                yield Prose()

    async def on_mount(self) -> None:
        self.query_one("#passage-body").focus()
        await self._show()

    @property
    def _source(self) -> Source:
        return self._sources[self._place]

    @property
    def _keys(self) -> str:
        others = [tr("← → other sources")] if len(self._sources) > 1 else []
        return " · ".join([*others, tr("o opens the file"), tr("c copies"), tr("Esc closes")])

    async def _show(self) -> None:
        source = self._source
        of = tr("{place} of {count}", place=self._place + 1, count=len(self._sources))
        self.query_one(Panel).border_title = f"{tr('Source')} [{source.number}]".replace("[", r"\[") + f" · {of}"
        self.query_one("#passage-where", Static).update(_where(source))
        self.query_one("#passage-body Prose", Prose).update(visible(source.text))
        self.query_one("#passage-body", VerticalScroll).scroll_home(animate=False)
        self._say("")
        state = await asyncio.to_thread(state_of, source)
        if source is self._source:
            self._tell(state)

    def on_resize(self) -> None:
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Leave the passage what room there is beside the rest: a style sheet has no word for that."""
        body = self.query_one("#passage-body")
        panel = self.query_one(Panel)
        others = sum(each.outer_size.height + each.styles.margin.height for each in panel.children if each.display)
        others -= body.outer_size.height
        most = int(self.size.height * (1 if self.has_class("-short") else 0.96))
        body.styles.max_height = max(most - panel.gutter.height - others, 2)

    def _tell(self, state: State) -> None:
        sentences = {
            "changed": tr("The file has changed since: these words are not in it any more."),
            "gone": tr("The file is gone; the passage was kept with the answer."),
            "elsewhere": tr("This passage did not come from a file of this machine."),
        }
        self._say(sentences.get(state, ""), is_problem=state in ("changed", "gone"))

    def _say(self, text: str, *, is_problem: bool = False) -> None:
        self.query_one(Said).say(text, is_problem=is_problem)
        self.call_after_refresh(self._fit)

    # --- keys

    async def action_step(self, by: int) -> None:
        if len(self._sources) > 1:
            self._place = (self._place + by) % len(self._sources)
            await self._show()

    def action_copy(self) -> None:
        clipboard.copy(self.app, self._source.text)
        self._say(tr("Copied."))

    async def action_open(self) -> None:
        """Open the file, and say so; or say why not."""
        source = self._source
        path, state = file_of(source), await asyncio.to_thread(state_of, source)
        if path is None or state in ("gone", "elsewhere"):
            self._tell(state)
        elif not may_open(path):
            self._say(tr("{name} is a program, so it is not opened from here.", name=path.name), is_problem=True)
        else:
            try:
                open_file(path)
            except OSError as error:
                reason = told(error.strerror or str(error))
                text = tr("{name} cannot be opened here: {reason}", name=path.name, reason=reason)
                self._say(text, is_problem=True)
            else:
                self._say(tr("{name} opens in its own program.", name=path.name))

    def action_close(self) -> None:
        self.dismiss(None)


def _where(source: Source) -> Content:
    """The file's name, its folder, the headings above the passage, and its place in the file."""
    path = file_of(source)
    name = path.name if path is not None else source.source
    parts = [Content.styled(visible(name), "bold")]
    if place := place_text(source):
        parts.append(Content.assemble("  ", (place, "$foreground 60%")))
    lines = [Content.assemble(*parts)]
    if source.heading:
        lines.append(Content.styled(visible(source.heading), "$accent"))
    if path is not None:
        lines.append(Content.styled(visible(short_path(path.parent)), "$foreground 60%"))
    return Content("\n").join(lines)


def place_text(source: Source) -> str:
    """Where in its file a passage is: ``page 3``, ``slide 3``, ``lines 10–14``, or nothing."""
    if source.page is not None:
        kind = source.source.rpartition(".")[2].lower()
        return tr(_PAGES.get(kind, "page {page}"), page=source.page)
    if source.first_line is None:
        return ""
    if source.last_line in (None, source.first_line):
        return tr("line {line}", line=source.first_line)
    return tr("lines {first}–{last}", first=source.first_line, last=source.last_line)
