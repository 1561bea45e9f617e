"""The topics: made as they should be, and looked at for what is wrong with them.

Owns partitions, compaction, sizes and retention of the topics. Refuses to change a topic that exists: whoever
made it may have had reasons, so what is wrong is said in words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError

from streams.kafka.browse import browsing, every
from streams.kafka.client import KafkaRefused, admin, message_bytes, reaching
from streams.settings import Settings

PARTITIONS: Final = 12
"""Partitions of a topic by default. One worker reads them all; twelve divide evenly among 2, 3, 4 or 6 later."""

STILLS_RETENTION_MS: Final = 3 * 24 * 3600 * 1000
"""How long stills stay on the broker: pictures of homes, so no longer than a worker may be down over a weekend."""

REJECTED_RETENTION_MS: Final = 7 * 24 * 3600 * 1000
"""How long dead letters stay: a week to look at them. They hold pictures, too."""

_UNKNOWN_TOPIC: Final = 3
"""Kafka's error code UNKNOWN_TOPIC_OR_PARTITION."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be."""

    name: str
    partitions: int
    configs: dict[str, str] = field(default_factory=dict)

    @property
    def compacted(self) -> bool:
        """Whether the broker keeps each key's last message for ever."""
        return self.configs.get("cleanup.policy") == "compact"


def topics(settings: Settings, partitions: int = PARTITIONS) -> list[Topic]:
    """The topics under the names that the settings give them; those that not everybody needs where they have one."""
    size = str(message_bytes(settings))
    stills = _kept(STILLS_RETENTION_MS) | {"max.message.bytes": size}
    optional = [name for name in (settings.topic_arrived, settings.topic_scenes) if name]
    return [
        *(Topic(name, partitions, stills) for name in optional),
        Topic(settings.topic_stills, partitions, stills),
        Topic(settings.topic_rights, partitions, {"cleanup.policy": "compact"}),
        Topic(settings.topic_changes, 1, {"retention.ms": "-1"}),
        Topic(settings.topic_rejected, partitions, _kept(REJECTED_RETENTION_MS) | {"max.message.bytes": size}),
    ]


def create_topics(settings: Settings, partitions: int = PARTITIONS, replication: int = 1) -> list[str]:
    """Make the topics that are missing; returns their names. Raises KafkaUnavailable, KafkaRefused.

    With three replicas or more, two of them must have a message before it counts.
    """
    durable = {"min.insync.replicas": "2"} if replication >= 3 else {}
    created: list[str] = []
    with admin(settings) as client, reaching(settings):
        for topic in topics(settings, partitions):
            wanted = {
                "num_partitions": topic.partitions,
                "replication_factor": replication,
                "configs": topic.configs | durable,
            }
            try:
                client.create_topics({topic.name: wanted}, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                continue
            created.append(topic.name)
    return created


def grow_topics(settings: Settings, partitions: int) -> list[str]:
    """Give the topic of stills more partitions, and that of scenes where there is one; their names.

    Cameras move between partitions then, so all that is in them has to be judged before: refused while it is not.

    Raises KafkaUnavailable, KafkaRefused.
    """
    readers = {settings.topic_stills: settings.kafka_group}
    if settings.topic_scenes:
        readers = {
            settings.topic_stills: f"{settings.kafka_group}.workers",
            settings.topic_scenes: settings.kafka_group,
        }
    with admin(settings) as client, reaching(settings), browsing(settings) as reader:
        for topic, group in readers.items():
            offsets = client.list_group_offsets([group])[group]
            read = {place: found.offset for place, found in offsets.items() if place.topic == topic}
            if next(every(reader, topic, read), None) is not None:
                raise KafkaRefused(
                    f"{topic} holds messages that the group {group!r} has not read: stop whoever produces to it "
                    "(`strayframe rekey`), and wait for the worker"
                )
        client.create_partitions(dict.fromkeys(readers, partitions))
    return list(readers)


def partitions_of(settings: Settings, topic: str) -> int:
    """How many partitions a topic has. Raises KafkaUnavailable, KafkaRefused."""
    with admin(settings) as client, reaching(settings):
        return len(client.describe_topics([topic])[0]["partitions"])


def largest_message(settings: Settings, *names: str) -> int:
    """The largest message that all of these topics take. Raises KafkaUnavailable, KafkaRefused."""
    with admin(settings) as client, reaching(settings):
        return min(int(_configs(client, name).get("max.message.bytes", message_bytes(settings))) for name in names)


def check_topics(settings: Settings) -> list[str]:
    """What is wrong with the topics, a sentence each; empty when nothing is. Raises KafkaUnavailable, KafkaRefused."""
    with admin(settings) as client, reaching(settings):
        found = {each["name"]: each for each in _described(client, topics(settings))}
        brokers = len(client.describe_cluster()["brokers"])
        problems: list[str] = []
        for topic in topics(settings):
            known = found.get(topic.name)
            if known is None or known["error_code"] == _UNKNOWN_TOPIC:
                problems.append(f"topic {topic.name} does not exist; `strayframe topics create` makes it")
            else:
                problems += _faults(topic, known, _configs(client, topic.name))
                problems += _gaps(topic.name, known, brokers)
    return problems


def require_topics(settings: Settings) -> list[str]:
    """What is wrong with the topics, none of which may be missing: a consumer would wait for it without a word.

    Raises KafkaRefused where one is missing, KafkaUnavailable.
    """
    problems = check_topics(settings)
    if missing := [problem for problem in problems if "does not exist" in problem]:
        raise KafkaRefused("; ".join(missing))
    return problems


def _described(client: KafkaAdminClient, wanted: list[Topic]) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = client.describe_topics([topic.name for topic in wanted])
    return described


def _configs(client: KafkaAdminClient, name: str) -> dict[str, str]:
    """The topic's settings in force, defaults included; empty where we may not see them."""
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    try:
        described = client.describe_configs([resource], config_filter="all")
    except KafkaError:
        return {}
    return {key: str(entry["value"]) for key, entry in described["topic"][name].items()}


def _faults(topic: Topic, known: dict[str, Any], configs: dict[str, str]) -> list[str]:
    if not configs:
        return [f"topic {topic.name}: its settings cannot be read with the rights that kafka_user has"]
    faults: list[str] = []
    compacted = "compact" in configs["cleanup.policy"]
    if topic.compacted and not compacted:
        faults.append(
            f"topic {topic.name} is not compacted (cleanup.policy = {configs['cleanup.policy']}): "
            "enrolments and grants would be deleted with age"
        )
    if not topic.compacted and compacted:
        faults.append(f"topic {topic.name} is compacted: of each camera's messages only the last would be kept")
    need = int(topic.configs.get("max.message.bytes", 0))
    if int(configs["max.message.bytes"]) < need:
        faults.append(
            f"topic {topic.name} takes messages of {configs['max.message.bytes']} bytes at most; "
            f"stills of still_bytes need max.message.bytes = {need}"
        )
    if int(topic.configs.get("retention.ms", -1)) > 0 and int(configs["retention.ms"]) < 0 and not compacted:
        faults.append(f"topic {topic.name} keeps its pictures for ever (retention.ms = {configs['retention.ms']})")
    faults += _weakness(topic.name, known, configs)
    return faults


def _gaps(name: str, known: dict[str, Any], brokers: int) -> list[str]:
    """Partitions that cannot be read now, or would be lost with one broker."""
    gaps: list[str] = []
    partitions = sorted(known["partitions"], key=lambda each: int(each["partition_index"]))
    if headless := _named(each for each in partitions if each["leader_id"] < 0):
        gaps.append(f"topic {name}: nobody leads partition {headless}: its brokers are away")
    if behind := _named(each for each in partitions if _is_behind(each)):
        gaps.append(f"topic {name}: of partition {behind} not all replicas are in sync")
    if brokers > 1 and (alone := _named(each for each in partitions if len(each["replica_nodes"]) < 2)):
        gaps.append(
            f"topic {name} has one replica of partition {alone} among {brokers} brokers: "
            "what lies there stops with its broker and is lost with its disk"
        )
    return gaps


def _named(partitions: Iterable[dict[str, Any]]) -> str:
    return ", ".join(str(each["partition_index"]) for each in partitions)


def _is_behind(partition: dict[str, Any]) -> bool:
    return partition["leader_id"] >= 0 and len(partition["isr_nodes"]) < len(partition["replica_nodes"])


def _weakness(name: str, known: dict[str, Any], configs: dict[str, str]) -> list[str]:
    replicas = min((len(each["replica_nodes"]) for each in known["partitions"]), default=0)
    if replicas >= 3 and int(configs["min.insync.replicas"]) < 2:
        return [f"topic {name} has {replicas} replicas, but min.insync.replicas = 1: one of them may lose messages"]
    return []


def _kept(milliseconds: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(milliseconds)}
