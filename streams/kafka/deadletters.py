"""Dead letters: what could not be judged goes to a topic of its own, whole, with the reason in its headers.

Owns the headers' names and what becomes of a message that does not fit. Refuses to judge, and to forget: `settle`
returns only once the broker holds every letter. A crash before the batch is stored sends its letters again; the
headers name topic, partition and offset, by which a second copy is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import structlog
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from streams.kafka.client import DELIVERY_SECONDS, KafkaRefused, KafkaUnavailable, Record, producer, said
from streams.settings import Settings

log = structlog.get_logger(__name__)

HELD_BYTES: Final = 32 * 1024 * 1024
"""Bytes of letters that wait for their acknowledgement, at most; then `send` waits for them."""

DETAIL_CHARACTERS: Final = 500
"""Length of the detail that is kept. It is a sentence; an exception's text may be anything."""

SHAPES: Final = ("whole", "without value", "without value, key and headers")
"""What of a message is sent, in the order tried: each next shape when the one before was too large."""


@dataclass(slots=True)
class _Letter:
    record: Record
    reason: str
    detail: str
    shape: int
    future: Any


class DeadLetters:
    """The dead-letter topic. Used by one thread."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic_rejected
        self._producer = producer(settings)
        self._held: list[_Letter] = []
        self._bytes = 0

    def send(self, record: Record, reason: str, detail: str) -> None:
        """Put a message aside. `reason` is a stable word, `detail` a sentence. Raises as `settle` does."""
        letter = _Letter(record, reason, detail, 0, None)
        self._post(letter)
        self._held.append(letter)
        self._bytes += len(record.value or b"")
        if self._bytes > HELD_BYTES:
            self.settle()

    def settle(self) -> None:
        """Return once every letter is acknowledged. Raises KafkaUnavailable, KafkaRefused."""
        for letter in self._held:
            while not self._arrived(letter):
                letter.shape += 1
                self._post(letter)
        self._held.clear()
        self._bytes = 0

    def close(self) -> None:
        """Let go of the connection."""
        self._producer.close(timeout=1)

    def _post(self, letter: _Letter) -> None:
        """Hand the letter to the client, in the first shape that the client takes."""
        while True:
            key, value, headers = shaped(letter.record, letter.reason, letter.detail, SHAPES[letter.shape])
            try:
                letter.future = self._producer.send(self._topic, value, key=key, headers=headers)
            except MessageSizeTooLargeError:
                self._require_smaller(letter)
                letter.shape += 1
            except KafkaTimeoutError:
                raise KafkaUnavailable(f"the dead-letter topic {self._topic} cannot be reached") from None
            else:
                return

    def _arrived(self, letter: _Letter) -> bool:
        """Whether the broker took it; False when it was too large and can be made smaller."""
        try:
            letter.future.get(timeout=DELIVERY_SECONDS)
        except MessageSizeTooLargeError:
            self._require_smaller(letter)
            return False
        except KafkaError as error:
            kind = KafkaUnavailable if error.retriable else KafkaRefused
            raise kind(f"the dead-letter topic {self._topic} did not take a message: {said(error)}") from None
        return True

    def _require_smaller(self, letter: _Letter) -> None:
        if letter.shape + 1 == len(SHAPES):
            raise KafkaRefused(
                f"the dead-letter topic {self._topic} refuses even a message without a value as too large; "
                "raise its max.message.bytes"
            )


def shaped(
    record: Record, reason: str, detail: str, shape: str
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Key, value and headers of the letter of a message, in one of SHAPES."""
    own = {
        "strayframe_reason": reason,
        "strayframe_detail": detail[:DETAIL_CHARACTERS],
        "strayframe_topic": record.topic,
        "strayframe_partition": str(record.partition),
        "strayframe_offset": str(record.offset),
    }
    if shape == "whole" and (record.value is not None or record.key is not None):
        return record.key, record.value, [*_original(record), *_encoded(own)]
    own["strayframe_dropped"] = f"value of {len(record.value or b'')} bytes"
    if shape == "without value, key and headers":
        own["strayframe_dropped"] += ", key and headers"
        return None, b"", _encoded(own)
    return record.key, b"", [*_original(record), *_encoded(own)]


def _original(record: Record) -> list[tuple[str, bytes]]:
    return [(name, value or b"") for name, value in record.headers]


def _encoded(headers: dict[str, str]) -> list[tuple[str, bytes]]:
    return [(name, value.encode(errors="backslashreplace")) for name, value in headers.items()]
