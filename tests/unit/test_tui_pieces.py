"""No piece of an answer is lost or told twice, whatever threads do."""

from __future__ import annotations

import threading

from tui.messages import ReplyDelta
from tui.pieces import Pieces


def test_all_pieces_are_taken_in_order_and_none_waits_untold():
    pieces, told, taken = Pieces(), threading.Semaphore(0), []

    def write():
        for number in range(5_000):
            if pieces.put(ReplyDelta(1, f"{number} ")):
                told.release()

    writer = threading.Thread(target=write)
    writer.start()
    while len(taken) < 5_000:
        assert told.acquire(timeout=10), "pieces wait and nobody was told"
        taken += pieces.take()
    writer.join()
    assert "".join(piece.text for piece in taken) == "".join(f"{number} " for number in range(5_000))


def test_only_the_first_piece_that_waits_is_told_of():
    pieces = Pieces()
    assert [pieces.put(ReplyDelta(1, text)) for text in "abc"] == [True, False, False]
    assert [piece.text for piece in pieces.take()] == ["a", "b", "c"]
    assert pieces.take() == []
    assert pieces.put(ReplyDelta(1, "d"))
