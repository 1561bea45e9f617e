"""Another place, or this place changed? What time tells that one still's pixels do not.

Owns when a scene that nothing explains is told at once, held, told after it went, or learned because it stayed. Refuses
to look at pixels: it is given how well the camera's own history agreed. The pixels of one still are nearly used up
(registered correlation alone separates with an AUC of 0.998); most false shifts are real jumps of the view.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final

from detector.known import Known, Watched
from models.records import SceneId
from models.scene import Standing

FOREIGN_OWN: Final = 0.30
"""Best agreement with the camera's own history above which a still shows this place, changed: covered, lit otherwise,
panned. Foreign places stay below 0.2; people at the lens leave 0.3 to 0.6."""
CLEARLY_FOREIGN: Final = 0.20
"""The same, to be told at once, or of a restless camera: 247 of 248 foreign places lay below, and of a restless
camera's own stills that came and went none."""
CALM_STILLS: Final = 4
"""Stills in different bytes that a camera must have shown, all explained but the first, to be called calm."""
STAYS: Final = 3
"""Stills without a return of the old scene after which what came has stayed: the camera moved."""
VISIT: Final = 2
"""Stills of one look in a row from which on a camera has looked elsewhere and back."""
RESTLESS: Final = 2
"""Moves after which a camera may well jump again,"""
WANDERS: Final = 0.3
"""or how far its own scenes lie apart: the mean share of bits by which each differs from the nearest other one. Chance
gives 0.5; night, lights and passers-by 0.05 to 0.25."""


def unlike(own: float, valid: float) -> float:
    """How well the camera's own history agreed, less what chance gives a strip: the fewer cells are valid, the better
    two places agree (strangers' strips of a sixth and a third of a still reached 0.34 and 0.32)."""
    return own * sqrt(valid)


def restless(camera: Watched, wander: float) -> bool:
    """Whether the camera changes its view so often that only what is clearly foreign tells anything."""
    return camera.moves >= RESTLESS or wander >= WANDERS


def calm(camera: Watched, look: SceneId | None) -> bool:
    """Whether the camera never showed anything of its own but what its history explained."""
    quiet = camera.moves == 0 and explained(camera) >= CALM_STILLS and camera.confirmed
    return quiet and look is None and len(camera.held) < STAYS


def explained(camera: Watched) -> int:
    """The camera's stills but for those that nothing explained, then or since: looks of its youth, and held ones."""
    looks = [k for k in camera.own if k.novel and k.record.standing is Standing.ONCE]
    return camera.stills - len(looks) - len(camera.held)


def tell_at_once(camera: Watched, own: float, look: SceneId | None) -> bool:
    """Whether a novel still is told before it is known what follows; it is withdrawn if it stays."""
    return calm(camera, look) and own < CLEARLY_FOREIGN


def tell_on_return(camera: Watched, held: Known, wander: float) -> bool:
    """Whether a still that came and went is told once the camera's own scene is back.

    The same look twice in a row is a place that the camera visits, more often than a stranger's.
    """
    row = [k for k in waiting(camera) if k.look == held.look]
    return held.own < (CLEARLY_FOREIGN if restless(camera, wander) else FOREIGN_OWN) and len(row) < VISIT


def waiting(camera: Watched) -> list[Known]:
    """What came since the camera's own scene was last seen."""
    return [k for k in camera.held if k.awaits is None and not k.returned]


def alike(camera: Watched, look: SceneId | None) -> list[Known]:
    """The held stills that show one and the same look."""
    return [k for k in camera.held if k.awaits is None and look is not None and k.look == look]


def visited(since: Sequence[Known], look: SceneId | None) -> list[Known]:
    """The stills of a look that came twice in a row: the camera looks elsewhere, and what it sees there is its own."""
    same = [k for k in since if k.look == look]
    return same if len(same) >= VISIT else []


def passing(since: Sequence[Known]) -> list[Known]:
    """The stills that stand alone between two of one other look: what came before them was seen again, so they went."""
    looks = [k.look for k in since]
    return [
        k for n, k in enumerate(since) if looks.count(k.look) == 1 and any(look in looks[n + 1 :] for look in looks[:n])
    ]


def stayed(same: Sequence[Known], since: Sequence[Known]) -> bool:
    """Whether what came is there to stay: the same look often enough, or no return of the old one for long."""
    return len(same) >= STAYS or len(since) - len(passing(since)) >= STAYS
