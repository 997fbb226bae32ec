"""Keys and pastes out of what a terminal sends."""

from __future__ import annotations

import pytest
from textual.app import App
from textual.drivers import linux_driver
from textual.events import Key, Paste

from tui.widgets.prompt_input import PromptParser, read_pastes_whole


def read(*pieces: str) -> list[str]:
    parser = PromptParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [
        event.text if isinstance(event, Paste) else f"<{event.key}>"
        for event in events
        if isinstance(event, Key | Paste)
    ]


PASTE = "\x1b[200~one\rtwo \x1b[31mred\x1b\r long enough that it cannot be a key\x1b[201~"


def test_a_paste_is_one_piece_whatever_it_holds():
    assert read(f"a{PASTE}\r") == ["<a>", PASTE[6:-6], "<enter>"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11])
def test_a_paste_may_come_in_any_number_of_parts(size):
    sent = f"a{PASTE}{PASTE}\x1b[Ab\r"
    assert read(*(sent[start : start + size] for start in range(0, len(sent), size))) == [
        "<a>",
        PASTE[6:-6],
        PASTE[6:-6],
        "<up>",
        "<b>",
        "<enter>",
    ]


def test_an_empty_paste_is_one_and_what_never_ends_is_none():
    assert read("\x1b[200~\x1b[201~x", "\x1b[200~never ends") == ["", "<x>"]


def test_alt_and_enter_are_a_key_of_their_own():
    assert read("\x1b\r", "\r", "\x1b[13;3u", "\n") == ["<alt+enter>", "<enter>", "<alt+enter>", "<ctrl+j>"]


def test_the_driver_of_an_app_reads_with_it(monkeypatch):
    monkeypatch.setattr(linux_driver, "XTermParser", linux_driver.XTermParser)
    app = App(driver_class=linux_driver.LinuxDriver)
    read_pastes_whole(app)
    assert linux_driver.XTermParser is PromptParser
