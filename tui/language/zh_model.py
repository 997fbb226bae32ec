"""Chinese words: models, downloads, the first start, a chat's settings, and what all dialogs share."""

WORDS: dict[str, str] = {
    # amounts
    "{count} s": "{count} 秒",
    "{count} min": "{count} 分钟",
    "{hours} h {minutes} min": "{hours} 小时 {minutes} 分钟",
    "{done} of {total}": "{done} / {total}",
    "{time} left": "还需 {time}",
    "about {size}": "约 {size}",
    # dialogs
    "Previous": "上一个",
    "Previous button": "上一个按钮",
    "Next": "下一个",
    "Next button": "下一个按钮",
    "The one before": "前一项",
    "The next one": "后一项",
    "chosen": "已选",
    "Cancel": "取消",
    "Save": "保存",
    "Back": "返回",
    "Go back": "返回",
    "Go back and change nothing": "返回，不做更改",
    "Esc goes back": "Esc 返回",
    # paths
    "Complete": "补全",
    "Complete the path": "补全路径",
    "Path; Tab completes": "输入路径，按 Tab 补全",
    "Type a path.": "请输入路径。",
    "… {count} more": "… 还有 {count} 项",
    "{path} does not exist": "{path} 不存在",
    "{path} is not a file": "{path} 不是文件",
    "{path} is not a folder": "{path} 不是文件夹",
    "{path} is a folder; add the name of a file": "{path} 是文件夹，请加上文件名",
    "there is no folder {path}": "文件夹 {path} 不存在",
    # models
    "Model": "模型",
    "Level": "精度",
    "Device": "设备",
    "Memory": "内存",
    "Load": "加载",
    "auto": "自动",
    "built in": "内置",
    "hub cache": "Hub 缓存",
    "folder": "文件夹",
    "Folder": "文件夹",
    "Hub ID": "Hub ID",
    "current": "当前",
    "unknown": "未知",
    "A folder…": "选择文件夹…",
    "Download from the Hugging Face Hub…": "从 Hugging Face Hub 下载…",
    "Keep the model that is loaded": "保留当前模型",
    "about {size} needed": "约需 {size}",
    "{size} held now": "当前占用 {size}",
    "{size} free": "空闲 {size}",
    "More than is free: choose a smaller level or model, or close other programs.": (
        "空闲内存不足：请选择更低的精度或更小的模型，或关闭其他程序。"
    ),
    "Type the path of a folder that holds a checkpoint.": "请输入模型文件夹的路径。",
    "{id} is no hub id; give owner/name, such as {example}": "{id} 不是 Hub ID；格式为 用户/名称，例如 {example}",
    "{folder} is not a folder": "{folder} 不是文件夹",
    "{folder} has no config.json; give the folder that holds it and the weights": (
        "{folder} 中没有 config.json；请选择含有它和权重文件的文件夹"
    ),
    "{folder} lacks {missing}; fetch the checkpoint again": "{folder} 缺少 {missing}；请重新获取模型文件",
    "{folder} holds a {kind} model; this program runs ChatGLM-6B only": (
        "{folder} 中是 {kind} 模型；本程序只能运行 ChatGLM-6B"
    ),
    "{path} cannot be read": "无法读取 {path}",
    # downloads
    "Download": "下载",
    "Download the weights": "下载权重",
    "Do not download, or stop": "不下载，或停止下载",
    "From": "来源",
    "To": "保存到",
    "Size": "大小",
    "shown as soon as the download starts": "开始下载后显示",
    "There is not enough room on this disk.": "磁盘空间不足。",
    "Nothing is downloaded before you say so.": "未经您确认，不会下载任何内容。",
    "A download that was stopped goes on where it stopped.": "中断的下载会从断点继续。",
    "Starting…": "正在开始…",
    "Stop": "停止",
    "In the background": "后台下载",
    "Checking what has arrived": "正在校验",
    "Downloaded and verified; the model is being loaded": "下载完成并已校验，正在加载模型",
    # first start
    "Welcome": "欢迎",
    "Which model should answer?": "用哪个模型来回答？",
    "Which folder holds the checkpoint?": "模型在哪个文件夹？",
    "You can change this at any time with Ctrl+T.": "以后可随时按 Ctrl+T 更换。",
    "Enter chooses · Esc takes the demo model": "Enter 选择 · Esc 使用演示模型",
    "Demo model": "演示模型",
    "Begin with the demo model": "先用演示模型",
    "The demo model": "演示模型",
    "Small, answers at once, for trying out. It is here already.": "小巧，即刻回答，适合试用；已随程序安装。",
    "A folder on this machine": "本机上的文件夹",
    "A ChatGLM-6B checkpoint that you have: fp16, int8 or int4.": "您已有的 ChatGLM-6B 模型：fp16、int8 或 int4。",
    "Download the 6B model": "下载 6B 模型",
    "{id}: {size} to download, after you confirm.": "{id}：需下载 {size}，开始前会再次确认。",
    "With the memory free now, it runs at {level}.": "按当前空闲内存，将以 {level} 运行。",
    # settings of a chat
    "Settings of this chat": "本对话的设置",
    "Ctrl+S saves · Esc cancels": "Ctrl+S 保存 · Esc 取消",
    "Keep these settings": "保存这些设置",
    "System prompt": "系统提示词",
    "Who the model is, how it answers…": "模型的身份、回答的方式…",
    "Knowledge base": "知识库",
    "None: answer without documents": "无：不引用文档",
    "none": "无",
    "Parameters": "参数",
    "What is left empty is as in the program's settings.": "留空则沿用程序设置。",
    "Reset all": "全部重置",
    "Temperature": "温度",
    "Above 1 flattens the distribution, below 1 sharpens it; 0 means greedy.": (
        "大于 1 更随机，小于 1 更集中；0 表示总取最可能的词。"
    ),
    "Top p": "核采样 Top-p",
    "The smallest set of tokens whose probability reaches this is sampled from; 1 keeps all.": (
        "只在累计概率达到此值的最小词集中采样；1 表示不限。"
    ),
    "Top k": "Top-k",
    "Only this many of the likeliest tokens are sampled from; 0 keeps all.": "只在最可能的若干个词中采样；0 表示不限。",
    "Repetition penalty": "重复惩罚",
    "Scores of tokens already seen are divided (or, if negative, multiplied) by this; 1 is off.": (
        "降低已出现的词再次出现的可能；1 表示关闭。"
    ),
    "Max tokens": "回答上限",
    "Most tokens of the reply; None leaves only max_length.": "回答最多的词元数；留空则只受总长度限制。",
    "Max length": "总长度",
    "Prompt and reply together, in tokens.": "提示与回答合计的词元数。",
    "Stop strings": "停止词",
    "The reply ends before the first of these strings; they are never shown. One a line.": (
        "回答在其中任何一个出现之前结束，停止词本身不显示。每行一个。"
    ),
    "The reply ends before the first of these strings; they are never shown. Commas separate several; one that holds a"
    " comma stands in double quotes.": (
        "回答在其中任何一个出现之前结束，停止词本身不显示。多个以逗号分隔；本身含逗号的，请加英文双引号。"
    ),
    "Seed": "随机种子",
    "The same seed, prompt and options give the same reply; None draws afresh.": (
        "种子、提示和参数都相同时，回答也相同；留空则每次不同。"
    ),
    "'{typed}' is not {wanted}": "“{typed}”不是{wanted}",
    "a whole number": "整数",
    "a number": "数字",
    "it must be {wanted}": "应为{wanted}",
    "a number of 0 or more": "不小于 0 的数",
    "a number above 0 and up to 1": "大于 0 且不超过 1 的数",
    "0 (off) or a positive count": "0（关闭）或正整数",
    "a number above 0": "大于 0 的数",
    "a positive count or None": "正整数，或留空",
    "a positive count": "正整数",
}
