"""Slash commands of plugins, in a process of their own: whatever one does, it does not do it to the program.

The process starts with the first command, and ends with ``close``, or when a command was given up. Nothing here imports
torch or LangChain. All methods block, and may be called from any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from chatglm_slim_llm.aside import why
from chatglm_slim_llm.errors import ChatGLMSlimError, PluginError
from chatglm_slim_llm.hosting.process import Call, ChildProcess
from chatglm_slim_llm.hosting.wire import Message
from chatglm_slim_llm.plugins import Ask, CommandCall, Insert, PluginSpec, Turn, plugin

SECONDS = 60.0
"""How long a command may take."""
MAX_CHARACTERS = 1_000_000
"""More text than a screen or a message takes."""
_POLL_S = 0.05
_KINDS: dict[str, Callable[[str], str | Ask | Insert]] = {"show": str, "ask": Ask, "insert": Insert}


class CommandRunner:
    """The commands of plugins."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None

    def run(self, name: str, call: CommandCall, *, is_cancelled: Callable[[], bool]) -> str | Ask | Insert:
        """What a command gives: a text to show, or what is to be asked, or to be put into the prompt.

        Args:
            name: of the plugin.
            call: what the person has written, and the conversation.
            is_cancelled: asked every now and then; once it says so, the command's process is ended.

        Raises:
            PluginError: the command failed, took too long, ended its process, or was cancelled; it says which one.
        """
        spec = plugin("commands", name)
        child = self._started()
        given = {"name": name, "text": call.text, "turns": [[turn.role, turn.text] for turn in call.turns]}
        pending = child.call("command", given)
        try:
            return self._result(spec, pending, is_cancelled)
        except ChatGLMSlimError as error:
            if isinstance(error, PluginError) or child.is_alive():
                raise
            raise PluginError(f"{_who(spec)} broke off: {error}") from error
        finally:
            if not pending.is_over:
                self._end(child)

    def close(self) -> None:
        """End the process; the next command starts it again."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.close()

    def _started(self) -> ChildProcess:
        with self._lock:
            if self._child is None or not self._child.is_alive():
                self._child = ChildProcess("The process of the commands", "try it with less")
            return self._child

    def _end(self, child: ChildProcess) -> None:
        with self._lock:
            if self._child is child:
                self._child = None
        child.close()

    def _result(self, spec: PluginSpec, pending: Call, is_cancelled: Callable[[], bool]) -> str | Ask | Insert:
        deadline_s = time.monotonic() + self._seconds
        while (message := pending.next(_POLL_S)) is None:
            if is_cancelled():
                raise PluginError(f"{_who(spec)} was stopped")
            if time.monotonic() >= deadline_s:
                raise PluginError(
                    f"{_who(spec)} was ended, as it gave nothing in {self._seconds:g} s; repair it, or switch it off"
                    f" with: chatglm-slim plugins disable {spec.word}"
                )
        kind, text = message["end"]
        return _KINDS[kind](text)


def run_command(given: Message) -> tuple[str, str]:
    """Run a command in this process: the child's part of `CommandRunner.run`.

    Raises:
        PluginError: it failed, or gave what is no result of a command.
    """
    spec = plugin("commands", given["name"])
    function = spec.function()
    try:
        result = function(CommandCall(given["text"], tuple(Turn(role, text) for role, text in given["turns"])))
    except ChatGLMSlimError:
        raise
    except BaseException as error:  # sys.exit, too
        raise PluginError(f"{_who(spec)} failed: {why(error)}") from error
    kind = {Ask: "ask", Insert: "insert"}.get(type(result), "show")
    text = result.text if isinstance(result, Ask | Insert) else result
    if not isinstance(text, str):
        found = type(result).__name__ if text is result else f"{type(result).__name__} of {type(text).__name__}"
        raise PluginError(f"{_who(spec)} gave {found}; it must give a text, Ask(text) or Insert(text)")
    if len(text) > MAX_CHARACTERS:
        raise PluginError(
            f"{_who(spec)} gave {len(text):,} characters, more than the {MAX_CHARACTERS:,} there is room for"
        )
    return kind, str(text)


def _who(spec: PluginSpec) -> str:
    return f"the command /{spec.name} ({spec.origin})"
