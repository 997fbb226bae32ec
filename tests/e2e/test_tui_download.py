"""The download dialog: it asks, shows how far it is, and stops."""

from __future__ import annotations

import pytest
from dialogs import VIEWS, showing
from textual.widgets import ProgressBar

from chatglm_slim_llm.config import DEFAULT_HUB_ID
from chatglm_slim_llm.hosting.amounts import Pace, size_text
from tui.amounts import time_text
from tui.language import use
from tui.screens.download import Download, progress_text


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


async def test_nothing_is_fetched_before_someone_says_so():
    answers: list[bool] = []
    async with showing(Download(DEFAULT_HUB_ID, answers.append)) as shown:
        assert DEFAULT_HUB_ID in shown.text
        assert "https://huggingface.co" in shown.text
        assert "about 13.0 GB" in shown.text
        assert "Nothing is downloaded before you say so." in shown.words
        assert answers == []
        await shown.press("enter")  # the harmless button has the focus
        assert answers == [False]
        assert shown.results == [None]


async def test_a_mirror_is_named_and_an_unknown_size_is_not_guessed(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    async with showing(Download("owner/[b]name", lambda _: None)) as shown:
        assert "https://mirror.example" in shown.text
        assert "owner/[b]name" in shown.text
        assert "GB" not in shown.text.partition("Size")[2]


async def test_a_download_shows_size_speed_and_time_left_and_may_be_stopped():
    answers: list[bool] = []
    download = Download(DEFAULT_HUB_ID, answers.append)
    async with showing(download) as shown:
        await shown.press("y", "y")
        assert answers == [True]
        now_s = [0.0]
        download._pace = Pace(lambda: now_s[0])
        download.show_progress("downloading", 3_000_000_000, 12_400_000_000)
        now_s[0] = 10.0
        download.show_progress("downloading", 3_082_000_000, 12_400_000_000)
        await shown.pilot.pause()
        assert "3.1 GB of 12.4 GB · 8.2 MB/s · 19 min left" in shown.words
        assert shown.screen.query_one(ProgressBar).percentage == pytest.approx(3.082 / 12.4)
        download.show_progress("reading six-b", 1, 2)
        await shown.pilot.pause()
        assert "Downloaded and verified" in shown.words
        await shown.press("escape")
        assert answers == [True, False]
        assert shown.results == [None]


async def test_a_download_goes_on_in_the_background_and_can_be_looked_at_again():
    answers: list[bool] = []
    async with showing(Download("owner/name", answers.append)) as shown:
        await shown.press("y")
        await shown.until(lambda: shown.screen.query_one("#hide").has_focus)
        await shown.press("enter")
        assert (answers, shown.results) == ([True], [None])
    async with showing(Download("owner/name", answers.append, is_fetching=True)) as shown:
        assert "before you say so" not in shown.words
        await shown.press("n")
        assert answers == [True, False]


@pytest.mark.parametrize(("size", "language"), VIEWS)
async def test_the_question_is_of_use_in_every_size_and_language(size, language):
    use(language)
    try:
        async with showing(Download(DEFAULT_HUB_ID, lambda _: None), size=size) as shown:
            if size != (20, 5):
                assert {"en": "Download", "zh": "未经您确认，不会下载任何内容。"}[language] in shown.text
            await shown.press("y")
            shown.screen.show_progress("checking", 5, 10)
            await shown.press("escape")
            assert shown.results == [None]
    finally:
        use("en")


def test_the_stage_is_named_while_it_is_not_a_download():
    assert progress_text("checking", 5, 10, 0.0) == "Checking what has arrived · 5 B of 10 B"
    assert progress_text("downloading", 0, 0, 0.0) == ""


def test_speed_is_that_of_the_last_seconds_and_what_was_there_does_not_count():
    now_s = [0.0]
    pace = Pace(lambda: now_s[0])
    assert pace.per_s("downloading", 5_000) == 0.0
    now_s[0] = 10.0
    assert pace.per_s("downloading", 6_000) == 100.0
    now_s[0] = 19.0  # the first sample is too old now
    assert pace.per_s("downloading", 9_600) == 400.0
    assert pace.per_s("checking", 1) == 0.0


def test_sizes_and_times_read_as_people_say_them():
    assert [size_text(n) for n in (870, 2_700_000, 13_400_000_000, 150e9)] == ["870 B", "2.7 MB", "13.4 GB", "150 GB"]
    assert [time_text(s) for s in (0.2, 42, 1140, 7800)] == ["1 s", "42 s", "19 min", "2 h 10 min"]
