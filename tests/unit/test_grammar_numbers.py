"""Numbers between bounds: the regular expressions against arithmetic."""

from __future__ import annotations

import random
import re
from decimal import Decimal

import pytest

from chatglm_slim_llm.engine.grammar.numbers import Bound, Number


def random_decimal(rng: random.Random) -> Decimal:
    return Decimal(rng.randint(-1500, 1500)).scaleb(-rng.choice([0, 0, 1, 2, 3]))


def random_number(rng: random.Random) -> Number:
    low, high = (Bound(random_decimal(rng), rng.random() < 0.5) if rng.random() < 0.7 else None for _ in range(2))
    if low and high and low.value > high.value:
        low, high = high, low
    return Number(rng.random() < 0.4, low, high)


def matches(number: Number, text: str) -> bool:
    return all(bool(re.fullmatch(e.lstrip("~"), text)) != e.startswith("~") for e in number.expressions())


def near(number: Number, rng: random.Random) -> Decimal:
    bound = rng.choice([bound for bound in (number.low, number.high) if bound] or [Bound(Decimal(0))])
    return bound.value + rng.choice([-1, 0, 1]) * rng.choice([Decimal("0.001"), Decimal("0.01"), Decimal(1)])


@pytest.mark.parametrize("seed", range(4))
def test_a_number_matches_if_it_is_between_the_bounds(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(150):
        number = random_number(rng)
        for value in [near(number, rng) for _ in range(20)] + [random_decimal(rng) for _ in range(20)]:
            text = format(value, "f")
            if value == 0 and text.startswith("-"):
                continue
            wanted = number.holds(value) and not (number.is_integer and "." in text)
            assert matches(number, text) == wanted, (number, text)


@pytest.mark.parametrize("seed", range(4))
def test_the_shortest_number_is_one_of_them(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        number = random_number(rng)
        found = number.shortest()
        if found is not None:
            assert number.holds(Decimal(found)), number
            assert matches(number, found), number
        else:
            assert not any(number.holds(near(number, rng)) for _ in range(30)), number


@pytest.mark.parametrize("text", ["-0", "-0.0", "00", "01", "1.", ".5", "+1", "1e5", "", "-", "0x1", "1,0"])
@pytest.mark.parametrize("is_integer", [True, False])
def test_other_spellings_do_not_match(text: str, is_integer: bool) -> None:
    assert not matches(Number(is_integer), text)


@pytest.mark.parametrize("multiple", ["0.5", "0.25", "0.01", "0.1", "0.125", "2.5", "0.3", "7"])
def test_decimals_of_a_multiple_are_multiples(multiple: str) -> None:
    number = Number(multiple_of=Decimal(multiple)).with_simple_multiple()
    if number.is_integer:
        assert number.multiple_of
        assert number.multiple_of % Decimal(multiple) == 0
        return
    for thousandths in range(2000):
        text = format(Decimal(thousandths) / 1000, "f")
        if matches(number, text):
            assert Decimal(text) % Decimal(multiple) == 0
        else:
            shortened = text.rstrip("0").rstrip(".") or "0"
            assert Decimal(text) % Decimal(multiple) != 0 or matches(number, shortened)


def test_bounds_far_away_and_close_together_are_kept() -> None:
    assert Number(low=Bound(Decimal("1e300"))).shortest() == "1" + "0" * 300
    tiny = Number(low=Bound(Decimal(0), True), high=Bound(Decimal("0.0000001"), True)).shortest()
    assert tiny is not None
    assert 0 < Decimal(tiny) < Decimal("0.0000001")
    assert Number(True, Bound(Decimal("0.2")), Bound(Decimal("0.8"))).shortest() is None
    assert Number(True, Bound(Decimal(8)), Bound(Decimal(13)), Decimal(7)).shortest() is None
