"""What was concluded, as JSON objects: verdicts, alerts and incidents in the form that files, logs and people read.

Owns the names of the fields, which the API repeats. Refuses to write anywhere. Fields may be added, none changes
its meaning (docs/replay.md).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from detector.analysis import Analysis
from detector.cause import Suspect
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


def incident(found: Incident, analysis: Analysis | None) -> dict[str, Any]:
    """One incident: when, how much, who, why, and the alerts that it is made of."""
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
        "state": found.state.value,
        "resolved": None if found.resolved is None else instant(found.resolved),
        "reopened": found.reopened,
        "split_from": found.split_from,
        **concluded(analysis),
    }


def concluded(analysis: Analysis | None) -> dict[str, Any]:
    """What is said of an incident: sentence, shape, suspects, changes."""
    if analysis is None:
        return {"sentence": "", "shape": None, "suspects": [], "changes": []}
    return {
        "sentence": analysis.sentence,
        "shape": {"form": analysis.shape.form.value, "numbers": dict(analysis.shape.numbers)},
        "suspects": [suspect(each) for each in analysis.suspects],
        "changes": [asdict(each) | {"time": instant(each.time)} for each in analysis.changes],
    }


def suspect(found: Suspect) -> dict[str, Any]:
    """One condition: its share among the leaked beside its share among all, with the interval of their ratio."""
    return {
        "path": {name: list(values) for name, values in found.path},
        "leaked": found.leaked,
        "leaks": found.leaks,
        "share": round(found.share, 4),
        "delivered": found.delivered,
        "deliveries": found.deliveries,
        "base": round(found.base, 6),
        "elsewhere": round(found.elsewhere, 6),
        "lift": round(found.lift, 3),
        "low": round(found.low, 3),
        "high": round(found.high, 3),
        "tried": found.tried,
        "stands_out": found.stands_out,
    }


def transition(moved: Transition) -> dict[str, Any]:
    """One move of a suspension, as a receiver of hooks is told it, and whether anybody would be."""
    return {"at": instant(moved.event.at), "shadow": moved.after.shadow, **moved.told()}
