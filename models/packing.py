"""The packed thumbnail: 64x64 levels in `PACKED` bytes, whatever they show, and what these bytes give back.

Owns the byte form, and how much of a thumbnail is given up to fit into it. Refuses to compare. What is hidden is kept
exactly. The levels are kept as the waves (cosine transform) of blocks of 8x8 cells, in steps that are as fine as fit,
twice as wide for the finest wave as for the coarsest; docs/decisions/packing.md says what that costs. The waves are
written by an entropy coder (rANS: J. Duda, arXiv:1311.2540; four states in turn), under odds that follow from how
strong a wave usually is and how strong its block.

The bytes, integers little-endian: the step, from 1 on (0: nothing is seen); how many bytes tell what is hidden (2), and
these: lengths of runs in which a cell is, and then is not, hidden as the one above it, in Elias' gamma code; how strong
each block is (64 x 4 bits); four states of the coder (4 each) and its words (2 each); zeros.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.coder import CODER, MOST, STRENGTH, STRONGEST, WEAKEST, decode, encode
from models.hidden import HEAD, read_hidden, write_hidden
from models.thumbnail import INVALID, SIDE
from models.waves import BLOCK, BLOCKS, WAVES, to_levels, to_waves

PACKED: Final = 868
"""Bytes of a packed thumbnail: with a scene's keys and its id less than a kilobyte."""
STEPS: Final = 80
"""Steps in all: the last one leaves nothing but what is hidden, so that everything fits."""
_FINEST: Final = np.float32(0.4)
_A_DOUBLING: Final = 10
_STEP: Final = (_FINEST * 2.0 ** (np.arange(STEPS) / _A_DOUBLING)).astype(np.float32)
"""Levels in a step of the coarsest wave: from the finest on, so many steps to twice as wide a one."""
_WIDE: Final = (1 + np.add.outer(np.arange(BLOCK), np.arange(BLOCK)) / (2 * BLOCK - 2)).astype(np.float32).ravel()
"""How much wider the steps of each wave are."""
_ROUND: Final = np.float32(0.4)
"""Share of a step that is added before the rest is cut off. Less than a half: the least costs more than it is worth."""
_BITS: Final = np.array((0, 11, 21, 35, 53, 77, 104, 130, 153, 172, 200, 225, 250, 275, 300, 325), np.float32)
"""Bits that a block of each number takes, measured on the same stills, and a fortieth more: one still in six takes more
than its blocks add up to, and is written again in the next wider step."""
_PEAK: Final = np.float32(4.5)
"""Times a block's strength that its strongest wave may have: so many the odds still allow for."""
_USUAL: Final = (1 / (2.0 ** (STRENGTH / 2) * _WIDE)).astype(np.float32)
_HALF: Final = np.float32(0.5)
_NOTHING: Final = np.float32(1e-9)


def pack(levels: NDArray[np.int8]) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """A thumbnail as it is stored, (PACKED,), and what is left of it, (SIDE, SIDE): what `unpack` will give."""
    packed, left = np.zeros(PACKED, np.uint8), np.empty((SIDE, SIDE), np.int8)
    pack_into(levels, packed, left)
    return packed, left


def unpack(packed: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The thumbnail, (SIDE, SIDE), that was packed; nothing is seen in one of zeros. Raises ValueError when torn."""
    levels = np.empty((SIDE, SIDE), np.int8)
    if packed.shape != (PACKED,) or packed.dtype != np.uint8 or not unpack_into(np.ascontiguousarray(packed), levels):
        raise ValueError(f"a torn thumbnail: {packed.size} bytes, first {packed[:1].tobytes().hex()}")
    return levels


@njit(cache=True, nogil=True, error_model="numpy")
def pack_into(levels: NDArray[np.int8], packed: NDArray[np.uint8], left: NDArray[np.int8]) -> None:
    """Fill `packed`, which is all zeros, and what it gives back."""
    bands, seen = np.empty((WAVES, BLOCKS), np.float32), np.empty(BLOCKS, np.bool_)
    hidden, at = np.zeros((SIDE, SIDE), np.bool_), HEAD
    if to_waves(levels, bands, seen):
        if not seen.any():
            left[:] = INVALID
            return
        at = write_hidden(levels, packed)
        for y in range(SIDE):
            for x in range(SIDE):
                hidden[y, x] = levels[y, x] == INVALID
    strength, numbers = np.empty(BLOCKS, np.float32), np.empty(BLOCKS, np.int64)
    counts, words = np.empty((WAVES, BLOCKS), np.int8), np.empty(PACKED // 2, np.uint16)
    most = _strengths(bands, seen, strength)
    step = _first_step(strength, most, 8 * (PACKED - at - CODER))
    while True:
        _count(bands, _STEP[step], counts)
        for k in range(BLOCKS):
            numbers[k] = _number(strength[k], step)
        if encode(counts, numbers, at, packed, words):
            break
        step += 1
    packed[0] = step + 1
    for wave in range(WAVES):
        for k in range(BLOCKS):
            bands[wave, k] = np.float32(counts[wave, k] if numbers[k] else 0) * (_STEP[step] * _WIDE[wave])
    to_levels(bands, left, hidden)


@njit(cache=True, nogil=True, error_model="numpy")
def unpack_into(packed: NDArray[np.uint8], levels: NDArray[np.int8]) -> bool:
    """Fill `levels`; False, and nothing is seen in them, when `packed` is torn."""
    levels[:] = INVALID
    if not packed[0]:
        return not packed.any()
    hidden = np.empty((SIDE, SIDE), np.bool_)
    bands = np.empty((WAVES, BLOCKS), np.float32)
    at = read_hidden(packed, hidden)
    if at < 0 or at + CODER > PACKED or packed[0] > STEPS:
        return False
    if not decode(packed, at, _STEP[np.int64(packed[0]) - 1] * _WIDE, bands):
        return False
    to_levels(bands, levels, hidden)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _strengths(bands: NDArray[np.float32], seen: NDArray[np.bool_], strength: NDArray[np.float32]) -> float:
    """Fill in how strong each block is, in half octaves of the finest step; the strongest wave of all, in levels."""
    peak = np.zeros(BLOCKS, np.float32)
    most = np.zeros(BLOCKS, np.float32)
    strength[:] = 0
    for wave in range(WAVES):
        usual, wide = _USUAL[wave], np.float32(1) / _WIDE[wave]
        for k in range(BLOCKS):
            size = abs(bands[wave, k])
            strength[k] += size * usual
            peak[k] = max(peak[k], size * usual)
            most[k] = max(most[k], size * wide)
    for k in range(BLOCKS):
        size = max(strength[k] / np.float32(WAVES), peak[k] / _PEAK) / _FINEST
        strength[k] = np.float32(2) * np.log2(max(size, _NOTHING)) if seen[k] else np.float32(-100)
    return float(most.max())


@njit(cache=True, nogil=True, error_model="numpy")
def _number(strength: np.float32, step: int) -> int:
    """The number by which a block is written whose strength is this one, of which nothing is left at 0."""
    number = int(np.floor(strength - np.float32(2 * step / _A_DOUBLING) + _HALF)) + 1 - WEAKEST
    return min(max(number, 0), STRONGEST) if step < STEPS - 1 else 0


@njit(cache=True, nogil=True, error_model="numpy")
def _first_step(strength: NDArray[np.float32], most: float, room: int) -> int:
    """The finest step at which the waves should fit into so many bits."""
    for step in range(STEPS - 1):
        bits = np.float32(0)
        for k in range(BLOCKS):
            bits += _BITS[_number(strength[k], step)]
        if bits <= room and most < MOST * _STEP[step]:
            return step
    return STEPS - 1


@njit(cache=True, nogil=True, error_model="numpy")
def _count(bands: NDArray[np.float32], step: np.float32, counts: NDArray[np.int8]) -> None:
    """Fill in how many steps each wave has."""
    for wave in range(WAVES):
        inverse = np.float32(1) / (step * _WIDE[wave])
        for k in range(BLOCKS):
            value = bands[wave, k] * inverse
            counts[wave, k] = np.int8(value + (_ROUND if value > 0 else -_ROUND))
