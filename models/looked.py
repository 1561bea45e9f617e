"""A thumbnail made ready for the second look.

Owns what is worked out of a thumbnail once and used with every candidate: its planes. Refuses to compare two.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.thumbnail import INVALID, SIDE, STEP, blurring, gaussian

_soft = blurring(gaussian(0.8))
"""Smoothing, in cells, before the registration: levels are coarse, and sub-cell gradients need a little width."""
_band = blurring(gaussian(1.2))
"""What is subtracted for the fine band: coarse light and dark agree between places, fine texture does not."""
LEAST_WEIGHT: Final = np.float32(1e-9)
"""Stands for no weight at all where something is divided by it."""


class Looked:
    """A thumbnail made ready for the second look: its planes are worked out once and used for every candidate."""

    __slots__ = ("_fine", "_levels", "ok", "soft", "whole")

    def __init__(self, levels: NDArray[np.int8]) -> None:
        self.soft, self.ok, self.whole = planes(levels)
        self._levels = levels
        self._fine: NDArray[np.float32] | None = None

    @property
    def fine(self) -> NDArray[np.float32]:
        """The fine band; most candidates are dismissed without it."""
        if self._fine is None:
            self._fine = fine_band(self._levels)
        return self._fine


@njit(cache=True, nogil=True, error_model="numpy")
def planes(levels: NDArray[np.int8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """A thumbnail softened, and 1 or 0: which cells are valid, and which with those right and below."""
    n = SIDE
    ok, z = _spread(levels)
    s = _soft(z)
    b = _soft(ok)
    whole = np.empty((n, n), np.float32)
    for y in range(n):
        below = min(y + 1, n - 1)
        for x in range(n):
            s[y, x] = ok[y, x] * s[y, x] / max(b[y, x], LEAST_WEIGHT)
        for x in range(n - 1):
            whole[y, x] = ok[y, x] * ok[y, x + 1] * ok[below, x] * ok[below, x + 1]
        whole[y, n - 1] = ok[y, n - 1] * ok[below, n - 1]
    return s, ok, whole


@njit(cache=True, nogil=True, error_model="numpy")
def fine_band(levels: NDArray[np.int8]) -> NDArray[np.float32]:
    """The fine band of a thumbnail: what its surroundings do not explain; 0 where nothing is seen."""
    ok, z = _spread(levels)
    wide = _band(z)
    weight = _band(ok)
    for y in range(SIDE):
        for x in range(SIDE):
            wide[y, x] = ok[y, x] * (z[y, x] - wide[y, x] / max(weight[y, x], LEAST_WEIGHT))
    return wide


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(levels: NDArray[np.int8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Which cells are valid, 1 or 0, and the levels in local standard deviations, 0 where nothing is seen."""
    ok = np.zeros((SIDE, SIDE), np.float32)
    z = np.zeros((SIDE, SIDE), np.float32)
    for y in range(SIDE):
        for x in range(SIDE):
            if levels[y, x] != INVALID:
                ok[y, x] = 1.0
                z[y, x] = levels[y, x] * np.float32(STEP)
    return ok, z
