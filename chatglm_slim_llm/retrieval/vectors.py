"""All vectors of a knowledge base in memory, a byte a number, and the exact nearest ones of a query.

A look at the bytes leaves a few hundred candidates that could be among the nearest: how far rounding can be off is
known. Their float32 vectors, read from the file, decide. So the result is that of comparing with every vector, at a
quarter of the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]

_LEVELS = 127
_ROUNDING = 0.5 + 1e-3  # half a step each number, and what adding up in float32 loses
_ROWS_AT_ONCE = 2048  # as float32 they stay in the cache of a core


class VectorTable:
    """Vectors by chunk id, rounded to a byte a number with a scale a vector."""

    def __init__(self) -> None:
        self.ids: Ids = np.empty(0, np.int64)
        self._levels: NDArray[np.int8] = np.empty((0, 0), np.int8)
        self._scales: Vectors = np.empty(0, np.float32)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, ids: Ids, vectors: Vectors, room_for: int = 0) -> None:
        """Add vectors of chunks that are not there yet, [chunk, dimension].

        Args:
            ids: their ids.
            vectors: unit vectors.
            room_for: how many will be there in the end, if known: saves copying.
        """
        old, count = len(self.ids), len(self.ids) + len(ids)
        if len(self._levels) < count:
            self._grow(max(count, room_for, old + old // 4), vectors.shape[1])
        self._levels[old:count], self._scales[old:count] = to_bytes(vectors)
        self.ids = np.concatenate([self.ids, ids])

    def keep(self, ids: Ids) -> None:
        """Drop the vectors of all chunks but these."""
        kept = np.isin(self.ids, ids, assume_unique=True)
        if not kept.all():
            positions = np.flatnonzero(kept)
            self._levels = self._levels[positions]
            self._scales = self._scales[positions]
            self.ids = self.ids[positions]

    def nearest(
        self,
        query: Vectors,
        count: int,
        read: Callable[[Sequence[int]], dict[int, Vectors]],
        among: Ids | None = None,
    ) -> dict[int, float]:
        """The chunks nearest to a query, with their cosines; exact.

        Args:
            query: a unit vector, [dimension].
            count: how many to find; more than one at the same distance may give a few more.
            read: gives float32 vectors by id.
            among: only these ids, ascending; ``None`` for all.
        """
        rough = self._rough(query)
        allowed = np.arange(len(self.ids)) if among is None else np.flatnonzero(np.isin(self.ids, among))
        if len(allowed) > count:
            error = _ROUNDING * float(np.abs(query).sum()) * self._scales[allowed]
            low, high = rough[allowed] - error, rough[allowed] + error
            bound = np.partition(low, len(low) - count)[len(low) - count]
            allowed = allowed[high >= bound]
        vectors = read([int(id_) for id_ in self.ids[allowed]])
        return {id_: float(vector @ query) for id_, vector in vectors.items()}

    def _rough(self, query: Vectors) -> Vectors:
        count = len(self.ids)
        cosines = np.empty(count, np.float32)
        block = np.empty((min(_ROWS_AT_ONCE, count), self._levels.shape[1]), np.float32)
        for start in range(0, count, _ROWS_AT_ONCE):
            rows = self._levels[start : min(start + _ROWS_AT_ONCE, count)]
            np.copyto(block[: len(rows)], rows)
            # Not a product of matrices, for which BLAS would wake all threads, block after block, and wait for each.
            np.vecdot(block[: len(rows)], query, out=cosines[start : start + len(rows)])
        return cosines * self._scales[:count]

    def _grow(self, room: int, dimension: int) -> None:
        levels = np.empty((room, dimension), np.int8)
        scales = np.empty(room, np.float32)
        if len(self.ids):
            levels[: len(self.ids)] = self._levels[: len(self.ids)]
            scales[: len(self.ids)] = self._scales[: len(self.ids)]
        self._levels, self._scales = levels, scales


def to_bytes(vectors: Vectors) -> tuple[NDArray[np.int8], Vectors]:
    """Round each vector to whole steps of a 127th of its largest number.

    Returns:
        Steps, [vector, dimension], and how large a step of each vector is, [vector].
    """
    scales = np.abs(vectors).max(axis=1, initial=0.0).astype(np.float32) / _LEVELS
    steps = np.rint(vectors / np.where(scales == 0, 1, scales)[:, None]).astype(np.int8)
    return steps, scales


def pack_sentences(vectors: Vectors) -> bytes:
    """Vectors of a chunk's sentences as bytes: their scales, then their steps."""
    steps, scales = to_bytes(vectors)
    return scales.tobytes() + steps.tobytes()


def unpack_sentences(packed: bytes, dimension: int) -> Vectors:
    """What ``pack_sentences`` packed, [sentence, dimension]."""
    count = len(packed) // (dimension + 4)
    scales = np.frombuffer(packed, np.float32, count)
    steps = np.frombuffer(packed, np.int8, offset=4 * count).reshape(count, dimension)
    unpacked: Vectors = steps * scales[:, None]
    return unpacked
