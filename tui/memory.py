"""When garbage is looked for: what a long chat holds is set aside, as a look through it takes a tenth of a second."""

from __future__ import annotations

import gc

_THRESHOLDS = (2_000, 10, 20)
"""A change of the screen makes thousands of objects that live on, or die at once: Python's 700 would find little."""

_is_ours = False
"""Whether what is set aside was set aside here."""


def set_aside() -> None:
    """Look through all that there is once, now that nobody waits, and no more through what is left of it.

    It is set aside anew whenever another chat is opened, so nothing that is given up stays for long. Where a program
    around the terminal has set its own aside, that stays as it is.
    """
    global _is_ours
    if _is_anothers():
        return
    _is_ours = True
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def keep_new() -> None:
    """All that is new goes to what is old without being looked through; what was set aside goes there with it."""
    if not _is_anothers():
        gc.freeze()
        gc.unfreeze()


def _is_anothers() -> bool:
    return gc.get_freeze_count() > 0 and not _is_ours
