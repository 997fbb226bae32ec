"""What is open is not looked through for garbage again, and what is given up is found when the next chat is opened."""

from __future__ import annotations

import gc
import weakref

import pytest

from tui import memory
from tui.memory import keep_new, set_aside


class Ring:
    """Only a search for garbage finds it once it is given up."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    """Nothing is set aside, as in the terminal; the tests' own is again afterwards."""
    monkeypatch.setattr(memory, "_is_ours", False)
    thresholds, count = gc.get_threshold(), gc.get_freeze_count()
    gc.unfreeze()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    if count:
        gc.freeze()


@pytest.mark.long
def test_what_is_set_aside_is_not_looked_through_and_is_found_when_it_is_given_up_by_the_next_time():
    ring = Ring()
    seen = weakref.ref(ring)
    set_aside()
    del ring
    gc.collect()
    assert seen() is not None
    set_aside()
    assert seen() is None


def test_what_a_program_around_the_terminal_has_set_aside_stays_so():
    gc.freeze()
    thresholds = gc.get_threshold()
    ring = Ring()
    seen = weakref.ref(ring)
    set_aside()
    assert gc.get_threshold() == thresholds
    del ring
    gc.collect()
    assert seen() is None


def test_what_is_new_is_no_longer_among_the_young():
    ring = Ring()
    assert any(one is ring for one in gc.get_objects(generation=0))
    keep_new()
    assert any(one is ring for one in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0
