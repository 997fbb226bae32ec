"""Chinese words: settings."""

WORDS: dict[str, str] = {}
