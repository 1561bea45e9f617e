"""The worker that only looks (`worker --role worker`): stills in, what is compared of them out, without the stills.

Owns what a message of the topic of stills becomes on the topic of scenes. It holds no index, no history and no lease,
so any number run beside each other. Refuses to judge: the matcher does (`worker --role matcher`). How messages move,
each once and in their own partition, is `streams.kafka.forward`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

import structlog

from models.errors import StrayframeError
from models.fingerprint import Still
from models.records import Delivery
from streams import allocation
from streams import log as logs
from streams.claims import ClaimCheck
from streams.cloudevents import Message, Rejected
from streams.crew import Crew, crew_of
from streams.decode import Decoder
from streams.health import Health, HealthServer
from streams.kafka.client import KafkaRefused, Record
from streams.kafka.forward import Outgoing, Route, bytes_of, forward, headers_of, letter
from streams.kafka.topics import partitions_of, require_topics
from streams.messages import delivery_of, integration_of, parsed
from streams.metrics import Metrics
from streams.scenes import record_of, record_of_rejected
from streams.settings import Settings
from streams.stop import FAILED, STOPPED, Stop
from streams.store.sql import SqlStore
from streams.warm import warm_look
from streams.wiring import decoder

log = structlog.get_logger(__name__)

NAME: Final = "workers"
"""The group's suffix, and the transactions': all workers of a `kafka_group` share its partitions."""

Look = Callable[[], Still]


def run(settings: Settings) -> int:
    """Look until told to stop; the exit code."""
    logs.configure(settings.log_level, settings.log_format)
    allocation.keep()
    metrics = Metrics()
    health = Health(metrics)
    try:
        with Stop() as stop, ExitStack() as stack:
            if settings.metrics_port:
                server = HealthServer(health, settings.host, settings.metrics_port)
                stack.callback(server.close)
            for problem in require_topics(settings):
                log.warning("topics.problem", problem=problem)
            require_equal_partitions(settings)
            with SqlStore(settings.store) as store:
                decode = decoder(settings, store)
            crew = stack.enter_context(crew_of(decode, settings.processes, metrics.look_seconds.observe))
            claims = ClaimCheck(settings) if settings.dataref_origins or settings.dataref_folder else None
            if claims is not None:
                stack.enter_context(claims)
            warm_look(decode)
            if crew is not None:
                crew.await_ready()
            log.info("worker.started", role="worker", kafka=settings.kafka)
            forward(settings, Looker(settings, health, decode, crew, claims).route(), health, stop)
    except StrayframeError as error:
        log.error("worker.failed", reason=str(error))
        return FAILED
    log.info("worker.stopped")
    return STOPPED


def require_equal_partitions(settings: Settings) -> None:
    """A camera's records lie in the partition of its stills. Raises KafkaRefused where they could not."""
    stills, scenes = (partitions_of(settings, topic) for topic in (settings.topic_stills, settings.topic_scenes))
    if stills != scenes:
        raise KafkaRefused(
            f"{settings.topic_stills} has {stills} partitions and {settings.topic_scenes} has {scenes}: "
            "they need the same number, so that a camera's records keep the order of its stills"
        )


class Looker:
    """What becomes of the messages of one worker."""

    def __init__(
        self, settings: Settings, health: Health, decode: Decoder, crew: Crew | None, claims: ClaimCheck | None
    ) -> None:
        self._settings = settings
        self._metrics = health.metrics
        self._decode = decode
        self._crew = crew
        self._claims = claims

    def route(self) -> Route:
        """From stills to scenes, each in its partition."""
        to = (self._settings.topic_scenes, self._settings.topic_rejected)
        return Route(NAME, self._settings.topic_stills, to, self.become, self.put_aside)

    def become(self, records: Sequence[Record], largest: int) -> list[Outgoing]:
        """The records and dead letters of a batch, in its order; stills are looked at side by side where there is a
        crew."""
        said = [(record, parsed(record, self._settings)) for record in records]
        if self._claims is not None:
            self._claims.expect(
                m.dataref for _, m in said if isinstance(m, Message) and m.dataref is not None and not m.late
            )
        begun = [(record, self._begun(message)) for record, message in said if message is not None]
        return [each for record, what in begun for each in self._finished(record, what, largest)]

    def _begun(self, message: Message | Rejected) -> Message | Rejected | tuple[Delivery, Look | None]:
        if isinstance(message, Rejected) or not isinstance(message.event, Delivery):
            return message
        if message.late:
            return message.event, None
        try:
            data = message.data if message.data is not None else self._fetched(message)
        except Rejected as rejected:
            return rejected
        if self._crew is not None:
            return message.event, self._crew.look(data)
        return message.event, partial(self._decode.timed, data, self._metrics.look_seconds.observe)

    def _finished(
        self, record: Record, what: Message | Rejected | tuple[Delivery, Look | None], largest: int
    ) -> list[Outgoing]:
        match what:
            case Rejected():
                return self.put_aside(record, what, largest)
            case Message():  # of no still: it goes on as it came
                if bytes_of(record) > largest:
                    return self.put_aside(record, Rejected("too_large", "an event without a picture"), largest)
                return [self._on(record, headers_of(record), record.value)]
            case (delivery, look):
                return [self._on(record, *record_of(delivery, None if look is None else look()))]

    def _on(self, record: Record, headers: list[tuple[str, bytes]], value: bytes | None) -> Outgoing:
        topic, when = self._settings.topic_scenes, record.timestamp
        return Outgoing(topic, record.key, value, headers, record.partition, when)

    def put_aside(self, record: Record, rejected: Rejected, largest: int) -> list[Outgoing]:
        """A dead letter, and the note that has the matcher count it."""
        self._metrics.rejected.labels(rejected.reason).inc()
        log.warning(
            "message.rejected",
            delivery=delivery_of(record),
            reason=rejected.reason,
            detail=rejected.detail,
            topic=record.topic,
            offset=record.offset,
        )
        note = self._on(record, *record_of_rejected(integration_of(record)))
        return [letter(self._settings, record, rejected.reason, rejected.detail, largest), note]

    def _fetched(self, message: Message) -> bytes:
        if self._claims is None or message.dataref is None:
            raise Rejected("no_picture", "the picture is named by dataref, and nothing here may fetch it")
        return self._claims(message.dataref)
