"""What a test's own Python program begins with."""

from __future__ import annotations

LIGHT = "import atexit, gc; gc.set_threshold(10_000); atexit.register(gc.freeze)\n"
"""For one that imports torch: the million objects that stay are not looked through again and again, nor at its end."""
