"""Numbers between bounds, as regular expressions over their digits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

_INTEGER_DIGITS = 15
"""As many as a float holds exactly."""
_WHOLE_DIGITS, _DECIMALS = 9, 6
_MOST_DIGITS = 400
_MOST_STEPS = 1000


@dataclass(frozen=True)
class Bound:
    """One end of a range."""

    value: Decimal
    is_exclusive: bool = False


@dataclass(frozen=True)
class Number:
    """Numbers that keep all these conditions."""

    is_integer: bool = False
    low: Bound | None = None
    high: Bound | None = None
    multiple_of: Decimal | None = None

    def holds(self, value: Decimal) -> bool:
        """Whether ``value`` is one of them."""
        with localcontext(prec=_MOST_DIGITS * 2):
            is_whole = value == value.to_integral_value()
            fits = self.multiple_of is None or value % self.multiple_of == 0
        low, high = self.low, self.high
        return (
            fits
            and (is_whole or not self.is_integer)
            and (low is None or value > low.value or (value == low.value and not low.is_exclusive))
            and (high is None or value < high.value or (value == high.value and not high.is_exclusive))
        )

    def shortest(self) -> str | None:
        """The one that is written shortest, or None if there is none."""
        with localcontext(prec=_MOST_DIGITS * 2):
            found = [text for value in self._candidates() if self.holds(value) and (text := _plain(value))]
        return min(found, key=len, default=None)

    def _candidates(self) -> list[Decimal]:
        steps = [self.multiple_of] if self.multiple_of else []
        if not self.multiple_of:
            steps = [Decimal(1).scaleb(-places) for places in range(1 if self.is_integer else self._decimals() + 1)]
        if self.multiple_of and self.is_integer:
            steps = [Decimal(self.multiple_of.as_integer_ratio()[0])]  # the smallest multiple that is whole
        candidates = [Decimal(0)]
        for step in steps:
            for bound, rounding in ((self.low, ROUND_CEILING), (self.high, ROUND_FLOOR)):
                if bound is not None:
                    nearest = (bound.value / step).to_integral_value(rounding) * step
                    candidates += [nearest, nearest + step, nearest - step]
        return candidates

    def _decimals(self) -> int:
        own = max((_decimals(bound.value) for bound in (self.low, self.high) if bound is not None), default=0)
        return own + 1 if own >= _DECIMALS else _DECIMALS

    def expressions(self) -> list[str]:
        """Regular expressions that the text must match, all of them; ``multiple_of`` is left out."""
        low, high = (self._whole(self.low, ROUND_CEILING), self._whole(self.high, ROUND_FLOOR))
        digits = max((len(_parts(bound.value)[0]) for bound in (low, high) if bound is not None), default=0)
        usual = _INTEGER_DIGITS if self.is_integer else _WHOLE_DIGITS
        fraction = "" if self.is_integer else self._fraction()
        shape = rf"(0|[1-9][0-9]{{0,{max(digits, usual) - 1}}}){fraction}"
        zero = r"0(\.0+)?"
        expressions = [shape if low is not None and low.value >= 0 else rf"-?{shape}"]
        if low is not None:
            expressions.append(_at_least(low))
        if high is not None:
            expressions.append(_at_most(high))
        return [*expressions, f"~-{zero}"] if low is None or low.value < 0 else expressions

    def _fraction(self) -> str:
        """What may follow the digits before the point."""
        if self.multiple_of is None:
            return rf"(\.[0-9]{{1,{self._decimals()}}})?"
        places = _decimals(self.multiple_of)
        step = int(self.multiple_of.scaleb(places))
        if step == 1:
            return rf"(\.[0-9]{{1,{places}}})?"
        digits = [f"{value:0{places}}" for value in range(0, 10**places, step)]
        return rf"(\.({'|'.join(sorted({text.rstrip('0') or '0' for text in digits}.union(digits)))}))?"

    def with_simple_multiple(self) -> Number:
        """The same or less: steps into which one cannot be divided, or cannot well, are made whole."""
        if self.multiple_of is None:
            return self
        numerator, denominator = self.multiple_of.as_integer_ratio()
        is_power_of_ten = self.multiple_of == Decimal(1).scaleb(-_decimals(self.multiple_of))
        is_simple = 1 < denominator <= _MOST_STEPS or (is_power_of_ten and denominator > 1)
        if numerator == 1 and is_simple and not self.is_integer:
            return self
        return replace(self, is_integer=True, multiple_of=Decimal(numerator) if numerator > 1 else None)

    def _whole(self, bound: Bound | None, rounding: str) -> Bound | None:
        if bound is None or not self.is_integer:
            return bound
        with localcontext(prec=_MOST_DIGITS * 2):
            whole = bound.value.to_integral_value(rounding)
            if bound.is_exclusive and whole == bound.value:
                whole += 1 if rounding == ROUND_CEILING else -1
        return Bound(whole)


def is_usable(value: Decimal) -> bool:
    """Whether it is short enough to be written out."""
    return value.is_finite() and abs(value.adjusted()) < _MOST_DIGITS and _decimals(value) < _MOST_DIGITS


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _decimals(value: Decimal) -> int:
    return len(_parts(value)[1])


def _parts(value: Decimal) -> tuple[str, str]:
    """Digits before and after the point of the absolute value, without needless zeros."""
    whole, _, fraction = format(abs(value), "f").partition(".")
    return whole.lstrip("0") or "0", fraction.rstrip("0")


def _at_least(bound: Bound) -> str:
    if bound.value > 0 or (bound.value == 0 and bound.is_exclusive):
        return _from(bound)
    return rf"[0-9][0-9.]*|-({_up_to(bound)})" if bound.value < 0 else r"[0-9][0-9.]*"


def _at_most(bound: Bound) -> str:
    if bound.value < 0 or (bound.value == 0 and bound.is_exclusive):
        return f"-({_from(bound)})"
    return rf"-[0-9][0-9.]*|{_up_to(bound)}"


def _from(bound: Bound) -> str:
    """Texts without a sign whose number is at least the absolute value of ``bound``."""
    whole, fraction = _parts(bound.value)
    options = [rf"[1-9][0-9]{{{len(whole)},}}(\.[0-9]+)?"]
    for index, digit in enumerate(whole):
        if digit != "9":
            rest = len(whole) - index - 1
            options.append(rf"{whole[:index]}[{int(digit) + 1}-9][0-9]{{{rest}}}(\.[0-9]+)?")
    beyond = [f"{fraction[:i]}[{int(d) + 1}-9][0-9]*" for i, d in enumerate(fraction) if d != "9"]
    zeros = "[0-9]*" if fraction else "[0-9]+"
    beyond.append(f"{fraction}[0-9]*[1-9][0-9]*" if bound.is_exclusive else f"{fraction}{zeros}")
    is_optional = not fraction and not bound.is_exclusive
    options.append(rf"{whole}(\.({'|'.join(beyond)})){'?' if is_optional else ''}")
    return "|".join(options)


def _up_to(bound: Bound) -> str:
    """Texts without a sign whose number is at most the absolute value of ``bound``."""
    whole, fraction = _parts(bound.value)
    options = [rf"(0|[1-9][0-9]{{0,{len(whole) - 2}}})(\.[0-9]+)?"] if len(whole) > 1 else []
    for index, digit in enumerate(whole):
        lowest = 1 if index == 0 and len(whole) > 1 else 0
        if int(digit) > lowest:
            rest = len(whole) - index - 1
            options.append(rf"{whole[:index]}[{lowest}-{int(digit) - 1}][0-9]{{{rest}}}(\.[0-9]+)?")
    below = [f"{fraction[:i]}[0-{int(d) - 1}][0-9]*" for i, d in enumerate(fraction) if d != "0"]
    below += [fraction[:i] for i in range(1, len(fraction))]
    if not bound.is_exclusive:
        below.append(f"{fraction}0{'*' if fraction else '+'}")
    if below:
        options.append(rf"{whole}\.({'|'.join(below)})")
    if fraction or not bound.is_exclusive:
        options.append(whole)
    return "|".join(options)
