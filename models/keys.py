"""Keys: what a scene is looked up by, before any bit of its code is compared.

Owns the windows of a thumbnail, the signs that are taken of each, and how many of them a query leaves free. Refuses to
store and to compare. A key is the signs of the 28 lowest waves (cosine transform, without the mean) of one window of
the smoothed thumbnail: nearly independent of each other, so that 28 of them tell ten million scenes apart, and low
enough to bear a crop that is off by a cell. A scene has one key for each window that is seen; strips and corners of
a picture have windows of their own, so that what is cut off or drawn over spoils only some.

The rule, stated without any index: *a query shares a key with a scene* when in one window that both see, all signs
agree but at most those that are weakest in the query: so many of the ten that come last in the key, which are of the
highest waves, and so many of the others; more under common placings, where few windows are left, and among few
scenes. Measured on pairs of a still and the scene that it was named by, whole replays and 84 kinds of damage: the
windows below were chosen among 217 for how few pairs share none, the numbers for how few lines of memory a search
looks at for it (docs/decisions/index.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.code import AS_IS, encode, finer
from models.distance import popcount
from models.table import NO_KEY
from models.thumbnail import SIDE, smooth

SAMPLES: Final = 32
"""Samples of the thumbnail a side, two cells apart."""
BITS: Final = 28
"""Signs in a key."""
LAST: Final = 10
"""Signs of the highest waves, which change first: the low bits of a key. A table keeps keys that differ in them alone
side by side (models/table.py), so that leaving them free costs little."""
UNSEEN_SHARE: Final = 0.12
"""Share of a window that may be unseen, in the query or in the scene. It counts as the window's mean."""
FREE_AS_IS: Final = (5, 7)
"""Signs left free, among the others and among the last, as the still is, one more of each each time that only half as
many windows are seen;"""
FREE_USUAL: Final = (3, 6)
"""trimmed or inside borders,"""
FREE_RARE: Final = (2, 5)
"""under any other placing,"""
FREE_NEGATIVE: Final = (2, 6)
"""and of an inverted picture: all of these among so many scenes,"""
MANY: Final = 10_000_000
"""that 15,000 of them share a key with a still by chance. Each time that only half as many are known,"""
SPARE: Final = 6
"""one sign more is left free, up to so many: every third of them among the others, the rest among the last."""
WINDOWS: Final = (
    (0, 6, 0, 32),
    (0, 8, 0, 32),
    (0, 12, 0, 32),
    (2, 8, 0, 32),
    (2, 10, 0, 32),
    (4, 10, 0, 32),
    (8, 14, 0, 32),
    (20, 32, 0, 32),
    (22, 30, 0, 32),
    (24, 30, 0, 32),
    (0, 32, 12, 20),
    (4, 16, 4, 16),
    (4, 16, 8, 20),
    (4, 16, 12, 24),
    (4, 16, 16, 28),
    (8, 20, 8, 20),
    (8, 20, 12, 24),
    (16, 28, 0, 12),
    (16, 28, 4, 16),
    (16, 28, 16, 28),
    (16, 28, 20, 32),
    (4, 20, 8, 24),
    (8, 24, 8, 24),
    (12, 28, 8, 24),
)
"""Top, bottom, left and right, in samples, of each window; together they are the same seen in a mirror."""
KEYS: Final = len(WINDOWS)


def _waves(height: int, width: int) -> list[tuple[float, int, int]]:
    """(frequency in cycles a cell, waves along y, waves along x) of the lowest waves but the mean."""
    found = [(float(np.hypot(a / height, b / width)) / 4, a, b) for a in range(height) for b in range(width) if a + b]
    return sorted(found)[:BITS]


def _spread(frequency: float) -> float:
    """How strong a wave of this frequency is between scenes (fit through the measured ones, within a fifth)."""
    return float(2.75 * frequency**0.28 * np.exp(-((frequency / 0.0974) ** 2)))


def _tables() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """The transforms along x that any window needs, as rows over all samples (n, SAMPLES): one product with the samples
    does them all. For each sign of each window which of them it takes, and its transform along y, over the window's
    samples alone and weighed by how strong such a wave is: (KEYS, BITS) and (KEYS, SAMPLES, BITS)."""
    along: dict[tuple[int, int, int], int] = {}
    takes = np.zeros((KEYS, BITS), np.int64)
    down = np.zeros((KEYS, SAMPLES, BITS), np.float32)
    for t, (y0, y1, x0, x1) in enumerate(WINDOWS):
        for k, (frequency, a, b) in enumerate(_waves(y1 - y0, x1 - x0)):
            takes[t, k] = along.setdefault((x0, x1, b), len(along))
            down[t, y0:y1, k] = _cosine(y1 - y0, a) / _spread(frequency)
    across = np.stack([np.pad(_cosine(e - s, w), (s, SAMPLES - e)) for s, e, w in along])
    return across.astype(np.float32), takes, down


def _cosine(n: int, wave: int) -> NDArray[np.float64]:
    """One row of the cosine transform of n samples."""
    row: NDArray[np.float64] = np.cos(np.pi * wave * (np.arange(n) + 0.5) / n) * np.sqrt((2 if wave else 1) / n)
    return row


_BOXES: Final = np.array(WINDOWS, np.int64)
_ACROSS, _TAKES, _DOWN = _tables()
_AT_ONCE: Final = 16
"""Placings that are worked out together: what they need fits into the nearest cache."""


def _areas() -> NDArray[np.uint64]:
    """Which bits of a code (models/code.py) lie in each window, (KEYS, 8)."""
    words = np.zeros((KEYS, 8), np.uint64)
    for t, (y0, y1, x0, x1) in enumerate(WINDOWS):
        for gy in range(16):
            for gx in range(16):
                if y0 <= 2 * gy + 0.5 < y1 and x0 <= 2 * gx + 0.5 < x1:
                    words[t, gy // 4 * 2 + gx // 8] |= np.uint64(3 << (((gy % 4) * 8 + gx % 8) * 2))
    return words


AREAS: Final = _areas()
"""Which bits of a code (models/code.py) lie in each window, (KEYS, 8)."""


@njit(cache=True, nogil=True)
def _lines(placings: NDArray[np.float32], axis: int, size: int, at: NDArray[np.int64]) -> None:
    """Fill `at` (SAMPLES, n) with the half-cell line of each sample; the last one, where nothing is seen, outside."""
    centre = (SIDE - 1) / 2.0
    for h in range(placings.shape[0]):
        a, b = placings[h, 2 * axis], placings[h, 2 * axis + 1]
        for g in range(SAMPLES):
            v = 2.0 * (a * (0.5 + 2 * g - centre) + b + centre)
            outside = v < -1.5 or v > size + 0.5
            at[g, h] = size if outside else min(max(int(np.floor(v + 0.5)), 0), size - 1)


@njit(cache=True, nogil=True)
def _sample(
    fine: NDArray[np.float32],
    xs: NDArray[np.int64],
    ys: NDArray[np.int64],
    sampled: NDArray[np.float32],
    lost: NDArray[np.uint32],
) -> None:
    """Fill `sampled` (x, y and placing), 0 where nothing is seen, and in which y that is so, as bits, (x, placing)."""
    flat, width, n = fine.ravel(), fine.shape[1], xs.shape[1]
    for x in range(SAMPLES):
        for h in range(n):
            lost[x, h] = 0
        for y in range(SAMPLES):
            for h in range(n):
                v = flat[ys[y, h] * width + xs[x, h]]
                gone = np.isnan(v)
                sampled[x, y * n + h] = np.float32(0.0) if gone else v
                lost[x, h] |= np.uint32(gone) << np.uint32(y)


@njit(cache=True, nogil=True)
def _seen(lost: NDArray[np.uint32], window: int, seen: NDArray[np.bool_]) -> bool:
    """Fill in which placings see the window, (n, KEYS); whether any does."""
    y0, y1, x0, x1 = _BOXES[window]
    rows = np.uint32((1 << y1) - (1 << y0))
    some = False
    for h in range(seen.shape[0]):
        count = 0
        for x in range(x0, x1):
            count += int(popcount(np.uint64(lost[x, h] & rows)))
        seen[h, window] = count <= UNSEEN_SHARE * ((y1 - y0) * (x1 - x0))
        some |= seen[h, window]
    return some


@njit(cache=True, nogil=True, fastmath={"contract"})
def _strengths(rows: NDArray[np.float32], window: int, strengths: NDArray[np.float32]) -> None:
    """Fill how strong each wave of the window is, (BITS, n), from the transforms along x (waves, y and placing)."""
    n = strengths.shape[1]
    strengths[:] = 0
    for y in range(_BOXES[window, 0], _BOXES[window, 1]):
        for k in range(BITS):
            factor, wave = _DOWN[window, y, k], _TAKES[window, k]
            for h in range(n):
                strengths[k, h] += factor * rows[wave, y * n + h]


@njit(cache=True, nogil=True)
def _key(
    bits: NDArray[np.int32], placing: int, others: int, last: int, left: NDArray[np.int32]
) -> tuple[np.uint32, np.uint32]:
    """The key of one placing, and the bits of its weakest signs: `others` and `last` of the two parts."""
    key, weakest = np.uint32(0), np.uint32(0)
    for k in range(BITS):
        v = bits[k, placing]
        key = np.uint32(key << np.uint32(1)) | np.uint32(v > 0)
        # as integers, magnitudes of floats are in order; the last five bits make room for the position
        left[k] = np.int32((v & 0x7FFFFFE0) | k)
    for part in range(2):
        first, end = (0, BITS - LAST) if part == 0 else (BITS - LAST, BITS)
        for _ in range(others if part == 0 else last):
            least = left[first]
            for k in range(first + 1, end):
                least = min(least, left[k])
            weakest |= np.uint32(1) << np.uint32(BITS - 1 - (least & 31))
            left[least & 31] = np.int32(0x7FFFFFFF)
    return key, weakest


@njit(cache=True, nogil=True)
def _keys(
    fine: NDArray[np.float32],
    placings: NDArray[np.float32],
    free_of: NDArray[np.int64],
    as_is: bool,
    keys: NDArray[np.uint32],
    free: NDArray[np.uint32],
    seen: NDArray[np.bool_],
) -> None:
    """Fill keys, the bits of their weakest signs, and which windows are seen, (n, KEYS) each.

    `free_of` (n, 2) says how many signs of the two parts are free; `as_is` that the first placing has more if it sees
    few windows. Rows beyond the placings are those of the first ones once more, to be inverted: they may have other
    signs free.
    """
    n, at_once = placings.shape[0], min(_AT_ONCE, placings.shape[0])
    xs = np.full((SAMPLES, at_once), fine.shape[0] - 1, np.int64)
    ys = np.full((SAMPLES, at_once), fine.shape[0] - 1, np.int64)
    lost = np.empty((SAMPLES, at_once), np.uint32)
    sampled = np.empty((SAMPLES, SAMPLES * at_once), np.float32)
    rows = np.empty((_ACROSS.shape[0], SAMPLES * at_once), np.float32)
    strengths = np.empty((KEYS, BITS, at_once), np.float32)
    bits, left = strengths.view(np.int32), np.empty(BITS, np.int32)
    for first in range(0, n, at_once):
        some, sees = placings[first : first + at_once], seen[first : first + at_once]
        _lines(some, 0, fine.shape[0] - 1, xs)
        _lines(some, 1, fine.shape[0] - 1, ys)
        _sample(fine, xs, ys, sampled, lost)
        np.dot(_ACROSS, sampled, rows)
        for t in range(KEYS):
            if _seen(lost, t, sees[: some.shape[0]]):
                _strengths(rows, t, strengths[t])
        for h in range(first, first + some.shape[0]):
            others, last = free_of[h, 0], free_of[h, 1]
            if as_is and h == 0:
                halved = KEYS // max(int(seen[0].sum()), 1)
                while halved > 1:
                    others, last, halved = min(others + 1, BITS - LAST), min(last + 1, LAST), halved // 2
            for t in range(KEYS):
                if seen[h, t]:
                    keys[h, t], free[h, t] = _key(bits[t], h - first, others, last, left)
                    if n + h < keys.shape[0]:
                        seen[n + h, t] = True
                        found = _key(bits[t], h - first, free_of[n + h, 0], free_of[n + h, 1], left)
                        keys[n + h, t], free[n + h, t] = found


@dataclass(frozen=True, slots=True)
class Lookup:
    """A query made ready for the index: per placing and window its key, and which of its signs are left free.

    `keys` and `free` (n, KEYS) uint32, `seen` (n, KEYS) bool; `codes` and `masks` (n, 8) are of the same placings.
    Inverted pictures are rows of their own.
    """

    keys: NDArray[np.uint32]
    free: NDArray[np.uint32]
    seen: NDArray[np.bool_]
    codes: NDArray[np.uint64]
    masks: NDArray[np.uint64]


def lookup(
    levels: NDArray[np.int8],
    placings: NDArray[np.float32],
    *,
    scenes: int = MANY,
    usual: int = 0,
    as_is: bool = False,
) -> Lookup:
    """A thumbnail ready to be looked up among so many scenes under n placings.

    The first `usual` placings are looked up inverted as well; `as_is` says that the first of them is the still as it
    is.
    """
    plane, support = smooth(levels)
    codes, masks = encode(plane, support, placings)
    n = len(placings)
    counts = np.full((n + usual, 2), FREE_RARE, np.int64)
    counts[:usual], counts[n:] = FREE_USUAL, FREE_NEGATIVE
    if as_is:
        counts[0] = FREE_AS_IS
    counts = np.minimum(counts + _spare(scenes), (BITS - LAST, LAST))
    keys, free, seen = _of_plane(finer(plane, support), placings, counts, as_is=as_is)
    keys[n:] = ~keys[n:] & np.uint32((1 << BITS) - 1)
    return Lookup(keys, free, seen, np.concatenate([codes, ~codes[:usual]]), np.concatenate([masks, masks[:usual]]))


def as_it_is(levels: NDArray[np.int8]) -> Lookup:
    """A thumbnail ready to be looked up as it is, and inverted."""
    return lookup(levels, AS_IS, usual=1, as_is=True)


def _spare(scenes: int) -> tuple[int, int]:
    """Signs that are left free besides among so many scenes, of the others and of the last."""
    spare = min(max(MANY // max(scenes, 1), 1).bit_length() - 1, SPARE)
    return spare // 3, spare - spare // 3


def keys_of(levels: NDArray[np.int8]) -> NDArray[np.uint32]:
    """The keys of a stored scene, (KEYS,); `NO_KEY` for windows that are not seen."""
    keys, _, seen = _of_plane(finer(*smooth(levels)), AS_IS, np.zeros((1, 2), np.int64))
    return np.where(seen[0], keys[0], NO_KEY)


def _of_plane(
    fine: NDArray[np.float32], placings: NDArray[np.float32], free_of: NDArray[np.int64], *, as_is: bool = False
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.bool_]]:
    shape = len(free_of), KEYS
    keys, free, seen = np.zeros(shape, np.uint32), np.zeros(shape, np.uint32), np.zeros(shape, np.bool_)
    _keys(fine, placings, free_of, as_is, keys, free, seen)
    return keys, free, seen
