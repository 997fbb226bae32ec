"""Every example of the guide, the start and the questions runs, and prints what the page says it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.run import PAGES, read, run


@pytest.fixture(scope="module")
def printed() -> dict[Path, list[str]]:
    return run(PAGES)


def test_there_is_a_page_for_each_task() -> None:
    assert {page.stem for page in PAGES} >= {
        "agent",
        "batch",
        "chat",
        "history",
        "retrieval",
        "streaming",
        "structured-output",
        "tools",
    }


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_print_what_it_says(page: Path, printed: dict[Path, list[str]]) -> None:
    assert [output or "" for _, output in read(page)] == printed[page]
