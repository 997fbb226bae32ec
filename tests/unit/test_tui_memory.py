"""What is open is not looked through for garbage again, and what is given up is found when the next chat is opened."""

from __future__ import annotations

import gc
import weakref

import pytest

from tui.memory import set_aside


class Ring:
    """Only a search for garbage finds it once it is given up."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before():
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_set_aside_is_not_looked_through_and_is_found_when_it_is_given_up_by_the_next_time():
    ring = Ring()
    seen = weakref.ref(ring)
    set_aside()
    del ring
    gc.collect()
    assert seen() is not None
    set_aside()
    assert seen() is None
