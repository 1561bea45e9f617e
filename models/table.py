"""Tables from keys to rows, in buckets of cache lines: what lies in one bucket is compared side by side.

Owns the buckets, how an entry is packed, and how a table is made anew a few entries at a time. Refuses to know what
the keys mean. The first bits of a key choose its bucket, as many as leave some 24 to 72 entries to each; a directory
says where a bucket's first line lies, and each line where the next one does. A line of 64 bytes holds 12 entries of 40
bits and the number of that next line (0: none). An entry is the row, counted from 1, and all bits of the key that did
not choose the bucket: a key that is found is the whole key, and no look at memory is lost on others.

Whoever leaves some bits of a key open asks for each bucket that these bits choose, and in a bucket for all keys at once
that agree in the rest (`rows_in`), or differ from it in few bits.

One writer, many readers. A line's place is settled when it is first used: it stays in its bucket for as long as the
table is used, so a reader that goes on from it misses nothing. A new line is complete before the directory names it,
and a reader takes a line as a whole, so it finds an entry or it does not. A reader keeps the table that it began with;
one that is made anew is filled beside the old one, which stays complete until it is replaced.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.lanes import ENTRIES, LINE, ROW_BITS, TAG_BITS, compare_keys, compare_line, lowest, prefetch

SLOTS: Final = ENTRIES
"""Entries in a line; behind them lie the rest of their keys, and the next line's number."""
NEXT: Final = LINE - 1
"""Where in a line that number lies."""
ROWS: Final = (1 << ROW_BITS) - 2
"""Rows that an entry can name."""
FULLEST: Final = 48
"""Entries in a bucket, on average, at which the first table is made anew with twice as many buckets. Fewer entries in a
bucket leave more of its last line empty, more are looked at in vain."""
APART: Final = 1.5
"""The last table is made anew at so many times more: they do not all begin together."""
SPARSEST: Final = FULLEST // 2
"""Entries in a bucket, on average, that a table has at least when it is made, unless that were too few buckets."""
CROWDED: Final = 4 * FULLEST
"""Entries in a bucket, on average, beyond which a table is made anew at once rather than by and by."""
WASTED: Final = 2.0
"""A table is made anew when it uses so many times the lines that its entries need: those removed leave gaps."""
AHEAD: Final = 2.5
"""A table has room for so many times its entries. What is not used yet takes addresses but no memory."""
LEAST_LINES: Final = 64
"""Lines of an empty table, beside its directory."""
GAPS: Final = 4
"""Lines of a bucket in which a gap is looked for before it gets another line, once anything was removed."""
STEP: Final = 256
"""Entries that are carried into a table that is being made anew, at each insert: all are done before the next is due."""
NO_KEY: Final = np.uint32(0xFFFFFFFF)
"""Stands where a row has no key."""
_TAG: Final = np.uint32((1 << TAG_BITS) - 1)
_ROW: Final = np.uint32((1 << ROW_BITS) - 1)
_LOW: Final = 32 - ROW_BITS
"""Bits of a key that lie beside the row; the next eight lie in a byte of their own."""
_SOON: Final = 16
"""Rows whose buckets are asked of memory before they are needed; twice as many, whose place in the directory is."""
_DEEP: Final = 6
"""Lines of a bucket that are asked of memory before it is carried, one at each bucket or two before it."""


class Searched(NamedTuple):
    """What a search reads, replaced as a whole: the tables, each its directory and its lines, (lines, LINE), and by table
    how many last bits of a key do not choose its bucket."""

    tables: tuple[NDArray[np.uint32], ...]
    last: NDArray[np.int64]


def lines(count: int) -> NDArray[np.uint32]:
    """So many lines, (count, LINE), each on a cache line of its own, with anything in them."""
    raw = np.empty((count + 1) * LINE, np.uint32)  # NumPy asks for huge pages here
    skip = -raw.ctypes.data % 64 // 4
    return raw[skip : skip + count * LINE].reshape(count, LINE)


@njit(cache=True, nogil=True, inline="always")
def place_of(bucket: int | np.int64 | np.uint32) -> np.int64:
    """The line of the directory in which a bucket stands."""
    return np.int64(bucket) >> 4


@njit(cache=True, nogil=True, inline="always")
def first_line(table: NDArray[np.uint32], bucket: int | np.int64 | np.uint32) -> np.int64:
    """The first line of a bucket; 0 for an empty one."""
    return np.int64(table[np.int64(bucket) >> 4, np.int64(bucket) & 15])


@njit(cache=True, nogil=True, inline="always")
def rows_in(
    table: NDArray[np.uint32],
    at: int | np.int64,
    key: np.uint32,
    bits: np.uint32,
    most: int,
    out: NDArray[np.int64],
    found: int,
) -> int:
    """Append the rows of a line's entries whose keys differ from `key` in at most so many of `bits`; returns how many
    there are then. `bits` are of those that do not choose the bucket; `out` has room for `SLOTS` more."""
    hits = compare_keys(table, at, key, bits, most)
    while hits:
        out[found] = np.int64(table[at, lowest(hits)] & _ROW) - 1
        found += 1
        hits &= hits - np.uint32(1)
    return found


@njit(cache=True, nogil=True)
def put(
    table: NDArray[np.uint32],
    used: int | np.int64,
    last: int | np.int64,
    looks: int | np.int64,
    key: np.uint32,
    row: int,
) -> int:
    """Write an entry into a table that uses so many lines, into a gap in the bucket's first `looks` lines where there is
    one. How many lines it uses then; -1 when it has no room."""
    bucket = np.int64(key >> np.uint32(last))
    first = first_line(table, bucket)
    at = first
    for _ in range(looks):
        if at == 0:
            break
        gaps = compare_line(table, at, np.uint32(0), _ROW)
        if gaps:
            _write(table, at, lowest(gaps), key, row)
            return used
        at = np.int64(table[at, NEXT])
    if used == table.shape[0]:
        return -1
    for k in range(NEXT):
        table[used, k] = 0
    table[used, NEXT] = first
    _write(table, used, 0, key, row)
    table[bucket >> 4, bucket & 15] = used
    return used + 1


@njit(cache=True, nogil=True, inline="always")
def _write(table: NDArray[np.uint32], at: int | np.int64, slot: int, key: np.uint32, row: int) -> None:
    """The rest of the key first: without a row, an entry is none."""
    tag = np.uint32(key) & _TAG
    k, shift = SLOTS + (slot >> 2), np.uint32(8 * (slot & 3))
    table[at, k] = (table[at, k] & ~np.uint32(np.uint32(255) << shift)) | np.uint32(tag >> np.uint32(_LOW) << shift)
    table[at, slot] = np.uint32(tag << np.uint32(ROW_BITS)) | np.uint32(row + 1)


@njit(cache=True, nogil=True, inline="always")
def _tag(table: NDArray[np.uint32], at: int | np.int64, slot: int) -> np.uint32:
    """The bits of an entry's key that it holds."""
    high = table[at, SLOTS + (slot >> 2)] >> np.uint32(8 * (slot & 3)) & np.uint32(255)
    return np.uint32(table[at, slot] >> np.uint32(ROW_BITS) | high << np.uint32(_LOW))


@njit(cache=True, nogil=True)
def take(table: NDArray[np.uint32], last: int | np.int64, key: np.uint32, row: int) -> None:
    """Remove an entry."""
    at = first_line(table, key >> np.uint32(last))
    while at:
        found = compare_line(table, at, np.uint32(row + 1), _ROW)
        if found:
            table[at, lowest(found)] = np.uint32(0)
            return
        at = np.int64(table[at, NEXT])


@njit(cache=True, nogil=True)
def put_rows(
    table: NDArray[np.uint32],
    used: int | np.int64,
    last: int | np.int64,
    looks: int | np.int64,
    keys: NDArray[np.uint32],
    first: int,
    end: int,
    below: int,
) -> tuple[int, int]:
    """Write the entries of the rows in [first, end) whose keys are below `below`; `keys` are by row, `NO_KEY` for those
    that have none. The row at which the table had no more room, or `end`, and how many lines it uses then."""
    shift = np.uint32(last)
    for r in range(first, end):
        if r + 2 * _SOON < end and keys[r + 2 * _SOON] != NO_KEY:
            prefetch(table, place_of(keys[r + 2 * _SOON] >> shift))
        if r + _SOON < end and keys[r + _SOON] != NO_KEY:
            prefetch(table, first_line(table, keys[r + _SOON] >> shift))
        if keys[r] != NO_KEY and keys[r] < below:
            after = put(table, used, last, looks, keys[r], r)
            if after < 0:
                return r, used
            used = after
    return end, used


@njit(cache=True, nogil=True)
def due(
    held: NDArray[np.int64], used: NDArray[np.int64], last: NDArray[np.int64], full: NDArray[np.float64], bits: int
) -> int:
    """The table whose buckets are the fullest of those that must be made anew; -1 when none must."""
    found, most = -1, 0.0
    for t in range(held.size):
        buckets = np.int64(1) << (bits - last[t])
        needed = held[t] // SLOTS + min(buckets // 2, held[t])
        share = held[t] / (full[t] * buckets)
        wasted = used[t] - buckets // LINE > WASTED * needed + LEAST_LINES
        if (wasted or (share > 1 and last[t] > 0)) and share >= most:
            found, most = t, share
    return found


@njit(cache=True, nogil=True)
def put_row(
    tables: tuple[NDArray[np.uint32], ...],
    used: NDArray[np.int64],
    last: NDArray[np.int64],
    looks: NDArray[np.int64],
    keys: NDArray[np.uint32],
    first: int,
    row: int,
) -> int:
    """Write a row's entry into each table from `first` on; `keys` are by table and row. The table that has no room, or
    how many tables there are."""
    for t in range(first, len(tables)):
        if keys[t, row] != NO_KEY:
            prefetch(tables[t], place_of(keys[t, row] >> np.uint32(last[t])))
    for t in range(first, len(tables)):
        if keys[t, row] != NO_KEY:
            prefetch(tables[t], first_line(tables[t], keys[t, row] >> np.uint32(last[t])))
    for t in range(first, len(tables)):
        if keys[t, row] != NO_KEY:
            after = put(tables[t], used[t], last[t], looks[t], keys[t, row], row)
            if after < 0:
                return t
            used[t] = after
    return len(tables)


@njit(cache=True, nogil=True)
def take_row(
    tables: tuple[NDArray[np.uint32], ...], last: NDArray[np.int64], keys: NDArray[np.uint32], row: int
) -> None:
    """Remove a row's entry from each table."""
    for t in range(len(tables)):
        if keys[t, row] != NO_KEY:
            take(tables[t], last[t], keys[t, row], row)


@njit(cache=True, nogil=True)
def carry(
    old: NDArray[np.uint32],
    old_last: int | np.int64,
    table: NDArray[np.uint32],
    used: int | np.int64,
    last: int | np.int64,
    first: int,
    end: int,
    most: int,
) -> tuple[int, int, int]:
    """Carry buckets in [first, end) into another table, until that are `most` entries or it has no room for one. The
    bucket that comes next, how many lines the other table uses then, and how many entries were carried."""
    carried, parts = 0, 1 << max(old_last - last, 0)
    places, slots = np.empty(parts, np.int64), np.empty(parts, np.int64)
    for bucket in range(first, end):
        for depth in range(_DEEP):
            if bucket + 2 * (_DEEP - depth) < end:
                _ask(old, bucket + 2 * (_DEEP - depth), depth)
        at, held = first_line(old, bucket), 0
        while at:
            held += SLOTS
            at = np.int64(old[at, NEXT])
        if carried >= most or used + held > table.shape[0]:
            return bucket, used, carried
        base = (bucket << old_last) >> last
        for j in range(parts):
            places[j], slots[j] = first_line(table, base + j), 0
        at = first_line(old, bucket)
        while at:
            for slot in range(SLOTS):
                row = np.int64(old[at, slot] & _ROW)
                if row:
                    key = np.uint32(bucket << old_last) | _tag(old, at, slot) & np.uint32((1 << old_last) - 1)
                    j = np.int64(key >> np.uint32(last)) - base
                    used = _append(table, used, base + j, places, slots, j)
                    _write(table, places[j], slots[j], key, row - 1)
                    carried += 1
            at = np.int64(old[at, NEXT])
    return end, used, carried


@njit(cache=True, nogil=True, inline="always")
def _ask(table: NDArray[np.uint32], bucket: int | np.int64, depth: int) -> None:
    """Ask memory for the line that lies so deep in a bucket, when those before it are there already."""
    at = first_line(table, bucket)
    for _ in range(depth):
        at = np.int64(table[at, NEXT]) if at else at
    prefetch(table, at)


@njit(cache=True, nogil=True, inline="always")
def _append(
    table: NDArray[np.uint32],
    used: int | np.int64,
    bucket: int | np.int64,
    places: NDArray[np.int64],
    slots: NDArray[np.int64],
    j: int | np.int64,
) -> int | np.int64:
    """Go on to the next gap of a bucket that is being filled, into a new line if need be; how many lines are used
    then."""
    while places[j] and slots[j] < SLOTS and table[places[j], slots[j]] & _ROW:
        slots[j] += 1
    if places[j] == 0 or slots[j] == SLOTS:
        for k in range(NEXT):
            table[used, k] = 0
        table[used, NEXT] = places[j]
        table[bucket >> 4, bucket & 15] = used
        places[j], slots[j] = used, 0
        used += 1
    return used


class Tables:
    """Several tables over the same rows, one for each key that a row has.

    A table whose buckets hold too many entries is made anew with twice as many buckets, some entries at each insert or
    removal, so that none takes long; so is one in which removals have left too many gaps. They come to that one after
    the other. `keys` (tables, room) uint32 are kept for removals, by row; `NO_KEY` where a row has none. A key has
    `bits` bits.
    """

    def __init__(self, count: int, room: int, bits: int) -> None:
        self._bits = bits
        self._rows = 0
        self.keys = np.empty((count, room), np.uint32)
        self._held = np.zeros(count, np.int64)
        self._used = np.zeros(count, np.int64)
        self._looks = np.ones(count, np.int64)
        self._full = FULLEST * APART ** (np.arange(count) / max(count, 1))
        made = [self._made(0) for _ in range(count)]
        self.searched = Searched(tuple(made), np.full(count, self._last(0), np.int64))
        self._used[:] = self._directory(self._last(0))
        self._new: tuple[NDArray[np.uint32], int] | None = None
        self._new_used = self._which = self._done = 0

    @classmethod
    def of(cls, searched: Searched, keys: NDArray[np.uint32], bits: int) -> Tables:
        """What all this was taken from, `keys` of the rows in use; it writes to these."""
        made = cls(len(keys), 0, bits)
        made.keys, made._rows = keys, keys.shape[1]
        made._held = (keys != NO_KEY).sum(axis=1)
        made._used = np.array([len(table) for table in searched.tables], np.int64)
        made._looks[:] = GAPS
        made.searched = Searched(
            tuple(_roomier(t, len(t), int(AHEAD * len(t))) for t in searched.tables), searched.last
        )
        return made

    @property
    def in_use(self) -> Searched:
        """The tables without the room that they have left."""
        tables, last = self.searched
        return Searched(tuple(t[:n] for t, n in zip(tables, self._used.tolist(), strict=True)), last)

    @property
    def nbytes(self) -> int:
        """Bytes in use of the tables, without the keys."""
        return 4 * LINE * (int(self._used.sum()) + (0 if self._new is None else self._new_used))

    def grow(self, room: int) -> None:
        """Make room for the keys of so many rows."""
        keys = np.empty((len(self.keys), room), np.uint32)
        keys[:, : self._rows] = self.keys[:, : self._rows]
        self.keys = keys

    def insert(self, row: int, keys: NDArray[np.uint32]) -> None:
        """Enter one row under its keys, (tables,)."""
        self.keys[:, row] = keys
        self._rows = max(self._rows, row + 1)
        t = 0
        while (t := self._put_row(t, row)) < len(keys):
            self._enlarge(t)
        self._held += keys != NO_KEY
        if self._carried(key := keys[self._which]):
            self._put_new(key, row)
        self._go_on(1)

    def _put_row(self, first: int, row: int) -> int:
        return put_row(self.searched.tables, self._used, self.searched.last, self._looks, self.keys, first, row)

    def extend(self, keys: NDArray[np.uint32]) -> None:
        """Enter rows behind the last one under their keys, (tables, n). Many at once take less time each."""
        first, end = self._rows, self._rows + keys.shape[1]
        self.keys[:, first:end] = keys
        held = self._held + (keys != NO_KEY).sum(axis=1)
        for t in range(len(keys)):
            if held[t] > CROWDED << (self._bits - self.searched.last[t]):
                self._renew(t, int(held[t]))
            self._put_rows(t, first, end)
        self._rows, self._held = end, held
        self._go_on(keys.shape[1])

    def remove(self, row: int) -> None:
        """Forget a row."""
        take_row(*self.searched, self.keys, row)
        self._looks[:] = GAPS
        if self._carried(key := self.keys[self._which, row]):
            assert self._new is not None
            take(*self._new, key, row)
        self._held -= self.keys[:, row] != NO_KEY
        self.keys[:, row] = NO_KEY
        self._go_on(1)

    def _last(self, held: int) -> int:
        """How many last bits of a key lie in an entry, in a table that is made for so many."""
        first = max(held // SPARSEST, 1).bit_length() - 1
        return self._bits - min(max(first, self._bits - TAG_BITS, 4), self._bits)

    def _directory(self, last: int) -> int:
        """Lines of a directory."""
        return 1 << (self._bits - last - 4)

    def _needed(self, held: int, last: int) -> int:
        """Lines that so many entries need, about: the last one of each bucket is half full, or hardly, in a small
        table."""
        buckets = 1 << (self._bits - last)
        full = held > SPARSEST * buckets
        return self._directory(last) + held // SLOTS + min(buckets // 2 if full else buckets, held)

    def _made(self, held: int) -> NDArray[np.uint32]:
        """An empty table for so many entries, and more to come."""
        last = self._last(held)
        table = lines(LEAST_LINES + self._needed(int(AHEAD * held), last))
        table[: self._directory(last)] = 0
        return table

    def _put_rows(self, t: int, first: int, end: int) -> None:
        """Enter rows into one table, and into what it is being replaced by."""
        row = first
        while row < end:
            table, last = self.searched.tables[t], self.searched.last[t]
            row, self._used[t] = put_rows(
                table, self._used[t], last, self._looks[t], self.keys[t], row, end, 1 << 32
            )
            if row < end:
                self._enlarge(t)
        row = first
        while self._new is not None and self._which == t and row < end:
            below = self._done << int(self.searched.last[t])
            row, self._new_used = put_rows(
                self._new[0], self._new_used, self._new[1], 1, self.keys[t], row, end, below
            )
            if row < end:
                self._enlarge_new()

    def _carried(self, key: np.uint32) -> bool:
        """Whether the bucket of a key has been carried into the table that will replace its own."""
        if self._new is None or key == NO_KEY:
            return False
        return bool(int(key) >> int(self.searched.last[self._which]) < self._done)

    def _put_new(self, key: np.uint32, row: int) -> None:
        assert self._new is not None
        while (after := put(self._new[0], self._new_used, self._new[1], 1, key, row)) < 0:
            self._enlarge_new()
        self._new_used = after

    def _enlarge(self, t: int) -> None:
        """Give a table more room at once: its keys are spread less evenly than most."""
        table = self.searched.tables[t]
        self._swap(t, _roomier(table, len(table), 2 * len(table)), int(self.searched.last[t]))

    def _enlarge_new(self) -> None:
        assert self._new is not None
        table, last = self._new
        self._new = _roomier(table, self._new_used, 2 * len(table)), last

    def _renew(self, t: int, held: int) -> None:
        """Make a table anew at once, for so many entries: more came together than making it by and by allows for."""
        if self._which == t:
            self._new = None
        waiting, self._new, self._which = (self._new, self._new_used, self._done, self._which), None, t
        self._begin(t, held)
        while self._new is not None:
            self._carry(1 << 62)
        self._new, self._new_used, self._done, self._which = waiting

    def _go_on(self, rows: int) -> None:
        """Carry some more into the table that is being made, or begin with the next one that must be."""
        budget = rows * STEP
        while budget > 0:
            if self._new is None:
                t = due(self._held, self._used, self.searched.last, self._full, self._bits)
                if t < 0:
                    return
                self._begin(t, int(self._held[t]))
            budget -= self._carry(budget) + 1

    def _begin(self, t: int, held: int) -> None:
        last = self._last(held)
        self._which, self._new = t, (self._made(held), last)
        self._new_used, self._done = self._directory(last), 0

    def _carry(self, most: int) -> int:
        """Carry some entries, and put the new table in the old one's place when these were the last; how many."""
        assert self._new is not None
        t, (table, last) = self._which, self._new
        old, old_last = self.searched.tables[t], int(self.searched.last[t])
        end = 1 << (self._bits - old_last)
        before = self._done
        self._done, self._new_used, carried = carry(
            old, old_last, table, self._new_used, last, before, end, most
        )
        if self._done == end:
            self._swap(t, table, last)
            self._used[t], self._looks[t], self._new = self._new_used, 1, None
        elif self._done == before:
            self._enlarge_new()
        return carried

    def _swap(self, t: int, table: NDArray[np.uint32], last: int) -> None:
        tables, lasts = self.searched
        lasts = lasts.copy()
        lasts[t] = last
        self.searched = Searched((*tables[:t], table, *tables[t + 1 :]), lasts)


def _roomier(table: NDArray[np.uint32], used: int, count: int) -> NDArray[np.uint32]:
    """The lines in use of a table, with room for so many."""
    copy = lines(max(count, used + LEAST_LINES))
    copy[:used] = table[:used]
    return copy
