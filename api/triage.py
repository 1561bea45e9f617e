"""What persons say of incidents and alerts: GET and PATCH of their triage.

Owns the body of a PATCH and the version in ETag and If-Match (RFC 9110, 13.1.1). Refuses to decide what an act changes:
`detector.triage` does. A snooze holds back notices; evidence and suspensions are as they would be without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, Depends, Header, Path, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.dossier import DeedBody, TriageBody, TriageDetail
from api.gate.who import actor
from api.house import House, house
from api.once import ActionRoute
from api.pages import Moment, Name, Text
from api.problems import (
    BAD_PARAMETER,
    NO_PICTURE_KEPT,
    NO_SUCH_ALERT,
    NO_SUCH_INCIDENT,
    PRECONDITION_FAILED,
    SOMEBODYS_HOME,
    STORE_UNAVAILABLE,
    ProblemError,
    documented,
    there,
)
from detector.triage import Act, Did, Ruling
from models.records import Alert, AlertId, IncidentId
from streams.cloudevents import instant
from streams.store.candidates import NothingKept, name_candidate
from streams.store.cases import Cases, OutOfDate
from streams.store.sql import SomebodysHome

router = APIRouter(tags=["triage"], route_class=ActionRoute)
LONGEST_NOTE: Final = 10_000
"""Characters of a note, at most: some pages."""
_ETAG: Final[dict[str, Any]] = {
    "headers": {"ETag": {"description": "Its version, for If-Match.", "schema": {"type": "string"}, "example": '"v3"'}}
}
_TAG: Final = re.compile(r'"v(0|[1-9][0-9]{0,17})"')
IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="The ETag that was read: refused if it is another one by now.")
]


class _Triage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    actor: Name | None = Field(
        None,
        description="Who says so, where nobody signs in; else whoever is signed in does.",
        examples=["kim@example.com"],
    )
    verdict: Ruling | None = Field(None, description="true_positive or false_positive.")
    note: Text | None = Field(None, max_length=LONGEST_NOTE)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.acts():
            raise ValueError("says nothing: give a verdict, a note, or another act beside the actor")
        return self

    def acts(self) -> list[Act]:
        """What is to be done, in this order."""
        acts = []
        if "verdict" in self.model_fields_set:
            acts.append(Act(Did.RULED, "" if self.verdict is None else self.verdict.value))
        if self.note is not None:
            acts.append(Act(Did.NOTED, self.note))
        return acts


class AlertTriage(_Triage):
    """What is said of an alert. A field that is left out changes nothing; null takes a verdict back."""

    placeholder: bool = Field(
        False,
        description="With the verdict false_positive: its picture is nobody's home, and becomes a placeholder "
        "candidate for a person to confirm.",
    )

    @model_validator(mode="after")
    def _is_false(self) -> Self:
        if self.placeholder and self.verdict is not Ruling.FALSE_POSITIVE:
            raise ValueError("placeholder goes with the verdict false_positive")
        return self


class IncidentTriage(_Triage):
    """What is said of an incident. A field that is left out changes nothing; null takes it back."""

    acknowledged: bool = Field(False, description="true: somebody looks after it. It cannot be taken back.")
    assignee: Name | None = Field(None, description="Whose it is.")
    snoozed_until: Moment | None = Field(
        None, description="Hold back notices of what goes on in it until then.", examples=["2026-01-05T18:00:00Z"]
    )

    def acts(self) -> list[Act]:
        """What is to be done, in this order."""
        acts = [Act(Did.ACKNOWLEDGED)] if self.acknowledged else []
        if "assignee" in self.model_fields_set:
            acts.append(Act(Did.ASSIGNED, self.assignee or ""))
        if "snoozed_until" in self.model_fields_set:
            acts.append(Act(Did.SNOOZED, "" if self.snoozed_until is None else instant(self.snoozed_until)))
        return acts + super().acts()


@router.get(
    "/v1/incidents/{id}/triage",
    summary="Show what persons said of an incident",
    responses={**documented(NO_SUCH_INCIDENT, BAD_PARAMETER, STORE_UNAVAILABLE), 200: _ETAG},
)
def show_incident_triage(
    id: Annotated[Name, Path(examples=["in-77ab"])], response: Response, here: Annotated[House, Depends(house)]
) -> TriageDetail:
    """What persons said of an incident, and all that was said before."""
    return _shown(_incident(id, here), response, here)


@router.patch(
    "/v1/incidents/{id}/triage",
    summary="Acknowledge, assign, rule, note or snooze an incident",
    responses={**documented(NO_SUCH_INCIDENT, PRECONDITION_FAILED, BAD_PARAMETER, STORE_UNAVAILABLE), 200: _ETAG},
)
def triage_incident(
    id: Annotated[Name, Path(examples=["in-77ab"])],
    said: IncidentTriage,
    response: Response,
    here: Annotated[House, Depends(house)],
    if_match: IfMatch = None,
) -> TriageBody:
    """All that is said is done at once. A verdict `true_positive` is the confirmation from which the deadlines run."""
    return _said(_incident(id, here), said.acts(), actor(said.actor), if_match, response, here)


@router.get(
    "/v1/alerts/{id}/triage",
    summary="Show what persons said of an alert",
    responses={**documented(NO_SUCH_ALERT, BAD_PARAMETER, STORE_UNAVAILABLE), 200: _ETAG},
)
def show_alert_triage(
    id: Annotated[Name, Path(examples=["al-5f0c31"])], response: Response, here: Annotated[House, Depends(house)]
) -> TriageDetail:
    """What persons said of an alert, and all that was said before."""
    return _shown(_alert(id, here).id, response, here)


@router.patch(
    "/v1/alerts/{id}/triage",
    summary="Rule or note an alert",
    responses={
        **documented(
            NO_SUCH_ALERT, NO_PICTURE_KEPT, SOMEBODYS_HOME, PRECONDITION_FAILED, BAD_PARAMETER, STORE_UNAVAILABLE
        ),
        200: _ETAG,
    },
)
def triage_alert(
    id: Annotated[Name, Path(examples=["al-5f0c31"])],
    said: AlertTriage,
    response: Response,
    here: Annotated[House, Depends(house)],
    if_match: IfMatch = None,
) -> TriageBody:
    """A verdict on one alert. The alert stands as it stood: a late grant withdraws alerts, a verdict does not."""
    alert, by = _alert(id, here), actor(said.actor)
    with here.store().database.together():  # a candidate that is named and said of no alert would be nobody's word
        acts = [*said.acts(), *(_named(alert, by, here) if said.placeholder else ())]
        return _said(alert.id, acts, by, if_match, response, here)


def _named(alert: Alert, by: str, here: House) -> list[Act]:
    """The candidate that the alert's picture becomes, as what was done. Raises ProblemError where it cannot."""
    try:
        return [Act(Did.NAMED, name_candidate(here.store(), alert, by, here.now()))]
    except NothingKept as error:
        raise ProblemError(NO_PICTURE_KEPT, f"{error}.") from None
    except SomebodysHome as error:
        raise ProblemError(SOMEBODYS_HOME, f"{error}.") from None


def _incident(id: str, here: House) -> IncidentId:
    return there(here.store().incident_summary(IncidentId(id)), NO_SUCH_INCIDENT).id


def _alert(id: str, here: House) -> Alert:
    return there(here.store().alert(AlertId(id)), NO_SUCH_ALERT).alert


def _shown(subject: IncidentId | AlertId, response: Response, here: House) -> TriageDetail:
    cases = Cases(here.store().database)
    history = [DeedBody.of(deed) for deed in cases.history(subject)]
    body = TriageBody.of(cases.triage(subject))
    response.headers["ETag"] = _etag(body.version)
    return TriageDetail(**body.model_dump(), history=history)


def _said(
    subject: IncidentId | AlertId,
    acts: Sequence[Act],
    by: str,
    if_match: str | None,
    response: Response,
    here: House,
) -> TriageBody:
    try:
        after = Cases(here.store().database).act(subject, acts, by, here.now(), _version(if_match))
    except OutOfDate as error:
        raise ProblemError(PRECONDITION_FAILED, f"{error}.") from None
    response.headers["ETag"] = _etag(after.version)
    return TriageBody.of(after)


def _etag(version: int) -> str:
    return f'"v{version}"'


def _version(if_match: str | None) -> int | None:
    """The version that If-Match names; None where any will do. What is no tag of ours matches none."""
    if if_match is None or if_match.strip() == "*":
        return None
    tag = _TAG.fullmatch(if_match.strip())
    if tag is None:
        raise ProblemError(PRECONDITION_FAILED, 'If-Match takes one ETag as it was read, such as "v3".')
    return int(tag[1])
