"""The audit over HTTP, for auditors: GET /v1/audit.

Owns its filters as a client writes them. Refuses to write: whatever is done writes its own entry.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api import cursor
from api.gate.bodies import EntryBody, EntryPage
from api.house import House, house
from api.pages import PAGE_HEADERS, Name, link_next
from api.problems import BAD_CURSOR, BAD_PARAMETER, STORE_UNAVAILABLE, documented
from streams.store.audit import Audit, AuditFilter

router = APIRouter(tags=["access"])
COLLECTION: Final = "audit"


class AuditQuery(BaseModel):
    """The filters of GET /v1/audit."""

    model_config = ConfigDict(extra="forbid")

    actor: Name | None = Field(None, description="Who did it.", examples=["kim@example.com"])
    what: Name | None = Field(None, description="What was done; docs/audit.md lists them.", examples=["triage"])
    subject: Name | None = Field(None, description="To what: an id, mostly.", examples=["in-77ab"])
    limit: int = Field(50, ge=1, le=500, description="Entries on a page, at most.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")


@router.get(
    "/v1/audit",
    summary="List who did what, newest first",
    responses={**documented(BAD_CURSOR, BAD_PARAMETER, STORE_UNAVAILABLE), 200: PAGE_HEADERS},
)
def list_entries(
    query: Annotated[AuditQuery, Query()], request: Request, response: Response, here: Annotated[House, Depends(house)]
) -> EntryPage:
    """The chain's entries. `strayframe audit verify` says whether they are all there and as they were written."""
    trail = Audit(here.store().database)
    after = None if query.cursor is None else cursor.decode(COLLECTION, query.cursor)
    page = trail.page(AuditFilter(query.actor, query.what, query.subject), after, query.limit)
    items = [EntryBody.of(entry) for entry in page.items]
    following = link_next(request, response, COLLECTION, page.next)
    return EntryPage(items=items, next=following, head=str(trail.head()))
