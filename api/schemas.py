"""What the API answers with: the JSON of alerts, incidents, coverage, verdicts and problems.

Owns names, meanings and examples, which go into the OpenAPI document as they stand here. Refuses to decide. Times
are UTC with milliseconds and Z; a field never changes its meaning; what is not known is null and never left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from detector.analysis import Named
from detector.incident import State
from detector.shape import Form
from detector.triage import Clock, Deed, Did, Ruling, Triage, clocks
from models.records import DeliveryId, Judgement, Kind, Level, Verdict
from streams.cloudevents import instant
from streams.judge import Covered as CoveredKey
from streams.report import suspect
from streams.store.cases import Met
from streams.store.rows import IncidentSummary, StoredAlert

Instant = Annotated[
    datetime,
    PlainSerializer(instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-05T09:04:11.532Z"]}),
]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class Delivered(Answer):
    """What identifies a delivery: CloudEvents' source and id together."""

    source: str = Field(examples=["/edge/eu-1"])
    id: str = Field(examples=["d-000912"])

    @classmethod
    def of(cls, key: DeliveryId) -> Delivered:
        return cls(source=key.source, id=key.id)


class Withdrawn(Answer):
    """An alert no longer stands, and why."""

    time: Instant
    reason: str = Field(examples=["a grant to acct-17 for cam-4 arrived late"])


class AlertBody(Answer):
    """One delivery that reached, or seems to have reached, the wrong home."""

    id: str = Field(description="The same for the same delivery and owner, always.", examples=["al-5f0c31"])
    kind: Kind = Field(description="leak: another account's camera. shift: the scene became another one.")
    level: Level = Field(description="acting: certain enough for a suspension to act on it alone.")
    delivery: Delivered = Field(description="The delivery that went wrong.")
    delivered_at: Instant
    recipient: str = Field(description="The account that saw it.", examples=["acct-17"])
    camera: str = Field(description="The camera that the delivery claimed to show.", examples=["cam-31"])
    owner: str | None = Field(description="The account whose still it was; null: nobody can be named.")
    owner_camera: str | None = Field(description="The camera whose still it was; null: none can be named.")
    presumed: bool = Field(description="The owner was never enrolled but taken for the first viewer.")
    integration: str = Field(description="Empty where the event named none.", examples=["homeview"])
    attributes: dict[str, str] = Field(description="The delivery's further attributes.")
    raised_by: Delivered = Field(
        description="The delivery judged when it was raised; not `delivery` where the owner's own still came later."
    )
    raised_at: Instant
    rule: str = Field(description="Name of the rule that decided; docs/verdicts.md explains each.")
    why: str = Field(description="One sentence, with its figures.")
    numbers: dict[str, float | int | str] = Field(
        description="The figures the decision came from: distance, the scene matched, margin to the own history."
    )
    scene: str | None = Field(description="The scene it matched; null where rights decided.")
    incident: str | None = Field(description="The incident it belongs to.", examples=["in-77ab"])
    withdrawn: Withdrawn | None = Field(description="null while the alert stands.")

    @classmethod
    def of(cls, stored: StoredAlert) -> AlertBody:
        alert, gone = stored.alert, stored.withdrawal
        return cls(
            id=alert.id,
            kind=alert.kind,
            level=alert.level,
            delivery=Delivered.of(alert.delivery),
            delivered_at=alert.delivered_at,
            recipient=alert.recipient,
            camera=alert.camera,
            owner=alert.owner,
            owner_camera=alert.owner_camera,
            presumed=alert.presumed,
            integration=alert.integration,
            attributes=dict(alert.attributes),
            raised_by=Delivered.of(alert.raised_by),
            raised_at=alert.raised_at,
            rule=alert.rule,
            why=alert.why,
            numbers=dict(alert.numbers),
            scene=alert.scene,
            incident=stored.incident,
            withdrawn=None if gone is None else Withdrawn(time=gone.time, reason=gone.reason),
        )


class AlertPage(Answer):
    """Alerts, newest first by the order in which they were stored."""

    items: list[AlertBody]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


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


class IncidentDetail(_IncidentCounts):
    """An incident with its cause and who saw whom. Its alerts are at `/v1/alerts?incident=ID`."""

    pairs: list[Pair] = Field(description="Who saw whom, by owner and viewer.")
    weighed: Instant | None = Field(description="The alert up to which shape, suspects and sentence were weighed.")
    shape_numbers: dict[str, float | int | str] = Field(description="The figures that decided the shape.")
    suspects: list[SuspectBody] = Field(description="Conditions that were tried, the one that explains most first.")
    changes: list[ChangeNamed] = Field(description="Deploys before the first leak, or after which leaks got frequent.")
    triage: TriageBody
    clocks: list[ClockBody]

    @classmethod
    def of(cls, incident: IncidentSummary, met: Iterable[Met], triage: Triage, now: datetime) -> IncidentDetail:
        analysis = incident.analysis
        return cls(
            **_counts(incident),
            pairs=[Pair(owner=one.owner, viewer=one.viewer, stills=one.stills) for one in met],
            weighed=None if analysis is None else analysis.as_of,
            shape_numbers={} if analysis is None else dict(analysis.shape.numbers),
            suspects=[] if analysis is None else [SuspectBody(**suspect(each)) for each in analysis.suspects],
            changes=[] if analysis is None else [ChangeNamed.of(each) for each in analysis.changes],
            triage=TriageBody.of(triage),
            clocks=[ClockBody.of(clock, now) for clock in clocks(triage)],
        )


class IncidentPage(Answer):
    """Incidents, newest first."""

    items: list[IncidentBody]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class Covered(Answer):
    """How many deliveries of one integration in one hour (UTC, by delivery time) had one verdict."""

    hour: Instant
    integration: str
    verdict: Verdict
    deliveries: int

    @classmethod
    def of(cls, covered: CoveredKey, deliveries: int) -> Covered:
        return cls(hour=covered.hour, integration=covered.integration, verdict=covered.verdict, deliveries=deliveries)


class Coverage(Answer):
    """What was judged, by hour, integration and verdict, oldest hour first."""

    items: list[Covered]


class VerdictBody(Answer):
    """The verdict on one delivery. It is stored when this is answered."""

    delivery: Delivered
    verdict: Verdict
    rule: str = Field(description="Name of the rule that decided; docs/verdicts.md explains each.")
    numbers: dict[str, float | int | str] = Field(description="The figures that the verdict came from.")
    alerts: list[AlertBody] = Field(
        description="Alerts raised while it was judged; one may name an earlier delivery of this camera's scene."
    )

    @classmethod
    def of(cls, judgement: Judgement, alerts: Iterable[AlertBody]) -> VerdictBody:
        return cls(
            delivery=Delivered.of(judgement.delivery.key),
            verdict=judgement.verdict,
            rule=judgement.rule,
            numbers=dict(judgement.numbers),
            alerts=list(alerts),
        )


class Receipt(Answer):
    """Kafka acknowledged the delivery; a worker judges it. Its alerts, if any, appear at `/v1/alerts`."""

    delivery: Delivered
    status: Literal["accepted"] = "accepted"


class NotTaken(Answer):
    """An event of a batch that was not taken."""

    index: int = Field(description="Its place in the batch, counted from 0.")
    id: str | None = Field(description="Its id, where it has a readable one.")
    reason: str = Field(description="A stable word; docs/events.md lists them.", examples=["bad_time"])
    detail: str


class EventsTaken(Answer):
    """What was taken of the events that were sent, and what was not. What was taken is stored."""

    taken: int
    refused: list[NotTaken]


class CheckBody(Answer):
    """One thing that readiness depends on."""

    name: str = Field(examples=["index"])
    ok: bool
    detail: str = Field(examples=["loaded"])


class Health(Answer):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Readiness(Answer):
    """Whether stills are taken, and why not."""

    ready: bool
    checks: list[CheckBody]


class Welcome(Answer):
    """Where things are."""

    name: Literal["strayframe"] = "strayframe"
    version: str
    alerts: str = "/v1/alerts"
    incidents: str = "/v1/incidents"
    coverage: str = "/v1/coverage"
    changes: str = "/v1/changes"
    rights: str = "/v1/rights"
    openapi: str = "/openapi.json"
    ready: str = "/readyz"
    metrics: str = "/metrics"


class ProblemDocument(BaseModel):
    """An error (RFC 9457). `type` is stable; docs/problems.md lists all."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:strayframe:problem:no-such-alert"])
    title: str
    status: int
    detail: str | None = None
    reason: str | None = Field(None, description="Why an event was rejected: a stable word.")
    limit: int | None = Field(None, description="What is accepted at most, where the body was too large.")
    errors: list[dict[str, str]] | None = Field(None, description="Each parameter that was not accepted, and why.")


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
