"""A transactional producer that waits for its brokers within a bound.

Owns how long that is. Refuses everything else: what a transaction holds is forward.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

TRANSACTION_SECONDS: Final = 10.0
"""How long a transaction may take before the broker aborts it; readers wait for it that long after a crash. One takes
some 20 ms; where brokers are so slow that it takes longer than this, it is tried again."""

ANSWER_SECONDS: Final = 2 * TRANSACTION_SECONDS
"""How long the brokers may take to say what became of a transaction: by then they have long aborted it."""


class BoundedProducer(KafkaProducer):
    """kafka-python's producer, whose waits for the transaction's coordinator end.

    Those of kafka-python 3.0.12 do not: where a broker went away with the question in its hands, `commit_transaction`
    and `send_offsets_to_transaction` were seen to wait for ever. What is not answered raises KafkaTimeoutError. The
    session is to be thrown away then: the next producer under the same id has the brokers finish or abort what was
    left, and whether it was committed the group's offsets say.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._transactions: Any = self._transaction_manager

    def send_offsets_to_transaction(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group_metadata: ConsumerGroupMetadata | str
    ) -> None:
        """As the client has it. Raises KafkaTimeoutError, too."""
        self._await(self._transactions.send_offsets_to_transaction(offsets, group_metadata))

    def commit_transaction(self) -> None:
        """As the client has it. Raises KafkaTimeoutError, too."""
        self._await(self._transactions.begin_commit())

    def _await(self, asked: Any) -> None:
        self._sender.wakeup()
        if not asked.wait(timeout_ms=ANSWER_SECONDS * 1000):
            raise KafkaTimeoutError(f"no answer on the transaction within {ANSWER_SECONDS:.0f} s")
