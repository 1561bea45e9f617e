"""Re-keying: what producers sent without a key, or with a partitioner of their own, goes on under its own key.

Owns what a message of `topic_arrived` becomes. Refuses to judge, and to look at a picture: key and topic follow from
the event's attributes. How it is moved, each message once, is `streams.kafka.forward`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

import structlog

from models.errors import StrayframeError
from models.records import Delivery
from streams import log as logs
from streams.cloudevents import Rejected, parse_headers, partition_key
from streams.health import Health, HealthServer
from streams.kafka.client import Record, topic_of
from streams.kafka.forward import Outgoing, Route, bytes_of, forward, headers_of, letter
from streams.kafka.topics import require_topics
from streams.messages import delivery_of
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stop import FAILED, STOPPED, Stop

log = structlog.get_logger(__name__)

EVENT_BYTES: Final = 64 * 1024
"""Largest event without a picture: its attributes are at most 1 kB each, and brokers take 1 MiB by default."""


def run(settings: Settings) -> int:
    """Re-key until told to stop; the exit code."""
    logs.configure(settings.log_level, settings.log_format)
    health = Health(Metrics())
    try:
        with Stop() as stop, ExitStack() as stack:
            if settings.metrics_port:
                server = HealthServer(health, settings.host, settings.metrics_port)
                stack.callback(server.close)
            for problem in require_topics(settings):
                log.warning("topics.problem", problem=problem)
            forward(settings, route(settings, health), health, stop)
    except StrayframeError as error:
        log.error("rekey.failed", reason=str(error))
        return FAILED
    log.info("rekey.stopped")
    return STOPPED


def route(settings: Settings, health: Health) -> Route:
    """The way of what arrives."""
    to = (settings.topic_stills, settings.topic_rejected)
    aside = partial(_put_aside, settings, health)
    return Route("rekey", settings.topic_arrived, to, partial(_become, settings, health), aside)


def _become(settings: Settings, health: Health, records: Sequence[Record], largest: int) -> list[Outgoing]:
    return [each for record in records for each in _keyed(settings, health, record, largest)]


def _keyed(settings: Settings, health: Health, record: Record, largest: int) -> list[Outgoing]:
    try:
        event = parse_headers(record.headers, record.value).event
        limit = largest if isinstance(event, Delivery) else EVENT_BYTES
        if bytes_of(record) > limit:
            raise Rejected("too_large", f"the topic takes messages of {limit} bytes at most")
    except Rejected as rejected:
        return _put_aside(settings, health, record, rejected, largest)
    topic, key = topic_of(event, settings), partition_key(event)
    return [Outgoing(topic, key, record.value, headers_of(record), timestamp=record.timestamp)]


def _put_aside(settings: Settings, health: Health, record: Record, rejected: Rejected, largest: int) -> list[Outgoing]:
    health.metrics.rejected.labels(rejected.reason).inc()
    log.warning(
        "message.rejected",
        delivery=delivery_of(record),
        reason=rejected.reason,
        topic=record.topic,
        offset=record.offset,
    )
    return [letter(settings, record, rejected.reason, rejected.detail, largest)]
