"""Chinese for what is wrong with plugins, their files, their options, tools, commands and MCP servers."""

from __future__ import annotations

OF_PLUGINS = {
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
    "this answer is made without tools: {reason}": "这个回答没有使用工具：{reason}",
    "the model calls tools again and again, and says nothing; ask it in other words": (
        "模型反复调用工具而没有回答；请换个说法提问"
    ),
    "the command /{name} ({origin}) was stopped": "命令 /{name}（{origin}）已停止",
    "the tool {name} of plugin {key} is left out: {reason}": "没有使用插件 {key} 的工具 {name}：{reason}",
    "tools are not used while a knowledge base answers; choose one of the two": (
        "依据知识库回答时不使用工具；二者请选其一"
    ),
    "the model takes none": "模型不支持工具",
    "what is said of them leaves no room in the context; choose fewer": "工具的说明占满了上下文；请少选几个",
    "plugin {key} cannot be used: {reason}": "插件 {key} 无法使用：{reason}",
    "plugin {key} ({origin}) has a tool {name} that cannot be described to a model: {reason}": (
        "插件 {key}（{origin}）的工具 {name} 无法向模型说明：{reason}"
    ),
    "plugin {key} ({origin}) is broken: {reason}": "插件 {key}（{origin}）已损坏：{reason}",
    "plugin {key} ({origin}) cannot be started: {reason}; repair it, or: {command}": (
        "插件 {key}（{origin}）无法启动：{reason}；请修复，或停用：{command}"
    ),
    "plugin {key} ({origin}) failed: {reason}": "插件 {key}（{origin}）出错：{reason}",
    "plugin {key} ({origin}): {reason}": "插件 {key}（{origin}）：{reason}",
    "plugin {key} ({origin}) is {found} at {target}; it must be {form}": (
        "插件 {key}（{origin}）在 {target} 的是 {found}，应为{form}"
    ),
    "plugin {key} ({origin}) gave {found}; it must be {form}": "插件 {key}（{origin}）返回了 {found}，应为{form}",
    "a target is written as package.module:attribute": "target 应写成 package.module:attribute",
    "{path} is no Python file": "{path} 不是 Python 文件",
    "the entry points of {package} cannot be read ({reason}); install it again": (
        "无法读取软件包 {package} 的入口点（{reason}）；请重新安装"
    ),
    "{package} calls itself {name}, but is not; it is left out, as ours are on unasked; remove it": (
        "软件包 {package} 自称 {name}，其实不是；自带的插件无须启用即可使用，因此没有采用它；请将其卸载"
    ),
    # the file of plugins, as it is changed
    "{file} keeps nothing; leave --no-plugins out to switch plugins on and off": (
        "{file} 不保存任何内容；要启用或停用插件，请不要使用 --no-plugins"
    ),
    "{file} cannot be written ({reason})": "无法写入 {file}（{reason}）",
    "{file} has a [{key}] that is no table; repair it": "{file} 中的 [{key}] 不是表；请修正",
    "{file} is not valid TOML ({reason}); repair it": "{file} 不是有效的 TOML（{reason}）；请修正",
    "{file}: [{key}.options] {name}: {reason}, found {found}": (
        "{file}：[{key}.options] {name} 的值 {found} 不合适（{reason}）"
    ),
    # MCP servers
    "MCP servers need packages that are not installed ({package}); run: {command}": (
        "MCP 服务器需要的软件包 {package} 尚未安装，请运行：{command}"
    ),
    "the MCP server {name} offers no tools; is it the right one?": "MCP 服务器 {name} 没有提供工具；是否选错了？",
    "the MCP server {name} ends as soon as it is started": "MCP 服务器 {name} 一启动就结束",
    **{
        f"the MCP server {{name}} {english}{detail}": f"MCP 服务器 {{name}} {chinese}{said}"
        for english, chinese in (
            ("cannot be used", "无法使用"),
            ("broke off", "中断"),
            ("ended", "已结束"),
            ("refused", "拒绝了请求"),
            ("gave what cannot be used", "的回应无法使用"),
        )
        for detail, said in (("", ""), (": {reason}", "：{reason}"))
    },
    "the MCP server {name} was not ready in {seconds} s; give it more with timeout_s, or repair it": (
        "MCP 服务器 {name} 在 {seconds} 秒内没有就绪；请用 timeout_s 延长时间，或修复它"
    ),
    "the MCP server {name} gave no answer in {seconds} s; give it more with timeout_s, or repair it": (
        "MCP 服务器 {name} 在 {seconds} 秒内没有回应；请用 timeout_s 延长时间，或修复它"
    ),
    "it answered {status}; check url and headers": "它的回应是 {status}；请检查 url 和 headers",
    "it answered 404; check url": "它的回应是 404；请检查 url",
    "it cannot be reached ({error}); check url": "无法连接（{error}）；请检查 url",
    "it ended": "它已结束",
    "it said: {words}": "它说：{words}",
    "{reason}; check command, or install it": "{reason}；请检查 command，或安装它",
    "the command {command} of the MCP server is not there; install it, or correct it": (
        "没有 MCP 服务器的命令 {command}；请安装或更正"
    ),
    "{key}: the server has no tool {name}; did you mean {other}?": "{key}：服务器没有工具 {name}；是不是 {other}？",
    "{key}: the server has no tool {name}; it has: {names}": "{key}：服务器没有工具 {name}；已有：{names}",
    'an MCP server has a command or a url: give one of them in the options, such as command = "uvx" and args ='
    ' ["mcp-server-time"]': (
        'MCP 服务器要有 command 或 url；请在选项中填写其一，例如 command = "uvx"，args = ["mcp-server-time"]'
    ),
    "url is no http:// or https:// address of an MCP server": "url 不是以 http:// 或 https:// 开头的 MCP 服务器地址",
    "cwd {folder} is no folder": "cwd {folder} 不是文件夹",
    "timeout_s is {found}; give seconds above 0": "timeout_s 的值是 {found}，应为大于 0 的秒数",
    "{place} wants the variable {name}, which is not set; set it before the program is started": (
        "{place} 需要环境变量 {name}，而它没有设置；请在启动程序前设置"
    ),
    "{key} is for a server with a {other}; this one has none": "{key} 用于有 {other} 的服务器，而这个没有",
    # options of our own
    "there is no time zone {name}; give one such as Asia/Shanghai": "没有时区 {name}；请填写 Asia/Shanghai 这样的时区",
    "passages is {found}; give 1 to 20": "passages 的值是 {found}，应为 1 到 20",
    "there is no knowledge base {name}": "没有知识库 {name}",
    # tools, as a model is told of them
    "the tool {name} has {reason}": "工具 {name} 有问题：{reason}",
    "the tool {name} has the {key} {found}; it must be a text": "工具 {name} 的 {key} 是 {found}，应为文字",
    "the tool {name} has {found} where its schema should be; give an object under {key}": (
        "工具 {name} 的 {key} 是 {found}，应为对象"
    ),
    "the description of {name} is {found}; it must be a text": "{name} 的说明是 {found}，应为文字",
    "an enumeration is no object; make it a field of one": "枚举不是对象；请把它用作对象的字段",
    "it has no name": "没有名称",
    "an enumeration takes no arguments; make it the type of one": "枚举没有参数；请把它用作某个参数的类型",
    "the tool {name} has no name; give it one": "工具 {name} 没有名称；请加上",
    "the tool {name} has neither a name nor a title, by which the model would call it; add one": (
        "工具 {name} 既没有名称也没有标题，模型无法调用；请加上"
    ),
    "the tool {name} is of type {kind}, which runs on a provider's server; give a function or a description with name"
    " and parameters": "工具 {name} 的类型 {kind} 在提供商的服务器上运行；请改用函数，或含名称和参数的说明",
    "the tool {name} takes a value of type {kind}; arguments have names, so its parameters must be an object": (
        "工具 {name} 接受类型为 {kind} 的值；参数须有名称，因此 parameters 应为 object"
    ),
    "the tool {name} cannot be described to the model ({reason}); give a function with type hints and a docstring, a"
    " BaseTool, a pydantic class, or a dict with name, description and parameters": (
        "工具 {name} 无法向模型说明（{reason}）；请改用有类型注解和说明的函数、BaseTool、pydantic 类，"
        "或含 name、description 和 parameters 的字典"
    ),
    "two different tools are named {name}; give each its own name": "有两个不同的工具都叫 {name}；请分别命名",
}

FORMS = {
    "(**options) -> a LangChain BaseChatModel": " (**options) -> LangChain 的 BaseChatModel",
    "(**options) -> a LangChain BaseRetriever": " (**options) -> LangChain 的 BaseRetriever",
    "(path, **options) -> an iterator of the file's sections; the plugin's name is the file's suffix": (
        " (path, **options) -> 文件各部分的迭代器；插件以文件的扩展名为名"
    ),
    "(what it is to load, or None, **options) -> an embedder of texts": (
        " (要加载的内容或 None, **options) -> 文字的向量模型"
    ),
    "a LangChain BaseTool, or (**options) -> one or several": (
        " LangChain 的 BaseTool，或 (**options) -> 一个或几个 BaseTool"
    ),
    "(call, **options) -> a text to show, Ask or Insert": " (call, **options) -> 要显示的文字、Ask 或 Insert",
    "a function": "函数",
}
"""What the target of a plugin is, by its kind."""
