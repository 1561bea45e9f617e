"""Sinks: /v1/sinks, what was sent to each, tests and replays.

Owns the routes. Refuses to make or change a sink: the file of sinks does, which holds no secret but names where each
lies, and is read at the start.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.calls import DeliveryId, DeliveryQuery, page_of_calls, sent_again, written_down
from api.hook_bodies import CallBody, CallPage, Nothing
from api.house import House, house
from api.once import ActionRoute
from api.pages import PAGE_HEADERS, Name
from api.problems import (
    BAD_CURSOR,
    BAD_PARAMETER,
    NO_SUCH_DELIVERY,
    NO_SUCH_SINK,
    STORE_UNAVAILABLE,
    ProblemError,
    documented,
)
from api.sink_bodies import SinkBody, SinkList
from streams.sinks import trial
from streams.sinks.sink import Sink
from streams.store.outbox import Outbox

router = APIRouter(tags=["sinks"])
acting = APIRouter(tags=["sinks"], route_class=ActionRoute)
TOLD = "told"

Here = Annotated[House, Depends(house)]
Called = Annotated[Name, Path(description="The sink's name.", examples=["soc"])]
_PROBLEMS = (NO_SUCH_SINK, BAD_PARAMETER, STORE_UNAVAILABLE)


async def the_sink(name: Called, request: Request) -> Any:
    """The sink of the path. Raises ProblemError where the file has none of that name."""
    found = request.app.state.sinks.get(name)
    if found is None:
        raise ProblemError(NO_SUCH_SINK)
    return found


The = Annotated[Sink, Depends(the_sink)]


@router.get("/v1/sinks", summary="List sinks", responses=documented(STORE_UNAVAILABLE))
def list_sinks(request: Request, here: Here) -> SinkList:
    """All sinks of the file that the setting `sinks` names, as it was at the start, without their secrets."""
    waiting = Outbox(here.store().database).waiting()
    return SinkList(items=[SinkBody.of(sink, waiting.get(sink.name)) for sink in request.app.state.sinks.values()])


@router.get("/v1/sinks/{name}", summary="Show one sink", responses=documented(*_PROBLEMS))
def show_sink(sink: The, here: Here) -> SinkBody:
    """One sink, without its secrets."""
    return SinkBody.of(sink, Outbox(here.store().database).waiting().get(sink.name))


@router.post("/v1/sinks/{name}/test", summary="Try a sink out", responses=documented(*_PROBLEMS))
async def test_sink(sink: The, given: Nothing, here: Here) -> CallBody:
    """Sends a notice of the type `test` to this sink, once, and answers with what came back within 30 seconds; it is in
    the log of deliveries, too.
    """
    told, attempt = await trial.attempt(sink, here.now)
    return await written_down(here, sink.name, told, attempt)


@router.get(
    "/v1/sinks/{name}/deliveries",
    summary="List what was sent to a sink, newest first",
    responses={**documented(BAD_CURSOR, *_PROBLEMS), 200: PAGE_HEADERS},
)
def list_told(
    sink: The, query: Annotated[DeliveryQuery, Query()], request: Request, response: Response, here: Here
) -> CallPage:
    """One entry for each notice that the sink was or will be told, with what it says and every attempt. `body` is the
    notice as a hook has it; the sink's protocol has its own form for it.
    """
    return page_of_calls(here, sink.name, TOLD, query, request, response, killed=False)


@acting.post(
    "/v1/sinks/{name}/deliveries/{delivery}/replay",
    summary="Tell a sink again",
    status_code=202,
    responses=documented(NO_SUCH_DELIVERY, *_PROBLEMS),
)
def replay_told(sink: The, delivery: DeliveryId, given: Nothing, here: Here) -> CallBody:
    """The notice is sent again within seconds, under the same id, and retried for three days as a new one is."""
    return sent_again(here, sink.name, delivery, killed=False)


router.include_router(acting)
