"""Another place, or this place changed? What time tells that one still's pixels do not.

Owns when a scene that nothing explains is told at once, held, told after it went, or learned because it stayed. Refuses
to look at pixels: it is given how well the camera's own history agreed. The pixels of one still are nearly used up
(registered correlation alone separates with an AUC of 0.998); most false shifts are real jumps of the view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from detector.memory import Known, Watched
from models.records import SceneId

FOREIGN_OWN: Final = 0.30
"""Best agreement with the camera's own history above which a still shows this place, changed: covered, lit otherwise,
panned. Foreign places stay below 0.2; people at the lens leave 0.3 to 0.6."""
AT_ONCE_OWN: Final = 0.20
"""Best agreement with its own history below which a calm camera's still is told at once."""
CALM_STILLS: Final = 4
"""Stills in different bytes that a camera must have shown, all explained, to be called calm."""
STAYS: Final = 3
"""Stills without a return of the old scene after which what came has stayed: the camera moved."""
VISIT: Final = 2
"""Stills of one look in a row from which on a camera has looked elsewhere and back."""
RESTLESS: Final = 2
"""Moves after which a camera's jumps tell nothing any more."""


def restless(camera: Watched) -> bool:
    """Whether the camera changes its view so often that a jump means nothing."""
    return camera.moves >= RESTLESS


def calm(camera: Watched, look: SceneId | None) -> bool:
    """Whether the camera never showed anything of its own but what its history explained."""
    quiet = camera.moves == 0 and camera.stills >= CALM_STILLS and camera.confirmed
    return quiet and look is None and len(camera.held) < STAYS


def tell_at_once(camera: Watched, own: float, look: SceneId | None) -> bool:
    """Whether a novel still is told before it is known what follows; it is withdrawn if it stays."""
    return calm(camera, look) and own < AT_ONCE_OWN


def tell_on_return(camera: Watched, held: Known) -> bool:
    """Whether a still that came and went is told once the camera's own scene is back.

    The same look twice in a row is a place that the camera visits, more often than a stranger's.
    """
    row = [k for k in waiting(camera) if k.look == held.look]
    return not restless(camera) and held.own < FOREIGN_OWN and len(row) < VISIT


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


def stayed(same: Sequence[Known], since: Sequence[Known]) -> bool:
    """Whether what came is there to stay: the same look often enough, or no return of the old one for long."""
    return len(same) >= STAYS or len(since) >= STAYS
