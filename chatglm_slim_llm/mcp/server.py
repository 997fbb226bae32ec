"""The server: tools and resources over the knowledge bases, whatever carries the messages.

It reads and never writes. A tool that fails gives a result that says so, in one sentence: its reader is a model.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import unquote

import anyio
import mcp.types as types
from mcp.server.lowlevel import Server
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.shared.exceptions import McpError
from pydantic import AnyUrl

from chatglm_slim_llm import __version__
from chatglm_slim_llm.errors import ChatGLMSlimError, RetrievalError
from chatglm_slim_llm.mcp import schemas
from chatglm_slim_llm.mcp.answers import Answers, Written
from chatglm_slim_llm.mcp.bases import Bases, place_json, uri_of
from chatglm_slim_llm.mcp.checking import checked
from chatglm_slim_llm.mcp.threads import in_thread

NAME = "chatglm-slim"
_AT_ONCE = 4
"""Searches under way; more of them wait, as there is not a core for each."""
_LONGEST_MESSAGE = 200
"""Characters of a progress message: the end of an answer that grows."""
_NOT_FOUND = -32002
"""The protocol's code for a resource that is not there."""

Result = dict[str, Any]
T = TypeVar("T")


class KnowledgeServer:
    """Knowledge bases as tools and resources.

    Args:
        bases: what is served.
        answers: who answers questions; none leaves ``ask`` out.
    """

    def __init__(self, bases: Bases, answers: Answers | None) -> None:
        self._bases, self._answers = bases, answers
        self._searching = anyio.Semaphore(_AT_ONCE)
        self._tools: dict[str, Callable[[Result], Awaitable[Result]]] = {
            "search": self._search,
            "read_passage": self._read,
            "list_knowledge_bases": self._list,
        }
        if answers is not None:
            self._tools["ask"] = self._ask
        self.server: Server[Any, Any] = Server(NAME, __version__, schemas.INSTRUCTIONS)
        self.server.list_tools()(self._list_tools)  # type: ignore[no-untyped-call]
        self.server.call_tool(validate_input=False)(self._call)  # `checking.py` says it better
        self.server.list_resources()(self._list_resources)  # type: ignore[no-untyped-call]
        self.server.list_resource_templates()(self._list_templates)  # type: ignore[no-untyped-call]
        self.server.read_resource()(self._read_resource)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """End the model's process, and let go of the files."""
        if self._answers is not None:
            self._answers.close()
        self._bases.close()

    # --- tools

    async def _list_tools(self) -> list[types.Tool]:
        return schemas.tools(self._bases.names(), self._answers_by())

    def _answers_by(self) -> str:
        if self._answers is None:
            return ""
        return "a small demo model that is often wrong" if self._answers.is_demo else self._answers.model

    async def _call(self, name: str, arguments: Result) -> types.CallToolResult:
        try:
            if (call := self._tools.get(name)) is None:
                raise RetrievalError(f"there is no tool {name[:100]!r}; there are: {', '.join(self._tools)}")
            schema = next(tool.inputSchema for tool in await self._list_tools() if tool.name == name)
            result = await call(checked(arguments, schema))
        except ChatGLMSlimError as error:
            return _failed(str(error))
        except Exception as error:  # an embedder, or a model, may raise anything
            traceback.print_exc(file=sys.stderr)
            detail = (str(error).strip().splitlines() or [""])[0]
            return _failed(f"{name} failed with {type(error).__name__}" + (f": {detail}" if detail else ""))
        text = json.dumps(result, ensure_ascii=False)
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structuredContent=result)

    async def _search(self, given: Result) -> Result:
        def search() -> Result:
            name = self._bases.chosen(given.get("knowledge_base") or None)
            return self._bases.search(name, given["query"], given["k"], given["mode"])

        return await self._in_turn(search)

    async def _read(self, given: Result) -> Result:
        def read() -> Result:
            name = self._bases.chosen(given.get("knowledge_base") or None)
            return self._bases.read(name, given["id"], given["before"], given["after"])

        return await self._in_turn(read)

    async def _list(self, _given: Result) -> Result:
        def every() -> Result:
            return {"knowledge_bases": [self._bases.summary(name) for name in self._bases.names()]}

        return await self._in_turn(every)

    async def _ask(self, given: Result) -> Result:
        def chosen() -> str:
            name = self._bases.chosen(given.get("knowledge_base") or None)
            self._bases.check(name)
            return name

        assert self._answers is not None
        name = await self._in_turn(chosen)
        written = await self._answers.ask(self._bases.path(name), given["question"], self._teller())
        return _answer(name, written) | {"model": self._answers.model}

    async def _in_turn(self, work: Callable[[], T]) -> T:
        async with self._searching:
            return await in_thread(work)

    def _teller(self) -> Callable[[str], Awaitable[None]]:
        """What passes progress on to the client of this request, if it asked for that."""
        context = self.server.request_context
        token = context.meta.progressToken if context.meta else None
        told, steps = "", 0

        async def tell(message: str) -> None:
            nonlocal told, steps
            if token is None or message == told:
                return
            told, steps = message, steps + 1
            end = message if len(message) <= _LONGEST_MESSAGE else f"…{message[-_LONGEST_MESSAGE:]}"
            await context.session.send_progress_notification(
                token, steps, message=end, related_request_id=str(context.request_id)
            )

        return tell

    # --- resources

    async def _list_resources(self) -> list[types.Resource]:
        return [
            types.Resource(
                uri=AnyUrl(uri_of(name)),
                name=name,
                title=f"Knowledge base {name}",
                description="What is in it, file by file; use the tool search to find passages.",
                mimeType="application/json",
            )
            for name in self._bases.names()
        ]

    async def _list_templates(self) -> list[types.ResourceTemplate]:
        return [
            types.ResourceTemplate(
                uriTemplate="kb://{knowledge_base}/{passage}",
                name="passage",
                title="Passage",
                description="A passage that search found, by its id.",
                mimeType="text/plain",
            )
        ]

    async def _read_resource(self, uri: AnyUrl) -> Iterable[ReadResourceContents]:
        scheme, _, rest = str(uri).partition("://")
        name, _, passage = rest.partition("/")
        try:
            if scheme != "kb" or not name:
                raise RetrievalError(f"{str(uri)[:200]!r} is no resource; they begin with kb:// and a name")
            return [await self._in_turn(lambda: self._content(unquote(name), unquote(passage)))]
        except ChatGLMSlimError as error:
            raise McpError(types.ErrorData(code=_NOT_FOUND, message=str(error), data={"uri": str(uri)})) from error

    def _content(self, name: str, passage: str) -> ReadResourceContents:
        name = self._bases.chosen(name)
        if not passage:
            about = json.dumps(self._bases.overview(name), ensure_ascii=False, indent=1)
            return ReadResourceContents(about, "application/json")
        found = self._bases.read(name, passage, 0, 0)["passages"]
        return ReadResourceContents("\n\n".join(each["text"] for each in found), "text/plain")


def _answer(name: str, written: Written) -> Result:
    return {
        "knowledge_base": name,
        "answer": written.text,
        "is_found": bool(written.sources),
        "finish_reason": written.finish_reason or "stop",
        "sources": [
            {
                "number": source.number,
                "id": source.passage_id,
                "uri": uri_of(name, source.passage_id),
                **place_json(vars(source)),
                "text": source.text,
            }
            for source in written.sources
        ],
    }


def _failed(sentence: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=sentence)], isError=True)
