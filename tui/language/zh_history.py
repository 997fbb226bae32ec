"""Chinese words: history."""

WORDS: dict[str, str] = {}
