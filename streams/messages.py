"""What a Kafka record says, as far as that can be known before it is judged.

Owns what is read of a record, its age, and whether it is late. Refuses to put anything aside and to look at pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from models.records import DeliveryId
from streams.cloudevents import Message, Rejected, acceptable, parse_headers
from streams.kafka.client import Record
from streams.settings import Settings

Read = Callable[[Iterable[tuple[str, bytes | None]], bytes | None], Message]
"""What makes a message of headers and value. Raises Rejected."""


def parsed(record: Record, settings: Settings, read: Read = parse_headers) -> Message | Rejected | None:
    """What a record says, late or not as the settings have it; None for one that says nothing."""
    if _is_tombstone(record):
        return None
    try:
        message = read(record.headers, record.value)
    except Rejected as rejected:
        return rejected
    if settings.when_behind == "newest" and age_of(record) > settings.late_seconds:
        return replace(message, late=True)
    return message


def integration_of(record: Record) -> str:
    """What the message says of its integration, as far as that can be read in its headers; else nothing."""
    return _said(record, "ce_integration")


def delivery_of(record: Record) -> str | None:
    """The delivery as logs name it, as far as the message's headers tell; None where they do not."""
    source, id_ = _said(record, "ce_source"), _said(record, "ce_id")
    return str(DeliveryId(source, id_)) if source and id_ else None


def _said(record: Record, header: str) -> str:
    said = (dict(record.headers).get(header) or b"").decode(errors="replace")
    return said if acceptable(said) else ""


def age_of(record: Record) -> float:
    """Seconds since the message came to Kafka."""
    return max(0.0, time.time() - record.timestamp / 1000)


def _is_tombstone(record: Record) -> bool:
    """Whether this is compaction's own message, which says that a key is gone: no event, nothing to judge."""
    return record.value is None and not any(name.startswith("ce_") for name, _ in record.headers)
