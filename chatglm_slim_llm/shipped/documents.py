"""The user's documents as a tool: the model asks for passages when it needs them."""

from __future__ import annotations

from typing import Annotated

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from chatglm_slim_llm.errors import ChatGLMSlimError, ConfigError

_CHARACTERS = 400
"""Of one passage: several have to fit into 2,048 tokens, with the question and the answer."""


def documents(knowledge_base: str = "default", passages: int = 3) -> BaseTool:
    """The tool ``documents``, over one knowledge base.

    Args:
        knowledge_base: its name, or its file.
        passages: how many the model is given at once.

    Raises:
        ConfigError: ``passages`` is no sensible number.
    """
    if not 1 <= passages <= 20:
        raise ConfigError(f"passages is {passages}; give 1 to 20", key="passages")

    def search(query: Annotated[str, "what to look for, in a few words"]) -> str:
        """Search the user's own documents."""
        try:
            return _found(knowledge_base, query, passages)
        except ChatGLMSlimError as error:
            raise ToolException(str(error)) from error

    return StructuredTool.from_function(
        search, name="documents", handle_tool_error=True, metadata={"readOnlyHint": True}
    )


def _found(knowledge_base: str, query: str, passages: int) -> str:
    from chatglm_slim_llm.hosting.extras import extra_packages

    with extra_packages():
        from chatglm_slim_llm.retrieval import KnowledgeBase

        opened = KnowledgeBase.open(knowledge_base)
    with opened as base:
        if not base.path.exists():
            raise ConfigError(f"there is no knowledge base {knowledge_base}", key="knowledge_base")
        found = base.search(query, passages)
    if not found:
        return "nothing was found"
    return "\n\n".join(f"{_place(each.source, each.location)}\n{each.text.strip()[:_CHARACTERS]}" for each in found)


def _place(source: str | None, location: str) -> str:
    name = (source or "a text").rpartition("/")[2]
    return f"({', '.join(filter(None, (name, location)))})"
