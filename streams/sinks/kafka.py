"""OCSF events on a Kafka topic, each acknowledged by all in-sync replicas before it counts as delivered.

Owns the record: the event as value, what it is about as key, so that one incident's events keep their order; the
notice's id in a header. Refuses to make a topic.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from detector.notice import Notice
from models.errors import StrayframeError
from streams.kafka.client import DELIVERY_SECONDS, producer, said
from streams.kafka.topics import partitions_of
from streams.outbox.call import Outcome, Result, lane
from streams.settings import Settings
from streams.sinks import ocsf
from streams.sinks.configuration import OcsfKafka, SinkError
from streams.sinks.sink import Sink


class KafkaSink(Sink):
    """Produces to `spec.topic`. The producer is made at the first event, and anew after a failure."""

    def __init__(self, spec: OcsfKafka, settings: Settings) -> None:
        super().__init__(spec)
        self._settings = settings if spec.servers is None else settings.model_copy(update={"kafka": spec.servers})
        if not self._settings.kafka:
            raise SinkError(f"[{spec.name}] no Kafka is named: give `servers`, or the setting kafka")
        self._topic = spec.topic
        self._group = spec.assignee_group
        self._producer: KafkaProducer | None = None

    @property
    def place(self) -> str:
        """Topic and servers."""
        return f"topic {self._topic} at {self._settings.kafka}"

    async def attempt(self, notice: Notice, at: datetime) -> Outcome:
        """Produce one record and wait until it is acknowledged."""
        return await asyncio.to_thread(self._produce, notice)

    async def probe(self) -> str:
        """Whether the topic is there."""
        try:
            await asyncio.to_thread(partitions_of, self._settings, self._topic)
        except (StrayframeError, KafkaError) as error:
            return said(error)
        return ""

    def close(self) -> None:
        """Let go of the producer; whatever it had was acknowledged, or is sent again."""
        made, self._producer = self._producer, None
        if made is not None:
            made.close(timeout=1)

    def _produce(self, notice: Notice) -> Outcome:
        try:
            if self._producer is None:
                self._producer = producer(self._settings)
            future: Any = self._producer.send(
                self._topic,
                ocsf.line(notice, self._group),
                key=lane(notice).encode(),
                headers=[("strayframe_notice", notice.id.encode()), ("content-type", b"application/json")],
            )
            told = future.get(timeout=DELIVERY_SECONDS)
        except KafkaTimeoutError:
            self.close()
            return Outcome(Result.RETRY, f"{self.place}: no broker answers, or none knows the topic")
        except (KafkaError, StrayframeError) as error:
            self.close()
            return Outcome(Result.RETRY, said(error))
        return Outcome(Result.DELIVERED, f"acknowledged as {self._topic} {told.partition}:{told.offset}")
