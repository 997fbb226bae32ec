"""Between the chat and files: attaching, exporting, importing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.hosting.library import Library
from chatglm_slim_llm.storage import ConversationStore
from tui.background import in_background
from tui.clipboard import copy
from tui.language import tr
from tui.plugin_list import kinds_text
from tui.reasons import told
from tui.telling import complain, tell

if TYPE_CHECKING:
    from chatglm_slim_llm.storage.exchange import ImportReport
    from tui.screens.chat import ChatScreen
    from tui.screens.open_path import Kind

_LONGEST_NAME = 60


class ChatFiles:
    """What the chat screen does with files; all reading and writing is done beside the screen."""

    def __init__(self, screen: ChatScreen, store: ConversationStore, library: Library) -> None:
        self._screen, self._store, self._library = screen, store, library

    def attach(self, path: str = "") -> None:
        """Read a file and put it to the next message; asks which where none is named."""

        def attach(path: Path) -> None:
            work = lambda: self._library.read_file(path)  # noqa: E731  (a name for what follows)
            in_background(self._screen, work, self._screen.attach, self._fail)

        self._with_path(path, tr("Attach a file"), tr("Attach"), attach, more=kinds_text)

    def export(self, conversation_id: int | None, path: str = "") -> None:
        """Write a conversation to a file whose suffix says how: .md, .json or .html."""
        if conversation_id is None:
            tell(self._screen, tr("There is nothing of that kind in this chat yet."))
            return
        here: int = conversation_id

        def export(target: Path) -> None:
            def write() -> Path:
                from chatglm_slim_llm.storage.exchange import write_export

                return write_export(self._store, [here], target)

            in_background(
                self._screen, write, lambda path: tell(self._screen, tr("Written to {path}", path=path)), self._fail
            )

        question = tr("Write this chat to a file (.md, .json or .html)")
        self._with_path(path, question, tr("Export"), export, kind="new", value=self._suggested(here))

    def import_(self, path: str = "") -> None:
        """Read conversations from our JSON, ChatGPT's export or the log of ``llm``."""

        def read(source: Path) -> None:
            def work() -> str:
                from chatglm_slim_llm.storage.exchange import import_file

                report = import_file(self._store, source)
                return "\n".join([_imported(report), *map(told, report.problems[:3])])

            def then(told: str) -> None:
                tell(self._screen, told)
                self._screen.show_history()

            in_background(self._screen, work, then, self._fail)

        question = tr("Read chats from a file (our JSON, ChatGPT's export, llm's logs.db)")
        self._with_path(path, question, tr("Import"), read)

    def copy_all(self, conversation_id: int | None) -> None:
        """Copy a conversation as Markdown."""
        if conversation_id is None:
            tell(self._screen, tr("There is nothing of that kind in this chat yet."))
            return
        here: int = conversation_id

        def text() -> str:
            from chatglm_slim_llm.storage.exchange import export_text

            return export_text(self._store, here, "markdown")

        def then(text: str) -> None:
            copy(self._screen.app, text)

        in_background(self._screen, text, then, self._fail)

    def _suggested(self, conversation_id: int) -> str:
        try:
            title = self._store.conversation(conversation_id).title
        except StorageError:
            title = ""
        name = re.sub(r'[\x00-\x1f/\\:*?"<>|]+', " ", title).strip(" .")[:_LONGEST_NAME].rstrip()
        return f"{name or tr('chat')}.md"

    def _with_path(
        self,
        path: str,
        question: str,
        yes: str,
        do: Callable[[Path], None],
        *,
        kind: Kind = "file",
        value: str = "",
        more: Callable[[], str] | None = None,
    ) -> None:
        from tui.screens.open_path import OpenPath

        def then(answer: Path | None) -> None:
            if answer is not None:
                do(answer)
            self._screen.pane.prompt.focus()

        if path:
            do(Path(path).expanduser())
        else:
            self._screen.app.push_screen(OpenPath(question, yes=yes, kind=kind, value=value, more=more), then)

    def _fail(self, reason: str) -> None:
        complain(self._screen, reason, tr("That did not work"))


def _imported(report: ImportReport) -> str:
    count, there = report.conversations, report.skipped
    if count == 1:
        said = tr("One conversation was imported.")
    else:
        said = tr("{count} conversations were imported.", count=f"{count:,}")
    if not there:
        return said
    return tr("{one} {other}", one=said, other=tr("{count} there already.", count=f"{there:,}"))
