"""By what stored scenes are found: code, mask and keys, made out of their packed thumbnails many at a time.

Owns that it is done without Python's lock, so that threads may share it. Refuses to keep anything.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.code import AS_IS, WORDS, encode, fine_of
from models.keys import KEYS, stored_keys
from models.packing import unpack_into
from models.thumbnail import SIDE


class Signs(NamedTuple):
    """Codes and masks, (n, WORDS) each, and keys, (KEYS, n), of n scenes."""

    codes: NDArray[np.uint64]
    masks: NDArray[np.uint64]
    keys: NDArray[np.uint32]


def signs_of(packed: NDArray[np.uint8]) -> Signs:
    """The signs of n packed thumbnails, (n, PACKED). Raises ValueError when one is torn."""
    n = len(packed)
    found = Signs(np.empty((n, WORDS), np.uint64), np.empty((n, WORDS), np.uint64), np.empty((KEYS, n), np.uint32))
    torn = _made_out(packed, *found)
    if torn >= 0:
        raise ValueError(f"a torn thumbnail: the {torn + 1}th of {n}")
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _made_out(
    packed: NDArray[np.uint8], codes: NDArray[np.uint64], masks: NDArray[np.uint64], keys: NDArray[np.uint32]
) -> int:
    """Fill in the signs; which thumbnail is torn, or -1."""
    levels = np.empty((SIDE, SIDE), np.int8)
    for k in range(packed.shape[0]):
        if not unpack_into(packed[k], levels):
            return k
        fine = fine_of(levels)
        code, mask = encode(fine, AS_IS)
        codes[k], masks[k] = code[0], mask[0]
        keys[:, k] = stored_keys(fine)
    return -1
