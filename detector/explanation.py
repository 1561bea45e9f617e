"""What an explanation holds: a still, the scenes beside it, its camera's state and copies of its bytes.

Owns the values and their meaning. Refuses to gather them (explain.py, beside.py) and to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from models.agreement import Agreement
from models.fingerprint import Still
from models.records import AccountId, CameraId, Delivery, DeliveryId, SceneId
from models.scene import Standing


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """A known scene beside the still in question.

    `distance` is the share of differing bits of `common` reliable ones under the best placing, whose `placing` says in
    words how the scene lies in the still; several other cameras agree with that part of the scene by `shared` nats too
    (detector/shared.py). `placing_map` is the affine map of `agreement`, from cells of the scene to cells of the still.
    `needed` is the score at which this match would be accepted, all else being equal; None when no score would do.
    `across` is the correlation that is left without bands (detector/agree.py). `accepted` says that the engine's own
    search found it, `counts` that it also takes it for the place, `note` why, or why not. `levels` is the scene's
    thumbnail, `blocks` the correlation of its 8x8 blocks with the still, -2 where nothing can be compared.
    """

    scene: SceneId
    camera: CameraId
    owner: AccountId | None
    presumed: bool
    may_see: bool
    standing: Standing
    seen: int
    first_seen: datetime
    last_seen: datetime
    delivery: DeliveryId
    distance: float
    common: int
    shared: float
    placing: str
    agreement: Agreement
    needed: float | None
    across: float
    accepted: bool
    counts: bool
    note: str
    negative: bool
    levels: NDArray[np.int8]
    blocks: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Copy:
    """A still without a fingerprint whose bytes, or first bytes, are the same as this one's."""

    camera: CameraId
    account: AccountId
    delivery: DeliveryId
    first_seen: datetime
    whole: bool


@dataclass(frozen=True, slots=True)
class CameraState:
    """What is known of the camera that the delivery claims to show; zeros for a camera never seen before."""

    stills: int = 0
    explained: int = 0
    scenes: int = 0
    confirmed: int = 0
    waiting: int = 0
    moves: int = 0
    heir_of: CameraId | None = None
    first_seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that the engine has to go by for one still, before it judges it.

    `owner` is the owner at the delivery's time, `presumed` says that no enrolment names one. `own_score` is the best
    score of the camera's own history, `own_rule` the rule by which it explains the still, empty when it does not.
    `own` lists the nearest scenes of the camera itself, `foreign` the nearest of each other camera, best score first.
    `siblings` counts the other cameras that the viewer may see, `reliable` the bits of 512 that can be relied on,
    `cameras` all that are known. `card` is the confirmed placeholder that the still shows, whole or damaged; its
    `delivery` bears the placeholder's id.
    """

    delivery: Delivery
    still: Still
    owner: AccountId | None
    presumed: bool
    may_see: bool
    siblings: int
    camera: CameraState
    reliable: int
    own_score: float
    own_rule: str
    own: tuple[Near, ...]
    foreign: tuple[Near, ...]
    copies: tuple[Copy, ...]
    cameras: int
    card: Near | None = None

    @property
    def mine(self) -> Near | None:
        """The nearest scene of the camera's own history."""
        return self.own[0] if self.own else None

    @property
    def theirs(self) -> Near | None:
        """The nearest scene of another account that the viewer may not see."""
        return next((near for near in self.foreign if near.counts), None) or next(
            (near for near in self.foreign if not near.may_see), None
        )
