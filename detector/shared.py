"""What do other cameras show as well? A banner, a logo, the same sky: what of a match is not its scene's own.

Owns how much of a part of a scene other cameras show too, and how much more a match must have. Refuses to search for
the match. Asked only where few bits decide: a whole picture that two cameras share is one view, and told apart
otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.certainty import nats
from detector.known import NUMBER, Known
from detector.memory import Memory
from models.code import AS_IS, fine_of, hypotheses
from models.scene import Standing

BITS: Final = 200
"""Common bits below which it is asked what other cameras show there."""
WHOLE_RADIUS: Final = 0.06
"""One camera shows all of it: at most this share of bits differs,"""
WHOLE_SHARE: Final = 0.7
"""of at least this share of them."""
RADIUS: Final = 0.20
"""Several show the like: at most this share differs,"""
SHARE: Final = 0.5
"""of at least this share."""
SEVERAL: Final = 3
"""So many cameras besides the matched one; fewer may be one place, or a camera that goes on under another id."""
CERTAIN: Final = 0.7
"""Certainty that a match needs where several show the like: cut-off and corrupt stills of one operator's fifty cameras,
the own one left out, reach 0.59; with it, three of 1,036 lie below 0.7."""


def shared(memory: Memory, known: Known, mask: NDArray[np.uint64], skip: Sequence[int]) -> float:
    """Nats by which several other cameras agree with the part of a scene that `mask` leaves; infinitely many where one
    of them shows the whole part, 0 where too few show the like or enough bits decide."""
    code, own = memory.index.bits(known.row)
    both = own & mask
    bits = int(np.bitwise_count(both).sum())
    if bits >= BITS:
        return 0.0
    given = hypotheses(fine_of(memory.index.levels(known.row)), AS_IS)
    given = given._replace(masks=given.masks & mask)
    camera = memory.cameras[known.record.camera].number
    rows = memory.candidates(given, [*skip, camera], _CONFIRMED, usual=1)
    if memory.index.match(rows, code[None], both[None], radius=WHOLE_RADIUS, least=int(WHOLE_SHARE * bits)):
        return inf
    like: dict[int, float] = {}
    for f in memory.index.match(rows, code[None], both[None], radius=RADIUS, least=int(SHARE * bits)):
        other = memory.index.owner(f.row)
        like[other] = max(like.get(other, 0.0), nats(f.differing / f.common, f.common))
    return sorted(like.values(), reverse=True)[SEVERAL - 1] if len(like) >= SEVERAL else 0.0


def its_own(certainty: float, shared: float) -> bool:
    """Whether a match stands on more than what several cameras share, which its certainty counts for nothing."""
    return shared == 0.0 or certainty >= CERTAIN


_CONFIRMED: Final = [NUMBER[Standing.CONFIRMED]]
