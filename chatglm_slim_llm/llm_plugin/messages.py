"""Messages of ``llm`` to those of LangChain, which `ChatGLMSlim` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from langchain_core.messages import AIMessage, BaseMessage, FunctionMessage, HumanMessage, SystemMessage
from llm import Prompt
from llm.parts import AttachmentPart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart

from chatglm_slim_llm.errors import GenerationError

_ROLES: dict[str, Callable[[str], BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "tool": HumanMessage,
    "assistant": AIMessage,
}


def to_langchain(prompt: Prompt) -> list[BaseMessage]:
    """The whole conversation up to what is asked, a message for each part; neighbours of one role are joined later.

    Raises:
        GenerationError: nothing is asked, a part is neither text, a call nor a result, or its role is unknown.
    """
    messages = [
        message
        for turn in prompt.messages
        for part in turn.parts
        for message in _message(turn.role, part)
    ]  # fmt: skip
    spoken = [message for message in messages if not isinstance(message, SystemMessage)]
    if not spoken or isinstance(spoken[-1], AIMessage):
        raise GenerationError("the prompt is empty; write something to answer")
    systems = [message.content for message in messages if isinstance(message, SystemMessage)]
    if prompt.system and prompt.system not in systems:  # llm leaves the one of a later turn out of the messages
        messages.insert(len(systems), SystemMessage(prompt.system))
    return messages


def _message(role: str, part: Part) -> Iterator[BaseMessage]:
    match part:
        case TextPart(text=text) if role in _ROLES:
            yield _ROLES[role](text)
        case ToolCallPart(name=name, arguments=arguments, tool_call_id=call_id):
            yield AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": call_id}])
        case ToolResultPart(name=name, output=output):
            yield FunctionMessage(content=output, name=name)  # unlike a ToolMessage it knows whose result it is
        case ReasoningPart():
            return  # what another model thought is not part of the conversation
        case AttachmentPart():
            raise GenerationError("the conversation has an attachment, but this model reads only text; leave it out")
        case _:
            raise GenerationError(
                f"the conversation has a {type(part).__name__} of the role {role!r}, which this model cannot take; "
                "use system, user, assistant and tool messages"
            )
