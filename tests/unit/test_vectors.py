"""The nearest vectors, against comparing a query with each of them."""

from __future__ import annotations

import numpy as np
import pytest

from chatglm_slim_llm.retrieval.vectors import VectorTable, pack_sentences, to_bytes, unpack_sentences

DIMENSION = 24


def unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms == 0, np.float32(1), norms)


def random_rows(rng, count):
    return unit(rng.standard_normal((count, DIMENSION)))


def clustered_rows(rng, count):
    """So near to each other that a byte a number cannot tell them apart."""
    centre = rng.standard_normal((1, DIMENSION))
    return unit(centre + 1e-3 * rng.standard_normal((count, DIMENSION)))


def doubled_rows(rng, count):
    return random_rows(rng, 7)[rng.integers(0, 7, count)]


def rows_with_zeros(rng, count):
    rows = random_rows(rng, count)
    rows[rng.random(count) < 0.5] = 0
    return rows


def spiky_rows(rng, count):
    """One large number and many small ones: the coarsest steps there are."""
    rows = 1e-3 * rng.standard_normal((count, DIMENSION))
    rows[np.arange(count), rng.integers(0, DIMENSION, count)] = 1
    return unit(rows)


KINDS = [random_rows, clustered_rows, doubled_rows, rows_with_zeros, spiky_rows]


class Stored:
    """Vectors by id, and which of them were asked for."""

    def __init__(self, ids, rows):
        self.rows = dict(zip(ids.tolist(), rows, strict=True))
        self.asked = 0

    def read(self, ids):
        self.asked += len(ids)
        return {id_: self.rows[id_] for id_ in ids}

    def cosines(self, query, among=None):
        wanted = self.rows if among is None else set(self.rows) & set(among.tolist())
        return {id_: float(self.rows[id_] @ query) for id_ in wanted}


def assert_nearest(found, every, count):
    """What was found has its true cosine, and nothing that was left out is nearer."""
    assert all(every[id_] == cosine for id_, cosine in found.items())
    best = sorted(every.values(), reverse=True)[:count]
    assert sorted(found.values(), reverse=True)[:count] == best
    if len(every) > count:
        assert all(id_ in found for id_, cosine in every.items() if cosine > best[-1])
    else:
        assert found == every


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("count", [1, 10, 5000])
def test_the_nearest_are_those_of_comparing_with_each(make, count):
    rng = np.random.default_rng(count)
    ids = np.sort(rng.choice(20_000, 3000, replace=False)).astype(np.int64)
    rows = make(rng, len(ids))
    stored, table = Stored(ids, rows), VectorTable()
    table.add(ids, rows)
    for query in [*random_rows(rng, 3), rows[5], np.zeros(DIMENSION, np.float32)]:
        assert_nearest(table.nearest(query, count, stored.read), stored.cosines(query), count)
        among = np.sort(rng.choice(20_000, 2000, replace=False)).astype(np.int64)
        assert_nearest(table.nearest(query, count, stored.read, among), stored.cosines(query, among), count)


def test_only_few_vectors_are_read_where_they_differ():
    rng = np.random.default_rng(0)
    ids, rows = np.arange(1, 5001), random_rows(rng, 5000)
    stored, table = Stored(ids, rows), VectorTable()
    table.add(ids, rows)
    table.nearest(random_rows(rng, 1)[0], 10, stored.read)
    assert stored.asked < 100


def test_none_is_nearest_where_there_is_none():
    rng = np.random.default_rng(0)
    table = VectorTable()
    query = random_rows(rng, 1)[0]
    assert table.nearest(query, 3, lambda ids: {}) == {}
    ids, rows = np.arange(1, 11), random_rows(rng, 10)
    table.add(ids, rows)
    nobody = np.empty(0, np.int64)
    assert table.nearest(query, 3, Stored(ids, rows).read, nobody) == {}
    assert table.nearest(query, 3, Stored(ids, rows).read, np.array([11, 99])) == {}
    table.keep(nobody)
    assert len(table) == 0
    assert table.nearest(query, 3, Stored(ids, rows).read) == {}


def test_a_vector_that_went_away_meanwhile_is_not_found():
    rng = np.random.default_rng(0)
    ids, rows = np.arange(1, 11), random_rows(rng, 10)
    stored, table = Stored(ids, rows), VectorTable()
    table.add(ids, rows)
    found = table.nearest(rows[3], 10, lambda asked: {i: v for i, v in stored.read(asked).items() if i != 4})
    assert 4 not in found
    assert len(found) == 9


@pytest.mark.parametrize("seed", range(8))
def test_adding_and_dropping_in_any_order_leaves_what_is_there(seed):
    rng = np.random.default_rng(seed)
    stored, table, next_id = Stored(np.empty(0, np.int64), np.empty((0, DIMENSION))), VectorTable(), 1
    for step in range(30):
        if rng.random() < 0.6:
            count = int(rng.integers(0, 300))
            ids, rows = np.arange(next_id, next_id + count), random_rows(rng, count)
            # ids of a document that stopped being hidden come after higher ones
            next_id += count + int(rng.integers(0, 3))
            table.add(ids, rows, room_for=int(rng.integers(0, 2000)))
            stored.rows |= dict(zip(ids.tolist(), rows, strict=True))
        else:
            kept = rng.random(len(table.ids)) < rng.choice([0.0, 0.5, 0.95, 1.0])
            stays = np.sort(table.ids[kept])
            table.keep(stays)
            stored.rows = {id_: stored.rows[id_] for id_ in stays.tolist()}
        assert set(table.ids.tolist()) == set(stored.rows)
        query = random_rows(rng, 1)[0]
        assert_nearest(table.nearest(query, 7, stored.read), stored.cosines(query), 7)
        assert len(table) == len(stored.rows), step


def test_a_table_takes_ids_in_any_order():
    rng = np.random.default_rng(1)
    ids, rows = np.arange(1, 101), random_rows(rng, 100)
    stored, table = Stored(ids, rows), VectorTable()
    for part in (slice(50, 100), slice(0, 30), slice(30, 50)):
        table.add(ids[part], rows[part])
    table.keep(np.arange(20, 90))
    query = rows[40]
    some = np.arange(20, 90)
    assert_nearest(table.nearest(query, 5, stored.read), stored.cosines(query, some), 5)
    few = np.array([21, 55, 60, 89, 95])
    assert_nearest(table.nearest(query, 2, stored.read, few), stored.cosines(query, few[:-1]), 2)


@pytest.mark.parametrize("make", KINDS)
def test_a_byte_a_number_is_off_by_half_a_step_at_most(make):
    rows = make(np.random.default_rng(2), 500)
    steps, scales = to_bytes(rows)
    assert steps.dtype == np.int8
    off = np.abs(steps.astype(np.float64) * scales[:, None].astype(np.float64) - rows)
    assert (off <= scales[:, None] * 0.5 * (1 + 1e-5)).all()
    assert (np.abs(steps).max(axis=1)[scales > 0] == 127).all()


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("count", [0, 1, 2, 33])
def test_sentences_come_back_within_half_a_step(make, count):
    rows = make(np.random.default_rng(count), max(count, 1))[:count]
    packed = pack_sentences(rows)
    assert len(packed) == count * (DIMENSION + 4)
    back = unpack_sentences(packed, DIMENSION)
    assert back.shape == (count, DIMENSION)
    step = np.abs(rows).max(axis=1, keepdims=True, initial=0) / 127
    assert (np.abs(back - rows) <= 0.5001 * step).all()
