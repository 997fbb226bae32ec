"""Simon Willison's ``llm`` with the wheel beside it; needs the extra ``llm``."""

from __future__ import annotations

import json

from release.environment import Environment, want


def llm(place: Environment) -> str:
    """`llm` lists the model, has it answer, keeps the answer in its log, and makes vectors."""
    listed = place.run("llm", "models")
    want("chatglm-slim" in listed, f"llm lists these models:\n{listed}")
    answer = place.run("llm", "-m", "chatglm-slim", "你好").strip()
    want("你好" in answer, f"the answer to 你好 is {answer!r}")
    (logged,) = place.json("llm", "logs", "list", "--json", "--count", "1")
    want(logged["response"].strip() == answer, f"llm logged {logged['response']!r}")
    vector = json.loads(place.run("llm", "embed", "-m", "chatglm-slim-embed", "-c", "你好"))
    want(any(vector), "llm embed gave a vector of nothing")
    return answer
