"""What the API says of suspensions: switches, their moves, integrations, the kill switch.

Owns names, meanings and examples. Refuses to decide. A field never changes its meaning; what is not known is null.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isinf
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from api.pages import Name, Text
from api.schemas import Answer, Instant
from detector.policy import Mode
from detector.scope import Breadth, Scope
from detector.suspension import RULES_VERSION, Do, State, Suspension
from streams.settings import Settings
from streams.store.suspension_rows import StoredTransition
from streams.store.suspensions import Acted, Enrolled
from streams.store.words import Word


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("says nothing")
    return text


Person = Annotated[Name, Field(max_length=200)]
Why = Annotated[Text, Field(max_length=1000, description="Why, for whoever reads it later."), AfterValidator(_said)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    actor: Person | None = Field(
        None, description="Who acts, where nobody signs in; else whoever is signed in does.", examples=["anna"]
    )
    why: Why


class ScopeBody(Answer):
    """What a suspension switches off."""

    breadth: Breadth
    integration: str = Field(examples=["homeview"])
    where: dict[str, list[str]] = Field(
        description="One of the values of each attribute; `account` is the viewer.",
        examples=[{"cachenode": ["cache-3"]}],
    )

    @classmethod
    def of(cls, scope: Scope) -> ScopeBody:
        return cls(**scope.record())


class SuspensionBody(Answer):
    """The switch of one scope."""

    id: str = Field(description="The scope's: a scope has one switch.", examples=["su-77ab"])
    scope: ScopeBody
    state: State
    version: int = Field(description="Counts its transitions.")
    share: float = Field(description="How much of the deliveries may pass, 0 to 1.")
    since: Instant | None = Field(description="When the state, or the step of the ramp, began.")
    ordered: Instant | None = Field(description="From when on the last order to shut, or to probe, holds.")
    asked: str | None = Field(description="Who asked to resume.")
    approved: str | None = Field(description="Who approved that.")
    shadow: bool = Field(description="A proposal that is told to nobody.")
    carried: bool = Field(description="Nothing but its evidence holds it: it is lifted when that is withdrawn.")
    clean: int = Field(description="Explained deliveries since `since`, while probing or ramping.")
    quiet_seconds: float | None = Field(
        description="Silence that tells that it is shut. null: nothing is ordered, or too little came before for "
        "silence to tell, and a person says that it stopped."
    )
    alerts: list[str] = Field(description="Its evidence: ids of alerts.")
    incidents: list[str] = Field(
        description="Incidents on whose alerts it was ever moved; /v1/incidents/{id} names it.", examples=[["in-77ab"]]
    )

    @classmethod
    def of(cls, s: Suspension, incidents: Iterable[str]) -> SuspensionBody:
        return cls(
            id=s.id,
            scope=ScopeBody.of(s.scope),
            state=s.state,
            version=s.version,
            share=s.share,
            since=s.since,
            ordered=s.ordered,
            asked=s.asked,
            approved=s.approved,
            shadow=s.shadow,
            carried=s.carried,
            clean=s.clean,
            quiet_seconds=None if s.quiet is None or isinf(s.quiet) else s.quiet,
            alerts=list(s.evidence),
            incidents=list(incidents),
        )


class TransitionBody(Answer):
    """One move of a switch, or a word that was noted: who, when, why, on what evidence, by which rules."""

    version: int
    at: Instant
    action: Do
    before: State
    after: State
    share: float
    actor: str
    person: bool = Field(description="false: the policy.")
    reason: str = Field(description="A named reason; docs/suspensions.md explains each.", examples=["named-leak"])
    why: str
    numbers: dict[str, float | int | str]
    alerts: list[str]
    page: bool = Field(description="It woke somebody up.")
    rules: str = Field(description="Version of the rules.")

    @classmethod
    def of(cls, told: StoredTransition) -> TransitionBody:
        event = told.event
        return cls(
            version=told.version,
            at=event.at,
            action=event.what,
            before=told.before,
            after=told.after,
            share=told.share,
            actor=event.actor.name,
            person=event.actor.person,
            reason=event.reason,
            why=event.why,
            numbers=dict(event.numbers),
            alerts=list(event.evidence),
            page=event.page,
            rules=told.rules,
        )


class SuspensionDetail(SuspensionBody):
    """A switch with its latest moves, oldest first."""

    transitions: list[TransitionBody]
    kill_switch: bool = Field(description="Whether the kill switch is on.")

    @classmethod
    def with_moves(
        cls, s: Suspension, incidents: Iterable[str], moves: list[StoredTransition], *, killed: bool
    ) -> SuspensionDetail:
        told = SuspensionBody.of(s, incidents).model_dump(mode="python")
        return cls(**told, transitions=[TransitionBody.of(each) for each in moves], kill_switch=killed)


class SuspensionPage(Answer):
    """Switches that were ever touched, newest first."""

    items: list[SuspensionBody]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")
    kill_switch: bool = Field(description="Whether the kill switch is on.")


class ActedBody(Answer):
    """What a request did."""

    suspension: SuspensionBody = Field(description="As it stands now.")
    transition: TransitionBody = Field(description="What the request did.")
    dry_run: bool = Field(description="true: nothing was kept, and nobody told.")
    kill_switch: bool = Field(description="Whether the kill switch is on.")

    @classmethod
    def of(cls, acted: Acted, incidents: Iterable[str], *, dry_run: bool, killed: bool) -> ActedBody:
        return cls(
            suspension=SuspensionBody.of(acted.suspension, incidents),
            transition=TransitionBody.of(acted.transition),
            dry_run=dry_run,
            kill_switch=killed,
        )


class ActRequest(_Request):
    """Who acts on a switch, and why."""

    version: int | None = Field(None, ge=0, description="The version that you saw; another one is refused.")


class NewRequest(ActRequest):
    """What to do to the scope of these attributes."""

    action: Do = Field(description="propose, suspend or force.")
    integration: Name = Field(examples=["homeview"])
    where: dict[str, list[Name] | Name] = Field(
        {},
        description="account; cachenode (one or several); release; surface; or two attributes. Empty: all of it.",
        examples=[{"cachenode": ["cache-3", "cache-4"]}],
    )
    incident: Name | None = Field(
        None, description="The incident that it is for: its leaks in the scope are its evidence.", examples=["in-77ab"]
    )

    @model_validator(mode="after")
    def _begins(self) -> Self:
        if self.action not in (Do.PROPOSE, Do.SUSPEND, Do.FORCE):
            raise ValueError("action is propose, suspend or force; others go to /v1/suspensions/{id}/{action}")
        return self


class ModeRequest(_Request):
    """What the policy may do for an integration."""

    mode: Mode


class KillRequest(_Request):
    """Whether everything that acts is to stop."""

    on: bool


class IntegrationBody(Answer):
    """An integration: what the policy may do for it, and whether it is warm."""

    name: str
    mode: Mode
    default: bool = Field(description="Nobody set a mode: the setting `policy_mode` holds.")
    first_seen: Instant | None
    warm: bool = Field(description="Enough of its cameras are known; before, alerts are marked and nothing acts.")
    warm_at: Instant | None
    cameras: int = Field(description="Cameras seen until it was warm, estimated beyond a thousand.")
    known: int = Field(description="Those of them whose own history explained a still.")
    needed_cameras: int = Field(description="Known cameras that it takes: `warm_up_cameras`.")
    needed_share: float = Field(description="Share of cameras that must be known: `warm_up_share`.")
    accounts: int = Field(description="Accounts seen, estimated beyond a thousand.")

    @classmethod
    def of(cls, one: Enrolled, settings: Settings) -> IntegrationBody:
        return cls(
            name=one.integration,
            mode=one.mode or Mode(settings.policy_mode),
            default=one.mode is None,
            first_seen=one.first_seen,
            warm=one.warm_at is not None,
            warm_at=one.warm_at,
            cameras=one.cameras,
            known=one.known,
            needed_cameras=settings.warm_up_cameras,
            needed_share=settings.warm_up_share,
            accounts=one.accounts,
        )


class ModeBody(IntegrationBody):
    """An integration whose mode was set, and whether anything acts at all."""

    kill_switch: bool = Field(description="Whether the kill switch is on.")


class IntegrationList(Answer):
    """Every integration that was seen, or has a mode, by name."""

    items: list[IntegrationBody]
    kill_switch: bool = Field(description="Whether the kill switch is on.")


class PolicyBody(Answer):
    """The thresholds in force, by the names of their settings."""

    rules: str = Field(description="Version of the rules.")
    settings: dict[str, Any] = Field(examples=[{"policy_pairs": 3}])
    kill_switch: bool

    @classmethod
    def of(cls, settings: Settings, *, killed: bool) -> PolicyBody:
        shown = {name: value for name, value in settings if name.startswith(("policy_", "warm_up_"))}
        return cls(rules=RULES_VERSION, settings=shown, kill_switch=killed)


class KillSwitchBody(Answer):
    """The kill switch: while it is on nothing acts. `actor`, `at` and `why` are of the last word on it."""

    on: bool
    actor: str | None = None
    at: Instant | None = None
    why: str | None = None

    @classmethod
    def of(cls, word: Word | None) -> KillSwitchBody:
        if word is None:
            return cls(on=False)
        return cls(on=word.is_on, actor=word.actor, at=word.at, why=word.why)
