"""Every key of the program has an id and a tooltip; the user's keys are checked, and collisions told."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import walk_packages

import pytest
from textual.binding import Binding

import tui
from tui import keys

KNOWN = {action.id: action for action in keys.actions()}


def classes_with_bindings():
    for module in walk_packages(tui.__path__, "tui."):
        for value in vars(import_module(module.name)).values():
            if inspect.isclass(value) and value.__module__ == module.name and "BINDINGS" in vars(value):
                yield value


def test_every_binding_has_an_id_a_description_and_a_tooltip():
    for owner in classes_with_bindings():
        for binding in vars(owner)["BINDINGS"]:
            assert isinstance(binding, Binding), f"{owner.__name__}: {binding}"
            assert binding.id, f"{owner.__name__}: {binding.key}"
            assert "." in binding.id, binding.id
            assert binding.tooltip, binding.id


def test_an_id_belongs_to_one_class():
    owners: dict[str, set[str]] = {}
    for owner in classes_with_bindings():
        for binding in vars(owner)["BINDINGS"]:
            owners.setdefault(binding.id, set()).add(owner.__name__)
    assert not {name: of for name, of in owners.items() if len(of) > 1}


def test_every_key_that_comes_with_the_program_is_one():
    assert not [keys.problem(action, action.keys) for action in KNOWN.values() if keys.problem(action, action.keys)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"app.quit": "ctr+q"}, "“ctr+q” of app.quit is not a key"),
        ({"app.quit": "quitkey"}, "“quitkey” of app.quit is not a key"),
        ({"app.quit": "q"}, "could not be typed any more"),
        ({"app.qit": "f10"}, "nothing has the id “app.qit”; did you mean “app.quit”?"),
    ],
)
def test_what_cannot_be_used_is_told(given, told):
    (name, text), *_ = given.items()
    assert told in keys._problem(name, text, KNOWN)


@pytest.mark.parametrize(
    "text", ["f10", "ctrl+alt+q", "alt+enter,f5", "ctrl+[", "ctrl+left_square_bracket", "shift+up"]
)
def test_keys_that_can_be_pressed_are_taken(text):
    assert keys.problem(KNOWN["app.quit"], text) == ""


def test_a_key_for_two_things_at_once_is_told_by_their_names():
    (told,) = keys.conflicts(KNOWN.values(), {"app.quit": "ctrl+n"})
    assert told.startswith("Ctrl+N is the key of both “")
    assert KNOWN["app.quit"].name in told
    assert KNOWN["chat.new"].name in told


def test_exchanging_two_keys_collides_with_nothing():
    assert keys.conflicts(KNOWN.values(), {"app.quit": "ctrl+n", "chat.new": "ctrl+q"}) == ()


@pytest.mark.parametrize("given", [{"app.help": "f1"}, {"app.help": "f1,f10"}, {"help.close": "f1"}])
def test_a_key_that_two_things_share_as_it_comes_is_no_conflict(given):
    assert keys.conflicts(KNOWN.values(), given) == ()


def test_of_one_action_only_its_own_conflicts_are_told():
    chosen = {"app.quit": "ctrl+n", "app.jump": "f9"}
    assert keys.conflicts(KNOWN.values(), chosen, of="app.jump") == ()
    assert len(keys.conflicts(KNOWN.values(), chosen, of="chat.new")) == 1


def test_what_is_never_there_together_may_share_a_key():
    assert keys.conflicts(KNOWN.values(), {"help.close": "y"}) == ()


@pytest.mark.parametrize(
    ("text", "long", "short"),
    [
        ("ctrl+n", "Ctrl+N", "^N"),
        ("f1", "F1", "F1"),
        ("escape", "Esc", "Esc"),
        ("[", "[", "["),
        ("left_square_bracket", "[", "["),
        ("alt+enter", "Alt+Enter", "Alt+Enter"),
        ("ctrl+pageup", "Ctrl+PgUp", "Ctrl+PgUp"),
        ("up", "↑", "↑"),
        ("n", "n", "n"),
    ],
)
def test_keys_are_written_as_people_read_them(text, long, short):
    assert keys.shown(text) == long
    assert keys.short(text) == short


def test_several_keys_are_written_with_strokes():
    assert keys.shown("ctrl+j, alt+enter,/") == "Ctrl+J / Alt+Enter / /"
