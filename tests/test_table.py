"""The tables find every entry that was put and none that was removed, however they grow, shrink and fill."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from models.bucket import NEXT, NO_KEY, SLOTS, first_line, rows_in
from models.lanes import TAG_BITS
from models.table import APART, FULLEST, LEAST_LINES, STEP, Searched, Tables

TABLES = 3
BITS = 28


@njit(nogil=True)
def rows_at(
    table: np.ndarray, bucket: int, key: np.uint32, bits: np.uint32, most: int, out: np.ndarray
) -> tuple[int, int]:
    """Fill `out` with the rows of a bucket's entries that differ in at most so many of `bits`; how many, and lines."""
    at, n, count = first_line(table, bucket), 0, 0
    while at:
        n, count = rows_in(table, at, key, bits, most, out, n), count + 1
        at = np.int64(table[at, NEXT])
    return n, count


@njit
def entries(table: np.ndarray, buckets: int, out: np.ndarray) -> int:
    """How many entries there are in all buckets."""
    count = 0
    for bucket in range(buckets):
        count += rows_at(table, bucket, np.uint32(0), np.uint32(0), 0, out)[0]
    return count


def found(tables: Tables, t: int, key: int, free: int = 0, most: int = 0) -> set[int]:
    """The rows that a reader finds under a key, of which the bits in `free` may be any, and `most` of the others."""
    table, last = tables.searched.tables[t], int(tables.searched.last[t])
    assert free < 1 << last
    rest, out = np.uint32((1 << last) - 1), np.empty(100_000, np.int64)
    n, _ = rows_at(table, key >> last, np.uint32(key) & rest, ~np.uint32(free) & rest, most, out)
    assert len(set(out[:n].tolist())) == n
    return set(out[:n].tolist())


def check(tables: Tables, keys: dict[int, np.ndarray]) -> None:
    """Every row is found under each of its keys, and nothing else is."""
    for t in range(TABLES):
        wanted: dict[int, set[int]] = {}
        for row, own in keys.items():
            if own[t] != NO_KEY:
                wanted.setdefault(int(own[t]), set()).add(row)
        for key, rows in wanted.items():
            assert found(tables, t, key) == rows
        table, buckets = tables.searched.tables[t], 1 << (BITS - int(tables.searched.last[t]))
        assert entries(table, buckets, np.empty(100_000, np.int64)) == sum(map(len, wanted.values()))


class Kept:
    """Tables beside a plain dictionary of what they should hold; places of removed rows are used again."""

    def __init__(self, values: int) -> None:
        self.tables, self.keys, self.free = Tables(TABLES, 16, BITS), dict[int, np.ndarray](), list[int]()
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
    rng, one, many = np.random.default_rng(2), Tables(TABLES, 4000, BITS), Tables(TABLES, 4000, BITS)
    keys = rng.integers(0, 1 << 28, (TABLES, 4000)).astype(np.uint32)
    many.extend(keys)
    for row in range(4000):
        one.insert(row, keys[:, row])
    for t in range(TABLES):
        for key in rng.choice(keys[t], 200):
            assert found(one, t, int(key)) == found(many, t, int(key)) != set()


def test_keys_of_one_bucket_are_found_together_but_for_the_bits_that_count() -> None:
    rng, kept = np.random.default_rng(8), Kept(1 << BITS)
    kept.extend(rng, 5000)
    for row in range(0, 5000, 500):  # neighbours, in one bucket each
        for k in range(1, 40):
            kept.insert(rng)
            near = kept.keys[row] ^ np.uint32(rng.integers(0, 1 << (k % 13)))
            kept.tables.remove(kept.used - 1)
            kept.keys[kept.used - 1] = np.where(kept.keys[row] == NO_KEY, NO_KEY, near)
            kept.tables.insert(kept.used - 1, kept.keys[kept.used - 1])
    for t in range(TABLES):
        low = (1 << int(kept.tables.searched.last[t])) - 1
        own = {row: int(keys[t]) for row, keys in kept.keys.items() if keys[t] != NO_KEY}
        for row in [r for r in range(0, 5000, 250) if r in own]:
            free, most = int(rng.integers(0, low + 1)), int(rng.integers(0, 4))
            differing = {r: (key ^ own[row]) & ~free for r, key in own.items() if not (key ^ own[row]) & ~low}
            assert found(kept.tables, t, own[row], free) == {r for r, d in differing.items() if not d}
            assert found(kept.tables, t, own[row], free, most) == {
                r for r, d in differing.items() if d.bit_count() <= most
            }


def test_an_entry_of_the_highest_row_and_key_is_found() -> None:
    tables = Tables(TABLES, 3, BITS)
    tables.extend(np.full((TABLES, 3), (1 << BITS) - 1, np.uint32))
    assert found(tables, 0, (1 << BITS) - 1) == {0, 1, 2}
    assert found(tables, 0, (1 << BITS) - 1 - (1 << (TAG_BITS - 1))) == set()
    assert found(tables, 0, (1 << BITS) - 2) == set()


@pytest.mark.parametrize("at_once", [1, 1 << 15])
def test_buckets_are_more_and_no_fuller_as_tables_grow(at_once: int) -> None:
    bits, rng, rows = 18, np.random.default_rng(9), 20 * at_once if at_once > 1 else 2000
    tables, forms = Tables(1, rows, bits), []
    for _ in range(0, rows, at_once):
        tables.extend(rng.integers(0, 1 << bits, (1, at_once)).astype(np.uint32))
        forms.append(bits - int(tables.searched.last[0]))
    assert forms == sorted(forms)
    assert forms[0] < forms[-1] < bits
    assert FULLEST / 2.5 <= rows / (1 << forms[-1]) <= 2 * FULLEST


def test_rows_that_come_and_go_for_ever_need_no_more_room() -> None:
    """Gaps are filled again, or the table is made anew without them."""
    rng, kept = np.random.default_rng(3), Kept(1 << BITS)
    kept.extend(rng, 450)
    before = kept.tables.nbytes
    for _ in range(20_000):
        kept.remove(rng)
        kept.insert(rng)
    check(kept.tables, kept.keys)
    assert kept.tables.nbytes <= 2.5 * before


def test_tables_that_are_made_anew_while_rows_come_and_go_keep_them_all() -> None:
    """Rows go where the new table has been filled already, and where it has not."""
    bits, rng, n = 16, np.random.default_rng(4), 2000
    tables, keys = Tables(TABLES, 4 * n, bits), dict[int, np.ndarray]()

    def look() -> None:
        for t in range(TABLES):
            for row in rng.choice(list(keys), 40):
                key = int(keys[int(row)][t])
                assert found(tables, t, key) == {r for r, own in keys.items() if int(own[t]) == key}

    seen = set()
    for row in range(4 * n):
        keys[row] = rng.integers(0, 1 << bits, TABLES).astype(np.uint32)
        tables.insert(row, keys[row])
        if row % 3 == 2:
            gone = int(rng.choice(list(keys)))
            tables.remove(gone)
            del keys[gone]
        if row % 400 == 399:
            look()
        seen.add(tuple(tables.searched.last.tolist()))
    look()
    assert len(seen) > TABLES


def test_a_reader_finds_what_stays_while_tables_are_made_anew() -> None:
    bits, rng, stay = 16, np.random.default_rng(10), 300
    tables, stop = Tables(TABLES, 20_000, bits), Event()
    keys = rng.integers(0, 1 << bits, (TABLES, 20_000)).astype(np.uint32)
    tables.extend(keys[:, :stay])

    def read(seed: int) -> tuple[int, int]:
        """Looks, and those in vain."""
        own, looks, missed, out = np.random.default_rng(seed), 0, 0, np.empty(100_000, np.int64)
        while not stop.is_set():
            t, row = int(own.integers(TABLES)), int(own.integers(stay))
            searched, key = tables.searched, keys[t, row]
            last = int(searched.last[t])
            rest = np.uint32((1 << last) - 1)
            n, _ = rows_at(searched.tables[t], int(key) >> last, key & rest, rest, 0, out)
            looks, missed = looks + 1, missed + (row not in out[:n])
        return looks, missed

    forms = set()
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read, seed) for seed in range(2)]
        for _ in range(2):
            for row in range(stay, 4000):
                tables.insert(row, keys[:, row])
                forms.add(tuple(tables.searched.last.tolist()))
            for row in range(stay, 4000):
                tables.remove(row)
                forms.add(tuple(tables.searched.last.tolist()))
        stop.set()
        assert [reader.result()[1] for reader in readers] == [0, 0]
        assert all(reader.result()[0] > 0 for reader in readers)
    assert len(forms) > TABLES


def test_tables_shrink_by_and_by_as_rows_go() -> None:
    rng, kept = np.random.default_rng(5), Kept(1 << BITS)
    kept.extend(rng, 8000)
    empty, before = Tables(TABLES, 1, BITS).nbytes, kept.tables.nbytes
    for _ in range(7900):
        kept.remove(rng)
    assert kept.tables.nbytes - empty < (before - empty) / 10
    check(kept.tables, kept.keys)


def test_buckets_grow_fewer_again_as_rows_go() -> None:
    rng, n = np.random.default_rng(6), 6000
    tables = Tables(1, n, 16)
    tables.extend(rng.integers(0, 1 << 16, (1, n)).astype(np.uint32))
    before = int(tables.searched.last[0])
    for row in range(n - 200):
        tables.remove(row)
    assert tables.searched.last[0] > before
    keys = tables.keys[0, n - 200 :]
    for row, key in enumerate(keys.tolist(), n - 200):
        assert row in found(tables, 0, key)


def test_tables_are_made_anew_one_after_the_other() -> None:
    tables, bits, most = Tables(24, 40_000, 18), 18, 0
    rng, last = np.random.default_rng(6), tables.searched.last
    for _ in range(400):
        tables.extend(rng.integers(0, 1 << bits, (24, 100)).astype(np.uint32))
        most = max(most, int((tables.searched.last != last).sum()))
        last = tables.searched.last
    assert int(last.min()) < bits - 9
    assert most < 24 // 2
    assert FULLEST * APART < STEP


def test_more_keys_of_one_bucket_than_a_table_has_room_for_are_all_kept() -> None:
    tables, n = Tables(1, 20_000, BITS), 20_000
    assert n > 10 * SLOTS * LEAST_LINES
    for _ in range(0, n, 5000):
        tables.extend(np.full((1, 5000), 77, np.uint32))
    assert found(tables, 0, 77) == set(range(n))


@pytest.mark.parametrize("rows", [0, 1, 5000])
def test_tables_go_on_from_what_was_taken_of_them(rows: int) -> None:
    rng, kept = np.random.default_rng(7), Kept(1 << 28)
    kept.extend(rng, rows)
    for _ in range(rows // 2):
        kept.remove(rng)
    old = kept.tables
    searched = Searched(tuple(t.copy() for t in old.in_use.tables), old.in_use.last)
    kept.tables = Tables.of(searched, old.keys[:, : kept.used].copy(), BITS)
    assert kept.tables.nbytes <= old.nbytes
    check(kept.tables, kept.keys)
    for _ in range(3000):
        kept.insert(rng)
    check(kept.tables, kept.keys)
