"""How certain is a match, and how certain must it be in a cloud of this size?

Owns the one figure that joins the search and the second look, and the acting level that keeps the *rate* of false
accusations constant while the number of cameras grows. Refuses to name anybody. Measured by benchmarks/tail.py; what
was seen and what is extrapolated stand in docs/decisions/fingerprint.md.
"""

from __future__ import annotations

from math import atanh, log, sqrt
from typing import Final

from models.registration import Agreement

CAP: Final = 0.995
"""Correlation beyond which Fisher's z would grow without saying more."""
BASE: Final = 0.23
"""Certainty above which `RATE` of the ordered pairs of different cameras had a candidate (seen)."""
RATE: Final = 4.3e-5
"""That share: 40 of 922,560 pairs."""
FOLD: Final = 0.082
"""Certainty over which their number falls by a factor e: 0.076, 0.082 and 0.071 through the highest 20, 40 and 80."""
SLACK: Final = 0.4
"""Certainty added for what the fit does not know: the upper 97.5 % bound when the cameras are drawn anew."""
LEAST: Final = 0.8
"""Certainty never gone below, however small the cloud: half above the highest that was seen of other places (0.53)."""
SECOND_STILL: Final = 0.3
"""By how much less suffices when an earlier, different still of the same two cameras says the same. Not halved, as
independent chances would allow: what two places share, they share in every still."""


def certainty(distance: float, common: int, a: Agreement) -> float:
    """The figure of a match: 98 of 100 true leaks have 1.9 or more, no other place had more than 0.53.

    A product, so that all three must be high: the score and the correlation of the best third of the blocks, both as
    Fisher's z, and the root of the nats (in hundreds) by which the common bits agree better than by chance.
    """
    d = min(max(distance, 1e-3), 0.5)
    entropy = -(d * log(d) + (1 - d) * log(1 - d))
    return _z(a.score) * _z(a.intact) * sqrt(common * (log(2) - entropy) / 100)


def needed(cameras: int) -> float:
    """The certainty at which, among so many cameras, less than one pair a week is expected to be falsely accused."""
    pairs = max(cameras, 2) * (cameras - 1)
    return max(LEAST, BASE + SLACK + FOLD * log(max(pairs * RATE, 1.0)))


def _z(correlation: float) -> float:
    return atanh(min(max(correlation, 0.0), CAP))
