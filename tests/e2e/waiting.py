"""Waiting for what a terminal is to show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.pilot import Pilot


async def wait_until(pilot: Pilot[None], holds: Callable[[], object], *, limit_s: float = 30) -> None:
    """Until something holds, and the screen shows it whole.

    A text that changes asks the screen for its place in a message, so its first line is painted before there is
    room for the others: by the first pause every widget has asked, by the second every one has its place.
    """
    async with asyncio.timeout(limit_s):
        while not holds():
            await pilot.pause(0.01)
        await pilot.pause(0)
        await pilot.pause(0)
