"""Which key does what: each binding by its id, the keys that the user gave it, and how a key is written.

A binding's id is the name under ``[keys]`` in ``settings.toml``; its value is one key or several with commas.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.keys import REPLACED_KEYS, Keys, format_key, key_to_character
from textual.screen import Screen

import tui
from tui.language import tr

_MODIFIERS = ("ctrl", "alt", "shift", "super", "hyper", "meta")
_SPELLED = {
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "escape": "Esc",
    "delete": "Del",
    "backspace": "Backspace",
    "enter": "Enter",
    "space": "Space",
}


@dataclass(frozen=True)
class Action:
    """Something that keys are bound to."""

    id: str
    keys: str
    """The keys with commas, as :class:`textual.binding.Binding` takes them."""
    description: str
    tooltip: str
    priority: bool
    owner: type[Any]
    """The widget, screen or app that does it."""

    @property
    def name(self) -> str:
        """What it is called, in the language in use."""
        return tr(self.tooltip or self.description)


@cache
def actions() -> tuple[Action, ...]:
    """Every binding of the program; imports all its screens."""
    found = {}
    for owner in _owners():
        for binding in vars(owner)["BINDINGS"]:
            if isinstance(binding, Binding) and binding.id:
                found[binding.id] = Action(
                    binding.id, binding.key, binding.description, binding.tooltip, binding.priority, owner
                )
    return tuple(sorted(found.values(), key=lambda action: action.id))


def _owners() -> Iterator[type[Any]]:
    for module in walk_packages(tui.__path__, "tui."):
        if module.name.startswith("tui.serve."):  # no screens there, and it needs an extra
            continue
        for owner in vars(import_module(module.name)).values():
            if inspect.isclass(owner) and owner.__module__ == module.name and "BINDINGS" in vars(owner):
                yield owner


def apply(app: App[Any], keys: Mapping[str, str]) -> tuple[str, ...]:
    """Give the app these keys; returns what cannot be used or collides, one sentence each."""
    if not keys:  # the usual case, which must not import every screen
        app.set_keymap({})
        return ()
    known = {action.id: action for action in actions()}
    problems = {binding: _problem(binding, given, known) for binding, given in keys.items()}
    usable = {binding: given for binding, given in keys.items() if not problems[binding]}
    app.set_keymap(usable)
    return (*filter(None, problems.values()), *conflicts(known.values(), usable))


def conflicts(known: Iterable[Action], keys: Mapping[str, str], of: str = "") -> tuple[str, ...]:
    """The keys that the user's choice gives to two things that can be wanted at the same time.

    Args:
        known: what keys are bound to.
        keys: what the user has chosen, by the id of the action.
        of: the id of the only action whose keys are asked about; by default all that are chosen.
    """
    usual = {action.id: action for action in known}
    now = [replace(action, keys=keys.get(action.id, action.keys)) for action in usual.values()]
    chosen = [action for action in now if (action.id == of if of else action.id in keys)]
    pairs = {
        frozenset((a.id, b.id)): (a, b)
        for a in chosen
        for b in now
        if a.id != b.id and _meet(a, b) and not _common(usual[a.id], usual[b.id])  # those may share: F1 closes the help
    }
    return tuple(
        tr(
            "{key} is the key of both “{one}” and “{other}”; give one of them another",
            key=shown(key),
            one=a.name,
            other=b.name,
        )
        for a, b in pairs.values()
        for key in sorted(_common(a, b))
    )


def _common(a: Action, b: Action) -> set[str]:
    return set(each(a.keys)) & set(each(b.keys))


def problem(action: Action, keys: str) -> str:
    """Why these keys cannot be the action's; empty if they can."""
    return _problem(action.id, keys, {action.id: action})


def _problem(binding: str, keys: str, known: Mapping[str, Action]) -> str:
    if binding not in known:
        near = difflib.get_close_matches(binding, known, 1)
        hint = tr("; did you mean “{name}”?", name=near[0]) if near else ""
        return tr("keys: nothing has the id “{name}”", name=binding) + hint
    for key in each(keys):
        if not _is_key(key):
            return tr("“{key}” of {name} is not a key; write it like ctrl+n, alt+enter or f5", key=key, name=binding)
        if known[binding].priority and _character(key):
            return tr("“{key}” of {name} could not be typed any more; add ctrl or alt", key=key, name=binding)
    return ""


def each(keys: str) -> tuple[str, ...]:
    """The keys of a list with commas, in the long form: ``[`` is ``left_square_bracket``."""
    from textual.keys import _normalize_key_list

    return tuple(key for key in _normalize_key_list(keys).split(",") if key)


def shown(keys: str) -> str:
    """Keys as a person reads them: ``Ctrl+N / F5``."""
    return " / ".join(_shown(key) for key in each(keys))


def short(key: str) -> str:
    """A key in as few cells as can be: ``^n``."""
    *modifiers, name = key.split("+")
    spelled = _spelled(name)
    if modifiers == ["ctrl"] and len(spelled) == 1:
        return f"^{spelled.upper()}"
    return _shown(key)


def _shown(key: str) -> str:
    *modifiers, name = key.split("+")
    spelled = _spelled(name)
    if modifiers and len(spelled) == 1:
        spelled = spelled.upper()
    return "+".join([*(modifier.capitalize() for modifier in modifiers), spelled])


def _spelled(name: str) -> str:
    if name in _SPELLED:
        return _SPELLED[name]
    written = format_key(name)
    return written if len(written) == 1 else written.capitalize()


def _is_key(key: str) -> bool:
    *modifiers, name = key.split("+")
    known = {value.rpartition("+")[2] for value in (key.value for key in Keys)}
    return set(modifiers) <= set(_MODIFIERS) and (name in known or _character(name) != "")


def _character(key: str) -> str:
    """What a key types; empty for one that does something else."""
    character = key_to_character(REPLACED_KEYS.get(key, key)) or ""
    return character if character.isprintable() and character != " " else ""


def _meet(a: Action, b: Action) -> bool:
    """Whether a key of both would be pressed for the one and could do the other."""
    if a.owner is b.owner:
        return True
    if any(action.priority and issubclass(action.owner, App) for action in (a, b)):
        return True
    return {_place(a.owner), _place(b.owner)} in ({"app", "chat"}, {"app", "widget"}, {"chat", "widget"})


def _place(owner: type[Any]) -> str:
    """Bindings of the app and of the chat hold wherever one of its widgets is focused; dialogs are apart."""
    if issubclass(owner, App):
        return "app"
    if issubclass(owner, Screen):
        return "chat" if owner.__name__ == "ChatScreen" else "dialog"
    return "widget" if owner.__module__.startswith("tui.widgets.") else "dialog"
