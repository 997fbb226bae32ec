"""Chinese words: settings, themes, keys, palette, help, jump mode, clipboard, the served terminal."""

WORDS: dict[str, str] = {
    # the settings' groups, and the places that keys belong to
    "Interface": "界面",
    "Sampling": "采样",
    "Program": "程序",
    "Keys": "按键",
    "App": "程序",
    "Ask": "询问",
    "Attachments": "附件",
    "Chat": "聊天",
    "Chat settings": "对话设置",
    "Choice": "选项",
    "Confirm": "确认",
    "Conversation": "对话内容",
    "Dialog": "对话框",
    "Jump": "跳转",
    "Key edit": "编辑按键",
    "Models": "模型",
    "New knowledge": "新建知识库",
    "Passage": "引用段落",
    "Path": "路径",
    "Prompt": "输入框",
    "Editing text": "编辑文字",
    # settings
    "Language": "语言",
    "The language of the interface; auto follows the system.": "界面语言；自动则跟随系统。",
    "Theme": "主题",
    "The colours; files in the folder themes beside the settings add your own.": (
        "界面配色；把自己的主题文件放进设置文件旁的 themes 文件夹即可使用。"
    ),
    "Code theme": "代码配色",
    "The colours of code in answers, by their Pygments name; auto fits the theme.": (
        "回答中代码的配色，填 Pygments 的样式名；auto 表示与主题相配。"
    ),
    "Accessible": "无障碍",
    "Plain for screen readers: no boxes, no animation, no signs that mean something alone.": (
        "适合读屏软件的朴素界面：没有边框和动画，也不单靠符号表意。"
    ),
    "Animation": "动画",
    "Let things glide and fade; off is calmer over a slow line.": "滑动与淡入淡出；连接较慢时关闭更舒适。",
    '"demo" for the bundled one, a folder, a hub id such as silver/chatglm-6b-slim, or plugin:NAME.': (
        "demo 为内置模型，也可填文件夹、silver/chatglm-6b-slim 这样的 Hub 名称，或 plugin:名称。"
    ),
    "Quantization": "量化",
    "Bits of the linear layers; a checkpoint that is already quantised keeps its own level.": (
        "线性层的位数；已量化的模型保持原有精度。"
    ),
    "auto takes CUDA, then Apple's MPS, then the CPU.": "auto 依次选用 CUDA、苹果的 MPS、CPU。",
    "KV cache dtype": "键值缓存",
    (
        "How keys and values of the context are kept: int8 takes half the memory of fp16, and needs the compiled "
        "kernels. auto is int8 beside weights of int4, where those kernels run. Where torch runs the model, they have "
        "the precision of the checkpoint, as a rule fp16."
    ): (
        "上下文的键和值怎样保存：int8 只占 fp16 一半的内存，需要编译的内核。权重为 int4 且内核可用时，auto 即 int8。"
        "由 torch 计算时，按检查点的精度保存，一般是 fp16。"
    ),
    "Process": "进程",
    "Where the model runs: in a process of its own, which cannot take the terminal down, or inside this one.": (
        "模型在哪里运行：独立进程（出错不会拖垮终端），或本进程内。"
    ),
    "Editor": "编辑器",
    "The command of the external editor; empty takes VISUAL or EDITOR.": (
        "外部编辑器的命令；留空则用 VISUAL 或 EDITOR。"
    ),
    "Trash days": "回收站保留天数",
    "Deleted conversations leave the trash after this many days; 0 keeps them until you empty it.": (
        "删除的对话在回收站保留这么多天；0 表示保留到手动清空。"
    ),
    "automatic": "自动",
    "English": "English",
    "中文": "中文",
    "in its own process": "独立进程",
    "in this process": "本进程内",
    "on": "开",
    "off": "关",
    "default": "默认值",
    "from the file": "来自设置文件",
    "not saved; it holds until you quit": "未保存，退出前有效",
    "{variable} wins over the file": "{variable} 优先于设置文件",
    "the argument wins over the file": "命令行参数优先于设置文件",
    # the settings screen
    "Settings in {path}": "设置：{path}",
    "Ctrl+R default · Esc closes": "Ctrl+R 恢复默认 · Esc 关闭",
    "Close the settings": "关闭设置",
    "Default": "默认",
    "Give this setting its default again": "把这项恢复为默认值",
    "The setting above": "上一项设置",
    "The setting below": "下一项设置",
    "Previous group": "上一组",
    "Next group": "下一组",
    "It holds until you quit; then {name} wins over the file again.": "本次运行内有效；下次启动仍以 {name} 为准。",
    # keys
    "Such as ctrl+n, alt+enter or f5; several with commas": "例如 ctrl+n、alt+enter 或 f5；多个以逗号分隔",
    "Default keys": "默认按键",
    "Close, the keys stay as they were": "关闭，按键不变",
    "{key} is the key of both “{one}” and “{other}”; give one of them another": (
        "{key} 同时用于“{one}”和“{other}”；请给其中一个换个按键"
    ),
    "keys: nothing has the id “{name}”": "keys：没有名为“{name}”的操作",
    "; did you mean “{name}”?": "；是否想写“{name}”？",
    "“{key}” of {name} is not a key; write it like ctrl+n, alt+enter or f5": (
        "{name} 的“{key}”不是按键；请写成 ctrl+n、alt+enter 或 f5 的样子"
    ),
    "“{key}” of {name} could not be typed any more; add ctrl or alt": (
        "{name} 若用“{key}”，这个字符就无法输入了；请加上 ctrl 或 alt"
    ),
    # help
    "Keys and commands": "按键与命令",
    "Esc closes": "Esc 关闭",
    "Nothing here is called that.": "没有找到相关内容。",
    "Commands": "命令",
    "Close the help": "关闭帮助",
    "A line up": "上移一行",
    "A line down": "下移一行",
    # palette, jump mode, clipboard
    "Palette": "面板",
    "Find commands and chats": "查找命令和对话",
    "Theme: {name}": "主题：{name}",
    "There is nothing to jump to here.": "这里没有可跳转的位置。",
    "Leave the jump mode": "退出跳转模式",
    "No clipboard was found on this machine; the text is copied if your terminal allows it.": (
        "本机没有可用的剪贴板；若终端支持，文字已复制。"
    ),
    # the served terminal
    "Open {url}": "请打开 {url}",
    "Ctrl+C ends it.": "按 Ctrl+C 结束。",
    "The connection is not encrypted: use it in a network you trust, or through an SSH tunnel.": (
        "连接未加密：请只在可信的网络中使用，或通过 SSH 隧道访问。"
    ),
    "The session has ended.": "会话已结束。",
    "Start again": "重新开始",
}
