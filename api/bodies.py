"""Bodies of requests to messages: raw stills, CloudEvents of each mode, forms.

Owns what the API reads from a body, its media types and its limits, which are enforced while the body is read. Refuses
to judge. Pictures stay in memory: nothing here writes one to a disk, not even a temporary one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as ASGIMessage

from api.problems import BAD_REQUEST, TOO_LARGE, UNSUPPORTED_MEDIA, ProblemError
from models.records import Delivery, derived_id
from streams.cloudevents import (
    LONGEST_VALUE,
    STILL_DELIVERED,
    STRUCTURED,
    Message,
    Rejected,
    acceptable,
    instant,
    parse_headers,
    parse_http,
    parse_json,
    parse_line,
)

BATCH: Final = "application/cloudevents-batch+json"
FORM: Final = "multipart/form-data"
PICTURES: Final = ("image/jpeg", "image/png", "image/webp")
STILL_TYPES: Final = (*PICTURES, STRUCTURED, FORM)
EVENT_TYPES: Final = (STRUCTURED, BATCH, "application/json")
UPLOAD_SOURCE: Final = "upload"
"""CloudEvents' source of a still that was posted as a form that names none."""

ENVELOPE_BYTES: Final = 65_536
"""What the attributes of one still may take beside the picture: 64 attributes of 1,024 bytes each."""
EVENTS_BYTES: Final = 4_000_000
"""Largest body of POST /v1/events: 10,000 events of 400 bytes, which one right takes when written out."""
EVENTS_AT_ONCE: Final = 10_000
"""Most events in one batch: it is judged and stored within about a second, well inside a client's time-out."""
FORM_FIELDS: Final = 64
REQUEST_BYTES: Final = 262_144
"""Largest body of another request: a note of 10,000 characters, each written as `\\ud83d\\ude00`, takes half of it."""
OWN_LIMITS: Final = frozenset({"/v1/stills", "/v1/events"})
"""Paths whose bodies are read here, each with its own limit."""
_FORM_OWN = {"specversion", "type", "data", "data_base64", "dataref", "dataschema", "datacontenttype"}


class _InMemory(MultiPartParser):
    spool_max_size = 2**31  # the body was bounded before it came here; a still must not be spooled to a disk


@dataclass(frozen=True, slots=True)
class Unread:
    """An event of a batch that cannot be taken, at its place."""

    index: int
    id: str | None
    reason: str
    detail: str


class Bounded:
    """ASGI: ends a request with 413 as soon as its body is announced, or comes, larger than `REQUEST_BYTES`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["path"] in OWN_LIMITS:
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        told, came = int(announced) if announced.isdecimal() else 0, 0

        async def bounded() -> ASGIMessage:
            nonlocal came
            if told <= REQUEST_BYTES:
                message = await receive()
                came += len(message.get("body", b""))
                if came <= REQUEST_BYTES:
                    return message
            raise HTTPException(TOO_LARGE.status)  # the framework takes any other error for a body that is not JSON

        await self._app(scope, bounded, send)


def media_type(request: Request) -> str:
    """The body's media type without parameters, in lower case; empty when the request names none."""
    return request.headers.get("content-type", "").split(";", 1)[0].strip().lower()


async def read(request: Request, limit: int) -> bytes:
    """The body. Raises ProblemError as soon as more than `limit` bytes are announced or have come."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise _too_large(limit)
    except ClientDisconnect:
        raise ProblemError(BAD_REQUEST, "The connection ended before the body did.") from None
    return bytes(body)


async def still(request: Request, largest: int, now: Callable[[], datetime]) -> Message:
    """The one delivery in a request to POST /v1/stills. `largest` is the largest picture in bytes.

    Raises ProblemError for a body that is too large, malformed or of another media type, and Rejected for an event
    that is no still.delivered with its picture.
    """
    kind = media_type(request)
    if kind in PICTURES:
        message = parse_http(request.headers, await read(request, largest))
    elif kind == STRUCTURED:
        message = parse_line(await read(request, largest * 4 // 3 + ENVELOPE_BYTES))
    elif kind == FORM:
        message = await _uploaded(request, await read(request, largest + ENVELOPE_BYTES), now)
    else:
        raise _unsupported(kind, STILL_TYPES)
    if not isinstance(message.event, Delivery):
        raise Rejected("wrong_type", "only a still.delivered goes here; rights and changes go to POST /v1/events")
    if message.data is None:
        raise Rejected("no_picture", "a dataref is not followed here: send the picture itself")
    if len(message.data) > largest:
        raise _too_large(largest)
    return message


async def events(request: Request) -> list[Message | Unread]:
    """The events in a request to POST /v1/events, in order. A single one that cannot be read raises Rejected."""
    kind = media_type(request)
    if kind not in EVENT_TYPES and not ("ce-specversion" in request.headers and not kind):
        raise _unsupported(kind, EVENT_TYPES)
    body = await read(request, EVENTS_BYTES)
    if kind == BATCH:
        return list(_batch(body))
    message = parse_line(body) if kind == STRUCTURED else parse_http(request.headers, body)
    return [_no_still(message)]


def _batch(body: bytes) -> Iterator[Message | Unread]:
    try:
        batch = json.loads(body)
    except (ValueError, RecursionError):
        raise ProblemError(BAD_REQUEST, "The body is not JSON.") from None
    if not isinstance(batch, list):
        raise ProblemError(BAD_REQUEST, "A batch is a JSON array of events.")
    if len(batch) > EVENTS_AT_ONCE:
        raise ProblemError(TOO_LARGE, f"A batch holds at most {EVENTS_AT_ONCE} events.", limit=EVENTS_AT_ONCE)
    for index, attributes in enumerate(batch):
        try:
            yield _no_still(parse_json(attributes))
        except Rejected as error:
            yield Unread(index, _id(attributes), error.reason, error.detail)


def _id(attributes: Any) -> str | None:
    given = attributes.get("id") if isinstance(attributes, dict) else None
    return given if isinstance(given, str) and acceptable(given) else None


def _no_still(message: Message) -> Message:
    if isinstance(message.event, Delivery):
        raise Rejected("wrong_type", "a still.delivered goes to POST /v1/stills")
    return message


async def _uploaded(request: Request, body: bytes, now: Callable[[], datetime]) -> Message:
    async with _form(request, body) as form:
        return await _filled(form, now)


async def _filled(form: FormData, now: Callable[[], datetime]) -> Message:
    picture = form.get("still")
    if not isinstance(picture, UploadFile):
        raise Rejected("no_picture", "the form has no file named `still`")
    kind = picture.content_type or ""
    if kind not in (*PICTURES, "application/octet-stream", ""):
        raise _unsupported(kind, PICTURES)
    data = await picture.read()
    attributes = _attributes(form)
    attributes.setdefault("source", UPLOAD_SOURCE)
    if "id" not in attributes:
        attributes["id"] = _upload_id(attributes, data)
    attributes.setdefault("time", instant(now()))
    attributes |= {"specversion": "1.0", "type": STILL_DELIVERED}
    return parse_headers(((f"ce_{name}", value.encode()) for name, value in attributes.items()), data)


def _upload_id(attributes: dict[str, str], data: bytes) -> str:
    """The same picture to the same account for the same camera is the same delivery: a retry doubles nothing."""
    parts = (attributes.get(name, "") for name in ("account", "camera", "time"))
    return derived_id("upload", *parts, blake2b(data, digest_size=16).hexdigest())


@asynccontextmanager
async def _form(request: Request, body: bytes) -> AsyncIterator[FormData]:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = _InMemory(request.headers, whole(), max_files=1, max_fields=FORM_FIELDS, max_part_size=ENVELOPE_BYTES)
        form = await parser.parse()
    except MultiPartException as error:
        raise ProblemError(BAD_REQUEST, f"The form cannot be read: {error.message}") from None
    except UnicodeError:  # some codecs raise more than what the parser foresees
        raise ProblemError(BAD_REQUEST, "The form cannot be read in the charset that it names.") from None
    try:
        yield form
    finally:
        await form.close()


def _attributes(form: FormData) -> dict[str, str]:
    """The form's text fields as CloudEvents attributes; an empty field counts as not given."""
    found: dict[str, str] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile) or not value:
            continue
        if name in _FORM_OWN or not (name.isascii() and name.isalnum() and name.islower()):
            raise Rejected(
                "bad_attribute", "a form's fields are attributes: lower-case letters and digits, none of ours"
            )
        if name in found:
            raise Rejected("bad_attribute", f"field {name} is given twice")
        if not acceptable(value):
            raise Rejected("bad_attribute", f"field {name} must be printable text of at most {LONGEST_VALUE} bytes")
        found[name] = value
    return found


def _too_large(limit: int) -> ProblemError:
    return ProblemError(TOO_LARGE, f"At most {limit} bytes are accepted here.", limit=limit)


def _unsupported(kind: str, accepted: tuple[str, ...]) -> ProblemError:
    told = ", ".join(accepted)
    return ProblemError(
        UNSUPPORTED_MEDIA,
        f"{kind or 'A body without a media type'} is not accepted here; accepted are {told}.",
        headers={"Accept": told},
    )
