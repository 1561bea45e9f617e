"""How switches, their moves and the rolls of integrations lie in rows.

Owns both directions. Refuses to ask the database anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row

from detector.roll import Roll, Sample
from detector.scope import SuspensionId, of_record
from detector.suspension import Actor, Do, Event, State, Suspension, Transition
from models.records import AlertId
from streams.store.rows import Values


@dataclass(frozen=True, slots=True)
class StoredSuspension:
    """A switch as the store holds it."""

    seq: int
    suspension: Suspension


@dataclass(frozen=True, slots=True)
class StoredTransition:
    """A move as the store holds it; `told` is its event."""

    seq: int
    suspension: SuspensionId
    version: int
    before: State
    after: State
    share: float
    rules: str
    event: Event


def of_suspension(s: Suspension) -> Values:
    """The row of a switch."""
    return {
        "id": s.id,
        "integration": s.scope.integration,
        "breadth": s.scope.breadth.value,
        "scope": s.scope.record(),
        "state": s.state.value,
        "version": s.version,
        "share": s.share,
        "since": s.since,
        "ordered": s.ordered,
        "settled": s.settled,
        "evidence": {"alerts": list(s.evidence)},
        "carried": s.carried,
        "shadow": s.shadow,
        "asked": s.asked,
        "approved": s.approved,
        "clean": s.clean,
        "last": s.last,
        "quiet": s.quiet,
    }


def to_suspension(row: Row[Any]) -> Suspension:
    """The switch of a row."""
    return Suspension(
        of_record(row.scope),
        State(row.state),
        row.version,
        row.share,
        row.since,
        row.ordered,
        row.settled,
        tuple(AlertId(alert) for alert in row.evidence["alerts"]),
        row.carried,
        row.shadow,
        row.asked,
        row.approved,
        row.clean,
        row.last,
        row.quiet,
    )


def of_transition(moved: Transition) -> Values:
    """The row of a move."""
    after, event = moved.after, moved.event
    return {
        "suspension": after.id,
        "version": after.version,
        "at": event.at,
        "what": event.what.value,
        "before": moved.before.value,
        "after": after.state.value,
        "share": after.share,
        "shadow": after.shadow,
        "actor": event.actor.name,
        "person": event.actor.person,
        "reason": event.reason,
        "why": event.why,
        "numbers": event.numbers,
        "evidence": {"alerts": list(event.evidence)},
        "page": event.page,
        "rules": moved.rules,
    }


def to_transition(row: Row[Any]) -> StoredTransition:
    """The move of a row."""
    event = Event(
        Do(row.what),
        Actor(row.actor, row.person),
        row.at,
        row.reason,
        row.why,
        dict(row.numbers),
        tuple(AlertId(alert) for alert in row.evidence["alerts"]),
        shadow=row.shadow,
        page=row.page,
    )
    before, after = State(row.before), State(row.after)
    return StoredTransition(
        row.seq, SuspensionId(row.suspension), row.version, before, after, row.share, row.rules, event
    )


def told(moved: Transition) -> StoredTransition:
    """As it will be stored; its number is not known yet."""
    after = moved.after
    event = replace(moved.event, shadow=after.shadow)
    return StoredTransition(0, after.id, after.version, moved.before, after.state, after.share, moved.rules, event)


def of_roll(roll: Roll) -> Values:
    """The row of an integration's roll."""
    return {
        "integration": roll.integration,
        "first_seen": roll.first_seen,
        "warm_at": roll.warm_at,
        "cameras": len(roll.cameras),
        "known": roll.known_cameras,
        "accounts": len(roll.accounts),
        "known_cameras": roll.cameras.to_bytes(),
        "known_accounts": roll.accounts.to_bytes(),
    }


def to_roll(row: Row[Any]) -> Roll:
    """The roll of a row."""
    cameras, accounts = Sample.from_bytes(row.known_cameras), Sample.from_bytes(row.known_accounts)
    return Roll(row.integration, row.first_seen, row.warm_at, cameras, accounts)
