"""Parts and directions: looks at a thumbnail that leave out what a damage spoiled.

Owns the views under which a still is looked up when the whole of it finds nothing, and the search for a picture's
frame inside a still. Refuses to compare. Rolling bands spoil the differences along y and leave those along x; a
lost block row leaves what is above it; a page around a picture leaves the picture.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.placing import Placing, shown_in
from models.thumbnail import INVALID, SIDE


class View(IntEnum):
    """What of a thumbnail is looked at."""

    WHOLE = 0
    ALONG_X = 1
    ALONG_Y = 2
    TOP_HALF = 3
    BOTTOM_HALF = 4
    LEFT_HALF = 5
    RIGHT_HALF = 6
    TOP_QUARTER = 7
    BOTTOM_QUARTER = 8
    TOP_THIRD = 9
    BOTTOM_THIRD = 10
    MOST_OF_TOP = 11
    MOST_OF_BOTTOM = 12


_X_BITS: Final = 0x5555555555555555
_ALL: Final = 0xFFFFFFFFFFFFFFFF
PARTIAL: Final = tuple(View)[1:]
"""The views beside the whole."""


def _words(words: set[int], bits: int = _ALL) -> list[int]:
    return [bits if w in words else 0 for w in range(8)]


def _rows(first: int, end: int) -> list[int]:
    """The bits of these rows of the grid of 16: each row has 16 bits in each of its two words."""
    words = [0] * 8
    for row in range(first, end):
        for half in range(2):
            words[(row // 4) * 2 + half] |= 0xFFFF << (16 * (row % 4))
    return words


WORDS_OF: Final = np.array(
    [
        _words(set(range(8)), _X_BITS),
        _words(set(range(8)), _ALL ^ _X_BITS),
        _words({0, 1, 2, 3}),
        _words({4, 5, 6, 7}),
        _words({0, 2, 4, 6}),
        _words({1, 3, 5, 7}),
        _words({0, 1}),
        _words({6, 7}),
        _rows(0, 6),
        _rows(10, 16),
        _rows(0, 11),
        _rows(5, 16),
    ],
    np.uint64,
)
"""Which bits of a code (models/code.py) each partial view keeps, in the order of `PARTIAL`."""
_BOX: Final = {
    View.TOP_HALF: (0, 32, 0, 64),
    View.BOTTOM_HALF: (32, 64, 0, 64),
    View.LEFT_HALF: (0, 64, 0, 32),
    View.RIGHT_HALF: (0, 64, 32, 64),
    View.TOP_QUARTER: (0, 16, 0, 64),
    View.BOTTOM_QUARTER: (48, 64, 0, 64),
    View.TOP_THIRD: (0, 24, 0, 64),
    View.BOTTOM_THIRD: (40, 64, 0, 64),
    View.MOST_OF_TOP: (0, 44, 0, 64),
    View.MOST_OF_BOTTOM: (20, 64, 0, 64),
}


def seen(levels: NDArray[np.int8], view: View) -> NDArray[np.int8]:
    """The thumbnail as the view sees it: a part of it, or with every row (column) brought to the same mean."""
    if view is View.WHOLE:
        return levels
    if view in _BOX:
        y0, y1, x0, x1 = _BOX[view]
        part = np.full_like(levels, INVALID)
        part[y0:y1, x0:x1] = levels[y0:y1, x0:x1]
        return part
    axis = 1 if view is View.ALONG_X else 0
    valid = levels != INVALID
    total = np.where(valid, levels, 0).sum(axis=axis, keepdims=True)
    mean = total / np.maximum(valid.sum(axis=axis, keepdims=True), 1)
    flat = np.clip(np.rint(levels - mean), -7, 7).astype(np.int8)
    return np.where(valid, flat, np.int8(INVALID))


PEAK: Final = 20.0
"""Times the median power of its ring from which on a frequency is a pattern laid over the picture, not of it."""
PEAKS: Final = 6
"""Frequencies that are taken out at most."""
PATTERN: Final = 0.04
"""Share of the power that they must have for the picture to be looked at without them."""


MEDIAN: Final = 1.235
"""Median over geometric mean of the power of noise (exponentially distributed): the mean is cheaper."""
_K: Final = np.fft.fftfreq(SIDE) * SIDE
_RING: Final = np.rint(np.hypot(_K[:, None], _K[None])).astype(np.int64).ravel()
_RING_SIZE: Final = np.bincount(_RING)
_TAKEN: Final = ((_RING >= 3) & (_RING <= SIDE // 2)).reshape(SIDE, SIDE)
MARGIN: Final = 0.001
"""Share by which a quicker look may be off, far more than it is. What it leaves open is looked at in full."""
_HALF_RING: Final = np.ascontiguousarray(_RING.reshape(SIDE, SIDE)[:, : SIDE // 2 + 1]).ravel()
_HALF_TAKEN: Final = np.ascontiguousarray(_TAKEN[:, : SIDE // 2 + 1]).ravel()
_TWICE: Final = np.tile(np.where(np.arange(SIDE // 2 + 1) % (SIDE // 2), 2.0, 1.0), SIDE)
"""How often each frequency of the half stands in the whole spectrum."""


def cleaned(levels: NDArray[np.int8]) -> NDArray[np.int8] | None:
    """The thumbnail without a regular pattern (moire of a photographed screen, rolling bands); None without one."""
    valid = levels != INVALID
    shown = np.where(valid, levels, np.int8(0))
    if not _may_be_patterned(shown):
        return None
    spectrum = np.fft.fft2(shown.astype(np.float64))
    power = np.abs(spectrum) ** 2
    usual = np.exp(np.bincount(_RING, np.log(power.ravel() + 1e-9)) / _RING_SIZE) * MEDIAN
    excess = np.where(_TAKEN, power / usual[_RING].reshape(SIDE, SIDE), 0.0)
    removed = 0.0
    highest = np.flatnonzero(excess >= PEAK)
    if not highest.size:
        return None
    for at in highest[np.argsort(excess.ravel()[highest])[::-1]][: 2 * PEAKS]:
        y, x = divmod(int(at), SIDE)
        near = np.ix_([(y + d) % SIDE for d in (-1, 0, 1)], [(x + d) % SIDE for d in (-1, 0, 1)])
        removed += float(power[near].sum())
        power[near] = 0.0
        spectrum[near] = 0.0
    if removed < PATTERN * (removed + float(power.sum())):
        return None
    plane = np.fft.ifft2(spectrum).real
    scale = 2.6 / max(float(plane[valid].std()), 0.3)
    clean = np.clip(np.rint(plane * scale), -7, 7).astype(np.int8)
    return np.where(valid, clean, np.int8(INVALID))


def _may_be_patterned(levels: NDArray[np.int8]) -> bool:
    """Whether the frequencies that stand out most from their rings may have `PATTERN` of the power, with those beside
    them; what has not, has no pattern. Looks at half the spectrum, with some margin."""
    return _stands_out(np.fft.rfft2(levels))


@njit(cache=True, nogil=True)
def _stands_out(spectrum: NDArray[np.complex128]) -> bool:
    wide = SIDE // 2 + 1
    power, total = np.empty(SIDE * wide), 0.0
    logs, products = np.zeros(_RING_SIZE.size), np.ones(_RING_SIZE.size)
    for at in range(power.size):
        value = spectrum[at // wide, at % wide]
        power[at] = value.real**2 + value.imag**2
        total += _TWICE[at] * power[at]
        for _ in range(int(_TWICE[at])):
            ring = _HALF_RING[at]
            products[ring] *= power[at] + 1e-9
            if products[ring] > 1e200 or products[ring] < 1e-200:  # one logarithm of many
                logs[ring] += np.log(products[ring])
                products[ring] = 1.0
    usual = np.exp((logs + np.log(products)) / _RING_SIZE) * MEDIAN
    where, excess, count = np.empty(power.size, np.int64), np.empty(power.size), 0
    for at in range(power.size):
        if _HALF_TAKEN[at] and power[at] >= usual[_HALF_RING[at]] * PEAK * (1 - MARGIN):
            where[count], excess[count] = at, power[at] / usual[_HALF_RING[at]]
            count += 1
    if count == 0:
        return False
    order, taken, least, beside = np.argsort(-excess[:count]), 0.0, 0.0, np.zeros((SIDE, SIDE), np.bool_)
    for k in order:
        if taken >= 2 * PEAKS and excess[k] < least * (1 - MARGIN):
            break
        if taken < 2 * PEAKS:
            taken, least = taken + _TWICE[where[k]], excess[k]
        y, x = where[k] // wide, where[k] % wide
        for b in range(y - 1, y + 2):
            for a in range(x - 1, x + 2):  # a frequency and its negative have the same power
                beside[b % SIDE, a % SIDE] = beside[-b % SIDE, -a % SIDE] = True
    outside = 0.0
    for y in range(SIDE):
        for x in range(SIDE):
            if beside[y, x]:
                turned = x > SIDE // 2
                outside += power[(-y % SIDE if turned else y) * wide + (SIDE - x if turned else x)]
    return bool(outside >= PATTERN * (1 - MARGIN) * total)


FRAMES: Final = 12
"""Frames inside a still that are tried, those with the clearest edges first."""
LINES: Final = 8
"""Straight edges a direction of which frames are made."""
FAINT: Final = 0.7
"""Mean step across a frame's faintest edge, in levels, below which there is no frame."""
LEAST_FRAME: Final = 22
"""Cells that a frame is wide and high at least."""


@njit(cache=True, nogil=True)
def _edges(levels: NDArray[np.int8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Running sums of |difference| across each vertical line (x, then down y) and each horizontal line."""
    n = SIDE
    down = np.zeros((n + 1, n + 1), np.float32)
    along = np.zeros((n + 1, n + 1), np.float32)
    for y in range(n):
        for x in range(1, n):
            a, b = levels[y, x - 1], levels[y, x]
            both = (a == INVALID) + (b == INVALID)
            step = 4.0 if both == 1 else (0.0 if both == 2 else min(abs(int(a) - int(b)), 4))
            down[x, y + 1] = step
            a, b = levels[x - 1, y], levels[x, y]
            both = (a == INVALID) + (b == INVALID)
            step = 4.0 if both == 1 else (0.0 if both == 2 else min(abs(int(a) - int(b)), 4))
            along[x, y + 1] = step
    for x in range(n + 1):
        for y in range(n):
            down[x, y + 1] += down[x, y]
            along[x, y + 1] += along[x, y]
    return down, along


@njit(cache=True, nogil=True)
def _strongest(sums: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """The lines with the strongest edge over their best half, and the two borders; in order."""
    n = SIDE
    best = np.zeros(n + 1, np.float32)
    for x in range(1, n):
        for start in range(0, n // 2 + 1, 4):
            v = sums[x, start + n // 2] - sums[x, start]
            best[x] = max(best[x], v)
    picked = np.zeros(n + 1, np.bool_)
    picked[0] = picked[n] = True
    for _ in range(most):
        at, value = -1, np.float32(0)
        for x in range(2, n - 1):
            if not picked[x] and not picked[x - 1] and not picked[x + 1] and best[x] > value:
                at, value = x, best[x]
        if at < 0:
            break
        picked[at] = True
    return np.nonzero(picked)[0]


@njit(cache=True, nogil=True)
def _frames(levels: NDArray[np.int8]) -> NDArray[np.float32]:
    """Frames (left, right, top, bottom in cells, clearness), clearest first."""
    n = SIDE
    down, along = _edges(levels)
    xs = _strongest(down, LINES)
    ys = _strongest(along, LINES)
    out = np.zeros((FRAMES, 5), np.float32)
    count = 0
    for i in range(xs.size):
        for j in range(i + 1, xs.size):
            x0, x1 = xs[i], xs[j]
            if x1 - x0 < LEAST_FRAME:
                continue
            for k in range(ys.size):
                for m in range(k + 1, ys.size):
                    y0, y1 = ys[k], ys[m]
                    if y1 - y0 < LEAST_FRAME or (x1 - x0 == n and y1 - y0 == n):
                        continue
                    weakest = np.float32(9)
                    if x0 > 0:
                        weakest = min(weakest, (down[x0, y1] - down[x0, y0]) / (y1 - y0))
                    if x1 < n:
                        weakest = min(weakest, (down[x1, y1] - down[x1, y0]) / (y1 - y0))
                    if y0 > 0:
                        weakest = min(weakest, (along[y0, x1] - along[y0, x0]) / (x1 - x0))
                    if y1 < n:
                        weakest = min(weakest, (along[y1, x1] - along[y1, x0]) / (x1 - x0))
                    if weakest < FAINT:
                        continue
                    at = min(count, FRAMES - 1)
                    if count >= FRAMES and weakest <= out[at, 4]:
                        continue
                    while at > 0 and out[at - 1, 4] < weakest:
                        out[at] = out[at - 1]
                        at -= 1
                    out[at, 0], out[at, 1], out[at, 2], out[at, 3], out[at, 4] = x0, x1, y0, y1, weakest
                    count = min(count + 1, FRAMES)
    return out[:count]


def frames(levels: NDArray[np.int8]) -> NDArray[np.float32]:
    """Placings (n, 4) of a picture that may be shown inside a frame of straight edges, the clearest first."""
    placings: list[Placing] = [
        shown_in(f[0] / SIDE, f[1] / SIDE, f[2] / SIDE, f[3] / SIDE) for f in _frames(levels).tolist()
    ]
    return np.array(placings, np.float32).reshape(-1, 4)
