"""What happens, as it happens: GET /v1/stream, server-sent events that go on where a reader stopped.

Owns the form of the events and of their ids, which say where to go on, in any process and after any restart. Refuses to
filter by anything that an event does not say: type and integration.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from api import cursor
from api.house import House, house
from api.live import READERS
from api.pages import Name
from api.problems import (
    BAD_CURSOR,
    BAD_PARAMETER,
    STOPPING,
    STORE_UNAVAILABLE,
    TOO_MANY_READERS,
    ProblemError,
    documented,
)
from detector.notice import NoticeType
from streams.acting import acting
from streams.outbox.call import body_of, dumped
from streams.store.feed import Feed, Told, Wanted

router = APIRouter(tags=["stream"])
COLLECTION: Final = "stream"
RETRY_MILLISECONDS: Final = 2000
"""What a reader is told to wait before it comes back: a process that is replaced is up again by then, or soon."""

_EXAMPLE: Final = (
    "id: MTpzdHJlYW06NDE\nretry: 2000\n\n"
    'event: incident.opened\ndata: {"id":"no-77ab","type":"incident.opened","timestamp":"2026-01-05T09:04:12.000Z",'
    '"data":{"incident":"in-77ab","integration":"homeview","leaks":3}}\nid: MTpzdHJlYW06NDI\n\n'
)
_STREAM: Final[dict[str, Any]] = {
    "description": "Events, until one side ends it. An event without data only says the place.",
    "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
}


class StreamQuery(BaseModel):
    """The filters of GET /v1/stream. All that are given must hold."""

    model_config = ConfigDict(extra="forbid")

    type: list[NoticeType] | None = Field(
        None, description="Types of events, any of those given.", examples=[["incident.opened"]]
    )
    integration: list[Name] | None = Field(
        None, description="Integrations, any of those given.", examples=[["homeview"]]
    )
    cursor: str | None = Field(
        None, max_length=200, description="An event's id: begin behind it. Last-Event-ID comes before it."
    )

    def wanted(self) -> Wanted:
        """As the store takes it: of no other integrations than the caller's."""
        own = acting.get().integrations
        asked = own if self.integration is None else frozenset(self.integration)
        return Wanted(
            None if self.type is None else frozenset(self.type),
            asked if own is None or asked is None else asked & own,
        )


LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=200,
        description="The id of the last event that was read; a browser sends it by itself.",
        examples=["MTpzdHJlYW06NDI"],
    ),
]


@router.get(
    "/v1/stream",
    summary="Hear what happens, as server-sent events",
    response_class=StreamingResponse,
    responses={
        **documented(BAD_CURSOR, BAD_PARAMETER, STORE_UNAVAILABLE, STOPPING, TOO_MANY_READERS),
        200: _STREAM,
    },
)
async def stream(
    query: Annotated[StreamQuery, Query()], here: Annotated[House, Depends(house)], last: LastEventId = None
) -> StreamingResponse:
    """What hooks are told, for whoever reads along: alerts, incidents, suspensions, in the order in which they were
    stored. With `Last-Event-ID` it goes on behind that event without a gap, however long ago that was; without it, it
    begins now. The first thing sent is the place at which it begins.
    """
    feed = Feed(here.store().database)
    place = last if last is not None else query.cursor
    seq = await run_in_threadpool(_begin, feed, None if place is None else cursor.decode(COLLECTION, place))
    if here.live.left:
        raise ProblemError(STOPPING)
    if here.live.readers >= READERS:
        raise ProblemError(TOO_MANY_READERS)
    return EventSourceResponse(
        _events(here, feed, seq, query.wanted()), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


def _begin(feed: Feed, after: int | None) -> int:
    gone, newest = feed.span()
    if after is not None and after > newest:
        raise ProblemError(BAD_CURSOR, "The id is of another store, or of this one before a backup was restored.")
    if after is not None and after < gone:
        raise ProblemError(BAD_CURSOR, "What came behind this id is forgotten by now; list the alerts and begin anew.")
    return newest if after is None else after


async def _events(here: House, feed: Feed, seq: int, wanted: Wanted) -> AsyncIterator[bytes]:
    yield format_sse_event(id=_id(seq), retry=RETRY_MILLISECONDS)
    async for at, told in here.live.read(feed, seq, wanted):
        yield format_sse_event(id=_id(at), comment="nothing new") if told is None else _event(told)


def _event(told: Told) -> bytes:
    notice = told.notice
    data = dumped({"id": notice.id, **body_of(notice)})
    return format_sse_event(event=notice.type.value, data_str=data, id=_id(told.seq))


def _id(seq: int) -> str:
    return cursor.encode(COLLECTION, seq)
