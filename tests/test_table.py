"""The tables find every entry that was put and none that was removed, however they grow, shrink and fill."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from time import sleep
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bucket import BUCKETS, NEXT, NO_KEY, PROBE, RING, SLOTS, below, bucket_of, choosing, put_rows, settle, walk
from models.line import ROW_BITS, TAG_BITS
from models.table import FULL, LEAST_AT_ONCE, LEAST_LINES, ROOMY, ROUND, Searched, Tables
from models.vectors import LINE

TABLES = 3
BITS = 28


def looked(table: np.ndarray, places: list[int], tag: int, bits: int, most: int) -> list[int]:
    """The rows of these buckets' entries whose tags differ from `tag` in at most so many of `bits`."""
    probes, out = np.zeros((RING, PROBE), np.uint32), list[int]()
    rows, by = np.empty(3 * LINE, np.uint32), np.empty(3 * LINE, np.uint32)
    for first in range(0, len(places), RING):
        some = places[first : first + RING]
        probes[: len(some)] = [(place, tag, bits, most, TAG_BITS, 7) for place in some]
        head, tail = 0, len(some)
        while head < tail:
            head, tail, found = walk(table, probes, head, tail, rows, by)
            assert (by[:found] == 7).all()
            out += rows[:found].tolist()
    return out


def found(tables: Searched, t: int, key: int, free: int = 0, most: int = 0, bits: int = BITS) -> set[int]:
    """The rows that a reader finds under a key, of which the bits in `free` may be any, and `most` of the others that
    do not choose a bucket."""
    buckets, low = int(tables.buckets[t]), below(bits)
    chosen = int(choosing(buckets))
    places, turned = set[int](), 0
    while True:
        places.add(int(bucket_of(np.uint32(key ^ turned), buckets, chosen)))
        turned = (turned - (free & chosen)) & free & chosen
        if not turned:
            break
    counts = ~free >> low & (1 << TAG_BITS) - 1
    return set(looked(tables.tables[t], sorted(places), key >> low, counts, most))


def entries(tables: Tables, t: int) -> set[int]:
    """The rows of all entries."""
    searched = tables.searched
    return set(looked(searched.tables[t], list(range(int(searched.buckets[t]))), 0, 0, 0))


def check(tables: Tables, keys: dict[int, np.ndarray]) -> None:
    """Every row is found under each of its keys, and nothing else is."""
    for t in range(TABLES):
        wanted: dict[int, set[int]] = {}
        for row, own in keys.items():
            if own[t] != NO_KEY:
                wanted.setdefault(int(own[t]), set()).add(row)
        for key, rows in wanted.items():
            assert found(tables.searched, t, key) == rows
        assert entries(tables, t) == set().union(*wanted.values())


class Kept:
    """Tables beside a plain dictionary of what they should hold; places of removed rows are used again."""

    def __init__(self, values: int) -> None:
        self.tables, self.keys, self.free = Tables(TABLES, 16, BITS), dict[int, np.ndarray](), list[int]()
        self.used, self.values = 0, values

    def drawn(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Random keys for so many rows; few values make many rows equal; one in ten is missing."""
        keys = rng.integers(0, self.values, (TABLES, n)).astype(np.uint32)
        return np.where(rng.random(keys.shape) < 0.1, NO_KEY, keys)

    def insert(self, rng: np.random.Generator) -> None:
        row = self.free.pop() if self.free else self.used
        self.used = max(self.used, row + 1)
        self.keys[row] = self.drawn(rng, 1)[:, 0]
        self.tables.insert(row, self.keys[row])

    def extend(self, rng: np.random.Generator, n: int) -> None:
        keys = self.drawn(rng, n)
        self.tables.extend(keys)
        self.keys |= {self.used + k: keys[:, k] for k in range(n)}
        self.used += n

    def remove(self, rng: np.random.Generator) -> None:
        row = int(rng.choice(list(self.keys)))
        self.tables.remove(row, self.keys.pop(row))
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
            assert found(one.searched, t, int(key)) == found(many.searched, t, int(key)) != set()


def test_keys_are_found_whatever_bits_are_free_whether_they_choose_a_bucket_or_not() -> None:
    bits, n, rng = 18, 6000, np.random.default_rng(8)
    tables = Tables(1, n, bits)
    keys = rng.integers(0, 1 << bits, n).astype(np.uint32)
    keys[::7] = keys[0] ^ (np.uint32(1) << rng.integers(0, bits, len(keys[::7])).astype(np.uint32))
    tables.extend(keys[None])
    for row in range(0, n, 100):
        free = int(np.bitwise_or.reduce(np.uint32(1) << rng.integers(0, bits, 6).astype(np.uint32)))
        assert found(tables.searched, 0, int(keys[row]), free, bits=bits) == set(
            np.flatnonzero((keys ^ keys[row]) & np.uint32(~free & 0xFFFFFFFF) == 0).tolist()
        )


@pytest.mark.parametrize("most", [1, 2, 3])
def test_keys_of_one_bucket_are_found_with_so_many_bits_of_their_tags_turned(most: int) -> None:
    rng, n = np.random.default_rng(9), 3000
    tables, keys = Tables(1, n, BITS), rng.integers(0, 1 << BITS, n).astype(np.uint32)
    for row in range(1, n, 2):
        keys[row] = keys[row - 1] ^ np.uint32(rng.integers(0, 1 << row % TAG_BITS) << below(BITS))
    tables.extend(keys[None])
    low = (1 << below(BITS)) - 1
    for row in range(0, n, 50):
        differing = np.bitwise_count(keys ^ keys[row])
        same = (keys ^ keys[row]) & low == 0
        assert found(tables.searched, 0, int(keys[row]), most=most) == set(
            np.flatnonzero(same & (differing <= most)).tolist()
        )


def test_an_entry_of_the_highest_key_is_found() -> None:
    tables = Tables(TABLES, 3, BITS)
    tables.extend(np.full((TABLES, 3), (1 << BITS) - 1, np.uint32))
    assert found(tables.searched, 0, (1 << BITS) - 1) == {0, 1, 2}
    assert found(tables.searched, 0, (1 << BITS - 1) - 1) == set()
    assert found(tables.searched, 0, (1 << BITS) - 1 - (1 << below(BITS))) == set()


@pytest.mark.parametrize("at_once", [1, 1000, 1 << 15])
def test_buckets_are_as_many_as_the_entries_ask_for(at_once: int) -> None:
    bits, rng, rows = 18, np.random.default_rng(9), 40_000 if at_once > 1 else 4000
    tables, held = Tables(1, rows + at_once, bits), 0
    while held < rows:
        keys = rng.integers(0, 1 << bits, (1, at_once)).astype(np.uint32)
        if at_once > 1:
            tables.extend(keys)
        else:
            tables.insert(held, keys[:, 0])
        held += at_once
        assert held - ROUND < tables.searched.buckets[0] * FULL + FULL * (1 << below(bits))
        assert tables.searched.buckets[0] == max(tables.searched.buckets[0], 1 << below(bits)) <= max(held // FULL, 8)
    assert tables.searched.buckets[0] == pytest.approx(held / FULL, rel=0.05)


def test_a_small_table_has_emptier_buckets_and_keeps_them_until_they_are_full() -> None:
    bits, rng, small = 22, np.random.default_rng(11), 10_000
    tables, held = Tables(1, 60_000, bits, small=small), 0
    for size in (5000, 10_000, 20_000, 60_000):
        tables.extend(rng.integers(0, 1 << bits, (1, size - held)).astype(np.uint32))
        held = size
        assert tables.searched.buckets[0] == pytest.approx(max(min(held, small) / ROOMY, held / FULL), rel=0.05)


def test_memory_of_an_entry_is_the_same_at_all_sizes() -> None:
    bits, rng, held = 22, np.random.default_rng(10), 0
    tables = Tables(1, 200_000, bits)
    for size in (70_000, 10_000, 20_000, 30_000, 40_000):
        tables.extend(rng.integers(0, 1 << bits, (1, size)).astype(np.uint32))
        held += size
        assert 6 < tables.nbytes / held < 7.2


def test_rows_that_come_and_go_for_ever_need_no_more_room() -> None:
    """Gaps are filled again."""
    rng, kept = np.random.default_rng(3), Kept(1 << BITS)
    kept.extend(rng, 450)
    before = kept.tables.nbytes
    for _ in range(20_000):
        kept.remove(rng)
        kept.insert(rng)
    check(kept.tables, kept.keys)
    assert kept.tables.nbytes <= 1.1 * before


def test_buckets_that_are_divided_while_rows_come_and_go_keep_them_all() -> None:
    """What is removed is gone from the old bucket as well as from the new one."""
    bits, rng, n = 16, np.random.default_rng(4), 4000
    tables, keys = Tables(TABLES, 4 * n, bits), dict[int, np.ndarray]()
    seen = set()
    for row in range(4 * n):
        keys[row] = rng.integers(0, 1 << bits, TABLES).astype(np.uint32)
        tables.insert(row, keys[row])
        if row % 3 == 2:
            gone = int(rng.choice(list(keys)))
            tables.remove(gone, keys.pop(gone))
        if row % 400 == 399:
            for t in range(TABLES):
                assert entries(tables, t) == set(keys)
                for one in rng.choice(list(keys), 20):
                    key = int(keys[int(one)][t])
                    wanted = {r for r, own in keys.items() if int(own[t]) == key}
                    assert found(tables.searched, t, key, bits=bits) == wanted
        seen.add(tuple(tables.searched.buckets.tolist()))
    assert len(seen) > 100


def test_no_bucket_is_divided_twice_while_somebody_reads_who_began_before() -> None:
    bits, rng, n = 18, np.random.default_rng(12), 20_000
    tables, keys = Tables(TABLES, n, bits), rng.integers(0, 1 << bits, (TABLES, n)).astype(np.uint32)
    tables.extend(keys[:, :2000])
    held: Searched | None = tables.searched
    for row in range(2000, 6000):
        tables.insert(row, keys[:, row])
    assert held is not None
    assert max(tables.searched.buckets.tolist()) <= 2000 // FULL + 2 * ROUND // FULL + 1
    for t in range(TABLES):
        for row in range(0, 2000, 50):
            assert row in found(held, t, int(keys[t, row]), bits=bits)
    held = None
    tables.extend(keys[:, 6000:])
    assert min(tables.searched.buckets.tolist()) == n // FULL
    for t in range(TABLES):
        assert entries(tables, t) == set(range(n))


@pytest.mark.parametrize("at_once", [1, LEAST_AT_ONCE])
def test_readers_find_what_stays_while_buckets_are_divided(at_once: int) -> None:
    bits, rng, stay, rows = 16, np.random.default_rng(10), 300, 20_000 if at_once == 1 else 60 * LEAST_AT_ONCE
    tables, stop = Tables(TABLES, 30_000, bits), Event()
    keys = rng.integers(0, 1 << bits, (TABLES, rows + at_once)).astype(np.uint32)
    tables.extend(keys[:, :stay])

    begun = [0, 0]

    def read(seed: int) -> tuple[int, int]:
        """Looks, and those in vain."""
        own, looks, missed = np.random.default_rng(seed), 0, 0
        while not stop.is_set():
            searched = tables.searched
            begun[seed] += 1
            for _ in range(20):
                t, row = int(own.integers(TABLES)), int(own.integers(stay))
                looks, missed = looks + 1, missed + (row not in found(searched, t, int(keys[t, row]), bits=bits))
            del searched
        return looks, missed

    def anew(readers: list[Future[tuple[int, int]]]) -> None:
        """Wait until each reader has begun anew: then buckets can be divided."""
        for seed, reader in enumerate(readers):
            before = begun[seed]
            while begun[seed] == before and not reader.done():
                sleep(0)

    forms = set()
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read, seed) for seed in range(2)]
        for number, row in enumerate(range(stay, rows, at_once)):
            if number * at_once % 500 < at_once:
                anew(readers)
            if at_once == 1:
                tables.insert(row, keys[:, row])
            else:
                tables.extend(keys[:, row : row + at_once])
            if row % 3 == 0:
                tables.remove(row, keys[:, row])
            forms.add(tuple(tables.searched.buckets.tolist()))
        stop.set()
        assert [reader.result()[1] for reader in readers] == [0, 0]
        assert all(reader.result()[0] > 0 for reader in readers)
    assert len(forms) > 10


def chain(table: np.ndarray, at: int) -> list[int]:
    """The lines of a bucket from this one on."""
    found = [at]
    while number := int(table[found[-1], NEXT]):
        found.append(len(table) - number)
    return found


def rows_in(table: np.ndarray, places: list[int]) -> set[int]:
    """The rows of the entries in these lines, counted from 1."""
    return set((table[places, :SLOTS] & np.uint32((1 << ROW_BITS) - 1)).ravel().tolist()) - {0}


def unhidden(was: np.ndarray, now: np.ndarray, first: int, stays: set[int]) -> None:
    """Whoever has read some lines of a bucket as it was, and reads on as it is now, has found all that stays."""
    old = chain(was, first)
    for k in range(1, len(old)):
        assert rows_in(was, old[:k]) | rows_in(now, chain(now, old[k])) >= stays


def test_a_reader_who_stands_anywhere_in_a_bucket_that_is_closed_up_finds_what_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed = list[int]()

    def watched(tables: tuple[np.ndarray, ...], state: np.ndarray, *given: Any) -> None:
        before = [table.copy() for table in tables]
        settle(tables, state, *given)
        for was, now, buckets in zip(before, tables, state[:, BUCKETS], strict=True):
            for first in range(min(16, buckets)):
                old, new = chain(was, first), chain(now, first)
                closed.append((len(old) - len(new)) * (len(new) > 1))
                unhidden(was, now, first, rows_in(now, new))

    monkeypatch.setattr("models.table.settle", watched)
    tables, rng = Tables(2, 4000, 16), np.random.default_rng(20)
    for _ in range(40):
        tables.extend(rng.integers(0, 1 << 16, (2, 100)).astype(np.uint32))
    assert sum(closed) > 20  # lines that were let go while others behind the first one stayed


def test_a_reader_who_stands_anywhere_in_a_bucket_that_entries_are_put_into_finds_what_was_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved = list[bool]()

    def watched(tables: tuple[np.ndarray, ...], state: np.ndarray, *given: Any) -> None:
        before = [table.copy() for table in tables]
        put_rows(tables, state, *given)
        for was, now, buckets in zip(before, tables, state[:, BUCKETS], strict=True):
            for first in range(min(16, buckets)):
                stays = rows_in(was, chain(was, first))
                assert rows_in(now, chain(now, first)) >= stays
                unhidden(was, now, first, stays)
                moved.append(not rows_in(now, [first]) >= rows_in(was, [first]))

    monkeypatch.setattr("models.table.put_rows", watched)
    tables, rng, keys = Tables(2, 4000, 16), np.random.default_rng(21), dict[int, np.ndarray]()
    for begin in range(0, 4000, 100):
        some = rng.integers(0, 1 << 16, (2, 100)).astype(np.uint32)
        tables.extend(some)
        keys |= {begin + k: some[:, k] for k in range(100)}
        for row in rng.choice(list(keys), 20 * (begin > 2000), replace=False):
            tables.remove(int(row), keys.pop(int(row)))
    assert sum(moved) > 100


def test_all_lines_of_a_bucket_but_its_first_are_full_until_something_is_removed() -> None:
    tables, rng = Tables(1, 40_000, 18), np.random.default_rng(22)
    for size in (700, 3000, 20_000):
        tables.extend(rng.integers(0, 1 << 18, (1, size)).astype(np.uint32))
        (table,), (buckets,) = tables.searched
        further = [at for first in range(int(buckets)) for at in chain(table, first)[1:]]
        assert len(further) > 20
        assert all(len(rows_in(table, [at])) == SLOTS for at in further)


def test_more_keys_of_one_bucket_than_a_table_has_room_for_are_all_kept() -> None:
    tables, n = Tables(1, 20_000, BITS), 20_000
    assert n > 10 * SLOTS * LEAST_LINES
    for _ in range(0, n, 5000):
        tables.extend(np.full((1, 5000), 77, np.uint32))
    assert found(tables.searched, 0, 77) == set(range(n))


@pytest.mark.parametrize("rows", [0, 1, 5000])
def test_tables_go_on_from_what_was_taken_of_them(rows: int) -> None:
    rng, kept, bits = np.random.default_rng(7), Kept(1 << 16), 16
    kept.tables = Tables(TABLES, 16, bits)
    kept.extend(rng, rows)
    for _ in range(rows // 2):
        kept.remove(rng)
    old = kept.tables
    keys = np.full((TABLES, kept.used), NO_KEY)
    for row, own in kept.keys.items():
        keys[:, row] = own
    kept.tables = Tables.of(*old.in_use, keys, bits)
    assert kept.tables.nbytes == old.nbytes
    for _ in range(3000):
        kept.insert(rng)
    for t in range(TABLES):
        assert entries(kept.tables, t) == {row for row, own in kept.keys.items() if own[t] != NO_KEY}
        for row, own in list(kept.keys.items())[::50]:
            if own[t] != NO_KEY:
                assert row in found(kept.tables.searched, t, int(own[t]), bits=bits)
