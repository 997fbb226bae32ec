"""Stop strings in a stream: what may be shown now, what must wait, and where the reply ends."""

from __future__ import annotations

from collections.abc import Sequence

from chatglm_slim_llm.engine.formats import CALL_START

# The model's tokenizer reads full-width punctuation as half-width, so the model can never write "问：",
# only "问:". Comparing both sides in half width lets a stop string be written either way.
_HALF_WIDTH = str.maketrans("，！：；？", ",!:;?")


class StopScanner:
    """Lets text through until a stop string begins; never shows any part of one.

    The reply is cut where the first stop string begins, whatever the pieces it arrives in: if a longer one that
    began earlier may still be completed, it is waited for.

    Example:
        >>> scanner = StopScanner(["END"])
        >>> scanner.push("one E"), scanner.push("ND two"), scanner.stopped
        ('one ', '', True)
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop.translate(_HALF_WIDTH) for stop in stops]
        self._held = ""
        self.stopped = False
        """A stop string was seen: everything shown so far is the whole reply."""

    def push(self, text: str) -> str:
        """Take newly generated text; return what can be shown now."""
        if self.stopped:
            return ""
        self._held += text
        comparable = self._held.translate(_HALF_WIDTH)
        cut = self._first_stop(comparable)
        wait_from = self._first_possible_stop(comparable)
        self.stopped = cut is not None and cut <= wait_from
        return self._show(cut if self.stopped and cut is not None else wait_from)

    def flush(self) -> str:
        """The model has ended: return what was held back and turned out to be no stop string."""
        cut = self._first_stop(self._held.translate(_HALF_WIDTH))
        self.stopped = self.stopped or cut is not None
        return self._show(len(self._held) if cut is None else cut)

    def _show(self, end: int) -> str:
        shown, self._held = self._held[:end], "" if self.stopped else self._held[end:]
        return shown

    def _first_stop(self, text: str) -> int | None:
        return min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=None)

    def _first_possible_stop(self, text: str) -> int:
        """Where the earliest stop string that the text could still complete begins; its end if there is none."""
        longest = max(map(len, self._stops), default=1) - 1
        for start in range(max(0, len(text) - longest), len(text)):
            if any(len(stop) > len(text) - start and stop.startswith(text[start:]) for stop in self._stops):
                return start
        return len(text)


class CallsOrStops:
    """Lets calls through as they are, and looks for stop strings in words; waits until it is clear which it is."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = StopScanner(stops)
        self._held: str | None = ""  # None: it is clear
        self._is_call = False

    @property
    def stopped(self) -> bool:
        """A stop string was seen: everything shown so far is the whole reply."""
        return self._stops.stopped

    def push(self, text: str) -> str:
        """Take newly generated text; return what can be shown now."""
        if self._held is not None:
            text = self._held + text
            self._held = text
            if len(text) < len(CALL_START) and CALL_START.startswith(text):
                return ""
            self._held, self._is_call = None, text.startswith(CALL_START)
        return text if self._is_call else self._stops.push(text)

    def flush(self) -> str:
        """The model has ended: return what was held back and turned out to be no stop string."""
        held, self._held = self._held or "", None
        return self._stops.push(held) + self._stops.flush()
