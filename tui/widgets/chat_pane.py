"""The conversation with its prompt: what is typed becomes a question that is kept, then asked, then answered here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message as TextualMessage

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.hosting.assistant import ContextUse
from chatglm_slim_llm.storage import Attachment, ChatSettings, ConversationStore, Message
from chatglm_slim_llm.storage import Conversation as StoredConversation
from tui.background import in_background
from tui.clipboard import copy
from tui.drafts import Drafts, Typed
from tui.language import tr
from tui.messages import (
    CitationChosen,
    ContextCounted,
    ConversationChosen,
    ConversationsChanged,
    ExampleChosen,
    MessageAsked,
    PromptEdited,
    PromptSubmitted,
    ReplyDelta,
    ReplyFailed,
    ReplyFinished,
    ReplyNotice,
    ReplySaved,
    SaveFailed,
    TalkChanged,
    ToolsInUse,
    ToolStep,
    ToolUseChosen,
)
from tui.pieces import Pieces
from tui.reasons import told
from tui.talk import Ending, LiveReply, Talk
from tui.telling import complain, tell, tried
from tui.transcript import ending, figures_line, tokens
from tui.widgets.conversation import Conversation, Entry, LinkChosen
from tui.widgets.find_bar import FindBar
from tui.widgets.prompt import MessagesWanted, PromptBox
from tui.widgets.reply_tools import ReplyTools
from tui.widgets.tool_question import ToolQuestion
from tui.widgets.welcome import Welcome
from tui.worker import ModelWorker


class ChatPane(Vertical):
    """The start screen or the messages, the bar that finds in them, and the prompt."""

    def __init__(self, store: ConversationStore, worker: ModelWorker, talk: Talk, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pieces = Pieces()
        self._store, self._worker, self.talk = store, worker, talk
        self._welcome = Welcome(id="welcome")
        self.conversation = Conversation(id="conversation")
        self._find_bar = FindBar(self.conversation, id="find")
        self.tools = ReplyTools(self, worker)
        self._tools_in_use = 0
        self.prompt = PromptBox(id="prompt")
        self._drafts = Drafts(self, store, self._take_along)
        self._draft_before = Typed()
        """What was being typed when a question came back into the prompt."""
        self._edited_files: tuple[Attachment, ...] = ()
        """What was sent with that question."""
        self._is_open = False
        self._gone_id: int | None = None
        """The chat of which it was told last that it is deleted."""
        self._notice = ""

    def compose(self) -> ComposeResult:
        yield self._welcome
        yield self.conversation
        yield self._find_bar
        yield self.tools.question
        yield self.prompt

    # --- what the screen calls

    def open(self, conversation_id: int | None, *, at: int | None = None, words: str = "") -> None:
        """Turn to a conversation, with what was being typed in it; ``None`` begins one."""
        if self._is_open:  # else what is kept would be overwritten by a prompt that is still empty
            self._leave_draft()
        self._is_open = True
        tried(self, partial(self.talk.open, conversation_id))
        if at is not None:
            self._show_branch_of(at)
        self._show(tried(self, self.talk.entries) or [], at=at, words=words)
        self._take_up_draft()

    def _show_branch_of(self, message_id: int) -> None:
        if tried(self, lambda: self.talk.message(message_id), is_quiet=True) is not None:
            return
        if self.talk.is_replying_here:
            self._tell_busy()
        else:
            tried(self, lambda: self.talk.show_branch_of(message_id))

    def show(self, *, at: int | None = None, words: str = "") -> None:
        """Read the conversation from the history and show it, from a message on where one is given.

        Where it cannot be read, that is told and what is shown stays.
        """
        if (entries := tried(self, self.talk.entries)) is not None:
            self._show(entries, at=at, words=words)

    def _show(self, entries: Sequence[Entry], *, at: int | None, words: str = "") -> None:
        self._find_bar.close()
        self.conversation.show(entries, at=at, words=words)
        self._show_welcome(not entries)
        self.tools.show_question()

    def speak(self) -> None:
        """Say what is shown in the language that is now in use."""
        self._welcome.refresh(recompose=True)
        self.show(at=None if self.conversation.is_following else self.conversation.top_id)
        self.show_hint()

    def show_changes(self) -> None:
        """Another window may have written: show it without moving what is being read."""
        if self.talk.conversation_id is None or self.talk.is_replying_here:
            return
        entries = tried(self, self.talk.entries, is_quiet=True)
        if entries is not None and _seen(entries) != _seen(self.conversation.entries):
            self._show(entries, at=None if self.conversation.is_following else self.conversation.top_id)
            self.count()

    def keep_draft(self, *, waits: bool = True) -> None:
        """Keep what is typed; what a question was changed to comes after what was being typed before.

        Where someone else writes, it is kept a little later, unless this may wait. Where the history cannot be written
        it stays until the program ends, and that is told once.
        """
        if self.prompt.is_attached:
            self._drafts.keep(self.talk.conversation_id, self.typed, waits=waits)

    @property
    def typed(self) -> Typed:
        """What is to be kept of what is typed."""
        typed = Typed(self.prompt.text, self.prompt.attachments)
        if (edited := self.talk.edited) is None:
            return typed
        files = tuple(each for each in typed.attachments if each not in self._edited_files)
        return self._draft_before.followed_by(Typed("" if typed.text == edited.content else typed.text, files))

    def _take_along(self, conversation_id: int, typed: Typed) -> None:
        """A chat is gone, and what was being typed in it goes on in a new one."""
        if conversation_id == self.talk.conversation_id:
            self.talk.edited = None
            self.prompt.clear()
        if typed != Typed():
            is_new = self.talk.conversation_id is None
            before = self.typed if is_new else tried(self, lambda: self._drafts.of(None)) or Typed()
            self._drafts.keep(None, before.followed_by(typed))
            if is_new:
                self._take_up_draft()
            tell(self, tr("The chat was deleted; what you were typing in it is in a new one."))
        elif conversation_id != self._gone_id:
            tell(self, tr("The chat was deleted."))
        self._gone_id = conversation_id
        self.post_message(ConversationsChanged((conversation_id,)))

    def set(self, settings: ChatSettings) -> None:
        """Give the chat a system prompt, parameters, a knowledge base and tools of its own."""
        tried(self, lambda: self.talk.set_settings(settings))
        self.show_hint()
        self.count()

    def find(self, words: str = "") -> None:
        """Open the bar that finds in this chat."""
        self._find_bar.open(words)

    def set_notice(self, text: str) -> None:
        """What the line below the prompt says while there is nothing else to say."""
        self._notice = text
        if self._is_open and self.is_attached:  # a model may be loaded just as one quits
            self.show_hint()

    def show_hint(self) -> None:
        """Say below the prompt what holds here."""
        if self.talk.edited is not None:
            hint = tr("Esc gives up the change · Enter sends it as another branch")
        elif name := self.talk.settings.knowledge_base:
            hint = tr("Answers use “{name}”", name=name)
        else:
            hint = self._notice
        self.prompt.show_hint(hint, is_needed=self.talk.edited is not None)
        self.screen.refresh_bindings()
        if (count := len(self.talk.tools)) != self._tools_in_use:
            self._tools_in_use = count
            self.post_message(ToolsInUse(count))

    def give_up(self) -> None:
        """Leave the edited question as it is, or else stop the answer."""
        if self.talk.edited is not None:
            self.talk.edited = None
            self._put_draft_back()
        else:
            self.stop()

    def stop(self) -> bool:
        """Stop the answer; returns False if none is being written."""
        if self.talk.reply is None:
            return False
        self._worker.stop()
        self.talk.reply.is_stopping = True
        self.tools.asking.end()
        self._tell_state(tr("stopping…"))
        return True

    def has_told(self, reason: str) -> bool:
        """Whether the last message shown is a failed answer that says why."""
        entries = self.conversation.entries
        return bool(entries) and entries[-1].is_error and entries[-1].note == told(reason)

    def _show_welcome(self, visible: bool) -> None:
        self._welcome.display = visible
        self.conversation.display = not visible

    def _take_up_draft(self) -> None:
        self.prompt.clear()
        typed = tried(self, lambda: self._drafts.of(self.talk.conversation_id)) or Typed()
        self.prompt.text = typed.text
        self.prompt.attach(*typed.attachments)
        self.show_hint()
        self.count()

    def _put_draft_back(self) -> None:
        """The edited question is done with: what was being typed before it comes back."""
        self._drafts.keep(self.talk.conversation_id, self._draft_before)
        self._take_up_draft()

    def _leave_draft(self) -> None:
        self.keep_draft()
        self.prompt.clear()

    def _tell_state(self, state: str) -> None:
        self.post_message(TalkChanged(state))

    # --- one question, there and back

    def send(self, text: str) -> None:
        """Ask what a command wants asked; it goes into the prompt where that cannot be now."""
        is_edited = self.talk.edited is not None
        if not self._send(text):
            self.prompt.insert(text)
        elif is_edited:
            self._put_draft_back()
        else:
            self.keep_draft()  # the one in the file went with the question, and is not what was asked

    @on(PromptSubmitted)
    def _submit(self, event: PromptSubmitted) -> None:
        is_edited = self.talk.edited is not None
        if not self._send(event.text, event.attachments):
            self.prompt.keep()
        elif is_edited:
            self._put_draft_back()
        else:
            self.prompt.clear()

    @on(ExampleChosen)
    def _submit_example(self, event: ExampleChosen) -> None:
        if self._send(event.text):
            self.keep_draft()
        self.prompt.focus()

    def _send(self, text: str, attachments: Sequence[Attachment] = ()) -> bool:
        is_edited, here = self.talk.edited is not None, self.talk.conversation_id
        if not self._begin(lambda: self.talk.ask(text, attachments)):
            return False
        self._drafts.sent(here)
        reply = self.talk.reply
        assert reply is not None
        if is_edited:
            self.show()
        else:
            names = tuple(attachment.name for attachment in attachments)
            self._show_welcome(False)
            self.conversation.add(
                Entry(reply.question_id, "user", text, attachments=names),
                Entry(reply.message_id, "assistant", "", growing=True),
            )
        self.show_hint()
        return True

    def _begin(self, keep: Callable[[], LiveReply]) -> bool:
        """Keep an empty answer and have the model write it; returns False if either cannot be."""
        if self.talk.reply is not None:
            self._tell_busy()
            return False
        try:
            reply = keep()
        except StorageError as error:
            complain(self, str(error), tr("Not saved"))
            return False
        self.post_message(TalkChanged(tr("thinking…"), has_begun=True))
        try:
            self._worker.reply(reply.message_id, self.talk.request())
        except StorageError as error:  # the question is kept, and cannot be read
            self._fail_early(reply.message_id, str(error))
        return True

    def _fail_early(self, message_id: int, reason: str) -> None:
        def save() -> bool:
            return self._store.update(message_id, "", finish_reason="error", failure=reason)

        is_saved = tried(self, save, is_quiet=True) is not None
        self.post_message(ReplyFailed(message_id, reason, is_saved))

    def _tell_busy(self) -> None:
        tell(self, tr("The answer is still being written. Press Escape to stop it, or send when it is done."))

    def post_message(self, message: TextualMessage) -> bool:
        """Pieces of a reply wait for the next frame together; all else is told at once."""
        if not isinstance(message, ReplyDelta):
            return super().post_message(message)
        if self._pieces.put(message):
            self.conversation.before_frame(self._take_pieces)
        return True

    def _take_pieces(self) -> None:
        for piece in self._pieces.take():
            reply = self.talk.reply
            if reply is not None and reply.message_id == piece.message_id:
                if not reply.is_writing:
                    self._tell_state(tr("writing…"))
                    reply.is_writing = True
                reply.text += piece.text
                self.conversation.grow(piece.message_id, piece.text)

    @on(ReplyFinished)
    def _finish(self, event: ReplyFinished) -> None:
        self._take_pieces()
        self.tools.end()
        end = Ending(event.finish_reason, figures=event.figures, sources=event.sources)
        self.talk.finished(end, is_saved=event.is_saved)
        figures = figures_line(event.figures)
        self.conversation.finish(event.message_id, ending(event.finish_reason), figures=figures, sources=event.sources)
        self._tell_state(tr("ready"))
        if event.dropped_rounds:
            tell(self, tr("The oldest {count} rounds no longer fit and were not read.", count=event.dropped_rounds))
        self.count()

    @on(ReplyFailed)
    def _fail(self, event: ReplyFailed) -> None:
        self._take_pieces()
        self.tools.end()
        reply = self.talk.finished(Ending("error", event.reason), is_saved=event.is_saved)
        self.conversation.finish(event.message_id, told(event.reason), is_error=True)
        self._tell_state("")
        is_here = reply is not None and reply.conversation_id == self.talk.conversation_id
        if reply is not None and is_here and not reply.text and not self.prompt.text:
            self._give_back(reply.question_id)

    def _give_back(self, question_id: int) -> None:
        """Nothing was answered: one key sends it again."""
        if question := tried(self, lambda: self.talk.message(question_id)):
            self.prompt.text = question.content
            self.prompt.attach(*(tried(self, lambda: self._store.attachments(question_id)) or []))

    # --- tools that the reply uses

    @on(ToolStep)
    def _follow_tool(self, event: ToolStep) -> None:
        self.tools.follow(event.message_id, event.use)

    @on(ToolQuestion.Answered)
    def _answer_tool(self, event: ToolQuestion.Answered) -> None:
        self.tools.asking.answer(event.answer)

    @on(ToolUseChosen)
    def _choose_use(self, event: ToolUseChosen) -> None:
        self.tools.show(event.message_id, event.place)

    @on(ReplyNotice)
    def _tell_notice(self, event: ReplyNotice) -> None:
        complain(self, event.text, tr("Plugins"))

    @on(SaveFailed)
    def _report_save(self, event: SaveFailed) -> None:
        complain(self, event.reason, tr("Not saved"))

    @on(ReplySaved)
    def _forget_unsaved(self, event: ReplySaved) -> None:
        self.talk.saved(event.message_id)

    # --- what is being typed

    @on(PromptEdited)
    def _follow_typing(self) -> None:
        self.keep_draft(waits=False)
        self.count()

    def count(self) -> None:
        """Ask how much of the context the chat fills with what is typed."""
        text = "" if self.prompt.is_command else self.prompt.text
        request = tried(self, lambda: self.talk.request_with(text, self.prompt.attachments), is_quiet=True)
        if request is not None:
            self._worker.count(self.talk.conversation_id, request)

    @on(ContextCounted)
    def _show_count(self, event: ContextCounted) -> None:
        if event.conversation_id == self.talk.conversation_id:
            is_typing = bool(self.prompt.text) and not self.prompt.is_command
            rests_on_passages = bool(self.talk.settings.knowledge_base)  # which are found with the question
            line = "" if rests_on_passages and not is_typing else _count_line(event.use, is_typing)
            self.prompt.show_count(line, event.use.dropped_rounds > 0)

    # --- what is done to a message

    @on(MessageAsked)
    def _act(self, event: MessageAsked) -> None:
        message = tried(self, lambda: self.talk.message(event.message_id))
        if message is None:
            if event.action == "copy":
                self._copy_note(event.message_id)
            return
        match event.action:
            case "copy":
                self._copy(message.content)
            case "copy_code":
                self._copy("\n".join(self.conversation.code_blocks(message.id)))
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
            case "sources":
                self._show_passage(message.id, 1)
            case "tools":
                self.tools.show(message.id)

    def regenerate(self) -> None:
        """Answer the last question again."""
        self._with_last("user", self._answer_again)

    def edit(self) -> None:
        """Take the last question back into the prompt."""
        self._with_last("user", self._edit)

    def copy(self) -> None:
        """Copy the last answer."""
        self._with_last("assistant", lambda message: self._copy(message.content))

    def copy_code(self) -> None:
        """Copy the last code block."""
        for entry in reversed(self.conversation.entries):
            if blocks := self.conversation.code_blocks(entry.message_id):
                self._copy(blocks[-1])
                return
        self._copy("")

    def fork(self) -> None:
        """Go on in a copy of this chat."""
        self._with_last("assistant", self._fork)

    def _with_last(self, role: str, do: Callable[[Message], None]) -> None:
        message = tried(self, lambda: self.talk.last(role))
        if message is None:
            tell(self, tr("There is nothing of that kind in this chat yet."))
        else:
            do(message)

    def _answer_again(self, message: Message) -> None:
        question = tried(self, lambda: self.talk.question_of(message))
        if question is not None and self._begin(lambda: self.talk.ask_again(question)):
            self.show()

    def _edit(self, message: Message) -> None:
        question = tried(self, lambda: self.talk.question_of(message))
        if question is None:
            return
        self._leave_draft()
        self._draft_before = tried(self, lambda: self._drafts.of(self.talk.conversation_id)) or Typed()
        self.talk.edited = question
        self.prompt.text = question.content
        self._edited_files = tuple(tried(self, lambda: self._store.attachments(question.id)) or ())
        self.prompt.attach(*self._edited_files)
        self.prompt.focus()
        self.show_hint()

    def _fork(self, message: Message) -> None:
        def go_on(forked: StoredConversation) -> None:
            self.post_message(ConversationChosen(forked.id))
            tell(self, tr("You go on in a copy; the chat it was taken from stays as it is."))

        failed = partial(complain, self, title=tr("That did not work"))
        in_background(self, partial(self._store.fork, message.id), go_on, failed)  # thousands of messages take a second

    def _step_variant(self, message: Message, by: int) -> None:
        if self.talk.is_replying_here:
            self._tell_busy()
        elif tried(self, lambda: self.talk.step_variant(message.id, by)):
            shown = [entry.message_id for entry in self.conversation.entries]
            path = [one.id for one in self.talk.path.messages]
            self.show(at=next((new for new, old in zip(path, shown, strict=False) if new != old), None))
            self.count()

    def _copy(self, text: str) -> None:
        if text:
            copy(self.app, text)
        else:
            tell(self, tr("There is nothing of that kind in this chat yet."))

    def _copy_note(self, number: int) -> None:
        for entry in self.conversation.entries:
            if entry.message_id == number:
                self._copy(entry.text)

    @on(CitationChosen)
    def _cite(self, event: CitationChosen) -> None:
        self._show_passage(event.message_id, event.number)

    def _show_passage(self, message_id: int, number: int) -> None:
        from tui.screens.passage import PassageScreen

        if sources := tried(self, lambda: self._store.sources(message_id)):
            self.app.push_screen(PassageScreen(sources, number))

    @on(LinkChosen)
    def _copy_link(self, event: LinkChosen) -> None:
        self._copy(event.url)

    @on(MessagesWanted)
    def _go_to_messages(self) -> None:
        self.conversation.focus()


def _seen(entries: Sequence[Entry]) -> list[tuple[object, ...]]:
    return [(entry.message_id, entry.text, entry.note, entry.uses) for entry in entries]


def _count_line(use: ContextUse, is_typing: bool) -> str:
    filled = f"{use.tokens:,} / {use.limit:,}"
    if use.dropped_rounds:
        filled = tr("the oldest {count} rounds no longer fit", count=use.dropped_rounds) + f" · {filled}"
    if not is_typing:
        return filled
    return f"{tokens(use.question_tokens)} · {filled}"
