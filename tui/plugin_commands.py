"""Slash commands of plugins, one at a time beside the screen; what one says stands in the conversation as a note."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

from chatglm_slim_llm.storage import Message
from tui.background import in_background
from tui.language import tr
from tui.reasons import told
from tui.telling import tell, tried
from tui.widgets.conversation_entry import Entry

if TYPE_CHECKING:
    from chatglm_slim_llm.plugins import Ask, CommandCall, Insert
    from tui.widgets.chat_pane import ChatPane

_Turn = tuple[Literal["human", "ai"], str]


class Runner(Protocol):
    """What is needed of ``hosting.commands.CommandRunner``; ``run`` may take long and may raise anything."""

    def run(self, name: str, call: CommandCall, *, is_cancelled: Callable[[], bool]) -> str | Ask | Insert: ...

    def close(self) -> None: ...


def make_runner() -> Runner:
    """The process in which commands run; it starts with the first one."""
    from chatglm_slim_llm.hosting.commands import CommandRunner

    return CommandRunner()


class PluginCommands:
    """Runs commands for a pane, and puts what they give where it belongs."""

    def __init__(self, pane: ChatPane, make: Callable[[], Runner] = make_runner) -> None:
        self._pane, self._make = pane, make
        self._runner: Runner | None = None
        self._stop: threading.Event | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is something to stop."""
        return self._stop is not None and not self._stop.is_set()

    def run(self, name: str, argument: str) -> None:
        """Begin a command; only one runs at a time."""
        if self._stop is not None:
            tell(self._pane, tr("Another command still runs; Esc stops it."))
            return
        talk = self._pane.talk
        messages = tried(self._pane, lambda: talk.path.messages) or []
        here, below = talk.conversation_id, messages[-1].id if messages else None
        note = talk.notes.add(here, below, f"/{name} {argument}".rstrip())
        note.note = tr("runs; Esc stops it")
        self._pane.show()
        self._stop = stop = threading.Event()
        self._pane.screen.refresh_bindings()
        in_background(
            self._pane,
            partial(self._call, name, argument, _turns(messages), stop),
            partial(self._take, note, here, stop),
            partial(self._fail, note, stop),
        )

    def stop(self) -> bool:
        """Stop what runs; returns False if nothing does."""
        if self._stop is None or self._stop.is_set():
            return False
        self._stop.set()
        return True

    def forget(self) -> None:
        """Plugins may have changed: the next command begins in a new process."""
        runner, self._runner = self._runner, None
        if runner is not None:
            threading.Thread(target=runner.close, name="command-runner", daemon=True).start()

    def close(self) -> None:
        """End with the program; nothing of a command is left."""
        self.stop()
        if self._runner is not None:
            self._runner.close()

    def _call(self, name: str, argument: str, turns: Sequence[_Turn], stop: threading.Event) -> str | Ask | Insert:
        """Runs in a thread of its own."""
        from chatglm_slim_llm.plugins import CommandCall, Turn

        self._runner = self._runner or self._make()
        call = CommandCall(argument, tuple(Turn(role, text) for role, text in turns))
        return self._runner.run(name, call, is_cancelled=stop.is_set)

    # --- what it gave, in the screen's own thread

    def _take(self, note: Entry, conversation_id: int | None, stop: threading.Event, given: str | Ask | Insert) -> None:
        from chatglm_slim_llm.plugins import Ask, Insert

        pane = self._pane
        is_stopped, self._stop = stop.is_set(), None
        if is_stopped:
            self._end(note, tr("■ stopped"))
        elif isinstance(given, str):
            self._end(note, "" if given.strip() else tr("It said nothing."), text=given)
        elif pane.talk.conversation_id != conversation_id:  # another chat is on the screen: it is not for that
            self._end(note, "", text=given.text)
        else:
            pane.talk.notes.remove(note)
            pane.show()
            if isinstance(given, Ask):
                pane.send(given.text)
            elif isinstance(given, Insert):
                pane.prompt.insert(given.text)
        pane.screen.refresh_bindings()

    def _fail(self, note: Entry, stop: threading.Event, reason: str) -> None:
        is_stopped, self._stop = stop.is_set(), None
        if is_stopped:
            self._end(note, tr("■ stopped"))
        else:
            self._end(note, told(reason), is_error=True)
        self._pane.screen.refresh_bindings()

    def _end(self, note: Entry, said: str, *, text: str = "", is_error: bool = False) -> None:
        note.text, note.note, note.is_error, note.growing = text.strip("\n"), said, is_error, False
        self._pane.conversation.changed(note.message_id)


def _turns(messages: Sequence[Message]) -> Sequence[_Turn]:
    """What was said, without what a plugin has no use for."""
    roles: dict[str, Literal["human", "ai"]] = {"user": "human", "assistant": "ai"}
    return [(roles[each.role], each.content) for each in messages if each.role in roles and each.content]
