"""Codes of 256 bits without masks in the detector's own tables: what its search is measured by beside others.

Owns the bands of such a code and the search within a radius by them. A code has eleven keys of 23 or 24 bits. Two codes
within `RADIUS` agree in one of them but for two bits (in the last one but for one bit), so looking at all keys that are
as near finds them all: at those of each bucket that up to two turned bits choose, and differ in no more with the rest.
A candidate is compared in full.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.bucket import NEXT, SLOTS, first_line, lines, place_of, rows_in
from models.lanes import popcount, prefetch
from models.table import Tables

RADIUS: Final = 31
"""Bits that may differ: ten keys with 3 differing bits at least, and one with 2, make 32."""
BANDS: Final = 11
WIDTHS: Final = (24, 24, 24, *[23] * 8)
STARTS: Final = np.concatenate([[0], np.cumsum(WIDTHS)[:-1]]).astype(np.int64)
WIDEST: Final = max(WIDTHS)
BITS: Final = np.array(WIDTHS, np.int64)


@njit(cache=True, nogil=True)
def _key(code: NDArray[np.uint64], start: int, bits: int) -> np.uint32:
    word, at = start // 64, start % 64
    v = code[word] >> np.uint64(at)
    if at + bits > 64:
        v |= code[word + 1] << np.uint64(64 - at)
    return np.uint32(v & np.uint64((1 << bits) - 1))


@njit(cache=True, nogil=True)
def keys_of(codes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """The keys of codes (n, 4), as (BANDS, n), each with zeros behind it up to `WIDEST` bits."""
    keys = np.empty((BANDS, codes.shape[0]), np.uint32)
    for r in range(codes.shape[0]):
        for b in range(BANDS):
            keys[b, r] = _key(codes[r], STARTS[b], BITS[b]) << np.uint32(WIDEST - BITS[b])
    return keys


@njit(cache=True, nogil=True)
def distance(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> int:
    """Bits that differ."""
    d = 0
    for w in range(4):
        d += int(popcount(a[w] ^ b[w]))
    return d


@njit(cache=True, nogil=True)
def scan(codes: NDArray[np.uint64], query: NDArray[np.uint64], out: NDArray[np.int64]) -> int:
    """Every code within the radius, by looking at all of them."""
    n = 0
    for r in range(codes.shape[0]):
        if distance(codes[r], query) <= RADIUS:
            out[n] = r
            n += 1
    return n


@njit(cache=True, nogil=True)
def _turned(k: int) -> np.uint32:
    """No bit, then each bit, then each pair of bits of a key: what to turn at the k-th probe."""
    if k == 0:
        return np.uint32(0)
    k, first = k - 1, 0
    while k > first:  # bit 0; bit 1, and with 0; bit 2, and with 0 and 1; ...
        k, first = k - first - 1, first + 1
    one = np.uint32(1) << np.uint32(first)
    return one if k == 0 else one | np.uint32(1) << np.uint32(k - 1)


TURNED: Final = np.array([_turned(k) for k in range(1 + WIDEST * (WIDEST + 1) // 2)], np.uint32)
"""What is turned at each probe: those that turn some of the lowest bits alone come first."""
PENDING: Final = 256
"""Codes that are asked of memory at once."""


@njit(cache=True, nogil=True)
def _search(
    tables: tuple[NDArray[np.uint32], ...],
    last: NDArray[np.int64],
    codes: NDArray[np.uint64],
    query: NDArray[np.uint64],
    out: NDArray[np.int64],
) -> int:
    places, left = np.empty(TURNED.size, np.int64), np.empty(TURNED.size, np.int64)
    pending = np.empty(PENDING + SLOTS, np.int64)
    n = found = 0
    for b in range(BANDS):
        table, rest = tables[b], np.uint32((1 << last[b]) - 1)
        key = _key(query, STARTS[b], BITS[b]) << np.uint32(WIDEST - BITS[b])
        most, first = 2 if b < BANDS - 1 else 1, WIDEST - last[b]
        probes = 0
        for k in range(1 + first * (first + 1) // 2):
            left[probes] = most - np.int64(popcount(np.uint64(TURNED[k])))
            places[probes] = np.int64((key >> np.uint32(last[b])) ^ TURNED[k])
            if left[probes] >= 0:
                prefetch(table, place_of(places[probes]))
                probes += 1
        for j in range(probes):
            places[j] = first_line(table, places[j])
            prefetch(table, places[j])
        while probes:
            going = 0
            for j in range(probes):
                at, before = places[j], found
                if at == 0:
                    continue
                found = rows_in(table, at, key & rest, rest, left[j], pending, found)
                for k in range(before, found):
                    prefetch(codes, pending[k])
                if found >= PENDING:
                    n = _compare(codes, query, pending, found, out, n)
                    found = 0
                places[going], left[going] = np.int64(table[at, NEXT]), left[j]
                prefetch(table, places[going])
                going += 1
            probes = going
    return _compare(codes, query, pending, found, out, n)


@njit(cache=True, nogil=True)
def _compare(
    codes: NDArray[np.uint64],
    query: NDArray[np.uint64],
    pending: NDArray[np.int64],
    found: int,
    out: NDArray[np.int64],
    n: int,
) -> int:
    """Append those of the rows that lie within the radius, each once."""
    for j in range(found):
        r = pending[j]
        if distance(codes[r], query) <= RADIUS:
            new = True
            for k in range(n):
                new &= out[k] != r
            if new and n < out.size:
                out[n] = r
                n += 1
    return n


class PlainIndex:
    """Codes (n, 4) of 256 bits: grows, finds every code within `RADIUS` bits and no other."""

    def __init__(self, room: int) -> None:
        self.codes = lines(-(-room // 2)).view(np.uint64).reshape(-1, 4)[:room]
        self.tables = Tables(BANDS, room, WIDEST)
        self._used = 0
        self._out = np.empty(65536, np.int64)

    def extend(self, codes: NDArray[np.uint64]) -> None:
        """Add codes behind the others; the room was given at the start."""
        end = self._used + len(codes)
        self.codes[self._used : end] = codes
        self._used = end
        self.tables.extend(keys_of(codes))

    def search(self, query: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Rows within the radius of one code, (4,), in order."""
        n = _search(*self.tables.searched, self.codes, query, self._out)
        return np.sort(self._out[:n])

    @property
    def nbytes(self) -> int:
        """Bytes of what a search reads: codes and tables."""
        return self._used * 32 + self.tables.nbytes
