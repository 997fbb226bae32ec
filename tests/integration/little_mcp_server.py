"""A small MCP server of the official package, over stdin and stdout, for the tests of the client."""

import asyncio
import os
import sys
from pathlib import Path

from mcp.server.fastmcp import FastMCP
from mcp.types import AudioContent, TextContent, ToolAnnotations

server = FastMCP("little", log_level="ERROR")


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool(annotations=ToolAnnotations(destructiveHint=True))
def variable(name: str) -> str:
    """What the environment says."""
    return os.environ.get(name, "(not set)")


@server.tool()
def fail() -> str:
    """Raise."""
    raise ValueError("the shelf is empty")


@server.tool()
def die() -> str:
    """End the process in the middle of a call."""
    sys.stderr.write(f"cannot go on with {os.environ.get('TOKEN')}\n")
    sys.stderr.flush()
    os._exit(3)


@server.tool()
def process() -> int:
    """The process's id."""
    return os.getpid()


@server.tool()
def hum() -> list[TextContent | AudioContent]:
    """A word and a sound."""
    return [TextContent(type="text", text="hm"), AudioContent(type="audio", data="AAAA", mimeType="audio/wav")]


@server.tool()
async def wait(mark: str) -> str:
    """Wait for long, and leave a mark when called off."""
    Path(mark, "began").touch()
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        Path(mark, "called off").touch()
        raise
    return "done"


if __name__ == "__main__":
    server.run()
