"""Tables from keys to rows, one for each key that a row has, that grow a few buckets at a time.

Owns how many buckets a table has (models/bucket.py), one for each so many entries, and when they are divided. Refuses
to know what the keys mean, to keep them, and to search. A reader keeps the `Searched` that it began with; no bucket is
divided, and no line is used again, until the one that was replaced last is let go. Meanwhile buckets get fuller, no
more.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from models.bucket import (
    BUCKETS,
    FREE,
    FURTHER,
    HELD,
    LEFT,
    NO_KEY,
    SETTLED,
    STATE,
    below,
    lines,
    put_row,
    put_rows,
    settle,
    split,
    take_row,
    unused,
)
from models.vectors import LINE

FULL: Final = 26
"""Entries in a bucket, on average: 6.9 bytes an entry. Fewer leave more room empty, more are looked at in vain."""
ROOMY: Final = 11
"""The same of a table that is small: some 8 bytes an entry, and hardly a further line to look at."""
AHEAD: Final = (4.0, 6.0)
"""A table that must be larger is copied, and has room then for so many times the lines that it uses, the first one the
least: they do not all come to it together. What is not used yet takes addresses but no memory."""
EACH: Final = 0.15
"""Lines that a table has room for at its beginning for each row that it is made for, some more than they need."""
LEAST_LINES: Final = 64
"""Lines that a table has room for beyond those in use, at least."""
GAPS: Final = 3
"""Lines behind a bucket's first in which gaps are looked for before it gets another one, once anything was removed:
before that there are none."""
LEAST_AT_ONCE: Final = 4096
MOST_AT_ONCE: Final = 16384
"""Rows for which buckets are divided before they are entered, at least and at most: their keys stay in the processor's
cache. Between these,"""
SHARE: Final = 64
"""this part of those that are held: the lines that dividing leaves are not used again before the next time."""
ROUND: Final = 64
"""Rows that are entered one by one before it is seen to that buckets are divided."""


class Searched(NamedTuple):
    """What a search reads, replaced as a whole: the tables, (lines, LINE) each, and how many buckets each one has."""

    tables: tuple[NDArray[np.uint32], ...]
    buckets: NDArray[np.int64]


class Tables:
    """Several tables over the same rows, one for each key that a row has.

    Keys are uint32, `NO_KEY` where a row has none; who removes a row gives them again. A key has `bits` bits, of which
    the lowest choose its bucket; there are `full` entries in one, on average, but in a small table, whose buckets are
    as many as the keys' bits demand. Up to `small` entries there are `ROOMY` in one, and no more buckets from there on
    until there are `full`. Some `room` rows are entered before a table must be copied.
    """

    def __init__(self, count: int, room: int, bits: int, full: float = FULL, small: int = 0) -> None:
        self._low, self._full, self._small, self._rows, self._since = below(bits), full, small, 0, 0
        self._state = np.zeros((count, STATE), np.int64)
        self._state[:, BUCKETS] = self._state[:, SETTLED] = 1 << self._low
        self._spare = np.zeros((count, LEAST_LINES), np.int32)
        self._looks = 0
        ahead = (1 << self._low) + LEAST_LINES + int(EACH * room)
        made = tuple(lines(ahead) for _ in range(count))
        for table in made:
            table[: 1 << self._low] = 0
        self.searched = Searched(made, self._state[:, BUCKETS].copy())
        self._before = ref(self.searched.buckets.copy())

    @classmethod
    def of(
        cls,
        searched: Searched,
        settled: NDArray[np.int64],
        keys: NDArray[np.uint32],
        bits: int,
        full: float = FULL,
        small: int = 0,
    ) -> Tables:
        """What all this was taken from (`in_use`), with the keys of all rows, (tables, n)."""
        made = cls(len(keys), 0, bits, full, small)
        made._rows = keys.shape[1]
        made._state[:, HELD] = (keys != NO_KEY).sum(axis=1)
        made._looks = GAPS
        made._state[:, BUCKETS], made._state[:, SETTLED] = searched.buckets, settled
        made._state[:, FURTHER] = [len(table) for table in searched.tables] - searched.buckets
        made.searched = Searched(searched.tables, searched.buckets.copy())
        for t, table in enumerate(searched.tables):
            numbers = unused(table, made._state[t])
            while len(numbers) > made._spare.shape[1]:
                made._widen()
            made._spare[t, : len(numbers)] = numbers
            made._state[t, FREE : LEFT + 1] = len(numbers)
            made._enlarge(t)
        return made

    @property
    def in_use(self) -> tuple[Searched, NDArray[np.int64]]:
        """The tables without the room that they have left, copied, and from which bucket on they are not settled."""
        tables, buckets = self.searched
        used = zip(tables, self._state, strict=True)
        return Searched(tuple(_roomier(t, s, 0) for t, s in used), buckets.copy()), self._state[:, SETTLED].copy()

    @property
    def nbytes(self) -> int:
        """Bytes in use of the tables, without the keys."""
        return 4 * LINE * int(self._state[:, [BUCKETS, FURTHER]].sum()) + self._spare.nbytes

    @property
    def _all(self) -> tuple[tuple[NDArray[np.uint32], ...], NDArray[np.int64], NDArray[np.int32], int]:
        """What compiled work on all tables takes. Where one had no room to go on, the state says so."""
        return self.searched.tables, self._state, self._spare, self._low

    def insert(self, row: int, keys: NDArray[np.uint32]) -> None:
        """Enter one row under its keys, (tables,)."""
        keys, self._rows, t = np.ascontiguousarray(keys), max(self._rows, row + 1), 0
        while (t := self._put_row(keys, t, row)) < len(keys):
            self._enlarge(t)
        self._since += 1
        if self._since >= ROUND:
            self._go_on()

    def _put_row(self, keys: NDArray[np.uint32], first: int, row: int) -> int:
        return put_row(*self._all, self._looks, keys, first, row)

    def extend(self, keys: NDArray[np.uint32]) -> None:
        """Enter rows behind the last one under their keys, (tables, n). Many at once take less time each."""
        keys = np.ascontiguousarray(keys)  # of one form, since code is compiled for each
        first, end = 0, keys.shape[1]
        while first < end:
            stop = min(first + min(max(LEAST_AT_ONCE, self._rows // SHARE), MOST_AT_ONCE), end)
            self._go_on(stop - first)
            self._put_rows(keys, first, stop)
            first = stop

    def _put_rows(self, keys: NDArray[np.uint32], first: int, end: int) -> None:
        before, done = self._rows - first, np.full(len(keys), first)
        self._rows += end - first
        while True:
            put_rows(*self._all, self._looks, keys, done, end, before)
            if not self._enlarged(done < end):
                return

    def remove(self, row: int, keys: NDArray[np.uint32]) -> None:
        """Forget a row, of which these are the keys, (tables,). Its places in the tables are used again."""
        take_row(self.searched.tables, self._state, np.ascontiguousarray(keys), row)
        self._looks = GAPS

    def _go_on(self, coming: int = 0) -> None:
        """Divide buckets until there are as many as the entries ask for, with those of so many rows that come, and
        settle them, unless somebody reads who began before they were divided last."""
        self._since = 0
        while self._before() is None:
            buckets = self._state[:, BUCKETS]
            if (self._state[:, SETTLED] < buckets).any():
                self._settle()
            held = self._state[:, HELD] + coming
            wanted = np.maximum(held // self._full, np.minimum(held, self._small) // ROOMY)
            wanted = np.minimum(wanted, 2 * buckets).astype(np.int64)
            if not (wanted > buckets).any():
                return
            self._divide(wanted)

    def _settle(self) -> None:
        """Once each time that buckets were divided: lines that were left the last time are free by now."""
        self._state[:, FREE] = self._state[:, LEFT]
        while True:
            settle(*self._all)
            if (self._state[:, SETTLED] == self._state[:, BUCKETS]).all():
                return
            self._widen()

    def _divide(self, wanted: NDArray[np.int64]) -> None:
        while True:
            split(*self._all, wanted)
            if not self._enlarged(self._state[:, BUCKETS] < wanted):
                break
        self._before = ref(self.searched.buckets)
        self.searched = Searched(self.searched.tables, self._state[:, BUCKETS].copy())

    def _enlarged(self, short: NDArray[np.bool_]) -> bool:
        """Give the tables that are short of room more; whether there are any."""
        for t in np.flatnonzero(short):
            self._enlarge(int(t))
        return bool(short.any())

    def _enlarge(self, t: int) -> None:
        """Give a table more room."""
        tables, buckets = self.searched
        used = int(self._state[t, BUCKETS] + self._state[t, FURTHER])
        least, most = AHEAD
        room = int(used * (least + (most - least) * t / len(tables))) + LEAST_LINES - used
        table = _roomier(tables[t], self._state[t], room)
        self.searched = Searched((*tables[:t], table, *tables[t + 1 :]), buckets)

    def _widen(self) -> None:
        self._spare = np.concatenate([self._spare, np.zeros_like(self._spare)], axis=1)


def _roomier(table: NDArray[np.uint32], state: NDArray[np.int64], room: int) -> NDArray[np.uint32]:
    """The lines in use of a table, with room for so many more between the buckets' first ones and the others."""
    buckets, further = int(state[BUCKETS]), int(state[FURTHER])
    copy = lines(buckets + room + further)
    copy[:buckets] = table[:buckets]
    copy[len(copy) - further :] = table[len(table) - further :]
    return copy
