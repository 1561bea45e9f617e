"""Notices as the engine really makes them, one of each kind: what mappings to other tools' forms are held against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from timeline import Timeline, alert, at

from detector.notice import Notice, NoticeType, notice
from detector.policy import Reason
from detector.scope import named
from detector.suspension import POLICY, Actor, Do, Event, Suspension, Transition, step
from detector.telling import raised, withdrawn
from models.records import IncidentId, Kind, Level, Withdrawal


def alerts() -> Iterator[Notice]:
    """Raised at both levels, a shift, and withdrawn."""
    acting = replace(alert(1, 0), level=Level.ACTING, why="it shows cam-of-owner-1 | not cam = x\nat all")
    incident = IncidentId("in-77ab")
    yield raised(acting, incident)
    yield raised(alert(2, 1), None)
    yield raised(alert(3, 1, Kind.SHIFT, owner=None), None)
    yield withdrawn(acting, Withdrawal(acting.id, at(9), "a grant arrived"), incident)


def incidents() -> Iterator[Notice]:
    """Opened, grown and fallen quiet."""
    line = Timeline()
    for n in range(40):
        line.leak(n / 4, f"owner-{n % 5}", f"viewer-{n % 7}", **line.path(cachenode="cache-3"))
    for minute in range(20, 1500, 10):
        line.deliver(minute, **line.path())
    yield from line.told


def moved(node: str, *steps: tuple[Do, Actor, datetime]) -> Iterator[Transition]:
    """The suspension of a cache node that goes this way."""
    now = Suspension(named("homeview", {"cachenode": node}))
    for what, actor, when in steps:
        went = step(now, Event(what, actor, when, Reason.SHARED_SCOPE, "four pairs share a node"))
        assert isinstance(went, Transition), (what, went)
        now = went.after
        yield went


def suspensions() -> Iterator[Notice]:
    """Every notice of suspensions, in every state."""
    person, second = Actor("ann", person=True), Actor("bob", person=True)
    ways = (
        ((Do.PROPOSE, POLICY, at(0)), (Do.REJECT, person, at(1))),
        ((Do.SUSPEND, POLICY, at(0)), (Do.STOPPED, POLICY, at(2)), (Do.RESUME, person, at(3)),
         (Do.APPROVE, second, at(4)), (Do.RAMP, person, at(6)), (Do.RAMP, person, at(7)),
         (Do.RAMP, person, at(8)), (Do.RAMP, person, at(9)), (Do.RAMP, person, at(10))),
        ((Do.SUSPEND, POLICY, at(0)), (Do.DISOBEYED, POLICY, at(2))),
        ((Do.FORCE, person, at(0)),),
    )  # fmt: skip
    for number, way in enumerate(ways):
        yield from (went.notice for went in moved(f"cache-{number}", *way) if went.notice is not None)


def every() -> list[Notice]:
    """All of them, and a test."""
    tried = notice(NoticeType.TEST, at(0), "", {"sink": "soc", "message": "This is a test."}, "soc", "1")
    return [*alerts(), *incidents(), *suspensions(), tried]
