"""Under which licence an installed package stands, as an SPDX expression, and whether we accept that.

The package's own words are used: the expression of its metadata, else its licence field, else its classifier. Where
these say too little, `_LOOKED_UP` has what was read in the package, and where.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import Distribution

from license_expression import BaseSymbol, ExpressionError, LicenseExpression, get_spdx_licensing
from packaging.utils import canonicalize_name

PERMISSIVE = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "HPND", "ISC"),
        *("MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Unlicense", "Zlib"),
    }
)
WEAK_COPYLEFT = frozenset({"LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"})
"""Their terms hold for the package's own files, which we neither change nor ship."""

_SPELLINGS = {
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
_LOOKED_UP = {
    "cpm-kernels": "Apache-2.0",  # LICENSE of github.com/OpenBMB/cpm_kernels
    "click-default-group": "BSD-3-Clause",  # its licence file, as for the next four
    "jinja2": "BSD-3-Clause",
    "mpmath": "BSD-3-Clause",
    "pyperclip": "BSD-3-Clause",
    "sympy": "BSD-3-Clause",
    "pypdfium2": "BSD-3-Clause AND Apache-2.0",  # PDFium's own parts are listed in its wheel
    "python-dateutil": "Apache-2.0 AND BSD-3-Clause",  # newer and older parts
}
_SPDX = get_spdx_licensing()


def licence_of(distribution: Distribution) -> str:
    """The SPDX expression of an installed package.

    Raises:
        ValueError: its metadata do not tell.
    """
    metadata = distribution.metadata
    name = canonicalize_name(metadata["Name"])
    own = [metadata["License-Expression"], _LOOKED_UP.get(name), metadata["License"]]
    classifiers = metadata.get_all("Classifier") or []
    words = [*own, *(line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::"))]
    for word in words:
        if word and (expression := spdx(word)):
            return expression
    raise ValueError(f"{name} does not say its licence in words that SPDX knows; look it up and note it in {__file__}")


def licence_of_absent(name: str) -> str:
    """The SPDX expression of a package that cannot be installed here.

    Raises:
        ValueError: nobody has looked it up yet.
    """
    if name not in _LOOKED_UP:
        raise ValueError(f"{name} is not installed; install it, or note its licence in {__file__}")
    return _LOOKED_UP[name]


def spdx(word: str) -> str | None:
    """A licence's name or an expression in SPDX's words; None if it says nothing to SPDX."""
    try:
        parsed = _SPDX.parse(_SPELLINGS.get(word.strip().lower(), word), validate=True)
    except ExpressionError:
        return None
    return None if parsed is None else str(parsed)


def is_accepted(expression: str) -> bool:
    """Whether the whole of an expression can be had under licences that are permissive or weak copyleft."""
    parsed = _SPDX.parse(expression)
    return parsed is not None and _holds(parsed)


def _holds(part: LicenseExpression) -> bool:
    if isinstance(part, BaseSymbol):  # "A WITH exception" is one too, and grants more than A
        return str(part).partition(" WITH ")[0] in PERMISSIVE | WEAK_COPYLEFT
    parts: Sequence[LicenseExpression] = part.args
    return any(map(_holds, parts)) if isinstance(part, _SPDX.OR) else all(map(_holds, parts))
