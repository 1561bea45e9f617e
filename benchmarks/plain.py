"""Codes of 256 bits without masks in the detector's own tables: what its search is measured by beside others.

Owns the bands of such a code and the search within a radius by them. A code has eleven keys of 23 or 24 bits. Two codes
within `RADIUS` agree in one of them but for two bits (in the last one but for one bit), so looking up each
key with two bits turned finds them all: a candidate is compared in full.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.lanes import popcount, prefetch
from models.table import SLOTS, Tables, hashed, line_of, mark, rows_in

RADIUS: Final = 31
"""Bits that may differ: ten keys with 3 differing bits at least, and one with 2, make 32."""
BANDS: Final = 11
WIDTHS: Final = (24, 24, 24, *[23] * 8)
STARTS: Final = np.concatenate([[0], np.cumsum(WIDTHS)[:-1]]).astype(np.int64)
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
    """The keys of codes (n, 4), as (BANDS, n)."""
    keys = np.empty((BANDS, codes.shape[0]), np.uint32)
    for r in range(codes.shape[0]):
        for b in range(BANDS):
            keys[b, r] = _key(codes[r], STARTS[b], BITS[b])
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


@njit(cache=True, nogil=True)
def _probes() -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """All probes of a query: in which table, and what is turned in its key."""
    where, turned = np.empty(11 * 301, np.int64), np.empty(11 * 301, np.uint32)
    n = 0
    for b in range(BANDS):
        bits = BITS[b]
        for k in range(1 + bits + bits * (bits - 1) // 2):
            mask = _turned(k)
            if b < BANDS - 1 or popcount(np.uint64(mask)) < 2:
                where[n], turned[n] = b, mask
                n += 1
    return where[:n], turned[:n]


WHERE, TURNED = _probes()
AT_ONCE: Final = 128
"""Probes that are asked of memory at once."""


@njit(cache=True, nogil=True)
def _search(
    tables: tuple[NDArray[np.uint32], ...],
    forms: NDArray[np.int64],
    codes: NDArray[np.uint64],
    query: NDArray[np.uint64],
    out: NDArray[np.int64],
) -> int:
    keys = np.empty(BANDS, np.uint32)
    for b in range(BANDS):
        keys[b] = _key(query, STARTS[b], BITS[b])
    places, marks = np.empty(AT_ONCE, np.int64), np.empty(AT_ONCE, np.uint32)
    pending = np.empty(1 << 16, np.int64)
    n = 0
    for first in range(0, WHERE.size, AT_ONCE):
        count = min(AT_ONCE, WHERE.size - first)
        for j in range(count):
            b = WHERE[first + j]
            code = hashed(keys[b] ^ TURNED[first + j], 0)
            places[j], marks[j] = line_of(code, tables[b].shape[0]), mark(code)
            prefetch(tables[b], places[j])
        found = 0
        for j in range(count):
            b = WHERE[first + j]
            table, at = tables[b], places[j]
            rows = np.uint32((1 << forms[b, 0]) - 1)
            wanted = (keys[b] ^ TURNED[first + j]) << np.uint32(forms[b, 0])
            while found + SLOTS <= pending.size:
                found = rows_in(table, at, wanted, ~rows, rows, pending, found)
                if not table[at, SLOTS] & marks[j]:
                    break
                at = at + 1 if at + 1 < table.shape[0] else 0
        for j in range(found):
            prefetch(codes, pending[j])
        for j in range(found):
            r = pending[j]
            d = 0
            for w in range(4):
                d += int(popcount(codes[r, w] ^ query[w]))
            if d <= RADIUS:
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
        self.codes = np.zeros((room, 4), np.uint64)
        self.tables = Tables(BANDS, room, max(WIDTHS), 0)
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
