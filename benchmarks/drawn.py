"""A small cloud with drawn stills of 1280x720, so that a benchmark needs nobody's pictures.

Owns messages. The same arguments give the same bytes.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.records import AccountId, CameraId, Delivery, DeliveryId, RightAction, RightChanged
from streams.cloudevents import Message
from streams.simulator.render import Mode
from streams.simulator.studio import PROCESSES, Shot, Studio

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
LEAK_EVERY = 50
"""Of so many stills one reaches the home of the next camera."""


def cloud(cameras: int, stills: int) -> list[Message]:
    """Enrolments, then `stills` deliveries, the cameras in turn; every still is a moment of its own."""
    shots, messages = [], [_enrolled(camera) for camera in range(cameras)]
    for number in range(stills):
        turn, camera = divmod(number, cameras)
        leaks = turn > 5 and number % LEAK_EVERY == 0
        shown = (camera + 1) % cameras if leaks else camera
        shots.append(Shot(f"camera-{shown}", Mode.DAY, number, START + timedelta(seconds=number)))
    with Studio(PROCESSES) as studio:
        for shot in shots:
            studio.expect(shot)
        return messages + [
            _delivered(number, number % cameras, studio.shoot(shot)) for number, shot in enumerate(shots)
        ]


def _enrolled(camera: int) -> Message:
    right = RightChanged(CameraId(f"cam-{camera}"), AccountId(f"home-{camera}"), RightAction.ENROL, START)
    return Message(right, DeliveryId("drawn", f"enrol-{camera}"))


def _delivered(number: int, camera: int, data: bytes) -> Message:
    key, when = DeliveryId("drawn", f"d{number}"), START + timedelta(seconds=number)
    about = {"integration": "displays", "cachenode": f"c{number % 8}", "release": "1.4.2", "surface": "display"}
    return Message(Delivery(key, when, AccountId(f"home-{camera}"), CameraId(f"cam-{camera}"), about), key, data)
