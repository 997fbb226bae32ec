"""Values of somebody else's JSON, taken with their types checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chatglm_slim_llm.storage.exchange.json_stream import MalformedError

_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Fields:
    """An object of a file that promises to keep to a format: what does not is an error that says where it stands."""

    values: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, value: object, where: str) -> Fields:
        """The fields of ``value``, which must be an object."""
        if not isinstance(value, dict):
            raise MalformedError(f"{where} is no object but {_kind(value)}")
        return cls(value, where)

    def text(self, key: str, default: str | None = None) -> str:
        """A text; an error if it is missing and there is no default."""
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a text")
        return value

    def maybe_text(self, key: str) -> str | None:
        """A text or nothing."""
        return None if self.values.get(key) is None else self.text(key)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of a few words."""
        value = self.text(key)
        if value not in choices:
            raise self._wrong(key, f"one of {', '.join(choices)}")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false if it is missing."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def integer(self, key: str) -> int | None:
        """A whole number or nothing."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MAX_INTEGER:
            raise self._wrong(key, "a whole number")
        return value

    def number(self, key: str) -> float | None:
        """A number or nothing."""
        value = self.values.get(key)
        if value is None:
            return None
        if not is_number(value):
            raise self._wrong(key, "a number")
        return float(value)

    def moment(self, key: str) -> datetime:
        """A point in time, as ISO 8601 writes it, with its zone."""
        found = self.maybe_moment(key)
        if found is None:
            raise self._wrong(key, "a point in time")
        return found

    def maybe_moment(self, key: str) -> datetime | None:
        """A point in time or nothing."""
        if self.values.get(key) is None:
            return None
        found = moment_of(self.text(key))
        if found is None:
            raise self._wrong(key, "a point in time such as 2026-01-31T12:00:00+00:00")
        return found

    def list(self, key: str) -> list[Fields]:
        """A list of objects; empty if it is missing."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return [Fields.of(item, f"{self.where}.{key}[{place}]") for place, item in enumerate(value)]

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty if it is missing."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "a list of texts")
        return tuple(value)

    def object(self, key: str) -> Fields | None:
        """An object or nothing."""
        value = self.values.get(key)
        return None if value is None else Fields.of(value, f"{self.where}.{key}")

    def _wrong(self, key: str, wanted: str) -> MalformedError:
        found = _kind(self.values[key]) if key in self.values else "missing"
        return MalformedError(f"{self.where}.{key} is {found} and not {wanted}")


def moment_of(value: object) -> datetime | None:
    """A time as seconds since 1970 or as ISO 8601 writes it, UTC where it names no zone; ``None`` for anything else."""
    if is_number(value):
        found = datetime.fromtimestamp(value, UTC) if 0 <= value < _LATEST.timestamp() else None  # type: ignore[operator,arg-type]
    elif isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
            found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None
    else:
        return None
    return found if found is not None and datetime(1970, 1, 1, tzinfo=UTC) <= found < _LATEST else None


def is_number(value: object) -> bool:
    """Whether this is a number that a database can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) <= _MAX_INTEGER


def _kind(value: object) -> str:
    return {dict: "an object", list: "a list", str: f"{str(value)[:40]!r}", type(None): "null"}.get(
        type(value), str(value)[:40]
    )
