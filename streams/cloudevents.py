"""CloudEvents 1.0 to records and back: JSON objects, Kafka headers, HTTP headers.

Owns the wire names. Refuses to fetch, to decode a picture or to judge. What is not accepted raises Rejected with a
stable reason, so that a dead letter, a rejects file and a problem document all say the same.

The wire: https://github.com/cloudevents/spec, versions 1.0.2 of the core, the JSON format, the Kafka and the HTTP
binding (attribute values are percent-encoded in HTTP headers and plain UTF-8 in Kafka's).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from models.errors import NaiveTimeError, StrayframeError
from models.records import (
    AccountId,
    CameraId,
    ChangeDeployed,
    Delivery,
    DeliveryId,
    Event,
    RightAction,
    RightChanged,
    StillOpened,
    derived_id,
    utc,
)
from streams.tracing import accepted

if TYPE_CHECKING:  # whoever reads events alone loads no fingerprints
    from models.fingerprint import Still

STRUCTURED = "application/cloudevents+json"
_ANY_FORMAT = "application/cloudevents"
"""How the content type of structured mode begins, in whatever format: Avro, Protobuf, a batch."""

STILL_DELIVERED = "still.delivered"
STILL_OPENED = "still.opened"
CAMERA_ENROLLED = "camera.enrolled"
CAMERA_SHARED = "camera.shared"
CHANGE_DEPLOYED = "change.deployed"

_ACTIONS = {
    CAMERA_ENROLLED: (RightAction.ENROL, RightAction.RELEASE),
    CAMERA_SHARED: (RightAction.GRANT, RightAction.REVOKE),
}
_CORE = {"specversion", "id", "source", "type", "time", "data", "data_base64", "dataref"}
_CORE |= {"datacontenttype", "dataschema", "subject", "account", "camera"}
_CORE |= {"partitionkey"}  # CloudEvents' partitioning extension: the message's key once more
_CORE |= {"traceparent", "tracestate"}  # CloudEvents' distributed tracing: of one delivery alone, so of no cause
LONGEST_VALUE = 1024
"""Bytes of an attribute's value in UTF-8, at most: ids and version names are shorter, and a value may become part of a
database's index, whose entries hold some 2,700 bytes in PostgreSQL."""


_NAME = re.compile(r"[a-z0-9]{1,64}")
"""What CloudEvents allows in an attribute's name."""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
"""Between these a time may lie: a clock that was never set shows the first, and of what is later than the last nobody
could say what is a day after it."""
MOST_EXTENSIONS = 64
"""Attributes of a delivery beside CloudEvents' own, at most: each is kept with every alert."""


def acceptable(value: str) -> bool:
    """Whether a text may be an attribute's value: printable and not too long."""
    return len(value) <= LONGEST_VALUE and len(value.encode(errors="replace")) <= LONGEST_VALUE and value.isprintable()


class Rejected(StrayframeError):
    """An event or a still cannot be judged. `reason` is a stable word, `detail` a sentence; no retry helps."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Rejected], tuple[str, str]]:
        """It crosses between processes whole."""
        return Rejected, (self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class Message:
    """An event with its envelope and, for a delivery, its picture: `data`, or `dataref` for the claim check, or, where
    another process has looked already, `still`: what was seen in it. A `late` one came too late to be looked at.
    `trace` is the W3C traceparent of what delivered it."""

    event: Event
    key: DeliveryId
    data: bytes | None = None
    dataref: str | None = None
    still: Still | None = None
    late: bool = False
    trace: str | None = None


def parse_line(line: str | bytes) -> Message:
    """One JSON line of an event file. Raises Rejected."""
    try:
        attributes = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Rejected("not_json", f"the line is not a JSON object ({error})") from None
    return parse_json(attributes)


def parse_json(attributes: Any) -> Message:
    """One CloudEvent in the JSON format (structured mode). Raises Rejected."""
    if not isinstance(attributes, dict):
        raise Rejected("not_json", f"an event is a JSON object, not {type(attributes).__name__}")
    return _message(attributes, _json_data(attributes))


def parse_headers(headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> Message:
    """One Kafka message: binary content mode (`ce_*` headers), or structured (JSON as the value). Raises Rejected.

    Headers' names are read in any case, as CloudEvents' own libraries read them.
    """
    attributes: dict[str, Any] = {}
    for given, raw in headers:
        name = given.lower()
        try:
            text = (raw or b"").decode()
        except UnicodeDecodeError:
            raise Rejected("bad_attribute", f"header {name} is not UTF-8") from None
        if name == "content-type" and text.lower().startswith(_ANY_FORMAT):
            if text.partition(";")[0].strip().lower() != STRUCTURED:
                raise Rejected("not_json", f"content-type {text!r}: of structured events, {STRUCTURED} is read")
            return parse_line(value or b"")
        if name.startswith("ce_"):
            attributes[name.removeprefix("ce_")] = text
    return _message(attributes, value)


def parse_http(headers: Mapping[str, str], body: bytes) -> Message:
    """One HTTP request: binary content mode (`ce-*` headers), or structured. Raises Rejected."""
    if headers.get("content-type", "").startswith(STRUCTURED):
        return parse_line(body)
    attributes = {
        name.lower().removeprefix("ce-"): unquote(value)
        for name, value in headers.items()
        if name.lower().startswith("ce-")
    }
    return _message(attributes, body)


def to_json(
    event: Event, *, id: str = "", source: str = "", data: bytes | None = None, dataref: str | None = None
) -> dict[str, Any]:
    """The event as a JSON object. `id` and `source` are needed for all but a delivery, which has its own."""
    out: dict[str, Any] = _attributes(event, id, source)
    if dataref is not None:
        out["dataref"] = dataref
    if data is not None:
        out["data_base64"] = base64.b64encode(data).decode()
    return out


def to_headers(event: Event, *, id: str = "", source: str = "") -> list[tuple[str, bytes]]:
    """The event's `ce_*` headers for Kafka, in binary content mode."""
    attributes = _attributes(event, id, source)
    kind = attributes.pop("datacontenttype")
    return [
        ("content-type", kind.encode()),
        *((f"ce_{name}", value.encode()) for name, value in attributes.items()),
    ]


def to_http(event: Event, *, id: str = "", source: str = "") -> dict[str, str]:
    """The event's `ce-*` headers for HTTP, in binary content mode."""
    attributes = _attributes(event, id, source)
    kind = attributes.pop("datacontenttype")
    return {
        "content-type": kind,
        **{f"ce-{name}": quote(value, safe=" !#$&'()*+,/:;=?@[]") for name, value in attributes.items()},
    }


def partition_key(event: Event) -> bytes:
    """The Kafka key: stills by camera, rights by camera|account (their topic is compacted), changes by component."""
    match event:
        case Delivery(camera=camera):
            return camera.encode()
        case RightChanged(camera=camera, account=account):
            return f"{camera}|{account}".encode()
        case StillOpened(delivery=delivery):
            return str(delivery).encode()
        case ChangeDeployed(component=component):
            return component.encode()


def event_id(event: Event) -> str:
    """An id for an event that has none of its own, the same each time."""
    match event:
        case Delivery(key=key):
            return key.id
        case RightChanged():
            return derived_id("right", event.camera, event.account, event.action, event.time.isoformat())
        case StillOpened():
            return derived_id("opened", str(event.delivery), event.account, event.time.isoformat())
        case ChangeDeployed():
            return derived_id("change", event.component, event.version, event.time.isoformat())


def instant(when: datetime) -> str:
    """A time as RFC 3339 with milliseconds and Z, the one form in which Strayframe writes times."""
    return utc(when).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(attributes: Mapping[str, Any], data: bytes | None) -> Message:
    if (version := attributes.get("specversion")) != "1.0":
        raise Rejected("bad_attribute", f"specversion is {version!r}; CloudEvents 1.0 is spoken here")
    key = DeliveryId(_text(attributes, "source"), _text(attributes, "id"))
    kind = _text(attributes, "type")
    when = _time(attributes)
    if kind == STILL_DELIVERED:
        delivery = Delivery(key, when, _account(attributes), _camera(attributes), _extensions(attributes))
        reference = attributes.get("dataref")
        if not data and not isinstance(reference, str):
            raise Rejected("no_picture", "a still.delivered needs a picture: data, or a dataref to it")
        trace = accepted(attributes.get("traceparent"))
        return Message(delivery, key, data or None, None if data else reference, trace=trace)
    if kind in _ACTIONS:
        return Message(RightChanged(_camera(attributes), _account(attributes), _action(attributes, kind), when), key)
    if kind == STILL_OPENED:
        source = _text(attributes, "deliverysource") if "deliverysource" in attributes else key.source
        return Message(StillOpened(DeliveryId(source, _text(attributes, "delivery")), when, _account(attributes)), key)
    if kind == CHANGE_DEPLOYED:
        return Message(ChangeDeployed(_text(attributes, "component"), _text(attributes, "version"), when), key)
    known = ", ".join((STILL_DELIVERED, STILL_OPENED, *_ACTIONS, CHANGE_DEPLOYED))
    raise Rejected("unknown_type", f"type {kind!r} is not known; known are {known}")


def _json_data(attributes: Mapping[str, Any]) -> bytes | None:
    encoded = attributes.get("data_base64")
    if encoded is None:
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise Rejected("bad_attribute", "data_base64 is not base64") from None


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name)
    if value is None or value == "":
        raise Rejected("missing_attribute", f"attribute {name} is missing")
    if not isinstance(value, str) or not acceptable(value):
        raise Rejected("bad_attribute", f"attribute {name} must be printable text of at most {LONGEST_VALUE} bytes")
    return value


def _account(attributes: Mapping[str, Any]) -> AccountId:
    return AccountId(_text(attributes, "account"))


def _camera(attributes: Mapping[str, Any]) -> CameraId:
    return CameraId(_text(attributes, "camera"))


def _action(attributes: Mapping[str, Any], kind: str) -> RightAction:
    text = _text(attributes, "action")
    for action in _ACTIONS[kind]:
        if text == action:
            return action
    raise Rejected("bad_attribute", f"action {text!r} of a {kind} is not one of {', '.join(_ACTIONS[kind])}")


def _time(attributes: Mapping[str, Any]) -> datetime:
    text = _text(attributes, "time")
    try:
        when = utc(datetime.fromisoformat(text))
    except NaiveTimeError:
        raise Rejected("bad_time", f"time {text!r} carries no zone") from None
    except (ValueError, OverflowError):
        raise Rejected("bad_time", f"time {text!r} is not RFC 3339") from None
    if when < EARLIEST:
        raise Rejected("bad_time", f"time {text!r} lies before {EARLIEST.year}: the sender's clock is not set")
    if when >= LATEST:
        raise Rejected("bad_time", f"time {text!r} lies behind {LATEST.year - 1}")
    return when


def _extensions(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Every attribute that is not CloudEvents' own, as text: what is not a string already, in its JSON form."""
    given = {name: value for name, value in attributes.items() if name not in _CORE and value not in (None, "")}
    for name in given:
        if not _NAME.fullmatch(name):
            raise Rejected("bad_attribute", "an attribute's name must be 1 to 64 lower-case letters and digits")
    if len(given) > MOST_EXTENSIONS:
        raise Rejected("bad_attribute", f"{len(given)} further attributes; {MOST_EXTENSIONS} are accepted")
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    return {name: _text(texts, name) for name in texts}


def _attributes(event: Event, id: str, source: str) -> dict[str, str]:
    match event:
        case Delivery():
            kind, key = STILL_DELIVERED, event.key
            own = {
                "account": event.account,
                "camera": event.camera,
                **event.attributes,
                "datacontenttype": "image/jpeg",
            }
        case RightChanged():
            sharing = event.action in _ACTIONS[CAMERA_SHARED]
            kind, key = (
                CAMERA_SHARED if sharing else CAMERA_ENROLLED,
                DeliveryId(source, id or event_id(event)),
            )
            own = {"camera": event.camera, "account": event.account, "action": event.action.value}
        case StillOpened():
            kind, key = STILL_OPENED, DeliveryId(source, id or event_id(event))
            own = {
                "delivery": event.delivery.id,
                "deliverysource": event.delivery.source,
                "account": event.account,
            }
        case ChangeDeployed():
            kind, key = CHANGE_DEPLOYED, DeliveryId(source, id or event_id(event))
            own = {"component": event.component, "version": event.version}
    core = {
        "specversion": "1.0",
        "id": key.id,
        "source": key.source,
        "time": instant(event.time),
        "type": kind,
    }
    return {"datacontenttype": "application/json", **core, **own}
