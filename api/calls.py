"""What was, is or would be sent to a hook or a sink: one page of it, one of it again, one by hand.

Owns what the routes of both share. Refuses to know which of them is asked about, beyond the name that its calls have.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from api import cursor
from api.hook_bodies import CallBody, CallPage
from api.house import House
from api.pages import Name, link_next
from api.problems import NO_SUCH_DELIVERY, ProblemError, there
from detector.notice import Notice
from streams.outbox.call import Attempt, State
from streams.store.hooks import Hooks

DeliveryId = Annotated[Name, Path(description="The delivery's id.", examples=["ca-90b2"])]


class DeliveryQuery(BaseModel):
    """The filters of the deliveries of a hook or a sink."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = Field(None, description="Only those that stand so.", examples=["failed"])
    limit: int = Field(20, ge=1, le=100, description="Deliveries on a page, at most; each has its body.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")


def page_of_calls(
    here: House, target: str, kind: str, query: DeliveryQuery, request: Request, response: Response, *, killed: bool
) -> CallPage:
    """A page of the target's calls, newest first; `kind` is what its cursors are marked with. Raises ProblemError."""
    after = None if query.cursor is None else cursor.decode(kind, query.cursor)
    page = Hooks(here.store().database).log(target, query.state, after, query.limit)
    items = [CallBody.of(call, killed=killed) for call in page.items]
    return CallPage(items=items, next=link_next(request, response, kind, page.next))


def sent_again(here: House, target: str, delivery: str, *, killed: bool) -> CallBody:
    """Have a call made again, by whoever dispatches. Raises ProblemError where there is none of that id."""
    hooks = Hooks(here.store().database)
    if not hooks.replay(target, delivery, here.now()):
        raise ProblemError(NO_SUCH_DELIVERY)
    here.noticed()
    return CallBody.of(there(hooks.call(target, delivery), NO_SUCH_DELIVERY), killed=killed)


async def written_down(here: House, target: str, told: Notice, attempt: Attempt) -> CallBody:
    """Log an attempt that was made by hand, and answer with what stands there."""
    hooks = Hooks(here.store().database)
    call = await run_in_threadpool(hooks.note, target, told, attempt)
    logged: Any = await run_in_threadpool(hooks.call, target, call)
    return CallBody.of(logged, killed=False)
