"""The doctor at Kafka: whether the brokers answer, the topics, the brokers' clock.

Owns how a broker's clock is asked for: the leader of the metadata quorum says when it last saw itself. Refuses to make
a topic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from kafka.errors import KafkaError

from models.errors import StrayframeError
from streams.doctor.finding import Finding, fine, look, wrong
from streams.doctor.store import compared
from streams.kafka.client import admin, reaching
from streams.kafka.topics import check_topics, topics
from streams.settings import Settings


def looked_at(settings: Settings, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Brokers and topics; nothing where no Kafka is named."""
    if not settings.kafka:
        yield fine("kafka", "none is named: `serve` judges by itself")
        return
    try:
        problems = check_topics(settings)
    except StrayframeError as error:
        yield wrong("kafka", str(error), "see that the brokers run, and that the settings `kafka*` are right")
        return
    yield fine("kafka", f"{settings.kafka} answers")
    for problem in problems:
        missing = "does not exist" in problem
        yield (wrong if missing else look)(
            "topics", problem, "`strayframe topics create` makes what is missing; see docs/worker.md"
        )
    if not problems:
        yield fine("topics", f"{len(topics(settings))} are as they should be")
    yield clock(settings, now)


def clock(settings: Settings, now: Callable[[], datetime]) -> Finding:
    """Our clock against that of the controller that leads."""
    try:
        with admin(settings) as client, reaching(settings):
            before = now()
            told = client.describe_metadata_quorum()
            after = now()
        theirs = _leaders(told)
    except (KafkaError, StrayframeError, LookupError, AttributeError, NotImplementedError):
        return fine("clock", "the brokers do not tell theirs (it needs the right to describe the cluster)")
    ours = before + (after - before) / 2
    return compared("the broker's", max(abs(theirs - ours) - (after - before) / 2, timedelta(0)))


def _leaders(told: dict[str, Any]) -> datetime:
    partition = told["topics"][0]["partitions"][0]
    leader = next(v for v in partition["current_voters"] if v["replica_id"] == partition["leader_id"])
    milliseconds = leader["last_caught_up_timestamp"]
    if milliseconds <= 0:
        raise LookupError("the leader does not say")
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
