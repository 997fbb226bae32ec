"""``/count``: how long a text is."""

from chatglm_slim_llm.plugins import CommandCall

CHATGLM_SLIM_API = 1


def count(call: CommandCall, unit: str = "characters") -> str:
    """Count the text behind the command, or the last answer."""
    answers = [turn.text for turn in call.turns if turn.role == "ai"]
    text = call.text or (answers[-1] if answers else "")
    size = len(text.split()) if unit == "words" else len(text)
    return f"{size} {unit}"
