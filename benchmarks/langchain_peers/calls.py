"""Probes of tool calls and structured output; see `probes`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool, tool
from pydantic import BaseModel, ValidationError

from benchmarks.langchain_peers.probes import QUESTION, Peer, yes_if

_SEEDS = range(10)
_BUDGETS = (4, 8, 16, 24, 32, 48, 64, 96)
_ASKED = (
    "Ada is 36 years old and speaks French and English. Describe her as one JSON object with the keys name, age and "
    "languages, and write nothing else."
)


class Person(BaseModel):
    """A person."""

    name: str
    age: int
    languages: list[Literal["English", "French", "Chinese"]]


@tool
def weather(city: str, days: int) -> str:
    """Tell the weather of the next days in a city."""
    return f"sunny in {city} for {days} days"


@tool
def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


_TOOLS: Sequence[BaseTool] = (weather, add)


def tools_reach_the_prompt(peer: Peer) -> str:
    """A longer description of a bound tool makes a longer prompt, or at least another reply."""
    llm = peer.make(temperature=0, max_tokens=24)
    replies = [llm.bind_tools([_look_up(text)]).invoke(QUESTION) for text in ("Looks up.", "Looks up a word. " * 20)]
    told = [reply.usage_metadata["input_tokens"] if reply.usage_metadata else reply.content for reply in replies]
    return yes_if(told[0] != told[1], "prompt and reply are the same whatever the tool is")


def _look_up(description: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
    return {"type": "function", "function": {"name": "look_up", "description": description, "parameters": parameters}}


def obeys_tool_choice(peer: Peer) -> str:
    """``tool_choice`` with a tool's name makes every reply a call of that tool, whatever the question is."""
    for name in ("add", "weather"):
        llm = peer.make(temperature=0, max_tokens=64).bind_tools(_TOOLS, tool_choice=name)
        called = {call["name"] for call in llm.invoke(QUESTION).tool_calls}
        if called != {name}:
            return f"no: asked for {name}, it calls {', '.join(sorted(called)) or 'nothing'}"
    return "yes"


def calls_are_valid(peer: Peer) -> str:
    """Arguments of calls fit their tool's schema though tokens are drawn almost at random."""
    good = 0
    for seed in _SEEDS:
        wanted = _TOOLS[seed % len(_TOOLS)]
        llm = peer.make(rambles=True, seed=seed, max_tokens=64).bind_tools([wanted], tool_choice=wanted.name)
        message = llm.invoke(QUESTION)
        good += bool(message.tool_calls) and not message.invalid_tool_calls and all(map(_fits, message.tool_calls))
    return yes_if(good == len(_SEEDS), f"{good} of {len(_SEEDS)} replies", f"{good} of {len(_SEEDS)} replies")


def _fits(call: Any) -> bool:
    schema = next((each.args_schema for each in _TOOLS if each.name == call["name"]), None)
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return False
    try:
        schema.model_validate(call["args"], strict=True)
    except ValidationError:
        return False
    return True


def calls_stream(peer: Peer) -> str:
    """The arguments of a call come in pieces while they are written."""
    llm = peer.make(rambles=True, seed=1, max_tokens=64).bind_tools([weather], tool_choice="weather")
    told = [getattr(chunk, "tool_call_chunks", []) for chunk in llm.stream(QUESTION)]
    pieces = sum(any(piece["args"] for piece in chunks) for chunks in told)
    return yes_if(pieces > 2, f"{pieces} piece{'s' * (pieces != 1)}", f"{pieces} pieces")


def counts_tools(peer: Peer) -> str:
    """`get_num_tokens_from_messages` with tools is the prompt's length to the token."""
    llm: Any = peer.make(max_tokens=96, temperature=0)
    counted = llm.get_num_tokens_from_messages([HumanMessage(QUESTION)], tools=list(_TOOLS))
    if counted == llm.get_num_tokens_from_messages([HumanMessage(QUESTION)]):
        return "no: tools count nothing"
    usage = llm.bind_tools(_TOOLS).invoke(QUESTION).usage_metadata
    if usage is None:
        return "no: replies have no usage_metadata to compare with"
    true = usage["input_tokens"]
    return yes_if(counted == true, f"it counts {counted} where the prompt has {true}")


def gives_json_schema(peer: Peer) -> str:
    """`with_structured_output` with ``method="json_schema"`` gives what the schema says."""
    return _gives(peer, "json_schema")


def gives_by_calling(peer: Peer) -> str:
    """`with_structured_output` with ``method="function_calling"`` gives what the schema says."""
    return _gives(peer, "function_calling")


def gives_json(peer: Peer) -> str:
    """`with_structured_output` with ``method="json_mode"`` gives a JSON object."""
    return _gives(peer, "json_mode")


def _gives(peer: Peer, method: str) -> str:
    chain = peer.make(temperature=0, max_tokens=160).with_structured_output(Person.model_json_schema(), method=method)
    found: Any = chain.invoke(_ASKED)
    if method == "json_mode":
        return yes_if(isinstance(found, dict), f"it gives {found!r:.90}")
    return yes_if(_is_person(found), f"it gives {found!r:.90}")


def _is_person(found: Any) -> bool:
    try:
        Person.model_validate(found, strict=True)
    except ValidationError:
        return False
    return True


def valid_at_any_budget(peer: Peer) -> str:
    """However few tokens it may have, and however random they are, the JSON is whole, or an error says it cannot be."""
    valid, refused = [], []
    for budget in _BUDGETS:
        llm = peer.make(rambles=True, seed=budget, max_tokens=budget)
        raw = llm.with_structured_output(Person.model_json_schema(), method="json_schema", include_raw=True)
        try:
            text = str(_raw(raw.invoke(_ASKED)).content)
        except OutputParserException:
            return f"no: not with {budget} tokens"
        except Exception as error:  # the model's own refusal
            if "token" not in str(error):
                raise
            refused.append(budget)
        else:
            if not _is_person_text(text):
                return f"no: not with {budget} tokens"
            valid.append(budget)
    whole = f"with {', '.join(map(str, valid))} tokens"
    seen = f"{whole}; an error says that {' or '.join(map(str, refused))} are too few" if refused else whole
    return yes_if(bool(valid), "every budget is refused", seen)


def _raw(found: Any) -> Any:
    return found["raw"] if isinstance(found, dict) else found


def _is_person_text(text: str) -> bool:
    try:
        return _is_person(json.loads(text))
    except ValueError:
        return False
