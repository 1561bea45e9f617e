"""A renderer of stills of homes that do not exist: rooms and streets, by day, dusk and infrared.

Owns pictures for the simulator, the demo and the tests, so that none of a real home is needed. Refuses to be art:
it has to look different from camera to camera and alike from moment to moment, as real cameras do.

    scene = stage("camera-17", Mode.DAY)        # a tenth of a second; the caller keeps it
    data = jpeg(still(scene, Moment(1, now)), scene.quality)
"""

from streams.simulator.render.moment import Moment, jpeg, still
from streams.simulator.render.stage import HEIGHT, WIDTH, Mode, Stage, outdoors, place, stage

__all__ = ["HEIGHT", "WIDTH", "Mode", "Moment", "Stage", "jpeg", "outdoors", "place", "stage", "still"]
