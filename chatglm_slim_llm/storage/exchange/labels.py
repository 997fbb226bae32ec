"""The few words that a readable export adds, in the language that the conversation is in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath

from chatglm_slim_llm.storage.records import FinishReason, Role
from chatglm_slim_llm.storage.sources import Source
from chatglm_slim_llm.storage.tool_uses import ToolState, ToolUse
from chatglm_slim_llm.storage.whole import WholeConversation, WholeMessage

_LETTERS = re.compile(r"[^\W\d_]")
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_CHINESE_SHARE = 0.2
_LOOKED_AT = 20_000


@dataclass(frozen=True)
class Labels:
    """All words of an export, in one language."""

    language: str
    """As HTML names it."""
    roles: dict[Role, str]
    reasons: dict[FinishReason, str]
    created: str
    folder: str
    system: str
    parameters: str
    knowledge_base: str
    attached: str
    sources: str
    tools: str
    tool_states: dict[ToolState, str]
    """What is said of a use that was not done."""
    tool_stopped: str
    page: str
    lines: str
    colon: str


ENGLISH = Labels(
    language="en",
    roles={"user": "You", "assistant": "Assistant", "system": "System"},
    reasons={
        "length": "Cut off: the limit of tokens was reached",
        "cancelled": "Stopped",
        "error": "Failed",
        "interrupted": "Interrupted: the program ended before the answer did",
    },
    created="Begun",
    folder="Folder",
    system="System prompt",
    parameters="Settings",
    knowledge_base="Knowledge base",
    attached="Attached",
    sources="Sources",
    tools="Tools",
    tool_states={"refused": "not allowed", "failed": "failed", "asked": "waits for permission", "running": "at work"},
    tool_stopped="stopped",
    page="page {}",
    lines="lines {}–{}",
    colon=": ",
)
CHINESE = Labels(
    language="zh-CN",
    roles={"user": "我", "assistant": "助手", "system": "系统"},
    reasons={
        "length": "已达到长度上限，回答被截断",
        "cancelled": "已停止",
        "error": "出错",
        "interrupted": "程序中途退出，回答未完成",
    },
    created="开始于",
    folder="文件夹",
    system="系统提示词",
    parameters="参数",
    knowledge_base="知识库",
    attached="附件",
    sources="来源",
    tools="工具",
    tool_states={"refused": "未获允许", "failed": "失败", "asked": "等待允许", "running": "运行中"},
    tool_stopped="已停止",
    page="第 {} 页",
    lines="第 {}–{} 行",
    colon="：",
)


def labels_for(conversation: WholeConversation) -> Labels:
    """Chinese words where a good part of the letters are Chinese, else English ones."""
    sample = conversation.title
    for message in conversation.messages:
        sample += message.content
        if len(sample) > _LOOKED_AT:
            break
    letters = len(_LETTERS.findall(sample))
    return CHINESE if letters and len(_HAN.findall(sample)) > _CHINESE_SHARE * letters else ENGLISH


def path_shown(conversation: WholeConversation) -> list[WholeMessage]:
    """The messages that are shown: from the first to the head, without those that have nothing to read."""
    path: list[WholeMessage] = []
    place = conversation.head
    while place is not None:
        path.append(conversation.messages[place])
        place = path[-1].parent
    return [message for message in reversed(path) if message.content or message.original is None]


def local_time(moment: datetime) -> str:
    """Such as ``2026-01-31 13:45``, on the clock of this machine."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def place_of(source: Source, labels: Labels) -> str:
    """Such as ``rooms.md, page 3``."""
    is_file = "://" not in source.source
    parts = [PurePath(source.source).name or source.source if is_file else source.source]
    if source.page is not None:
        parts.append(labels.page.format(source.page))
    if source.first_line is not None and source.last_line is not None:
        parts.append(labels.lines.format(source.first_line, source.last_line))
    return ", ".join(parts)


def call_of(use: ToolUse) -> str:
    """Such as ``weather(city="Paris")``."""
    given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in use.arguments.items())
    return f"{use.name}({given})"


def state_of(use: ToolUse, labels: Labels) -> str:
    """Why a use gave nothing that counts; empty if it did. What failed has a reason, and what was stopped none."""
    if use.state == "failed" and not use.result:
        return labels.tool_stopped
    return labels.tool_states.get(use.state, "")


def reason_of(message: WholeMessage, labels: Labels) -> str:
    """Why an answer is not whole; empty if it is."""
    if message.finish_reason is None or message.finish_reason == "stop":
        return ""
    reason = labels.reasons[message.finish_reason]
    return f"{reason}{labels.colon}{message.failure}" if message.failure else reason
