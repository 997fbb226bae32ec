from __future__ import annotations

import io

import pytest

from chatglm_slim_llm.cli.progress import ProgressLine, progress_text, time_text
from chatglm_slim_llm.hosting.amounts import size_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_400, "99.4 kB"),
        (99_600, "100 kB"),
        (2_706_249, "2.7 MB"),
        (999_600_000, "1.0 GB"),
        (13_744_473_856, "13.7 GB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_sizes_read_as_disks_are_sold(size_bytes, text):
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.9, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"),
     (3599.7, "1 h 0 min"), (7800, "2 h 10 min")],
)  # fmt: skip
def test_times_read_as_people_say_them(seconds, text):
    assert time_text(seconds) == text


def test_the_line_has_percent_sizes_speed_and_time_left():
    text = progress_text("downloading", 6_000_000_000, 13_400_000_000, 85e6)
    assert text == "downloading 44 %, 6.0 GB of 13.4 GB, 85.0 MB/s, 1 min 27 s left"


def test_without_a_known_speed_nothing_is_said_about_time():
    assert progress_text("checking", 0, 100, 0.0) == "checking 0 %, 0 B of 100 B"
    assert progress_text("checking", 0, 0, 0.0) == "checking 100 %, 0 B of 0 B"


def test_speed_counts_only_what_came_since_the_start(monkeypatch):
    clock = iter([0.0, 10.0, 11.0, 12.0])
    monkeypatch.setattr("chatglm_slim_llm.cli.progress.time.monotonic", lambda: next(clock))
    terminal = Terminal()
    line = ProgressLine(terminal)
    for done in (5_000_000, 6_000_000, 7_000_000):  # 5 MB were there before
        line("downloading", done, 10_000_000)
    assert terminal.getvalue().endswith("downloading 70 %, 7.0 MB of 10.0 MB, 1.0 MB/s, 3.0 s left")


def test_nothing_is_shown_where_there_is_no_terminal():
    stream = io.StringIO()
    with ProgressLine(stream) as line:
        line("loading", 1, 2)
    assert stream.getvalue() == ""


def test_a_job_that_is_done_at_once_shows_nothing_and_leaves_a_clean_line():
    terminal = Terminal()
    with ProgressLine(terminal) as line:
        line("loading", 1, 2)
        line("loading", 2, 2)
    assert terminal.getvalue() == "\r\x1b[K"


def test_the_line_never_wraps(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    clock = iter([0.0, 10.0])
    monkeypatch.setattr("chatglm_slim_llm.cli.progress.time.monotonic", lambda: next(clock))
    terminal = Terminal()
    ProgressLine(terminal)("downloading", 1_000_000, 10_000_000)
    assert terminal.getvalue() == "\r\x1b[K" + "downloading 10 %, 1.0 MB of 10.0 MB"[:29]
