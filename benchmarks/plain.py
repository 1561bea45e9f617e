"""Codes of 256 bits without masks in the detector's own tables: what its search is measured by beside others.

Owns the bands of such a code and the search within a radius by them. A code has eleven bands of 23 or 24 bits. Were
three bits of each band different, and two of the last one, that would be 32. So of two codes within `RADIUS` one band
differs in no more than two bits (the last one in one), and such a band that, counted on from it around the ring, any
number of bands stays below these sums: the band itself, and it together with its neighbour (the pigeonring principle,
J. Qin and C. Xiao, VLDB 2018). A key is a band and the first bits of the next one. Looking in each bucket that up to
two turned bits choose at the keys that differ in no more finds all such codes; a candidate is compared in full.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.bucket import (
    ALL,
    ASKER,
    COUNTED,
    MOST,
    PLACE,
    PROBE,
    RING,
    TAG,
    below,
    choosing,
    lines,
    walk,
)
from models.lanes import popcount, prefetch
from models.table import Tables
from models.vectors import LINE

RADIUS: Final = 31
"""Bits that may differ."""
BANDS: Final = 11
WIDTHS: Final = (24, 24, 24, *[23] * 8)
STARTS: Final = np.concatenate([[0], np.cumsum(WIDTHS)[:-1]]).astype(np.int64)
WIDEST: Final = max(WIDTHS)
APART: Final = np.array([2] * 10 + [1], np.int64)
"""Bits of each band that may differ."""
WITH_NEXT: Final = APART + np.roll(APART, -1) + 1
"""The same of it and the next one together."""
LENGTH: Final = 31
"""Bits of a key: with one more, a key could be the one that stands for none."""
LOW: Final = below(LENGTH)
OWN: Final = np.array([(1 << w) - 1 >> LOW for w in WIDTHS], np.uint32)
"""The bits of a tag that are of the band itself."""
FULL: Final = 11
"""Codes in a bucket, on average: as many lines as keep an entry's memory below 120 bytes."""


@njit(cache=True, nogil=True, inline="always")
def _key(code: NDArray[np.uint64], start: int) -> np.uint32:
    """The bits of a code from `start` on, those of the first word after those of the last."""
    word, at = start // 64, start % 64
    # shifted twice: not at all where the key ends before the next word
    v = code[word] >> np.uint64(at) | code[(word + 1) % 4] << np.uint64(63 - at) << np.uint64(1)
    return np.uint32(v & np.uint64((1 << LENGTH) - 1))


@njit(cache=True, nogil=True)
def keys_of(codes: NDArray[np.uint64], keys: NDArray[np.uint32]) -> None:
    """The keys of codes (n, 4), into (BANDS, n)."""
    for b in range(BANDS):
        for r in range(codes.shape[0]):
            keys[b, r] = _key(codes[r], STARTS[b])


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
TURNS: Final = np.bitwise_count(TURNED).astype(np.int64)
"""How many bits these are."""
PENDING: Final = 256
"""Codes that are compared together."""
_SOON: Final = 24
"""Codes that are asked of memory before they are needed."""


@njit(cache=True, nogil=True)
def _search(
    tables: tuple[NDArray[np.uint32], ...],
    buckets: NDArray[np.int64],
    codes: NDArray[np.uint64],
    query: NDArray[np.uint64],
    out: NDArray[np.int64],
) -> int:
    probes = np.empty((RING, PROBE), np.uint32)
    rows, by = np.empty(PENDING + LINE, np.uint32), np.empty(PENDING + LINE, np.uint32)
    n = 0
    for b in range(BANDS):
        head, tail = 0, _probes(_key(query, STARTS[b]), b, buckets[b], probes)
        while head < tail:
            head, tail, found = walk(tables[b], probes, head, tail, rows, by)
            n = _compare(codes, query, rows, found, out, n)
    return n


@njit(cache=True, nogil=True)
def _probes(key: np.uint32, band: int, buckets: np.int64, probes: NDArray[np.uint32]) -> int:
    """Fill in the buckets that a key chooses with as many of its bits turned as may be; how many they are."""
    bits, count = choosing(buckets), 0
    last, width = np.uint32((bits + 1) >> 1), np.int64(popcount(np.uint64(bits)))
    for k in range(1 + width * (width + 1) // 2):
        probe, left = key ^ TURNED[k], APART[band] - TURNS[k]
        place = np.int64(probe) & bits
        alone = place & np.int64(~last) | np.int64(last) >= buckets
        # a bucket that was not divided is the same whatever that bit is
        again = alone and TURNED[k] & last != 0
        probes[count, PLACE] = place & np.int64(~last) if alone else place
        probes[count, TAG], probes[count, COUNTED], probes[count, ASKER] = probe >> np.uint32(LOW), OWN[band], 0
        probes[count, MOST], probes[count, ALL] = left, WITH_NEXT[band] - TURNS[k]
        count += left >= 0 and not again
    return count


@njit(cache=True, nogil=True)
def _compare(
    codes: NDArray[np.uint64],
    query: NDArray[np.uint64],
    rows: NDArray[np.uint32],
    found: int,
    out: NDArray[np.int64],
    n: int,
) -> int:
    """Append those of the rows that lie within the radius, each once."""
    for j in range(min(_SOON, found)):
        prefetch(codes, np.int64(rows[j]))
    for j in range(found):
        if j + _SOON < found:
            prefetch(codes, np.int64(rows[j + _SOON]))
        r = np.int64(rows[j])
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
        self.tables = Tables(BANDS, room, LENGTH, FULL)
        self._used = 0
        self._keys = np.empty((BANDS, 0), np.uint32)
        self._out = np.empty(65536, np.int64)

    def extend(self, codes: NDArray[np.uint64]) -> None:
        """Add codes behind the others; the room was given at the start."""
        end = self._used + len(codes)
        self.codes[self._used : end] = codes
        self._used = end
        if self._keys.shape[1] != len(codes):  # memory of the system's own, each time anew, would cost more than keys
            self._keys = np.empty((BANDS, len(codes)), np.uint32)
        keys_of(codes, self._keys)
        self.tables.extend(self._keys)

    def search(self, query: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Rows within the radius of one code, (4,), in order."""
        n = _search(*self.tables.searched, self.codes, query, self._out)
        return np.sort(self._out[:n])

    @property
    def nbytes(self) -> int:
        """Bytes of what a search reads: codes and tables."""
        return self._used * 32 + self.tables.nbytes
