"""Memory for results: shared by nothing that is alive, used again when it is free."""

from __future__ import annotations

import threading
from itertools import pairwise

import torch

from chatglm_slim_llm.kernels.memory import _Results, empty_result

MEGABYTE = 2**18  # fp32 numbers


def span(tensor):
    """The addresses of a tensor's numbers."""
    return range(tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes)


def overlap(tensors):
    """Whether any two have an address in common."""
    spans = sorted((span(tensor).start, span(tensor).stop) for tensor in tensors)
    return any(first[1] > second[0] for first, second in pairwise(spans))


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
    results = _Results()
    first = results.empty((5, MEGABYTE))
    address = first.data_ptr()
    del first
    assert results.empty((4, MEGABYTE)).data_ptr() == address


def test_what_is_kept_is_what_was_in_use_at_once():
    results = _Results()
    for size in range(2, 30):
        pair = [results.empty((size, MEGABYTE)), results.empty((size, MEGABYTE))]
        del pair
    assert len(results._unused) == 2


def test_threads_have_memory_of_their_own():
    results = []
    mine = empty_result((5, MEGABYTE))
    worker = threading.Thread(target=lambda: results.append(empty_result((5, MEGABYTE)).fill_(3)))
    worker.start()
    worker.join()
    mine.fill_(4)
    following = empty_result((5, MEGABYTE)).fill_(5)
    assert not overlap([mine, following, *results])
    assert (results[0] == 3).all()


def test_small_results_are_plain_tensors():
    assert empty_result((3, 4)).shape == (3, 4)
    assert empty_result((0, 4)).shape == (0, 4)
