"""``chatglm-slim mcp``: serve the knowledge bases to other assistants, over the Model Context Protocol."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.cli import INTERRUPTED
from chatglm_slim_llm.cli.model import add_how_to_load, options_of
from chatglm_slim_llm.errors import MissingExtraError

if TYPE_CHECKING:
    from chatglm_slim_llm.mcp.server import KnowledgeServer


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``mcp`` to the command line."""
    parser = commands.add_parser(
        "mcp",
        help="serve your documents to other assistants (Model Context Protocol)",
        description="Serve knowledge bases to an assistant that speaks the Model Context Protocol: it can search them "
        "and ask them, and changes nothing. Over stdin and stdout, for assistants that start the command themselves; "
        "or over HTTP.",
        epilog="Over HTTP, clients have to send what the variable CHATGLM_SLIM_MCP_TOKEN holds as a bearer token. "
        "Without it only this machine is served.",
    )
    parser.add_argument(
        "--kb", nargs="+", action="extend", default=[], metavar="NAME",
        help="serve these only: names or files (default: all that have a name)",
    )  # fmt: skip
    parser.add_argument("--no-ask", action="store_true", help="only search; no model is ever loaded")
    web = parser.add_argument_group("HTTP")
    web.add_argument("--http", metavar="HOST:PORT", help="serve streamable HTTP at http://HOST:PORT/mcp")
    web.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="another name under which clients reach this machine; may be repeated",
    )  # fmt: skip
    load = parser.add_argument_group("model that answers questions")
    load.add_argument("--model", help="'demo', a checkpoint folder, or a hub id (default: $CHATGLM_SLIM_MODEL or demo)")
    add_how_to_load(load)
    load.add_argument("--yes", action="store_true", help="download a model that is not on this machine, unasked")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until the client goes, or a signal comes."""
    try:
        import mcp
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "serving other assistants needs packages that are not installed; run: pip install 'chatglm-slim-llm[mcp]'",
            extra="mcp",
        ) from error
    del mcp
    import asyncio  # 30 ms, which no other command is to wait for

    from chatglm_slim_llm.hosting.client import ProcessAssistant
    from chatglm_slim_llm.mcp.answers import Answers
    from chatglm_slim_llm.mcp.bases import Bases
    from chatglm_slim_llm.mcp.server import KnowledgeServer

    options = options_of(args)
    answers = Answers(ProcessAssistant(options), options.model, may_download=args.yes)
    served = KnowledgeServer(Bases(args.kb), None if args.no_ask else answers)
    status = asyncio.run(_until_signal(_serve(args, served)))
    sys.stderr.flush()
    os._exit(status)  # threads that still search need not be waited for


async def _serve(args: argparse.Namespace, served: KnowledgeServer) -> None:
    try:
        if args.http:
            from chatglm_slim_llm.mcp.http import TOKEN_VARIABLE, Address, serve_http

            address = Address.parse(args.http, os.environ.get(TOKEN_VARIABLE, ""), args.allow_host)
            with address.listen() as taken:
                print(f"serving at {address.url(taken.getsockname()[1])}; Ctrl-C ends it", file=sys.stderr, flush=True)
                await serve_http(served.server, address, taken)
        else:
            from chatglm_slim_llm.mcp.stdio import serve_stdio

            if sys.stdin is not None and sys.stdin.isatty():
                print("an assistant is to start this and talk to it over stdin; Ctrl-C ends it", file=sys.stderr)
            await serve_stdio(served.server)
    finally:
        served.close()


async def _until_signal(serving: Coroutine[Any, Any, None]) -> int:
    """Run it; SIGTERM and Ctrl-C cancel it, and are the exit status."""
    import asyncio

    task, status = asyncio.ensure_future(serving), 0

    def stop(exit_status: int) -> None:
        nonlocal status
        status = exit_status
        task.cancel()

    with suppress(NotImplementedError):  # on Windows, where the handlers of every command do it
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop, 128 + signal.SIGTERM)
        loop.add_signal_handler(signal.SIGINT, stop, INTERRUPTED)
    try:
        await task
    except asyncio.CancelledError:
        if not status:
            raise
    return status
