"""Keys: what a scene is looked up by, before any bit of its code is compared.

Owns the windows of a thumbnail, the signs that are taken of each, and how many of them a query leaves free. Refuses to
store and to compare. A key is the signs of the 28 lowest waves (cosine transform, without the mean) of one window of
the smoothed thumbnail: nearly independent of each other, so that 28 of them tell ten million scenes apart, and low
enough to bear a crop that is off by a cell. A scene has one key for each window that is seen; strips and corners of
a picture have windows of their own, so that what is cut off or drawn over spoils only some.

The rule, stated without any index: *a query shares a key with a scene* when in one window that both see, all signs
agree but at most those that are weakest in the query: `free` of them, more under common placings and where few
windows are left. Measured on 2,691 pairs of a still and the scene that it was named by, whole replays and 69 kinds of
damage: the windows below were chosen among 217 for how few pairs share none (docs/decisions/index.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.code import AS_IS, encode, finer
from models.table import NO_KEY
from models.thumbnail import SIDE, smooth

SAMPLES: Final = 32
"""Samples of the thumbnail a side, two cells apart."""
BITS: Final = 28
"""Signs in a key."""
WEAKEST: Final = 16
"""Signs of a query that may be left free at most."""
UNSEEN_SHARE: Final = 0.12
"""Share of a window that may be unseen, in the query or in the scene. It counts as the window's mean."""
FREE_AS_IS: Final = 12
"""Signs left free as the still is, two more each time that only half as many windows are seen,"""
FREE_USUAL: Final = 9
"""trimmed or inside borders,"""
FREE_RARE: Final = 7
"""under any other placing,"""
FREE_NEGATIVE: Final = 7
"""and of an inverted picture."""
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


def _tables() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The transforms along x that any window needs (start, end, wave), and for each sign of each window which of them
    it takes and its wave along y; and what to weigh its strength with."""
    along: dict[tuple[int, int, int], int] = {}
    waves = np.zeros((KEYS, BITS, 2), np.int64)
    weights = np.zeros((KEYS, BITS), np.float32)
    for t, (y0, y1, x0, x1) in enumerate(WINDOWS):
        for k, (frequency, a, b) in enumerate(_waves(y1 - y0, x1 - x0)):
            waves[t, k] = along.setdefault((x0, x1, b), len(along)), a
            weights[t, k] = 1 / _spread(frequency)
    return np.array(list(along), np.int64), waves, weights


def _cosines() -> NDArray[np.float32]:
    """The cosine transform of each length that occurs: (length, wave, sample)."""
    rows = np.zeros((SAMPLES + 1, SAMPLES, SAMPLES), np.float32)
    for n in {side for y0, y1, x0, x1 in WINDOWS for side in (y1 - y0, x1 - x0)}:
        rows[n, :n, :n] = np.cos(np.pi * np.outer(np.arange(n), np.arange(n) + 0.5) / n) * np.sqrt(2 / n)
        rows[n, 0] *= np.sqrt(0.5)
    return rows


_BOXES: Final = np.array(WINDOWS, np.int64)
_ALONG, _WAVES, _WEIGHTS = _tables()
_COSINES: Final = _cosines()
_ACROSS: Final = np.stack([np.pad(_COSINES[e - s, w, : e - s], (s, SAMPLES - e)) for s, e, w in _ALONG.tolist()])
"""The transforms along x as rows over all samples: one product with the samples does them all."""


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
    for h in range(at.shape[1]):
        a, b = placings[h, 2 * axis], placings[h, 2 * axis + 1]
        for g in range(SAMPLES):
            v = 2.0 * (a * (0.5 + 2 * g - centre) + b + centre)
            outside = v < -1.5 or v > size + 0.5
            at[g, h] = size if outside else min(max(int(np.floor(v + 0.5)), 0), size - 1)


@njit(cache=True, nogil=True)
def _sample(
    fine: NDArray[np.float32],
    placings: NDArray[np.float32],
    sampled: NDArray[np.float32],
    seen: NDArray[np.bool_],
) -> None:
    """Fill `sampled` (x, y, n), 0 where nothing is seen, and which windows are seen (n, KEYS)."""
    n, size = sampled.shape[2], fine.shape[0] - 1
    xs = np.empty((SAMPLES, n), np.int64)
    ys = np.empty((SAMPLES, n), np.int64)
    _lines(placings, 0, size, xs)
    _lines(placings, 1, size, ys)
    gone = np.zeros((SAMPLES + 1, SAMPLES + 1, n), np.int32)
    for x in range(SAMPLES):
        for y in range(SAMPLES):
            for h in range(n):
                v = fine[ys[y, h], xs[x, h]]
                lost = np.isnan(v)
                sampled[x, y, h] = np.float32(0.0) if lost else v
                gone[y + 1, x + 1, h] = np.int32(lost) + gone[y, x + 1, h] + gone[y + 1, x, h] - gone[y, x, h]
    for t in range(_BOXES.shape[0]):
        y0, y1, x0, x1 = _BOXES[t, 0], _BOXES[t, 1], _BOXES[t, 2], _BOXES[t, 3]
        for h in range(n):
            lost = gone[y1, x1, h] - gone[y0, x1, h] - gone[y1, x0, h] + gone[y0, x0, h]
            seen[h, t] = lost <= UNSEEN_SHARE * ((y1 - y0) * (x1 - x0))


@njit(cache=True, nogil=True, fastmath={"contract"})
def _down(rows: NDArray[np.float32], strengths: NDArray[np.float32]) -> None:
    """Fill `strengths` (KEYS, BITS, n) from the transforms along x (waves, y, n), all placings at once."""
    n = rows.shape[2]
    for t in range(_BOXES.shape[0]):
        y0, y1 = _BOXES[t, 0], _BOXES[t, 1]
        for k in range(BITS):
            r, wave = _WAVES[t, k, 0], _WAVES[t, k, 1]
            for h in range(n):
                strengths[t, k, h] = 0.0
            for y in range(y0, y1):
                factor = _COSINES[y1 - y0, wave, y - y0] * _WEIGHTS[t, k]
                for h in range(n):
                    strengths[t, k, h] += factor * rows[r, y, h]


@njit(cache=True, nogil=True)
def _signs(
    strengths: NDArray[np.float32],
    seen: NDArray[np.bool_],
    free: NDArray[np.int64],
    keys: NDArray[np.uint32],
    order: NDArray[np.uint8],
) -> None:
    """Fill keys (n, KEYS) and, for each, the positions of its weakest signs (n, KEYS, WEAKEST), weakest first."""
    left = np.empty(BITS, np.int32)
    bits = strengths.view(np.int32)
    for h in range(seen.shape[0]):
        for t in range(seen.shape[1]):
            if not seen[h, t]:
                continue
            key = np.uint32(0)
            for k in range(BITS):
                v = bits[t, k, h]
                if v > 0:
                    key |= np.uint32(1) << np.uint32(k)
                # as integers, magnitudes of floats are in order; the last five bits make room for the position
                left[k] = np.int32((v & 0x7FFFFFE0) | k)
            keys[h, t] = key
            for w in range(free[h]):
                least = left[0]
                for k in range(1, BITS):
                    least = min(least, left[k])
                at = least & 31
                order[h, t, w] = at
                left[at] = np.int32(0x7FFFFFFF)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A query made ready for the index: per placing its keys, their weakest signs, how many of them are free.

    `keys` (n, KEYS) uint32, `weakest` (n, KEYS, WEAKEST) uint8 bit positions, `seen` (n, KEYS) bool, `free` (n,)
    int64; `codes` and `masks` (n, 8) are of the same placings. Inverted pictures are rows of their own.
    """

    keys: NDArray[np.uint32]
    weakest: NDArray[np.uint8]
    seen: NDArray[np.bool_]
    free: NDArray[np.int64]
    codes: NDArray[np.uint64]
    masks: NDArray[np.uint64]


def lookup(levels: NDArray[np.int8], placings: NDArray[np.float32], *, usual: int = 0, as_is: bool = False) -> Lookup:
    """A thumbnail ready to be looked up under n placings, of which the first `usual` are looked up inverted as well.

    `as_is` says that the first of them is the still as it is.
    """
    plane, support = smooth(levels)
    codes, masks = encode(plane, support, placings)
    free = np.full(len(placings), FREE_RARE, np.int64)
    free[:usual] = FREE_USUAL
    if as_is:
        free[0] = WEAKEST
    keys, weakest, seen = _of_plane(plane, support, placings, free)
    if as_is:
        windows = max(int(seen[0].sum()), 1)
        free[0] = min(FREE_AS_IS + 2 * ((KEYS // windows).bit_length() - 1), WEAKEST)
    turned = slice(0, usual)
    return Lookup(
        np.concatenate([keys, ~keys[turned] & np.uint32((1 << BITS) - 1)]),
        np.concatenate([weakest, weakest[turned]]),
        np.concatenate([seen, seen[turned]]),
        np.concatenate([free, np.full(usual, FREE_NEGATIVE, np.int64)]),
        np.concatenate([codes, ~codes[turned]]),
        np.concatenate([masks, masks[turned]]),
    )


def as_it_is(levels: NDArray[np.int8]) -> Lookup:
    """A thumbnail ready to be looked up as it is, and inverted."""
    return lookup(levels, AS_IS, usual=1, as_is=True)


def keys_of(levels: NDArray[np.int8]) -> NDArray[np.uint32]:
    """The keys of a stored scene, (KEYS,); `NO_KEY` for windows that are not seen."""
    plane, support = smooth(levels)
    keys, _, seen = _of_plane(plane, support, AS_IS, np.zeros(1, np.int64))
    return np.where(seen[0], keys[0], NO_KEY)


def _of_plane(
    plane: NDArray[np.float32], support: NDArray[np.float32], placings: NDArray[np.float32], free: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.bool_]]:
    n = len(placings)
    keys = np.zeros((n, KEYS), np.uint32)
    order = np.zeros((n, KEYS, WEAKEST), np.uint8)
    seen = np.zeros((n, KEYS), np.bool_)
    sampled = np.empty((SAMPLES, SAMPLES, n), np.float32)
    _sample(finer(plane, support), placings, sampled, seen)
    rows = np.matmul(_ACROSS, sampled.reshape(SAMPLES, SAMPLES * n)).reshape(-1, SAMPLES, n)
    strengths = np.empty((KEYS, BITS, n), np.float32)
    _down(rows, strengths)
    _signs(strengths, seen, free, keys, order)
    return keys, order, seen
