"""Incidents and coverage out: what belongs together, and what was watched at all.

Owns their filters as a client writes them. Refuses to fold alerts: `detector.incident` does.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api import cursor
from api.dossier import IncidentBody, IncidentDetail, IncidentPage
from api.house import House, house
from api.pages import PAGE_HEADERS, Moment, Name, link_next
from api.problems import (
    BAD_CURSOR,
    BAD_PARAMETER,
    NO_SUCH_INCIDENT,
    STORE_UNAVAILABLE,
    documented,
    there,
)
from api.schemas import Coverage
from detector.incident import State
from detector.triage import Triage
from models.records import IncidentId
from streams.store.cases import Cases
from streams.store.queries import IncidentFilter

router = APIRouter()
COLLECTION = "incidents"


class IncidentQuery(BaseModel):
    """The filters of GET /v1/incidents."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = Field(None, description="open or resolved.", examples=["open"])
    integration: Name | None = Field(None, examples=["homeview"])
    since: Moment | None = Field(
        None, description="With a leak delivered at or after; RFC 3339 with a zone.", examples=["2026-01-05T00:00:00Z"]
    )
    until: Moment | None = Field(
        None, description="With a leak delivered before; RFC 3339 with a zone.", examples=["2026-01-06T00:00:00Z"]
    )
    limit: int = Field(50, ge=1, le=500, description="Incidents on a page, at most.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")

    def filter(self) -> IncidentFilter:
        """As the store takes it."""
        return IncidentFilter(self.integration, self.state, self.since, self.until)


class CoverageQuery(BaseModel):
    """The span of GET /v1/coverage."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = Field(
        None, description="Hours that begin at or after; RFC 3339 with a zone.", examples=["2026-01-05T00:00:00Z"]
    )
    until: Moment | None = Field(
        None, description="Hours that begin before; RFC 3339 with a zone.", examples=["2026-01-06T00:00:00Z"]
    )


@router.get(
    "/v1/incidents",
    summary="List incidents, newest first",
    tags=["incidents"],
    responses={**documented(BAD_CURSOR, BAD_PARAMETER, STORE_UNAVAILABLE), 200: PAGE_HEADERS},
)
def list_incidents(
    query: Annotated[IncidentQuery, Query()],
    request: Request,
    response: Response,
    here: Annotated[House, Depends(house)],
) -> IncidentPage:
    """One incident holds the leaks of one integration that follow each other without a long gap and have no causes that
    differ. An incident whose alerts were all withdrawn stays, with `stands` false.
    """
    after = None if query.cursor is None else cursor.decode(COLLECTION, query.cursor)
    store = here.store()
    page = store.incidents(query.filter(), after, query.limit)
    said = Cases(store.database).triages([incident.id for incident in page.items])
    items = [IncidentBody.of(incident, said.get(incident.id, Triage())) for incident in page.items]
    return IncidentPage(items=items, next=link_next(request, response, COLLECTION, page.next))


@router.get(
    "/v1/incidents/{id}",
    summary="Show one incident, with who saw whom",
    tags=["incidents"],
    responses=documented(NO_SUCH_INCIDENT, BAD_PARAMETER, STORE_UNAVAILABLE),
)
def show_incident(
    id: Annotated[Name, Path(examples=["in-77ab"])], here: Annotated[House, Depends(house)]
) -> IncidentDetail:
    """One incident: what sets its leaks apart, who saw whom, which paths were switched off for it, what persons
    said, which deadlines run. Its alerts are at `/v1/alerts?incident=ID`.
    """
    store, cases = here.store(), Cases(here.store().database)
    found = there(store.incident_summary(IncidentId(id)), NO_SUCH_INCIDENT)
    switches = store.suspensions.of_incident(found.id, found.integration)
    return IncidentDetail.of(found, cases.met(found.id), switches, cases.triage(found.id), here.now())


@router.get(
    "/v1/coverage",
    summary="Count what was judged",
    tags=["coverage"],
    responses=documented(BAD_PARAMETER, STORE_UNAVAILABLE),
)
def show_coverage(query: Annotated[CoverageQuery, Query()], here: Annotated[House, Depends(house)]) -> Coverage:
    """Deliveries by hour (UTC, by delivery time), integration and verdict, those that were passed over or rejected
    included. Where nothing is counted nothing was watched: silence is not health.
    """
    return Coverage.of(here.store().coverage(query.since, query.until))
