"""Chinese words: conversation."""

WORDS: dict[str, str] = {}
