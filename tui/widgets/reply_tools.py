"""What the pane does for the tools that a reply uses: their lines, their questions, and all of a use in a dialog."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chatglm_slim_llm.hosting.assistant import ToolUse
from tui.asking import Asking
from tui.language import tr
from tui.messages import TalkChanged
from tui.telling import tell, tried
from tui.widgets.tool_question import ToolQuestion
from tui.worker import ModelWorker
from tui.wrapping import visible

if TYPE_CHECKING:
    from tui.widgets.chat_pane import ChatPane

_OPEN = ("asked", "running")


class ReplyTools:
    """The tools of the one reply that is written, whichever chat is shown."""

    def __init__(self, pane: ChatPane, worker: ModelWorker) -> None:
        self._pane = pane
        self.question = ToolQuestion(id="question")
        self.asking = Asking(worker.permit, self._announce)

    def follow(self, message_id: int, use: ToolUse) -> None:
        """A tool asks, runs or has ended."""
        reply = self._pane.talk.reply
        if reply is None or reply.message_id != message_id:
            return
        reply.uses[use.id] = use
        reply.is_writing = False
        self._pane.conversation.use_tools(message_id, tuple(reply.uses.values()))
        self._pane.post_message(TalkChanged(_doing(use)))
        self.asking.follow(reply.conversation_id, use)

    def end(self) -> None:
        """The reply is over: what had not ended by then never will."""
        self.asking.end()
        if (reply := self._pane.talk.reply) is not None and reply.uses:
            uses = tuple(replace(use, state="failed") if use.state in _OPEN else use for use in reply.uses.values())
            self._pane.conversation.use_tools(reply.message_id, uses)

    def show_question(self) -> None:
        """Show who asks now, with the chat that it is about where that is another one."""
        if self.asking.asked is not None or self.question.is_open:
            self.question.show(self.asking.asked, self._where())
            self._pane.screen.set_class(self.question.is_open, "-asked")  # what pops up must not cover it

    def _announce(self, use: ToolUse | None) -> None:
        pane, had_focus = self._pane, self.question.has_focus_within
        self.show_question()
        if had_focus:  # a key that is pressed twice must not answer the next question, too
            pane.prompt.focus()
        if use is not None and pane.app.screen is not pane.screen:
            tell(pane, tr("The tool “{name}” waits for an answer in the chat.", name=use.name))
        pane.screen.refresh_bindings()

    def _where(self) -> str:
        talk = self._pane.talk
        if talk.reply is None or talk.is_replying_here:
            return ""
        conversation_id = talk.reply.conversation_id
        found = tried(self._pane, lambda: talk.stored(conversation_id), is_quiet=True)
        return found.title if found else ""

    def show(self, message_id: int, place: int = 0) -> None:
        """Show a use of a message in full."""
        from tui.screens.tool_uses import ToolUsesScreen

        entries = self._pane.conversation.entries
        uses = next((entry.uses for entry in entries if entry.message_id == message_id), ())
        if uses:
            self._pane.app.push_screen(ToolUsesScreen(uses, place))


def _doing(use: ToolUse) -> str:
    """What the status line says meanwhile."""
    if use.state == "asked":
        return tr("waits for your answer")
    return tr("uses {name}", name=visible(use.name)) if use.state == "running" else tr("thinking…")
