"""Alerts in words: who saw whose camera, why we say so, and how certain we are.

Owns the sentences, the rule names (docs/verdicts.md) and the levels. Refuses to search and to remember.
"""

from __future__ import annotations

from datetime import datetime

from detector.known import Known
from detector.match import Match
from models.placeholder import PlaceholderId
from models.records import AccountId, Alert, CameraId, Delivery, Kind, Level, Numbers, SceneId, alert_id
from models.scene import Standing
from models.shift import FEATURES


def no_right(delivery: Delivery, owner: AccountId | None, *, presumed: bool, now: Delivery | None = None) -> Alert:
    """The viewer asked for a camera that is not theirs, by its own name; known since `now`, else at once."""
    whose = f"is presumed to be {owner}'s" if presumed else f"is {owner or 'nobody'}'s"
    why = (
        f"{delivery.account} was shown camera {delivery.camera}, which {whose}, and had neither enrolled it nor been "
        f"granted it at {_at(delivery.time)}."
    )
    level = Level.SHOWN if presumed else Level.ACTING
    return _leak(
        delivery,
        now or delivery,
        owner,
        delivery.camera,
        "no-right",
        why,
        {"presumed": int(presumed)},
        level,
        None,
        presumed,
    )


def foreign(
    delivery: Delivery,
    hit: Match,
    own: float,
    owner: AccountId | None,
    *,
    presumed: bool,
    rule: str,
    needed: float,
    now: Delivery,
) -> Alert:
    """The still shows a scene of another account's camera. `needed` is the certainty from which on it may act."""
    camera, a = hit.scene.record.camera, hit.agreement
    why = (
        f"{delivery.account} asked for camera {delivery.camera} and was shown camera {camera} of "
        f"{owner or 'nobody known'}: {100 * hit.distance:.1f} % of {hit.common} reliable bits differ, the registered "
        f"pictures agree at {a.score:.2f} in {a.blocks} of {a.textured} blocks, {a.score - own:.2f} above the "
        f"camera's own history."
    )
    sure = hit.certainty
    living = hit.scene.record.standing is Standing.CONFIRMED and not hit.part
    level = Level.ACTING if living and owner is not None and sure >= needed else Level.SHOWN
    several = {"shared_nats": round(hit.shared, 1)} if hit.shared else {}
    numbers = numbers_of(hit, own) | several | {"certainty": round(sure, 3), "needed": round(needed, 3)}
    return _leak(delivery, now, owner, camera, rule, why, numbers, level, hit.scene.record.id, presumed)


def same_bytes(delivery: Delivery, first: Known, owner: AccountId | None, *, presumed: bool, numbers: Numbers) -> Alert:
    """The still is too dark to compare, but its very bytes were delivered to another account before."""
    camera = first.record.camera
    why = (
        f"The still's bytes are those of a still of camera {camera} at {_at(first.record.first_seen)}; it is too dark "
        f"to compare, but carries a sensor's noise, which no two stills share."
    )
    return _leak(delivery, delivery, owner, camera, "same-bytes", why, numbers, Level.SHOWN, first.record.id, presumed)


def came(delivery: Delivery, held: Known, own: float, candidate: PlaceholderId | None = None) -> Alert:
    """A calm camera shows another place, and nobody's that is known. Withdrawn if it stays."""
    why = (
        f"Camera {delivery.camera} never showed anything but its own scenes, and now another place: its best agreement "
        f"with its own history is {own:.2f}. No account's history holds it."
    )
    return _shift(delivery, delivery, held, "foreign-at-once", why, candidate)


def came_and_went(held: Known, now: Delivery, candidate: PlaceholderId | None = None) -> Alert:
    """Another place was shown, and the camera's own scene again after it."""
    why = (
        f"Camera {held.record.camera} showed another place at {_at(held.record.first_seen)} and its own scene again by "
        f"{_at(now.time)}; its best agreement with its own history was {held.own:.2f}. No account's history holds it."
    )
    return _shift(held.delivery, now, held, "came-and-went", why, candidate)


def numbers_of(hit: Match, own: float) -> dict[str, float | int | str]:
    """The figures of a match, for the verdict and the alert. `own` is the best score of the camera's own history."""
    a = hit.agreement
    return {
        "distance": round(hit.distance, 4),
        "common_bits": hit.common,
        "score": round(a.score, 4),
        "correlation": round(a.correlation, 4),
        "fine": round(a.fine, 4),
        "share": round(a.share, 4),
        "blocks": a.blocks,
        "textured": a.textured,
        "covered": round(a.covered, 4),
        "intact": round(a.intact, 4),
        "own": round(own, 4),
        "margin": round(a.score - own, 4),
    }


def _at(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def _leak(
    delivery: Delivery,
    now: Delivery,
    owner: AccountId | None,
    camera: CameraId,
    rule: str,
    why: str,
    numbers: Numbers,
    level: Level,
    scene: SceneId | None,
    presumed: bool,
) -> Alert:
    return Alert(
        id=alert_id(delivery.key, owner),
        kind=Kind.LEAK,
        level=level,
        delivery=delivery.key,
        delivered_at=delivery.time,
        recipient=delivery.account,
        camera=delivery.camera,
        owner=owner,
        owner_camera=camera,
        presumed=presumed,
        raised_by=now.key,
        raised_at=now.time,
        rule=rule,
        why=why,
        numbers=numbers,
        scene=scene,
        attributes=delivery.attributes,
    )


def _shift(
    delivery: Delivery, now: Delivery, held: Known, rule: str, why: str, candidate: PlaceholderId | None
) -> Alert:
    figures = zip(FEATURES, held.clues, strict=bool(held.clues))  # none of a scene that an earlier version kept
    numbers: dict[str, float | int | str] = {
        "own": round(held.own, 4),
        "probability": held.probability,
        **dict(figures),
    }
    if candidate is not None:
        numbers["placeholder"] = candidate
        why += f" Other accounts got the same picture: placeholder candidate {candidate} counts them."
    return Alert(
        id=alert_id(delivery.key, None),
        kind=Kind.SHIFT,
        level=Level.SHOWN,
        delivery=delivery.key,
        delivered_at=delivery.time,
        recipient=delivery.account,
        camera=delivery.camera,
        owner=None,
        owner_camera=None,
        presumed=False,
        raised_by=now.key,
        raised_at=now.time,
        rule=rule,
        why=why,
        numbers=numbers,
        scene=held.record.id,
        attributes=delivery.attributes,
    )
