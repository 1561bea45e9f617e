"""How certain is a match, and how certain must it be in a cloud of this size?

Owns the one figure that joins the search and the second look, and the acting level that keeps the *rate* of false
accusations constant while the number of cameras grows. Refuses to name anybody. Measured by benchmarks/tail.py; what
was seen and what is extrapolated stand in docs/decisions/fingerprint.md.
"""

from __future__ import annotations

from math import atanh, log
from typing import Final

from models.registration import Agreement

OF_SCORE: Final = 1.9
"""Weight of the score, as Fisher's z. The three weights are those of a logistic regression of true matches (leaks of
six replays) against candidates of other cameras, rounded."""
OF_FINE: Final = 1.6
"""Weight of the fine band's correlation, as Fisher's z."""
OF_BITS: Final = 1.4
"""Weight of a hundred nats by which the common bits agree better than by chance."""
CAP: Final = 0.995
"""Correlation beyond which z would grow without saying more."""

BASE: Final = 2.05
"""Certainty above which `RATE` of the ordered pairs of different cameras had a candidate (seen)."""
RATE: Final = 4.3e-5
"""That share: 40 of 922,560 pairs."""
FOLD: Final = 0.21
"""Certainty over which their number falls by a factor e (fitted through these 40; 0.19 to 0.22 through 20 to 80)."""
SLACK: Final = 0.35
"""Certainty added for the fit's own uncertainty: the upper 97.5 % bound when cameras are resampled."""
LEAST: Final = 3.2
"""Certainty never gone below, however small the cloud: a quarter above the highest that was seen of other places."""
SECOND_STILL: Final = 0.6
"""By how much less suffices when an earlier, different still of the same two cameras says the same. Not halved, as
independent chances would allow: what two places share, they share in every still."""


def certainty(distance: float, common: int, a: Agreement) -> float:
    """The figure of a match: how well its bits and pixels agree. True leaks have 3.5 to 9, other places below 2.6."""
    d = min(max(distance, 1e-3), 0.5)
    entropy = -(d * log(d) + (1 - d) * log(1 - d))
    bits = common * (log(2) - entropy) / 100
    return OF_SCORE * _z(a.score) + OF_FINE * _z(a.fine) + OF_BITS * bits


def needed(cameras: int) -> float:
    """The certainty at which, among so many cameras, one pair a week is expected to be falsely accused."""
    pairs = max(cameras, 2) * (cameras - 1)
    return max(LEAST, BASE + SLACK + FOLD * log(max(pairs * RATE, 1.0)))


def _z(correlation: float) -> float:
    return atanh(min(max(correlation, 0.0), CAP))
