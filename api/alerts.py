"""Alerts out: GET /v1/alerts and GET /v1/alerts/{id}.

Owns the filters as a client writes them. Refuses to search: the store's queries do.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api import cursor
from api.house import House, house
from api.pages import PAGE_HEADERS, Moment, Name, link_next
from api.problems import (
    BAD_CURSOR,
    BAD_PARAMETER,
    NO_SUCH_ALERT,
    STORE_UNAVAILABLE,
    documented,
    there,
)
from api.schemas import AlertBody, AlertPage
from models.records import AccountId, AlertId, CameraId, IncidentId, Kind, Level
from streams.store.walk import AlertFilter

router = APIRouter(tags=["alerts"])
COLLECTION = "alerts"


class AlertQuery(BaseModel):
    """The filters of GET /v1/alerts. All that are given must hold."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind | None = Field(None, description="leak or shift.", examples=["leak"])
    level: Level | None = Field(None, description="acting or shown.", examples=["acting"])
    account: Name | None = Field(None, description="The viewer or the owner.", examples=["acct-17"])
    camera: Name | None = Field(None, description="The camera claimed or the one shown.", examples=["cam-31"])
    integration: Name | None = Field(None, description="An integration's name.", examples=["homeview"])
    incident: Name | None = Field(None, description="An incident's id.", examples=["in-77ab"])
    since: Moment | None = Field(
        None, description="Delivered at or after; RFC 3339 with a zone.", examples=["2026-01-05T00:00:00Z"]
    )
    until: Moment | None = Field(
        None, description="Delivered before; RFC 3339 with a zone.", examples=["2026-01-06T00:00:00Z"]
    )
    withdrawn: bool | None = Field(None, description="true: only withdrawn ones; false: only those that stand.")
    limit: int = Field(50, ge=1, le=500, description="Alerts on a page, at most.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")

    def filter(self) -> AlertFilter:
        """As the store takes it."""
        return AlertFilter(
            kind=self.kind,
            level=self.level,
            account=None if self.account is None else AccountId(self.account),
            camera=None if self.camera is None else CameraId(self.camera),
            integration=self.integration,
            since=self.since,
            until=self.until,
            incident=None if self.incident is None else IncidentId(self.incident),
            withdrawn=self.withdrawn,
        )


@router.get(
    "/v1/alerts",
    summary="List alerts, newest first",
    responses={**documented(BAD_CURSOR, BAD_PARAMETER, STORE_UNAVAILABLE), 200: PAGE_HEADERS},
)
def list_alerts(
    query: Annotated[AlertQuery, Query()], request: Request, response: Response, here: Annotated[House, Depends(house)]
) -> AlertPage:
    """Alerts in the order in which they were stored, newest first. Alerts that arrive while you page through come
    before your first page: none is shown twice, none is left out. With `since` or `until` they come in the order of
    their delivery, newest first. Withdrawn alerts stay and say so.
    """
    after = None if query.cursor is None else cursor.decode(COLLECTION, query.cursor)
    page = here.store().alerts(query.filter(), after, query.limit)
    items = [AlertBody.of(alert) for alert in page.items]
    return AlertPage(items=items, next=link_next(request, response, COLLECTION, page.next))


@router.get(
    "/v1/alerts/{id}",
    summary="Show one alert",
    responses=documented(NO_SUCH_ALERT, BAD_PARAMETER, STORE_UNAVAILABLE),
)
def show_alert(id: Annotated[Name, Path(examples=["al-5f0c31"])], here: Annotated[House, Depends(house)]) -> AlertBody:
    """One alert, with why it was raised and the figures that it was raised on; withdrawn ones too."""
    return AlertBody.of(there(here.store().alert(AlertId(id)), NO_SUCH_ALERT))
