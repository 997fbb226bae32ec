"""The knowledge bases: made, filled and brought up to date here, and switched on for a chat."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Button, OptionList, ProgressBar, Static
from textual.widgets.option_list import Option

from chatglm_slim_llm.config import PLUGIN
from chatglm_slim_llm.errors import ChatGLMSlimError
from chatglm_slim_llm.hosting.amounts import size_text
from chatglm_slim_llm.hosting.library import LibraryFacts, LibraryReport, Progress
from tui.language import tr
from tui.local_models import short_path
from tui.plugin_list import kinds_text
from tui.reasons import told
from tui.screens.confirm import Confirm
from tui.screens.dialog import HEIGHTS, Buttons, MarkList, Panel, Said
from tui.screens.new_knowledge import NewBase, NewKnowledge
from tui.screens.open_path import OpenPath
from tui.widgets.prose import Prose
from tui.wrapping import visible

_STAGES = {
    "starting": "Starting…",
    "looking": "Looking for files…",
    "embedding": "Making new vectors: {done} of {total} passages",
    "indexing": "Reading: {done} of {total} files",
}
_SHOWN_PROBLEMS = 3


class Library(Protocol):
    """What this screen needs of ``hosting.library.Library``; every method may take long."""

    def names(self) -> list[str]: ...

    def facts(self, name: str) -> LibraryFacts: ...

    def create(self, name: str, embedder: str | None = None) -> None: ...

    def add(self, name: str, paths: list[Path], progress: Progress) -> LibraryReport: ...

    def sync(self, name: str, progress: Progress) -> LibraryReport: ...

    def remove(self, name: str) -> None: ...


class KnowledgeScreen(ModalScreen[str | None]):
    """Returns the name of the one that is on, ``""`` for none, and ``None`` where that did not change.

    Args:
        library: the knowledge bases.
        chosen: the one that is on.
        retrievers: what plugins offer in the place of one, which can only be switched on and off here.
    """

    SCOPED_CSS = False
    DEFAULT_CSS = """
    KnowledgeScreen {
        align: center middle;
        & Panel { width: 78; }
        & #bases { max-height: 8; min-height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & #base-about { margin-top: 1; max-height: 4; }
        & ProgressBar { width: 1fr; margin-top: 1; display: none; }
        & Bar { width: 1fr; }
        & Button { min-width: 8; margin-left: 1; }
        & #new, & #stop { margin-left: 0; }
        & #space { width: 1fr; height: 1; }
        & #stop { display: none; }
    }
    KnowledgeScreen.-working ProgressBar, KnowledgeScreen.-working #stop { display: block; }
    KnowledgeScreen.-working .idle { display: none; }
    KnowledgeScreen.-short #base-about { display: none; }
    """
    VERTICAL_BREAKPOINTS = HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="knowledge.close", tooltip="Stop what is under way, or go back"),
        Binding("space", "switch", "On or off", id="knowledge.switch", tooltip="Answer from this one, or no longer"),
        Binding("n", "create", "Create", id="knowledge.create", tooltip="Make a new knowledge base"),
        Binding("a", "add", "Add", id="knowledge.add", tooltip="Add files or folders"),
        Binding("s", "sync", "Sync", id="knowledge.sync", tooltip="Follow new, changed and removed files"),
        Binding("delete,d", "remove", "Delete", id="knowledge.delete", tooltip="Delete the knowledge base"),
    ]

    @dataclass
    class Listed(Message):
        """What there is; facts come one by one."""

        names: list[str]
        marked: str

    @dataclass
    class Known(Message):
        """What is in one of them, or why it cannot be read."""

        name: str
        facts: LibraryFacts | None
        problem: str = ""

    @dataclass
    class Progressed(Message):
        """How far the work is."""

        what: str
        done: int
        total: int

    @dataclass
    class Ended(Message):
        """The work is done, stopped or failed; ``marked`` is to be marked in the list."""

        said: str
        is_problem: bool
        marked: str
        is_look: bool = False
        """Whether it was the look at the list itself that failed: it would fail again."""

    def __init__(self, library: Library, chosen: str, retrievers: Sequence[str] = ()) -> None:
        super().__init__()
        self._library = library
        self._chosen_before = self._chosen = chosen
        # plugins may not have been read yet: looking at the list must not switch off what is on
        on = [chosen] if chosen.startswith(PLUGIN) else []
        self._retrievers = list(dict.fromkeys([*retrievers, *on]))
        self._names: list[str] = []
        self._facts: dict[str, LibraryFacts] = {}
        self._problems: dict[str, str] = {}
        self._stop: threading.Event | None = None

    def compose(self) -> ComposeResult:
        with Panel() as panel:
            panel.border_title = tr("Knowledge bases")
            panel.border_subtitle = self._keys()
            yield MarkList(id="bases", markup=False)
            yield Prose(id="base-about", classes="muted")
            yield ProgressBar(total=None, show_eta=False)
            yield Said()
            with Buttons():
                yield Button(tr("New…"), id="new", classes="idle")
                yield Button(tr("Add…"), id="add", classes="idle")
                yield Button(tr("Sync"), id="sync", classes="idle")
                yield Button(tr("Delete"), id="delete", classes="idle")
                yield Button(tr("Stop"), id="stop")
                yield Static(id="space")
                yield Button(tr("Close"), id="close", variant="primary", classes="idle")

    def on_mount(self) -> None:
        self.query_one("#bases").focus()
        self._look(self._chosen)

    def on_unmount(self) -> None:
        if self._stop is not None:
            self._stop.set()

    # --- the list

    def _look(self, marked: str) -> None:
        threading.Thread(target=self._read, args=(marked,), name="knowledge-list", daemon=True).start()

    def _read(self, marked: str) -> None:
        """Runs in a thread of its own."""
        try:
            names = self._library.names()
        except Exception as error:  # whatever it is, it is said and nothing ends
            self.post_message(self.Ended(_sentence(error), True, marked, is_look=True))
            return
        self.post_message(self.Listed(names, marked))
        for name in names:
            try:
                self.post_message(self.Known(name, self._library.facts(name)))
            except Exception as error:  # one that is damaged hides no other
                self.post_message(self.Known(name, None, _sentence(error)))

    @on(Listed)
    def _show_names(self, event: Listed) -> None:
        self._names = [*event.names, *self._retrievers]
        self._facts = {name: facts for name, facts in self._facts.items() if name in event.names}
        if self._chosen and self._chosen not in self._names:
            self._chosen = ""
        self._list(event.marked)

    @on(Known)
    def _show_facts(self, event: Known) -> None:
        self._problems.pop(event.name, None)
        if event.facts is not None:
            self._facts[event.name] = event.facts
        else:
            self._problems[event.name] = event.problem
        self._list(self._marked)

    def _list(self, marked: str) -> None:
        bases = self.query_one("#bases", OptionList)
        bases.clear_options()
        width = max((cell_len(name) for name in self._names), default=0)
        bases.add_options(Option(self._row(name, width)) for name in self._names)
        if not self._names:
            bases.add_option(Option(Content(tr("None yet: “New…” makes one.")), disabled=True))
        bases.highlighted = self._names.index(marked) if marked in self._names else 0 if self._names else None
        if self._stop is None:
            self.query_one(Panel).border_subtitle = self._keys()
        self._show_about()

    def _keys(self) -> str:
        return tr("Space switches on or off · Esc closes") if self._names else tr("Esc closes")

    def _row(self, name: str, width: int) -> Content:
        is_on = name == self._chosen
        facts, problem = self._facts.get(name), self._problems.get(name)
        about = tr("cannot be read") if problem else "…" if facts is None else _counts(facts)
        if name in self._retrievers:
            about = tr("of a plugin")
        if is_on and self.app.has_class("-accessible"):
            about += f" ({tr('on for this chat')})"
        gap = " " * (width - cell_len(name) + 3)
        style = "$text-error" if problem else "auto 70%"
        return Content.assemble(("● " if is_on else "  ", "$accent"), name, gap, (about, style))

    @property
    def _marked(self) -> str:
        place = self.query_one("#bases", OptionList).highlighted
        return self._names[place] if place is not None and place < len(self._names) else ""

    @on(OptionList.OptionHighlighted)
    def _show_about(self) -> None:
        self.query_one("#base-about", Prose).update(self._about(self._marked))

    def _about(self, name: str) -> str:
        if not name:
            return tr("A knowledge base holds your documents: answers quote them and name the place.")
        if problem := self._problems.get(name):
            return problem
        on_or_off = tr("On for this chat.") if name == self._chosen else tr("Off for this chat.")
        if name in self._retrievers:
            return f"{on_or_off}\n{tr('A plugin finds the passages; what it searches is looked after there.')}"
        if (facts := self._facts.get(name)) is None:
            return ""
        if not facts.folders:
            return f"{on_or_off}\n{tr('Nothing was added yet.')}"
        folders = [visible(short_path(Path(folder))) for folder in facts.folders]
        more = [tr("… {count} more", count=len(folders) - 2)] if len(folders) > 2 else []
        return "\n".join([on_or_off, *folders[:2], *more])

    # --- one at a time is on

    @on(OptionList.OptionSelected)
    def action_switch(self) -> None:
        if name := self._marked:
            self._chosen = "" if name == self._chosen else name
            self._list(name)

    # --- work, in a thread of its own

    def _work(self, marked: str, do: Callable[[Progress], str]) -> None:
        self._stop = stop = threading.Event()
        self.add_class("-working")
        self.query_one(Panel).border_subtitle = tr("Esc stops")
        self.query_one(ProgressBar).update(total=None, progress=0)
        self._say(tr("Starting…"))
        self.query_one("#stop").focus()
        args = (marked, do, stop)
        threading.Thread(target=self._run, args=args, name="knowledge-work", daemon=True).start()

    def _run(self, marked: str, do: Callable[[Progress], str], stop: threading.Event) -> None:
        """Runs in a thread of its own."""

        def tell(what: str, done: int, total: int) -> None:
            if stop.is_set():
                raise _StoppedError
            self.post_message(self.Progressed(what, done, total))

        try:
            ended = self.Ended(do(tell), False, marked)
        except _StoppedError:
            ended = self.Ended(tr("Stopped; what was read stays, and a sync goes on from there."), False, marked)
        except Exception as error:  # whatever it is, it is said and nothing ends
            ended = self.Ended(_sentence(error), True, marked)
        self.post_message(ended)

    @on(Progressed)
    def _show_progress(self, event: Progressed) -> None:
        self.query_one(ProgressBar).update(total=event.total or None, progress=event.done)
        text = tr(_STAGES.get(event.what, event.what), done=f"{event.done:,}", total=f"{event.total:,}")
        if self._stop is not None and not self._stop.is_set():
            self._say(text)

    @on(Ended)
    def _show_end(self, event: Ended) -> None:
        self._stop = None
        self.remove_class("-working")
        self.query_one(Panel).border_subtitle = self._keys()
        self._say(event.said, is_problem=event.is_problem)
        self.query_one("#bases").focus()
        if not event.is_look:
            self._look(event.marked)

    def _say(self, text: str, *, is_problem: bool = False) -> None:
        self.query_one(Said).say(text, is_problem=is_problem)

    # --- what can be done

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing else can be begun while something is under way."""
        return self._stop is None or action not in ("create", "add", "sync", "remove", "switch")

    def _ours(self) -> str:
        """The marked one, if it is a knowledge base; of a plugin's retriever it is said why nothing is done."""
        if self._marked not in self._retrievers:
            return self._marked
        self._say(tr("This one is a plugin's: it can be switched on and off here, and no more."), is_problem=True)
        return ""

    @on(Button.Pressed, "#new")
    def action_create(self) -> None:
        def create(new: NewBase | None) -> None:
            if new is not None:
                self._work(new.name, lambda _: self._create(new))

        self.app.push_screen(NewKnowledge(self._names), create)

    def _create(self, new: NewBase) -> str:
        self._library.create(new.name, new.embedder)
        return tr("{name} is there; now add files or folders to it.", name=new.name)

    @on(Button.Pressed, "#add")
    def action_add(self) -> None:
        if not self._marked:
            self.action_create()
            return
        if not (name := self._ours()):
            return

        def add(path: Path | None) -> None:
            if path is not None:
                self._work(name, lambda progress: _report_text(self._library.add(name, [path], progress)))

        about = tr("A folder is read with everything in it, and followed from then on.")
        question = OpenPath(tr("Add to {name}", name=name), yes=tr("Add"), about=about, more=kinds_text)
        self.app.push_screen(question, add)

    @on(Button.Pressed, "#sync")
    def action_sync(self) -> None:
        if name := self._ours():
            self._work(name, lambda progress: _report_text(self._library.sync(name, progress)))

    @on(Button.Pressed, "#delete")
    def action_remove(self) -> None:
        if not (name := self._ours()):
            return

        def remove(answer: bool | None) -> None:
            if answer:
                self._work("", lambda _: self._remove(name))

        question = tr("Delete the knowledge base {name}? The files themselves stay.", name=name)
        self.app.push_screen(Confirm(question, yes=tr("Delete"), no=tr("Keep")), remove)

    def _remove(self, name: str) -> str:
        self._library.remove(name)
        return tr("{name} is deleted; the files themselves stay.", name=name)

    @on(Button.Pressed, "#stop")
    def _stop_work(self) -> None:
        if self._stop is not None:
            self._stop.set()
            self._say(tr("Stopping after the files in hand…"))

    @on(Button.Pressed, "#close")
    def action_close(self) -> None:
        """Stop what is under way; the next time, go back."""
        if self._stop is not None:
            self._stop_work()
        else:
            self.dismiss(self._chosen if self._chosen != self._chosen_before else None)


class _StoppedError(Exception):
    """Someone pressed Stop."""


def _counts(facts: LibraryFacts) -> str:
    passages = tr("{count} passage" if facts.passages == 1 else "{count} passages", count=f"{facts.passages:,}")
    files = tr("{count} file" if facts.files == 1 else "{count} files", count=f"{facts.files:,}")
    return f"{passages} · {files} · {size_text(facts.size_bytes)}"


def _report_text(report: LibraryReport) -> str:
    counts = (
        ("{count} added", report.added),
        ("{count} changed", report.changed),
        ("{count} removed", report.removed),
    )
    parts = [tr(text, count=f"{count:,}") for text, count in counts if count] or [tr("nothing has changed")]
    parts += [tr("{count} skipped", count=f"{len(report.skipped):,}")] if report.skipped else []
    lines = [tr("Done: {what}.", what=tr(", ").join(parts))]
    if report.was_stopped:
        lines = [tr("Stopped; what was read stays, and a sync goes on from there.")]
    skipped = [(visible(Path(path).name), visible(told(reason))) for path, reason in report.skipped[:_SHOWN_PROBLEMS]]
    lines += [tr("{name}: {reason}", name=name, reason=reason) for name, reason in skipped]
    if more := len(report.skipped) - len(skipped):
        lines.append(tr("… {count} more", count=f"{more:,}"))
    lines += [tr("{path} is not there now; what was in it is kept.", path=visible(path)) for path in report.missing]
    return "\n".join(lines)


def _sentence(error: Exception) -> str:
    """What went wrong; packages that are missing are named with the command that installs them."""
    if isinstance(error, ChatGLMSlimError):
        return told(str(error))
    if isinstance(error, ImportError):
        command = "pip install 'chatglm-slim-llm[rag]'"
        return tr("Knowledge bases need packages that are not installed; run: {command}", command=command)
    return f"{type(error).__name__}: {error}"
