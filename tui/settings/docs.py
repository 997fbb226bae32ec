"""What each setting means, in the words that stand under its field in the code."""

from __future__ import annotations

from dataclasses import fields
from functools import cache

from tui.parameters import PARAMETERS, field_docs
from tui.settings.values import KEYS, Settings

TITLES = {"interface": "Interface", "load": "Model", "sampling": "Sampling", "program": "Program", KEYS: "Keys"}
"""What each group is called."""


_HOW = {"sampling.stop": "Commas separate several; one that holds a comma stands in double quotes."}
"""How some are written into their field."""


@cache
def explanations() -> dict[str, str]:
    """One text for each ``"group.name"``, in English."""
    return {
        f"{group.name}.{name}": f"{text} {_HOW.get(f'{group.name}.{name}', '')}".rstrip()
        for group in fields(Settings)
        if group.name != KEYS
        for name, text in field_docs(type(getattr(Settings(), group.name))).items()
    }


def label(key: str) -> str:
    """What a setting is called, in English; a parameter as in the settings of a chat."""
    group, _, name = key.partition(".")
    if group == "sampling":
        return next(parameter.label for parameter in PARAMETERS if parameter.name == name)
    return key.partition(".")[2].replace("_", " ").capitalize().replace("Kv ", "KV ")
