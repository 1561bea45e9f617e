"""The index: scenes of all cameras by their codes, and their thumbnails for the second look.

Owns rows: what is searched (code, mask, camera, standing) and, apart from it, what only candidates need (the packed
thumbnail). Refuses to know accounts and to decide. The search here is an exact scan; whatever replaces it must find
the same rows.

Distance, stated without the index: over the bits that both masks hold, the share that differs; for a negative, the
share that agrees. A row is found under a hypothesis when at least `least` bits are held in common and the share that
differs is at most `radius`, or when at least `VOTES` of the 8 words agree by themselves: `WORD_BITS` bits in common
of which at most `WORD_RADIUS` differ (a part of the picture is the same and the rest is hidden or torn), while not
between 40 and 60 % of all common bits differ. With `short`, it is also found with more than `SHORT_BITS` bits in
common, when of what is beyond at most the share `SHORT_SLOPE` differs: a strip of a cut-off still has no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.code import WORDS
from models.thumbnail import SIDE

PACKED: Final = SIDE * SIDE // 2
"""Bytes of a packed thumbnail: two cells a byte."""
FREE: Final = -1
"""The camera number of a row that holds nothing."""


VOTES: Final = 3
"""Words that must agree by themselves. Measured: with 3, one still in 20 has a false candidate among 800 scenes."""
WORD_BITS: Final = 22
"""Reliable bits in common that a word needs to vote."""
WORD_RADIUS: Final = 0.125
"""Share of them that may differ."""

SHORT_BITS: Final = 40
"""Common bits that a strip needs,"""
SHORT_SLOPE: Final = 0.2
"""and the bits that may differ for each common one beyond: 2 of 50, 8 of 80. True strips differ in 0 to 10 %."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row within the radius: under which hypothesis, with how many differing of how many common bits.

    `negative` says that the bits were compared with the query inverted. `votes` counts agreeing words.
    """

    row: int
    hypothesis: int
    differing: int
    common: int
    votes: int
    negative: bool


@njit(cache=True, nogil=True)
def _popcount(v: np.uint64) -> np.uint64:
    v = v - ((v >> np.uint64(1)) & np.uint64(0x5555555555555555))
    v = (v & np.uint64(0x3333333333333333)) + ((v >> np.uint64(2)) & np.uint64(0x3333333333333333))
    v = (v + (v >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (v * np.uint64(0x0101010101010101)) >> np.uint64(56)


@njit(cache=True, nogil=True)
def distances(
    code: NDArray[np.uint64], mask: NDArray[np.uint64], codes: NDArray[np.uint64], masks: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Differing and common bits of one code against n of them, (n,) each."""
    n = codes.shape[0]
    differing = np.empty(n, np.int64)
    common = np.empty(n, np.int64)
    for r in range(n):
        d = np.uint64(0)
        c = np.uint64(0)
        for w in range(WORDS):
            m = mask[w] & masks[r, w]
            c += _popcount(m)
            d += _popcount((code[w] ^ codes[r, w]) & m)
        differing[r] = d
        common[r] = c
    return differing, common


@njit(cache=True, nogil=True)
def _scan(
    codes: NDArray[np.uint64],
    masks: NDArray[np.uint64],
    camera: NDArray[np.int32],
    standing: NDArray[np.uint8],
    used: int,
    qcodes: NDArray[np.uint64],
    qmasks: NDArray[np.uint64],
    skip: NDArray[np.int32],
    wanted: int,
    radius: float,
    least: int,
    short: bool,
    out: NDArray[np.int32],
) -> int:
    """Fill `out` with the best hypothesis of each row that is found; returns how many were found."""
    found = 0
    for r in range(used):
        cam = camera[r]
        if cam == FREE or not (wanted >> standing[r]) & 1:
            continue
        low, high = 0, skip.size
        while low < high:
            middle = (low + high) // 2
            if skip[middle] < cam:
                low = middle + 1
            else:
                high = middle
        if low == skip.size or skip[low] != cam:
            hit = match_row(codes[r], masks[r], qcodes, qmasks, radius, least, short)
            if hit[0] >= 0:
                if found < out.shape[0]:
                    out[found, 0] = r
                    for k in range(5):
                        out[found, k + 1] = hit[k]
                found += 1
    return found


@njit(cache=True, nogil=True)
def match_row(
    code: NDArray[np.uint64],
    mask: NDArray[np.uint64],
    qcodes: NDArray[np.uint64],
    qmasks: NDArray[np.uint64],
    radius: float,
    least: int,
    short: bool,
) -> tuple[int, int, int, int, int]:
    """The best (hypothesis, differing, common, votes, negative) of a row; hypothesis -1 when none is found.

    Best is most votes beyond the first two, then the least share that differs, then the earliest hypothesis.
    """
    best, best_h, best_d, best_c, best_v, best_n = 9.0, -1, 0, 0, 0, 0
    for h in range(qcodes.shape[0]):
        c = 0
        d = 0
        for w in range(WORDS):
            m = qmasks[h, w] & mask[w]
            c += int(_popcount(m))
            d += int(_popcount((qcodes[h, w] ^ code[w]) & m))
        if 5 * d > 2 * c and 5 * d < 3 * c:
            continue
        votes, against = 0, 0
        for w in range(WORDS):
            m = qmasks[h, w] & mask[w]
            cw = int(_popcount(m))
            if cw >= WORD_BITS:
                dw = int(_popcount((qcodes[h, w] ^ code[w]) & m))
                if dw <= WORD_RADIUS * cw:
                    votes += 1
                elif cw - dw <= WORD_RADIUS * cw:
                    against += 1
        negative = 0
        if 2 * d > c:
            d, votes, negative = c - d, against, 1
        near = c >= least and d <= radius * c
        strip = short and c > SHORT_BITS and d <= SHORT_SLOPE * (c - SHORT_BITS) and d <= radius * c
        if not (near or strip or votes >= VOTES):
            continue
        value = (d + 1.0) / (c + 2.0) - 0.05 * votes
        if value < best:
            best, best_h, best_d, best_c, best_v, best_n = value, h, d, c, votes, negative
    return best_h, best_d, best_c, best_v, best_n


class Index:
    """Grows without a rebuild; an inserted row is found by the next search; a removed row's place is used again."""

    def __init__(self) -> None:
        self._codes = np.zeros((64, WORDS), np.uint64)
        self._masks = np.zeros((64, WORDS), np.uint64)
        self._camera = np.full(64, FREE, np.int32)
        self._standing = np.zeros(64, np.uint8)
        self._thumbs = np.zeros((64, PACKED), np.uint8)
        self._used = 0
        self._free: list[int] = []
        self._out = np.zeros((4096, 6), np.int32)

    def __len__(self) -> int:
        return self._used - len(self._free)

    def insert(
        self, code: NDArray[np.uint64], mask: NDArray[np.uint64], camera: int, standing: int, levels: NDArray[np.int8]
    ) -> int:
        """The row that the scene now has. The same scene inserted twice has two rows."""
        if self._free:
            row = self._free.pop()
        else:
            row = self._used
            self._used += 1
            if row == self._camera.size:
                self._grow()
        self._codes[row], self._masks[row] = code, mask
        self._camera[row], self._standing[row] = camera, standing
        nibbles = (levels.reshape(-1, 2) + 8).astype(np.uint8)
        self._thumbs[row] = nibbles[:, 0] << 4 | nibbles[:, 1]
        return row

    def restand(self, row: int, standing: int) -> None:
        """Change a row's standing."""
        self._standing[row] = standing

    def remove(self, row: int) -> None:
        """Forget a row."""
        self._camera[row] = FREE
        self._thumbs[row] = 0
        self._free.append(row)

    def bits(self, row: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The code and mask of a row, 8 words each."""
        return self._codes[row].copy(), self._masks[row].copy()

    def levels(self, row: int) -> NDArray[np.int8]:
        """The thumbnail of a row, (64, 64) int8."""
        packed = self._thumbs[row]
        levels = np.empty((PACKED, 2), np.int8)
        levels[:, 0] = packed >> 4
        levels[:, 1] = packed & 15
        levels -= 8
        return levels.reshape(SIDE, SIDE)

    def distances(
        self, code: NDArray[np.uint64], mask: NDArray[np.uint64], rows: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Differing and common bits against these rows, in their order."""
        at = np.asarray(rows, np.int64)
        differing, common = distances(code, mask, self._codes[at], self._masks[at])
        return differing, common

    def search(
        self,
        codes: NDArray[np.uint64],
        masks: NDArray[np.uint64],
        *,
        skip: Sequence[int],
        standings: Sequence[int],
        radius: float,
        least: int,
        short: bool = False,
    ) -> list[Found]:
        """Rows of these standings within the radius under any hypothesis, cameras in `skip` left out; unordered."""
        wanted = sum(1 << s for s in standings)
        skipped = np.sort(np.asarray(skip, np.int32))
        while True:
            n = _scan(
                self._codes,
                self._masks,
                self._camera,
                self._standing,
                self._used,
                codes,
                masks,
                skipped,
                wanted,
                radius,
                least,
                short,
                self._out,
            )
            if n <= len(self._out):
                return [
                    Found(int(r), int(h), int(d), int(c), int(v), bool(neg)) for r, h, d, c, v, neg in self._out[:n]
                ]
            self._out = np.zeros((2 * n, 6), np.int32)

    def match(
        self,
        rows: Sequence[int],
        codes: NDArray[np.uint64],
        masks: NDArray[np.uint64],
        *,
        radius: float,
        least: int,
        short: bool = False,
    ) -> list[Found]:
        """Those of the given rows that are found, by the same rule as `search`."""
        found = []
        for row in rows:
            h, d, c, v, n = match_row(self._codes[row], self._masks[row], codes, masks, radius, least, short)
            if h >= 0:
                found.append(Found(row, h, d, c, v, bool(n)))
        return found

    def _grow(self) -> None:
        size = 2 * self._camera.size
        for name in ("_codes", "_masks", "_camera", "_standing", "_thumbs"):
            old = getattr(self, name)
            new = np.zeros((size, *old.shape[1:]), old.dtype)
            new[: old.shape[0]] = old
            setattr(self, name, new)
        self._camera[size // 2 :] = FREE
