"""What one matcher tells the others: the share of a batch's changes that they need to go on as if it were theirs.

Owns that value, and which cameras are a matcher's own. Refuses to decide anything, and to say how it travels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.placeholder import Placeholder, Sighting
from models.records import Alert, CameraId, Delivery, Judgement, SceneId, Withdrawal
from models.scene import Camera, Scene

Mine = Callable[[CameraId], bool]
"""Whether a camera is this matcher's: it alone judges its deliveries, changes its scenes and raises alerts on it."""


def every(_camera: CameraId) -> bool:
    """The only matcher's: all of them."""
    return True


@dataclass(frozen=True, slots=True)
class Sought:
    """Stills that other homes were shown before were searched for by this scene, when `now` was judged.

    `least` and `kin` are those of `detector.sequel.Sequel.search_back`.
    """

    scene: SceneId
    now: Delivery
    least: float = 0.0
    kin: bool = False


@dataclass(frozen=True, slots=True)
class Learned:
    """What a batch elsewhere came to. Cameras, scenes and placeholders are as they stand now, so one told twice is
    one; a scene that is gone by now is missing.

    `sought` are the scenes that stills were searched by, `went_on` the latest deliveries that their cameras' own scenes
    explained, one a camera, `alive` scenes that their cameras were seen to live with: what followed from these for the
    cameras of one matcher is to be drawn by each for its own. `raised` leaves out what was withdrawn. `judged` is what
    the desk counts, and empty for everybody else.
    """

    scenes: Sequence[Scene] = ()
    removed: Sequence[SceneId] = ()
    cameras: Sequence[Camera] = ()
    sought: Sequence[Sought] = ()
    went_on: Sequence[Delivery] = ()
    alive: Sequence[SceneId] = ()
    placeholders: Sequence[Placeholder] = ()
    sightings: Sequence[Sighting] = ()
    raised: Sequence[Alert] = ()
    withdrawn: Sequence[Withdrawal] = ()
    judged: Sequence[Judgement] = ()
