"""Hooks: /v1/hooks, their secrets, tests, deliveries and replays.

Owns the routes. Refuses to dispatch: the dispatcher does, but for a test, which is made at once and answers with what
came back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from api import cursor
from api.calls import DeliveryId, DeliveryQuery, page_of_calls, sent_again, written_down
from api.hook_bodies import CallBody, CallPage, HookBody, HookChange, HookPage, HookSecret, NewHook, Nothing, Rotation
from api.house import House, house
from api.once import ActionRoute
from api.pages import PAGE_HEADERS, Name, link_next
from api.problems import (
    BAD_CURSOR,
    BAD_HOOK_URL,
    BAD_PARAMETER,
    NO_SUCH_DELIVERY,
    NO_SUCH_HOOK,
    STORE_UNAVAILABLE,
    ProblemError,
    documented,
    there,
)
from streams.outbox.manual import Manual
from streams.outbox.reach import BadHookUrl

router = APIRouter(tags=["hooks"])
acting = APIRouter(tags=["hooks"], route_class=ActionRoute)
"""What may be done under a key; making a hook and rotating its secret may not, since their answers hold the secret."""
HOOKS = "hooks"
DELIVERIES = "deliveries"

Here = Annotated[House, Depends(house)]
Id = Annotated[Name, Path(description="The hook's id.", examples=["hk-5f0c31aa90b2c4d1"])]
_PROBLEMS = (NO_SUCH_HOOK, BAD_PARAMETER, STORE_UNAVAILABLE)


class HookQuery(BaseModel):
    """The page of GET /v1/hooks."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=500, description="Hooks on a page, at most.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")


@router.post(
    "/v1/hooks",
    summary="Make a hook",
    status_code=201,
    responses=documented(BAD_HOOK_URL, BAD_PARAMETER, STORE_UNAVAILABLE),
)
def add_hook(given: NewHook, response: Response, here: Here) -> HookSecret:
    """The hook is told of what is stored from now on. The answer holds its secret, this once: with it the receiver
    verifies that it was Strayframe who called, by the library of Standard Webhooks for its language.
    """
    manual = _manual(here)
    try:
        hook, secret = manual.add(given.url, given.integration, given.events, dry_run=given.dry_run)
    except BadHookUrl as error:
        raise ProblemError(BAD_HOOK_URL, str(error)) from None
    response.headers["Location"] = f"/v1/hooks/{hook.id}"
    return HookSecret.with_secret(hook, manual.now(), secret)


@router.get(
    "/v1/hooks",
    summary="List hooks, newest first",
    responses={**documented(BAD_CURSOR, BAD_PARAMETER, STORE_UNAVAILABLE), 200: PAGE_HEADERS},
)
def list_hooks(query: Annotated[HookQuery, Query()], request: Request, response: Response, here: Here) -> HookPage:
    """All hooks, those that are disabled too, without their secrets."""
    manual = _manual(here)
    page = manual.hooks.page(None if query.cursor is None else cursor.decode(HOOKS, query.cursor), query.limit)
    items = [HookBody.of(hook, manual.now()) for hook in page.items]
    return HookPage(items=items, next=link_next(request, response, HOOKS, page.next))


@router.get("/v1/hooks/{id}", summary="Show one hook", responses=documented(*_PROBLEMS))
def show_hook(id: Id, here: Here) -> HookBody:
    """One hook, without its secret."""
    manual = _manual(here)
    return HookBody.of(there(manual.hooks.hook(id), NO_SUCH_HOOK), manual.now())


@acting.patch("/v1/hooks/{id}", summary="Change a hook", responses=documented(BAD_HOOK_URL, *_PROBLEMS))
def change_hook(id: Id, given: HookChange, here: Here) -> HookBody:
    """What is given changes, from the next call on; `integration` and `events` given as null mean any. Disabling stops
    what waits, and what was stopped stays so until it is replayed.
    """
    manual = _manual(here)
    changes = {name: getattr(given, name) for name in given.model_fields_set}
    for name in ("url", "dry_run", "enabled"):
        if changes.get(name, ...) is None:
            del changes[name]
    try:
        found = there(manual.change(id, changes), NO_SUCH_HOOK)
    except BadHookUrl as error:
        raise ProblemError(BAD_HOOK_URL, str(error)) from None
    here.noticed()
    return HookBody.of(found, manual.now())


@router.delete("/v1/hooks/{id}", summary="Remove a hook", status_code=204, responses=documented(*_PROBLEMS))
def remove_hook(id: Id, here: Here) -> None:
    """The hook is called no more, and its deliveries are forgotten. To keep them, disable it instead."""
    if not _manual(here).hooks.remove(id):
        raise ProblemError(NO_SUCH_HOOK)


@router.post("/v1/hooks/{id}/rotate", summary="Give a hook a new secret", responses=documented(*_PROBLEMS))
def rotate_hook(id: Id, given: Rotation, here: Here) -> HookSecret:
    """The answer holds the new secret, this once. For `keep_hours` calls are signed with both, so that a receiver may
    change over in the meantime; a third one, from an earlier rotation, ends at once.
    """
    manual = _manual(here)
    hook, secret = there(manual.rotate(id, timedelta(hours=given.keep_hours)), NO_SUCH_HOOK)
    return HookSecret.with_secret(hook, manual.now(), secret)


@router.post("/v1/hooks/{id}/test", summary="Try a hook out", responses=documented(*_PROBLEMS))
async def test_hook(id: Id, given: Nothing, here: Here) -> CallBody:
    """Posts a notice of the type `test` to this hook, once, and answers with what came back within 15 seconds; it is in
    the log of deliveries, too.
    """
    manual = await run_in_threadpool(_manual, here)
    hook = there(await run_in_threadpool(manual.hooks.hook, id), NO_SUCH_HOOK)
    told = manual.test_notice(hook)
    attempt = await manual.attempt(hook, told)
    return await written_down(here, hook.id, told, attempt)


@router.get(
    "/v1/hooks/{id}/deliveries",
    summary="List what was sent to a hook, newest first",
    responses={**documented(BAD_CURSOR, *_PROBLEMS), 200: PAGE_HEADERS},
)
def list_deliveries(
    id: Id, query: Annotated[DeliveryQuery, Query()], request: Request, response: Response, here: Here
) -> CallPage:
    """One entry for each notice that the hook was, is or would be sent, with its body and every attempt."""
    there(_manual(here).hooks.hook(id), NO_SUCH_HOOK)
    return page_of_calls(here, id, DELIVERIES, query, request, response, killed=here.is_killed())


@acting.post(
    "/v1/hooks/{id}/deliveries/{delivery}/replay",
    summary="Send a notice again",
    status_code=202,
    responses=documented(NO_SUCH_DELIVERY, *_PROBLEMS),
)
def replay_delivery(id: Id, delivery: DeliveryId, given: Nothing, here: Here) -> CallBody:
    """The notice is sent again at once, under the same `webhook-id`, and retried for three days as a new one is. A
    receiver that remembers the id may say 2xx and do nothing; one that lost it acts.
    """
    there(_manual(here).hooks.hook(id), NO_SUCH_HOOK)
    return sent_again(here, id, delivery, killed=here.is_killed())


router.include_router(acting)


def _manual(here: House) -> Manual:
    return Manual.of(here.settings, here.store(), here.now)
