"""Tables from keys to rows, one for each key that a row has, that grow and shrink a few entries at a time.

Owns how many buckets a table has (models/bucket.py), as many as leave some 24 to 72 entries to each, and when it is
made anew with more or fewer. Refuses to know what the keys mean, and to search. A reader keeps the table that it began
with; one that is made anew is filled beside the old one, which stays complete until it is replaced.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.bucket import NO_KEY, SLOTS, carry, lines, put, put_row, put_rows, take, take_row
from models.lanes import LINE, TAG_BITS

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
"""Entries that are carried into a table that is being made anew, at each insert: all tables are done before the first
is due again."""


class Searched(NamedTuple):
    """What a search reads, replaced as a whole: the tables, each a directory and lines, (lines, LINE), and by table how
    many last bits of a key do not choose its bucket."""

    tables: tuple[NDArray[np.uint32], ...]
    last: NDArray[np.int64]


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
                table, int(self._used[t]), last, self._looks[t], self.keys[t], row, end, 1 << 32
            )
            if row < end:
                self._enlarge(t)
        row = first
        while self._new is not None and self._which == t and row < end:
            below = self._done << int(self.searched.last[t])
            row, self._new_used = put_rows(self._new[0], self._new_used, self._new[1], 1, self.keys[t], row, end, below)
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
        old, old_last = self.searched.tables[t], int(self.searched.last[t])
        table, last = self._made(held), self._last(held)
        used, done, end = self._directory(last), 0, 1 << (self._bits - old_last)
        while done < end:
            done, used, _ = carry(old, old_last, table, used, last, done, end, 1 << 62)
            if done < end:
                table = _roomier(table, used, 2 * len(table))
        self._swap(t, table, last)
        self._used[t], self._looks[t] = used, 1

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
        self._done, self._new_used, carried = carry(old, old_last, table, self._new_used, last, before, end, most)
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
