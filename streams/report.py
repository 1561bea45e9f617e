"""What was concluded, as JSON objects: verdicts, alerts and incidents in the form that files, logs and people read.

Owns the names of the fields, which the API repeats. Refuses to write anywhere. Fields may be added, none changes
its meaning (docs/replay.md).
"""

from __future__ import annotations

from typing import Any

from detector.incident import Incident
from detector.suspension import Transition
from models.records import Alert, Judgement
from streams.cloudevents import instant


def verdict(judgement: Judgement) -> dict[str, Any]:
    """One delivery's verdict, the rule that decided and its numbers."""
    return {
        "id": judgement.delivery.key.id,
        "verdict": judgement.verdict.value,
        "rule": judgement.rule,
        "numbers": dict(judgement.numbers),
        "source": judgement.delivery.key.source,
    }


def alert(raised: Alert) -> dict[str, Any]:
    """One alert, whole. `delivery` and `raised_by` are CloudEvents ids within `source`."""
    return {
        "kind": raised.kind.value,
        "delivery": raised.delivery.id,
        "recipient": raised.recipient,
        "owner": raised.owner,
        "raised_by": raised.raised_by.id,
        "level": raised.level.value,
        "id": raised.id,
        "source": raised.delivery.source,
        "delivered_at": instant(raised.delivered_at),
        "raised_at": instant(raised.raised_at),
        "camera": raised.camera,
        "owner_camera": raised.owner_camera,
        "presumed": raised.presumed,
        "scene": raised.scene,
        "rule": raised.rule,
        "why": raised.why,
        "numbers": dict(raised.numbers),
        "attributes": dict(raised.attributes),
    }


def incident(found: Incident) -> dict[str, Any]:
    """One incident: when, how much, who, and the alerts that it is made of."""
    return {
        "id": found.id,
        "integration": found.integration,
        "opened": instant(found.opened),
        "first": instant(found.first),
        "last": instant(found.last),
        "leaks": found.leaks,
        "shifts": found.shifts,
        "viewers": sorted(found.viewers),
        "owners": sorted(found.owners),
        "alerts": list(found.alerts),
    }


def transition(moved: Transition) -> dict[str, Any]:
    """One move of a suspension, as a receiver of hooks is told it, and whether anybody would be."""
    return {"at": instant(moved.event.at), "shadow": moved.after.shadow, **moved.told()}
