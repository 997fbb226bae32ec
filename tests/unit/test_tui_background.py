"""Work beside the screen: what comes of it arrives, whatever it is."""

from __future__ import annotations

import threading

import pytest
from textual.app import App

from chatglm_slim_llm.errors import StorageError
from tui.background import in_background


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StorageError("history.db is damaged; move it away"), "history.db is damaged; move it away"),
        (ModuleNotFoundError("No module named 'filelock'"), "No module named 'filelock'"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
async def test_an_error_of_any_kind_is_told(error, reason):
    def work():
        raise error

    told = []
    async with App().run_test() as pilot:
        in_background(pilot.app, work, told.append, lambda text: told.append(("failed", text)))
        while not told:
            await pilot.pause(0.01)
    assert told == [("failed", reason)]


async def test_a_result_is_handed_over_in_the_thread_of_the_screen():
    arrived = []
    async with App().run_test() as pilot:
        in_background(
            pilot.app, threading.get_ident, lambda worker: arrived.append((worker, threading.get_ident())), pytest.fail
        )
        while not arrived:
            await pilot.pause(0.01)
    ((worker, screen),) = arrived
    assert screen == threading.get_ident() != worker


async def test_what_is_done_too_late_disturbs_nobody():
    may_end = threading.Event()
    async with App().run_test() as pilot:
        before = threading.active_count()
        in_background(pilot.app, may_end.wait, pytest.fail, pytest.fail)
    may_end.set()
    while threading.active_count() > before:
        pass
