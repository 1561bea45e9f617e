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

from models.bucket import NO_KEY
from models.code import AS_IS, FINE, Hypotheses, fine_of, hypotheses
from models.lanes import lowest, popcount, sum_along, sum_down, weakest
from models.thumbnail import SIDE
from models.vectors import LINE

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


RARE_WINDOWS: Final = (0, 5, 8, 9, 10, 11, 14, 15, 16, 18, 19, 21, 22)
"""Those by which the many rare placings are looked up. Of 291 pairs of a still and its scene that share a key under
such a placing alone, 290 share one of these."""
_RARE: Final = np.isin(np.arange(KEYS), RARE_WINDOWS)
_BOXES: Final = np.array(WINDOWS, np.int64)
_HEIGHTS: Final = _BOXES[:, 1] - _BOXES[:, 0]
_AREAS: Final = (_HEIGHTS * (_BOXES[:, 3] - _BOXES[:, 2])).astype(np.uint64)
_ROWS, _COLUMNS = (((1 << _BOXES[:, k + 1]) - (1 << _BOXES[:, k])).astype(np.uint32) for k in (0, 2))
"""The rows and columns of each window, as bits."""
_MOST: Final = (UNSEEN_SHARE * _AREAS).astype(np.uint64)
"""Samples of each window that may be unseen."""
_NARROW: Final = 8
"""Waves along x that are worked out at once in a window that is no wider than half of the picture; in others twice as
many."""
_SHAPES: Final = sorted({(y1 - y0, x1 - x0) for y0, y1, x0, x1 in WINDOWS})
_WIDTHS: Final = sorted({width for _, width in _SHAPES})
_SPANS: Final = np.array(sorted({(x0, x1) for _, _, x0, x1 in WINDOWS}), np.int64)


def _cosine(n: int, wave: int) -> NDArray[np.float64]:
    """One row of the cosine transform of n samples."""
    row: NDArray[np.float64] = np.cos(np.pi * wave * (np.arange(n) + 0.5) / n) * np.sqrt((2 if wave else 1) / n)
    return row


def _across() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """For each width one row a sample, with what it weighs in each wave along x, (samples, LINE); and in which row
    those of each span begin."""
    rows = [np.stack([_cosine(width, wave) for wave in range(LINE)], axis=1) for width in _WIDTHS]
    begin = {width: sum(_WIDTHS[:k]) for k, width in enumerate(_WIDTHS)}
    return np.concatenate(rows).astype(np.float32), np.array([begin[x1 - x0] for x0, x1 in _SPANS.tolist()])


def _down() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """For each shape one row a sample, with what it weighs along y in each sign, by how strong such a wave is,
    (samples, 2 LINE). Of each window its shape and its span, and where the rows of its shape begin."""
    rows = np.zeros((sum(height for height, _ in _SHAPES), 2 * LINE))
    begin = [sum(height for height, _ in _SHAPES[:k]) for k in range(len(_SHAPES))]
    for first, (height, width) in zip(begin, _SHAPES, strict=True):
        for k, (frequency, wave, _) in enumerate(_waves(height, width)):
            rows[first : first + height, k] = _cosine(height, wave) / _spread(frequency)
    shapes = [_SHAPES.index((y1 - y0, x1 - x0)) for y0, y1, x0, x1 in WINDOWS]
    spans = [_SPANS.tolist().index([x0, x1]) for _, _, x0, x1 in WINDOWS]
    return rows.astype(np.float32), np.array([shapes, spans]), np.array([begin[shape] for shape in shapes])


_ACROSS, _ACROSS_OF = _across()
_DOWN, (_SHAPE, _SPAN), _DOWN_OF = _down()
_weakest, _wide, _narrow = weakest(BITS, LAST), sum_along(LINE), sum_along(_NARROW)
_down_0, _down_1, _down_2, _down_3, _down_4, _down_5 = (sum_down([b for *_, b in _waves(*s)]) for s in _SHAPES)
PLANE: Final = FINE + 1
"""Lines of a thumbnail at half cells, the one included in which nothing is seen."""


@njit(cache=True, nogil=True)
def _lines(a: float, b: float, at: NDArray[np.uint8], h: int) -> np.uint32:
    """Fill `at[h]`, (SAMPLES,), with the half-cell line of each sample; outside the last, where nothing is seen, and
    which samples these are, as bits."""
    centre = (SIDE - 1) / 2.0
    for g in range(SAMPLES):
        v = 2.0 * (a * (0.5 + 2 * g - centre) + b + centre)
        outside = v < -1.5 or v > FINE + 0.5
        at[h, g] = FINE if outside else min(max(int(np.floor(v + 0.5)), 0), FINE - 1)
    bits = np.uint32(0)
    for g in range(SAMPLES):
        bits |= np.uint32(at[h, g] == FINE) << np.uint32(g)
    return bits


@njit(cache=True, nogil=True)
def _cleared(fine: NDArray[np.float32], out: NDArray[np.float32], holed: NDArray[np.bool_]) -> bool:
    """Fill `out` with the thumbnail, 0 where nothing is seen, and which columns but the last have such places inside;
    whether any has."""
    holed[:] = False
    for y in range(PLANE):
        for x in range(PLANE):
            v = fine[y, x]
            gone = np.isnan(v)
            out[y, x] = np.float32(0.0) if gone else v
            holed[x] |= gone and y < FINE and x < FINE
    return bool(holed.any())


@njit(cache=True, nogil=True)
def _seen(
    fine: NDArray[np.float32],
    holed: NDArray[np.bool_],
    holes: bool,
    xs: NDArray[np.uint8],
    ys: NDArray[np.uint8],
    h: int,
    beside: np.uint32,
    above: np.uint32,
    every: bool,
    lost: NDArray[np.uint32],
    seen: NDArray[np.bool_],
) -> None:
    """Fill in which windows placing `h` sees enough of, of all or of the `RARE_WINDOWS`: `beside` and `above` are the
    columns and rows of samples that lie outside, as bits, and `lost` (SAMPLES,) is used for all that is not seen of
    each column."""
    if holes:
        for x in range(SAMPLES):
            column = np.int64(xs[h, x])
            gone = above if column != FINE else ~np.uint32(0)
            if holed[column]:
                for y in range(SAMPLES):
                    gone |= np.uint32(np.isnan(fine[ys[h, y], column])) << np.uint32(y)
            lost[x] = gone
    for t in range(KEYS):
        if every or _RARE[t]:
            hidden = np.uint64(0)
            if holes:
                for x in range(_BOXES[t, 2], _BOXES[t, 3]):
                    hidden += popcount(np.uint64(lost[x] & _ROWS[t]))
            else:
                high, wide = popcount(np.uint64(~above & _ROWS[t])), popcount(np.uint64(~beside & _COLUMNS[t]))
                hidden = _AREAS[t] - high * wide
            seen[h, t] = hidden <= _MOST[t]


@njit(cache=True, nogil=True)
def _along(
    clear: NDArray[np.float32],
    xs: NDArray[np.uint8],
    ys: NDArray[np.uint8],
    seen: NDArray[np.bool_],
    h: int,
    done: NDArray[np.uint32],
    samples: NDArray[np.float32],
    along: NDArray[np.float32],
) -> None:
    """Fill `along` (spans * PLANE, LINE) with the transforms along x that the windows need which placing `h` sees, and
    `samples` (PLANE, SAMPLES) with what they are of: the lines of the thumbnail at `xs`. What is `done` (PLANE,) is
    there already: of which spans, as bits."""
    needed, all_ = np.zeros(len(_SPANS), np.uint32), np.uint32(0)
    for t in range(KEYS):
        if seen[h, t]:
            needed[_SPAN[t]] |= _ROWS[t]
            all_ |= _ROWS[t]
    while all_:
        line = np.int64(ys[h, lowest(all_)])
        all_ &= all_ - np.uint32(1)
        if not done[line]:
            for x in range(SAMPLES):
                samples[line, x] = clear[line, xs[h, x]]
    for span in range(len(_SPANS)):  # one after the other: a loop that always goes round as often costs least
        rows, bit, base, which = needed[span], np.uint32(1) << np.uint32(span), span * PLANE, _ACROSS_OF[span]
        x0, width = _SPANS[span, 0], _SPANS[span, 1] - _SPANS[span, 0]
        while rows:
            line = np.int64(ys[h, lowest(rows)])
            rows &= rows - np.uint32(1)
            if done[line] & bit == 0:
                done[line] |= bit
                if width > SAMPLES // 2:
                    _wide(along, base + line, _ACROSS, which, samples[line], x0, width)
                else:
                    _narrow(along, base + line, _ACROSS, which, samples[line], x0, width)


@njit(cache=True, nogil=True, inline="always")
def _strengths(
    along: NDArray[np.float32], ys: NDArray[np.uint8], window: int, at: int, out: NDArray[np.float32]
) -> None:
    """Fill the row `at` of `out` with how strong each wave of the window is, from the transforms along x."""
    first, rows, base, which = _BOXES[window, 0], _HEIGHTS[window], _SPAN[window] * PLANE, _DOWN_OF[window]
    shape = _SHAPE[window]
    if shape == 0:
        _down_0(out, at, _DOWN, which, along, base, ys, first, rows)
    elif shape == 1:
        _down_1(out, at, _DOWN, which, along, base, ys, first, rows)
    elif shape == 2:
        _down_2(out, at, _DOWN, which, along, base, ys, first, rows)
    elif shape == 3:
        _down_3(out, at, _DOWN, which, along, base, ys, first, rows)
    elif shape == 4:
        _down_4(out, at, _DOWN, which, along, base, ys, first, rows)
    else:
        _down_5(out, at, _DOWN, which, along, base, ys, first, rows)


@njit(cache=True, nogil=True)
def _signs(
    strengths: NDArray[np.int32],
    of: NDArray[np.int64],
    size: int,
    free_of: NDArray[np.int64],
    keys: NDArray[np.uint32],
    free: NDArray[np.uint32],
) -> None:
    """Fill in the keys and the free signs of up to LINE windows, which are those of these strengths, (LINE, 2 LINE);
    `of` says which row and window each is of, (LINE, 2)."""
    counts, found = np.zeros((2, LINE), np.int32), np.empty((2, LINE), np.uint32)
    for k in range(size):
        counts[0, k], counts[1, k] = free_of[of[k, 0], 0], free_of[of[k, 0], 1]
    _weakest(strengths, counts, found)
    for k in range(size):
        keys[of[k, 0], of[k, 1]], free[of[k, 0], of[k, 1]] = found[0, k], found[1, k]


@njit(cache=True, nogil=True)
def _alike(xs: NDArray[np.uint64], n: int, first: NDArray[np.int64], following: NDArray[np.int64]) -> int:
    """String together placings whose lines along x are the same, (n, SAMPLES) bytes taken eight at a time: the first of
    each string, and the one behind each placing (0: none); how many strings there are."""
    last, strings = np.empty(n, np.int64), 0
    for h in range(n):
        following[h], k = 0, 0
        one, two, three, four = xs[h, 0], xs[h, 1], xs[h, 2], xs[h, 3]
        while k < strings:
            other = first[k]
            if xs[other, 0] == one and xs[other, 1] == two and xs[other, 2] == three and xs[other, 3] == four:
                break
            k += 1
        if k == strings:
            first[k], strings = h, strings + 1
        else:
            following[last[k]] = h
        last[k] = h
    return strings


@njit(cache=True, nogil=True)
def _keys(
    fine: NDArray[np.float32],
    placings: NDArray[np.float32],
    free_of: NDArray[np.int64],
    whole: int,
    as_is: bool,
    keys: NDArray[np.uint32],
    free: NDArray[np.uint32],
    seen: NDArray[np.bool_],
) -> None:
    """Fill keys, the bits of their weakest signs, and which windows are seen, (n, KEYS) each, of a thumbnail (PLANE,
    PLANE) under its placings.

    `free_of` (n, 2) says how many signs of the two parts are free; `as_is` that the first placing has more if it sees
    few windows; of placings beyond the first `whole` only the `RARE_WINDOWS` are taken. Rows beyond the placings are
    those of the first ones once more, to be inverted: they may have other signs free.
    """
    n = placings.shape[0]
    again = keys.shape[0] - n
    xs, ys = np.empty((n, SAMPLES), np.uint8), np.empty((n, SAMPLES), np.uint8)
    clear, holed, lost = np.empty((PLANE, PLANE), np.float32), np.empty(PLANE, np.bool_), np.empty(SAMPLES, np.uint32)
    holes = _cleared(fine, clear, holed)
    for h in range(n):
        beside, above = _lines(placings[h, 0], placings[h, 1], xs, h), _lines(placings[h, 2], placings[h, 3], ys, h)
        _seen(fine, holed, holes, xs, ys, h, beside, above, h < whole, lost, seen)
    seen[n:] = seen[:again]
    if as_is:
        halved = KEYS // max(int(seen[0].sum()), 1)
        while halved > 1:
            free_of[0, 0], free_of[0, 1] = min(free_of[0, 0] + 1, BITS - LAST), min(free_of[0, 1] + 1, LAST)
            halved //= 2
    first, following = np.empty(n, np.int64), np.empty(n, np.int64)
    done, samples = np.empty(PLANE, np.uint32), np.empty((PLANE, SAMPLES), np.float32)
    along = np.empty((len(_SPANS) * PLANE, LINE), np.float32)
    strengths, of, size = np.empty((LINE, 2 * LINE), np.float32), np.empty((LINE, 2), np.int64), 0
    for string in range(_alike(xs.view(np.uint64), n, first, following)):
        h = first[string]
        done[:] = 0
        while True:
            _along(clear, xs, ys, seen, h, done, samples, along)
            for t in range(KEYS):
                for row in range(h, n + again if seen[h, t] else h, n):
                    if row == h:
                        _strengths(along, ys[h], t, size, strengths)
                    else:
                        strengths[size] = strengths[size - 1]  # of row -1 where that one was the last of its LINE
                    of[size, 0], of[size, 1] = row, t
                    size += 1
                    if size == LINE:
                        _signs(strengths.view(np.int32), of, size, free_of, keys, free)
                        size = 0
            h = following[h]
            if h == 0:
                break
    _signs(strengths.view(np.int32), of, size, free_of, keys, free)


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
    keys, free, seen = _taken(given.fine, given.placings, usual, n if whole is None else whole, as_is, _spare(scenes))
    codes, masks = given.codes, given.masks
    if usual:
        codes, masks = np.concatenate([codes, ~codes[:usual]]), np.concatenate([masks, masks[:usual]])
    return Lookup(keys, free, seen, codes, masks)


def as_it_is(levels: NDArray[np.int8]) -> Lookup:
    """A thumbnail ready to be looked up as it is, and inverted."""
    return lookup(hypotheses(fine_of(levels), AS_IS), usual=1, as_is=True)


def _spare(scenes: int) -> int:
    """Of the last signs, how many more are left free among so many scenes."""
    return min(max(MANY // max(scenes, 1), 1).bit_length() - 1, SPARE)


def keys_of(levels: NDArray[np.int8]) -> NDArray[np.uint32]:
    """The keys of a stored scene, (KEYS,); `NO_KEY` for windows that are not seen."""
    keys: NDArray[np.uint32] = stored_keys(fine_of(levels))
    return keys


@njit(cache=True, nogil=True)
def stored_keys(fine: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The keys of a stored scene, (KEYS,), of which the thumbnail is given smoothed and at half cells."""
    keys, _, seen = _taken(fine, AS_IS, 0, 1, False, 0)
    return np.where(seen[0], keys[0], NO_KEY)


@njit(cache=True, nogil=True)
def _taken(
    fine: NDArray[np.float32], placings: NDArray[np.float32], usual: int, whole: int, as_is: bool, spare: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.bool_]]:
    """Keys, the bits that are free and which windows are seen, of the placings and of the first `usual` ones once more,
    inverted; `spare` of the last signs are free beyond what the placing leaves."""
    n = placings.shape[0]
    free_of = np.empty((n + usual, 2), np.int64)
    for row in range(n + usual):
        others, last = FREE_NEGATIVE if row >= n else FREE_USUAL if row < usual else FREE_RARE
        if as_is and row == 0:
            others, last = FREE_AS_IS
        free_of[row, 0], free_of[row, 1] = others, min(last + spare, LAST)
    keys, free = np.zeros((n + usual, KEYS), np.uint32), np.zeros((n + usual, KEYS), np.uint32)
    seen = np.zeros((n + usual, KEYS), np.bool_)
    _keys(fine, placings, free_of, whole, as_is, keys, free, seen)
    keys[n:] = ~keys[n:] & np.uint32((1 << BITS) - 1)
    return keys, free, seen
