"""The code: 512 signs of local differences of a thumbnail, and which of them can be relied on.

Owns the layout of the bits and the hypotheses under which a thumbnail is looked up (as it is, shifted, cropped,
mirrored, ...). Refuses to search: models/index.py does. A code is 8 words of 64 bits; each word covers an eighth of
the picture, see `LAYOUT`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.thumbnail import NARROW, SIDE, smooth

WORDS: Final = 8
"""Words of 64 bits in a code."""
LAYOUT: Final = "word = (y // 4) * 2 + x // 8; bit = ((y % 4) * 8 + x % 8) * 2 + (0: along x, 1: along y)"
"""Where the two bits of grid cell (x, y), both 0..15, lie: each word covers an eighth of the picture, so that
what hides a part of a picture spoils few words."""
RELIABLE: Final = 0.15
"""Difference, in local standard deviations, above which a sign survives re-encoding (typically 350 of 512 do)."""
REACH: Final = 2.0
"""Cells from a grid point to each of the two points whose difference is taken."""


UNSEEN: Final = np.float32(1e9)
"""Stands in the sampled plane where too little is valid around."""
FINE: Final = 2 * SIDE - 1
"""Samples a side of the plane that is looked up: half a cell apart, so that rounding moves a point by a quarter."""


@njit(cache=True, nogil=True)
def finer(plane: NDArray[np.float32], support: NDArray[np.float32]) -> NDArray[np.float32]:
    """The plane at half cells, UNSEEN where a neighbour has less than half of its surroundings valid."""
    out = np.empty((FINE, FINE), np.float32)
    for y in range(FINE):
        j, k = y // 2, (y + 1) // 2
        for x in range(FINE):
            i, m = x // 2, (x + 1) // 2
            if support[j, i] < 0.5 or support[j, m] < 0.5 or support[k, i] < 0.5 or support[k, m] < 0.5:
                out[y, x] = UNSEEN
            else:
                out[y, x] = 0.25 * (plane[j, i] + plane[j, m] + plane[k, i] + plane[k, m])
    return out


@njit(cache=True, nogil=True)
def _lines(a: float, b: float, at: NDArray[np.int64]) -> None:
    """Fill `at` (16, 3) with the sample lines of each grid point: before, at and after it; -1 outside."""
    centre = (SIDE - 1) / 2.0
    for g in range(16):
        for k in range(3):
            v = 2.0 * (a * (1.5 + 4 * g - centre + (k - 1) * REACH) + b + centre)
            if v < -1.5 or v > FINE + 0.5:
                at[g, k] = -1
            else:
                at[g, k] = min(max(int(np.floor(v + 0.5)), 0), FINE - 1)


@njit(cache=True, nogil=True)
def encode(
    plane: NDArray[np.float32], support: NDArray[np.float32], placings: NDArray[np.float32]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Codes and masks, (n, 8) each, of a smoothed thumbnail under n placings (models/placing.py)."""
    n = placings.shape[0]
    codes = np.zeros((n, WORDS), np.uint64)
    masks = np.zeros((n, WORDS), np.uint64)
    fine = finer(plane, support)
    xs = np.empty((16, 3), np.int64)
    ys = np.empty((16, 3), np.int64)
    for h in range(n):
        _lines(placings[h, 0], placings[h, 1], xs)
        _lines(placings[h, 2], placings[h, 3], ys)
        for gy in range(16):
            y0, y1, y2 = ys[gy, 0], ys[gy, 1], ys[gy, 2]
            for half in range(2):
                code = np.uint64(0)
                mask = np.uint64(0)
                for cell in range(8):
                    gx = half * 8 + cell
                    x0, x1, x2 = xs[gx, 0], xs[gx, 1], xs[gx, 2]
                    bit = np.uint64(((gy % 4) * 8 + cell) * 2)
                    if y1 >= 0 and x0 >= 0 and x2 >= 0:
                        p, q = fine[y1, x2], fine[y1, x0]
                        if p != UNSEEN and q != UNSEEN and abs(p - q) > RELIABLE:
                            mask |= np.uint64(1) << bit
                            if p > q:
                                code |= np.uint64(1) << bit
                    if x1 >= 0 and y0 >= 0 and y2 >= 0:
                        p, q = fine[y2, x1], fine[y0, x1]
                        if p != UNSEEN and q != UNSEEN and abs(p - q) > RELIABLE:
                            mask |= np.uint64(2) << bit
                            if p > q:
                                code |= np.uint64(2) << bit
                codes[h, (gy // 4) * 2 + half] |= code
                masks[h, (gy // 4) * 2 + half] |= mask
    return codes, masks


AS_IS: Final = np.array([[1, 0, 1, 0]], np.float32)
"""The only placing of a stored scene."""


def code_of(levels: NDArray[np.int8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The code and mask, 8 words each, of a thumbnail as it is."""
    plane, support = smooth(levels, NARROW)
    codes, masks = encode(plane, support, AS_IS)
    return codes[0], masks[0]


def codes_of(levels: NDArray[np.int8], placings: NDArray[np.float32]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The codes and masks, (n, 8) each, of a thumbnail under n placings (see `encode`)."""
    plane, support = smooth(levels, NARROW)
    return encode(plane, support, placings)
