"""Tools of MCP servers as a plugin of the group ``tools``: one table in ``plugins.toml`` a server.

    [tools.time]
    target = "chatglm_slim_llm.mcp.client:tools"
    [tools.time.options]
    command = "uvx"
    args = ["mcp-server-time"]

A server is started when its tools are first wanted, stays for the next call, and ends with the program. What it says
of its tools (`readOnlyHint`) is in their metadata.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Coroutine, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from langchain_core.callbacks import CallbackManagerForToolRun
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool

from chatglm_slim_llm.errors import ConfigError, MissingExtraError, PluginError
from chatglm_slim_llm.mcp.options import ServerOptions, at_home, filled

CHATGLM_SLIM_API = 1

T = TypeVar("T")


def tools(
    *,
    command: str = "",
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: str = "",
    url: str = "",
    headers: Mapping[str, str] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    timeout_s: float = 60.0,
) -> list[BaseTool]:
    """The tools of one MCP server.

    Args:
        command: the program to start, which talks over stdin and stdout.
        args: its arguments.
        env: variables for it; ``${NAME}`` is filled from our environment, of which it sees little else.
        cwd: the folder to start it in.
        url: the address of a server that talks streamable HTTP, instead of a command.
        headers: what to send to it; ``${NAME}`` is filled from the environment.
        include: the tools to take; all by default.
        exclude: tools to leave out.
        timeout_s: what starting it, and each call, may take.

    Raises:
        ConfigError: an option cannot be used.
        MissingExtraError: the packages for it are not installed.
        PluginError: the server does not start or answer.
    """
    options = ServerOptions(
        command=at_home(command),
        args=tuple(map(at_home, args)),
        env=filled(env or {}, "env"),
        cwd=at_home(cwd),
        url=url,
        headers=filled(headers or {}, "headers"),
        timeout_s=timeout_s,
    )
    try:
        from langchain_mcp_adapters.tools import convert_mcp_tool_to_langchain_tool as convert

        from chatglm_slim_llm.mcp.links import home
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"MCP servers need packages that are not installed ({error.name}); "
            "run: pip install 'chatglm-slim-llm[mcp]'",
            extra="mcp",
        ) from error
    link = home().begin(home().link(options)).result()
    found = home().begin(link.list_tools()).result()
    if not found:
        raise PluginError(f"the MCP server {options.label} offers no tools; is it the right one?")
    names = _chosen([tool.name for tool in found], include, exclude)
    # The link takes a session's place: it has the one method that a tool calls, and opens a new session when it must.
    return [_usable(convert(link, tool)) for tool in found if tool.name in names]  # type: ignore[arg-type]


def check(*, command: str = "", cwd: str = "", env: Mapping[str, str] | None = None, **_others: object) -> None:
    """What can be said of the options before anything is started.

    Raises:
        ConfigError: the command is not there, or ``env`` wants a variable that is not set.
    """
    program = at_home(command)
    if os.sep in program:  # with a folder even where that is the working one, else it is looked for in PATH
        program = os.path.join(at_home(cwd) or os.curdir, program)  # noqa: PTH118  # a Path leaves "./" out
    if command and shutil.which(program, path=dict(filled(env or {}, "env")).get("PATH")) is None:
        raise ConfigError(
            f"the command {command} of the MCP server is not there; install it, or correct it", key="command"
        )


CHATGLM_SLIM_CHECK = check


class McpTool(StructuredTool):
    """A tool of a server: asked from any event loop, which it does not hold up, and without one as well."""

    def _run(
        self, *args: Any, config: RunnableConfig, run_manager: CallbackManagerForToolRun | None = None, **kwargs: Any
    ) -> Any:
        return _begin(self._asked(**kwargs)).result()

    async def _arun(self, *args: Any, config: RunnableConfig, run_manager: Any = None, **kwargs: Any) -> Any:
        return await asyncio.wrap_future(_begin(self._asked(**kwargs)))

    async def _asked(self, **given: Any) -> Any:
        assert self.coroutine is not None
        return await self.coroutine(**given)


def _begin(work: Coroutine[Any, Any, T]) -> Any:
    from chatglm_slim_llm.mcp.links import home

    return home().begin(work)


def _usable(tool: BaseTool) -> BaseTool:
    return McpTool(**{name: getattr(tool, name) for name in type(tool).model_fields})


def _chosen(names: Sequence[str], include: Sequence[str], exclude: Sequence[str]) -> list[str]:
    for key, given in (("include", include), ("exclude", exclude)):
        for name in given:
            if name not in names:
                close = get_close_matches(name, names, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(names)}"
                raise ConfigError(f"{key}: the server has no tool {name!r}; {hint}", key=key)
    return [name for name in names if (not include or name in include) and name not in exclude]
