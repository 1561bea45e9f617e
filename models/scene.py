"""What a history is made of: scenes, and the little that is kept of each camera.

Owns the records that the store and, later, the topic `scenes` hold, with their own versioned byte form. Refuses
to decide anything about them. A scene never holds a picture: its fingerprint is a code, a mask and a normalised
thumbnail of some hundred bytes, which is personal data all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from models.records import AccountId, CameraId, DeliveryId, SceneId


class Standing(StrEnum):
    """What a scene may be used for.

    `once` was seen once and explains its camera's next stills; `confirmed` was seen again in different bytes,
    and only such a scene accuses; `held` looks foreign to its camera and waits until it is clear what it was;
    `unjudged` has a digest only.
    """

    ONCE = "once"
    CONFIRMED = "confirmed"
    HELD = "held"
    UNJUDGED = "unjudged"


@dataclass(slots=True)
class Scene:
    """One learned appearance of a camera. `body` is the fingerprint's own byte form (models/fingerprint.py).

    `account` is the viewer who received `delivery`, the delivery that it was first seen in; `seen` counts the
    deliveries that showed it, in different bytes.
    """

    id: SceneId
    camera: CameraId
    account: AccountId
    standing: Standing
    delivery: DeliveryId
    first_seen: datetime
    last_seen: datetime
    seen: int
    body: bytes


@dataclass(slots=True)
class Camera:
    """What is kept of a camera beside its scenes. `body` is the engine's own byte form of the rest."""

    id: CameraId
    presumed_owner: AccountId | None
    first_seen: datetime
    last_seen: datetime
    body: bytes
