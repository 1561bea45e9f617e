"""What the camera cloud told, out again: GET /v1/changes and GET /v1/rights.

Owns their filters as a client writes them. Refuses to judge by them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api import cursor
from api.house import House, house
from api.pages import PAGE_HEADERS, Moment, Name, link_next
from api.problems import BAD_CURSOR, BAD_PARAMETER, STORE_UNAVAILABLE, ProblemError, documented
from api.schemas import Answer, Instant
from models.records import RightAction
from streams.store.cases import Cases

router = APIRouter(tags=["facts"])
CHANGES: Final = "changes"
RIGHTS: Final = "rights"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT: Final = timedelta(microseconds=1)


class ChangeBody(Answer):
    """Something was deployed in the delivery path."""

    component: str = Field(examples=["image-cache"])
    version: str = Field(examples=["2026.01.05-2"])
    time: Instant


class ChangePage(Answer):
    """Changes, newest first by their own time."""

    items: list[ChangeBody]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class RightBody(Answer):
    """An enrolment or a grant, effective at `time`."""

    camera: str
    account: str
    action: RightAction
    time: Instant


class RightPage(Answer):
    """Rights, newest first by the order in which they were stored."""

    items: list[RightBody]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class ChangeQuery(BaseModel):
    """The filters of GET /v1/changes."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = Field(None, description="Deployed at or after; RFC 3339 with a zone.")
    until: Moment | None = Field(None, description="Deployed before; RFC 3339 with a zone.")
    limit: int = Field(50, ge=1, le=500, description="Changes on a page; all of one moment come together.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")


class RightQuery(BaseModel):
    """The filters of GET /v1/rights. All that are given must hold."""

    model_config = ConfigDict(extra="forbid")

    camera: Name | None = Field(None, examples=["cam-31"])
    account: Name | None = Field(None, examples=["acct-17"])
    limit: int = Field(50, ge=1, le=500, description="Rights on a page, at most.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")


_RESPONSES: Final = {**documented(BAD_CURSOR, BAD_PARAMETER, STORE_UNAVAILABLE), 200: PAGE_HEADERS}


@router.get("/v1/changes", summary="List what was deployed, newest first", responses=_RESPONSES)
def list_changes(
    query: Annotated[ChangeQuery, Query()], request: Request, response: Response, here: Annotated[House, Depends(house)]
) -> ChangePage:
    """Deploys in the delivery path (`change.deployed`), each a suspect when a leak follows."""
    until = query.until if query.cursor is None else _moment(cursor.decode(CHANGES, query.cursor))
    found, older = Cases(here.store().database).changes(query.since, until, query.limit)
    items = [ChangeBody(component=one.component, version=one.version, time=one.time) for one in found]
    number = None if older is None else (older - _EPOCH) // _MOMENT
    return ChangePage(items=items, next=link_next(request, response, CHANGES, number))


@router.get("/v1/rights", summary="List owners and grants, newest first", responses=_RESPONSES)
def list_rights(
    query: Annotated[RightQuery, Query()], request: Request, response: Response, here: Annotated[House, Depends(house)]
) -> RightPage:
    """Enrolments and grants as they were told, superseded ones too. Presumed owners are not among them."""
    after = None if query.cursor is None else cursor.decode(RIGHTS, query.cursor)
    page = Cases(here.store().database).rights(query.camera, query.account, after, query.limit)
    items = [
        RightBody(camera=one.right.camera, account=one.right.account, action=one.right.action, time=one.right.time)
        for one in page.items
    ]
    return RightPage(items=items, next=link_next(request, response, RIGHTS, page.next))


def _moment(number: int) -> datetime:
    """The time that a cursor of changes stands for. Raises ProblemError for one that no change can have."""
    try:
        return _EPOCH + number * _MOMENT
    except OverflowError:
        raise ProblemError(BAD_CURSOR, "Take the cursor from `next` of an earlier page, unchanged.") from None
