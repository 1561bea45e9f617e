"""Buckets of a table from keys to rows: what lies in one is compared side by side.

Owns how an entry is packed, what a bucket is, how entries are put into it, found and taken out, and how one bucket
becomes two. Refuses to know what the keys mean, and how many buckets a table is to have (models/table.py). A bucket is
a line of 64 bytes, found by its number, with 12 entries of 40 bits; where they are more, the line holds the number of a
further one, counted from the table's end, and that the next one's (0: none). An entry is the row, counted from 1, and
the key's last 15 bits, its tag. All others choose the bucket: a key that is found is the whole key.

The first bits of a key are its lowest. A table of 2^k + m buckets has two for each of the m first values of k bits,
told apart by the next bit, and one for each other value: so it grows by one bucket at a time (linear hashing:
W. Litwin, VLDB 1980).

An entry is put into its bucket's first line, nowhere else. When that is full, what it holds is copied behind it, into a
new line or into gaps, and it begins anew: so an insert looks at one line, and all lines but the first are full, until
something is removed.

One writer, many readers. A reader takes a line's entries and its further line's number as they were at one moment. It
uses the number of buckets that it began with, and the writer leaves all in place that such a reader needs: what goes
over into a new bucket (`split`) is taken out of the old one, and a line that is no longer used is used again, when none
reads any more that began before (`settle`). An entry that is written while a reader looks at its line is found or not,
as if it came before or after; for that moment its key may be taken for another one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.lanes import in_order, lowest, prefetch
from models.line import (
    ENTRIES,
    ROW_BITS,
    TAG_BITS,
    compare_line,
    copy_line,
    drop_first,
    drop_with,
    entries_with,
    fill_line,
    rows_like,
    write_entry,
    write_line,
)
from models.vectors import LINE, uncounted

SLOTS: Final = ENTRIES
"""Entries in a line; behind them lie the rest of their tags, and the next line's number."""
NEXT: Final = LINE - 1
"""Where in a line that number lies."""
ROWS: Final = (1 << ROW_BITS) - 2
"""Rows that an entry can name."""
NO_KEY: Final = np.uint32(0xFFFFFFFF)
"""Stands where a row has no key."""
STATE: Final = 6
"""Numbers that say how far a table has come:"""
BUCKETS: Final = 0
"""its buckets;"""
FURTHER: Final = 1
"""its lines beyond one a bucket, in use or not;"""
FREE: Final = 2
"""how many of these can be used again, the first of those that are not in use;"""
LEFT: Final = 3
"""how many are not in use: some reader may still look at the later ones;"""
SETTLED: Final = 4
"""the first bucket of which the one that it came of has not been cleared yet;"""
HELD: Final = 5
"""its entries."""
PLACE, TAG, COUNTED, MOST, ALL, ASKER = range(6)
PROBE: Final = 6
"""What a probe is: a line, the tag that is looked for there, bits of it and how many of these may differ, how many of
all its bits may, and who asks."""
RING: Final = 1024
"""Probes that can be under way at once."""
_ROUND: Final = RING - 1
_ROW: Final = np.uint32((1 << ROW_BITS) - 1)
_ENTRIES: Final = np.uint32((1 << ENTRIES) - 1)
_LOW: Final = 32 - ROW_BITS
"""Bits of a tag that lie beside the row; the next eight lie in a byte of their own."""
_NEAR: Final = 6
"""Buckets that are looked at ahead where they are taken in their order."""
_SOON: Final = 24
"""Lines that are asked of memory before they are looked at,"""
_AHEAD: Final = 48
"""and before an entry is put into them."""


def lines(count: int) -> NDArray[np.uint32]:
    """So many lines, (count, LINE), each on a cache line of its own, with anything in them."""
    raw = np.empty((count + 1) * LINE, np.uint32)  # NumPy asks for huge pages here
    skip = -raw.ctypes.data % 64 // 4
    return raw[skip : skip + count * LINE].reshape(count, LINE)


def below(bits: int) -> int:
    """Bits of a key of so many that have no room in a tag: so many choose a bucket at least."""
    return max(bits - TAG_BITS, 0)


@njit(cache=True, nogil=True, inline="always")
def choosing(buckets: int | np.int64) -> np.int64:
    """The bits of a key that choose one of so many buckets; the last of them only where that has been divided."""
    bits = np.int64(buckets)
    for k in (1, 2, 4, 8, 16):
        bits |= bits >> np.int64(k)
    return np.int64(bits)


@njit(cache=True, nogil=True, inline="always")
def bucket_of(key: np.uint32, buckets: int | np.int64, bits: int | np.int64) -> np.int64:
    """The bucket of a key, among so many that `bits` choose."""
    bucket = np.int64(key) & bits
    return bucket if bucket < buckets else bucket & (bits >> 1)


@njit(cache=True, nogil=True)
def walk(
    table: NDArray[np.uint32],
    probes: NDArray[np.uint32],
    head: int,
    tail: int,
    rows: NDArray[np.uint32],
    by: NDArray[np.uint32],
) -> tuple[int, int, int]:
    """Follow the probes in [head, tail), a ring (RING, PROBE), along the lines of their buckets, and fill in the rows
    of the entries that they look for, and who asked for each. Where the ring then begins and ends, equal when all is
    done, and how many rows were found: `rows` and `by` are emptied before it goes on."""
    found, size = 0, table.shape[0]
    for k in range(head, min(head + _SOON, tail)):
        prefetch(table, np.int64(probes[k & _ROUND, PLACE]))
    while head < tail and found + LINE <= rows.size:
        if head + _SOON < tail:
            prefetch(table, np.int64(probes[head + _SOON & _ROUND, PLACE]))
        k, on = head & _ROUND, tail & _ROUND
        at = np.int64(probes[k, PLACE])
        tag, bits, asker = probes[k, TAG], probes[k, COUNTED], probes[k, ASKER]
        most, all_ = probes[k, MOST], probes[k, ALL]
        found, further = rows_like(table, at, tag, bits, most, all_, rows, by, found, asker)
        if tail <= head + _SOON:
            prefetch(table, size - further)
        probes[on, PLACE] = size - further
        probes[on, TAG], probes[on, COUNTED], probes[on, ASKER] = tag, bits, asker
        probes[on, MOST], probes[on, ALL] = most, all_
        tail += further != 0
        head += 1
    return head, tail, found


@uncounted
def _line(table: NDArray[np.uint32], state: NDArray[np.int64], spare: NDArray[np.int32]) -> np.int64:
    """The number of a line that is not in use; 0 when there is no room."""
    if state[FREE]:
        state[FREE] -= 1
        state[LEFT] -= 1
        number = np.int64(spare[state[FREE]])
        spare[state[FREE]] = spare[state[LEFT]]
        prefetch(table, table.shape[0] - np.int64(spare[max(state[FREE] - _NEAR, 0)]))
        return number
    if state[BUCKETS] + state[FURTHER] + 1 >= table.shape[0]:  # the next bucket has room in any case
        return np.int64(0)
    state[FURTHER] += 1
    prefetch(table, table.shape[0] - state[FURTHER] - _NEAR)
    return np.int64(state[FURTHER])


@uncounted
def _put(
    table: NDArray[np.uint32],
    state: NDArray[np.int64],
    spare: NDArray[np.int32],
    bucket: int | np.int64,
    looks: int,
    tag: np.uint32,
    row: np.uint32,
) -> bool:
    """Write an entry into a bucket's first line; whether there was room, for that one or another line."""
    gaps = compare_line(table, bucket, np.uint32(0), _ROW)
    if gaps == 0:
        gaps = _make_room(table, state, spare, bucket, looks)
    if gaps:
        write_entry(table, bucket, lowest(gaps), tag, row)
    return bool(gaps)


@uncounted
def _make_room(
    table: NDArray[np.uint32], state: NDArray[np.int64], spare: NDArray[np.int32], bucket: int | np.int64, looks: int
) -> np.uint32:
    """Move what a bucket's first line holds to one behind it: into the gaps of one of so many, else into a new one, as
    a whole. The gaps that there are then."""
    at, size = np.int64(bucket), table.shape[0]
    for _ in range(looks):
        if table[at, NEXT] == 0:
            break
        at = size - np.int64(table[at, NEXT])
        if compare_line(table, at, np.uint32(0), _ROW):
            _move(table, bucket, at)
            return compare_line(table, bucket, np.uint32(0), _ROW)
    number = _line(table, state, spare)
    if number == 0:
        return np.uint32(0)
    copy_line(table, bucket, size - number)
    in_order()
    table[bucket, NEXT] = np.uint32(number)
    in_order()
    for k in range(NEXT):
        table[bucket, k] = 0
    return _ENTRIES


@uncounted
def _move(table: NDArray[np.uint32], first: int | np.int64, to: int | np.int64) -> None:
    """Move entries of a bucket's first line into the gaps of one behind it."""
    gaps = compare_line(table, to, np.uint32(0), _ROW)
    left = compare_line(table, first, np.uint32(0), _ROW) ^ _ENTRIES
    while left and gaps:
        k = lowest(left)
        high = table[first, SLOTS + (k >> 2)] >> np.uint32(8 * (k & 3)) & np.uint32(255)
        tag = np.uint32(table[first, k] >> np.uint32(ROW_BITS) | high << np.uint32(_LOW))
        write_entry(table, to, lowest(gaps), tag, table[first, k] & _ROW)
        in_order()
        table[first, k] = 0
        left, gaps = left & left - np.uint32(1), gaps & gaps - np.uint32(1)


@njit(cache=True, nogil=True)
def put_rows(
    tables: tuple[NDArray[np.uint32], ...],
    state: NDArray[np.int64],
    spare: NDArray[np.int32],
    low: int,
    looks: int,
    keys: NDArray[np.uint32],
    done: NDArray[np.int64],
    end: int,
    before: int,
) -> None:
    """Write into each table entries for keys, those in [done[t], end), of rows behind so many before,
    and set `done[t]` to `end`, or to the one for which there was no room. `keys` are by table and row, `NO_KEY` where a
    row has none, and `low` bits of them have no room in a tag."""
    for t in range(len(tables)):
        done[t] = _put_rows(tables[t], state[t], spare[t], low, looks, keys[t], done[t], end, before)


@uncounted
def _put_rows(
    table: NDArray[np.uint32],
    state: NDArray[np.int64],
    spare: NDArray[np.int32],
    low: int,
    looks: int,
    keys: NDArray[np.uint32],
    first: int,
    end: int,
    before: int,
) -> int:
    buckets, bits = state[BUCKETS], choosing(state[BUCKETS])
    for r in range(first, min(first + _AHEAD, end)):
        prefetch(table, bucket_of(keys[r], buckets, bits))
    held = 0
    for r in range(first, end):
        if r + _AHEAD < end:
            prefetch(table, bucket_of(keys[r + _AHEAD], buckets, bits))
        if keys[r] == NO_KEY:
            continue
        bucket = bucket_of(keys[r], buckets, bits)
        gaps = compare_line(table, bucket, np.uint32(0), _ROW)  # what `_put` does: with a call in it, twice as long
        if gaps == 0:
            gaps = _make_room(table, state, spare, bucket, looks)
            if gaps == 0:
                end = r
                break
        write_entry(table, bucket, lowest(gaps), keys[r] >> np.uint32(low), np.uint32(before + r + 1))
        held += 1
    state[HELD] += held
    return end


@njit(cache=True, nogil=True)
def put_row(
    tables: tuple[NDArray[np.uint32], ...],
    state: NDArray[np.int64],
    spare: NDArray[np.int32],
    low: int,
    looks: int,
    keys: NDArray[np.uint32],
    first: int,
    row: int,
) -> int:
    """Write a row's entry into each table from `first` on; `keys` are by table. The table that has no room, or how many
    tables there are."""
    buckets = np.empty(len(tables), np.int64)
    for t in range(first, len(tables)):
        buckets[t] = bucket_of(keys[t], state[t, BUCKETS], choosing(state[t, BUCKETS]))
        prefetch(tables[t], buckets[t])
    for t in range(first, len(tables)):
        if keys[t] != NO_KEY:
            tag = keys[t] >> np.uint32(low)
            if not _put(tables[t], state[t], spare[t], buckets[t], looks, tag, np.uint32(row + 1)):
                return t
            state[t, HELD] += 1
    return len(tables)


@njit(cache=True, nogil=True)
def take_row(
    tables: tuple[NDArray[np.uint32], ...], state: NDArray[np.int64], keys: NDArray[np.uint32], row: int
) -> None:
    """Remove a row's entry from each table, and what is left of it where its bucket came of another one."""
    for t in range(len(tables)):
        if keys[t] != NO_KEY:
            bucket = bucket_of(keys[t], state[t, BUCKETS], choosing(state[t, BUCKETS]))
            _take(tables[t], bucket, row)
            state[t, HELD] -= 1
            if bucket >= state[t, SETTLED]:
                _take(tables[t], bucket - (choosing(bucket) + 1 >> 1), row)


@njit(cache=True, nogil=True)
def _take(table: NDArray[np.uint32], bucket: int | np.int64, row: int) -> None:
    at, size = np.int64(bucket), table.shape[0]
    while True:
        found = compare_line(table, at, np.uint32(row + 1), _ROW)
        if found:
            table[at, lowest(found)] = np.uint32(0)
            return
        if table[at, NEXT] == 0:
            return
        at = size - np.int64(table[at, NEXT])


@njit(cache=True, nogil=True)
def split(
    tables: tuple[NDArray[np.uint32], ...],
    state: NDArray[np.int64],
    spare: NDArray[np.int32],
    low: int,
    wanted: NDArray[np.int64],
) -> None:
    """Divide buckets of each table until there are so many, or no room is left. What goes over into a
    new bucket stays in the old one as well, until that is settled."""
    for t in range(len(tables)):
        _split(tables[t], state[t], spare[t], low, wanted[t])


@njit(cache=True, nogil=True)
def _split(
    table: NDArray[np.uint32], state: NDArray[np.int64], spare: NDArray[np.int32], low: int, wanted: int
) -> None:
    size = table.shape[0]
    words, tags = np.empty(3 * LINE, np.uint32), np.empty(3 * LINE, np.uint32)
    while state[BUCKETS] < wanted:
        new = state[BUCKETS]
        half = choosing(new) + 1 >> 1
        first, bit = new - half, np.uint32(half >> low)
        _ask(table, first)
        if new + 1 + state[FURTHER] + _length(table, first) > size:
            return
        at, further, found = first, np.int64(0), 0
        while True:
            found = entries_with(table, at, bit, words, tags, found)
            if found > SLOTS:
                number = _line(table, state, spare)
                write_line(table, size - number, words, tags, SLOTS, np.uint32(further))
                further, found = number, found - SLOTS
                for k in range(SLOTS):
                    words[k], tags[k] = words[SLOTS + k], tags[SLOTS + k]
            if table[at, NEXT] == 0:
                break
            at = size - np.int64(table[at, NEXT])
        write_line(table, new, words, tags, found, np.uint32(further))
        state[BUCKETS] += 1


@uncounted
def _ask(table: NDArray[np.uint32], bucket: int | np.int64) -> None:
    """Ask memory for the further line of a bucket that comes soon; the first ones lie beside each other."""
    prefetch(table, table.shape[0] - np.int64(table[bucket + _NEAR, NEXT]))


@uncounted
def _length(table: NDArray[np.uint32], bucket: int | np.int64) -> int:
    """Lines of a bucket."""
    at, count = np.int64(bucket), 1
    while table[at, NEXT]:
        at, count = table.shape[0] - np.int64(table[at, NEXT]), count + 1
    return count


@njit(cache=True, nogil=True)
def settle(
    tables: tuple[NDArray[np.uint32], ...],
    state: NDArray[np.int64],
    spare: NDArray[np.int32],
    low: int,
) -> None:
    """Take out of buckets that were divided what went over, and close up what stayed, when none reads any more that
    began before they were: of each table, as long as `spare` has room for the numbers of the lines that this leaves."""
    for t in range(len(tables)):
        _settle(tables[t], state[t], spare[t], low)


@njit(cache=True, nogil=True)
def _settle(table: NDArray[np.uint32], state: NDArray[np.int64], spare: NDArray[np.int32], low: int) -> None:
    size = table.shape[0]
    words, tags = np.empty(LINE, np.uint32), np.empty(LINE, np.uint32)
    while state[SETTLED] < state[BUCKETS]:
        half = choosing(state[SETTLED]) + 1 >> 1
        first, bit = state[SETTLED] - half, np.uint32(half >> low)
        _ask(table, first)
        at, chain, stay = first, 1, drop_with(table, first, bit)
        while table[at, NEXT]:
            at = size - np.int64(table[at, NEXT])
            chain, stay = chain + 1, stay + drop_with(table, at, bit)
        if state[LEFT] + chain > spare.size:
            return
        for _ in range(chain - max(1, (stay + SLOTS - 1) // SLOTS)):
            _let_go(table, state, spare, first, words, tags)
        at = first  # gaps are left to the first line, where the next entries are put
        while table[at, NEXT]:
            at = size - np.int64(table[at, NEXT])
            moved = fill_line(table, at, words, tags, 0, entries_with(table, first, np.uint32(0), words, tags, 0))
            in_order()
            drop_first(table, first, moved)
        state[SETTLED] += 1


@uncounted
def _let_go(
    table: NDArray[np.uint32],
    state: NDArray[np.int64],
    spare: NDArray[np.int32],
    first: int | np.int64,
    words: NDArray[np.uint32],
    tags: NDArray[np.uint32],
) -> None:
    """Let the line behind a bucket's first go: its entries are copied into gaps of all others, then the first line's
    number passes it by.

    It is left as it is for who reads it. Who comes later has the first line's entries of a moment after, so no entry is
    on its way behind a reader's back; were the last line let go, one could be put before who looks for it.
    """
    number = np.int64(table[first, NEXT])
    at = to = table.shape[0] - number
    end = entries_with(table, at, np.uint32(0), words, tags, 0)
    left = fill_line(table, first, words, tags, 0, end)
    while left < end:
        to = table.shape[0] - np.int64(table[to, NEXT])
        left = fill_line(table, to, words, tags, left, end)
    spare[state[LEFT]] = number
    state[LEFT] += 1
    in_order()
    table[first, NEXT] = table[at, NEXT]


@njit(cache=True, nogil=True)
def unused(table: NDArray[np.uint32], state: NDArray[np.int64]) -> NDArray[np.int32]:
    """The numbers of the lines that no bucket reaches."""
    size = table.shape[0]
    reached = np.zeros(state[FURTHER] + 1, np.bool_)
    for bucket in range(state[BUCKETS]):
        number = np.int64(table[bucket, NEXT])
        while number:
            reached[number] = True
            number = np.int64(table[size - number, NEXT])
    return np.flatnonzero(~reached[1:]).astype(np.int32) + np.int32(1)
