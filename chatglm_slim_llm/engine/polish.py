"""The original's post-processing of a reply, while it streams: what is shown is never taken back.

`process_response` strips the reply and gives Chinese text full-width punctuation, but leaves code and URLs alone.
Whether a comma changes can depend on the next character, or on a backtick that closes much later. So only
that much is shown which comes out the same whatever follows; the pieces joined equal `process_response` of the
whole reply.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from chatglm_slim_llm.engine.reply import Delta
from chatglm_slim_llm.network import process_response

_DATE_MARK = "[[训练时间]]"  # becomes "2023年"

# One text for each way in which what follows can reach back: it ends, a Chinese character or another one comes
# next, inline code is closed.
_FOLLOWING = ("", "中", "a", "`")


def polish(deltas: Generator[Delta]) -> Generator[Delta]:
    """Post-process a stream; closing the result closes ``deltas``."""
    polisher = Polisher()
    with closing(deltas):
        for delta in deltas:
            text = polisher.push(delta.text)
            yield replace(delta, text=text if delta.finish_reason is None else text + polisher.flush())


class Polisher:
    """Takes raw text piece by piece, returns post-processed text piece by piece."""

    def __init__(self) -> None:
        self._raw = ""  # since the last white space outside code; nothing before it can change any more
        self._num_shown = 0  # characters of its post-processed form that were returned
        self._blanks = ""  # white space that is shown only if something follows it
        self._is_empty = True

    def push(self, text: str) -> str:
        """Take newly generated text; return what is certain now."""
        self._raw += text
        shown = self._settle() if any(map(str.isspace, text)) else ""
        return shown + self._show(_certain_part(self._raw))

    def flush(self) -> str:
        """The reply has ended: return what was held back."""
        return self._show(_process(self._raw))

    def _settle(self) -> str:
        """Finish everything up to the last white space outside code, so that no push works on the whole reply."""
        end = max(i for i, character in enumerate(self._raw, 1) if character.isspace())
        if _is_in_code(self._raw[:end]):
            return ""
        shown = self._show(_process(self._raw[:end]))
        self._raw, self._num_shown = self._raw[end:], 0
        return shown

    def _show(self, processed: str) -> str:
        text = self._blanks + processed[self._num_shown :]
        self._num_shown = len(processed)
        if self._is_empty:
            text = text.lstrip()
            self._is_empty = not text
        shown = text.rstrip()
        self._blanks = text[len(shown) :]
        return shown


def _is_in_code(raw: str) -> bool:
    """Whether a code block is open at the end of ``raw``, or inline code that a backtick would close."""
    return not process_response(raw + "中,`", keep_code=True).endswith("，`")


def _certain_part(raw: str) -> str:
    mark_begun = max(n for n in range(len(_DATE_MARK)) if raw.endswith(_DATE_MARK[:n]))
    return _common_start([_process(raw + following) for following in (*_FOLLOWING, _DATE_MARK[mark_begun:])])


def _common_start(texts: list[str]) -> str:
    first, last = min(texts), max(texts)  # whatever these two share, the texts sorted between them share as well
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _process(raw: str) -> str:
    """Post-process without stripping."""
    blanks = len(raw) - len(raw.lstrip())
    return raw[:blanks] + process_response(raw, keep_code=True) + raw[max(blanks, len(raw.rstrip())) :]
