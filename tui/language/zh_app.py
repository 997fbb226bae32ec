"""Chinese words: app."""

WORDS: dict[str, str] = {}
