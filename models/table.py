"""Hash tables from keys to rows, in lines of one cache line: one look at memory for many keys.

Owns the lines, how an entry is packed, and how a table grows and shrinks a few rows at a time. Refuses to know what
the keys mean. A line holds 15 entries of 4 bytes: the row, counted from 1, in the low bits, and in those that rows do
not need yet as many low bits of the key as there is room for.

The last bits of a key do not choose its line: keys that differ in these alone lie side by side, and whoever leaves
some of them open asks for all such keys at once. How many bits that are depends on the size: a table of many rows needs
some of them to tell its keys apart.

A key whose line is full goes on in the next one. The line's last 4 bytes say for which keys that was so, as a set of
32: a reader of the others need not look on, however full the table is.

One writer, many readers: an entry is written last and whole, after everything that it points to, so a reader finds
either all of it or nothing. A reader keeps the lines that it began with; a table that grows is filled beside the old
one, which stays complete until it is replaced.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.lanes import ENTRIES, LINE, compare_line, lowest, prefetch

SLOTS: Final = ENTRIES
"""Entries in a line of 64 bytes; behind them lies the set of those that went on."""
ROW_BITS: Final = 25
"""Bits of an entry that a row may take at most; the others are the key's."""
ROWS: Final = (1 << ROW_BITS) - 2
"""Rows that an entry can name."""
BESIDE: Final = 16
"""Entries that choose the same line by the same bits, on average, when a table is full and the keys are spread evenly:
about a line of them. With fewer, who leaves last bits open must look at several lines; with more, at all of those that
the commonest keys fill."""
FULLEST: Final = 0.8
"""Share of the slots in use at which a table grows:"""
GROWTH: Final = 1.5
"""to so many times its lines."""
EMPTIEST: Final = 0.3
"""Share of the slots in use at which it shrinks by as much."""
STALE: Final = 0.1
"""Removals of entries that had gone on, as a share of the slots, after which a table is filled anew: the lines that
they passed by still send readers on."""
BRIM: Final = 0.9
"""Share of the slots in use beyond which a table is replaced at once rather than by and by."""
HIGHEST: Final = 0.7
"""Share of the rows that a table's entries can name in use at which it is filled anew, with more bits for rows."""
LEAST_LINES: Final = 16
"""Lines of an empty table."""
STEP: Final = 96
"""Rows by which a table that is being replaced is filled at each insert: all are done before any is at the brim."""
NO_KEY: Final = np.uint32(0xFFFFFFFF)
"""Stands where a row has no key."""
_AHEAD: Final = 16
"""Rows whose lines are asked of memory before they are needed."""


class Searched(NamedTuple):
    """What a search reads, replaced as a whole: the tables' lines (lines, SLOTS), and by table how many bits of an
    entry are the row's and how many of a key's bits lie together, (tables, 2)."""

    tables: tuple[NDArray[np.uint32], ...]
    forms: NDArray[np.int64]


def lines(count: int) -> NDArray[np.uint32]:
    """So many empty lines, (count, SLOTS + 1), each on a cache line of its own."""
    raw = np.empty((count + 1) * LINE, np.uint32)  # NumPy asks for huge pages here, and not for zeros
    raw[:] = 0
    skip = -raw.ctypes.data % 64 // 4
    return raw[skip : skip + count * LINE].reshape(count, LINE)


def _aligned(table: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The lines, each on a cache line of its own: as they are, or copied when they do not lie so."""
    if not table.ctypes.data % 64:
        return table
    copy = lines(len(table))
    copy[:] = table
    return copy


@njit(cache=True, nogil=True, inline="always")
def scramble(key: np.uint32) -> np.uint32:
    """A hash of the key that no two keys share (the last steps of MurmurHash3)."""
    h = np.uint32(key)
    h ^= h >> np.uint32(16)
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h ^= h >> np.uint32(13)
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@njit(cache=True, nogil=True, inline="always")
def line_of(hashed: np.uint32, count: int) -> np.int64:
    """The line in which a hash's entries begin."""
    return np.int64((np.uint64(hashed) * np.uint64(count)) >> np.uint64(32))


@njit(cache=True, nogil=True, inline="always")
def hashed(key: np.uint32, together: int) -> np.uint32:
    """What chooses a key's line, the same for keys that differ in the last `together` bits only."""
    return scramble(np.uint32(key) >> np.uint32(together))


@njit(cache=True, nogil=True, inline="always")
def mark(code: np.uint32) -> np.uint32:
    """The bit by which a full line remembers that an entry of this hash went on."""
    return np.uint32(1) << (code & np.uint32(31))


@njit(cache=True, nogil=True)
def put(table: NDArray[np.uint32], row_bits: int, together: int, key: np.uint32, row: int) -> None:
    """Write an entry. The table must have room."""
    rows = np.uint32((1 << row_bits) - 1)
    code = hashed(key, together)
    at: int | np.int64 = line_of(code, table.shape[0])
    while True:
        free = compare_line(table, at, np.uint32(0), rows)
        if free:
            table[at, lowest(free)] = np.uint32(key << np.uint32(row_bits)) | np.uint32(row + 1)
            return
        table[at, SLOTS] |= mark(code)
        at = at + 1 if at + 1 < table.shape[0] else 0


@njit(cache=True, nogil=True)
def take(table: NDArray[np.uint32], row_bits: int, together: int, key: np.uint32, row: int) -> bool:
    """Remove an entry; True when it had gone on from its line, which still sends readers on."""
    entry = np.uint32(key << np.uint32(row_bits)) | np.uint32(row + 1)
    code = hashed(key, together)
    first = line_of(code, table.shape[0])
    at: int | np.int64 = first
    while True:
        found = compare_line(table, at, entry, np.uint32(0xFFFFFFFF))
        if found:
            table[at, lowest(found)] = np.uint32(0)
            return bool(at != first)
        if not table[at, SLOTS] & mark(code):
            return False
        at = at + 1 if at + 1 < table.shape[0] else 0
        if at == first:
            return False


@njit(cache=True, nogil=True, inline="always")
def rows_in(
    table: NDArray[np.uint32],
    at: int | np.int64,
    wanted: np.uint32,
    bits: np.uint32,
    rows: np.uint32,
    out: NDArray[np.int64],
    found: int,
) -> int:
    """Append the rows of a line's entries that equal `wanted` in `bits`; returns how many there are then.

    `rows` are the bits of an entry that hold its row; `out` has room for `SLOTS` more.
    """
    hits = compare_line(table, at, wanted, bits)
    while hits:
        row = np.int64(table[at, lowest(hits)] & rows)
        hits &= hits - np.uint32(1)
        if row != 0:
            out[found] = row - 1
            found += 1
    return found


@njit(cache=True, nogil=True)
def put_rows(
    table: NDArray[np.uint32], row_bits: int, together: int, keys: NDArray[np.uint32], first: int, end: int
) -> None:
    """Write the entries of the rows in [first, end); `keys` are by row, `NO_KEY` for those that have none."""
    for r in range(first, min(first + _AHEAD, end)):
        prefetch(table, line_of(hashed(keys[r], together), table.shape[0]))
    for r in range(first, end):
        if r + _AHEAD < end:
            prefetch(table, line_of(hashed(keys[r + _AHEAD], together), table.shape[0]))
        if keys[r] != NO_KEY:
            put(table, row_bits, together, keys[r], r)


@njit(cache=True, nogil=True)
def put_row(
    tables: tuple[NDArray[np.uint32], ...], forms: NDArray[np.int64], keys: NDArray[np.uint32], row: int
) -> None:
    """Write a row's entry into each table; `keys` are by table and row."""
    for t in range(len(tables)):
        if keys[t, row] != NO_KEY:
            prefetch(tables[t], line_of(hashed(keys[t, row], forms[t, 1]), tables[t].shape[0]))
    for t in range(len(tables)):
        if keys[t, row] != NO_KEY:
            put(tables[t], forms[t, 0], forms[t, 1], keys[t, row], row)


@njit(cache=True, nogil=True)
def take_row(
    tables: tuple[NDArray[np.uint32], ...],
    forms: NDArray[np.int64],
    keys: NDArray[np.uint32],
    row: int,
    lost: NDArray[np.int64],
) -> None:
    """Remove a row's entry from each table; `lost` counts, by table, those that had gone on from their lines."""
    for t in range(len(tables)):
        if keys[t, row] != NO_KEY:
            lost[t] += take(tables[t], forms[t, 0], forms[t, 1], keys[t, row], row)


class Tables:
    """Several tables over the same rows, one for each key that a row has.

    A table that becomes too full, or too empty, is replaced by one half as large again (or smaller) that is filled some
    rows at each insert or removal, so that none takes long; so is one in which removals have left too many lines that
    only look full, and one whose entries cannot name many more rows. The tables start at different sizes and keep the
    distance: they grow one after the other. `keys` (tables, room) uint32 are kept for that, by row; `NO_KEY` where a
    row has none. A key has `bits` bits, of which the `last` ones need not choose its line.
    """

    def __init__(self, count: int, room: int, bits: int, last: int) -> None:
        self._bits, self._last = bits, last
        self._used = 0
        made = [self._made(int(LEAST_LINES * GROWTH ** (1 + t / count)), 0) for t in range(count)]
        self.searched = Searched(tuple(t for t, _ in made), np.array([f for _, f in made], np.int64).reshape(-1, 2))
        self.keys = np.empty((count, room), np.uint32)
        self._held = np.zeros(count, np.int64)
        self._lost = np.zeros(count, np.int64)
        self._measure()
        self._new: tuple[NDArray[np.uint32], tuple[int, int]] | None = None
        self._new_lost = 0
        self._which = 0
        self._done = 0

    @classmethod
    def of(cls, searched: Searched, keys: NDArray[np.uint32], lost: NDArray[np.int64], bits: int, last: int) -> Tables:
        """What all this was taken from, `keys` of the rows in use; it writes to these."""
        made = cls(0, 0, bits, last)
        made.searched = Searched(tuple(map(_aligned, searched.tables)), searched.forms)
        made.keys, made._used = keys, keys.shape[1]
        made._held, made._lost = (keys != NO_KEY).sum(axis=1), lost.copy()
        made._measure()
        return made

    @property
    def lost(self) -> NDArray[np.int64]:
        """By table, removals of entries that had gone on from their lines since the table was filled."""
        return self._lost.copy()

    @property
    def nbytes(self) -> int:
        """Bytes of the tables, without the keys."""
        return sum(t.nbytes for t in self.searched.tables) + (0 if self._new is None else self._new[0].nbytes)

    def grow(self, room: int) -> None:
        """Make room for the keys of so many rows."""
        keys = np.empty((len(self.keys), room), np.uint32)
        keys[:, : self._used] = self.keys[:, : self._used]
        self.keys = keys

    def insert(self, row: int, keys: NDArray[np.uint32]) -> None:
        """Enter one row under its keys, (tables,)."""
        used = max(self._used, row + 1)
        self._fit(self._held + 1, used)
        self.keys[:, row] = keys
        self._used = used
        put_row(*self.searched, self.keys, row)
        self._held += keys != NO_KEY
        if self._new is not None and row < self._done and keys[self._which] != NO_KEY:
            put(self._new[0], *self._new[1], keys[self._which], row)
        self._go_on(1)

    def extend(self, keys: NDArray[np.uint32]) -> None:
        """Enter rows behind the last one under their keys, (tables, n). Many at once take less time each."""
        first, end = self._used, self._used + keys.shape[1]
        held = self._held + (keys != NO_KEY).sum(axis=1)
        self._fit(held, end)
        self.keys[:, first:end] = keys
        for table, (row_bits, together), row in zip(*self.searched, self.keys, strict=True):
            put_rows(table, row_bits, together, row, first, end)
        self._used, self._held = end, held
        self._go_on(keys.shape[1])

    def remove(self, row: int) -> None:
        """Forget a row."""
        take_row(*self.searched, self.keys, row, self._lost)
        if self._new is not None and row < self._done and self.keys[self._which, row] != NO_KEY:
            self._new_lost += take(self._new[0], *self._new[1], self.keys[self._which, row], row)
        self._held -= self.keys[:, row] != NO_KEY
        self.keys[:, row] = NO_KEY
        self._go_on(1)

    def _made(self, count: int, used: int) -> tuple[NDArray[np.uint32], tuple[int, int]]:
        """So many empty lines, and the form that suits them and so many rows."""
        row_bits = min(max(2 * used, 1 << 10).bit_length(), ROW_BITS)
        choosing = math.ceil(math.log2(FULLEST * count * SLOTS / BESIDE))
        return lines(count), (row_bits, min(max(self._bits - choosing, 0), self._last, 32 - row_bits))

    def _measure(self) -> None:
        """Note how much the tables hold and how many rows they can name: asked at every insert."""
        self._slots = np.array([SLOTS * len(t) for t in self.searched.tables], np.int64)
        self._names = (1 << self.searched.forms[:, 0]) - 2

    def _fit(self, held: NDArray[np.int64], used: int) -> None:
        """Replace at once what so many entries, by table, would fill beyond the brim, or cannot name so many rows."""
        if self._new is not None:
            table, (row_bits, _) = self._new
            if held[self._which] > BRIM * SLOTS * len(table) or used > (1 << row_bits) - 2:
                self._new = None
        for t in np.flatnonzero((held > BRIM * self._slots) | (used > self._names)):
            self._replace(int(t), int(held[t]), used)

    def _replace(self, t: int, held: int, used: int) -> None:
        """Replace a table at once: more rows came together than filling it by and by allows for."""
        if self._new is not None and self._which == t:
            self._new = None
        count = len(self.searched.tables[t])
        while held > FULLEST * count * SLOTS:
            count = int(count * GROWTH)
        table, form = self._made(count, used)
        put_rows(table, *form, self.keys[t], 0, self._used)
        self._swap(t, table, form, 0)

    def _go_on(self, rows: int) -> None:
        """Fill the table that is being replaced a little further, or begin with the next one that must be."""
        budget = rows * STEP
        while budget > 0:
            if self._new is None and not self._begin():
                return
            assert self._new is not None
            end = min(self._done + budget, self._used)
            table, form = self._new
            put_rows(table, *form, self.keys[self._which], self._done, end)
            budget -= end - self._done + 1
            self._done = end
            if end == self._used:
                self._swap(self._which, table, form, self._new_lost)
                self._new = None

    def _begin(self) -> bool:
        """Begin with the table that is the fullest of those that must be replaced; False when none must."""
        small = (self._held < EMPTIEST * self._slots) & (self._slots > 2 * LEAST_LINES * SLOTS)
        full = self._held > FULLEST * self._slots
        high = (self._used > HIGHEST * self._names) & (self._names < ROWS)
        unfit = small | full | high | (self._lost > STALE * self._slots)
        if not unfit.any():
            return False
        t = int(np.argmax(np.where(unfit, self._held / self._slots, -1.0)))
        factor = GROWTH if full[t] else 1 / GROWTH if small[t] else 1.0
        self._which, self._new = t, self._made(int(len(self.searched.tables[t]) * factor), self._used)
        self._done = self._new_lost = 0
        return True

    def _swap(self, t: int, table: NDArray[np.uint32], form: tuple[int, int], lost: int) -> None:
        tables, forms = self.searched
        forms = forms.copy()
        forms[t] = form
        self.searched = Searched((*tables[:t], table, *tables[t + 1 :]), forms)
        self._lost[t] = lost
        self._measure()
