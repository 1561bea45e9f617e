"""Buckets of a table from keys to rows: what lies in one is compared side by side.

Owns how an entry is packed, what a bucket is, and how entries are put into it, found and taken out. Refuses to know
what the keys mean, and how large a table is to be (models/table.py). The first bits of a key choose its bucket; a
directory, the first lines of a table, says where a bucket's first line lies, and each line where the next one does. A
line of 64 bytes holds 12 entries of 40 bits and the number of that next line (0: none). An entry is the row, counted
from 1, and all bits of the key that did not choose the bucket: a key that is found is the whole key, and no look at
memory is lost on others.

Whoever leaves some bits of a key open asks for each bucket that these bits choose, and in a bucket for all keys at once
that agree in the rest, or differ from it in few bits (`rows_in`).

One writer, many readers. A line stays in its bucket for as long as the table is used, so a reader that goes on from it
misses nothing; a new line is complete before the directory names it. An entry that is written while a reader looks at
its line is found or not, as if it came before or after; for that moment its key may be taken for another one.
"""

from __future__ import annotations

from typing import Final

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
        row = np.int64(table[at, lowest(hits)] & _ROW)
        hits &= hits - np.uint32(1)
        if row != 0:  # it may have been removed since
            out[found] = row - 1
            found += 1
    return found


@njit(cache=True, nogil=True)
def put(
    table: NDArray[np.uint32],
    used: int,
    last: int | np.int64,
    looks: int | np.int64,
    key: np.uint32,
    row: int,
) -> int:
    """Write an entry into a table that uses so many lines: into a gap in the bucket's first `looks` lines, or into a
    new line. How many lines it uses then; -1 when it has no room."""
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
    used: int,
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
            after = put(tables[t], int(used[t]), last[t], looks[t], keys[t, row], row)
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
    used: int,
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
                    part = int(key >> np.uint32(last)) - base
                    used = _append(table, used, base + part, places, slots, part)
                    _write(table, places[part], int(slots[part]), key, int(row) - 1)
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
    used: int,
    bucket: int | np.int64,
    places: NDArray[np.int64],
    slots: NDArray[np.int64],
    j: int | np.int64,
) -> int:
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
