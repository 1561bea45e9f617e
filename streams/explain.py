"""Replays an event file up to one delivery, lays open what the engine goes by, and follows what became of it.

Owns the still's bytes, those of the stills that its matches come from, the record of what happened to it later, and the
JSON form of it all. Refuses to judge differently from a replay: it is one, with a look inside just before the one
delivery is judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from detector.checks import Check, checks
from detector.explain import beside, explain
from detector.explanation import Explanation, Near
from models.fingerprint import Still
from models.records import Alert, AlertId, Delivery, DeliveryId, Judgement, SceneId
from models.scene import Standing
from streams import report
from streams.cloudevents import Message, Rejected, instant, parse_line
from streams.decode import Decoder
from streams.find import NotExplained
from streams.judge import Judge
from streams.replay import DRAIN_EVERY, Line, lines

PLACEHOLDER: Final = "placeholder"
"""The engine's rule for a still that shows a picture which a person confirmed."""


@dataclass(frozen=True, slots=True)
class Later:
    """Something that became of the delivery, and when; `by` is the delivery then judged, None at any other event."""

    time: datetime
    by: DeliveryId | None
    what: str
    alert: Alert | None = None


@dataclass(slots=True)
class Explained:
    """One delivery, explained.

    `line` is its line in the file, `data` its still's bytes. `found` is what the engine had to go by just before, and
    `judgement` what it said. `later` tells what became of it, in order, beginning with its own moment; `read_to_end`
    says whether the whole file was read for that. `standing` are the alerts on it that stand at the end. `match` is the
    scene that accuses, or the placeholder that it shows, or the scene that explains, or comes nearest. `originals`
    holds the bytes of the stills in which the listed scenes were first seen, as far as the file has them.
    """

    line: int
    data: bytes
    found: Explanation
    judgement: Judgement
    later: list[Later] = field(default_factory=list)
    standing: list[Alert] = field(default_factory=list)
    read_to_end: bool = False
    match: Near | None = None
    originals: dict[DeliveryId, bytes] = field(default_factory=dict)

    @property
    def checks(self) -> tuple[Check, ...]:
        """The thresholds that it was held against."""
        return checks(self.found)


def run(
    path: Path,
    judge: Judge,
    decode: Decoder,
    fetch: Callable[[str], bytes],
    key: DeliveryId,
    *,
    stop: bool = False,
    progress: Callable[[Line, bool], None] | None = None,
) -> Explained:
    """Replay `path`, explain the delivery `key` just before it is judged, and go on to the end unless `stop`.

    `decode` and `fetch` are those that the judge uses. `progress` is called every `DRAIN_EVERY` lines, with whether the
    delivery has been passed. Raises NotExplained when its still cannot be had, OSError when `path` cannot be read.
    """
    telling: _Telling | None = None
    for count, line in enumerate(lines(path), 1):
        try:
            message = parse_line(line.text)
            if telling is None and message.key == key and isinstance(message.event, Delivery):
                telling = _Telling(judge, decode, fetch, message.event, message, line)
            else:
                judgement = judge.take(message)
                if telling is not None:
                    telling.follow(message, judgement)
        except Rejected:
            pass
        if telling is not None and stop:
            break
        if count % DRAIN_EVERY == 0:
            if telling is None:
                judge.commit()
            if progress is not None:
                progress(line, telling is not None)
    if telling is None:
        raise NotExplained(f"{path} has no delivery {key.id!r} from {key.source!r}")
    explained = telling.end(read_to_end=not stop)
    wanted = {n.delivery for n in (explained.match, *explained.found.own, *explained.found.foreign) if n is not None}
    explained.originals = _stills(path, fetch, wanted)
    return explained


class _Telling:
    """The one delivery from its moment on: what was known, what was said, what came of it."""

    def __init__(
        self,
        judge: Judge,
        decode: Decoder,
        fetch: Callable[[str], bytes],
        delivery: Delivery,
        message: Message,
        line: Line,
    ) -> None:
        judge.commit()
        try:
            data = message.data if message.data is not None else fetch(message.dataref or "")
        except Rejected as rejected:
            raise NotExplained(f"the still of line {line.number} cannot be had: {rejected.detail}") from None
        self._judge, self._delivery = judge, delivery
        self._still: Still = decode.still(data)
        found = explain(judge.engine, delivery, self._still)
        judgement = judge.take(message)
        assert judgement is not None
        self._explained = Explained(line.number, data, found, judgement)
        self._alerts: dict[AlertId, Alert] = {}
        self._scenes: dict[SceneId, Standing] = {}
        self._accused: Near | None = None
        self.follow(message, judgement)

    def follow(self, message: Message, judgement: Judgement | None) -> None:
        """Take note of what the last event changed for the delivery."""
        changes = self._judge.commit()
        by = None if judgement is None else judgement.delivery.key
        when = message.event.time
        for alert in changes.raised:
            if alert.delivery == self._delivery.key:
                self._raise(alert, by)
        for withdrawal in changes.withdrawn:
            gone = self._alerts.pop(withdrawal.alert, None)
            if gone is not None:
                self._tell(withdrawal.time, by, f"the {gone.kind} alert was withdrawn: {withdrawal.reason}", gone)
        for scene in changes.scenes:
            if scene.delivery == self._delivery.key and self._scenes.get(scene.id) is not scene.standing:
                self._tell(when, by, f"its scene is kept as `{scene.standing}`: {_MEANS[scene.standing]}")
                self._scenes[scene.id] = scene.standing
        for id_ in changes.removed:
            if self._scenes.pop(id_, None) is not None:
                self._tell(when, by, "its scene was taken out of the camera's history")

    def end(self, *, read_to_end: bool) -> Explained:
        """What came of it all."""
        done, found = self._explained, self._explained.found
        done.standing = list(self._alerts.values())
        done.read_to_end = read_to_end
        mine, theirs = found.mine, found.theirs
        explains = mine if found.own_rule else None
        named = theirs if theirs is not None and theirs.counts else None
        shown = found.card if done.judgement.rule == PLACEHOLDER else None
        best = max((n for n in (mine, theirs) if n is not None), key=lambda n: n.agreement.score, default=None)
        done.match = self._accused or shown or explains or named or best
        return done

    def _raise(self, alert: Alert, by: DeliveryId | None) -> None:
        self._alerts[alert.id] = alert
        at_once = alert.raised_by == self._delivery.key
        whose = f", {alert.owner}'s camera {alert.owner_camera}" if alert.owner_camera is not None else ""
        kind = f"{alert.kind} alert ({alert.level}, {alert.rule}{whose})"
        self._tell(alert.raised_at, by, f"{kind} was raised {'at once' if at_once else 'now'}", alert)
        if alert.scene is not None and alert.owner_camera is not None:
            self._accused = beside(self._judge.engine, self._delivery, self._still, alert.scene) or self._accused

    def _tell(self, when: datetime, by: DeliveryId | None, what: str, alert: Alert | None = None) -> None:
        self._explained.later.append(Later(when, by, what, alert))


_MEANS: Final = {
    Standing.ONCE: "it explains the camera's next stills",
    Standing.CONFIRMED: "seen again in different bytes, so that it can name an owner",
    Standing.HELD: "foreign to the camera, it waits until it is clear what it was",
    Standing.UNJUDGED: "its bytes' digest only",
}


def as_json(explained: Explained) -> dict[str, Any]:
    """All of it as one JSON object; times as RFC 3339, scores rounded to four places. No pictures."""
    found = explained.found
    print_ = found.still.fingerprint
    return {
        "line": explained.line,
        "delivery": _delivery(found.delivery),
        **{k: v for k, v in report.verdict(explained.judgement).items() if k in ("verdict", "rule", "numbers")},
        "rights": {
            "owner": found.owner,
            "presumed": found.presumed,
            "may_see": found.may_see,
            "other_cameras": found.siblings,
        },
        "still": {
            "bytes": len(explained.data),
            "complete": found.still.complete,
            "reason": found.still.reason,
            "noisy": found.still.noisy,
            "valid": None if print_ is None else round(print_.valid, 4),
            "textured": None if print_ is None else print_.textured,
            "reliable_bits": found.reliable,
            "quality": round(quality(found), 4),
        },
        "camera": {
            "stills": found.camera.stills,
            "scenes": found.camera.scenes,
            "confirmed": found.camera.confirmed,
            "waiting": found.camera.waiting,
            "moves": found.camera.moves,
            "heir_of": found.camera.heir_of,
            "first_seen": None if found.camera.first_seen is None else instant(found.camera.first_seen),
        },
        "own_score": round(found.own_score, 4),
        "own_rule": found.own_rule or None,
        "own": [_near(near) for near in found.own],
        "foreign": [_near(near) for near in found.foreign],
        "placeholder": None if found.card is None else {"id": found.card.delivery.id, **_near(found.card)},
        "copies": [
            {"camera": c.camera, "account": c.account, "delivery": c.delivery.id, "whole": c.whole}
            for c in found.copies
        ],
        "checks": [_check(check) for check in explained.checks],
        "match": None if explained.match is None else _near(explained.match),
        "said_of_others": [report.alert(a) for a in explained.judgement.alerts if a.delivery != found.delivery.key],
        "later": [
            {"time": instant(later.time), "by": later.by.id if later.by else None, "what": later.what}
            for later in explained.later
        ],
        "alerts": [report.alert(alert) for alert in explained.standing],
        "read_to_end": explained.read_to_end,
    }


def quality(found: Explanation) -> float:
    """The share of the code's 512 bits that can be relied on: 0 for a still without a fingerprint, typically 0.7."""
    return found.reliable / 512


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.key.id,
        "source": delivery.key.source,
        "time": instant(delivery.time),
        "account": delivery.account,
        "camera": delivery.camera,
        "attributes": dict(delivery.attributes),
    }


def _near(near: Near) -> dict[str, Any]:
    a = near.agreement
    figures = {
        "distance": near.distance,
        "score": a.score,
        "correlation": a.correlation,
        "fine": a.fine,
        "share": a.share,
        "covered": a.covered,
        "overlap": a.overlap,
        "intact": a.intact,
    }
    return {
        "scene": near.scene,
        "camera": near.camera,
        "owner": near.owner,
        "presumed": near.presumed,
        "may_see": near.may_see,
        "standing": near.standing.value,
        "seen": near.seen,
        "first_seen": instant(near.first_seen),
        "last_seen": instant(near.last_seen),
        "delivery": near.delivery.id,
        "common_bits": near.common,
        "shared_nats": round(near.shared, 1),
        "blocks": a.blocks,
        "textured": a.textured,
        **{name: round(value, 4) for name, value in figures.items()},
        "placing": near.placing,
        "map": [round(value, 4) for value in a.placing],
        "needed_score": near.needed,
        "across": round(near.across, 4),
        "accepted": near.accepted,
        "counts": near.counts,
        "note": near.note,
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "step": check.step.value,
        "what": check.what,
        "threshold": check.threshold,
        "needed": None if check.needed is None else round(check.needed, 4),
        "at_most": check.at_most,
        "value": round(check.value, 4),
        "met": check.met,
    }


def _stills(path: Path, fetch: Callable[[str], bytes], wanted: set[DeliveryId]) -> dict[DeliveryId, bytes]:
    """The bytes of these deliveries' stills, those that the file still has."""
    out: dict[DeliveryId, bytes] = {}
    for line in lines(path) if wanted else ():
        try:
            message = parse_line(line.text)
            if message.key in wanted and isinstance(message.event, Delivery) and message.key not in out:
                out[message.key] = message.data if message.data is not None else fetch(message.dataref or "")
        except Rejected:
            continue
    return out
