"""The chat: it turns keys into calls on the talk, the store and the worker, and their messages into what is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.timer import Timer

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.hosting.assistant import ContextUse
from chatglm_slim_llm.hosting.library import Library
from chatglm_slim_llm.storage import Attachment, ChatSettings, ConversationStore, Message
from tui.clipboard import copy
from tui.commands import COMMANDS
from tui.language import tr
from tui.messages import (
    CitationChosen,
    CommandGiven,
    ContextCounted,
    ConversationChosen,
    ConversationsChanged,
    ExampleChosen,
    ExportAsked,
    MessageAsked,
    ModelFailed,
    ModelReady,
    PromptEdited,
    PromptSubmitted,
    ReplyDelta,
    ReplyFailed,
    ReplyFinished,
    SaveFailed,
)
from tui.screens.chat_files import ChatFiles
from tui.talk import LiveReply, Talk
from tui.transcript import ending, figures_line
from tui.widgets.conversation import Conversation, Entry, LinkChosen
from tui.widgets.find_bar import FindBar
from tui.widgets.footer import Footer
from tui.widgets.history import History, HistoryLeft
from tui.widgets.prompt import AttachAsked, MessagesWanted, PromptBox
from tui.widgets.status import StatusLine
from tui.widgets.welcome import Welcome
from tui.worker import ModelWorker

Result = TypeVar("Result")

_LOOK_S = 1.0
"""How often the history file is looked at for what other windows have written."""


class ChatScreen(Screen[None]):
    """History on the left, the conversation on the right, the prompt below it."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (90, "-wide")]  # noqa: RUF012  (Textual declares no ClassVar)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", id="chat.stop", tooltip="Stop the answer; what is there stays"),
        Binding("ctrl+n", "new", "New", id="chat.new", tooltip="Begin a new conversation", priority=True),
        Binding("ctrl+b", "history", "History", id="chat.history", tooltip="Show or hide the history", priority=True),
        Binding("ctrl+f", "find", "Find", id="chat.find", tooltip="Find in this chat", priority=True),
        Binding(
            "ctrl+r",
            "regenerate",
            "Again",
            show=False,
            id="chat.regenerate",
            tooltip="Answer the last question again",
            priority=True,
        ),
        Binding("ctrl+y", "copy", "Copy", id="chat.copy", tooltip="Copy the last answer", priority=True),
        Binding("ctrl+o", "attach", "Attach", id="chat.attach", tooltip="Attach a file", priority=True),
        Binding(
            "ctrl+k",
            "knowledge",
            "Knowledge",
            show=False,
            id="chat.knowledge",
            tooltip="Choose, fill and sync knowledge bases",
            priority=True,
        ),
        Binding(
            "ctrl+s",
            "chat_settings",
            "This chat",
            show=False,
            id="chat.settings",
            tooltip="System prompt and parameters of this chat",
            priority=True,
        ),
        Binding("ctrl+z", "undo", "Undo", show=False, id="chat.undo", tooltip="Bring back what was deleted or moved"),
    ]

    def __init__(self, store: ConversationStore, worker: ModelWorker, library: Library, talk: Talk) -> None:
        super().__init__()
        self._store, self._worker, self._library, self._talk = store, worker, library, talk
        self.status = StatusLine(id="status")
        self._history = History(store, id="history")
        self._welcome = Welcome(id="welcome")
        self._conversation = Conversation(id="conversation")
        self._find_bar = FindBar(self._conversation, id="find")
        self._prompt = PromptBox(id="prompt")
        self._files = ChatFiles(self, store, library)
        self._kept: dict[int | None, tuple[Attachment, ...]] = {}
        self._revision = 0
        self.notice = ""
        """What the line below the prompt says while there is nothing else to say."""

    def compose(self) -> ComposeResult:
        yield self.status
        with Horizontal():
            yield self._history
            with Vertical(id="chat"):
                yield self._welcome
                yield self._conversation
                yield self._find_bar
                yield self._prompt
        yield Footer()

    def on_mount(self) -> None:
        self._try(self._store.mark_interrupted)
        past = self._try(self._store.conversations)
        self._open(past[0].id if past else None)
        self._prompt.focus()
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        """What the first paint need not wait for."""
        self._prompt.set_history(self._try(self._store.prompts) or [])
        self._revision = self._try(self._store.revision) or 0
        self._looking: Timer = self.set_interval(_LOOK_S, self._look)

    def set_editor(self, command: str) -> None:
        """The external editor that the settings name; empty for the environment's."""
        self._prompt.editor = command

    # --- one message, there and back

    @on(PromptSubmitted)
    def _submit(self, event: PromptSubmitted) -> None:
        if self._send(event.text, event.attachments):
            self._prompt.clear()

    @on(ExampleChosen)
    def _submit_example(self, event: ExampleChosen) -> None:
        self._send(event.text)
        self._prompt.focus()

    def _send(self, text: str, attachments: Sequence[Attachment] = ()) -> bool:
        is_edited, is_new = self._talk.edited is not None, self._talk.conversation_id is None
        if not self._begin(lambda: self._talk.ask(text, attachments)):
            return False
        if is_edited:
            self._show()
        else:
            reply = self._talk.reply
            assert reply is not None
            names = tuple(attachment.name for attachment in attachments)
            self._show_welcome(False)
            self._conversation.add(
                Entry(reply.question_id, "user", text, attachments=names),
                Entry(reply.message_id, "assistant", "", growing=True),
            )
        if is_new:
            self._kept.pop(None, None)
        self._history.show(self._talk.conversation_id)
        self._show_hint()
        return True

    def _begin(self, keep: Callable[[], LiveReply]) -> bool:
        """Keep an empty answer and have the model write it; returns False if either cannot be."""
        if self._talk.reply is not None:
            self._tell(tr("The answer is still being written. Press Escape to stop it, or send when it is done."))
            return False
        try:
            reply = keep()
            self._worker.reply(reply.message_id, self._talk.request())
        except StorageError as error:
            self._report_storage(str(error))
            return False
        self._say(tr("thinking…"))
        self._history.set_writing([reply.conversation_id])
        return True

    @on(ReplyDelta)
    def _grow(self, event: ReplyDelta) -> None:
        reply = self._talk.reply
        if reply is not None and reply.message_id == event.message_id:
            reply.text += event.text
            self._say(tr("writing…"))
            self._conversation.grow(event.message_id, event.text)

    @on(ReplyFinished)
    def _finish(self, event: ReplyFinished) -> None:
        self._end_reply()
        figures = figures_line(event.figures)
        self._say(tr("ready"))
        self._conversation.finish(event.message_id, ending(event.finish_reason), figures=figures, sources=event.sources)
        if event.dropped_rounds:
            self._tell(tr("The oldest {count} rounds no longer fit and were not read.", count=event.dropped_rounds))
        self._count()

    @on(ReplyFailed)
    def _fail(self, event: ReplyFailed) -> None:
        reply = self._end_reply()
        if not self.status.is_problem:
            self._say(tr("ready"))
        self._conversation.finish(event.message_id, event.reason, is_error=True)
        if reply is not None and not reply.text and not self._prompt.text and self._is_shown(reply):
            self._give_back(reply)

    def _end_reply(self) -> LiveReply | None:
        reply = self._talk.finished()
        self._history.set_writing([])
        return reply

    def _is_shown(self, reply: LiveReply) -> bool:
        return reply.conversation_id == self._talk.conversation_id

    def _give_back(self, reply: LiveReply) -> None:
        """Nothing was answered: one key sends it again."""
        question = self._try(lambda: self._talk.message(reply.question_id))
        if question is not None:
            self._prompt.text = question.content
            self._prompt.attach(*(self._try(lambda: self._store.attachments(question.id)) or []))

    @on(SaveFailed)
    def _report_save(self, event: SaveFailed) -> None:
        self._report_storage(event.reason)

    def action_stop(self) -> None:
        if self._talk.edited is not None:
            self._talk.edited = None
            self._prompt.text = ""
            self._show_hint()
        elif self._talk.reply is not None:
            self._worker.stop()
            self._say(tr("stopping…"))
        else:
            self._prompt.focus()

    @on(ModelReady)
    def _show_ready(self) -> None:
        self._say(tr("writing…") if self._talk.reply else tr("ready"))
        self._count()

    @on(ModelFailed)
    def _show_model_failed(self, event: ModelFailed) -> None:
        self._say(tr("no model"), is_problem=True)
        if self._talk.reply is None:  # else the reply says it in the conversation
            self._tell(event.reason, title=tr("The model is not loaded"), is_error=True)

    # --- conversations

    def action_new(self) -> None:
        self._open(None)
        self._prompt.focus()

    @on(ConversationChosen)
    def _choose(self, event: ConversationChosen) -> None:
        self._open(event.conversation_id, at=event.message_id, words=event.words)
        self.remove_class("-history-open")
        self._prompt.focus()

    @on(ConversationsChanged)
    def _follow_changes(self, event: ConversationsChanged) -> None:
        here = self._talk.conversation_id
        if here is None or here not in event.conversation_ids:
            return
        found = self._try(self._talk.conversation, is_quiet=True)
        if found is None or found.deleted_at is not None:
            if self._talk.is_replying_here:
                self._worker.stop()
            self._open(None)

    def _open(self, conversation_id: int | None, *, at: int | None = None, words: str = "") -> None:
        self._leave_draft()
        self._try(lambda: self._talk.open(conversation_id))
        self._show(at=at, words=words)
        self._prompt.text = self._try(lambda: self._store.draft(self._talk.conversation_id)) or ""
        self._prompt.attach(*self._kept.pop(self._talk.conversation_id, ()))
        self._history.show(self._talk.conversation_id)
        self._show_hint()
        self._count()

    def _show(self, *, at: int | None = None, words: str = "") -> None:
        entries = self._try(self._talk.entries) or []
        self._find_bar.close()
        self._conversation.show(entries, at=at, words=words)
        self._show_welcome(not entries)

    def _show_welcome(self, visible: bool) -> None:
        self._welcome.display = visible
        self._conversation.display = not visible

    def _look(self) -> None:
        """Show what other windows have written since."""
        revision = self._try(self._store.revision, is_quiet=True)
        if revision is None or revision == self._revision:
            return
        self._revision = revision
        self._history.show(self._talk.conversation_id)
        if self._talk.conversation_id is not None and not self._talk.is_replying_here:
            entries = self._try(self._talk.entries, is_quiet=True) or []
            if _seen(entries) != _seen(self._conversation.entries):
                self._show(at=None if self._conversation.is_following else self._conversation.top_id)

    def _leave_draft(self) -> None:
        self.keep_draft()
        if self._talk.edited is None and self._prompt.attachments:
            self._kept[self._talk.conversation_id] = self._prompt.attachments
        self._prompt.clear()

    # --- what is being typed

    @on(PromptEdited)
    def _follow_typing(self) -> None:
        self.keep_draft()
        self._count()

    def _count(self) -> None:
        request = self._try(lambda: self._talk.request_with(self._prompt.text, self._prompt.attachments), is_quiet=True)
        if request is not None:
            self._worker.count(self._talk.conversation_id, request)

    @on(ContextCounted)
    def _show_count(self, event: ContextCounted) -> None:
        if event.conversation_id == self._talk.conversation_id:
            self._prompt.show_count(_count_line(event.use, bool(self._prompt.text)), event.use.dropped_rounds > 0)

    @on(CommandGiven)
    async def _run_command(self, event: CommandGiven) -> None:
        command = next(command for command in COMMANDS if command.name == event.name)
        await self.run_command(command.action, event.argument)

    async def run_command(self, action: str, argument: str = "") -> None:
        """Do what a command names, here or in the app."""
        target = self if hasattr(self, f"action_{action}") else self.app
        method = getattr(target, f"action_{action}")
        result = method(argument) if argument else method()
        if result is not None:
            await result

    def _show_hint(self) -> None:
        if self._talk.edited is not None:
            hint = tr("Editing a question: Enter sends it as another branch, Escape gives up")
        elif name := self._talk.settings.knowledge_base:
            hint = tr("Answers rest on “{name}”", name=name)
        else:
            hint = self.notice
        self._prompt.show_hint(hint)

    # --- what is done to a message

    @on(MessageAsked)
    def _act(self, event: MessageAsked) -> None:
        message = self._try(lambda: self._talk.message(event.message_id))
        if message is None:
            return
        match event.action:
            case "copy":
                self._copy(message.content)
            case "regenerate":
                self._answer_again(message)
            case "edit":
                self._edit(message)
            case "fork":
                self._fork(message)
            case "previous_variant":
                self._step_variant(message, -1)
            case "next_variant":
                self._step_variant(message, 1)
            case "copy_code":
                blocks = self._conversation.code_blocks(message.id)
                self._copy("\n".join(blocks))
            case "sources":
                self._show_passage(message.id, 1)

    def action_regenerate(self) -> None:
        self._with_last("assistant", self._answer_again)

    def action_edit(self) -> None:
        self._with_last("user", self._edit)

    def action_copy(self) -> None:
        self._with_last("assistant", lambda message: self._copy(message.content))

    def action_copy_code(self) -> None:
        blocks = [
            block for entry in self._conversation.entries for block in self._conversation.code_blocks(entry.message_id)
        ]
        self._copy(blocks[-1] if blocks else "")

    def action_copy_all(self) -> None:
        self._files.copy_all(self._talk.conversation_id)

    def action_fork(self) -> None:
        self._with_last("assistant", self._fork)

    def _with_last(self, role: str, do: Callable[[Message], None]) -> None:
        message = self._try(lambda: self._talk.last(role))
        if message is None:
            self._tell(tr("There is nothing of that kind in this chat yet."))
        else:
            do(message)

    def _answer_again(self, message: Message) -> None:
        question = self._try(lambda: self._talk.question_of(message))
        if question is not None and self._begin(lambda: self._talk.ask_again(question)):
            self._show()

    def _edit(self, message: Message) -> None:
        question = self._try(lambda: self._talk.question_of(message))
        if question is None:
            return
        self._leave_draft()
        self._talk.edited = question
        self._prompt.text = question.content
        self._prompt.attach(*(self._try(lambda: self._store.attachments(question.id)) or []))
        self._prompt.focus()
        self._show_hint()

    def _fork(self, message: Message) -> None:
        conversation = self._try(lambda: self._store.fork(message.id))
        if conversation is not None:
            self._open(conversation.id)
            self._prompt.focus()
            self._tell(tr("You go on in a copy; the chat it was taken from stays as it is."))

    def _step_variant(self, message: Message, by: int) -> None:
        if self._talk.is_replying_here:
            self._tell(tr("The answer is still being written. Press Escape to stop it, or send when it is done."))
        elif self._try(lambda: self._talk.step_variant(message.id, by)):
            place = self._try(lambda: [one.id for one in self._talk.path.messages]) or []
            shown = [entry.message_id for entry in self._conversation.entries]
            at = next((new for new, old in zip(place, shown, strict=False) if new != old), None)
            self._show(at=at)
            self._conversation.focus()

    def _copy(self, text: str) -> None:
        if text:
            copy(self.app, text)
        else:
            self._tell(tr("There is nothing of that kind in this chat yet."))

    @on(CitationChosen)
    def _cite(self, event: CitationChosen) -> None:
        self._show_passage(event.message_id, event.number)

    def _show_passage(self, message_id: int, number: int) -> None:
        from tui.screens.passage import PassageScreen

        sources = self._try(lambda: self._store.sources(message_id))
        if sources:
            self.app.push_screen(PassageScreen(sources, number))

    @on(LinkChosen)
    def _open_link(self, event: LinkChosen) -> None:
        self._copy(event.url)

    # --- what belongs to the chat

    def action_chat_settings(self) -> None:
        from tui.screens.chat_settings import ChatSettingsScreen

        screen = ChatSettingsScreen(self._talk.settings, self._talk.sampling, self._library.names())
        self.app.push_screen(screen, self._set)

    def action_system(self, text: str = "") -> None:
        self._set(replace(self._talk.settings, system=text))
        self._tell(tr("The system prompt is set.") if text else tr("There is no system prompt now."))

    def action_knowledge(self, name: str = "") -> None:
        from tui.screens.knowledge import KnowledgeScreen

        if not name:
            self.app.push_screen(KnowledgeScreen(self._library, self._talk.settings.knowledge_base), self._rest_on)
        elif name in self._library.names():
            self._rest_on(name)
        else:
            self._tell(tr("There is no knowledge base “{name}”; Ctrl+K lists them.", name=name))

    def _rest_on(self, name: str | None) -> None:
        if name is not None:
            self._set(replace(self._talk.settings, knowledge_base=name))

    def _set(self, settings: ChatSettings | None) -> None:
        if settings is not None:
            self._try(lambda: self._talk.set_settings(settings))
            self._show_hint()
            self._count()

    def action_rename(self, title: str = "") -> None:
        self._history.act("rename", self._talk.conversation_id, title)

    def action_pin(self) -> None:
        self._history.act("pin", self._talk.conversation_id)

    def action_archive(self) -> None:
        self._history.act("archive", self._talk.conversation_id)

    def action_delete(self) -> None:
        self._history.act("delete", self._talk.conversation_id)

    def action_undo(self) -> None:
        if not self._history.undo():
            self._tell(tr("There is nothing to take back."))

    def action_attach(self, path: str = "") -> None:
        self._files.attach(path)

    @on(AttachAsked)
    def _attach_dropped(self, event: AttachAsked) -> None:
        self._files.attach(str(event.path))

    def attach(self, attachment: Attachment) -> None:
        """Put what was read from a file to the next message."""
        self._prompt.attach(attachment)
        self._prompt.focus()

    def action_export(self, path: str = "") -> None:
        self._files.export(self._talk.conversation_id, path)

    @on(ExportAsked)
    def _export_asked(self, event: ExportAsked) -> None:
        self._files.export(event.conversation_id)

    def action_import(self, path: str = "") -> None:
        self._files.import_(path)

    def show_history(self) -> None:
        """Conversations have come in."""
        self._history.show(self._talk.conversation_id)

    # --- the frame

    def action_find(self, words: str = "") -> None:
        self._find_bar.open(words)

    def action_history(self) -> None:
        toggled = "-history-open" if self.has_class("-narrow") else "-history-closed"
        self.toggle_class(toggled)
        (self._history if self._history.display else self._prompt).focus()

    @on(HistoryLeft)
    def _leave_history(self) -> None:
        self.remove_class("-history-open")
        self._prompt.focus()

    @on(MessagesWanted)
    def _go_to_messages(self) -> None:
        self._conversation.focus()

    def action_read(self, pages: int) -> None:
        """Scroll the conversation while the prompt keeps the keyboard."""
        (self._conversation.scroll_page_up if pages < 0 else self._conversation.scroll_page_down)(animate=False)

    def on_app_focus(self, _event: events.AppFocus) -> None:
        if self.focused is None:
            self._prompt.focus()

    def focus_prompt(self) -> None:
        """Put the keyboard where people type."""
        self._prompt.focus()

    def keep_draft(self) -> None:
        """Keep what is typed."""
        if self._talk.edited is None and self._prompt.is_attached:
            here, text = self._talk.conversation_id, self._prompt.text
            if self._try(lambda: self._store.draft(here), is_quiet=True) != text:
                self._try(lambda: self._store.set_draft(here, text), is_quiet=True)

    def _say(self, state: str, *, is_problem: bool = False) -> None:
        self.status.state, self.status.is_problem = state, is_problem

    def _tell(self, text: str, *, title: str = "", is_error: bool = False) -> None:
        severity: SeverityLevel = "error" if is_error else "information"
        self.notify(text, title=title, severity=severity, timeout=15 if is_error else 5, markup=False)

    def _report_storage(self, reason: str) -> None:
        self._tell(reason, title=tr("Not saved"), is_error=True)

    def _try(self, call: Callable[[], Result], *, is_quiet: bool = False) -> Result | None:
        """What a call on the store returns; ``None`` if the store fails, which is told."""
        try:
            return call()
        except StorageError as error:
            if not is_quiet:
                self._tell(str(error), title=tr("The history cannot be read"), is_error=True)
            return None


def _seen(entries: Sequence[Entry]) -> list[tuple[int, str, str]]:
    return [(entry.message_id, entry.text, entry.note) for entry in entries]


def _count_line(use: ContextUse, is_typing: bool) -> str:
    filled = f"{use.tokens:,} / {use.limit:,}"
    if use.dropped_rounds:
        filled = tr("the oldest {count} rounds no longer fit", count=use.dropped_rounds) + f" · {filled}"
    if not is_typing:
        return filled
    return tr("{count} tokens", count=f"{use.question_tokens:,}") + f" · {filled}"
