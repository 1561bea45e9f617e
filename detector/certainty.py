"""How certain is a match, and how certain must it be in a cloud of this size?

Owns the one figure that joins the search and the second look, and the acting level that keeps the *rate* of false
accusations constant while the number of cameras grows. Refuses to name anybody. Measured by benchmarks/tail.py; what
was seen and what is extrapolated stand in docs/decisions/fingerprint.md.
"""

from __future__ import annotations

from math import atanh, log, sqrt
from typing import Final

from models.agreement import Agreement

CAP: Final = 0.995
"""Correlation beyond which Fisher's z would grow without saying more."""
BASE: Final = 0.267
"""Certainty above which, at most, `RATE` of the ordered pairs of different cameras have a candidate,"""
RATE: Final = 4.34e-5
"""that share: 40 of 922,560 pairs;"""
FOLD: Final = 0.0912
"""and over which their number falls by a factor e, at the slowest. Both are the upper 97.5 % bound of the level for one
false pair when the cameras are drawn anew, at 1 thousand to 10 million cameras; the fit itself has 0.256 and 0.052."""
LEAST: Final = 0.7
"""Certainty never gone below, however small the cloud: above the highest at which one place was ever taken for another
in any draw (0.61, cut-off stills of one operator's cameras, of which a banner and sky are left)."""
SECOND_STILL: Final = 0.12
"""By how much less suffices when an earlier, different still of the same two cameras says the same: what the bound of
the second highest of each pair lies lower. Hardly less, since what two places share, they share in every still."""


def nats(distance: float, common: int) -> float:
    """By how much so many common bits, of which this share differs, agree better than by chance."""
    d = min(max(distance, 1e-3), 0.5)
    return common * max(log(2) + d * log(d) + (1 - d) * log(1 - d), 0.0)


def certainty(distance: float, common: int, a: Agreement, shared: float = 0.0) -> float:
    """The figure of a match: 97 of 100 true leaks have 1.5 or more, other places had up to 0.61.

    A product, so that all three must be high: the score and the correlation of the best third of the blocks, both as
    Fisher's z, and the root of the nats (in hundreds) by which the common bits agree better than by chance. Of these
    `shared` are not the scene's own: several other cameras show the same, and the figure falls by their share.
    """
    sure = nats(distance, common)
    own = 1 - shared / sure if shared < sure else 0.0
    return _z(a.score) * _z(a.intact) * sqrt(sure / 100) * own


def needed(cameras: int) -> float:
    """The certainty at which, among so many cameras, at most one pair a week is falsely accused, by the upper bound."""
    pairs = max(cameras, 2) * (cameras - 1)
    return max(LEAST, BASE + FOLD * log(max(pairs * RATE, 1.0)))


def _z(correlation: float) -> float:
    return atanh(min(max(correlation, 0.0), CAP))
