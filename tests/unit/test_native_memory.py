"""Memory for results: shared by nothing that is alive, used again when it is free."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import torch

from chatglm_slim_llm.kernels.memory import Results, empty_result

MEGABYTE = 2**18  # fp32 numbers


def span(tensor):
    """The addresses of a tensor's numbers."""
    return range(tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes)


def overlap(tensors):
    """Whether any two have an address in common."""
    spans = sorted((span(tensor).start, span(tensor).stop) for tensor in tensors)
    return any(first[1] > second[0] for first, second in pairwise(spans))


@pytest.mark.long
def test_living_results_never_share_memory():
    generator = torch.Generator().manual_seed(0)
    living = []
    for number in range(200):
        size = int(torch.randint(1, 12, (1,), generator=generator)) * MEGABYTE
        living.append(empty_result((2, size)).fill_(number))
        if len(living) > 4:
            del living[int(torch.randint(0, 5, (1,), generator=generator))]
        assert not overlap(living)
        assert all((tensor == tensor[0, 0]).all() for tensor in living)


def test_a_view_keeps_its_memory_from_the_next_result():
    view = empty_result((3, MEGABYTE)).fill_(7)[2, 5:9]
    following = empty_result((3, MEGABYTE)).fill_(1)
    assert view.tolist() == [7.0] * 4
    assert not overlap([view, following])


def test_the_memory_of_a_result_that_is_gone_serves_the_next_one():
    results = Results()
    first = results.empty((5, MEGABYTE))
    address = first.data_ptr()
    del first
    assert results.empty((4, MEGABYTE)).data_ptr() == address


def test_a_small_result_that_stays_keeps_no_large_memory():
    results, kept = Results(), []
    for _ in range(5):
        large = results.empty((28, MEGABYTE))
        del large
        kept.append(results.empty((2, MEGABYTE)))
    assert sum(tensor.untyped_storage().nbytes() for tensor in kept) <= 2 * sum(tensor.nbytes for tensor in kept)


def test_what_nobody_uses_is_bounded():
    results = Results()
    for size in range(2, 30):
        several = [results.empty((size, MEGABYTE)) for _ in range(4)]
        del several
    assert 0 < sum(map(len, results._unused)) <= 2**25


def test_a_very_large_result_goes_back_to_the_system():
    results = Results()
    large = results.empty((33, MEGABYTE))
    del large
    assert results._unused == []


@pytest.mark.long
def test_threads_never_get_the_same_memory():
    wrong = []

    def work(number: int) -> None:
        for _ in range(300):
            tensor = empty_result((2, MEGABYTE)).fill_(number)
            if not (tensor == number).all():
                wrong.append(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert not wrong


@pytest.mark.parametrize("rows", [3, 300])
def test_a_result_is_fp32_and_no_view_whatever_its_size_and_the_default_dtype(rows):
    torch.set_default_dtype(torch.float16)
    try:
        result = empty_result((rows, 9000))
    finally:
        torch.set_default_dtype(torch.float32)
    assert result.dtype == torch.float32
    assert result.shape == (rows, 9000)
    assert not result._is_view()


def test_a_result_may_be_empty():
    assert empty_result((0, 4)).shape == (0, 4)
