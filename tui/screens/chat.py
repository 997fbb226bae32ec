"""The chat: the history, the pane of the conversation, and what keys and commands do to the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from chatglm_slim_llm.hosting.library import Library
from chatglm_slim_llm.storage import Attachment, ChatSettings, ConversationStore
from tui.commands import Command, named
from tui.compositing import SparingScreen
from tui.language import tr
from tui.messages import (
    CommandGiven,
    ConversationChosen,
    ConversationsChanged,
    ExportAsked,
    ModelFailed,
    ModelLoading,
    ModelReady,
    TalkChanged,
    ToolsInUse,
)
from tui.plugin_list import PluginList
from tui.plugin_list import read as read_plugins
from tui.screens.chat_files import ChatFiles
from tui.screens.chat_plugins import ChatPlugins
from tui.talk import Talk
from tui.telling import complain, tell, tried
from tui.widgets.chat_pane import ChatPane
from tui.widgets.footer import Footer
from tui.widgets.history import History, HistoryLeft
from tui.widgets.prompt import AttachAsked
from tui.widgets.status import StatusLine
from tui.worker import ModelWorker

_LOOK_S = 1.0
"""How often the history file is looked at for what other windows have written."""
_SETTLED_S = 0.3
"""After so long everything is painted, and what takes a while beside the screen holds up none of it."""


def _key(keys: str, name: str, description: str, tooltip: str, *, show: bool = False) -> Binding:
    """A key that also works while the prompt has the keyboard, which would take it for itself."""
    return Binding(keys, name, description, show=show, id=f"chat.{name}", tooltip=tooltip, priority=True)


class ChatScreen(SparingScreen):
    """History on the left, the conversation with its prompt on the right."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (90, "-wide")]  # noqa: RUF012  (Textual declares no ClassVar)
    OF_BREAKPOINTS = "#history, #chat"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", id="chat.stop", tooltip="Stop the answer; what is there stays"),
        Binding("escape", "back", "Back", show=False, id="chat.back", tooltip="Back to the prompt"),
        _key("ctrl+n", "new", "New", "Begin a new conversation", show=True),
        _key("ctrl+b", "history", "History", "Show or hide the history", show=True),
        _key("ctrl+f", "find", "Find", "Find in this chat", show=True),
        _key("ctrl+r", "regenerate", "Again", "Answer the last question again"),
        _key("ctrl+y", "copy", "Copy", "Copy the last answer", show=True),
        _key("ctrl+o", "attach", "Attach", "Attach a file", show=True),
        _key("ctrl+k", "knowledge", "Knowledge", "Choose, fill and sync knowledge bases"),
        _key("f4", "answer_tool", "Answer", "Answer the tool that asks whether it may be used", show=True),
        _key("f4", "tools", "Tools", "Choose the tools that the model may use in this chat"),
        _key("ctrl+s", "chat_settings", "This chat", "System prompt and parameters of this chat"),
        Binding("ctrl+z", "undo", "Undo", show=False, id="chat.undo", tooltip="Bring back what was deleted or moved"),
    ]

    def __init__(
        self,
        store: ConversationStore,
        worker: ModelWorker,
        library: Library,
        talk: Talk,
        *,
        plugins: Callable[[], PluginList] = read_plugins,
    ) -> None:
        super().__init__()
        self._store, self._worker, self._library, self._talk = store, worker, library, talk
        self.status = StatusLine(id="status")
        self._history = History(store, id="history")
        self.pane = ChatPane(store, worker, talk, id="chat")
        self.plugins = ChatPlugins(self, talk, plugins)
        self._files = ChatFiles(self, store, library)
        self._revision = 0

    def compose(self) -> ComposeResult:
        yield self.status
        with Horizontal():
            yield self._history
            yield self.pane
        yield Footer()

    def on_mount(self) -> None:
        tried(self, self._store.mark_interrupted)
        past = tried(self, self._store.conversations)
        self._open(max(past, key=lambda one: one.updated_at).id if past else None)
        self.pane.prompt.focus()
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        """What the first paint need not wait for."""
        self.pane.prompt.set_history(tried(self, self._store.prompts) or [])
        self._revision = tried(self, self._store.revision) or 0
        self.set_interval(_LOOK_S, self._look)
        self.set_timer(_SETTLED_S, lambda: self.plugins.look(is_start=True))

    # --- what the model does

    @on(TalkChanged)
    def _follow_talk(self, event: TalkChanged) -> None:
        if event.state or not self.status.is_problem:
            self._say(event.state or tr("ready"))
        reply = self._talk.reply
        self._history.set_writing([] if reply is None else [reply.conversation_id])
        self.refresh_bindings()
        if event.has_begun:
            self.show_history()

    @on(ModelLoading)
    def _show_loading(self, event: ModelLoading) -> None:
        share = f" {event.done_bytes / event.total_bytes:.0%}" if event.total_bytes else ""
        self._say(f"{_doing(event.what)}{share}")

    @on(ModelReady)
    def _show_ready(self) -> None:
        self._say(tr("writing…") if self._talk.reply else tr("ready"))
        self.pane.count()

    @on(ModelFailed)
    def _show_model_failed(self, event: ModelFailed) -> None:
        self._say(tr("no model"), is_problem=True)
        if self._talk.reply is None and not self.pane.has_told(event.reason):
            complain(self, event.reason, tr("The model is not loaded"))

    def _say(self, state: str, *, is_problem: bool = False) -> None:
        self.status.state, self.status.is_problem = state, is_problem

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is something to stop only while an answer is written, a question is edited or a command runs."""
        if action == "answer_tool":
            return self.pane.tools.question.is_open
        is_busy = self._talk.reply is not None or self._talk.edited is not None or self.plugins.commands.is_running
        return action != "stop" or is_busy

    def action_stop(self) -> None:
        if self._talk.edited is not None or not self.plugins.commands.stop():
            self.pane.give_up()

    def action_back(self) -> None:
        self.pane.prompt.focus()

    # --- conversations

    def action_new(self) -> None:
        self._open(None)
        self.pane.prompt.focus()

    @on(ConversationChosen)
    def _choose(self, event: ConversationChosen) -> None:
        self._open(event.conversation_id, at=event.message_id, words=event.words)
        self.remove_class("-history-open")
        self.pane.prompt.focus()

    @on(ConversationsChanged)
    def _follow_changes(self, event: ConversationsChanged) -> None:
        here = self._talk.conversation_id
        if here is None or here not in event.conversation_ids:
            return
        found = tried(self, self._talk.conversation, is_quiet=True)
        if tried(self, self._talk.is_gone, is_quiet=True) or (found is not None and found.deleted_at is not None):
            self._leave()

    def _leave(self) -> None:
        """The chat that is shown is no longer to be seen."""
        if self._talk.is_replying_here:
            self.pane.stop()
        self._open(None)

    def _open(self, conversation_id: int | None, *, at: int | None = None, words: str = "") -> None:
        self.pane.open(conversation_id, at=at, words=words)
        self.show_history()

    def speak(self) -> None:
        """Say what is shown in the language that is now in use."""
        self.status.tools = tool_count(len(self._talk.tools))
        self._say_again()
        self.show_history()
        self.pane.speak()

    def _say_again(self) -> None:
        if self.status.is_problem:
            self._say(tr("no model"), is_problem=True)
        elif (reply := self._talk.reply) is not None:
            self._say(tr("stopping…" if reply.is_stopping else "writing…" if reply.is_writing else "thinking…"))
        elif self._worker.facts is not None:  # what loads is said again as it goes on
            self._say(tr("ready"))

    def show_history(self) -> None:
        """Conversations have come in, or have moved."""
        self._history.show(self._talk.conversation_id)

    def _look(self) -> None:
        """Show what other windows have written since."""
        revision = tried(self, self._store.revision, is_quiet=True)
        if revision is not None and revision != self._revision:
            self._revision = revision
            self.show_history()
            if tried(self, self._talk.is_gone, is_quiet=True):
                self._leave()
            else:
                self.pane.show_changes()

    # --- commands

    @on(CommandGiven)
    async def _run_command(self, event: CommandGiven) -> None:
        command = named(event.name, self.commands)
        if command is None:  # its plugin was switched off since
            return
        if command.action:
            await self.run_command(command.action, event.argument)
        else:
            self.plugins.commands.run(command.name, event.argument)

    @property
    def commands(self) -> Sequence[Command]:
        """What can be typed behind a slash: ours, then those of plugins."""
        return self.pane.prompt.commands

    async def run_command(self, action: str, argument: str = "") -> None:
        """Do what a command names, here or in the app."""
        method = getattr(self if hasattr(self, f"action_{action}") else self.app, f"action_{action}")
        result = method(argument) if argument else method()
        if result is not None:
            await result

    def action_regenerate(self) -> None:
        self.pane.regenerate()

    def action_edit(self) -> None:
        self.pane.edit()

    def action_copy(self) -> None:
        self.pane.copy()

    def action_copy_code(self) -> None:
        self.pane.copy_code()

    def action_copy_all(self) -> None:
        self._files.copy_all(self._talk.conversation_id)

    def action_fork(self) -> None:
        self.pane.fork()

    def action_find(self, words: str = "") -> None:
        self.pane.find(words)

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
            tell(self, tr("There is nothing to take back."))

    # --- plugins

    def action_plugins(self) -> None:
        self.plugins.show()

    def action_tools(self) -> None:
        self.plugins.choose_tools()

    @on(ToolsInUse)
    def _show_tools_in_use(self, event: ToolsInUse) -> None:
        self.status.tools = tool_count(event.count)

    def action_answer_tool(self) -> None:
        self.pane.tools.question.focus()

    # --- what belongs to this chat

    def action_chat_settings(self) -> None:
        from tui.screens.chat_settings import ChatSettingsScreen

        screen = ChatSettingsScreen(self._talk.settings, self._talk.sampling, self._finders())
        self.app.push_screen(screen, self._set)

    def action_system(self, text: str = "") -> None:
        self._set(replace(self._talk.settings, system=text))
        tell(self, tr("The system prompt is set.") if text else tr("There is no system prompt now."))

    def action_knowledge(self, name: str = "") -> None:
        from tui.screens.knowledge import KnowledgeScreen

        if not name:
            chosen = self._talk.settings.knowledge_base
            self.app.push_screen(KnowledgeScreen(self._library, chosen, self.plugins.retrievers), self._rest_on)
        elif name in self._finders():
            self._rest_on(name)
        else:
            tell(self, tr("There is no knowledge base “{name}”; Ctrl+K lists them.", name=name))

    def _finders(self) -> list[str]:
        """What answers may rest on."""
        return [*self._library.names(), *self.plugins.retrievers]

    def _rest_on(self, name: str | None) -> None:
        if name is not None:
            self._set(replace(self._talk.settings, knowledge_base=name))

    def _set(self, settings: ChatSettings | None) -> None:
        if settings is not None:
            self.pane.set(settings)

    # --- files

    def action_attach(self, path: str = "") -> None:
        self._files.attach(path)

    @on(AttachAsked)
    def _attach_dropped(self, event: AttachAsked) -> None:
        self._files.attach(str(event.path))

    def attach(self, attachment: Attachment) -> None:
        """Put what was read from a file to the next message."""
        self.pane.prompt.attach(attachment)
        self.pane.prompt.focus()

    def action_export(self, path: str = "") -> None:
        self._files.export(self._talk.conversation_id, path)

    @on(ExportAsked)
    def _export_asked(self, event: ExportAsked) -> None:
        self._files.export(event.conversation_id)

    def action_import(self, path: str = "") -> None:
        self._files.import_(path)

    # --- the frame

    def action_history(self) -> None:
        toggled = "-history-open" if self.has_class("-narrow") else "-history-closed"
        self.toggle_class(toggled)
        (self._history if self._history.display else self.pane.prompt).focus()

    @on(HistoryLeft)
    def _leave_history(self) -> None:
        self.remove_class("-history-open")
        self.pane.prompt.focus()

    def action_read(self, pages: int) -> None:
        """Scroll the conversation while the prompt keeps the keyboard."""
        conversation = self.pane.conversation
        (conversation.scroll_page_up if pages < 0 else conversation.scroll_page_down)(animate=False)

    def on_app_focus(self, _event: events.AppFocus) -> None:
        if self.focused is None:
            self.pane.prompt.focus()


def tool_count(count: int) -> str:
    """How many tools are in use; empty for none."""
    if not count:
        return ""
    return tr("1 tool") if count == 1 else tr("{count} tools", count=count)


def _doing(what: str) -> str:
    verb, _, name = what.partition(" ")
    sentences = {"reading": "reading {name}", "importing": "importing {name}"}
    return tr(sentences[verb], name=name) if verb in sentences and name else tr(what)
