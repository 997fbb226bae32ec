"""Plugins by entry point: what installed packages offer, listed without importing, loaded one at a time.

A group is an entry-point group such as ``chatglm_slim.loaders``; our own plugins come through the same door as those of
others. What a plugin has to look like is the business of whoever asks for its group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import Distribution, EntryPoint, distributions

from chatglm_slim_llm.errors import PluginLoadError, PluginNotFoundError

_OURS = "chatglm-slim-llm"


@dataclass(frozen=True)
class PluginSpec:
    """Where a plugin is, before anything of it was imported."""

    group: str
    name: str
    target: str
    """``package.module:attribute``"""
    distribution: str
    """Name of the installed package that offers it."""

    def load(self) -> object:
        """Import the plugin's module and give what its target names.

        Raises:
            PluginLoadError: that failed, in whatever way; the cause is chained.
        """
        try:
            return EntryPoint(self.name, self.target, self.group).load()
        except (Exception, SystemExit) as error:  # the code of others may do anything when it is imported
            raise PluginLoadError(
                f"plugin {self.name!r} ({self.group}) cannot be loaded: {self.target}: {type(error).__name__}: {error};"
                f" update, repair or uninstall the package {self.distribution}",
                name=self.name,
            ) from error


def plugins(group: str) -> dict[str, PluginSpec]:
    """The plugins of a group by name, in the order of their names; nothing of them is imported.

    Where two packages offer the same name, a package of others comes before ours, so that a person can replace what we
    ship, and the others come in the order of their names.
    """
    found = sorted(_specs(group), key=lambda spec: (spec.name, spec.distribution == _OURS, spec.distribution))
    first: dict[str, PluginSpec] = {}
    for spec in found:
        first.setdefault(spec.name, spec)
    return first


def plugin(group: str, name: str) -> PluginSpec:
    """The plugin of this name.

    Raises:
        PluginNotFoundError: there is none.
    """
    known = plugins(group)
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(known) or 'none'}"
    raise PluginNotFoundError(f"no plugin {name!r} in {group}{hint}", name=name, known=tuple(known))


def _specs(group: str) -> Iterator[PluginSpec]:
    seen = set()
    for distribution in distributions():
        entries = _entries(distribution, group)
        if not entries:  # asking for the name parses a file, so only those that matter are asked
            continue
        name = re.sub(r"[-_.]+", "-", distribution.name or "unknown").lower()
        if name in seen:  # an import would find the earlier one on the path, too
            continue
        seen.add(name)
        for entry in entries:
            yield PluginSpec(group, entry.name, entry.value, name)


def _entries(distribution: Distribution, group: str) -> list[EntryPoint]:
    try:
        return [entry for entry in distribution.entry_points if entry.group == group]
    except Exception:  # a half-removed or broken package must not hide the plugins of the others
        return []
