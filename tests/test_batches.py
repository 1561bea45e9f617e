"""Batches read where they lie say what kafka-python's own say, of whatever bytes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from kafka.errors import CorruptRecordError
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from streams.kafka.batches import Batch
from streams.kafka.inlet import Manager

NONE, GZIP = 0, 1
HEAD = DefaultRecordBatch.HEADER_STRUCT.size


def batch(dice: random.Random, compression: int = NONE) -> bytes:
    """A batch of records of all shapes."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for offset in range(dice.randrange(1, 6)):
        key, value = (dice.choice((None, b"", dice.randbytes(dice.randrange(1, 300)))) for _ in range(2))
        names = [dice.choice(("ce_id", "größe", "")) for _ in range(dice.randrange(14))]
        headers = [(name, dice.choice((None, b"", dice.randbytes(dice.randrange(200))))) for name in names]
        builder.append(offset, timestamp=1_700_000_000_000 + offset * 70, key=key, value=value, headers=headers)
    return bytes(builder.build())


def said(kind: Any, body: bytes) -> list[tuple[Any, ...]] | str:
    """The records of a batch, or that it is damaged."""
    try:
        read = kind(memoryview(body))
        return [
            (type(r), r.offset, r.timestamp, r.timestamp_type, r.key, r.value, r.headers, r.size_in_bytes) for r in read
        ]
    except CorruptRecordError:
        return "damaged"


@pytest.mark.parametrize("compression", [NONE, GZIP])
def test_a_batch_says_what_the_clients_own_says(compression: int) -> None:
    dice = random.Random(11)
    for _ in range(100):
        body = batch(dice, compression)
        found = said(Batch, body)
        assert found == said(DefaultRecordBatch, body) != "damaged"
        assert Batch(memoryview(body)).validate_crc()


def test_a_damaged_batch_is_told_as_the_clients_own_tells_it() -> None:
    dice, told = random.Random(12), set()
    for _ in range(3000):
        body = bytearray(batch(dice))
        for _ in range(dice.randrange(1, 3)):
            body[dice.randrange(HEAD, len(body))] = dice.randrange(256)
        found = said(Batch, bytes(body))
        assert found == said(DefaultRecordBatch, bytes(body))
        told.add(found == "damaged")
    assert told == {True, False}


def test_what_was_read_outlives_the_memory_that_it_was_read_from() -> None:
    body = bytearray(batch(random.Random(3)))
    before = said(DefaultRecordBatch, bytes(body))
    records = list(Batch(memoryview(body)))
    body[:] = bytes(len(body))
    assert [(r.offset, r.key, r.value, r.headers) for r in records] == [(r[1], *r[4:7]) for r in before]


def test_every_client_reads_so() -> None:
    assert vars(memory_records)["DefaultRecordBatch"] is Batch, f"{Manager.__module__} sees to it"
