"""``/translate``, ``/summarize`` and ``/polish``: questions that people type again and again."""

from __future__ import annotations

import re

from chatglm_slim_llm.plugins import Ask, CommandCall

_CHINESE = re.compile(r"[\u3400-\u9fff]")


def translate(call: CommandCall, to: str = "") -> Ask | str:
    """Ask for a translation of the text, or of the last answer: Chinese into English, all else into Chinese.

    Args:
        call: what was typed.
        to: the language to translate into, whatever the text is in.
    """
    text = _text_or_answer(call)
    if not text:
        return "There is nothing to translate; give a text: /translate TEXT"
    if to:
        return Ask(
            f"请把下面的文字翻译成{to}：\n\n{text}" if _CHINESE.search(to) else f"Translate into {to}:\n\n{text}"
        )
    return Ask(
        f"请把下面的文字翻译成英文：\n\n{text}" if _is_chinese(text) else f"请把下面的文字翻译成中文：\n\n{text}"
    )


def summarize(call: CommandCall, sentences: int = 3) -> Ask | str:
    """Ask for a summary of the text, or of the conversation.

    Args:
        call: what was typed.
        sentences: how long it may be.
    """
    text = call.text or "\n\n".join(turn.text for turn in call.turns)
    if not text:
        return "There is nothing to summarize; give a text: /summarize TEXT"
    if not call.text:
        is_chinese = _is_chinese(text)
        return Ask(
            f"请用{sentences}句话总结我们的对话。"
            if is_chinese
            else f"Sum up our conversation in {sentences} sentences."
        )
    if _is_chinese(text):
        return Ask(f"请用{sentences}句话总结下面的文字：\n\n{text}")
    return Ask(f"Sum up the following text in {sentences} sentences:\n\n{text}")


def polish(call: CommandCall) -> Ask | str:
    """Ask for a better wording of the text, or of the last answer."""
    text = _text_or_answer(call)
    if not text:
        return "There is nothing to polish; give a text: /polish TEXT"
    if _is_chinese(text):
        return Ask(f"请润色下面的文字，不改变意思：\n\n{text}")
    return Ask(f"Improve the wording of this text without changing what it says:\n\n{text}")


def _text_or_answer(call: CommandCall) -> str:
    answers = [turn.text for turn in call.turns if turn.role == "ai"]
    return call.text or (answers[-1] if answers else "")


def _is_chinese(text: str) -> bool:
    """Whether a fair part of its letters are Chinese characters; code and names stay Latin in any text."""
    letters = sum(character.isalpha() for character in text)
    return len(_CHINESE.findall(text)) * 5 > letters
