"""What went wrong, in the language in use: the parts below the terminal say it in English, for logs and scripts, too.

A sentence that is not known here stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from tui import language
from tui.reasons_of_files import KINDS_OF_DOCUMENTS, OF_FILES

_CHINESE = {
    # of a file of settings or of colours, and of a variable
    "{path}settings.toml: {reason}": "{path}settings.toml：{reason}",
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
    "{path}, line {line}: {reason}": "{path} 第 {line} 行：{reason}",
    "there is no setting {name}; did you mean {other}?": "没有设置项 {name}；是不是 {other}？",
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
    # the model
    **{
        english.replace("@", who): its + chinese
        for who, its in (("", ""), (" while {who} was at work", "{who} 运行时，"))
        for english, chinese in (
            (
                "{process} was ended by the system@, most likely for lack of memory (signal 9); {advice}, or close"
                " other programs",
                "{process}被系统终止，多半是内存不足（信号 9）；请{advice}，或关闭其他程序",
            ),
            (
                "{process} crashed ({reason})@; try again to start it anew",
                "{process}崩溃（{reason}）；重试即可重新启动",
            ),
            (
                "{process} crashed ({reason})@: {words}; try again to start it anew",
                "{process}崩溃（{reason}）：{words}；重试即可重新启动",
            ),
            (
                "{process} ended by itself (exit status {status})@; try again to start it anew",
                "{process}自行结束（退出状态 {status}）；重试即可重新启动",
            ),
            (
                "{process} ended by itself (exit status {status})@: {words}; try again to start it anew",
                "{process}自行结束（退出状态 {status}）：{words}；重试即可重新启动",
            ),
        )
    },
    "{process} was stopped; try again to start it anew": "{process}已停止；重试即可重新启动",
    "{process} said what cannot be understood, and was ended; try again to start it anew": (
        "{process}的输出无法理解，已被终止；重试即可重新启动"
    ),
    "kv_cache_dtype is {found}, but keys and values of 8 bits need the compiled kernels, {reason};"
    " auto and fp16 do without": (
        "kv_cache_dtype 的值是 {found}，但 8 位的键和值需要编译的内核（{reason}）；auto 和 fp16 不需要"
    ),
    # plugins
    "it comes from the package {package} and nobody has enabled it; to use it: {command}": (
        "来自软件包 {package}，还没有启用；启用：{command}"
    ),
    "{file} switches it off; to use it: {command}": "已在 {file} 中停用；启用：{command}",
    "{file} switches it off, and {reason}": "已在 {file} 中停用",
    "{file} is of a folder that you have not trusted; look at it, then: {command}": (
        "{file} 所在的文件夹还没有受信任；请先查看，再运行：{command}"
    ),
    "{one} is used for this name; to use this one: {command}": "这个名称已用于 {one}；改用这个：{command}",
    "no installed package offers it; install it, or give {table} in {file} a target": (
        "没有已安装的软件包提供它；请安装，或在 {file} 的 {table} 中填写 target"
    ),
    "the package {package} does not offer it; install it, or give {table} in {file} a target": (
        "软件包 {package} 不提供它；请安装，或在 {file} 的 {table} 中填写 target"
    ),
    "its target {target} must be package.module:attribute; repair it, or: {command}": (
        "target {target} 应写成 package.module:attribute；请修正，或运行：{command}"
    ),
    "there is no module {module}; repair it, or: {command}": "没有模块 {module}；请修复，或运行：{command}",
    "{path} is not there; repair it, or: {command}": "{path} 不存在；请修复，或运行：{command}",
    "{file} cannot be read ({reason}); only what we ship is on": "无法读取 {file}（{reason}），只启用自带的插件",
    "{file} is not valid TOML ({reason}); only what we ship is on until it is repaired": (
        "{file} 不是有效的 TOML（{reason}），修复之前只启用自带的插件"
    ),
    "plugin {key} ({origin}) cannot be loaded: {reason}; repair or update it, or switch it off with: {command}": (
        "插件 {key}（{origin}）无法加载：{reason}；请修复或更新，或停用：{command}"
    ),
    "plugin {key} ({origin}) cannot be started: {reason}; repair or update it, or switch it off with: {command}": (
        "插件 {key}（{origin}）无法启动：{reason}；请修复或更新，或停用：{command}"
    ),
    "plugin {key} ({origin}) gave {found}; it must give a LangChain BaseChatModel": (
        "插件 {key}（{origin}）返回了 {found}；应返回 LangChain 的 BaseChatModel"
    ),
    "plugin {key} ({origin}) needs version {wanted} of the plugin interface, this is version {version};"
    " upgrade chatglm-slim-llm, or take an older version of the plugin": (
        "插件 {key}（{origin}）需要第 {wanted} 版插件接口，这里是第 {version} 版；"
        "请升级 chatglm-slim-llm，或改用较旧的插件"
    ),
    "plugin {key} ({origin}) is not ready after {seconds} s; repair it, or switch it off with: {command}": (
        "插件 {key}（{origin}）{seconds} 秒后仍未就绪；请修复，或停用：{command}"
    ),
    "plugin {key} ({origin}) has found nothing after {seconds} s; repair it, or switch it off with: {command}": (
        "插件 {key}（{origin}）{seconds} 秒后仍没有结果；请修复，或停用：{command}"
    ),
    "plugin {key} ({origin}) gave {found}; it must give a LangChain BaseTool, or a list of them": (
        "插件 {key}（{origin}）返回了 {found}；应返回 LangChain 的 BaseTool，或由它们组成的列表"
    ),
    "plugin {key} ({origin}) is a tool that takes no options": "插件 {key}（{origin}）这个工具没有选项可设",
    "plugin {key} has a tool {name} as {other} has, which is used": (
        "插件 {key} 的工具 {name} 与 {other} 的重名，使用后者"
    ),
    "plugin {key} has a tool {name} twice; the first is used": "插件 {key} 有两个名为 {name} 的工具，使用第一个",
    "{file}: [{group}] is no group of plugins; did you mean {other}?": (
        "{file}：[{group}] 不是插件的类别；是不是 {other}？"
    ),
    "{file}: [{group}] is no group of plugins; there are {names}": "{file}：[{group}] 不是插件的类别；已有：{names}",
    "{file}: [{group}] must be a table of plugins, found {found}": "{file}：[{group}] 应是插件的表，写的却是 {found}",
    "{file}: [{key}.options] {name} is not one of its options; did you mean {other}?": (
        "{file}：[{key}.options] 没有选项 {name}；是不是 {other}？"
    ),
    "{file}: [{key}.options] {name} is not one of its options; it takes {names}": (
        "{file}：[{key}.options] 没有选项 {name}；可用：{names}"
    ),
    **{
        f"{before} {english}": f"{said}{chinese}"
        for before, said in (
            ("{file}: [{table}]", "{file}：[{table}] "),
            ("its table in {file}", "它在 {file} 中的表"),
        )
        for english, chinese in (
            (
                "has no key {key}; did you mean {other}?; options of the plugin stand in a table of their own,"
                " [….options]",
                "没有键 {key}；是不是 {other}？插件的选项要另写在 [….options] 表里",
            ),
            (
                "has no key {key}; there are {names}; options of the plugin stand in a table of their own, [….options]",
                "没有键 {key}；可用：{names}；插件的选项要另写在 [….options] 表里",
            ),
            ("{key} must be a text in quotes, found {found}", "{key} 应是引号里的文字，写的却是 {found}"),
            ("{key} must be true or false, found {found}", "{key} 应是 true 或 false，写的却是 {found}"),
            ("{key} must be a table, found {found}", "{key} 应是一个表，写的却是 {found}"),
            ("must be a table, found {found}", "应是一个表，写的却是 {found}"),
        )
    },
    "another package is wanted for this name; to use this one: {command}": (
        "这个名称已指定另一个软件包；改用这个：{command}"
    ),
    "several packages offer it ({names}); say whose: {command}": (
        "有几个软件包提供它（{names}）；请指明用哪个：{command}"
    ),
    "plugin {key} is not on: {reason}": "插件 {key} 没有启用：{reason}",
    "no plugin {name} in {group}; did you mean {other}?": "{group} 中没有插件 {name}；是不是 {other}？",
    "no plugin {name} in {group}; there are: {names}": "{group} 中没有插件 {name}；已有：{names}",
    "the command /{name} ({origin}) failed: {reason}": "命令 /{name}（{origin}）出错：{reason}",
    "the command /{name} ({origin}) broke off: {reason}": "命令 /{name}（{origin}）中断：{reason}",
    "the command /{name} ({origin}) was ended, as it gave nothing in {seconds} s; repair it, or switch it off with:"
    " {command}": "命令 /{name}（{origin}）{seconds} 秒没有结果，已被终止；请修复，或停用：{command}",
    "the command /{name} ({origin}) gave {found}; it must give a text, Ask(text) or Insert(text)": (
        "命令 /{name}（{origin}）返回了 {found}；应返回文本、Ask(text) 或 Insert(text)"
    ),
    "the command /{name} ({origin}) gave {count} characters, more than the {most} there is room for": (
        "命令 /{name}（{origin}）返回了 {count} 个字符，超过上限 {most}"
    ),
    "the tool {name} of plugin {key} is left out: {reason}": "没有使用插件 {key} 的工具 {name}：{reason}",
    "this answer is made without tools: {reason}": "这个回答没有使用工具：{reason}",
    "the model calls tools again and again, and says nothing; ask it in other words": (
        "模型反复调用工具而没有回答；请换个说法提问"
    ),
    **OF_FILES,
}


_SYSTEM = {
    "No such file or directory": "没有这个文件或文件夹",
    "Permission denied": "没有权限",
    "Operation not permitted": "不允许此操作",
    "Read-only file system": "文件系统是只读的",
    "No space left on device": "磁盘空间已满",
    "Is a directory": "是文件夹",
    "address already in use": "地址已被占用",
    "Not a directory": "不是文件夹",
    "File exists": "文件已存在",
    "File name too long": "文件名过长",
    "Too many levels of symbolic links": "链接过多或循环",
    "Input/output error": "输入输出错误",
    "Device or resource busy": "设备或资源正忙",
    "it is not UTF-8 text": "不是 UTF-8 文本",
    "embedded null byte": "含有零字节",
}
"""What systems say, as it stands in brackets."""
_PROCESSES = {
    "The model's process": "模型进程",
    "The process of the commands": "命令进程",
    "The library's process": "知识库进程",
    "choose a smaller level such as int4, or a smaller model": "选择更低的精度（如 int4）或更小的模型",
    "choose a smaller model": "选择更小的模型",
    "try it with less": "减少内容后再试",
    "add fewer files at once": "每次少添加一些文件",
}

_BLANK_AT_QUOTE = re.compile(r"(?<=[一-鿿]) (?=“)|(?<=”) (?=[一-鿿])")


def told(sentence: str) -> str:
    """A sentence as it is to be read."""
    if language.in_use() == "en":
        return sentence
    for english, said in _sentences():
        if all(part in sentence for part in _literals(english)) and (found := _pattern(english).fullmatch(sentence)):
            return _BLANK_AT_QUOTE.sub("", said.format(**dict(_parts(found))))
    return _SYSTEM.get(sentence, sentence)


def _parts(found: re.Match[str]) -> Iterator[tuple[str, str]]:
    """What stands in the places of a sentence; a reason may be a sentence that is known, too."""
    known = {"reason": told, "origin": _origin, "process": _of_a_process, "advice": _of_a_process, "names": _quoted}
    known |= {"kind": _kind}
    for name, part in found.groupdict().items():
        yield name, known.get(name, _one_quoted)(part)


def _origin(origin: str) -> str:
    """Whose a plugin is."""
    kind, _, name = origin.partition(" ")
    kinds = {"package": "软件包", "file": "文件"}
    return f"{kinds[kind]} {name}" if kind in kinds else origin


def _of_a_process(words: str) -> str:
    plugin = words.removeprefix("The process of the plugin ")
    return _PROCESSES.get(words, words if plugin == words else f"插件 {plugin} 的进程")


def _kind(kind: str) -> str:
    """What a file should have been."""
    return KINDS_OF_DOCUMENTS.get(kind, kind)


def _one_quoted(part: str) -> str:
    return re.sub(r"'([^']*)'", r"“\1”", part) if re.fullmatch(r"'[^']*'", part) else part


def _quoted(parts: str) -> str:
    return re.sub(r"'([^']*)'", r"“\1”", parts).replace(", ", "、")


@cache
def _sentences() -> list[tuple[str, str]]:
    # what begins with a name fits a whole sentence before its own words, too
    return sorted(_CHINESE.items(), key=lambda pair: pair[0].startswith("{"))


@cache
def _literals(english: str) -> list[str]:
    return re.split(r"\{\w+\}", english)


@cache
def _pattern(english: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", english)
    return re.compile("".join(f"(?P<{part}>.+?)" if n % 2 else re.escape(part) for n, part in enumerate(parts)), re.S)
