"""What the API takes and answers about hooks: the JSON of hooks, their calls and the attempts at them.

Owns names, meanings and examples, which go into the OpenAPI document as they stand here. Refuses to decide. A secret is
in two answers only: that of the hook's creation and that of its rotation.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from api.pages import Name
from api.schemas import Answer, Instant
from detector.notice import NoticeType
from models.records import utc
from streams.outbox.call import Attempt, Result, State, body_of
from streams.store.hooks import Hook, Logged

Events = Annotated[
    frozenset[NoticeType] | None,
    Field(description="Types that it is told of; null: all.", examples=[["suspension.requested", "suspension.lifted"]]),
]
Url = Annotated[
    str,
    Field(min_length=1, description="Where notices are posted, https.", examples=["https://partner.example/hook"]),
]
Integration = Annotated[
    Name | None, Field(description="Only notices of this integration; null: of any.", examples=["homeview"])
]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewHook(_Given):
    """A hook to be made."""

    url: Url
    integration: Integration = None
    events: Events = None
    dry_run: bool = Field(False, description="Log what would be sent, and send nothing.")


class HookChange(_Given):
    """What is to change of a hook; what is left out stays."""

    url: Url | None = None
    integration: Integration = None
    events: Events = None
    dry_run: bool | None = None
    enabled: bool | None = Field(
        None, description="false: nothing is sent, and what waits is stopped. true: again, also after a 410."
    )


class Rotation(_Given):
    """How a secret is replaced."""

    keep_hours: float = Field(
        24.0, ge=0, le=168, description="How long the present secret holds beside the new one; 0 where it leaked."
    )


class Nothing(_Given):
    """An empty object: the request says all by its path."""


class HookBody(Answer):
    """A hook, without its secret."""

    id: str = Field(examples=["hk-5f0c31aa90b2c4d1"])
    url: str
    integration: str | None = Field(description="Only notices of this integration; null: of any.")
    events: list[str] | None = Field(description="Types that it is told of; null: all.")
    dry_run: bool = Field(description="What would be sent is logged, and nothing is sent.")
    created: Instant
    disabled: Instant | None = Field(description="Since when nothing is sent; null: it is called.")
    disabled_why: str | None = Field(description="By hand, or the receiver's 410.")
    previous_until: Instant | None = Field(
        description="Until when the secret before the last rotation signs, too; null: there is none that does."
    )

    @classmethod
    def of(cls, hook: Hook, now: datetime) -> HookBody:
        return cls(**_told(hook, now))


class HookSecret(HookBody):
    """A hook with its secret, which is shown this once."""

    secret: str = Field(description="What the receiver verifies with; it is not shown again.", examples=["whsec_..."])

    @classmethod
    def with_secret(cls, hook: Hook, now: datetime, secret: str) -> HookSecret:
        return cls(**_told(hook, now), secret=secret)


class HookPage(Answer):
    """Hooks, newest first."""

    items: list[HookBody]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class AttemptBody(Answer):
    """One attempt at a call."""

    at: Instant
    seconds: float
    result: Result = Field(description="delivered, retry (it failed), gone (410), or dry_run.")
    status: int | None = Field(description="The HTTP status; null where there was no answer.")
    detail: str = Field(description="What happened, for a person; of a refusal, how its body begins.")

    @classmethod
    def of(cls, attempt: Attempt) -> AttemptBody:
        outcome = attempt.outcome
        seconds = round(attempt.seconds, 3)
        return cls(at=attempt.at, seconds=seconds, result=outcome.result, status=outcome.status, detail=outcome.detail)


class CallBody(Answer):
    """One notice for this hook, and what came of it."""

    id: str = Field(description="Of this delivery; `notice` is what the receiver sees.", examples=["ca-90b2"])
    notice: str = Field(description="The `webhook-id` of every attempt.", examples=["no-77ab"])
    state: State = Field(description="waiting, delivered, dry_run, failed (given up), stopped (the hook was disabled).")
    due: Instant | None = Field(description="When it is tried next; null unless it waits.")
    settled: Instant | None = Field(description="null while it waits.")
    attempts: list[AttemptBody] = Field(description="Oldest first, those before a replay included.")
    held: bool = Field(description="It asks somebody to act, and the kill switch holds it.")
    body: dict[str, Any] = Field(description="What is, was or would be posted.")

    @classmethod
    def of(cls, call: Logged, *, killed: bool) -> CallBody:
        return cls(
            id=call.id,
            notice=call.notice.id,
            state=call.state,
            due=call.due if call.state is State.WAITING else None,
            settled=call.settled,
            attempts=[AttemptBody.of(attempt) for attempt in call.attempts],
            held=killed and call.notice.acts and call.state is State.WAITING,
            body=body_of(call.notice),
        )


class CallPage(Answer):
    """What was, is or would be sent to a hook, newest first."""

    items: list[CallBody]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


def _told(hook: Hook, now: datetime) -> dict[str, Any]:
    holds = hook.previous_until is not None and utc(now) < hook.previous_until
    return {
        "id": hook.id,
        "url": hook.url,
        "integration": hook.integration,
        "events": None if hook.events is None else sorted(event.value for event in hook.events),
        "dry_run": hook.dry_run,
        "created": hook.created,
        "disabled": hook.disabled,
        "disabled_why": hook.disabled_why,
        "previous_until": hook.previous_until if holds else None,
    }
