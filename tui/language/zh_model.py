"""Chinese words: model."""

WORDS: dict[str, str] = {}
