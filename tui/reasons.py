"""What went wrong, in the language in use: the parts below the terminal say it in English, for logs and scripts, too.

A sentence that is not known here stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from tui import language

_CHINESE = {
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
    "{key} is empty; give the name of a theme": "{key} 是空的；请填写主题的名称",
    "{key} is {found}; it must be one of {names}": "{key} 的值是 {found}，应为以下之一：{names}",
    "{key} is {found}; it must be a text": "{key} 的值是 {found}，应为文字",
    "{key} is {found}; it must be a number": "{key} 的值是 {found}，应为数字",
    "{key} is {found}; it must be a whole number": "{key} 的值是 {found}，应为整数",
    "{key} is {found}; it must be true or false": "{key} 的值是 {found}，应为 true 或 false",
    "{key} is {found}; it must be keys such as {names}": "{key} 的值是 {found}，应为按键，例如 {names}",
    # the model
    "The model's process was ended by the system, most likely for lack of memory (signal 9); choose a smaller level"
    " such as int4, or a smaller model, or close other programs": (
        "模型进程被系统终止，多半是内存不足（信号 9）；请选择更低的精度（如 int4）或更小的模型，或关闭其他程序"
    ),
    "The model's process was stopped; try again to start it anew": "模型进程已停止；重试即可重新启动",
    "The model's process crashed ({reason}); try again to start it anew": "模型进程崩溃（{reason}）；重试即可重新启动",
    "The model's process crashed ({reason}): {words}; try again to start it anew": (
        "模型进程崩溃（{reason}）：{words}；重试即可重新启动"
    ),
    "the knowledge base {name} is empty; add files to it, or switch it off for this chat": (
        "知识库“{name}”是空的；请添加文件，或在本对话中停用它"
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
    "the tool {name} of plugin {key} is left out: {reason}": "没有使用插件 {key} 的工具 {name}：{reason}",
    "this answer is made without tools: {reason}": "这个回答没有使用工具：{reason}",
    "the model calls tools again and again, and says nothing; ask it in other words": (
        "模型反复调用工具而没有回答；请换个说法提问"
    ),
    # files
    "{path}: does not exist": "{path} 不存在",
    "{path}: holds no text": "{path} 中没有文字",
    "{path}: binary, not text": "{path} 是二进制文件，不是文本",
    "{path}: cannot be read: {reason}": "无法读取 {path}：{reason}",
    "{path}: is a folder; attach its files, or put it into a knowledge base": (
        "{path} 是文件夹；请添加其中的文件，或把它放进知识库"
    ),
    "{path}: holds {count} characters of text, more than the {most} that a message takes;"
    " put it into a knowledge base instead": ("{path} 有 {count} 个字符，超过单条消息的上限 {most}；请改为放进知识库"),
    "{path} is there already; choose another name, or say that it may be replaced": "{path} 已存在；请换一个名称",
}


def told(sentence: str) -> str:
    """A sentence as it is to be read."""
    if language.in_use() == "en":
        return sentence
    for pattern, said in _patterns():
        if found := pattern.fullmatch(sentence):
            return said.format(**dict(_parts(found)))
    return sentence


def _parts(found: re.Match[str]) -> Iterator[tuple[str, str]]:
    """What stands in the places of a sentence; a reason may be a sentence that is known, too."""
    for name, part in found.groupdict().items():
        known = {"reason": told, "origin": _origin}
        yield name, known[name](part) if name in known else part


def _origin(origin: str) -> str:
    """Whose a plugin is."""
    kind, _, name = origin.partition(" ")
    kinds = {"package": "软件包", "file": "文件"}
    return f"{kinds[kind]} {name}" if kind in kinds else origin


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    # what begins with a name fits a whole sentence before its own words, too
    sentences = sorted(_CHINESE.items(), key=lambda pair: pair[0].startswith("{"))
    return [(_pattern(english), said) for english, said in sentences]


def _pattern(english: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", english)
    return re.compile("".join(f"(?P<{part}>.+?)" if n % 2 else re.escape(part) for n, part in enumerate(parts)), re.S)
