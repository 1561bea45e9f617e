"""Stills and events in over HTTP: POST /v1/stills and POST /v1/events.

Owns the routes and their answers. Refuses to read bodies (`api.bodies`) and to judge: an `Intake` takes the messages.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response

from api import bodies
from api.house import House, house
from api.intake import Outcome
from api.problems import (
    BAD_REQUEST,
    BUSY,
    DELIVERY_DIFFERS,
    JUDGE_FAILED,
    LOADING,
    NOT_JUDGING,
    REJECTED,
    STARTING,
    STOPPING,
    STORE_UNAVAILABLE,
    STREAM_UNAVAILABLE,
    TOO_LARGE,
    UNSUPPORTED_MEDIA,
    ProblemError,
    documented,
)
from api.schemas import Delivered, EventsTaken, NotTaken, Receipt, VerdictBody
from streams.cloudevents import STRUCTURED, Message, Rejected

router = APIRouter(tags=["ingest"])

_TAKING: Final = (
    BAD_REQUEST,
    TOO_LARGE,
    UNSUPPORTED_MEDIA,
    REJECTED,
    JUDGE_FAILED,
    LOADING,
    BUSY,
    STORE_UNAVAILABLE,
    STREAM_UNAVAILABLE,
    NOT_JUDGING,
    STARTING,
    STOPPING,
)


def _header(name: str, example: str, meaning: str) -> dict[str, Any]:
    return {
        "name": f"ce-{name}",
        "in": "header",
        "required": False,
        "description": f"{meaning} Binary mode only.",
        "schema": {"type": "string", "examples": [example]},
    }


_STILL_EXAMPLE: Final = {
    "specversion": "1.0",
    "id": "d-000912",
    "source": "/edge/eu-1",
    "type": "still.delivered",
    "time": "2026-01-05T09:04:11.532Z",
    "account": "acct-17",
    "camera": "cam-31",
    "integration": "homeview",
    "cachenode": "cache-3",
    "datacontenttype": "image/jpeg",
    "data_base64": "/9j/4AAQSkZJRgABAQ...",
}
_RIGHT_EXAMPLE: Final = {
    "specversion": "1.0",
    "id": "r-31",
    "source": "/accounts",
    "type": "camera.enrolled",
    "time": "2026-01-01T00:00:00Z",
    "camera": "cam-31",
    "account": "acct-17",
    "action": "enrol",
}
_EVENT_SCHEMA: Final = {
    "type": "object",
    "description": "A CloudEvent in the JSON format; docs/events.md lists types and attributes.",
    "required": ["specversion", "id", "source", "type", "time"],
    "properties": {name: {"type": "string"} for name in ("specversion", "id", "source", "type", "time")},
    "additionalProperties": True,
}
_PICTURE: Final = {"schema": {"type": "string", "contentMediaType": "image/jpeg"}}
_FORM: Final = {
    "type": "object",
    "required": ["account", "camera", "still"],
    "properties": {
        "account": {"type": "string", "description": "The viewer."},
        "camera": {"type": "string", "description": "The camera that the delivery claims to show."},
        "time": {"type": "string", "format": "date-time", "description": "Default: now."},
        "id": {"type": "string", "description": "Default: derived from account, camera, time given and picture."},
        "source": {"type": "string", "description": "Default: upload."},
        "still": {"type": "string", "contentMediaType": "image/jpeg", "description": "The picture, as a file."},
    },
    "additionalProperties": {"type": "string"},
}
_CE_HEADERS: Final = [
    _header("specversion", "1.0", "CloudEvents' version, 1.0."),
    _header("type", "still.delivered", "The event's type."),
    _header("id", "d-000912", "With the source, what identifies the event."),
    _header("source", "/edge/eu-1", "Where the event comes from."),
    _header("time", "2026-01-05T09:04:11.532Z", "When it happened, RFC 3339 with a zone."),
    _header("account", "acct-17", "The viewer."),
    _header("camera", "cam-31", "The camera that the delivery claims to show."),
]


@router.post(
    "/v1/stills",
    summary="Hand in a still that was delivered to an account",
    response_model=VerdictBody,
    responses={
        **documented(*_TAKING, DELIVERY_DIFFERS),
        200: {"description": "Judged here, and stored. The same delivery again gets the same verdict."},
        202: {"model": Receipt, "description": "Kafka acknowledged it; a worker judges it."},
    },
    openapi_extra={
        "parameters": _CE_HEADERS,
        "requestBody": {
            "required": True,
            "content": {
                **dict.fromkeys(bodies.PICTURES, _PICTURE),
                STRUCTURED: {"schema": _EVENT_SCHEMA, "example": _STILL_EXAMPLE},
                bodies.FORM: {"schema": _FORM},
            },
        },
    },
)
async def post_still(request: Request, here: Annotated[House, Depends(house)]) -> Response:
    """The picture comes raw with `ce-*` headers (CloudEvents, binary mode), as a CloudEvent in JSON with `data_base64`,
    or as a form with the fields `account`, `camera`, a file `still`, and any further attribute.

    Without Kafka the answer is the verdict, given once it is stored. With Kafka behind it the answer is a receipt.
    """
    message = await bodies.still(request, here.settings.still_bytes, here.now)
    outcome = (await here.intake.take([message]))[0]
    if isinstance(outcome, Exception):
        raise outcome
    if outcome.judgement is None:
        return _json(Receipt(delivery=Delivered.of(message.key)), 202)
    alerts = await here.alerts_of(outcome.judgement)
    return _json(VerdictBody.of(outcome.judgement, alerts), 200)


@router.post(
    "/v1/events",
    summary="Hand in rights, changes and openings",
    response_model=EventsTaken,
    responses={
        **documented(*_TAKING),
        200: {"description": "What was taken is stored; what was refused is listed with its place and reason."},
        202: {"model": EventsTaken, "description": "Kafka acknowledged what was taken; a worker acts on it."},
    },
    openapi_extra={
        "parameters": _CE_HEADERS[:5],
        "requestBody": {
            "required": True,
            "content": {
                STRUCTURED: {"schema": _EVENT_SCHEMA, "example": _RIGHT_EXAMPLE},
                bodies.BATCH: {"schema": {"type": "array", "items": _EVENT_SCHEMA}, "example": [_RIGHT_EXAMPLE]},
                "application/json": {"schema": {"type": "object"}, "example": {}},
            },
        },
    },
)
async def post_events(request: Request, here: Annotated[House, Depends(house)]) -> Response:
    """One CloudEvent (binary or structured mode) or a batch of `camera.enrolled`, `camera.shared`, `change.deployed`
    and `still.opened`. An event given twice counts once. A single event that is refused is answered with 422; in a
    batch the others are taken all the same.
    """
    found = await bodies.events(request)
    messages = [one for one in found if isinstance(one, Message)]
    outcomes = await here.intake.take(messages) if messages else []
    if len(found) == 1 and bodies.media_type(request) != bodies.BATCH and isinstance(outcomes[0], Exception):
        raise outcomes[0]
    return _json(_taken(here, found, outcomes), 202 if here.intake.receipt_only else 200)


def _taken(house: House, found: list[Message | bodies.Unread], outcomes: list[Outcome]) -> EventsTaken:
    became = iter(outcomes)
    refused: list[NotTaken] = []
    for index, one in enumerate(found):
        if isinstance(one, bodies.Unread):
            refused.append(NotTaken(index=index, id=one.id, reason=one.reason, detail=one.detail))
            continue
        outcome = next(became)
        if isinstance(outcome, Rejected):
            refused.append(NotTaken(index=index, id=one.key.id, reason=outcome.reason, detail=outcome.detail))
        elif isinstance(outcome, ProblemError):
            refused.append(NotTaken(index=index, id=one.key.id, reason=outcome.problem.name, detail=outcome.detail))
    for no in refused:
        house.counts.rejected(no.reason)
    return EventsTaken(taken=len(found) - len(refused), refused=refused)


def _json(body: VerdictBody | Receipt | EventsTaken, status: int) -> Response:
    return Response(body.model_dump_json(), status, media_type="application/json")
