"""The records that every layer shares: ids, events, stills, verdicts, alerts.

Owns the vocabulary (docs/vocabulary.md). Refuses to parse, to judge and to store: wire formats live in
`streams`, decisions in `detector`. Values are frozen; times are UTC-aware and naive ones are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from models.errors import NaiveTimeError

AccountId = NewType("AccountId", str)
CameraId = NewType("CameraId", str)
SceneId = NewType("SceneId", str)
AlertId = NewType("AlertId", str)
IncidentId = NewType("IncidentId", str)


def utc(when: datetime) -> datetime:
    """The same moment in UTC. Raises NaiveTimeError when `when` carries no zone."""
    if when.tzinfo is None:
        raise NaiveTimeError(f"{when.isoformat()} carries no time zone")
    return when.astimezone(UTC)


@dataclass(frozen=True, slots=True, order=True)
class DeliveryId:
    """What identifies a delivery: CloudEvents' (source, id). Two deliveries with the same pair are one."""

    source: str
    id: str

    def __str__(self) -> str:
        return f"{self.source}#{self.id}"


def derived_id(prefix: str, *parts: str) -> str:
    """An id that the same parts always give again, so that doing a thing twice changes nothing.

    128 bits of BLAKE2b over the length-prefixed parts, in hex, behind `prefix-`.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big"))
        digest.update(raw)
    return f"{prefix}-{digest.hexdigest()}"


# --- events: what happened, as the camera cloud tells it -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivery:
    """A still was delivered to an account (`still.delivered`). The picture itself travels apart.

    `camera` is what the delivery *claims* to show; `account` is the viewer. `attributes` holds every other
    extension attribute as text (integration, surface, region, cachenode, release, network, and any that the
    cloud adds): the cause analysis reads them, the verdict does not.
    """

    key: DeliveryId
    time: datetime
    account: AccountId
    camera: CameraId
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", utc(self.time))

    @property
    def integration(self) -> str:
        """The integration that the still went through; empty when the event names none."""
        return self.attributes.get("integration", "")


@dataclass(frozen=True, slots=True)
class StillOpened:
    """The account looked at a delivered still (`still.opened`)."""

    delivery: DeliveryId
    time: datetime
    account: AccountId


class RightAction(StrEnum):
    """What a rights event does: the first two change the owner, the last two a guest's grant."""

    ENROL = "enrol"
    RELEASE = "release"
    GRANT = "grant"
    REVOKE = "revoke"


@dataclass(frozen=True, slots=True)
class RightChanged:
    """Who may see a camera changed (`camera.enrolled`, `camera.shared`), effective at `time`."""

    camera: CameraId
    account: AccountId
    action: RightAction
    time: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", utc(self.time))


@dataclass(frozen=True, slots=True)
class ChangeDeployed:
    """Something was deployed in the delivery path (`change.deployed`): a suspect when a leak follows."""

    component: str
    version: str
    time: datetime


Event = Delivery | StillOpened | RightChanged | ChangeDeployed


# --- stills: what is known of a picture ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Picture:
    """A still as decoded: grey pixels at a reduced scale, and how its bytes were.

    `grey` is a uint8 array (height, width), or None when nothing could be decoded, with the `fault` in words.
    `complete` is False when the bytes ended early: rows past the cut are then filler. `digest` is a keyed
    digest of all bytes, 16 bytes long; `prefix` the same over the first `PREFIX_BYTES` only, or empty when
    the still is no longer than that (so that a cut-off copy can be told). `quick` says that it was decoded at the
    smallest useful scale, where a sensor's noise is averaged away.
    """

    grey: NDArray[np.uint8] | None
    complete: bool
    digest: bytes
    prefix: bytes = b""
    fault: str = ""
    quick: bool = False


PREFIX_BYTES = 4096
"""Length of the prefix that `Picture.prefix` covers. A 720p still has some 100 kB; the first 4 kB hold tables and
the first few rows of blocks, where a sensor's noise already makes two stills differ."""


# --- verdicts and alerts: what is concluded --------------------------------------------------------------


class Verdict(StrEnum):
    """What a still was judged to be. docs/verdicts.md says what each one means and who should act."""

    CLEAR = "clear"
    LEARNING = "learning"
    UNJUDGED = "unjudged"
    SHIFT = "shift"
    LEAK = "leak"


class Kind(StrEnum):
    """What an alert is about: another account's camera, or a scene that became another one."""

    LEAK = "leak"
    SHIFT = "shift"


class Level(StrEnum):
    """How certain an alert is of what it says. `acting`: so certain that at most one pair of cameras a week is accused
    wrongly; a suspension may act on it alone, unless the owner is only `presumed`."""

    ACTING = "acting"
    SHOWN = "shown"


Numbers = Mapping[str, float | int | str]
"""The figures that a decision came from, by name. Scores lie in [0, 1]; times are seconds."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One delivery that reached, or seems to have reached, the wrong home. At most one for a delivery and an owner.

    `recipient` saw it; `owner` and `owner_camera` are whose it was, None where nobody can be named.
    `presumed` says that the owner was never enrolled here but taken for the first viewer: no suspension may
    act on that alone. `raised_by` is the delivery that was being judged when the alert was raised: it is not
    `delivery` when the owner's own still came later. `rule` names the rule that decided (docs/verdicts.md);
    `why` says it in one sentence with its `numbers`.
    """

    id: AlertId
    kind: Kind
    level: Level
    delivery: DeliveryId
    delivered_at: datetime
    recipient: AccountId
    camera: CameraId
    owner: AccountId | None
    owner_camera: CameraId | None
    presumed: bool
    raised_by: DeliveryId
    raised_at: datetime
    rule: str
    why: str
    numbers: Numbers
    scene: SceneId | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def integration(self) -> str:
        """The integration that the still went through; empty when the event named none."""
        return self.attributes.get("integration", "")


def alert_id(delivery: DeliveryId, owner: AccountId | None) -> AlertId:
    """The id of the one alert that a delivery and an owner may have: raising it twice is raising it once."""
    return AlertId(derived_id("al", delivery.source, delivery.id, owner or ""))


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An alert no longer stands, and why: a grant that arrived late, a shift that turned out to be a leak."""

    alert: AlertId
    time: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one delivery, the rule that decided and its numbers.

    `alerts` are all that were raised while it was judged; some may name earlier deliveries.
    """

    delivery: Delivery
    verdict: Verdict
    rule: str
    numbers: Numbers
    alerts: tuple[Alert, ...] = ()
