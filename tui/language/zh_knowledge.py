"""Chinese words: knowledge."""

WORDS: dict[str, str] = {}
