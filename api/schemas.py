"""What the API answers with: the JSON of alerts, incidents, coverage, verdicts and problems.

Owns names, meanings and examples, which go into the OpenAPI document as they stand here. Refuses to decide. Times
are UTC with milliseconds and Z; a field never changes its meaning; what is not known is null and never left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from models.records import DeliveryId, Judgement, Kind, Level, Verdict
from streams.cloudevents import instant
from streams.judge import Covered as CoveredKey
from streams.judge import Unwatched
from streams.store.rows import StoredAlert

Instant = Annotated[
    datetime,
    PlainSerializer(instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-05T09:04:11.532Z"]}),
]


class Answer(BaseModel):
    """What every answer is made of: exactly the fields that are declared, null where nothing is known."""

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
    warming_up: bool = Field(description="Raised while its integration warmed up: nothing acted on it.")
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
            warming_up=stored.warming,
            withdrawn=None if gone is None else Withdrawn(time=gone.time, reason=gone.reason),
        )


class AlertPage(Answer):
    """Alerts, newest first by the order in which they were stored."""

    items: list[AlertBody]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class Covered(Answer):
    """How many deliveries of one integration in one hour (UTC, by delivery time) had one verdict, were passed over
    because they were `late`, or were `rejected`.
    """

    hour: Instant
    integration: str
    verdict: Verdict | Unwatched
    deliveries: int

    @classmethod
    def of(cls, covered: CoveredKey, deliveries: int) -> Covered:
        return cls(hour=covered.hour, integration=covered.integration, verdict=covered.verdict, deliveries=deliveries)


class Coverage(Answer):
    """What was judged, by hour, integration and verdict, oldest hour first, and the sums. Only what is `judged` was
    watched: of the others nobody can say that they showed what they should.
    """

    items: list[Covered]
    judged: int
    unjudged: int
    late: int
    rejected: int

    @classmethod
    def of(cls, counts: Mapping[CoveredKey, int]) -> Coverage:
        rows = sorted(counts.items(), key=lambda row: (row[0].hour, row[0].integration, row[0].verdict))
        sums = Counter[str]()
        for key, deliveries in rows:
            sums[key.verdict if key.verdict in _UNWATCHED else "judged"] += deliveries
        return cls(
            items=[Covered.of(key, deliveries) for key, deliveries in rows],
            judged=sums["judged"],
            unjudged=sums[Verdict.UNJUDGED],
            late=sums[Unwatched.LATE],
            rejected=sums[Unwatched.REJECTED],
        )


_UNWATCHED = {Verdict.UNJUDGED, *Unwatched}


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
    access: Literal["open", "sign-in"] = Field(
        description="open: nobody signs in, and whoever reaches this address, which is this machine, may do everything."
    )
    alerts: str = "/v1/alerts"
    incidents: str = "/v1/incidents"
    suspensions: str = "/v1/suspensions"
    coverage: str = "/v1/coverage"
    hooks: str = "/v1/hooks"
    placeholders: str = "/v1/placeholders"
    changes: str = "/v1/changes"
    rights: str = "/v1/rights"
    session: str = "/v1/session"
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
