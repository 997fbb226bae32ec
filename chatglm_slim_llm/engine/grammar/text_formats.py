"""What ``format`` asks of a string, as patterns: part of what the standards allow, and never more."""

from __future__ import annotations

_DAY = (
    r"[12]\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    r"|02-(?:0[1-9]|1\d|2[0-8]))|(?:[12]\d(?:0[48]|[2468][048]|[13579][26])|1[26]00|2[048]00)-02-29"
)
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-3]):[0-5]\d)"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
_TOP_LEVEL = "[A-Za-z]{2,12}"
_HOST = rf"(?:{_LABEL}\.){{1,4}}{_TOP_LEVEL}"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PATH = "[A-Za-z0-9._~!$&'()*+,;=:@-]"
_CLOCK = r"T(?:\d{1,3}H(?:\d{1,3}M)?(?:\d{1,3}S)?|\d{1,3}M(?:\d{1,3}S)?|\d{1,3}S)"
_URI = rf"https?://{_HOST}(?::[1-9]\d{{0,3}})?(?:/{_PATH}*)*(?:\?(?:{_PATH}|[/?])*)?(?:#(?:{_PATH}|[/?])*)?"


def _uuid(version: str) -> str:
    return rf"[0-9a-f]{{8}}-[0-9a-f]{{4}}-{version}[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}"


PATTERNS = {
    "date": _DAY,
    "time": _TIME,
    "date-time": f"(?:{_DAY})T{_TIME}",
    "duration": rf"P(?:\d{{1,3}}W|\d{{1,4}}D|(?:\d{{1,4}}D)?{_CLOCK})",
    "email": rf"[A-Za-z0-9]{{1,20}}(?:[._+-][A-Za-z0-9]{{1,20}}){{0,3}}@{_HOST}",
    "hostname": rf"(?:{_LABEL}\.){{0,4}}{_TOP_LEVEL}",
    "ipv4": rf"{_BYTE}(?:\.{_BYTE}){{3}}",
    "ipv6": "[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7}|(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,4})?::[0-9a-f]{1,4}",
    "uri": _URI,
    "uuid": _uuid("[1-8]"),
    "base64": "(?:[A-Za-z0-9+/]{4}){0,64}(?:[A-Za-z0-9+/]{2}==)?",
    "base64url": "(?:[A-Za-z0-9_-]{4}){0,64}(?:[A-Za-z0-9_-]{2}==)?",
    **{f"uuid{version}": _uuid(str(version)) for version in (1, 3, 4, 5, 6, 7, 8)},
}
PATTERNS |= {
    "idn-email": PATTERNS["email"],
    "idn-hostname": PATTERNS["hostname"],
    "iri": _URI,
    "uri-reference": _URI,
    "iri-reference": _URI,
    "ipvanyaddress": PATTERNS["ipv4"],
}

WITHOUT_MEANING = frozenset(
    ("password", "path", "file-path", "binary", "int32", "int64", "float", "double", "decimal", "textarea", "string")
)
"""Formats that say how a value is shown or stored, and that every value of the type has."""
