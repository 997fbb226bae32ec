"""A user's module, looked at by ``mypy --strict`` against the installed package: ``py.typed`` came along and holds."""

from __future__ import annotations

import subprocess
import sys

from release.environment import Environment, SmokeError

_MODULE = """
from chatglm_slim_llm import (
    ChatGLMSlim,
    ChatGLMSlimEmbeddings,
    ChatGLMSlimError,
    ChatGLMSlimLLM,
    ConversationCheckpointer,
    ConversationHistory,
    ConversationStore,
)
from chatglm_slim_llm.plugins import Ask, CommandCall, Insert, PluginSpec, plugin
from chatglm_slim_llm.retrieval import KnowledgeBase


def answer(question: str) -> str:
    try:
        return ChatGLMSlim(model="demo", temperature=0, stop="!").invoke(question).text
    except ChatGLMSlimError as error:
        return str(error)


def vector(text: str) -> list[float]:
    return ChatGLMSlimEmbeddings().embed_query(text)


def complete(prompt: str) -> str:
    return ChatGLMSlimLLM().invoke(prompt)


def command(call: CommandCall, times: int = 1) -> str | Ask | Insert:
    spec: PluginSpec = plugin("models", "chatglm-slim")
    return Ask(call.text * times) if spec.name else Insert("")


PARTS = (ConversationCheckpointer, ConversationHistory, ConversationStore, KnowledgeBase)
answer(1)  # type: ignore[arg-type]
ChatGLMSlim().no_such_name  # type: ignore[attr-defined]
"""


def types(place: Environment) -> str:
    """The public names have types; a wrong use of them is an error, so they are not `Any`."""
    module = place.folder / "uses_it.py"
    module.write_text(_MODULE)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(place.folder / "mypy")]
    options = ["--python-executable", place.program("python"), str(module)]
    done = subprocess.run([*command, *options], cwd=place.folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SmokeError(f"mypy --strict finds fault with a user's module:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()
