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
    "is nested too deeply": "嵌套过深",
    "holds something after the end of its JSON": "在 JSON 结束之后还有内容",
    "is longer than any history that people have; it may be made to fill the memory": (
        "比任何人的历史都长，可能是为耗尽内存而造的"
    ),
}

KINDS_OF_DOCUMENTS = {
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
    **{f"{{path}}: {english}": f"{{path}}：{chinese}" for english, chinese in _REASONS.items()},
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
}
