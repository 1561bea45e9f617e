"""The tables find every entry that was put and none that was removed, however they grow, shrink and fill."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from models.table import (
    BRIM,
    FULLEST,
    GROWTH,
    LEAST_LINES,
    NO_KEY,
    SLOTS,
    Searched,
    Tables,
    hashed,
    line_of,
    mark,
    rows_in,
)

TABLES = 3
BITS, LAST = 28, 10


@njit
def rows_at(
    table: np.ndarray, code: np.uint32, wanted: np.uint32, bits: np.uint32, rows: np.uint32, out: np.ndarray
) -> int:
    """Fill `out` with the rows of a hash's entries that equal `wanted` in `bits`; how many there are."""
    first = line_of(code, table.shape[0])
    at, n = first, 0
    while True:
        n = rows_in(table, at, wanted, bits, rows, out, n)
        if not table[at, SLOTS] & mark(code):
            return n
        at = at + 1 if at + 1 < table.shape[0] else 0
        if at == first:
            return n


def found(tables: Tables, t: int, key: int, free: int = 0) -> set[int]:
    """The rows that a reader finds under a key, whose last bits in `free` may be any."""
    table, (row_bits, together) = tables.searched.tables[t], tables.searched.forms[t].tolist()
    assert free < 1 << together or not free
    rows = np.uint32((1 << row_bits) - 1)
    bits, out = ~np.uint32(free << row_bits & 0xFFFFFFFF) & ~rows, np.empty(100_000, np.int64)
    wanted = np.uint32(key << row_bits & 0xFFFFFFFF)
    n = rows_at(table, hashed(np.uint32(key), together), wanted, bits, rows, out)
    named = out[:n]
    return set(named[(tables.keys[t, named] ^ np.uint32(key)) & ~np.uint32(free) == 0].tolist())


def check(tables: Tables, keys: dict[int, np.ndarray]) -> None:
    """Every row is found under each of its keys, and nothing else is; there is always a slot left to stop at."""
    for t in range(TABLES):
        wanted: dict[int, set[int]] = {}
        for row, own in keys.items():
            if own[t] != NO_KEY:
                wanted.setdefault(int(own[t]), set()).add(row)
        for key, rows in wanted.items():
            assert found(tables, t, key) == rows
        held = np.count_nonzero(tables.searched.tables[t][:, :SLOTS])
        assert held == sum(map(len, wanted.values()))
        assert held <= BRIM * SLOTS * len(tables.searched.tables[t])


class Kept:
    """Tables beside a plain dictionary of what they should hold; places of removed rows are used again."""

    def __init__(self, values: int) -> None:
        self.tables, self.keys, self.free = Tables(TABLES, 16, BITS, LAST), dict[int, np.ndarray](), list[int]()
        self.used, self.values = 0, values

    def drawn(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Random keys for so many rows; few values make many rows equal; one in ten is missing."""
        keys = rng.integers(0, self.values, (TABLES, n)).astype(np.uint32)
        return np.where(rng.random(keys.shape) < 0.1, NO_KEY, keys)

    def reserve(self, rows: int) -> None:
        if rows > self.tables.keys.shape[1]:
            self.tables.grow(2 * rows)

    def insert(self, rng: np.random.Generator) -> None:
        row = self.free.pop() if self.free else self.used
        self.used = max(self.used, row + 1)
        self.reserve(self.used)
        self.keys[row] = self.drawn(rng, 1)[:, 0]
        self.tables.insert(row, self.keys[row])

    def extend(self, rng: np.random.Generator, n: int) -> None:
        self.reserve(self.used + n)
        keys = self.drawn(rng, n)
        self.tables.extend(keys)
        self.keys |= {self.used + k: keys[:, k] for k in range(n)}
        self.used += n

    def remove(self, rng: np.random.Generator) -> None:
        row = int(rng.choice(list(self.keys)))
        del self.keys[row]
        self.tables.remove(row)
        self.free.append(row)


STEPS = st.lists(st.tuples(st.sampled_from(["insert", "extend", "remove"]), st.integers(1, 700)), max_size=8)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), steps=STEPS, values=st.sampled_from([1, 3, 200, 1 << 28]))
def test_all_that_was_put_is_found_and_nothing_that_was_removed(
    seed: int, steps: list[tuple[str, int]], values: int
) -> None:
    rng, kept = np.random.default_rng(seed), Kept(values)
    for deed, times in steps:
        if deed == "extend":
            kept.extend(rng, times)
        else:
            for _ in range(min(times, len(kept.keys)) if deed == "remove" else times):
                kept.insert(rng) if deed == "insert" else kept.remove(rng)
    check(kept.tables, kept.keys)


def test_a_thousand_rows_of_one_key_are_found_and_can_be_removed() -> None:
    rng, kept = np.random.default_rng(1), Kept(1)
    kept.extend(rng, 600)
    for _ in range(600):
        kept.insert(rng)
    check(kept.tables, kept.keys)
    for _ in range(1100):
        kept.remove(rng)
    check(kept.tables, kept.keys)


def test_tables_filled_one_by_one_equal_tables_filled_at_once() -> None:
    rng, one, many = np.random.default_rng(2), Tables(TABLES, 4000, BITS, LAST), Tables(TABLES, 4000, BITS, LAST)
    keys = rng.integers(0, 1 << 28, (TABLES, 4000)).astype(np.uint32)
    many.extend(keys)
    for row in range(4000):
        one.insert(row, keys[:, row])
    for t in range(TABLES):
        for key in rng.choice(keys[t], 200):
            assert found(one, t, int(key)) == found(many, t, int(key)) != set()


def test_keys_that_differ_in_their_last_bits_alone_are_found_together() -> None:
    rng, kept = np.random.default_rng(8), Kept(1 << 20)
    kept.extend(rng, 5000)
    for t in range(TABLES):
        together = int(kept.tables.searched.forms[t, 1])
        assert together > 0
        free = (1 << together) - 2  # all of them but the very last
        for row in range(0, 5000, 97):
            if kept.keys[row][t] == NO_KEY:
                continue
            key = int(kept.keys[row][t])
            wanted = {r for r, own in kept.keys.items() if own[t] != NO_KEY and not (int(own[t]) ^ key) & ~free}
            assert found(kept.tables, t, key, free) == wanted
            assert row in wanted


def test_fewer_bits_lie_together_and_more_name_a_row_as_tables_grow() -> None:
    bits, rng = 24, np.random.default_rng(9)
    tables = Tables(1, 1 << 20, bits, LAST)
    forms = [tables.searched.forms[0].tolist()]
    for _ in range(20):
        tables.extend(rng.integers(0, 1 << bits, (1, 1 << 15)).astype(np.uint32))
        forms.append(tables.searched.forms[0].tolist())
    rows, together = zip(*forms, strict=True)
    assert list(rows) == sorted(rows)
    assert list(together) == sorted(together, reverse=True)
    assert (rows[0], together[0]) == (11, LAST)
    assert rows[-1] >= 20
    assert together[-1] < LAST
    assert all(r + t <= 32 for r, t in forms)


def test_rows_that_come_and_go_for_ever_need_no_more_room() -> None:
    """A line that was full once sends readers on ever after, until its table is filled anew."""
    rng, kept = np.random.default_rng(3), Kept(1 << 28)
    kept.extend(rng, 450)
    sizes = [len(table) for table in kept.tables.searched.tables]
    for _ in range(20_000):
        kept.remove(rng)
        kept.insert(rng)
    check(kept.tables, kept.keys)
    assert max(len(table) for table in kept.tables.searched.tables) <= GROWTH * max(sizes)


def test_rows_one_by_one_after_many_at_once_never_overfill() -> None:
    rng, kept = np.random.default_rng(4), Kept(1 << 28)
    kept.extend(rng, 3000)
    for _ in range(3000):
        kept.insert(rng)
        for table in kept.tables.searched.tables:
            assert np.count_nonzero(table[:, :SLOTS]) <= BRIM * SLOTS * len(table)
    check(kept.tables, kept.keys)


def test_tables_shrink_by_and_by_as_rows_go() -> None:
    rng, kept = np.random.default_rng(5), Kept(1 << 28)
    kept.extend(rng, 8000)
    before = kept.tables.nbytes
    for _ in range(7900):
        kept.remove(rng)
    assert kept.tables.nbytes < before / 10
    check(kept.tables, kept.keys)


def test_tables_grow_one_after_the_other() -> None:
    tables = Tables(24, 50_000, BITS, LAST)
    tables.extend(np.random.default_rng(6).integers(0, 1 << 28, (24, 50_000)).astype(np.uint32))
    sizes = sorted(len(table) for table in tables.searched.tables)
    assert sizes[-1] / sizes[0] < GROWTH * 1.1
    assert all(after / before < 1.1 for before, after in pairwise(sizes))
    assert FULLEST * sizes[0] * SLOTS >= 50_000


@pytest.mark.parametrize("rows", [0, 1, 5000])
def test_tables_go_on_from_what_was_taken_of_them(rows: int) -> None:
    rng, kept = np.random.default_rng(7), Kept(1 << 28)
    kept.extend(rng, rows)
    for _ in range(rows // 2):
        kept.remove(rng)
    old = kept.tables
    searched = Searched(tuple(t.copy() for t in old.searched.tables), old.searched.forms)
    kept.tables = Tables.of(searched, old.keys[:, : kept.used].copy(), old.lost, BITS, LAST)
    check(kept.tables, kept.keys)
    for _ in range(3 * LEAST_LINES * SLOTS):
        kept.insert(rng)
    check(kept.tables, kept.keys)
