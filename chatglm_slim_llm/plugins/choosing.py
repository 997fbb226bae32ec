"""Offers and tables together: every plugin there is, whether it is on, and why not."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from importlib.util import find_spec
from itertools import groupby
from operator import attrgetter

from chatglm_slim_llm.errors import PluginLoadError, PluginNotFoundError
from chatglm_slim_llm.plugins.entries import OURS, Offer, find_offers, normalized
from chatglm_slim_llm.plugins.spec import GROUPS, PluginSpec
from chatglm_slim_llm.plugins.tables import Table, Tables, read_tables
from chatglm_slim_llm.plugins.trust import how_to_trust


def plugins(group: str) -> dict[str, PluginSpec]:
    """The plugins of a group that are on, in the order to use them; nothing of them is imported."""
    return {spec.name: spec for spec in catalogue(group) if spec.state == "on"}


def plugin(group: str, name: str) -> PluginSpec:
    """The plugin of this name, which is on.

    Raises:
        PluginNotFoundError: there is none, or nobody has enabled it.
        PluginLoadError: it is there, but broken.
    """
    known = {spec.name: spec for spec in reversed(catalogue(group))}  # of two of a name, the one that is used
    found = known.get(name)
    if found is not None and found.state == "on":
        return found
    if found is not None and found.state == "broken":
        raise PluginLoadError(f"plugin {found.key} ({found.origin}) is broken: {found.reason}", name=name)
    usable = tuple(spec.name for spec in reversed(known.values()) if spec.state == "on")
    if found is not None:
        raise PluginNotFoundError(f"plugin {found.key} is not on: {found.reason}", name=name, known=usable)
    close = get_close_matches(name, usable, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(usable) or 'none'}"
    raise PluginNotFoundError(f"no plugin {name!r} in {group}{hint}", name=name, known=usable)


def catalogue(group: str | None = None) -> list[PluginSpec]:
    """Every plugin, on or not, by group and in the order of use. Of two of a name, the one in use comes first."""
    return survey(group)[0]


def problems() -> list[str]:
    """What is wrong with ``plugins.toml``, and with packages that cannot be asked for their plugins."""
    return survey()[1]


def survey(group: str | None = None) -> tuple[list[PluginSpec], list[str]]:
    """`catalogue` and `problems` from one look at the machine."""
    offers, unreadable = find_offers()
    tables = read_tables()
    wanted = GROUPS if group is None else (group,)
    found = [_checked(spec) for each in wanted for spec in _of_group(each, offers, tables)]
    return found, [*tables.problems, *unreadable]


def _of_group(group: str, offers: Iterable[Offer], tables: Tables) -> list[PluginSpec]:
    own = [offer for offer in offers if offer.group == group]
    by_name = {name: list(same) for name, same in groupby(own, attrgetter("name"))}
    ordered = [name for table_group, name in tables.tables if table_group == group]
    names = dict.fromkeys([*ordered, *by_name])
    return [
        spec
        for name in names
        for spec in _of_name(group, name, by_name.get(name, []), tables.tables.get((group, name)))
    ]


def _of_name(group: str, name: str, offers: Sequence[Offer], table: Table | None) -> list[PluginSpec]:
    """The plugin of this name that is used, then those that stand back for it."""
    if table is not None and table.target is not None:
        spec = _with_table(PluginSpec(group, name, table.target), table, is_foreign=True)
        return [spec, *_standing_back(offers, spec)]
    if table is not None and table.package is not None:
        chosen = [offer for offer in offers if offer.distribution == normalized(table.package)]
    else:
        chosen = [offer for offer in offers if offer.distribution == OURS] or list(offers)
    owners = dict.fromkeys(offer.distribution for offer in chosen)
    if table is not None and len(owners) != 1:
        return [_unclear(group, name, table, list(owners)), *_standing_back(offers, None)]
    first = chosen[0]
    spec = PluginSpec(group, name, first.target, first.distribution)
    used = _with_table(spec, table, is_foreign=first.distribution != OURS)
    return [used, *_standing_back([offer for offer in offers if offer is not first], used)]


def _with_table(spec: PluginSpec, table: Table | None, *, is_foreign: bool) -> PluginSpec:
    """The plugin as its table wants it.

    Args:
        is_foreign: what it would bring in is not ours, or not at our target.
    """
    enable = f"to use it: chatglm-slim plugins enable {spec.word}"
    if table is None:
        reason = f"it comes from the package {spec.distribution} and nobody has enabled it; {enable}"
        return replace(spec, state="new", reason=reason) if is_foreign else spec
    spec = replace(spec, options=table.options or {}, description=table.description or "", file=table.file.absolute())
    if table.complaint:
        return replace(spec, state="broken", reason=f"its table in {table.file} {table.complaint}")
    if table.enabled is False:
        return replace(spec, state="off", reason=f"{table.file} switches it off; {enable}")
    if not table.is_trusted and (is_foreign or table.options):
        how = f"look at it, then: {how_to_trust(table.file)}"
        return replace(spec, state="untrusted", reason=f"{table.file} is of a folder that you have not trusted; {how}")
    return spec


def _standing_back(offers: Iterable[Offer], used: PluginSpec | None) -> list[PluginSpec]:
    by = f"{used.origin} is used for this name" if used else "another package is wanted for this name"
    specs = [PluginSpec(offer.group, offer.name, offer.target, offer.distribution) for offer in offers]
    return [
        replace(
            spec,
            state="new",
            reason=f"{by}; to use this one: chatglm-slim plugins enable {spec.word}"
            f" --package {shlex.quote(spec.distribution)}",
        )
        for spec in specs
    ]


def _unclear(group: str, name: str, table: Table, owners: Sequence[str]) -> PluginSpec:
    """What a table without a target means, if no package offers it, or several do."""
    spec = PluginSpec(group, name, "", table.package or "", description=table.description or "", file=table.file)
    if owners:
        what = f"several packages offer it ({', '.join(owners)})"
        how = f"say whose: chatglm-slim plugins enable {spec.word} --package {shlex.quote(owners[0])}"
    else:
        what = f"the package {table.package} does not offer it" if table.package else "no installed package offers it"
        how = f"install it, or give [{spec.key}] in {table.file} a target"
    if table.complaint:
        return replace(spec, state="broken", reason=f"its table in {table.file} {table.complaint}")
    if table.enabled is False:
        return replace(spec, state="off", reason=f"{table.file} switches it off, and {what}")
    return replace(spec, state="broken", reason=f"{what}; {how}")


def _checked(spec: PluginSpec) -> PluginSpec:
    """Broken, if that shows without importing anything."""
    if spec.state != "on":
        return spec
    if not spec.module or not all(part.isidentifier() for part in spec.attribute.split(".")):
        return _broken(spec, f"its target {spec.target!r} must be package.module:attribute")
    if spec.path is not None:
        is_there = os.path.isfile(spec.path)  # noqa: PTH113  # Path's own raises where a name is too long
        return spec if is_there else _broken(spec, f"{spec.path} is not there")
    return spec if _is_there(spec.module.partition(".")[0]) else _broken(spec, f"there is no module {spec.module}")


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError, AttributeError):  # no name of a module, or one without a spec
        return False


def _broken(spec: PluginSpec, what: str) -> PluginSpec:
    return replace(spec, state="broken", reason=f"{what}; repair it, or: chatglm-slim plugins disable {spec.word}")
