"""What holds for whole integrations, and for everything: modes, warm-up, thresholds, the kill switch.

Owns these resources as a client sees them. Refuses to act: judges take up what is said here with their next commit.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from api.gate.who import actor
from api.house import House, house
from api.once import ActionRoute
from api.pages import Name
from api.problems import BAD_PARAMETER, STORE_UNAVAILABLE, documented
from api.suspension_schemas import (
    IntegrationBody,
    IntegrationList,
    KillRequest,
    KillSwitchBody,
    ModeBody,
    ModeRequest,
    PolicyBody,
)
from streams.store.suspensions import Enrolled
from streams.store.words import KILL, MODE, OFF, ON

router = APIRouter(tags=["suspensions"], route_class=ActionRoute)
_PROBLEMS = documented(BAD_PARAMETER, STORE_UNAVAILABLE)


@router.get("/v1/integrations", summary="List integrations, with mode and warm-up", responses=_PROBLEMS)
def list_integrations(here: Annotated[House, Depends(house)]) -> IntegrationList:
    """Every integration that was seen, or has a mode, by name."""
    found = here.store().suspensions.integrations()
    items = [IntegrationBody.of(each, here.settings) for each in found]
    return IntegrationList(items=items, kill_switch=here.is_killed())


@router.put("/v1/integrations/{name}/mode", summary="Say what the policy may do for one", responses=_PROBLEMS)
def set_mode(
    name: Annotated[Name, Path(examples=["homeview"])], body: ModeRequest, here: Annotated[House, Depends(house)]
) -> ModeBody:
    """off: nothing. shadow: note what it would do. propose: propose it to persons. auto: act. What is suspended
    stays."""
    suspensions = here.store().suspensions
    suspensions.say(MODE, name, body.mode.value, actor=actor(body.actor), why=body.why, at=here.now())
    found = {each.integration: each for each in suspensions.integrations()}
    told = IntegrationBody.of(found.get(name, Enrolled(name, body.mode)), here.settings)
    return ModeBody(**told.model_dump(), kill_switch=here.is_killed())


@router.get("/v1/policy", summary="Show the thresholds in force", responses=_PROBLEMS)
def show_policy(here: Annotated[House, Depends(house)]) -> PolicyBody:
    """The policy's settings, as this process has them; docs/suspensions.md explains each."""
    return PolicyBody.of(here.settings, killed=here.is_killed())


@router.get("/v1/kill-switch", summary="Show the kill switch", responses=_PROBLEMS)
def show_kill_switch(here: Annotated[House, Depends(house)]) -> KillSwitchBody:
    """Whether it is on, and who said so."""
    return KillSwitchBody.of(here.store().suspensions.kill_switch())


@router.put("/v1/kill-switch", summary="Stop everything that acts, or let it go on", responses=_PROBLEMS)
def set_kill_switch(body: KillRequest, here: Annotated[House, Depends(house)]) -> KillSwitchBody:
    """While it is on nobody is asked to suspend, ramp or resume anything, by the policy or by persons; what is
    suspended stays so. Alerts and proposals go on.
    """
    value = ON if body.on else OFF
    return KillSwitchBody.of(
        here.store().suspensions.say(KILL, "", value, actor=actor(body.actor), why=body.why, at=here.now())
    )
