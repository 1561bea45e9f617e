"""Hash tables from keys to rows, in lines of one cache line: one look at memory for one key.

Owns the lines, how an entry is packed, and how a table grows and shrinks a few rows at a time. Refuses to know what
the keys mean. A line holds 16 entries of 4 bytes: the row (25 bits, counted from 1) and 7 bits of the key's hash, so
that of the other rows in a line one in 128 is looked at in vain. A key whose line is full goes on in the next one.

One writer, many readers: an entry is written last and whole, after everything that it points to, so a reader finds
either all of it or nothing. A reader keeps the lines that it began with; a table that grows is filled beside the old
one, which stays complete until it is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

SLOTS: Final = 16
"""Entries in a line of 64 bytes."""
ROWS: Final = (1 << 25) - 2
"""Rows that an entry can name."""
FULLEST: Final = 0.8
"""Share of the slots in use at which a table grows:"""
GROWTH: Final = 1.5
"""to so many times its lines."""
EMPTIEST: Final = 0.3
"""Share of the slots in use at which it shrinks by as much."""
STALE: Final = 0.1
"""Removals from full lines, as a share of the slots, after which a table is filled anew: such a line stays full to who
reads, until a new entry takes the place."""
BRIM: Final = 0.9
"""Share of the slots, in use or so lost, beyond which a table is replaced at once rather than by and by: without an
empty slot no search of it would end."""
LEAST_LINES: Final = 16
"""Lines of an empty table."""
STEP: Final = 96
"""Rows by which a table that is being replaced is filled at each insert: all are done before any is at the brim."""
NO_KEY: Final = np.uint32(0xFFFFFFFF)
"""Stands where a row has no key."""
_AHEAD: Final = 16
"""Rows whose lines are asked of memory before they are needed."""

_ROW: Final = np.uint32((1 << 25) - 1)
_TAG: Final = np.uint32(25)
_GONE: Final = np.uint32(1 << 25)
"""An entry that was removed from a full line: readers go on behind it."""


def lines(count: int) -> NDArray[np.uint32]:
    """So many empty lines, (count, SLOTS), each on a cache line of its own."""
    raw = np.empty(count * SLOTS + SLOTS, np.uint32)  # NumPy asks for huge pages here, and not for zeros
    raw[:] = 0
    skip = -raw.ctypes.data % 64 // 4
    return raw[skip : skip + count * SLOTS].reshape(count, SLOTS)


def _aligned(table: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The lines, each on a cache line of its own: as they are, or copied when they do not lie so."""
    if not table.ctypes.data % 64:
        return table
    copy = lines(len(table))
    copy[:] = table
    return copy


def _prefetch(context: Any, array: Any, row: Any) -> tuple[Any, Callable[..., Any]]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, args[0])
        strides = builder.extract_value(view.strides, 0)
        at = builder.ptrtoint(view.data, ir.IntType(64))
        place = builder.inttoptr(builder.add(at, builder.mul(args[1], strides)), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()] + [ir.IntType(32)] * 3)
        hint = builder.module.declare_intrinsic("llvm.prefetch", [ir.IntType(8).as_pointer()], kind)
        flags = [ir.Constant(ir.IntType(32), v) for v in (0, 3, 1)]
        builder.call(hint, [place, *flags])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


prefetch = cast(Callable[[NDArray[Any], int | np.int64], None], intrinsic(_prefetch))
"""Compiled code only: ask for the cache line at `array[row]` without waiting for it."""


def _compare_line(context: Any, table: Any, at: Any, tag: Any) -> tuple[Any, Callable[..., Any]]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i16, i32, i64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
        vector = ir.VectorType(i32, SLOTS)
        view = context.make_array(signature.args[0])(context, builder, args[0])
        data = builder.ptrtoint(view.data, i64)
        place = builder.add(data, builder.shl(args[1], ir.Constant(i64, 6)))
        line = builder.load(builder.inttoptr(place, vector.as_pointer()))
        line.align = 64
        tags = ir.Constant(vector, ir.Undefined)
        for slot in range(SLOTS):
            tags = builder.insert_element(tags, args[2], ir.Constant(i32, slot))
        shift = ir.Constant(vector, [25] * SLOTS)
        same = builder.icmp_unsigned("==", builder.lshr(line, shift), tags)
        empty = builder.icmp_unsigned("==", line, ir.Constant(vector, [0] * SLOTS))
        low = builder.zext(builder.bitcast(same, i16), i32)
        high = builder.zext(builder.bitcast(empty, i16), i32)
        return builder.or_(low, builder.shl(high, ir.Constant(i32, 16)))

    return types.uint32(table, types.int64, types.uint32), generate


compare_line = cast(Callable[[NDArray[np.uint32], int, np.uint32], int], intrinsic(_compare_line))
"""Compiled code only. Bits 0 to 15: which entries of a line have this tag; 16 to 31: which are empty, all at once."""


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


@njit(cache=True, nogil=True)
def put(table: NDArray[np.uint32], key: np.uint32, row: int) -> None:
    """Write an entry. The table must have room."""
    h = scramble(key)
    entry = np.uint32((h & np.uint32(127)) << _TAG) | np.uint32(row + 1)
    at: int | np.int64 = line_of(h, table.shape[0])
    while True:
        for s in range(SLOTS):
            if table[at, s] & _ROW == 0:
                table[at, s] = entry
                return
        at = at + 1 if at + 1 < table.shape[0] else 0


@njit(cache=True, nogil=True)
def take(table: NDArray[np.uint32], key: np.uint32, row: int) -> bool:
    """Remove an entry; True when readers must go on passing by its line."""
    h = scramble(key)
    entry = np.uint32((h & np.uint32(127)) << _TAG) | np.uint32(row + 1)
    at: int | np.int64 = line_of(h, table.shape[0])
    for _ in range(table.shape[0]):
        found, room = -1, False
        for s in range(SLOTS):
            if table[at, s] == entry:
                found = s
            room |= table[at, s] == 0
        if found >= 0:
            table[at, found] = np.uint32(0) if room else _GONE
            return not room
        if room:
            return False
        at = at + 1 if at + 1 < table.shape[0] else 0
    return False


@njit(cache=True, nogil=True)
def rows_at(table: NDArray[np.uint32], at: int, tag: np.uint32, out: NDArray[np.int64], found: int) -> int:
    """Append the rows in line `at`, and where that is full in the next ones, whose hash has these 7 bits.

    Returns how many rows there are then; what does not fit into `out` is counted only.
    """
    while True:
        line = compare_line(table, at, tag)
        hits, s = line & 0xFFFF, 0
        while hits:
            if hits & 1:
                row = np.int64(table[at, s] & _ROW)
                if row != 0:
                    if found < out.size:
                        out[found] = row - 1
                    found += 1
            hits >>= 1
            s += 1
        if line >> 16:
            return found
        at = at + 1 if at + 1 < table.shape[0] else 0


@njit(cache=True, nogil=True)
def put_rows(table: NDArray[np.uint32], keys: NDArray[np.uint32], first: int, end: int) -> None:
    """Write the entries of the rows in [first, end); `keys` are by row, `NO_KEY` for those that have none."""
    for r in range(first, min(first + _AHEAD, end)):
        prefetch(table, line_of(scramble(keys[r]), table.shape[0]))
    for r in range(first, end):
        if r + _AHEAD < end:
            prefetch(table, line_of(scramble(keys[r + _AHEAD]), table.shape[0]))
        if keys[r] != NO_KEY:
            put(table, keys[r], r)


@njit(cache=True, nogil=True)
def put_row(tables: tuple[NDArray[np.uint32], ...], keys: NDArray[np.uint32], row: int) -> None:
    """Write a row's entry into each table; `keys` are by table and row."""
    for t in range(len(tables)):
        if keys[t, row] != NO_KEY:
            prefetch(tables[t], line_of(scramble(keys[t, row]), tables[t].shape[0]))
    for t in range(len(tables)):
        if keys[t, row] != NO_KEY:
            put(tables[t], keys[t, row], row)


@njit(cache=True, nogil=True)
def take_row(
    tables: tuple[NDArray[np.uint32], ...], keys: NDArray[np.uint32], row: int, lost: NDArray[np.int64]
) -> None:
    """Remove a row's entry from each table; `lost` counts, by table, those that leave a line passed by."""
    for t in range(len(tables)):
        if keys[t, row] != NO_KEY:
            lost[t] += take(tables[t], keys[t, row], row)


class Tables:
    """Several tables over the same rows, one for each key that a row has.

    A table that becomes too full, or too empty, is replaced by one half as large again (or smaller) that is filled some
    rows at each insert or removal, so that none takes long; so is one in which removals have left too many lines that
    only look full. The tables start at different sizes and keep the distance: they grow one after the other. `keys`
    (tables, room) uint32 are kept for that, by row; `NO_KEY` where a row has none.
    """

    def __init__(self, count: int, room: int) -> None:
        self.tables = tuple(lines(int(LEAST_LINES * GROWTH ** (1 + t / count))) for t in range(count))
        self.keys = np.empty((count, room), np.uint32)
        self._slots = np.array([t.size for t in self.tables])
        self._held = np.zeros(count, np.int64)
        self._lost = np.zeros(count, np.int64)
        self._used = 0
        self._new: NDArray[np.uint32] | None = None
        self._new_lost = 0
        self._which = 0
        self._done = 0

    @classmethod
    def of(cls, tables: Sequence[NDArray[np.uint32]], keys: NDArray[np.uint32], lost: NDArray[np.int64]) -> Tables:
        """What `tables`, `keys` (of the rows in use) and `lost` were taken from; it writes to these."""
        made = cls(0, 0)
        made.tables, made.keys, made._used = tuple(map(_aligned, tables)), keys, keys.shape[1]
        made._slots = np.array([t.size for t in tables])
        made._held, made._lost = (keys != NO_KEY).sum(axis=1), lost.copy()
        return made

    @property
    def lost(self) -> NDArray[np.int64]:
        """By table, removals that left a line passed by since the table was filled."""
        return self._lost.copy()

    @property
    def nbytes(self) -> int:
        """Bytes of the tables, without the keys."""
        return sum(t.nbytes for t in self.tables) + (0 if self._new is None else self._new.nbytes)

    def grow(self, room: int) -> None:
        """Make room for the keys of so many rows."""
        keys = np.empty((len(self.tables), room), np.uint32)
        keys[:, : self._used] = self.keys[:, : self._used]
        self.keys = keys

    def insert(self, row: int, keys: NDArray[np.uint32]) -> None:
        """Enter one row under its keys, (tables,)."""
        self._fit(self._held + 1)
        self.keys[:, row] = keys
        self._used = max(self._used, row + 1)
        put_row(self.tables, self.keys, row)
        self._held += keys != NO_KEY
        if self._new is not None and row < self._done and keys[self._which] != NO_KEY:
            put(self._new, keys[self._which], row)
        self._go_on(1)

    def extend(self, keys: NDArray[np.uint32]) -> None:
        """Enter rows behind the last one under their keys, (tables, n). Many at once take less time each."""
        first, end = self._used, self._used + keys.shape[1]
        held = self._held + (keys != NO_KEY).sum(axis=1)
        self._fit(held)
        self.keys[:, first:end] = keys
        for table, row in zip(self.tables, self.keys, strict=True):
            put_rows(table, row, first, end)
        self._used, self._held = end, held
        self._go_on(keys.shape[1])

    def remove(self, row: int) -> None:
        """Forget a row."""
        take_row(self.tables, self.keys, row, self._lost)
        if self._new is not None and row < self._done and self.keys[self._which, row] != NO_KEY:
            self._new_lost += take(self._new, self.keys[self._which, row], row)
        self._held -= self.keys[:, row] != NO_KEY
        self.keys[:, row] = NO_KEY
        self._go_on(1)

    def _fit(self, held: NDArray[np.int64]) -> None:
        """Replace at once what so many entries, by table, would fill beyond the brim."""
        if self._new is not None and held[self._which] + self._new_lost > BRIM * self._new.size:
            self._new = None
        for t in np.flatnonzero(held + self._lost > BRIM * self._slots):
            self._replace(int(t), int(held[t]))

    def _replace(self, t: int, held: int) -> None:
        """Replace a table at once: more rows came together than filling it by and by allows for."""
        if self._new is not None and self._which == t:
            self._new = None
        count = len(self.tables[t])
        while held > FULLEST * count * SLOTS:
            count = int(count * GROWTH)
        table = lines(count)
        put_rows(table, self.keys[t], 0, self._used)
        self._swap(t, table, 0)

    def _go_on(self, rows: int) -> None:
        """Fill the table that is being replaced a little further, or begin with the next one that must be."""
        budget = rows * STEP
        while budget > 0:
            if self._new is None and not self._begin():
                return
            assert self._new is not None
            end = min(self._done + budget, self._used)
            put_rows(self._new, self.keys[self._which], self._done, end)
            budget -= end - self._done + 1
            self._done = end
            if end == self._used:
                self._swap(self._which, self._new, self._new_lost)
                self._new = None

    def _begin(self) -> bool:
        """Begin with the table that is the fullest of those that must be replaced; False when none must."""
        small = (self._held < EMPTIEST * self._slots) & (self._slots > 2 * LEAST_LINES * SLOTS)
        full = self._held > FULLEST * self._slots
        unfit = small | full | (self._lost > STALE * self._slots)
        if not unfit.any():
            return False
        t = int(np.argmax(np.where(unfit, (self._held + self._lost) / self._slots, -1.0)))
        factor = GROWTH if full[t] else 1 / GROWTH if small[t] else 1.0
        self._which, self._new = t, lines(int(len(self.tables[t]) * factor))
        self._done = self._new_lost = 0
        return True

    def _swap(self, t: int, table: NDArray[np.uint32], lost: int) -> None:
        self.tables = (*self.tables[:t], table, *self.tables[t + 1 :])
        self._slots[t], self._lost[t] = table.size, lost
