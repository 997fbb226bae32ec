"""The chat: it turns keys into calls on the store and the worker, and their messages into what is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Footer, Static, TextArea

from chatglm_slim_llm.config import DEFAULT_HUB_ID, DEMO_MODEL, LoadOptions
from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ConversationStore, Message, title_of
from tui.assistant import Assistant
from tui.messages import (
    ConversationChosen,
    DeleteAsked,
    DownloadNeeded,
    ExampleChosen,
    ModelFailed,
    ModelLoading,
    ModelReady,
    PromptSubmitted,
    ReplyDelta,
    ReplyFailed,
    ReplyFinished,
    SaveFailed,
)
from tui.screens.confirm import Confirm
from tui.screens.confirm_download import ConfirmDownload
from tui.screens.help import Help
from tui.transcript import LiveReply, ending, entries_of, turns_of
from tui.widgets.conversation import Conversation, Entry
from tui.widgets.history import History
from tui.widgets.prompt import Prompt
from tui.widgets.status import StatusLine
from tui.widgets.welcome import Welcome
from tui.worker import ModelWorker

Row = TypeVar("Row")

_DEMO_NOTICE = (
    f"This is the small demo model. For the 6B one run chatglm-slim pull, then chatglm-tui --model {DEFAULT_HUB_ID}"
)
_IDLE_BEFORE_LOADING_S = 0.7


class ChatScreen(Screen[None]):
    """History on the left, the conversation on the right, the prompt below it."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (90, "-wide")]  # noqa: RUF012  (Textual declares no ClassVar)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", id="chat.stop", tooltip="Stop the answer; what is there stays"),
        Binding("ctrl+n", "new", "New", id="chat.new", tooltip="Begin a new conversation", priority=True),
        Binding("ctrl+b", "history", "History", id="chat.history", tooltip="Show or hide the history", priority=True),
        Binding("f1", "help", "Help", id="chat.help", tooltip="Show the keys"),
    ]

    def __init__(self, options: LoadOptions, store: ConversationStore, assistant: Assistant) -> None:
        super().__init__()
        self._options = options
        self._store = store
        self._worker = ModelWorker(assistant, store, self.post_message)
        self._status = StatusLine(f"{_short(options.model)} · {options.quantization}", id="status")
        self._history = History(id="history")
        self._welcome = Welcome(id="welcome")
        self._conversation = Conversation(id="conversation")
        self._prompt = Prompt(id="prompt")
        self._conversation_id: int | None = None
        self._reply: LiveReply | None = None
        self._idle: Timer | None = None

    def compose(self) -> ComposeResult:
        yield self._status
        with Horizontal():
            yield self._history
            with Vertical(id="chat"):
                yield self._welcome
                yield self._conversation
                if self._options.model == DEMO_MODEL:
                    yield Static(_DEMO_NOTICE, id="notice", markup=False)
                yield self._prompt
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        past = self._read(self._store.conversations)
        self._open(past[0].id if past else None)
        self._prompt.focus()
        self.call_after_refresh(self._load_when_idle)

    def close_worker(self) -> bool:
        """Stop the model's threads; returns whether they ended in time."""
        return self._worker.close()

    # --- loading the model: after the first paint, once the keyboard rests

    def _load_when_idle(self) -> None:
        self._idle = self.set_timer(_IDLE_BEFORE_LOADING_S, self._worker.load)

    @on(TextArea.Changed)
    def _wait_for_idle(self) -> None:
        if self._idle is not None:
            self._idle.reset()

    @on(ModelLoading)
    def _show_loading(self, event: ModelLoading) -> None:
        if isinstance(self.app.screen, ConfirmDownload):
            self.app.screen.show_progress(event.what, event.done_bytes, event.total_bytes)
        share = f" {event.done_bytes / event.total_bytes:.0%}" if event.total_bytes else ""
        self._say(f"{event.what}{share}")

    @on(ModelReady)
    def _show_ready(self) -> None:
        self._close_download()
        self._say("writing…" if self._reply else "ready")

    @on(ModelFailed)
    def _show_model_failed(self, event: ModelFailed) -> None:
        self._close_download()
        self._say("no model", is_problem=True)
        if self._reply is None:  # else the reply says it in the conversation
            self.notify(event.reason, title="The model is not loaded", severity="error", timeout=15, markup=False)

    @on(DownloadNeeded)
    def _ask_for_download(self) -> None:
        self.app.push_screen(ConfirmDownload(self._options.model, self._worker))

    def _close_download(self) -> None:
        if isinstance(self.app.screen, ConfirmDownload):
            self.app.pop_screen()

    # --- one message, there and back

    @on(PromptSubmitted)
    def _submit(self, event: PromptSubmitted) -> None:
        if self._send(event.text):
            self._prompt.clear()

    @on(ExampleChosen)
    def _submit_example(self, event: ExampleChosen) -> None:
        self._send(event.text)
        self._prompt.focus()

    def _send(self, text: str) -> bool:
        if self._reply is not None:
            self.notify("The answer is still being written. Press Escape to stop it, or send when it is done.")
            return False
        try:
            is_new = self._conversation_id is None
            conversation_id = self._conversation_id or self._store.create(title_of(text)).id
            self._conversation_id = conversation_id
            question = self._store.append(conversation_id, "user", text)
            answer = self._store.append(conversation_id, "assistant", "")
            turns = turns_of(self._store.messages(conversation_id))
        except StorageError as error:
            self._report_storage(str(error))
            return False
        self._reply = LiveReply(answer.id, conversation_id, question=text)
        self._show_welcome(False)
        self._conversation.add(Entry(question.id, "user", text), Entry(answer.id, "assistant", "", growing=True))
        if is_new:
            self._list_history()
        self._say("thinking…")
        self._worker.reply(answer.id, turns)
        return True

    @on(ReplyDelta)
    def _grow(self, event: ReplyDelta) -> None:
        if self._reply is not None and self._reply.message_id == event.message_id:
            self._reply.text += event.text
            self._say("writing…")
            self._conversation.grow(event.message_id, event.text)

    @on(ReplyFinished)
    def _finish(self, event: ReplyFinished) -> None:
        self._reply = None
        self._say(event.summary or "ready")
        self._conversation.finish(event.message_id, ending(event.finish_reason))

    @on(ReplyFailed)
    def _fail(self, event: ReplyFailed) -> None:
        reply, self._reply = self._reply, None
        if not self._status.is_problem:
            self._say("ready")
        self._conversation.finish(event.message_id, event.reason, is_error=True)
        if reply is not None and not reply.text and not self._prompt.text:
            self._prompt.load_text(reply.question)  # nothing was answered: one key sends it again
            self._prompt.move_cursor(self._prompt.document.end)

    @on(SaveFailed)
    def _report_save(self, event: SaveFailed) -> None:
        self._report_storage(event.reason)

    def _report_storage(self, reason: str, title: str = "Not saved") -> None:
        self.notify(reason, title=title, severity="error", timeout=15, markup=False)

    def action_stop(self) -> None:
        if self._reply is not None:
            self._worker.stop()
            self._say("stopping…")
        else:
            self._prompt.focus()

    # --- conversations

    def action_new(self) -> None:
        self._open(None)
        self._prompt.focus()

    @on(ConversationChosen)
    def _choose(self, event: ConversationChosen) -> None:
        self._open(event.conversation_id)
        self.remove_class("-history-open")
        self._prompt.focus()

    @on(DeleteAsked)
    def _ask_to_delete(self, event: DeleteAsked) -> None:
        def delete(answer: bool | None) -> None:
            if answer:
                self._delete(event.conversation_id)

        question = f"Delete “{event.title}”? This cannot be undone."
        self.app.push_screen(Confirm(question, yes="Delete", no="Keep"), delete)

    def _delete(self, conversation_id: int) -> None:
        if self._reply is not None and self._reply.conversation_id == conversation_id:
            self._worker.stop()
        try:
            self._store.delete(conversation_id)
        except StorageError as error:
            self._report_storage(str(error))
        if conversation_id == self._conversation_id:
            self._open(None)
        else:
            self._list_history()

    def _open(self, conversation_id: int | None) -> None:
        self._conversation_id = conversation_id
        messages: list[Message] = []
        if conversation_id is not None:
            messages = self._read(lambda: self._store.messages(conversation_id))
        self._conversation.show(entries_of(messages, self._reply))
        self._show_welcome(not messages)
        self._list_history()

    def _list_history(self) -> None:
        self._history.show(self._read(self._store.conversations), self._conversation_id)

    def _read(self, rows: Callable[[], list[Row]]) -> list[Row]:
        try:
            return rows()
        except StorageError as error:
            self._report_storage(str(error), title="The history cannot be read")
            return []

    def _show_welcome(self, visible: bool) -> None:
        self._welcome.display = visible
        self._conversation.display = not visible

    # --- the frame

    def action_history(self) -> None:
        toggled = "-history-open" if self.has_class("-narrow") else "-history-closed"
        self.toggle_class(toggled)
        (self._history if self._history.display else self._prompt).focus()

    def action_read(self, pages: int) -> None:
        """Scroll the conversation while the prompt keeps the keyboard."""
        (self._conversation.scroll_page_up if pages < 0 else self._conversation.scroll_page_down)(animate=False)

    def action_help(self) -> None:
        self.app.push_screen(Help([*Prompt.BINDINGS, *self.BINDINGS, *History.BINDINGS, *self.app.BINDINGS]))

    def on_app_focus(self, _event: events.AppFocus) -> None:
        self._prompt.focus()

    def _say(self, state: str, *, is_problem: bool = False) -> None:
        self._status.state, self._status.is_problem = state, is_problem


def _short(model: str) -> str:
    """A folder's own name; ``demo`` and ``owner/name`` as they are."""
    return model if model.count("/") <= 1 else Path(model).name
