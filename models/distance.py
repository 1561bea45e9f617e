"""How far two codes lie apart: the distance of a scene from a query, stated without any index.

Owns the rule by which a scene is compared with a query under many hypotheses. Refuses to search: models/index.py does.

Over the bits that both masks hold, the share that differs; for a negative, the
share that agrees. A row is found under a hypothesis when at least `least` bits are held in common and the share that
differs is at most `radius`, or when at least `VOTES` of the 8 words agree by themselves: `WORD_BITS` bits in common, of
which one in `WORD_PART` differs at most (a part of the picture is the same and the rest is hidden or torn), while not
between 40 and 60 % of all common bits differ. With `short`, it is also found with more than `SHORT_BITS` bits in
common, when of what is beyond at most the share `SHORT_SLOPE` differs: a strip of a cut-off still has no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.lanes import compare_words, prefetch

VOTES: Final = 3
"""Words that must agree by themselves. Measured: with 3, one still in 20 has a false candidate among 800 scenes."""
WORD_BITS: Final = 22
"""Reliable bits in common that a word needs to vote."""
WORD_PART: Final = 8
"""Of so many of them one may differ."""

SHORT_BITS: Final = 40
"""Common bits that a strip needs,"""
SHORT_SLOPE: Final = 0.2
"""and the bits that may differ for each common one beyond: 2 of 50, 8 of 80. True strips differ in 0 to 10 %."""
_SOON: Final = 8
"""Rows that are asked of memory before they are compared."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row within the radius: under which hypothesis, with how many differing of how many common bits.

    `negative` says that the bits were compared with the query inverted. `votes` counts agreeing words.
    """

    row: int
    hypothesis: int
    differing: int
    common: int
    votes: int
    negative: bool


@njit(cache=True, nogil=True)
def distances(
    code: NDArray[np.uint64],
    mask: NDArray[np.uint64],
    codes: NDArray[np.uint64],
    masks: NDArray[np.uint64],
    rows: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Differing and common bits, (2, n), of one code against n rows of others."""
    one, its, out = code.reshape(1, -1), mask.reshape(1, -1), np.empty((2, rows.size), np.int64)
    for k in range(rows.size):
        out[1, k], out[0, k], _, _ = compare_words(codes, masks, rows[k], one, its, 0, WORD_BITS, WORD_PART)
    return out


@njit(cache=True, nogil=True)
def match_row(
    codes: NDArray[np.uint64],
    masks: NDArray[np.uint64],
    row: int | np.int64,
    qcodes: NDArray[np.uint64],
    qmasks: NDArray[np.uint64],
    radius: float,
    least: int,
    short: bool,
) -> tuple[int, int, int, int, int]:
    """The best (hypothesis, differing, common, votes, negative) of a row; hypothesis -1 when none is found.

    Best is most votes beyond the first two, then the least share that differs, then the earliest hypothesis.
    """
    best, best_h, best_d, best_c, best_v, best_n = 9.0, -1, 0, 0, 0, 0
    for h in range(qcodes.shape[0]):
        c, d, votes, against = compare_words(codes, masks, row, qcodes, qmasks, h, WORD_BITS, WORD_PART)
        if 5 * d > 2 * c and 5 * d < 3 * c:
            continue
        negative = 0
        if 2 * d > c:
            d, votes, negative = c - d, against, 1
        near = c >= least and d <= radius * c
        strip = short and c > SHORT_BITS and d <= SHORT_SLOPE * (c - SHORT_BITS) and d <= radius * c
        if not (near or strip or votes >= VOTES):
            continue
        value = (d + 1.0) / (c + 2.0) - 0.05 * votes
        if value < best:
            best, best_h, best_d, best_c, best_v, best_n = value, h, d, c, votes, negative
    return best_h, best_d, best_c, best_v, best_n


@njit(cache=True, nogil=True)
def match_rows(
    rows: NDArray[np.int64],
    codes: NDArray[np.uint64],
    masks: NDArray[np.uint64],
    qcodes: NDArray[np.uint64],
    qmasks: NDArray[np.uint64],
    radius: float,
    least: int,
    short: bool,
) -> NDArray[np.int64]:
    """Those of the rows that are found: (row, hypothesis, differing, common, votes, negative) each."""
    out = np.empty((rows.size, 6), np.int64)
    found, most = 0, np.full(64 * codes.shape[1] + 1, -1, np.int64)
    for common in range(min(least, SHORT_BITS + 1) if short else least, most.size):
        most[common] = np.int64(radius * common)
    for j in range(-_SOON, rows.size):
        if j + _SOON < rows.size:
            prefetch(codes, rows[j + _SOON])
            prefetch(masks, rows[j + _SOON])
        if j < 0 or not _may_match(codes, masks, rows[j], qcodes, qmasks, most):
            continue
        hit = match_row(codes, masks, rows[j], qcodes, qmasks, radius, least, short)
        if hit[0] >= 0:
            out[found, 0] = rows[j]
            for k in range(5):
                out[found, k + 1] = hit[k]
            found += 1
    return out[:found]


@njit(cache=True, nogil=True)
def _may_match(
    codes: NDArray[np.uint64],
    masks: NDArray[np.uint64],
    row: int | np.int64,
    qcodes: NDArray[np.uint64],
    qmasks: NDArray[np.uint64],
    most: NDArray[np.int64],
) -> bool:
    """Whether a row may be found under some hypothesis: as a rule it is not. `most` bits may differ, or agree, of so
    many common ones. Without a branch: whether a chance pair differs in far from half of the bits, nothing foretells.
    """
    may = False
    for h in range(qcodes.shape[0]):
        c, d, votes, against = compare_words(codes, masks, row, qcodes, qmasks, h, WORD_BITS, WORD_PART)
        may |= (min(d, c - d) <= most[c]) | (max(votes, against) >= VOTES)
    return may
