"""The parts of terminal.zh.md that are made: the keys in Chinese, and the figures and the comparison of terminal.md.

python -m docs.terminal_zh
"""

from __future__ import annotations

from pathlib import Path

from chatglm_slim_llm.writing import write_whole
from docs.terminal_page import PAGE as ENGLISH
from docs.terminal_page import filled, key_tables
from tui import language

PAGE = Path(__file__).with_name("terminal.zh.md")
_WORDS = {
    "Everywhere": "任何地方",
    "In the chat, wherever the keyboard is": "在对话里，无论焦点在哪里",
    "In the prompt": "在输入框里",
    "On the files below the prompt": "在输入框下面的附件上",
    "In the messages": "在消息上",
    "While finding in a chat": "在对话内查找时",
    "In the history": "在历史里",
    "In a passage": "在段落里",
    "In the knowledge bases": "在知识库里",
    "In the settings": "在设置里",
    "In the help": "在帮助里",
    "In the plugins": "在插件里",
    "In the tools of a chat": "在对话的工具里",
    "While a tool asks": "工具询问时",
    "On what was done with tools": "在工具的使用记录上",
    "In the other dialogs": "在其他对话框里",
    "keys": "按键",
    "what they do": "作用",
    "name in `[keys]`": "`[keys]` 里的名字",
    "Commands": "命令",
    ", typed into the prompt": "，在输入框里输入",
    "command": "命令",
    "what it does": "作用",
}


def made() -> dict[str, str]:
    """The made parts by name."""
    english = ENGLISH.read_text(encoding="utf-8")
    _, _, figures = english.partition("<!-- figures -->\n")
    _, _, features = english.partition("<!-- begin: features ")
    return {
        "keys": _in_chinese(key_tables()),
        "figures": figures.partition("<!-- end of figures -->")[0],
        "features": features.partition("-->\n")[2].partition("<!-- end: features -->")[0],
    }


def _in_chinese(tables: str) -> str:
    """The tables of the keys with the words that the terminal shows in Chinese."""
    spoken = language.in_use()
    language.use("zh")
    try:
        return "".join(f"{_line_in_chinese(line)}\n" for line in tables.removesuffix("\n").split("\n"))
    finally:
        language.use(spoken)


def _line_in_chinese(line: str) -> str:
    if line.startswith("**"):
        title, _, rest = line[2:].partition("**")
        return f"**{_WORDS.get(title, title)}**{_WORDS.get(rest, rest)}"
    if not line.startswith("| "):
        return line
    cells = (_WORDS.get(cell) or language.tr(cell) for cell in line[2:-2].split(" | "))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Bring the page up to date."""
    page = filled(PAGE.read_text(encoding="utf-8"), made())
    write_whole(PAGE, page)


if __name__ == "__main__":
    main()
