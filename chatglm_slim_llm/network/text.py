"""The text around the model: the prompt that it was trained on, and the reply as the original showed it."""

from __future__ import annotations

import re
from collections.abc import Sequence

FULL_WIDTH = {",": "，", "!": "！", ":": "：", ";": "；", "?": "？"}
DATE_MARK = "[[训练时间]]"

_CHINESE = "\u4e00-\u9fff"
_SCHEME_CHARACTER = "A-Za-z0-9+.-"
# It begins with a letter. What else of its characters stands before that never changes, so all of a word is taken: a
# search that begins inside of words looks at a long one again and again.
_SCHEME = f"(?<![{_SCHEME_CHARACTER}])[0-9+.-]*[A-Za-z][{_SCHEME_CHARACTER}]*"
_URL = rf"{_SCHEME}://[^\s{_CHINESE}]+"

URL = re.compile(f"({_URL})")
BEGUN_URL = re.compile(rf"{_SCHEME}((?::/?/?)?)\Z")
_CODE_OR_URL = re.compile(rf"(```.*?(?:```|\Z)|`[^`\n]+`|{_URL})", re.DOTALL)
_BESIDE_CHINESE = re.compile(f"(?<=[{_CHINESE}])[,!:;?]|[,!:;?](?=[{_CHINESE}])")


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
        return punctuate(text)
    parts = _CODE_OR_URL.split(text)
    return "".join(part if i % 2 else punctuate(part) for i, part in enumerate(parts))


def punctuate(text: str) -> str:
    """The same for text without code and URLs, white space at both ends included."""
    return _BESIDE_CHINESE.sub(lambda mark: FULL_WIDTH[mark[0]], text.replace(DATE_MARK, "2023年"))


def is_chinese(character: str) -> bool:
    """Whether punctuation beside it becomes full-width."""
    return "\u4e00" <= character <= "\u9fff"
