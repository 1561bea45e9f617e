"""The waves of a thumbnail: the cosine transform of its blocks of 8x8 cells, there and back.

Owns the order in which blocks and waves lie, and what stands in for cells that are hidden. Refuses to give anything up:
that is packing's (models/packing.py). All 64 blocks are worked on side by side.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.thumbnail import INVALID, SIDE

BLOCK: Final = 8
"""Cells a side of a block."""
BLOCKS: Final = (SIDE // BLOCK) ** 2
WAVES: Final = BLOCK * BLOCK
_COSINES: Final = np.array(
    [
        [np.cos(np.pi * k * (n + 0.5) / BLOCK) * np.sqrt((2 if k else 1) / BLOCK) for n in range(4)]
        for k in range(BLOCK)
    ],
    np.float32,
)
"""The transform's first half; the other one is the same, with the sign turned in every second wave."""


@njit(cache=True, nogil=True, error_model="numpy")
def to_waves(levels: NDArray[np.int8], waves: NDArray[np.float32], seen: NDArray[np.bool_]) -> bool:
    """Fill `waves` (wave of a block, block), of hidden cells as if they had their block's mean, and which blocks are
    seen at all; whether anything is hidden."""
    hidden = _blocks(levels, waves, seen)
    _forward(waves)
    return hidden


@njit(cache=True, nogil=True, error_model="numpy")
def to_levels(waves: NDArray[np.float32], levels: NDArray[np.int8], hidden: NDArray[np.bool_]) -> None:
    """Fill `levels` with what the waves give back, and what is hidden; the waves are used up."""
    _backward(waves)
    flat, cells, gone = waves.ravel(), levels.ravel(), hidden.ravel()
    rounded = np.empty(WAVES * BLOCKS, np.int8)
    for at in range(WAVES * BLOCKS):
        value = min(max(flat[at], np.float32(-7)), np.float32(7))
        rounded[at] = np.int8(np.int32(value + np.float32(8.5)) - np.int32(8))
    for y in range(SIDE):
        for i in range(BLOCK):
            first = (y & 7) * BLOCK * BLOCKS + (y >> 3) * BLOCK + i
            for x in range(BLOCK):
                cells[y * SIDE + i * BLOCK + x] = rounded[first + x * BLOCKS]
    for at in range(SIDE * SIDE):
        cells[at] = np.int8(INVALID) if gone[at] else cells[at]


@njit(cache=True, nogil=True, error_model="numpy")
def _blocks(levels: NDArray[np.int8], bands: NDArray[np.float32], seen: NDArray[np.bool_]) -> bool:
    """Fill `bands` (cell of a block, block), hidden cells with their block's mean, and which blocks are seen at all;
    whether anything is hidden."""
    cells, waves, hidden = levels.ravel(), bands.ravel(), 0
    turned = np.empty(WAVES * BLOCKS, np.int8)
    for at in range(SIDE * SIDE):
        hidden += cells[at] == INVALID
    for y in range(SIDE):
        for i in range(BLOCK):
            first = (y & 7) * BLOCK * BLOCKS + (y >> 3) * BLOCK + i
            for x in range(BLOCK):
                turned[first + x * BLOCKS] = cells[y * SIDE + i * BLOCK + x]
    for at in range(WAVES * BLOCKS):
        waves[at] = np.float32(turned[at])
    seen[:] = True
    if not hidden:
        return False
    nothing = np.float32(INVALID)
    for k in range(BLOCKS):
        total, count = np.float32(0), 0
        for cell in range(WAVES):
            if bands[cell, k] != nothing:
                total += bands[cell, k]
                count += 1
        seen[k] = count > 0
        for cell in range(WAVES):
            if bands[cell, k] == nothing:
                bands[cell, k] = total / np.float32(max(count, 1))
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _forward(bands: NDArray[np.float32]) -> None:
    """Cells to waves, in place: 64 blocks side by side, (cell of a block, block)."""
    f = bands.ravel()
    for axis in range(2):
        apart, beside = (BLOCKS, BLOCK * BLOCKS) if axis else (BLOCK * BLOCKS, BLOCKS)
        for line in range(BLOCK):
            for i in range(line * beside, line * beside + BLOCKS):
                a0, a1, a2, a3 = f[i], f[i + apart], f[i + 2 * apart], f[i + 3 * apart]
                b0, b1, b2, b3 = f[i + 7 * apart], f[i + 6 * apart], f[i + 5 * apart], f[i + 4 * apart]
                s0, s1, s2, s3, d0, d1, d2, d3 = a0 + b0, a1 + b1, a2 + b2, a3 + b3, a0 - b0, a1 - b1, a2 - b2, a3 - b3
                for k in range(0, BLOCK, 2):
                    c, d = _COSINES[k], _COSINES[k + 1]
                    f[i + k * apart] = c[0] * s0 + c[1] * s1 + c[2] * s2 + c[3] * s3
                    f[i + k * apart + apart] = d[0] * d0 + d[1] * d1 + d[2] * d2 + d[3] * d3


@njit(cache=True, nogil=True, error_model="numpy")
def _backward(bands: NDArray[np.float32]) -> None:
    """Waves to cells, in place."""
    f = bands.ravel()
    for axis in range(2):
        apart, beside = (BLOCKS, BLOCK * BLOCKS) if axis else (BLOCK * BLOCKS, BLOCKS)
        for line in range(BLOCK):
            for i in range(line * beside, line * beside + BLOCKS):
                a0, a1, a2, a3 = f[i], f[i + 2 * apart], f[i + 4 * apart], f[i + 6 * apart]
                b0, b1, b2, b3 = f[i + apart], f[i + 3 * apart], f[i + 5 * apart], f[i + 7 * apart]
                for n in range(4):
                    even = _COSINES[0, n] * a0 + _COSINES[2, n] * a1 + _COSINES[4, n] * a2 + _COSINES[6, n] * a3
                    odd = _COSINES[1, n] * b0 + _COSINES[3, n] * b1 + _COSINES[5, n] * b2 + _COSINES[7, n] * b3
                    f[i + n * apart] = even + odd
                    f[i + (7 - n) * apart] = even - odd
