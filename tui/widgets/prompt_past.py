"""Earlier prompts, one key away; what was being typed and what was changed on the way are kept."""

from __future__ import annotations

from collections.abc import Sequence


class PastPrompts:
    """A list of prompts, newest first, and a place in it; place 0 is what is being typed."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._newer: list[str] | None = None
        self._place = 0
        self._edited: dict[int, str] = {}

    def set(self, texts: Sequence[str]) -> None:
        """Take another list; while someone stands in the present one, it waits."""
        self._newer = list(texts)
        self._refresh()

    def step(self, by: int, text: str) -> str | None:
        """Leave ``text`` where it is and go ``by`` places back; ``None`` where there is nothing."""
        place = self._place + by
        if not 0 <= place <= len(self._texts):
            return None
        self._edited[self._place] = text
        self._place = place
        found = self._edited.get(place, self._texts[place - 1] if place else "")
        self._refresh()
        return found

    def leave(self) -> None:
        """Begin with a new text."""
        self._place = 0
        self._edited.clear()
        self._refresh()

    def remember(self, text: str) -> None:
        """This was sent just now."""
        texts = self._texts if self._newer is None else self._newer
        if texts[:1] != [text]:
            texts.insert(0, text)

    def _refresh(self) -> None:
        if self._place == 0 and self._newer is not None:
            self._texts, self._newer = self._newer, None
            self._edited.clear()
