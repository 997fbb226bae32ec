"""What is said below a reply."""

from __future__ import annotations

import pytest

from chatglm_slim_llm.storage import Figures, FinishReason
from tui.transcript import ending, figures_line


@pytest.mark.parametrize(
    ("reason", "said"),
    [("stop", ""), (None, ""), ("length", "■ stopped at the length limit"), ("cancelled", "■ stopped")],
)
def test_a_reply_that_ended_early_says_why(reason: FinishReason | None, said: str) -> None:
    assert ending(reason) == said


def test_the_figures_of_a_reply_are_one_line() -> None:
    assert figures_line(Figures(1203, 21.25, 0.41)) == "1,203 tokens · 21.2 tokens/s · first after 0.4 s"
    assert figures_line(Figures(5, 312.6)) == "5 tokens · 313 tokens/s"
    assert figures_line(Figures(1, 300.0, 0.0368)) == "1 token · 300 tokens/s · first after 0.04 s"
    assert figures_line(None) == ""
