"""What day and time it is, which a model cannot know."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from langchain_core.tools import BaseTool, StructuredTool

from chatglm_slim_llm.errors import ConfigError


def clock(timezone: str = "") -> BaseTool:
    """The tool ``clock``.

    Args:
        timezone: such as ``Asia/Shanghai``; this machine's own if it is empty.

    Raises:
        ConfigError: there is no such time zone.
    """
    zone = _zone(timezone)

    def now() -> str:
        """The date, the day of the week and the time."""
        return datetime.now(zone).astimezone(zone).strftime("%Y-%m-%d %A %H:%M %Z").strip()

    return StructuredTool.from_function(now, name="clock", metadata={"readOnlyHint": True})


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"there is no time zone {name!r}; give one such as Asia/Shanghai", key="timezone") from error
