"""What is hidden of a thumbnail, as lengths of runs in few bits.

Owns these bits: lengths of runs in which a cell is, and then is not, hidden as the one above it, in Elias' gamma code,
behind two bytes that tell how many they take. Refuses to know what else is packed. Three bits for two cells at most.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.lanes import popcount
from models.thumbnail import INVALID, SIDE

HEAD: Final = 3
"""Bytes in front of the runs: one that is not of this room, and two that tell how many bytes the runs take."""


@njit(cache=True, nogil=True, error_model="numpy")
def write_hidden(levels: NDArray[np.int8], packed: NDArray[np.uint8]) -> int:
    """Write what is hidden; where it ends. At most 3 bits for two cells."""
    above, run, last, bits = np.uint64(0), 1, np.uint64(0), 0
    for y in range(SIDE):
        row = np.uint64(0)
        for x in range(SIDE):
            row |= np.uint64(levels[y, x] == INVALID) << np.uint64(x)
        differs, above, x = row ^ above, row, 0
        # `turns` has a bit wherever a cell is not as the one before it
        turns = differs ^ (differs << np.uint64(1) | last)
        last = differs >> np.uint64(63)
        while turns:
            ahead = _zeros(turns)
            bits = _write_run(packed, bits, run + ahead)
            x += ahead
            run = 0
            turns &= turns - np.uint64(1)
            turns >>= np.uint64(ahead)
        run += SIDE - x
    bits = _write_run(packed, bits, run)
    size = (bits + 7) // 8
    packed[1], packed[2] = size % 256, size // 256
    return HEAD + size


@njit(cache=True, nogil=True, error_model="numpy")
def _write_run(packed: NDArray[np.uint8], bits: int, run: int) -> int:
    """Write the length of a run behind so many bits; how many there are then."""
    length = 0
    while run >> (length + 1):
        length += 1
    bits += length
    for k in range(length, -1, -1):
        packed[HEAD + bits // 8] |= np.uint8((run >> k & 1) << (7 - bits % 8))
        bits += 1
    return bits


@njit(cache=True, nogil=True, error_model="numpy")
def _zeros(word: np.uint64) -> int:
    """How many of the lowest bits are 0."""
    return int(popcount((word & (~word + np.uint64(1))) - np.uint64(1)))


@njit(cache=True, nogil=True, error_model="numpy")
def read_hidden(packed: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> int:
    """Fill in what is hidden; where it ends, or -1 when it is torn. Reads no byte beyond `packed`."""
    size = int(np.int64(packed[1]) + 256 * np.int64(packed[2]))
    end = HEAD + size
    hidden[:] = False
    if end > packed.size:
        return -1
    if not size:
        return end
    at, bit, differs = -1, 0, False
    while at < SIDE * SIDE:
        length, run = 0, 0
        while bit < 8 * size and not packed[HEAD + bit // 8] >> (7 - bit % 8) & 1:
            length += 1
            bit += 1
        if length > 12 or bit + length >= 8 * size:
            return -1
        for _ in range(length + 1):
            run = 2 * run + int(np.int64(packed[HEAD + bit // 8] >> (7 - bit % 8) & 1))
            bit += 1
        if at + run > SIDE * SIDE:
            return -1
        if differs:
            for cell in range(at, at + run):
                hidden[cell // SIDE, cell % SIDE] = True
        at, differs = at + run, not differs
    for y in range(1, SIDE):
        for x in range(SIDE):
            hidden[y, x] ^= hidden[y - 1, x]
    return end
