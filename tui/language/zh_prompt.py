"""Chinese words: prompt."""

WORDS: dict[str, str] = {}
