"""Options and texts as they may be shown: what is secret by its name, its form or its place in an address is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite

_SECRET_NAME = re.compile(r"(?<!MAX_)TOKEN|KEY|SECRET|PASS(?!AGE)|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")
_PARAMETER = re.compile(r"(?<=[?&])([^=&\s]*(?:token|key|secret|pass|auth|sig)[^=&\s]*)=[^&\s'\"]*", re.IGNORECASE)
_TOKEN = re.compile(r"\b(?:hf_|sk-|ghp_|gho_|github_pat_|glpat-|xox[abp]-)[\w-]{8,}")
HIDDEN = "(hidden)"


def hide(text: str) -> str:
    """A text without what is secret by its form: logins and parameters of addresses, tokens of known services."""
    return _TOKEN.sub(HIDDEN, _PARAMETER.sub(rf"\1={HIDDEN}", _LOGIN.sub("…@", text)))


def shown(options: object, name: str = "") -> object:
    """Options without their secrets, at any depth, as JSON takes them."""
    if name and _SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(options, Mapping):
        inside = ("headers", "env")  # whole tables of secrets, by whatever name
        return {
            key: HIDDEN if name.lower() in inside and isinstance(value, str) else shown(value, str(key))
            for key, value in options.items()
        }
    if isinstance(options, list | tuple):
        before = ["", *map(str, options)]  # what follows --token is one
        return [shown(each, name if name.startswith("-") else "") for name, each in zip(before, options, strict=False)]
    is_plain = options is None or isinstance(options, int) or (isinstance(options, float) and isfinite(options))
    return options if is_plain else hide(str(options))  # JSON has no dates, no nan and no inf
