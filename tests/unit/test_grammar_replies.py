"""What of a reply is shown that may be calls or words; and steps for tokens that are certain."""

from __future__ import annotations

import random

import pytest
from fake_forward import EOS, FakeForward
from torch import Tensor

from chatglm_slim_llm.engine.scheduler import Scheduler
from chatglm_slim_llm.engine.stopping import CallsOrStops

CALL = '{"name": "stop", "arguments": {}}'
CASES = [
    (CALL, CALL),
    (f"{CALL}\n{CALL}", f"{CALL}\n{CALL}"),
    ("go on stop here", "go on "),
    ("stop", ""),
    ('{"name" stop', '{"name" '),
    ('{"na', '{"na'),
    ('{"nam stop', '{"nam '),
    ("", ""),
    ("no such word", "no such word"),
    (f"see {CALL}", 'see {"name": "'),
]


@pytest.mark.parametrize(("said", "shown"), CASES)
def test_stop_strings_are_looked_for_in_words_only_however_the_text_arrives(said: str, shown: str) -> None:
    rng = random.Random(said)
    for _ in range(30):
        scanner, cuts = CallsOrStops(["stop"]), sorted(rng.choices(range(len(said) + 1), k=4))
        pieces = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
        found = ""
        for piece in pieces:
            found += scanner.push(piece)
            if scanner.stopped:
                break
        assert found + scanner.flush() == shown


class Certain:
    """Picks what the model says, but after a 7 the tokens 20, 21, .. 29, whatever it says."""

    def __init__(self) -> None:
        self.following: list[int] = []

    def pick(self, scores: Tensor) -> int:
        if self.following:
            return self.following.pop(0)
        token_id = int(scores.argmax())
        self.following = [*range(20, 30)] if token_id == 7 else [EOS] if token_id == 9 else []
        return token_id

    def certain(self) -> list[int]:
        return list(self.following)


@pytest.mark.parametrize("speculate", [True, False])
@pytest.mark.parametrize(("max_rows", "steps"), [(1, 13), (4, 5), (16, 3)])
def test_certain_tokens_share_steps_and_the_end_mark_takes_none(max_rows: int, steps: int, speculate: bool) -> None:
    forward = FakeForward(max_rows, following=lambda ids: {3: 5, 5: 7, 29: 9}.get(ids[-1], 0))
    scheduler, certain = Scheduler(forward, EOS, speculate=speculate), Certain()
    found = list(scheduler.tokens([1, 2, 3], certain.pick, max_new_tokens=40, certain=certain.certain))
    assert found == [5, 7, *range(20, 30), 9, EOS]
    assert len(forward.rows) == steps - 1
    assert max(forward.rows) <= max_rows


def test_certain_tokens_end_with_the_limit() -> None:
    forward = FakeForward(16, following=lambda ids: {3: 5, 5: 7}.get(ids[-1], 0))
    scheduler, certain = Scheduler(forward, EOS), Certain()
    assert list(scheduler.tokens([3], certain.pick, max_new_tokens=5, certain=certain.certain)) == [5, 7, 20, 21, 22]
