"""Placeholders over HTTP: pictures that anybody may get, shown to a person, and what the person says of them.

Owns their body. Refuses to decide whether a picture is a placeholder: a person does. No picture is kept, so none is
shown; files are given at the terminal (`strayframe placeholder add`).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from api.gate.who import actor
from api.house import House, house
from api.once import ActionRoute
from api.pages import Name
from api.problems import (
    BAD_PARAMETER,
    NO_SUCH_PLACEHOLDER,
    SOMEBODYS_HOME,
    STORE_UNAVAILABLE,
    ProblemError,
    documented,
    there,
)
from api.schemas import Answer, Instant
from models.placeholder import Placeholder, PlaceholderId, State
from streams.store.sql import SomebodysHome

router = APIRouter(tags=["placeholders"], route_class=ActionRoute)
_PROBLEMS = (NO_SUCH_PLACEHOLDER, BAD_PARAMETER, STORE_UNAVAILABLE)
Here = Annotated[House, Depends(house)]
Id = Annotated[Name, Path(examples=["ph-3f6a"])]


class PlaceholderBody(Answer):
    """A picture that unrelated accounts got, or that a person named or gave."""

    id: str = Field(examples=["ph-3f6a"])
    state: State = Field(description="candidate: waits for a person. confirmed: nobody's home. rejected: somebody's.")
    accounts: int = Field(description="Unrelated accounts that got it, up to a bound.")
    stills: int
    first_seen: Instant | None
    last_seen: Instant | None
    camera: str | None = Field(description="The camera through which it was met first.")
    homes: int = Field(description="Living cameras whose history holds it; with one it is that home's still.")
    owner_camera: str | None = Field(description="The first of them.")
    label: str = Field(description="Who named it on which alert, or the file that it was given as; empty: it was met.")
    ruled_by: str | None = Field(description="Who confirmed or rejected it; null while nobody has, or nobody knows.")
    ruled_at: Instant | None

    @classmethod
    def of(cls, one: Placeholder) -> PlaceholderBody:
        return cls(
            id=one.id,
            state=one.state,
            accounts=one.accounts,
            stills=one.stills,
            first_seen=one.first_seen,
            last_seen=one.last_seen,
            camera=one.camera,
            homes=one.homes,
            owner_camera=one.owner_camera,
            label=one.label,
            ruled_by=one.ruled_by,
            ruled_at=one.ruled_at,
        )


class PlaceholderList(Answer):
    """What a person should see, the pictures that most accounts got first."""

    items: list[PlaceholderBody]


class PlaceholderQuery(BaseModel):
    """The filter of GET /v1/placeholders."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = Field(None, examples=["candidate"])


class RulingRequest(BaseModel):
    """Who rules."""

    model_config = ConfigDict(extra="forbid")

    actor: Name | None = Field(
        None,
        description="Who says so, where nobody signs in; else whoever is signed in does.",
        examples=["kim@example.com"],
    )


@router.get(
    "/v1/placeholders",
    summary="List placeholders and candidates",
    responses=documented(BAD_PARAMETER, STORE_UNAVAILABLE),
)
def list_placeholders(query: Annotated[PlaceholderQuery, Query()], here: Here) -> PlaceholderList:
    """Candidates that a person should see, and all that was ruled on, on one page: there are dozens at most."""
    found = here.store().placeholders()
    return PlaceholderList(items=[PlaceholderBody.of(one) for one in found if query.state in (None, one.state)])


@router.get("/v1/placeholders/{id}", summary="Show one placeholder", responses=documented(*_PROBLEMS))
def show_placeholder(id: Id, here: Here) -> PlaceholderBody:
    """One placeholder or candidate."""
    return PlaceholderBody.of(there(here.store().placeholder(PlaceholderId(id)), NO_SUCH_PLACEHOLDER))


@router.post(
    "/v1/placeholders/{id}/confirm",
    summary="Say that it is nobody's home",
    responses=documented(SOMEBODYS_HOME, *_PROBLEMS),
)
def confirm_placeholder(id: Id, said: RulingRequest, here: Here) -> PlaceholderBody:
    """It accuses nobody from now on; scenes that were learned from it are taken out, and alerts on it withdrawn."""
    return _ruled(id, State.CONFIRMED, said, here)


@router.post("/v1/placeholders/{id}/reject", summary="Say that it is somebody's home", responses=documented(*_PROBLEMS))
def reject_placeholder(id: Id, said: RulingRequest, here: Here) -> PlaceholderBody:
    """It is judged like any other still, and not shown as a candidate again."""
    return _ruled(id, State.REJECTED, said, here)


@router.delete(
    "/v1/placeholders/{id}", summary="Forget a placeholder", status_code=204, responses=documented(*_PROBLEMS)
)
def remove_placeholder(id: Id, here: Here) -> None:
    """Forgets it, and what was said of it; it may become a candidate again."""
    if not here.store().remove_placeholder(PlaceholderId(id)):
        raise ProblemError(NO_SUCH_PLACEHOLDER)


def _ruled(id: str, state: State, said: RulingRequest, here: House) -> PlaceholderBody:
    store, placeholder = here.store(), PlaceholderId(id)
    try:
        store.rule(placeholder, state, actor(said.actor), here.now())
    except SomebodysHome as error:
        raise ProblemError(SOMEBODYS_HOME, f"{error}.") from None
    return PlaceholderBody.of(there(store.placeholder(placeholder), NO_SUCH_PLACEHOLDER))
