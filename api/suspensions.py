"""Suspensions over HTTP: list and show the switches, and what persons do to them.

Owns requests as a client writes them and which problem each refusal is. Refuses to decide what a switch may do: the
state machine does, on what is stored, in one transaction.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api import cursor
from api.gate.who import actor
from api.house import House, house
from api.once import ActionRoute
from api.pages import PAGE_HEADERS, Name, link_next
from api.problems import (
    BAD_CURSOR,
    BAD_PARAMETER,
    BAD_SCOPE,
    KILL_SWITCH_ON,
    NO_SUCH_SUSPENSION,
    NOT_MOVED,
    STORE_UNAVAILABLE,
    SUSPENSION_CHANGED,
    ProblemError,
    documented,
    there,
)
from api.suspension_schemas import ActedBody, ActRequest, NewRequest, SuspensionBody, SuspensionDetail, SuspensionPage
from detector.scope import BadScope, Scope, SuspensionId, named
from detector.suspension import Do, State
from models.records import IncidentId
from streams.store.suspensions import Asked, Changed, Killed, NoneOfThese, NotMoved

router = APIRouter(tags=["suspensions"], route_class=ActionRoute)
COLLECTION: Final = "suspensions"
_REFUSALS: Final = (SUSPENSION_CHANGED, NOT_MOVED, KILL_SWITCH_ON, BAD_PARAMETER, STORE_UNAVAILABLE)

DryRun = Annotated[bool, Query(description="Say what would happen; keep nothing, tell nobody.")]
Id = Annotated[Name, Path(examples=["su-77ab"])]


class SuspensionQuery(BaseModel):
    """The filters of GET /v1/suspensions."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = Field(None, examples=["proposed"])
    integration: Name | None = Field(None, examples=["homeview"])
    limit: int = Field(50, ge=1, le=500, description="Suspensions on a page, at most.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")


@router.get(
    "/v1/suspensions",
    summary="List suspensions, newest first",
    responses={**documented(BAD_CURSOR, BAD_PARAMETER, STORE_UNAVAILABLE), 200: PAGE_HEADERS},
)
def list_suspensions(
    query: Annotated[SuspensionQuery, Query()],
    request: Request,
    response: Response,
    here: Annotated[House, Depends(house)],
) -> SuspensionPage:
    """One for each scope that was ever proposed or suspended, by the time when it first was; those that are `armed`
    again are among them.
    """
    after = None if query.cursor is None else cursor.decode(COLLECTION, query.cursor)
    suspensions = here.store().suspensions
    page = suspensions.page(query.state, query.integration, after, query.limit)
    of = suspensions.incidents([each.suspension.id for each in page.items])
    items = [SuspensionBody.of(each.suspension, of[each.suspension.id]) for each in page.items]
    following = link_next(request, response, COLLECTION, page.next)
    return SuspensionPage(items=items, next=following, kill_switch=here.is_killed())


@router.get(
    "/v1/suspensions/{id}",
    summary="Show one suspension, with how it came to be as it is",
    responses=documented(NO_SUCH_SUSPENSION, BAD_PARAMETER, STORE_UNAVAILABLE),
)
def show_suspension(id: Id, here: Annotated[House, Depends(house)]) -> SuspensionDetail:
    """One suspension and its last hundred transitions, oldest first."""
    suspensions = here.store().suspensions
    found = there(suspensions.one(SuspensionId(id)), NO_SUCH_SUSPENSION)
    moves, of = suspensions.transitions(found.id), suspensions.incidents([found.id])
    return SuspensionDetail.with_moves(found, of[found.id], moves, killed=here.is_killed())


@router.post(
    "/v1/suspensions",
    summary="Propose, suspend or force off a scope",
    responses=documented(BAD_SCOPE, *_REFUSALS),
)
def begin(body: NewRequest, here: Annotated[House, Depends(house)], dry_run: DryRun = False) -> ActedBody:
    """Act on the scope of these attributes, whether or not it was ever touched."""
    try:
        scope = named(body.integration, body.where)
    except BadScope as error:
        raise ProblemError(BAD_SCOPE, str(error)) from None
    return _act(here, scope, body.action, body, dry_run=dry_run)


def _route(action: Do, summary: str, says: str) -> None:
    """POST /v1/suspensions/{id}/ACTION: one route for each thing that a person may do."""

    def act(id: Id, body: ActRequest, here: Annotated[House, Depends(house)], dry_run: DryRun = False) -> ActedBody:
        return _act(here, SuspensionId(id), action, body, dry_run=dry_run)

    act.__doc__, act.__name__ = says, f"{action.value}_suspension"
    responses = documented(NO_SUCH_SUSPENSION, *_REFUSALS)
    router.post(f"/v1/suspensions/{{id}}/{action.value}", summary=summary, responses=responses)(act)


_route(Do.PROPOSE, "Propose to suspend it", "Somebody else, or you, may approve it.")
_route(Do.SUSPEND, "Suspend it", "One person is enough. A failed suspension is ordered again.")
_route(Do.APPROVE, "Approve what is proposed, or asked", "A proposal; or a resumption that somebody else asked for.")
_route(Do.REJECT, "Reject the proposal", "What was delivered until now does not propose it again.")
_route(Do.STOPPED, "Say that it stopped", "Where too little comes for silence to tell: what the receiver says, say.")
_route(Do.RESUME, "Ask to resume it", "A link is probed at once; anything wider waits for another person's approval.")
_route(Do.PROBE, "Probe it", "Deliveries are fetched and judged, and shown to nobody.")
_route(Do.RAMP, "Let more pass", "The next step of 1, 10, 50, 100 %; behind the last one it is lifted.")
_route(Do.FORCE, "Hold it off", "It stays off, whatever is seen, until persons resume it.")


def _act(here: House, of: Scope | SuspensionId, action: Do, body: ActRequest, *, dry_run: bool) -> ActedBody:
    incident = IncidentId(body.incident) if isinstance(body, NewRequest) and body.incident is not None else None
    asked = Asked(action, actor(body.actor), body.why, here.now(), body.version, incident)
    suspensions = here.store().suspensions
    try:
        acted = suspensions.act(of, asked, dry_run=dry_run)
    except NotMoved as error:
        raise ProblemError(NOT_MOVED, str(error), refusal=error.refusal.value, state=error.now.state.value) from None
    except Changed as error:
        raise ProblemError(SUSPENSION_CHANGED, str(error), version=error.now.version) from None
    except Killed:
        raise ProblemError(KILL_SWITCH_ON, "A person turns it off at /v1/kill-switch.") from None
    except NoneOfThese as error:
        raise ProblemError(BAD_SCOPE, str(error)) from None
    done = there(acted, NO_SUCH_SUSPENSION)
    incidents = suspensions.incidents([done.suspension.id])[done.suspension.id]
    return ActedBody.of(done, incidents, dry_run=dry_run, killed=here.is_killed())
