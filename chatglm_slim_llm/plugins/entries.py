"""What installed packages offer, by their entry points; nothing of theirs is imported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatglm_slim_llm.plugins.spec import GROUPS

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

OURS = "chatglm-slim-llm"
_PREFIX = "chatglm_slim."
_OURS = "chatglm_slim_llm."


@dataclass(frozen=True)
class Offer:
    """A plugin that an installed package offers."""

    group: str
    name: str
    target: str
    distribution: str


def find_offers() -> tuple[list[Offer], list[str]]:
    """All offers, and a sentence for each package whose entry points cannot be read."""
    from importlib.metadata import distributions  # 25 ms, and every command imports this module

    offers: list[Offer] = []
    problems: list[str] = []
    seen = set()
    for distribution in distributions():
        try:
            entries = list(_entries(distribution))
            name = normalized(distribution.name or "unknown") if entries else ""  # which parses a file
        except Exception as error:  # a half-removed or broken package must not hide the plugins of the others
            problems.append(f"the entry points of {_place(distribution)} cannot be read ({error}); install it again")
            continue
        if name == OURS and not all(entry.value.startswith(_OURS) for entry in entries):
            what = f"{_place(distribution)} calls itself {OURS}, but is not; it is left out, as ours are on unasked"
            problems.append(f"{what}; remove it")
            continue
        if entries and name not in seen:  # an import would find the earlier one on the path, too
            offers += (_offer(entry, name) for entry in entries)
        seen.add(name)
    return sorted(offers, key=lambda offer: (offer.group, offer.name, offer.distribution)), problems


def normalized(distribution: str) -> str:
    """A package's name as it is compared: people and tools write it in several ways."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _offer(entry: EntryPoint, distribution: str) -> Offer:
    target = entry.value.partition("[")[0].strip()  # behind it stands what else is to be installed
    return Offer(entry.group.removeprefix(_PREFIX), entry.name, target, distribution)


def _entries(distribution: Distribution) -> Iterator[EntryPoint]:
    text = distribution.read_text("entry_points.txt")
    if text and _PREFIX in text:  # most packages have none of ours, and parsing them all takes longest
        yield from (entry for entry in distribution.entry_points if entry.group.removeprefix(_PREFIX) in GROUPS)


def _place(distribution: Distribution) -> str:
    return str(getattr(distribution, "_path", None) or "a package")
