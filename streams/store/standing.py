"""What a judge's switchboard starts from, read in one go.

Owns which switches, leaks and moves those are. Refuses to write.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, func, select

from detector.policy import BEFORE, Held
from detector.suspension import Do, State
from detector.turn import HOUR, LEAKS_MOST, Standing
from models.records import Alert, Kind
from streams.store import rows, schema
from streams.store.suspension_rows import StoredTransition, to_roll, to_suspension, to_transition
from streams.store.suspension_schema import rolls, suspensions, transitions
from streams.store.words import is_killed, modes, number

SETTLED: Final = 10_000
"""Switches that are armed again and still known to a judge, the latest: an alert may come late."""
_CAPPED: Final = (Held.RATE_CAP.value, Held.LINKS_CAP.value)


def standing(connection: Connection) -> Standing:
    """All that a switchboard starts from. The number of words first: whatever is said while this is read makes it old,
    and the next commit finds out."""
    armed = suspensions.c.state == State.ARMED.value
    said = number(connection)
    held = [to_suspension(row) for row in connection.execute(select(suspensions).where(~armed))]
    settled = select(suspensions).where(armed).order_by(suspensions.c.seq.desc()).limit(SETTLED)
    held += [to_suspension(row) for row in connection.execute(settled)]
    policys = [each.event for each in _of_last_hour(connection)]
    return Standing(
        said,
        killed=is_killed(connection),
        modes=modes(connection),
        suspensions=held,
        rolls=[to_roll(row) for row in connection.execute(select(rolls))],
        leaks=_leaks(connection),
        orders=[each.at for each in policys if each.what is Do.SUSPEND],
        capped=max((e.at for e in policys if e.page and e.numbers.get("held") in _CAPPED), default=None),
    )


def _of_last_hour(connection: Connection) -> list[StoredTransition]:
    """What the policy did within the hour before the last thing it did."""
    policys = ~transitions.c.person
    last = connection.scalar(select(func.max(transitions.c.at)).where(policys))
    if last is None:
        return []
    return [
        to_transition(row)
        for row in connection.execute(select(transitions).where(policys, transitions.c.at > last - HOUR))
    ]


def _leaks(connection: Connection) -> list[Alert]:
    """Leaks raised in the last day that stand, as many as a switchboard keeps."""
    alerts = schema.alerts
    leaks = select(alerts).where(alerts.c.kind == Kind.LEAK.value, alerts.c.withdrawn_at.is_(None))
    found = [
        rows.to_alert(row) for row in connection.execute(leaks.order_by(alerts.c.seq.desc()).limit(10 * LEAKS_MOST))
    ]
    latest = max((each.raised_at for each in found), default=None)
    return [each for each in found if latest is not None and each.raised_at >= latest - BEFORE]
