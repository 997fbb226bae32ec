"""Options as they may be shown: what is secret by its name, or the login of an address, is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite

_SECRET_NAME = re.compile(r"(?<!MAX_)TOKEN|KEY|SECRET|PASS(?!AGE)|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")
_HIDDEN = "(hidden)"


def shown(options: object, name: str = "") -> object:
    """Options without their secrets, at any depth, as JSON takes them."""
    if name and _SECRET_NAME.search(name):
        return _HIDDEN
    if isinstance(options, Mapping):
        inside = ("headers", "env")  # whole tables of secrets, by whatever name
        return {
            key: _HIDDEN if name.lower() in inside and isinstance(value, str) else shown(value, str(key))
            for key, value in options.items()
        }
    if isinstance(options, list | tuple):
        return [shown(each) for each in options]
    is_plain = options is None or isinstance(options, int) or (isinstance(options, float) and isfinite(options))
    return options if is_plain else _LOGIN.sub("", str(options))  # JSON has no dates, no nan and no inf
