"""Whom an incident reached, as JSON, as CSV, and as a draft of what a notification asks for.

Owns the forms. Refuses to count (`detector.reach`) and to advise (`detector.notification`).
"""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path
from fastapi.responses import PlainTextResponse, Response
from pydantic import Field

from api.house import House, house
from api.pages import Name
from api.problems import BAD_PARAMETER, NO_SUCH_INCIDENT, STORE_UNAVAILABLE, documented, there
from api.schemas import Answer, Instant
from detector.incident import Incident
from detector.notification import Switched, draft
from detector.reach import Met, Person, Reach
from detector.triage import clocks
from models.records import IncidentId
from streams.cloudevents import instant
from streams.store.cases import Cases
from streams.store.suspensions import Suspensions

router = APIRouter(tags=["incidents"])
COLUMNS: Final = ("viewer", "owner", "owner_camera", "presumed", "stills", "opened", "first", "last")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for the beginning of a formula (OWASP, CSV injection)."""


class MetBody(Answer):
    """One viewer, and one camera whose stills it got."""

    viewer: str
    owner: str | None = Field(description="null: nobody can be named.")
    owner_camera: str | None
    presumed: bool = Field(description="The owner was never enrolled but taken for the first viewer.")
    stills: int
    opened: int = Field(description="Stills that `still.opened` says were looked at.")
    first: Instant
    last: Instant

    @classmethod
    def of(cls, met: Met) -> MetBody:
        return cls(
            viewer=met.viewer,
            owner=met.owner,
            owner_camera=met.camera,
            presumed=met.presumed,
            stills=met.stills,
            opened=met.opened,
            first=met.first,
            last=met.last,
        )


class PersonBody(Answer):
    """One account's part in it."""

    account: str
    stills: int
    opened: int
    others: int = Field(description="Accounts on the other side: owners of a viewer, viewers of an owner.")
    first: Instant
    last: Instant

    @classmethod
    def of(cls, person: Person) -> PersonBody:
        return cls(
            account=person.account,
            stills=person.stills,
            opened=person.opened,
            others=person.others,
            first=person.first,
            last=person.last,
        )


class ReachBody(Answer):
    """Whom an incident reached, by the leaks that stand."""

    stills: int = Field(description="Leaked deliveries.")
    opened: int
    unnamed: int = Field(description="Of them, those whose owner nobody can name.")
    first: Instant | None
    last: Instant | None
    at_most: int | None = Field(
        description="Deliveries through the suspected path in that time, all where none is suspected; null where they "
        "are no longer counted."
    )
    deliveries: int | None = Field(description="All deliveries of the integration in that time.")
    viewers: list[PersonBody]
    owners: list[PersonBody]
    pairs: list[MetBody] = Field(description="Who saw which camera, by viewer and camera.")

    @classmethod
    def of(cls, reach: Reach) -> ReachBody:
        return cls(
            stills=reach.stills,
            opened=reach.opened,
            unnamed=reach.unnamed,
            first=reach.first,
            last=reach.last,
            at_most=reach.at_most,
            deliveries=reach.deliveries,
            viewers=[PersonBody.of(person) for person in reach.viewers],
            owners=[PersonBody.of(person) for person in reach.owners],
            pairs=[MetBody.of(met) for met in reach.met],
        )


_PROBLEMS: Final = documented(NO_SUCH_INCIDENT, BAD_PARAMETER, STORE_UNAVAILABLE)
_CSV: Final[dict[str, Any]] = {"description": "One row a viewer and camera.", "content": {"text/csv": {}}}
_MARKDOWN: Final[dict[str, Any]] = {"description": "The draft.", "content": {"text/markdown": {}}}
Id = Annotated[Name, Path(examples=["in-77ab"])]
Here = Annotated[House, Depends(house)]


@router.get("/v1/incidents/{id}/reach", summary="List whom an incident reached", responses=_PROBLEMS)
def show_reach(id: Id, here: Here) -> ReachBody:
    """Exact lists of viewers and owners, and the bound above which the number of stills cannot lie."""
    return ReachBody.of(_reach(id, here)[1])


@router.get(
    "/v1/incidents/{id}/reach.csv",
    summary="List whom an incident reached, as CSV",
    response_class=Response,
    responses={**_PROBLEMS, 200: _CSV},
)
def show_reach_table(id: Id, here: Here) -> Response:
    """One row a viewer and camera. A value that a spreadsheet would take for a formula has a `'` before it."""
    incident, reach = _reach(id, here)
    name = f'attachment; filename="{incident.id}.csv"'
    return Response(table(reach), media_type="text/csv", headers={"Content-Disposition": name})


@router.get(
    "/v1/incidents/{id}/notification",
    summary="Draft the facts of a notification",
    response_class=PlainTextResponse,
    responses={**_PROBLEMS, 200: _MARKDOWN},
)
def show_notification(id: Id, here: Here) -> PlainTextResponse:
    """The facts that GDPR Art. 33 and CRA Art. 14 ask for, as Markdown, with gaps for what only a person knows."""
    incident, reach = _reach(id, here)
    said, switched = Cases(here.store().database).triage(incident.id), switched_for(here.store().suspensions, incident)
    told = draft(incident, reach, said, clocks(said), switched, here.now())
    return PlainTextResponse(told, media_type="text/markdown")


def switched_for(suspensions: Suspensions, incident: Incident) -> list[Switched]:
    """The paths that were switched off on the incident's alerts, with the moves of each."""
    return [
        Switched(each.scope, [(move.event.at, move.before, move.after) for move in suspensions.transitions(each.id)])
        for each in suspensions.of_incident(incident.id, incident.integration)
    ]


def table(reach: Reach) -> str:
    """The reach as CSV (RFC 4180), with a header."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for met in reach.met:
        names = [_harmless(text or "") for text in (met.viewer, met.owner, met.camera)]
        writer.writerow([*names, int(met.presumed), met.stills, met.opened, instant(met.first), instant(met.last)])
    return out.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _reach(id: str, here: House) -> tuple[Incident, Reach]:
    store = here.store()
    incident = there(store.incident(IncidentId(id)), NO_SUCH_INCIDENT)
    return incident, Cases(store.database).reach(incident)
