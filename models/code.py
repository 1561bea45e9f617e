"""The code: 512 signs of local differences of a thumbnail, and which of them can be relied on.

Owns the layout of the bits and the hypotheses under which a thumbnail is looked up (as it is, shifted, cropped,
mirrored, ...). Refuses to search: models/index.py does. A code is 8 words of 64 bits; each word covers an eighth of
the picture, see `LAYOUT`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.thumbnail import SIDE, smooth

WORDS: Final = 8
"""Words of 64 bits in a code."""
LAYOUT: Final = "word = (y // 4) * 2 + x // 8; bit = ((y % 4) * 8 + x % 8) * 2 + (0: along x, 1: along y)"
"""Where the two bits of grid cell (x, y), both 0..15, lie: each word covers an eighth of the picture, so that
what hides a part of a picture spoils few words."""
RELIABLE: Final = np.float32(0.15)
"""Difference, in local standard deviations, above which a sign survives re-encoding (typically 350 of 512 do)."""
REACH: Final = 2.0
"""Cells from a grid point to each of the two points whose difference is taken."""


FINE: Final = 2 * SIDE - 1
"""Samples a side of the plane that is looked up: half a cell apart, so that rounding moves a point by a quarter."""


@njit(cache=True, nogil=True, error_model="numpy")
def finer(plane: NDArray[np.float32], support: NDArray[np.float32]) -> NDArray[np.float32]:
    """The plane at half cells; not a number where a neighbour has less than half of its surroundings valid.

    One more row and column stand for all that lies outside: they hold no number either, and so differ from nothing.
    """
    seen = np.empty((SIDE, SIDE), np.float32)
    for j in range(SIDE):
        for i in range(SIDE):
            seen[j, i] = plane[j, i] if support[j, i] >= np.float32(0.5) else np.float32(np.nan)
    out = np.full((FINE + 1, FINE + 1), np.float32(np.nan), np.float32)
    half = np.float32(0.5)
    for j in range(SIDE):
        for i in range(SIDE):
            out[2 * j, 2 * i] = seen[j, i]
        for i in range(SIDE - 1):
            out[2 * j, 2 * i + 1] = half * (seen[j, i] + seen[j, i + 1])
    for y in range(1, FINE, 2):
        for x in range(FINE):
            out[y, x] = half * (out[y - 1, x] + out[y + 1, x])
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _lines(a: float, b: float, at: NDArray[np.uint32]) -> None:
    """Fill `at` (16, 3) with the sample lines of each grid point: before, at and after it; FINE outside."""
    centre = (SIDE - 1) / 2.0
    for g in range(16):
        for k in range(3):
            v = 2.0 * (a * (1.5 + 4 * g - centre + (k - 1) * REACH) + b + centre)
            at[g, k] = FINE if v < -1.5 or v > FINE + 0.5 else min(max(int(np.floor(v + 0.5)), 0), FINE - 1)


@njit(cache=True, nogil=True, error_model="numpy")
def encode(fine: NDArray[np.float32], placings: NDArray[np.float32]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Codes and masks, (n, 8) each, of a smoothed thumbnail at half cells under n placings (models/placing.py)."""
    n = placings.shape[0]
    codes = np.zeros((n, WORDS), np.uint64)
    masks = np.zeros((n, WORDS), np.uint64)
    xs = np.empty((16, 3), np.uint32)
    ys = np.empty((16, 3), np.uint32)
    for h in range(n):
        _lines(placings[h, 0], placings[h, 1], xs)
        _lines(placings[h, 2], placings[h, 3], ys)
        for gy in range(16):
            above, here, below = fine[ys[gy, 0]], fine[ys[gy, 1]], fine[ys[gy, 2]]
            for half in range(2):
                code = np.uint64(0)
                mask = np.uint64(0)
                for cell in range(8):
                    at = xs[half * 8 + cell]
                    along, down = here[at[2]] - here[at[0]], below[at[1]] - above[at[1]]
                    bit = np.uint64(((gy % 4) * 8 + cell) * 2)
                    code |= (np.uint64(along > RELIABLE) | np.uint64(down > RELIABLE) << np.uint64(1)) << bit
                    differ = np.uint64(abs(along) > RELIABLE) | np.uint64(abs(down) > RELIABLE) << np.uint64(1)
                    mask |= differ << bit
                codes[h, (gy // 4) * 2 + half] |= code
                masks[h, (gy // 4) * 2 + half] |= mask
    return codes, masks


@njit(cache=True, nogil=True, error_model="numpy")
def fine_of(levels: NDArray[np.int8]) -> NDArray[np.float32]:
    """A thumbnail, smoothed and at half cells."""
    plane, support = smooth(levels)
    return finer(plane, support)


AS_IS: Final = np.array([[1, 0, 1, 0]], np.float32)
"""The only placing of a stored scene."""


@njit(cache=True, nogil=True, error_model="numpy")
def code_of(levels: NDArray[np.int8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The code and mask, 8 words each, of a thumbnail as it is."""
    codes, masks = encode(fine_of(levels), AS_IS)
    return codes[0], masks[0]


class Hypotheses(NamedTuple):
    """A thumbnail under n placings: these, (n, 4), its codes and masks under each, (n, 8), and what they were taken of:
    the smoothed thumbnail at half cells."""

    placings: NDArray[np.float32]
    codes: NDArray[np.uint64]
    masks: NDArray[np.uint64]
    fine: NDArray[np.float32]


def hypotheses(fine: NDArray[np.float32], placings: NDArray[np.float32]) -> Hypotheses:
    """A thumbnail, smoothed and at half cells, under these placings."""
    return Hypotheses(placings, *encode(fine, placings), fine)
