"""The text around the model: the prompt that it was trained on, and the reply as the original showed it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FULL_WIDTH = {",": "，", "!": "！", ":": "：", ";": "；", "?": "？"}
_CHINESE = "[\u4e00-\u9fff]"
_CODE_OR_URL = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`|[A-Za-z][A-Za-z0-9+.-]*://[^\s\u4e00-\u9fff]+)", re.DOTALL)


def build_prompt(query: str, history: Sequence[tuple[str, str]] = ()) -> str:
    """The text that the model was trained on: the query alone, or numbered rounds.

    Args:
        query: what is asked now.
        history: earlier rounds, (query, reply) each.
    """
    if not history:
        return query
    rounds = [f"[Round {i}]\n问：{asked}\n答：{replied}\n" for i, (asked, replied) in enumerate(history)]
    return "".join(rounds) + f"[Round {len(history)}]\n问：{query}\n答："


def process_response(text: str, *, keep_code: bool = False) -> str:
    """Strip the reply and give its Chinese text full-width punctuation, as the original does.

    Args:
        text: the decoded reply.
        keep_code: leave code blocks, inline code and URLs as they are. The original changes them too.
    """
    text = text.strip()
    if not keep_code:
        return _punctuate(text)
    parts = _CODE_OR_URL.split(text)
    return "".join(part if i % 2 else _punctuate(part) for i, part in enumerate(parts))


def _punctuate(text: str) -> str:
    text = text.replace("[[训练时间]]", "2023年")
    for half, full in _FULL_WIDTH.items():
        text = re.sub(f"({_CHINESE}){re.escape(half)}", rf"\g<1>{full}", text)
        text = re.sub(f"{re.escape(half)}({_CHINESE})", rf"{full}\g<1>", text)
    return text
