"""Dead letters read again: which there are, what is in one, and back to where they came from.

Owns finding letters, telling copies of one apart, and the marks of those that were replayed. Refuses to delete: the
topic's retention does. A mark is a record of the same topic that names a letter, so that what was replayed is known
wherever the topic is; a crash between a replay and its mark replays the letter twice, and ids make that harmless.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from models.errors import StrayframeError
from streams.kafka.browse import at, browsing, every
from streams.kafka.client import DELIVERY_SECONDS, KafkaUnavailable, Record, producer, said
from streams.settings import Settings

REPLAYED: Final = "replayed"
"""The reason of a mark. No letter has it."""

_OWN: Final = "strayframe_"
_PLACE: Final = re.compile(r"(\d{1,9}):(\d{1,18})")


class NoSuchLetter(StrayframeError):
    """There is no letter at that place, or no longer."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a letter lies in the dead-letter topic. Its name is PARTITION:OFFSET."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place of that name. Raises NoSuchLetter."""
        found = _PLACE.fullmatch(text)
        if found is None:
            raise NoSuchLetter(f"{text!r} names no letter; `strayframe dlq list` shows them as PARTITION:OFFSET")
        return cls(int(found[1]), int(found[2]))


@dataclass(slots=True)
class Letter:
    """A dead letter without what it holds: `origin` is topic, partition and offset of the message, `size` its bytes.

    `copies` are further letters of the same message, which a crash left behind; `replayed`, whether it went back.
    """

    place: Place
    when: datetime
    reason: str
    detail: str
    origin: tuple[str, str, str]
    size: int
    dropped: str
    copies: list[Place] = field(default_factory=list)
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """The message as it came, from within its letter."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def letters(settings: Settings) -> list[Letter]:
    """All letters, oldest first, each message once. Raises KafkaUnavailable, KafkaRefused."""
    found: dict[tuple[tuple[str, str, str], str, int], Letter] = {}
    gone: set[str] = set()
    with browsing(settings) as client:
        for record in every(client, settings.topic_rejected):
            headers = _own(record)
            if headers.get("reason") == REPLAYED:
                gone.add(headers.get("place", ""))
                continue
            letter = _letter(record, headers)
            first = found.setdefault((letter.origin, letter.reason, letter.size), letter)
            if first is not letter:
                first.copies.append(letter.place)
    for letter in found.values():
        letter.replayed = any(str(place) in gone for place in (letter.place, *letter.copies))
    return sorted(found.values(), key=lambda letter: (letter.when, letter.place))


def open_letter(settings: Settings, place: Place) -> tuple[Letter, Message]:
    """One letter with what it holds. Raises NoSuchLetter, KafkaUnavailable, KafkaRefused."""
    with browsing(settings) as client:
        return next(_opened(client, settings, [place]))


def replay(settings: Settings, places: Sequence[Place]) -> Iterator[tuple[Letter, str]]:
    """Send letters back to where they came from, one by one, with the reason why not where that cannot be.

    Each is marked once the brokers hold it. Raises NoSuchLetter, KafkaUnavailable, KafkaRefused.
    """
    ours = {settings.topic_stills, settings.topic_rights, settings.topic_changes}
    ours |= {settings.topic_arrived, settings.topic_scenes} - {""}
    with browsing(settings) as client, _producing(settings) as send:
        for letter, message in _opened(client, settings, places):
            topic = letter.origin[0]
            if letter.dropped:
                yield letter, f"not all of it is there: the {letter.dropped} did not fit"
            elif topic not in ours:
                yield letter, f"it came from {topic!r}, which is none of the topics in the settings"
            else:
                send(topic, message)
                send(settings.topic_rejected, _mark(letter.place))
                yield letter, ""


class _Send:
    """Sends a message and waits until the brokers hold it."""

    def __init__(self, settings: Settings) -> None:
        self._producer = producer(settings)

    def __call__(self, topic: str, message: Message) -> None:
        try:
            sent = self._producer.send(topic, message.value, key=message.key, headers=message.headers)
            sent.get(timeout=DELIVERY_SECONDS)
        except KafkaError as error:
            raise KafkaUnavailable(f"Kafka did not take a message for {topic}: {said(error)}") from None

    def close(self) -> None:
        self._producer.close(timeout=1)


@contextmanager
def _producing(settings: Settings) -> Iterator[_Send]:
    send = _Send(settings)
    try:
        yield send
    finally:
        send.close()


def _opened(client: KafkaConsumer, settings: Settings, places: Iterable[Place]) -> Iterator[tuple[Letter, Message]]:
    for place in places:
        partition = TopicPartition(settings.topic_rejected, place.partition)
        record = at(client, partition, place.offset)
        headers = {} if record is None else _own(record)
        if record is None or headers.get("reason") in (None, REPLAYED):
            raise NoSuchLetter(
                f"there is no letter at {place}, or no longer; `strayframe dlq list` shows what is there"
            )
        whole = [(name, value or b"") for name, value in record.headers if not name.startswith(_OWN)]
        yield _letter(record, headers), Message(record.key, record.value, whole)


def _own(record: Record) -> dict[str, str]:
    """The headers that the dead letter was given; the last of a name, since the message may have been one itself."""
    return {
        name.removeprefix(_OWN): (value or b"").decode(errors="backslashreplace")
        for name, value in record.headers
        if name.startswith(_OWN)
    }


def _letter(record: Record, headers: dict[str, str]) -> Letter:
    return Letter(
        Place(record.partition, record.offset),
        datetime.fromtimestamp(record.timestamp / 1000, UTC),
        headers.get("reason", ""),
        headers.get("detail", ""),
        (headers.get("topic", ""), headers.get("partition", ""), headers.get("offset", "")),
        len(record.value or b""),
        headers.get("dropped", ""),
    )


def _mark(place: Place) -> Message:
    headers = [(f"{_OWN}reason", REPLAYED.encode()), (f"{_OWN}place", str(place).encode())]
    return Message(None, b"", headers)
