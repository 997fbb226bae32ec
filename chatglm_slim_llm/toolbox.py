"""Tools of plugins, made when they are first wanted: what fails, hangs or is no tool is a notice, not the end.

A plugin's import and its function run in a thread, as nobody knows how long they take; a plugin that is not ready in
time is left out, and asked for again the next time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.aside import TooLateError, begin, finished, waiting, why
from chatglm_slim_llm.errors import ChatGLMSlimError, PluginLoadError
from chatglm_slim_llm.plugins import PluginSpec, plugin, plugins

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

SECONDS = 20.0
"""How long the import of a plugin and the making of its tools may take."""
_AGAIN_S = 0.1
"""How long one that was too late is waited for the next time."""


@dataclass(frozen=True)
class Tools:
    """Tools that can be used, and what is left out."""

    tools: tuple[BaseTool, ...] = ()
    notices: tuple[str, ...] = ()
    """A sentence for each plugin or tool that is left out: which one and why."""
    plugin_of: Mapping[str, str] = field(default_factory=dict)
    """The plugin that gave each tool, by the tool's name."""


def build_tools(names: Iterable[str], *, seconds: float = SECONDS) -> Tools:
    """The tools of these plugins, of each at most so many seconds later."""
    return finished(Toolbox().open(names, seconds=seconds))


class Toolbox:
    """Tools that stay: a plugin's function is called once, however often its tools are wanted.

    Whether it is on, and with the same options, is looked at each time.
    """

    def __init__(self) -> None:
        self._made: dict[str, tuple[PluginSpec, Sequence[BaseTool]]] = {}
        self._begun: dict[str, tuple[float, Future[Sequence[BaseTool]]]] = {}

    def open(
        self, names: Iterable[str], *, seconds: float = SECONDS, doing: Callable[[str], object] = lambda who: None
    ) -> Generator[None, None, Tools]:
        """Make the tools of these plugins, in steps; closing the generator gives up. Gives `Tools`.

        Args:
            names: of plugins.
            seconds: how long each may take.
            doing: called with a plugin's key before it is at work, and with nothing after it.
        """
        notices: list[str] = []
        usable: list[str] = []
        are_on = plugins("tools")
        for name in dict.fromkeys(names):
            doing(f"the plugin tools.{name}")
            try:
                spec = are_on.get(name) or plugin("tools", name)  # which says why it is not on
                if name not in self._made or self._made[name][0] != spec:
                    self._made[name] = spec, (yield from self._make(spec, seconds))
                usable.append(name)
            except Exception as error:
                notices.append(_sentence(name, error))
            finally:
                doing("")
        return self._unique(usable, notices)

    def made(self, names: Iterable[str]) -> Tools:
        """The tools of those of these plugins that are made already; never waits."""
        return self._unique([name for name in names if name in self._made], [])

    def _make(self, spec: PluginSpec, seconds: float) -> Generator[None, None, Sequence[BaseTool]]:
        now_s = time.monotonic()
        if spec.name not in self._begun:
            self._begun[spec.name] = now_s, begin(lambda: _tools_of(spec), spec.key)
        began_s, future = self._begun[spec.name]  # who gives it up finds it here again
        try:
            made = yield from waiting(future, max(began_s + seconds - now_s, _AGAIN_S))
        except TooLateError:
            raise PluginLoadError(
                f"plugin {spec.key} ({spec.origin}) is not ready after {seconds:g} s; repair it, or switch it off with:"
                f" chatglm-slim plugins disable {spec.word}",
                name=spec.name,
            ) from None
        except Exception:
            del self._begun[spec.name]
            raise
        del self._begun[spec.name]
        return made

    def _unique(self, names: Iterable[str], notices: list[str]) -> Tools:
        first: dict[str, tuple[BaseTool, str]] = {}
        for name in dict.fromkeys(names):
            for tool in self._made[name][1]:
                if tool.name in first:
                    of = first[tool.name][1]
                    also = f"as tools.{of} has, which is used" if of != name else "twice; the first is used"
                    notices.append(f"plugin tools.{name} has a tool {tool.name!r} {also}")
                else:
                    first[tool.name] = (tool, name)
        return Tools(
            tuple(tool for tool, _ in first.values()), tuple(notices), {name: of for name, (_, of) in first.items()}
        )


def _tools_of(spec: PluginSpec) -> Sequence[BaseTool]:
    from langchain_core.tools import BaseTool

    made: Any = spec.load()
    if not isinstance(made, BaseTool):
        made = spec.make()
    elif spec.options:
        raise PluginLoadError(f"plugin {spec.key} ({spec.origin}) is a tool that takes no options", name=spec.name)
    tools = list(made) if isinstance(made, Sequence) and not isinstance(made, str) else [made]
    for tool in tools:
        if not isinstance(tool, BaseTool):
            raise PluginLoadError(
                f"plugin {spec.key} ({spec.origin}) gave {type(tool).__name__}; it must give a LangChain BaseTool, or"
                " a list of them",
                name=spec.name,
            )
        _describe(tool, spec)
    return tools


def _describe(tool: BaseTool, spec: PluginSpec) -> None:
    """Refuse a tool that cannot be described to any model."""
    from langchain_core.utils.function_calling import convert_to_openai_tool

    try:
        convert_to_openai_tool(tool)
    except Exception as error:
        raise PluginLoadError(
            f"plugin {spec.key} ({spec.origin}) has a tool {tool.name!r} that cannot be described to a model:"
            f" {why(error)}",
            name=spec.name,
        ) from error


def _sentence(name: str, error: Exception) -> str:
    if isinstance(error, ChatGLMSlimError):
        return str(error)
    return f"plugin tools.{name} cannot be used: {why(error)}"
