"""An MCP client against ``chatglm-slim mcp``; needs the extra ``mcp``, and what `smoke_commands.documents` indexed."""

from __future__ import annotations

import json

from release.environment import Environment, want

_CLIENT = """
import asyncio, json, os
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main():
    server = StdioServerParameters(command="chatglm-slim", args=["mcp"], env=dict(os.environ))
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        hello = await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        found = await session.call_tool("search", {"query": "when does the train leave"})
        answer = await session.call_tool("ask", {"question": "When does the night train leave?"})
    print(json.dumps([hello.serverInfo.version, tools, found.isError, found.structuredContent, answer.isError]))

asyncio.run(main())
"""


def mcp(place: Environment) -> str:
    """The official client starts the server, finds a passage, and is answered."""
    version, tools, search_failed, found, ask_failed = json.loads(place.python(_CLIENT))
    want(version == place.version, f"the server says that it is {version}, the wheel is of {place.version}")
    want({"search", "ask"} <= {*tools}, f"the server has the tools {tools}")
    want(not search_failed and "21:40" in json.dumps(found), f"the search found {found}")
    want(not ask_failed, "the question was not answered")
    return f"{len(tools)} tools, searched and asked"
