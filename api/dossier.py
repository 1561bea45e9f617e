"""What the API answers of incidents: counts, shape, suspects, deadlines, and what persons said.

Owns names, meanings and examples, as api/schemas.py does for the rest. Refuses to decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import Field

from api.schemas import Answer, Instant
from api.suspension_schemas import ScopeBody
from detector.analysis import Named
from detector.incident import State
from detector.shape import Form
from detector.suspension import State as SuspensionState
from detector.suspension import Suspension
from detector.triage import Clock, Deed, Did, Ruling, Triage, clocks
from streams.report import suspect
from streams.store.cases import Met
from streams.store.rows import IncidentSummary


class TriageBody(Answer):
    """What persons said of an incident or an alert. `version` is what its ETag names."""

    version: int
    acknowledged: Instant | None
    acknowledged_by: str | None
    assignee: str | None
    verdict: Ruling | None = Field(description="What a person ruled it to be.")
    confirmed: Instant | None = Field(description="When a person first ruled it a true positive.")
    snoozed_until: Instant | None = Field(description="Until then notices of what goes on in it are held back.")
    snoozed_by: str | None

    @classmethod
    def of(cls, triage: Triage) -> TriageBody:
        return cls(
            version=triage.version,
            acknowledged=triage.acknowledged,
            acknowledged_by=triage.acknowledged_by,
            assignee=triage.assignee,
            verdict=triage.ruling,
            confirmed=triage.confirmed,
            snoozed_until=triage.snoozed_until,
            snoozed_by=triage.snoozed_by,
        )


class DeedBody(Answer):
    """One thing that a person did."""

    at: Instant
    actor: str
    did: Did
    value: str = Field(description="The assignee, the verdict, the note, or the end of the snooze; empty: taken back.")

    @classmethod
    def of(cls, deed: Deed) -> DeedBody:
        return cls(at=deed.at, actor=deed.actor, did=deed.act.did, value=deed.act.value)


class TriageDetail(TriageBody):
    """What persons said, and all that was said before."""

    history: list[DeedBody] = Field(description="Oldest first; nothing is ever taken out of it.")


class SuspectBody(Answer):
    """A condition on deliveries: its share among the leaked ones beside its share among all of the same time."""

    path: dict[str, list[str]] = Field(examples=[{"cachenode": ["cache-3", "cache-4"]}])
    leaked: int = Field(description="Leaked deliveries that meet it.")
    leaks: int
    share: float
    delivered: int = Field(description="Deliveries of the same time that meet it.")
    deliveries: int
    base: float
    elsewhere: float = Field(description="Its share among deliveries that did not leak.")
    lift: float = Field(description="share / base.")
    low: float = Field(description="Lower end of the lift's interval, corrected for `tried`.")
    high: float
    tried: int = Field(description="Conditions of this form that were possible.")
    stands_out: bool


class ChangeNamed(Answer):
    """A deploy that may have begun it."""

    component: str
    version: str
    time: Instant
    seconds: float = Field(description="From it to the first leak; 0 where leaks came before it.")
    odds: float = Field(description="Odds of a leak after it to those before, at least; 0 where none came before it.")

    @classmethod
    def of(cls, named: Named) -> ChangeNamed:
        return cls(
            component=named.component, version=named.version, time=named.time, seconds=named.seconds, odds=named.odds
        )


class ClockBody(Answer):
    """A deadline that runs from a person's confirmation."""

    name: str = Field(examples=["gdpr_notification"])
    law: str
    starts: Instant | None = Field(description="null while nobody has confirmed.")
    ends: Instant | None
    seconds_left: float | None = Field(description="Negative when it is over.")

    @classmethod
    def of(cls, clock: Clock, now: datetime) -> ClockBody:
        return cls(name=clock.name, law=clock.law, starts=clock.starts, ends=clock.ends, seconds_left=clock.left(now))


class _IncidentCounts(Answer):
    id: str = Field(examples=["in-77ab"])
    integration: str = Field(examples=["homeview"])
    opened: Instant = Field(description="When the first alert was raised.")
    first: Instant = Field(description="Delivery time of the earliest leak.")
    last: Instant = Field(description="Delivery time of the latest leak.")
    leaks: int
    shifts: int
    viewers: int = Field(description="Accounts that received somebody else's still.")
    owners: int = Field(description="Accounts whose stills others received, where they could be named.")
    stands: bool = Field(description="false: every leak in it was withdrawn.")
    state: State = Field(description="open; resolved: no leak for six hours of the stream's time.")
    resolved: Instant | None = Field(description="When it was found quiet; null while it is open.")
    reopened: int = Field(description="How often it went on after it was resolved.")
    split_from: str | None = Field(description="The incident whose alerts it was part of, until their causes differed.")
    sentence: str = Field(
        description="What is said of it, as last weighed.",
        examples=["12 viewers received stills of 31 other homes, all through cache-3 and cache-4"],
    )
    shape: Form | None = Field(description="How owners and viewers are joined; docs/incidents.md explains each.")


class IncidentBody(_IncidentCounts):
    """One bug's alerts, folded by integration, time and cause. Counts are of alerts that stand."""

    triage: TriageBody

    @classmethod
    def of(cls, incident: IncidentSummary, triage: Triage) -> IncidentBody:
        return cls(**_counts(incident), triage=TriageBody.of(triage))


class Pair(Answer):
    """Who saw whom."""

    owner: str | None = Field(description="null: nobody could be named.")
    viewer: str
    stills: int = Field(description="Leaked stills of this pair that stand.")


class SwitchedOff(Answer):
    """A delivery path that was ever proposed or switched off on this incident's alerts; /v1/suspensions/{id} has it."""

    id: str = Field(examples=["su-77ab"])
    scope: ScopeBody
    state: SuspensionState
    share: float = Field(description="How much of the deliveries may pass, 0 to 1.")
    since: Instant | None = Field(description="When the state, or the step of the ramp, began.")

    @classmethod
    def of(cls, one: Suspension) -> SwitchedOff:
        return cls(id=one.id, scope=ScopeBody.of(one.scope), state=one.state, share=one.share, since=one.since)


class IncidentDetail(_IncidentCounts):
    """An incident with its cause and who saw whom. Its alerts are at `/v1/alerts?incident=ID`."""

    pairs: list[Pair] = Field(description="Who saw whom, by owner and viewer.")
    weighed: Instant | None = Field(description="The alert up to which shape, suspects and sentence were weighed.")
    shape_numbers: dict[str, float | int | str] = Field(description="The figures that decided the shape.")
    suspects: list[SuspectBody] = Field(description="Conditions that were tried, the one that explains most first.")
    changes: list[ChangeNamed] = Field(description="Deploys before the first leak, or after which leaks got frequent.")
    suspensions: list[SwitchedOff] = Field(description="What was proposed or switched off for it, oldest first.")
    triage: TriageBody
    clocks: list[ClockBody]

    @classmethod
    def of(
        cls,
        incident: IncidentSummary,
        met: Iterable[Met],
        switches: Iterable[Suspension],
        triage: Triage,
        now: datetime,
    ) -> IncidentDetail:
        analysis = incident.analysis
        return cls(
            **_counts(incident),
            pairs=[Pair(owner=one.owner, viewer=one.viewer, stills=one.stills) for one in met],
            weighed=None if analysis is None else analysis.as_of,
            shape_numbers={} if analysis is None else dict(analysis.shape.numbers),
            suspects=[] if analysis is None else [SuspectBody(**suspect(each)) for each in analysis.suspects],
            changes=[] if analysis is None else [ChangeNamed.of(each) for each in analysis.changes],
            suspensions=[SwitchedOff.of(each) for each in switches],
            triage=TriageBody.of(triage),
            clocks=[ClockBody.of(clock, now) for clock in clocks(triage)],
        )


class IncidentPage(Answer):
    """Incidents, newest first."""

    items: list[IncidentBody]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


def _counts(incident: IncidentSummary) -> dict[str, Any]:
    analysis = incident.analysis
    return {
        "id": incident.id,
        "integration": incident.integration,
        "opened": incident.opened,
        "first": incident.first,
        "last": incident.last,
        "leaks": incident.leaks,
        "shifts": incident.shifts,
        "viewers": incident.viewers,
        "owners": incident.owners,
        "stands": incident.stands,
        "state": incident.state,
        "resolved": incident.resolved,
        "reopened": incident.reopened,
        "split_from": incident.split_from,
        "sentence": "" if analysis is None else analysis.sentence,
        "shape": None if analysis is None else analysis.shape.form,
    }
