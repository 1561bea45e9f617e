"""By what stored scenes are found: code, mask and keys, made out of their packed thumbnails many at a time.

Owns the order in which that is done, without Python's lock for most of it. Refuses to keep anything.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.code import AS_IS, FINE, WORDS, encode, fine_of
from models.keys import KEYS, stored_keys
from models.packing import unpack_into
from models.thumbnail import SIDE

AT_ONCE: Final = 64
"""Thumbnails that are made out at once: 4 MB of them at half cells."""


class Signs(NamedTuple):
    """Codes and masks, (n, WORDS) each, and keys, (KEYS, n), of n scenes."""

    codes: NDArray[np.uint64]
    masks: NDArray[np.uint64]
    keys: NDArray[np.uint32]


def signs_of(packed: NDArray[np.uint8]) -> Signs:
    """The signs of n packed thumbnails, (n, PACKED). Raises ValueError when one is torn."""
    n = len(packed)
    found = Signs(np.empty((n, WORDS), np.uint64), np.empty((n, WORDS), np.uint64), np.empty((KEYS, n), np.uint32))
    fine = np.empty((min(n, AT_ONCE), FINE + 1, FINE + 1), np.float32)
    for first in range(0, n, AT_ONCE):
        some = slice(first, min(first + AT_ONCE, n))
        plane = fine[: some.stop - first]
        torn = _opened(packed[some], plane, found.codes[some], found.masks[some])
        if torn >= 0:
            raise ValueError(f"a torn thumbnail: the {first + torn + 1}th of {n}")
        found.keys[:, some] = stored_keys(plane)
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _opened(
    packed: NDArray[np.uint8], fine: NDArray[np.float32], codes: NDArray[np.uint64], masks: NDArray[np.uint64]
) -> int:
    """Fill in thumbnails at half cells and their codes; which one is torn, or -1."""
    levels = np.empty((SIDE, SIDE), np.int8)
    for k in range(packed.shape[0]):
        if not unpack_into(packed[k], levels):
            return k
        fine[k] = fine_of(levels)
        code, mask = encode(fine[k], AS_IS)
        codes[k], masks[k] = code[0], mask[0]
    return -1
