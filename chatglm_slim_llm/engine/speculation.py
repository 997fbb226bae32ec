"""Guesses what comes next from what was there before, and how much guessing pays.

A draft is free to be wrong: the scheduler lets the model score it together with the last token and keeps only what
the model would have said anyway. What it costs is the time of the extra rows, and `Budget` sees to it that bad
drafts never cost more than a few percent of a reply.

Source: prompt lookup decoding (Saxena 2023), verification as in speculative decoding, arXiv:2211.17192.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median_low

_LONGEST_MATCH, _SHORTEST_MATCH = 4, 2
_LENGTHS = (1, 2, 4, 7)
"""How drafts grow with success; the last makes eight rows with the token before it."""
_ALLOWANCE = 0.02
"""Part of its time that a sequence may lose to drafts that fail."""
_SAVINGS_CAP = 8
"""Most steps' time that success may save up for failures: 0.8 % of a thousand steps on top of the allowance."""
_ASSUMED_ROW_COST, _LEAST_ROW_COST = 0.04, 0.01
"""Of a row that was not measured yet; and of any, lest noise makes rows look free."""
_SAMPLES, _STEPS_REMEMBERED = 9, 500
_LEARNING_RATE = 0.1


@dataclass
class Tally:
    """What became of the drafts of one reply."""

    drafted: int = 0
    accepted: int = 0


class Speculator:
    """Drafts for one sequence."""

    def __init__(self, prompt_ids: Iterable[int], tally: Tally) -> None:
        self._lookup, self._budget, self._tally = PromptLookup(prompt_ids), Budget(), tally
        self._drafted, self._cost, self._saving = 0, 0.0, 0.0  # of the step under way

    def push(self, token_id: int, *, is_guessed: bool) -> None:
        """Take the next token of the reply, and whether it is the next of the draft."""
        self._lookup.push(token_id)
        self._tally.accepted += is_guessed

    def draft(self, costs: Sequence[float], saving: float) -> list[int]:
        """Tokens that may come next; arguments as for `Budget.length`."""
        drafted = self._lookup.draft(self._budget.length(costs, saving))
        self._drafted, self._cost, self._saving = len(drafted), costs[len(drafted)], saving
        self._tally.drafted += len(drafted)
        return drafted

    def settle(self, accepted: int) -> None:
        """Take the outcome of the step."""
        self._budget.settle(self._drafted, accepted, self._cost, self._saving)


class PromptLookup:
    """Finds the last place where the text went as it just did, and proposes what followed there."""

    def __init__(self, prompt_ids: Iterable[int] = ()) -> None:
        self._ids: list[int] = []
        self._follows: dict[tuple[int, ...], int] = {}  # n-gram -> index of what followed its last occurrence
        self._match: int | None = None
        for token_id in prompt_ids:
            self.push(token_id)

    def push(self, token_id: int) -> None:
        """Take the next token of prompt or reply."""
        self._ids.append(token_id)
        end, self._match = len(self._ids), None
        for length in range(min(_LONGEST_MATCH, end), _SHORTEST_MATCH - 1, -1):
            ngram = tuple(self._ids[end - length :])
            if self._match is None:
                self._match = self._follows.get(ngram)
            self._follows[ngram] = end

    def draft(self, length: int) -> list[int]:
        """Up to ``length`` tokens that may come next; where they run into the end, they repeat what they said."""
        if self._match is None:
            return []
        period = len(self._ids) - self._match
        drafted = self._ids[self._match : self._match + length]
        while len(drafted) < length:
            drafted.append(drafted[-period])
        return drafted


class StepCosts:
    """How long a step takes, by its number of rows, in units of a step of one row.

    Machines are interrupted, never sped up: so medians, one sample that contradicts what was thought before is not
    believed when it is the slower, and no step is thought slower than one of more rows.
    """

    def __init__(self, max_rows: int) -> None:
        self._samples: list[deque[float]] = [deque(maxlen=_SAMPLES) for _ in range(max_rows + 1)]
        self._seconds = [0.0] * (max_rows + 1)  # 0: not measured
        self._num_steps = 0
        self._compare()

    def record(self, rows: int, elapsed_s: float) -> None:
        """Take the time of one step."""
        self._samples[rows].append(elapsed_s)
        expected_s = self._relative[rows] * self._one_row_s or elapsed_s
        self._seconds[rows] = median_low([*self._samples[rows], expected_s])
        self._num_steps += 1
        if self._num_steps % _STEPS_REMEMBERED == 0:
            self._forget()
        self._compare()

    def __getitem__(self, rows: int) -> float:
        return self._relative[rows]

    def extra(self, rows: int, spare: int) -> list[float]:
        """What 0, 1, .. ``spare`` rows more than ``rows`` cost."""
        return [self._relative[rows + more] - self._relative[rows] for more in range(spare + 1)]

    def _forget(self) -> None:
        """Drop the oldest samples, so that what seemed too slow to be tried again is tried again at times."""
        for rows, samples in enumerate(self._samples):
            if samples:
                samples.popleft()
            if not samples:
                self._seconds[rows] = 0.0

    def _compare(self) -> None:
        seconds, fastest_s = [*self._seconds], inf
        for rows in range(len(seconds) - 1, 0, -1):
            seconds[rows] = fastest_s = min(seconds[rows] or inf, fastest_s)
        measured = next((rows for rows, elapsed_s in enumerate(self._seconds) if elapsed_s), 1)
        self._one_row_s = self._seconds[measured] and seconds[measured] / (1 + _ASSUMED_ROW_COST * (measured - 1))
        self._relative = [0.0, 1.0]
        for rows in range(2, len(seconds)):
            below = self._relative[-1]
            known = seconds[rows] / self._one_row_s if self._seconds[rows] else below + _ASSUMED_ROW_COST
            self._relative.append(max(known, below + _LEAST_ROW_COST))


class Budget:
    """How many tokens of one sequence may be drafted: a purse of time that failures empty and success fills.

    Drafts are paid before they are tried, from an allowance of 2 % of each step and from the time that earlier drafts
    saved, of which the purse holds little. So however bad they are, a thousand steps lose at most 3 %.
    """

    def __init__(self) -> None:
        self._purse = 0.0
        self._acceptance = 0.5
        self._growth = 0

    def length(self, costs: Sequence[float], saving: float) -> int:
        """How long a draft may be.

        Args:
            costs: what a draft of 0, 1, 2 .. tokens costs.
            saving: what an accepted token saves, in the same unit.
        """
        longest = min(_LENGTHS[self._growth], len(costs) - 1)
        length = 0
        while length < longest and costs[length + 1] <= self._purse and self._pays(length + 1, costs, saving):
            length += 1
        return length

    def settle(self, drafted: int, accepted: int, cost: float, saving: float) -> None:
        """Take the outcome of one step; ``drafted`` may be 0."""
        earned = (_ALLOWANCE + accepted) * saving - cost
        self._purse = min(self._purse + earned, _SAVINGS_CAP * saving)
        if drafted:
            self._learn(drafted, accepted)

    def _pays(self, length: int, costs: Sequence[float], saving: float) -> bool:
        """Whether the last of so many tokens is worth its row; the first is always tried, so as to learn."""
        return length == 1 or self._acceptance**length * saving >= costs[length] - costs[length - 1]

    def _learn(self, drafted: int, accepted: int) -> None:
        kept = (1 - _LEARNING_RATE) ** accepted
        self._acceptance = 1 - (1 - self._acceptance) * kept
        if accepted == drafted:
            self._growth = min(self._growth + 1, len(_LENGTHS) - 1)
            return
        self._acceptance *= 1 - _LEARNING_RATE
        if not accepted:
            self._growth = max(self._growth - 1, 0)
