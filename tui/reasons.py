"""What went wrong, in the language in use: the parts below the terminal say it in English, for logs and scripts, too.

A sentence that is not known here stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache

from tui import language
from tui.reasons_of_files import FOUND, KINDS_OF_DOCUMENTS, OF_FILES
from tui.reasons_of_libraries import OF_LIBRARIES, SYSTEM
from tui.reasons_of_models import NUMBERS, OF_MODELS, PROCESSES
from tui.reasons_of_plugins import FORMS, OF_PLUGINS

_CHINESE = {
    # of a file of settings or of colours, and of a variable
    "{path}settings.toml: {reason}": "{path}settings.toml：{reason}",
    "{path}, line {line}: {reason}": "{path} 第 {line} 行：{reason}",
    "CHATGLM_{variable}: {reason}": "CHATGLM_{variable}：{reason}",
    **{
        f"{{path}}: {english}": f"{{path}}：{chinese}"
        for english, chinese in (
            ("a theme of this name comes with the program; rename the file", "程序已有同名的主题；请重命名文件"),
            ("it cannot be read ({reason})", "无法读取（{reason}）"),
            ("dark is {found}; it must be true or false", "dark 的值是 {found}，应为 true 或 false"),
            ("variables must be a table", "variables 应是一个表"),
            (
                "{name} is not a colour of a theme; there are {names}, and dark and variables",
                "{name} 不是主题的颜色；可用：{names}，以及 dark 和 variables",
            ),
            ("{name} is {found}; it must be a colour such as {other}", "{name} 的值是 {found}，应为颜色，例如 {other}"),
            ("there is no variable {name}", "没有变量 {name}"),
            ("the variable {name} is {found}, which does not fit it", "变量 {name} 的值 {found} 不合适"),
        )
    },
    # the history
    "{path} cannot be written ({reason}); make its folder writable or set CHATGLM_SLIM_HOME to a folder that is": (
        "无法写入 {path}（{reason}）；请让所在文件夹可写，或把 CHATGLM_SLIM_HOME 设为可写的文件夹"
    ),
    "{path} cannot grow ({reason}); make room on the disk and try again": (
        "{path} 无法再写入（{reason}）；请腾出磁盘空间后重试"
    ),
    "{path} is held by another program ({reason}); close that program and try again": (
        "{path} 正被其他程序占用（{reason}）；请关闭那个程序后重试"
    ),
    "{path} is damaged or is not a {kind} ({reason}); move it away to start an empty one, and keep it": (
        "{path} 已损坏或格式不对（{reason}）；请把它移到别处保存好，程序会新建一个"
    ),
    "{path} could not be used ({reason}); try again, and check the disk it is on": (
        "无法使用 {path}（{reason}）；请重试，并检查所在磁盘"
    ),
    "{path} is a folder; give the path of a file, such as one inside it": (
        "{path} 是文件夹；请给出文件的路径，例如其中的一个文件"
    ),
    "the history has no conversation {number}: it was deleted or never there; begin a new conversation": (
        "历史记录中没有对话 {number}：已被删除或从未有过；请开始新的对话"
    ),
    "the history has no message {number}: it was deleted or never there; begin a new conversation": (
        "历史记录中没有消息 {number}：已被删除或从未有过；请开始新的对话"
    ),
    # the settings
    "{path} cannot be read ({reason}); the defaults are used": "无法读取 {path}（{reason}），已改用默认设置",
    "{path} is not valid TOML ({reason}); the defaults are used": "{path} 不是有效的 TOML（{reason}），已改用默认设置",
    "{path} cannot be written ({reason}); the setting is not saved": "无法写入 {path}（{reason}），设置未能保存",
    "there is no setting {name}; did you mean {other}?": "没有设置项 {name}；是不是 {other}？",
    "{name} is not a table": "{name} 不是表",
    "there is no setting {name}": "没有设置项 {name}",
    "{path} is not valid TOML ({reason}); repair it, then set {key} again": (
        "{path} 不是有效的 TOML（{reason}）；请修复后再设置 {key}"
    ),
    "{key} is empty; give the name of a theme": "{key} 是空的；请填写主题的名称",
    "model is empty; give 'demo', a folder that holds a checkpoint, or a hub id": (
        "model 是空的；请填写 demo、含有模型的文件夹，或 Hub ID"
    ),
    "quantization {found} is not a level; choose one of fp16, int8, int4": (
        "quantization {found} 不是可用的精度；请选用 fp16、int8 或 int4"
    ),
    "device {found} is unknown; choose auto, cpu, cuda, cuda:N or mps": (
        "没有设备 {found}；请选用 auto、cpu、cuda、cuda:N 或 mps"
    ),
    "kv_cache_dtype {found} is unknown; choose auto, fp16 or int8": (
        "kv_cache_dtype {found} 无法使用；请选用 auto、fp16 或 int8"
    ),
    **{
        f"{{key}} is {{found}}; it must be {english}": f"{{key}} 的值是 {{found}}，应为{chinese}"
        for english, chinese in (
            ("one of {names}", "以下之一：{names}"),
            ("a text", "文字"),
            ("a number", "数字"),
            ("a whole number", "整数"),
            ("a whole number or left out", "整数，或不填"),
            ("a list of texts", "由文字组成的列表"),
            ("true or false", " true 或 false"),
            ("keys such as {names}", "按键，例如 {names}"),
            ("0 or more", "不小于 0 的数"),
            ("a number of 0 or more", "不小于 0 的数"),
            ("a number above 0", "大于 0 的数"),
            ("a number above 0 and up to 1", "大于 0 且不超过 1 的数"),
            ("0 (off) or a positive count", " 0（关闭）或正整数"),
            ("a positive count or None", "正整数，或不填"),
            ("a positive count", "正整数"),
            ("a list of non-empty strings", "由非空文字组成的列表"),
            ("a whole number of 0 or more", "不小于 0 的整数"),
            ("0, 4 or 8", " 0、4 或 8"),
            ("a table, which begins with [{name}]", "一个表，以 [{name}] 开头"),
            ("4, 8 or absent", " 4、8，或不填"),
            ("{reason}", " {reason}"),
        )
    },
    # the start
    "{folder} is no folder; give the folder of a checkpoint, a hub id such as {id}, or demo": (
        "{folder} 不是文件夹；请给出模型的文件夹、{id} 这样的 Hub ID，或 demo"
    ),
    "this needs a terminal for its input and output; use chatglm-slim chat in a pipe": (
        "输入和输出都必须是终端；在管道中请用 chatglm-slim chat"
    ),
    "--serve cannot be used inside a served session": "在 --serve 打开的会话中不能再用 --serve",
    "--serve needs Linux or macOS; on Windows run it in WSL": "--serve 需要 Linux 或 macOS；在 Windows 上请用 WSL",
    "port {port} is not between 0 and 65535": "端口 {port} 不在 0 到 65535 之间",
    "--serve needs textual-serve ({package} is missing): {command}": (
        "--serve 需要 textual-serve（缺少 {package}）；安装：{command}"
    ),
    "{place} cannot be served at ({reason}); choose another --port": (
        "无法使用 {place}（{reason}）；请用 --port 另选端口"
    ),
    "{place} cannot be served at ({reason}); choose another --host": (
        "无法使用 {place}（{reason}）；请用 --host 另选地址"
    ),
    "the token is too short to be safe; give {count} characters or more": "令牌太短，不安全；请至少用 {count} 个字符",
    # the question
    "the prompt is empty; write a question or a sentence to continue": "提示是空的；请写一个问题，或一句要续写的话",
    "the text holds half of a surrogate pair ({found}) at character {place}, which is no character; remove it, or"
    " decode the text properly where it was read": (
        "文字在第 {place} 个字符处有半个代理对（{found}），它不是字符；请删去，或在读入时正确解码"
    ),
    "the prompt has {count} tokens, but prompt and reply together have room for {limit}; shorten it or split it": (
        "提示有 {count} 个词元，而提示与回答合计最多 {limit} 个；请缩短，或分成几次"
    ),
    "the prompt has {count} tokens, but prompt and reply together have room for {limit}; shorten it, or raise"
    " max_length": "提示有 {count} 个词元，而提示与回答合计最多 {limit} 个；请缩短，或调大总长度（max_length）",
    "replies that must be JSON or tool calls need the package llguidance; install it with: {command}": (
        "要求回答是 JSON 或调用工具时，需要软件包 llguidance；安装：{command}"
    ),
    **OF_FILES,
    **OF_MODELS,
    **OF_PLUGINS,
    **OF_LIBRARIES,
}

_LONGEST = 2_000
"""Longer ones hold what a plugin or a library printed, maybe one sentence in another a thousand times."""

_WITH_PLACES = [(english, said) for english, said in _CHINESE.items() if "{" in english]
_BLANK_AT_QUOTE = re.compile(r"(?<=[一-鿿]) (?=“)|(?<=”) (?=[一-鿿])")


def told(sentence: str) -> str:
    """A sentence as it is to be read."""
    if not sentence or language.in_use() == "en":
        return sentence
    if (whole := _CHINESE.get(sentence) or SYSTEM.get(sentence.lower().rstrip("."))) is not None:
        return whole
    if len(sentence) > _LONGEST:
        return sentence
    known = [
        (found.end(1), -sum(map(len, _literals(english))), said, found)
        for english, said in _WITH_PLACES
        if all(part in sentence for part in _literals(english)) and (found := _pattern(english).fullmatch(sentence))
    ]
    if not known:
        return sentence
    # a sentence may stand in another one, whose words begin first; else the one with more words says more
    *_, said, found = min(known, key=lambda each: each[:2])
    return _BLANK_AT_QUOTE.sub("", said.format(**dict(_parts(found))))


def _parts(found: re.Match[str]) -> Iterator[tuple[str, str]]:
    """What stands in the places of a sentence; a reason may be a sentence that is known, too."""
    for name, part in found.groupdict().items():
        yield name, _READERS.get(name, _one_quoted)(part)


def _origin(origin: str) -> str:
    """Whose a plugin is."""
    kind, _, name = origin.partition(" ")
    kinds = {"package": "软件包", "file": "文件"}
    return f"{kinds[kind]} {name}" if kind in kinds else origin


def _of_a_process(words: str) -> str:
    plugin = words.removeprefix("The process of the plugin ")
    return PROCESSES.get(words, words if plugin == words else f"插件 {plugin} 的进程")


def _one_of(words: Mapping[str, str]) -> Callable[[str], str]:
    """What has a few words of its own; anything else is a name or a value."""
    return lambda part: words.get(part) or _one_quoted(part)


def _one_quoted(part: str) -> str:
    return re.sub(r"'([^']*)'", r"“\1”", part) if re.fullmatch(r"'[^']*'", part) else part


def _quoted(parts: str) -> str:
    return re.sub(r"'([^']*)'", r"“\1”", parts).replace(", ", "、")


def _absent(names: str) -> str:
    """Files that a repository does not have."""
    return names.replace(", no ", "、").replace(" and no ", " 或 ")


_READERS: dict[str, Callable[[str], str]] = {
    "reason": told,
    "signal": told,
    "origin": _origin,
    "process": _of_a_process,
    "advice": _of_a_process,
    "names": _quoted,
    "absent": _absent,
    "kind": _one_of(KINDS_OF_DOCUMENTS | NUMBERS),
    "wanted": _one_of(NUMBERS),
    "form": _one_of(FORMS),
    "what": _one_of(FOUND),
}
"""How what stands in a place is read, by the name of the place."""


@cache
def _literals(english: str) -> list[str]:
    return re.split(r"\{\w+\}", english)


_NUMBERS = {"char", "column", "count", "free", "limit", "line", "missing", "most", "number", "size"}
_STANDING = dict.fromkeys(_NUMBERS, r"-?\d[\d.,]*") | {"located": r"[^/\\.]*[/\\.].*?"}
"""What may stand in a place, by its name: numbers, and a path that looks like one; anything in the others."""


@cache
def _pattern(english: str) -> re.Pattern[str]:
    """A place ends where the words after it first stand, and is never tried longer: that takes no square of time."""
    before, *parts = re.split(r"\{(\w+)\}", english)
    pattern, is_open = re.escape(before), False
    for name, words in zip(parts[::2], parts[1::2], strict=True):
        if name not in _NUMBERS:
            pattern, is_open = f"{pattern}{')' if is_open else ''}(?>", True
        pattern += f"(?P<{name}>{_STANDING.get(name, '.+?')}){re.escape(words)}"
    return re.compile(rf"{pattern}\Z{')' if is_open else ''}", re.S)
