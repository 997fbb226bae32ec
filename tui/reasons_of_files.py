"""Chinese for what is wrong with files: those of a knowledge base, attachments, exports and imports."""

from __future__ import annotations

_KINDS = {
    "an archive; unpack it first": "压缩包；请先解压",
    "an image": "图片",
    "audio": "音频",
    "video": "视频",
    "a program or a part of one": "程序或其组成部分",
    "a font": "字体",
    "a database": "数据库",
    "weights or arrays, not text": "模型权重或数组，不是文本",
    "an image of a disk": "磁盘映像",
    "an old Word document; save it as .docx": "旧版 Word 文档；请另存为 .docx",
    "an old Excel workbook; save it as .xlsx": "旧版 Excel 工作簿；请另存为 .xlsx",
    "an old PowerPoint file; save it as .pptx": "旧版 PowerPoint 文件；请另存为 .pptx",
    "an old Word file; save it as .docx": "旧版 Word 文档；请另存为 .docx",
    "an old Excel file; save it as .xlsx": "旧版 Excel 工作簿；请另存为 .xlsx",
    "a format without a reader; save it as .docx, .pdf or .txt": "暂不支持的格式；请另存为 .docx、.pdf 或 .txt",
    "a pipe, not a file": "管道，不是文件",
    "a socket, not a file": "套接字，不是文件",
    "a device, not a file": "设备，不是文件",
    "something special, not a file": "特殊文件，不是普通文件",
}

_REASONS = {
    "hidden": "隐藏文件",
    "a hidden folder": "隐藏文件夹",
    "a link to something hidden": "指向隐藏内容的链接",
    "a link to a folder that holds this one": "指向上级文件夹的链接",
    "a link to what is no document of yours": "指向系统内容的链接",
    "a link to a file that is read already": "指向已读取文件的链接",
    "a link to a folder that is read already": "指向已读取文件夹的链接",
    "a link that leads round in a circle": "循环的链接",
    "a link that leads nowhere": "指向的文件或文件夹不存在的链接",
    "another name of a file that is read already": "已读取文件的另一个名称",
    "an environment or a cache, not documents": "运行环境或缓存，不是文档",
    "code of others, not documents": "第三方代码，不是文档",
    "a note of an office program that the file is open": "办公软件的临时文件",
    "the name is not valid UTF-8; rename it": "文件名不是有效的 UTF-8；请重命名",
    "no permission to read it": "没有读取权限",
    "no permission to look into it": "没有查看权限",
    "cannot be looked at: {reason}": "无法查看：{reason}",
    "empty": "空文件",
    "{found} is more than the {wanted} that is read": "大小 {found}，超过可读取的上限 {wanted}",
    "binary, not text": "二进制文件，不是文本",
    "does not exist": "不存在",
    "holds no text": "没有文字",
    "cannot be read": "无法读取",
    "cannot be read: {reason}": "无法读取：{reason}",
    "is not a file any more": "已不是文件",
    "has grown beyond the size that is read": "已超过可读取的大小",
    "has no text layer; it needs OCR": "没有文字层；需要先做文字识别（OCR）",
    "protected by a password": "有密码保护",
    "protected against copying (DRM)": "有版权保护（DRM）",
    "damaged {kind}: not a ZIP archive": "{kind}已损坏：不是 ZIP 文件",
    "damaged {kind}: {reason}": "{kind}已损坏（{reason}）",
    "reading it takes more memory than there is": "读取它所需的内存不足",
    "holds more than {count} characters of text": "文字超过 {count} 个字符",
    "holds more than {count} cells": "超过 {count} 个单元格",
    "holds more than {count} files": "其中的文件超过 {count} 个",
    "holds {count} files, more than {most}": "其中有 {count} 个文件，超过上限 {most}",
    "holds {size} MiB of XML, more than the {most} that are read": "含 {size} MiB 的 XML，超过可读取的 {most} MiB",
    "would unpack to {size} MiB, more than the {most} that are read": ("解压后有 {size} MiB，超过可读取的 {most} MiB"),
    "would unpack {name} to {size} MiB; that is no document": "其中的 {name} 解压后有 {size} MiB，不像文档",
    "it would make more than {count} passages; split it": "会产生超过 {count} 个段落；请拆分",
    "is a folder; attach its files, or put it into a knowledge base": (
        "这是文件夹；请添加其中的文件，或把它放进知识库"
    ),
    "holds {count} characters of text, more than the {most} that a message takes;"
    " put it into a knowledge base instead": "有 {count} 个字符，超过单条消息的上限 {most}；请改为放进知识库",
    "reading this kind of file needs a package that is not installed ({package}); run: {command}": (
        "读取这种文件需要的软件包 {package} 尚未安装，请运行：{command}"
    ),
    "{name} declares entities": "{name} 声明了实体",
    "{name} holds no XML": "{name} 中没有 XML",
    "{name} is larger than {size} MiB": "{name} 超过 {size} MiB",
    **_KINDS,
}

_OF_A_FILE = {  # what follows the name of a file that is imported
    "is not there; name the file to import": "不存在；请给出要导入的文件",
    "is no file; name the file to import": "不是文件；请给出要导入的文件",
    "is none of the kinds of files that can be imported: JSON, a zip archive, or SQLite": (
        "不是可导入的文件；可导入的有 JSON、zip 压缩包和 SQLite"
    ),
    "has a format that is unknown here: {found}": "的格式未知：{found}",
    "is JSON, but holds no conversations of this program or of ChatGPT": ("是 JSON，但其中没有本程序或 ChatGPT 的对话"),
    "is a zip archive without a conversations.json": "是 zip 压缩包，但其中没有 conversations.json",
    "is a zip archive that cannot be unpacked ({reason})": "是 zip 压缩包，但无法解压（{reason}）",
    "holds views or triggers, which no history file of this program has": ("含有视图或触发器，不是本程序的历史文件"),
    "was written by a newer version of this program; update chatglm-slim-llm": (
        "由更新版本的程序写成；请升级 chatglm-slim-llm"
    ),
    "was written by a newer version of this program (format {found}, this one knows {known});"
    " update chatglm-slim-llm": "由更新版本的程序写成（格式 {found}，这里支持 {known}）；请升级 chatglm-slim-llm",
    "is damaged ({reason})": "已损坏（{reason}）",
    "is damaged, or another program keeps it from being read ({reason})": "已损坏，或正被其他程序占用（{reason}）",
    "is a SQLite file, but neither a log of llm nor a history file of this program": (
        "是 SQLite 文件，但既不是 llm 的日志，也不是本程序的历史文件"
    ),
    "is not JSON: the key of an object is no text": "不是 JSON：对象的键不是文字",
    "is not JSON: it is not text ({reason})": "不是 JSON：其内容不是文字（{reason}）",
    "is not JSON ({reason})": "不是 JSON（{reason}）",
    "is not JSON, or was cut off ({reason})": "不是 JSON，或内容不完整（{reason}）",
    "is not JSON, or holds one entry of more than {count} million characters": (
        "不是 JSON，或有超过 {count} 百万个字符的条目"
    ),
    "is not JSON ({reason} is no number)": "不是 JSON（{reason} 不是数字）",
    "is not JSON, or was cut off ({reason} was expected and not {found})": (
        "不是 JSON，或内容不完整（应为 {reason}，而不是 {found}）"
    ),
    "has {found} for the version of its format": "的格式版本是 {found}，不是正整数",
    "is nested too deeply": "嵌套过深",
    "holds something after the end of its JSON": "在 JSON 结束之后还有内容",
    "is longer than any history that people have; it may be made to fill the memory": (
        "比任何人的历史都长，可能是为耗尽内存而造的"
    ),
}

_OF_A_CONVERSATION = {  # in a file that is imported
    "conversation {number} ({title}): {reason}": "第 {number} 个对话（{title}）：{reason}",
    "conversation {number}: {reason}": "第 {number} 个对话：{reason}",
    **{
        f"{{place}} is {found} and not {english}": f"{said}应为{chinese}"
        for found, said in (("{what}", "{place} 的值是 {what}，"), ("missing", "缺少 {place}，"))
        for english, chinese in (
            ("a text", "文字"),
            ("one of {names}", "以下之一：{names}"),
            ("true or false", " true 或 false"),
            ("a whole number", "整数"),
            ("a number", "数字"),
            ("a point in time", "时间"),
            ("a point in time such as {example}", "时间，例如 {example}"),
            ("a list", "列表"),
            ("a list of texts", "由文字组成的列表"),
        )
    },
    "{place} is no object but {what}": "{place} 的值是 {what}，应为对象",
    "{place}.mapping is no object": "{place}.mapping 不是对象",
    "{place} is no number, text or list of texts": "{place} 应为数字、文字，或由文字组成的列表",
    "{place}.head is {found}, but there is no such message": "{place}.head 的值是 {found}，但没有这条消息",
    "{place}.uid is empty": "{place}.uid 是空的",
    "{place}.parent is {found}, which is no message before it": "{place}.parent 的值是 {found}，但之前没有这条消息",
    "{place}.sources has one number twice": "{place}.sources 中有重复的编号",
    "{place}.number is missing": "缺少 {place}.number",
    "its messages form a circle": "其中的消息首尾循环相连",
    "two of its messages have one id": "其中有两条消息的 ID 相同",
    "it is nested too deeply": "嵌套过深",
}

FOUND = {"an object": "对象", "a list": "列表"}
"""What stands in a file in the place of something else."""

KINDS_OF_DOCUMENTS = {
    "history file": "历史文件",
    "knowledge base": "知识库",
    "PDF": "PDF 文件",
    "Word file": "Word 文件",
    "Excel file": "Excel 文件",
    "PowerPoint file": "PowerPoint 文件",
    "EPUB book": "EPUB 电子书",
    "HTML": "HTML 文件",
    "Markdown": "Markdown 文件",
    "table": "表格",
}

OF_FILES = {
    **_REASONS,
    **_OF_A_CONVERSATION,
    **_OF_A_FILE,
    # these are short: what stands before them must look like a path, or any error that says "empty" would be one
    **{f"{{located}}: {english}": f"{{located}}：{chinese}" for english, chinese in _REASONS.items()},
    **{f"{{path}} {english}": f"{{path}} {chinese}" for english, chinese in _OF_A_FILE.items()},
    # exports, and what is imported
    "the rest of {path} could not be read: it {reason}": "{path} 的其余部分无法读取（{reason}）",
    "nothing in {path} can be read; the first problem: {reason}": "{path} 中没有可读取的内容；第一个问题：{reason}",
    "and {count} more": "还有 {count} 个",
    "{path} cannot be read ({reason})": "无法读取 {path}（{reason}）",
    "{path} is there already; choose another name, or say that it may be replaced": "{path} 已存在；请换一个名称",
    "{path} does not say which format to write; end it in .md, .html or .json": (
        "从 {path} 看不出要导出的格式；文件名请以 .md、.html 或 .json 结尾"
    ),
    "{path} cannot be written ({reason}); choose another folder, or make room": (
        "无法写入 {path}（{reason}）；请换一个文件夹，或腾出空间"
    ),
    "there is no program {name}, which opens files; install it, mostly in the package xdg-utils": (
        "没有用来打开文件的程序 {name}；请安装，一般在软件包 xdg-utils 中"
    ),
    # knowledge bases
    "{path} cannot be written ({reason}); choose a folder that can": "无法写入 {path}（{reason}）；请选用可写的文件夹",
    "{path} is being indexed by another process; wait until it has ended, or stop it, and try again"
    " (searching works meanwhile)": "{path} 正由另一个进程建立索引；请等它结束或停止它，再重试（其间可以检索）",
    "{path} does not exist; give a file or a folder that does": "{path} 不存在；请给出存在的文件或文件夹",
    "the knowledge base {name} is gone; create it again, or choose another": (
        "知识库“{name}”已不存在；请重新创建，或另选一个"
    ),
    "the knowledge base {name} is gone; switch it off for this chat, or create it again": (
        "知识库“{name}”已不存在；请在本对话中停用它，或重新创建"
    ),
    "the knowledge base {name} is empty; add files to it, or switch it off for this chat": (
        "知识库“{name}”是空的；请添加文件，或在本对话中停用它"
    ),
    "there is a knowledge base {name} already; choose another name": "已有名为“{name}”的知识库；请换一个名称",
    "documents need packages that are not installed ({package}); run: {command}": (
        "文档需要的软件包 {package} 尚未安装，请运行：{command}"
    ),
    "searching documents needs packages that are not installed; run: {command}": (
        "检索文档需要的软件包尚未安装，请运行：{command}"
    ),
    "there is no embedder; run: {command}, or search by keyword": "没有向量模型；请运行：{command}，或只按词语检索",
    "the embedder {name} is not installed; run: {command}": "向量模型 {name} 尚未安装，请运行：{command}",
    "{name} is not installed; run: {command}": "{name} 尚未安装，请运行：{command}",
    "the process that reads files cannot be started: {reason}": "无法启动读取文件的进程：{reason}",
    "the process that reads files does not start: {reason}": "读取文件的进程没有启动：{reason}",
    "{name} is no name; give letters, digits, spaces, '.', '_' and '-'": (
        "{name} 不能用作名称；名称可含文字、数字、空格、“.”、“_”和“-”"
    ),
    "{name} is no name of a knowledge base; give letters, digits, spaces, '.', '_' and '-', or the path of its file": (
        "{name} 不是知识库的名称；名称可含文字、数字、空格、“.”、“_”和“-”，也可填知识库文件的路径"
    ),
    "{path} was not added to {name}; what was added: nothing": "{path} 没有添加到 {name}；其中还没有添加任何内容",
    "{path} was not added to {name}; what was added: {names}": "{path} 没有添加到 {name}；已添加：{names}",
    "a process that makes vectors has ended (exit status {status}); is there memory enough? Run the same again: what"
    " was indexed so far is kept": (
        "计算向量的进程已结束（退出状态 {status}）；内存是否足够？请重试一次，已建立的索引会保留"
    ),
    "the clock went back, from {before} to {now}; set it right and index again": (
        "系统时钟从 {before} 退回到 {now}；请校准时钟，再重新建立索引"
    ),
    "{key} is {found}; ask for at least 1 passage": "{key} 的值是 {found}，至少应为 1",
    "the vectors of {path} were made by {name} and not by {other}, or by another version of it; run sync to make new"
    " ones": "{path} 的向量由 {name} 生成，而不是 {other}，或版本不同；请同步以重新生成",
    "the vectors of {path} were made by {name}, which is none of the installed embedders; give embedder=… those"
    " embeddings, another embedder to have new vectors made, or 'none' to search by words": (
        "{path} 的向量由 {name} 生成，而这个向量模型没有安装；请安装它，或新建知识库并另选检索方式"
    ),
    "the embedder gave a vector that is not finite; look for an empty text or a broken model": (
        "向量模型给出的向量含有非数值；请检查是否有空的文字，或模型已损坏"
    ),
    "the embedder {name} takes nothing after a colon, found {found}; leave it out": (
        "向量模型 {name} 的冒号后不填内容，写的却是 {found}；请删去"
    ),
    "sentence-transformers needs the folder of a model, found {found}; give it after a colon, such as {example}": (
        "sentence-transformers 需要模型的文件夹，写的却是 {found}；请写在冒号后面，例如 {example}"
    ),
    # the file of a history or of a knowledge base
    "{path} is a database of another program and not a {kind}; move it away, or set CHATGLM_SLIM_HOME to another"
    " folder": "{path} 是其他程序的数据库，不是{kind}；请把它移走，或把 CHATGLM_SLIM_HOME 设为另一个文件夹",
    "{path} was written by a newer version of this program (schema {found}, this one knows {known}); update"
    " chatglm-slim-llm, or set CHATGLM_SLIM_HOME to another folder to start an empty one": (
        "{path} 由更新版本的程序写成（结构版本 {found}，这里支持到 {known}）；请升级 chatglm-slim-llm，"
        "或把 CHATGLM_SLIM_HOME 设为另一个文件夹，从空的开始"
    ),
    "{path} is being written just now; try again": "正在写入 {path}；请重试",
    "{path} cannot be written ({reason}); choose another place for the copy": (
        "无法写入 {path}（{reason}）；请为副本另选位置"
    ),
    "{path} has no message {number}: it was deleted or never there; its sources are not kept": (
        "{path} 中没有消息 {number}：已被删除或从未有过；它的来源没有保存"
    ),
    "message {place} of {name} follows message {other}, which is not before it": (
        "{name} 的第 {place} 条消息接在第 {other} 条之后，而后者不在它前面"
    ),
}
