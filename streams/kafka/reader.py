"""The three topics, read from where the store left off: rights to their end first, nothing skipped in silence.

Owns positions: which offset comes next in each partition, and what the broker no longer had. The store is told of
them in the transaction of what they led to; the group's own offsets are written for lag tools and never read.
Refuses to look into a message. Used by one thread; the consumer's own thread calls `_Seats` only.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import MemberToRemove
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import (
    CorruptRecordError,
    FencedInstanceIdError,
    KafkaError,
    LogTruncationError,
    OffsetOutOfRangeError,
)
from kafka.partitioner.default import murmur2
from kafka.structs import OffsetAndMetadata

from detector.learned import Mine, every
from streams.judge import Move
from streams.kafka.client import INSTANCE, KafkaRefused, KafkaUnavailable, Record, admin, consumer, said
from streams.kafka.stall import Stall, ask_ahead, has_more, seen_through
from streams.settings import Settings
from streams.share import WHOLE, Share

log = structlog.get_logger(__name__)

LOOKUP_MS: Final = 10_000
"""How long the broker may take to say where partitions begin and end: two round trips, and a leader election."""

GROUP_COMMIT_MS: Final = 5_000
"""How long the last group commit may hold up a shutdown. It serves lag tools only."""

SEAT_SECONDS: Final = 0.05
"""Longest poll before partitions are assigned: the group's answer takes some 20 ms, and nothing is fetched by then."""

RIGHTS_AT_ONCE: Final = 5_000
"""Rights taken per batch before the first still: each is a few hundred bytes and takes microseconds."""


def cameras_of(share: Share, partitions: int) -> Mine:
    """Which cameras are the share's, where stills have so many partitions: by the key of their stills."""
    if share.is_whole:
        return every
    return lambda camera: share.has(_partition_of(camera.encode(), partitions))


def _partition_of(key: bytes, partitions: int) -> int:
    """The partition in which Kafka's default partitioner puts a key."""
    hashed: int = murmur2(key)
    return hashed % 2**31 % partitions


class Replaced(KafkaRefused):
    """Another consumer took this one's seat in the group."""


class Positions(Protocol):
    """Where the store says that reading goes on. `streams.store.sql.SqlStore` is it."""

    def claim(self, topic: str, partition: int, begin: int) -> int:
        """Take the partition under this judge's epoch; its next offset, which is `begin` where it is new."""

    def follow(self, topic: str, partition: int, begin: int) -> int:
        """Where to read a partition whose offsets another judge keeps."""


@dataclass(frozen=True, slots=True)
class Haul:
    """The messages of one poll, and how far reading them, and what the broker lost before them, moves each partition.

    A haul is stored whole, and after those that were polled before it.
    """

    records: list[Record]
    moves: list[Move]


class _Seats(ConsumerRebalanceListener):
    """What the group assigns. A partition that is not settled yet stays paused; the others go on where they were.

    Runs on the client's thread while `poll` waits for it, so it only seeks and pauses.
    """

    def __init__(self, client: KafkaConsumer, following: Mapping[TopicPartition, int]) -> None:
        self._client = client
        self._following = following
        self.changed = False

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Nothing to give up: the store fences by epoch, so what is in hand may be stored whoever reads on."""

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Put every partition where the store says; never where the group's own offsets say."""
        for partition in assigned:
            self._client.seek(partition, self._following.get(partition, 0))
            self._client.pause(partition)
        self.changed = True


class Reader:
    """Reads rights, changes and stills in that order within a poll.

    Each poll gives its messages with the moves that they make; call `stored` once a transaction holds these. Several
    hauls may be in hand before the first is stored. Of stills a share reads its own partitions; rights all of them,
    whose offsets the desk keeps, and the desk alone changes.
    Errors: KafkaUnavailable (trying again may help), KafkaRefused.
    """

    def __init__(self, settings: Settings, positions: Positions, share: Share = WHOLE) -> None:
        self._settings = settings
        self._positions = positions
        self._share = share
        self._rank = {settings.topic_rights: 0, settings.topic_changes: 1, settings.topic_stills: 2}
        if not share.is_desk:
            del self._rank[settings.topic_changes]
        self._client = seen_through(consumer(settings))
        self._stall = Stall(self._client, alone=True)
        self._next: dict[TopicPartition, int] = {}
        self._told: dict[TopicPartition, int] = {}
        self._stored: dict[TopicPartition, int] = {}
        self._lost: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] | None = None
        self._misplaced = False
        self._seats = _Seats(self._client, self._next)
        self._client.subscribe(sorted(self._rank), listener=self._seats)

    @property
    def rights_read(self) -> bool:
        """Whether the rights that were there at the start have all been handed out, so that stills may follow."""
        return self._ends == {}

    @property
    def has_more(self) -> bool:
        """Whether messages have come that were not handed out yet."""
        return has_more(self._client)

    def poll(self, seconds: float, limit: int) -> Haul:
        """Up to `limit` messages, waiting up to `seconds` for the first: rights, then changes, then stills.

        Within a topic, partitions are merged by the messages' timestamps; within a partition the order is kept.
        """
        if self._ends is None:
            seconds = min(seconds, SEAT_SECONDS)
        fetched = self._fetch(seconds, limit if self.rights_read else max(limit, RIGHTS_AT_ONCE))
        for partition, records in fetched.items():
            self._next[partition] = records[-1].offset + 1
            if partition.topic == self._settings.topic_stills and not self._misplaced:
                self._look_at_place(partition, records[0])
        if self._seats.changed:
            self._settle()
        if not self.rights_read:
            self._look_at_rights()
        return Haul(self._in_order(fetched), self._moves())

    def behind(self) -> int:
        """Messages that the broker is known to have and that were not handed out yet."""
        waiting = 0
        for partition in self._client.assignment() & self._next.keys():
            end = self._client.highwater(partition)
            if end is not None and end > self._next[partition]:
                # by the position: compaction and transactions leave holes at the end
                waiting += max(0, end - self._client.position(partition, timeout_ms=LOOKUP_MS))
        return waiting

    def _moves(self) -> list[Move]:
        """How far each partition was read since the last poll, and how many of its messages were gone."""
        moves = [
            Move(
                partition.topic,
                partition.partition,
                first,
                self._next[partition],
                self._lost.pop(partition, 0),
                self._follows(partition),
            )
            for partition, first in self._told.items()
            if self._next[partition] != first
        ]
        self._told = dict(self._next)
        return moves

    def stored(self, moves: Iterable[Move]) -> None:
        """The store holds the moves. Tell the group, for lag tools; a failure is logged and harmless."""
        for move in moves:
            self._stored[TopicPartition(move.topic, move.partition)] = move.next
        try:
            self._client.commit_async(self._group_offsets(), callback=_committed)
        except KafkaError as error:
            log.warning("group.commit_failed", error=said(error))

    def close(self, leave: bool) -> None:
        """Let go of the consumer; `leave` tells the group too, with the offsets that are stored."""
        try:
            if leave and self._stored:
                self._client.commit(self._group_offsets(), timeout_ms=GROUP_COMMIT_MS)
        except KafkaError as error:
            log.warning("group.commit_failed", error=said(error))
        self._client.close(timeout_ms=GROUP_COMMIT_MS)
        if leave:
            self._leave()

    def _leave(self) -> None:
        """A static member stays in the group until its session ends, unless it is taken out by name."""
        try:
            with admin(self._settings) as client:
                client.remove_group_members(self._settings.kafka_group, [MemberToRemove(group_instance_id=INSTANCE)])
        except (KafkaError, KafkaUnavailable, KafkaRefused) as error:
            log.warning("group.leave_failed", error=said(error))

    def _fetch(self, seconds: float, limit: int) -> dict[TopicPartition, list[Record]]:
        try:
            fetched: dict[TopicPartition, list[Record]] = self._client.poll(int(seconds * 1000), max_records=limit)
        except OffsetOutOfRangeError as error:
            self._find_again(error.args[0])
        except LogTruncationError as error:
            self._rewind(error.divergent_offsets)
        except FencedInstanceIdError:
            raise Replaced(
                f"another worker has joined the group {self._settings.kafka_group!r}. One store has one worker; "
                "give each store a group of its own (kafka_group)"
            ) from None
        except CorruptRecordError as error:
            raise KafkaRefused(
                "a message is damaged, or has a header whose name is not UTF-8: kafka-python reads neither it nor what "
                f"follows in its partition, until the broker has deleted it ({said(error)})"
            ) from None
        except KafkaError as error:
            kind = KafkaUnavailable if error.retriable else KafkaRefused
            raise kind(f"Kafka at {self._settings.kafka}: {said(error)}") from None
        else:
            self._look_on(fetched)
            return fetched
        return {}

    def _look_on(self, fetched: Mapping[TopicPartition, list[Record]]) -> None:
        """See to it that reading goes on. While rights are read nothing is asked ahead: it would not bring stills."""
        try:
            self._stall.look(fetched)
            if fetched and self.rights_read:
                ask_ahead(self._client)
        except KafkaError as error:
            raise KafkaUnavailable(f"Kafka at {self._settings.kafka}: {said(error)}") from None

    def _settle(self) -> None:
        """Claim what is new in the store, put it where the store says, and let it be read."""
        self._seats.changed = False
        assigned: set[TopicPartition] = self._client.assignment()
        new = sorted(each for each in assigned - self._next.keys() if self._has(each))
        for partition, begin in self._beginnings(new).items():
            place = self._positions.follow if self._follows(partition) else self._positions.claim
            following = place(partition.topic, partition.partition, begin)
            self._next[partition] = self._told[partition] = self._stored[partition] = following
            self._client.seek(partition, following)
        if self._ends is None and assigned:
            self._ends = self._ends_of(self._settings.topic_rights)
        self._resume()
        if assigned:
            log.info("partitions.assigned", assigned=len(assigned), new=len(new))
        self._warn_of_foreign(assigned)

    def _has(self, partition: TopicPartition) -> bool:
        """Whether the share reads it."""
        return partition.topic != self._settings.topic_stills or self._share.has(partition.partition)

    def _follows(self, partition: TopicPartition) -> bool:
        """Whether another share keeps its offsets."""
        return partition.topic == self._settings.topic_rights and not self._share.is_desk

    def _resume(self) -> None:
        """Stills wait until the rights are read."""
        stills = self._settings.topic_stills
        ready = [each for each in self._client.assignment() if each in self._next]
        self._client.resume(*(each for each in ready if self.rights_read or each.topic != stills))

    def _look_at_rights(self) -> None:
        """Strike off the rights partitions that were read to where they ended at the start; then let stills come.

        By the consumer's position, not by the last message: compaction and transactions leave holes at the end.
        """
        if self._ends is None:
            return
        assigned = self._client.assignment()
        for partition in [each for each in self._ends if each in assigned and each in self._next]:
            if self._client.position(partition, timeout_ms=LOOKUP_MS) >= self._ends[partition]:
                del self._ends[partition]
        if self.rights_read:
            self._resume()
            log.info("rights.read")

    def _warn_of_foreign(self, assigned: set[TopicPartition]) -> None:
        known = {
            TopicPartition(topic, number)
            for topic in self._rank
            for number in self._client.partitions_for_topic(topic) or ()
        }
        if assigned and known - assigned:
            log.warning(
                "partitions.elsewhere",
                group=self._settings.kafka_group,
                missing=sorted(f"{each.topic}/{each.partition}" for each in known - assigned),
            )

    def _look_at_place(self, partition: TopicPartition, record: Record) -> None:
        """Warn, once, of a still that lies in another partition than its key says, or has none: order within a camera
        holds within a partition only. Also true of stills from before the topic got more partitions."""
        there = self._client.partitions_for_topic(partition.topic) or ()
        if record.key is None or (there and _partition_of(record.key, len(there)) != partition.partition):
            self._misplaced = True
            log.warning(
                "still.misplaced",
                topic=partition.topic,
                partition=partition.partition,
                offset=record.offset,
                keyed=record.key is not None,
            )

    def _find_again(self, lost: Mapping[TopicPartition, int]) -> None:
        """The broker no longer has an offset: go on at its first message, and count what lies between as lost."""
        for partition, begin in self._beginnings(sorted(lost)).items():
            wanted = lost[partition]
            gone = max(0, begin - wanted)
            self._lost[partition] = self._lost.get(partition, 0) + gone
            self._go_to(partition, begin)
            log.error(
                "offset.lost" if gone else "offset.ahead",
                topic=partition.topic,
                partition=partition.partition,
                wanted=wanted,
                begin=begin,
                lost=gone,
            )

    def _rewind(self, divergent: Mapping[TopicPartition, OffsetAndMetadata | None]) -> None:
        """The log was cut back behind us: go on where it parted. Reading a message twice changes nothing."""
        beginnings = self._beginnings(sorted(divergent))
        for partition, parted in divergent.items():
            to = parted.offset if parted is not None else beginnings[partition]
            log.error("log.truncated", topic=partition.topic, partition=partition.partition, begin=to)
            self._go_to(partition, to)

    def _go_to(self, partition: TopicPartition, offset: int) -> None:
        self._next[partition] = offset
        self._client.seek(partition, offset)

    def _beginnings(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        if not partitions:
            return {}
        try:
            begins: dict[TopicPartition, int] = self._client.beginning_offsets(partitions, timeout_ms=LOOKUP_MS)
        except KafkaError as error:
            raise KafkaUnavailable(f"the beginnings of the partitions cannot be found: {said(error)}") from None
        return begins

    def _ends_of(self, topic: str) -> dict[TopicPartition, int]:
        numbers = self._client.partitions_for_topic(topic)
        if not numbers:
            raise KafkaUnavailable(f"the partitions of {topic} are not known yet")
        try:
            ends: dict[TopicPartition, int] = self._client.end_offsets(
                [TopicPartition(topic, number) for number in numbers], timeout_ms=LOOKUP_MS
            )
        except KafkaError as error:
            raise KafkaUnavailable(f"the end of {topic} cannot be found: {said(error)}") from None
        return ends

    def _group_offsets(self) -> dict[TopicPartition, OffsetAndMetadata]:
        return {each: OffsetAndMetadata(following, "", -1) for each, following in self._stored.items()}

    def _in_order(self, fetched: Mapping[TopicPartition, list[Record]]) -> list[Record]:
        ordered: list[Record] = []
        for topic in sorted(self._rank, key=self._rank.__getitem__):
            runs = [fetched[each] for each in sorted(fetched) if each.topic == topic]
            ordered += heapq.merge(*runs, key=lambda record: record.timestamp)
        return ordered


def _committed(_offsets: object, answer: object) -> None:
    """The group commit's callback. Lag tools lag; nothing else happens."""
    if isinstance(answer, BaseException):
        log.warning("group.commit_failed", error=said(answer))
