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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.bucket import NO_KEY
from models.code import AS_IS, Hypotheses, fine_of, hypotheses
from models.lanes import LINE, popcount, sum_products, weakest
from models.thumbnail import SIDE

SAMPLES: Final = 32
"""Samples of the thumbnail a side, two cells apart."""
BITS: Final = 28
"""Signs in a key."""
LAST: Final = 10
"""Signs of the highest waves, which change first: the high bits of a key. They hardly choose its bucket
(models/bucket.py), so that leaving them free costs little."""
UNSEEN_SHARE: Final = 0.12
"""Share of a window that may be unseen, in the query or in the scene. It counts as the window's mean."""
FREE_AS_IS: Final = (5, 7)
"""Signs left free, among the others and among the last, as the still is, one more of each each time that only half as
many windows are seen;"""
FREE_USUAL: Final = (3, 6)
"""trimmed or inside borders,"""
FREE_RARE: Final = (3, 5)
"""under any other placing,"""
FREE_NEGATIVE: Final = (2, 6)
"""and of an inverted picture: all of these among so many scenes,"""
MANY: Final = 10_000_000
"""that 15,000 of them share a key with a still by chance. Each time that only half as many are known,"""
SPARE: Final = 4
"""one more of the last signs is left free, up to so many."""
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


def _tables() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The transforms along x that any window needs, as rows over all samples (n, SAMPLES), those of one span together;
    of each `TOGETHER` of them the span, its first and its end, and which rows of samples the windows need of them, as
    bits, for the `RARE_WINDOWS` and for all, (n / TOGETHER, 4). For each sign of each window which of the transforms
    it takes, (KEYS, BITS), and its own along y, over the window's samples alone and weighed by how strong such a wave
    is, (KEYS * BITS, SAMPLES)."""
    each = [(x0, x1, b) for y0, y1, x0, x1 in WINDOWS for _, _, b in _waves(y1 - y0, x1 - x0)]
    along = {wave: n for n, wave in enumerate(sorted(set(each)))}
    takes = np.array([along[wave] for wave in each], np.int64).reshape(KEYS, BITS)
    spans = np.zeros((len(along) // TOGETHER, 4), np.int64)
    down = np.zeros((KEYS, BITS, SAMPLES), np.float32)
    for t, (y0, y1, x0, x1) in enumerate(WINDOWS):
        for k, (frequency, a, _) in enumerate(_waves(y1 - y0, x1 - x0)):
            down[t, k, y0:y1] = _cosine(y1 - y0, a) / _spread(frequency)
        for n in takes[t] // TOGETHER:
            rows = (1 << y1) - (1 << y0)
            spans[n] = x0, x1, spans[n, 2] | rows * (t in RARE_WINDOWS), spans[n, 3] | rows
    across = np.stack([np.pad(_cosine(e - s, w), (s, SAMPLES - e)) for s, e, w in along])
    return across.astype(np.float32), spans, takes, down.reshape(-1, SAMPLES)


def _cosine(n: int, wave: int) -> NDArray[np.float64]:
    """One row of the cosine transform of n samples."""
    row: NDArray[np.float64] = np.cos(np.pi * wave * (np.arange(n) + 0.5) / n) * np.sqrt((2 if wave else 1) / n)
    return row


RARE_WINDOWS: Final = (0, 5, 8, 9, 10, 11, 14, 15, 16, 18, 19, 21, 22)
"""Those by which the many rare placings are looked up. Of 291 pairs of a still and its scene that share a key under
such a placing alone, 290 share one of these."""
_RARE: Final = np.isin(np.arange(KEYS), RARE_WINDOWS)
_BOXES: Final = np.array(WINDOWS, np.int64)
TOGETHER: Final = 3
"""Transforms along x of one span that are worked out at once: each span has so many, or a multiple."""
_ACROSS, _SPANS, _TAKES, _DOWN = _tables()
_weakest, _products, _product = weakest(BITS, LAST), sum_products(TOGETHER), sum_products(1)
LANES: Final = LINE
"""Placings that are worked out side by side, in the lanes of one register."""


@njit(cache=True, nogil=True)
def _lines(placings: NDArray[np.float32], axis: int, size: int, at: NDArray[np.int64]) -> None:
    """Fill `at` (SAMPLES, LANES) with the half-cell line of each sample: outside the last, where nothing is seen."""
    centre = (SIDE - 1) / 2.0
    for h in range(LANES):
        a, b = placings[h, 2 * axis], placings[h, 2 * axis + 1]
        for g in range(SAMPLES):
            v = 2.0 * (a * (0.5 + 2 * g - centre) + b + centre)
            outside = v < -1.5 or v > size + 0.5
            at[g, h] = size if outside else min(max(int(np.floor(v + 0.5)), 0), size - 1)


@njit(cache=True, nogil=True)
def _cleared(fine: NDArray[np.float32], out: NDArray[np.float32], holed: NDArray[np.bool_]) -> None:
    """Fill `out` with the thumbnails, 0 where nothing is seen, and which columns have such places, (m, columns)."""
    size = fine.shape[1] - 1
    for p in range(fine.shape[0]):
        for y in range(size + 1):
            for x in range(size + 1):
                v = fine[p, y, x]
                gone = np.isnan(v)
                out[p, y, x] = np.float32(0.0) if gone else v
                holed[p, x] |= gone and y < size


@njit(cache=True, nogil=True)
def _lost(
    fine: NDArray[np.float32],
    holed: NDArray[np.bool_],
    planes: NDArray[np.int64],
    xs: NDArray[np.int64],
    ys: NDArray[np.int64],
    lost: NDArray[np.uint32],
) -> None:
    """Fill in which samples of each column are not seen, as bits, (x, placing)."""
    size = fine.shape[1] - 1
    outside = np.zeros(LANES, np.uint32)
    for y in range(SAMPLES):
        for h in range(LANES):
            outside[h] |= np.uint32(ys[y, h] == size) << np.uint32(y)
    for x in range(SAMPLES):
        for h in range(LANES):
            lost[x, h] = outside[h]
            if holed[planes[h], xs[x, h]]:
                for y in range(SAMPLES):
                    lost[x, h] |= np.uint32(np.isnan(fine[planes[h], ys[y, h], xs[x, h]])) << np.uint32(y)


@njit(cache=True, nogil=True)
def _along(
    clear: NDArray[np.float32],
    planes: NDArray[np.int64],
    xs: NDArray[np.int64],
    ys: NDArray[np.int64],
    needed: int,
    sampled: NDArray[np.float32],
    rows: NDArray[np.float32],
) -> None:
    """Fill `rows` (waves * SAMPLES, LANES) with the transforms along x of the samples, row by row, where the windows
    need them: `needed` says in which column of the spans. `planes` says which of the thumbnails each placing is of."""
    flat, width = clear.ravel(), clear.shape[1]
    first = np.empty(LANES, np.int64)
    for y in range(SAMPLES):
        for h in range(LANES):
            first[h] = (planes[h] * width + ys[y, h]) * width
        for x in range(SAMPLES):
            for h in range(LANES):
                sampled[x, h] = flat[np.uint64(first[h] + xs[x, h])]
        for n in range(_SPANS.shape[0]):
            if _SPANS[n, needed] >> y & 1:
                at, which = n * TOGETHER * SAMPLES + y, n * TOGETHER
                _products(rows, at, SAMPLES, _ACROSS, which, _SPANS[n, 0], _SPANS[n, 1], sampled, 0)


@njit(cache=True, nogil=True)
def _seen(lost: NDArray[np.uint32], window: int, hidden: NDArray[np.uint64]) -> bool:
    """Fill in how many samples of the window are not seen, by placing; whether any placing sees enough of it."""
    y0, y1, x0, x1 = _BOXES[window]
    rows = np.uint32((1 << y1) - (1 << y0))
    most = np.uint64(UNSEEN_SHARE * ((y1 - y0) * (x1 - x0)))
    hidden[:] = 0
    for x in range(x0, x1):
        for h in range(LANES):
            hidden[h] += popcount(np.uint64(lost[x, h] & rows))
    some = False
    for h in range(LANES):
        hidden[h] = hidden[h] > most
        some |= hidden[h] == 0
    return some


@njit(cache=True, nogil=True)
def _strengths(rows: NDArray[np.float32], window: int, strengths: NDArray[np.float32]) -> None:
    """Fill how strong each wave of the window is, (KEYS * BITS, LANES), from the transforms along x, (waves * SAMPLES,
    LANES)."""
    y0, y1 = _BOXES[window, 0], _BOXES[window, 1]
    for k in range(BITS):
        at = window * BITS + k
        _product(strengths, at, 0, _DOWN, at, y0, y1, rows, _TAKES[window, k] * SAMPLES)


@njit(cache=True, nogil=True)
def _keys(
    fine: NDArray[np.float32],
    planes: NDArray[np.int64],
    placings: NDArray[np.float32],
    free_of: NDArray[np.int64],
    whole: int,
    as_is: bool,
    keys: NDArray[np.uint32],
    free: NDArray[np.uint32],
    seen: NDArray[np.bool_],
) -> None:
    """Fill keys, the bits of their weakest signs, and which windows are seen, (n, KEYS) each.

    Each placing is of one of the thumbnails `fine` (m, FINE + 1, FINE + 1), by `planes` (n,).
    `free_of` (n, 2) says how many signs of the two parts are free; `as_is` that the first placing has more if it sees
    few windows; of placings beyond the first `whole` only the `RARE_WINDOWS` are taken. Rows beyond the placings are
    those of the first ones once more, to be inverted: they may have other signs free.
    """
    n = placings.shape[0]
    xs, ys = np.empty((SAMPLES, LANES), np.int64), np.empty((SAMPLES, LANES), np.int64)
    lost, hidden = np.empty((SAMPLES, LANES), np.uint32), np.empty((KEYS, LANES), np.uint64)
    sampled, clear = np.empty((SAMPLES, LANES), np.float32), np.empty_like(fine)
    holed = np.zeros(fine.shape[:2], np.bool_)
    _cleared(fine, clear, holed)
    rows = np.empty((_ACROSS.shape[0] * SAMPLES, LANES), np.float32)
    strengths = np.empty((KEYS * BITS, LANES), np.float32)
    bits, some = strengths.view(np.int32), np.empty(KEYS, np.bool_)
    lanes, counts = np.empty((LANES, 4), np.float32), np.zeros((2, LANES), np.int32)
    of = np.empty(LANES, np.int64)
    found = np.empty((2, LANES), np.uint32)
    for first in range(0, n, LANES):
        size = min(LANES, n - first)
        for h in range(LANES):
            lanes[h], of[h] = placings[first + min(h, size - 1)], planes[first + min(h, size - 1)]
        _lines(lanes, 0, fine.shape[1] - 1, xs)
        _lines(lanes, 1, fine.shape[1] - 1, ys)
        _lost(fine, holed, of, xs, ys, lost)
        _along(clear, of, xs, ys, 3 if first < whole else 2, sampled, rows)
        for t in range(KEYS):
            some[t] = (first < whole or _RARE[t]) and _seen(lost, t, hidden[t])
            if some[t]:
                _strengths(rows, t, strengths)
                for h in range(size):
                    seen[first + h, t] = hidden[t, h] == 0 and (first + h < whole or _RARE[t])
        counts[:, :size] = free_of[first : first + size].T
        if as_is and first == 0:
            halved = KEYS // max(int(seen[0].sum()), 1)
            while halved > 1:
                counts[0, 0], counts[1, 0] = min(counts[0, 0] + 1, BITS - LAST), min(counts[1, 0] + 1, LAST)
                halved //= 2
        for t in range(KEYS):
            if some[t]:
                _weakest(bits, t * BITS, counts, found)
                for h in range(size):
                    keys[first + h, t], free[first + h, t] = found[0, h], found[1, h]
        again = min(size, keys.shape[0] - n - first)
        if again > 0:
            counts[:, :again] = free_of[n + first : n + first + again].T
            for t in range(KEYS):
                if some[t]:
                    _weakest(bits, t * BITS, counts, found)
                    for h in range(again):
                        keys[n + first + h, t], free[n + first + h, t] = found[0, h], found[1, h]
                        seen[n + first + h, t] = seen[first + h, t]


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
    given: Hypotheses,
    *,
    scenes: int = MANY,
    usual: int = 0,
    whole: int | None = None,
    as_is: bool = False,
) -> Lookup:
    """A thumbnail ready to be looked up among so many scenes under its placings.

    The first `usual` placings are looked up inverted as well; `as_is` says that the first of them is the still as it
    is. The first `whole` placings, or all of them, are looked up by every window, the others by `RARE_WINDOWS`.
    """
    n = len(given.placings)
    counts = np.full((n + usual, 2), FREE_RARE, np.int64)
    counts[:usual], counts[n:] = FREE_USUAL, FREE_NEGATIVE
    if as_is:
        counts[0] = FREE_AS_IS
    counts[:, 1] = np.minimum(counts[:, 1] + _spare(scenes), LAST)
    planes = np.zeros(n, np.int64)
    keys, free, seen = _taken(
        given.fine[None], planes, given.placings, counts, n if whole is None else whole, as_is=as_is
    )
    keys[n:] = ~keys[n:] & np.uint32((1 << BITS) - 1)
    codes, masks = given.codes, given.masks
    return Lookup(keys, free, seen, np.concatenate([codes, ~codes[:usual]]), np.concatenate([masks, masks[:usual]]))


def lookups(givens: Sequence[Hypotheses], *, scenes: int = MANY) -> list[Lookup]:
    """Several thumbnails, each as `lookup` makes it ready under its first `LANES` placings by every window, the others
    by `RARE_WINDOWS`. Those with few placings are worked out together, side by side."""
    few = [given for given in givens if len(given.placings) <= LANES]
    if not few:
        return [lookup(given, scenes=scenes, whole=LANES) for given in givens]
    sizes = [len(given.placings) for given in few]
    n = sum(sizes)
    counts = np.full((n, 2), (FREE_RARE[0], min(FREE_RARE[1] + _spare(scenes), LAST)), np.int64)
    planes, placings = np.repeat(np.arange(len(few)), sizes), np.concatenate([given.placings for given in few])
    taken = _taken(np.stack([given.fine for given in few]), planes, placings, counts, n)
    ends = np.cumsum(sizes)[:-1]
    each = zip(few, *(np.split(part, ends) for part in taken), strict=True)
    together = iter([Lookup(keys, free, seen, given.codes, given.masks) for given, keys, free, seen in each])
    return [
        next(together) if len(given.placings) <= LANES else lookup(given, scenes=scenes, whole=LANES)
        for given in givens
    ]


def as_it_is(levels: NDArray[np.int8]) -> Lookup:
    """A thumbnail ready to be looked up as it is, and inverted."""
    return lookup(hypotheses(fine_of(levels), AS_IS), usual=1, as_is=True)


def _spare(scenes: int) -> int:
    """Of the last signs, how many more are left free among so many scenes."""
    return min(max(MANY // max(scenes, 1), 1).bit_length() - 1, SPARE)


def keys_of(levels: NDArray[np.int8]) -> NDArray[np.uint32]:
    """The keys of a stored scene, (KEYS,); `NO_KEY` for windows that are not seen."""
    keys: NDArray[np.uint32] = stored_keys(fine_of(levels)[None])[:, 0]
    return keys


def stored_keys(fine: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The keys, (KEYS, n), of n stored scenes, whose thumbnails are given smoothed and at half cells."""
    n = len(fine)
    keys, _, seen = _taken(fine, np.arange(n), np.repeat(AS_IS, n, axis=0), np.zeros((n, 2), np.int64), n)
    return np.where(seen, keys, NO_KEY).T


def _taken(
    fine: NDArray[np.float32],
    planes: NDArray[np.int64],
    placings: NDArray[np.float32],
    free_of: NDArray[np.int64],
    whole: int,
    *,
    as_is: bool = False,
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.bool_]]:
    shape = len(free_of), KEYS
    keys, free, seen = np.zeros(shape, np.uint32), np.zeros(shape, np.uint32), np.zeros(shape, np.bool_)
    _keys(fine, planes, placings, free_of, whole, as_is, keys, free, seen)
    return keys, free, seen
