"""Batches of records read where they lie: of a message only what outlives the fetch is copied, and once.

kafka-python 3.0.12 copies a batch, then each value out of the copy, twice: a batch is a bytearray, of which a slice is
another one. And it goes through a message's headers in that bytearray, two copies each.

Owns how a record of the present form (magic 2) is told from the bytes. Refuses everything around it: checksums,
compression and transactions are the client's.
"""

from __future__ import annotations

from typing import Any

from kafka.errors import CorruptRecordError
from kafka.record.default_records import ControlRecord, DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

Headers = list[tuple[str, bytes | None]]


class Batch(DefaultRecordBatch):
    """A batch upon the memory that it is given. The records are the client's own, and so is what it raises."""

    __slots__ = ()

    def __init__(self, buffer: memoryview) -> None:
        self._buffer: Any = buffer
        self._header_data = self.HEADER_STRUCT.unpack_from(buffer)
        self._pos: int = self.HEADER_STRUCT.size
        self._num_records = self._header_data[12]
        self._next_record_index = 0
        self._decompressed = False

    def _read_msg(self, decode_varint: Any = decode_varint) -> Any:
        buffer = self._buffer
        length, begin = decode_varint(buffer, self._pos)
        _, pos = decode_varint(buffer, begin)  # attributes: of a record there are none
        later, pos = decode_varint(buffer, pos)
        further, pos = decode_varint(buffer, pos)
        key, pos = _piece(buffer, pos)
        value, pos = _piece(buffer, pos)
        self._pos = begin + length
        headers, size = _headers(bytes(buffer[pos : self._pos]))
        if pos + size != self._pos:
            raise CorruptRecordError(f"a record of {length} bytes ends at {pos + size - begin}")
        kind = self.timestamp_type
        at = self.max_timestamp if kind == self.LOG_APPEND_TIME else self.first_timestamp + later
        made: Any = ControlRecord if self.is_control_batch else DefaultRecord
        return made(length, self.base_offset + further, at, kind, key, value, headers)


def _piece(buffer: Any, pos: int) -> tuple[bytes | None, int]:
    """Bytes behind their length, None for a negative one; and where they end."""
    size, pos = decode_varint(buffer, pos)
    return (None, pos) if size < 0 else (bytes(buffer[pos : pos + size]), pos + size)


def _headers(body: bytes) -> tuple[Headers, int]:
    """The headers at the end of a record, and how many bytes they take."""
    count, pos = decode_varint(body, 0)
    if count < 0:
        raise CorruptRecordError(f"{count} headers")
    headers: Headers = []
    for _ in range(count):
        size, pos = decode_varint(body, pos)
        if size < 0:
            raise CorruptRecordError(f"a header whose name has {size} bytes")
        name = body[pos : pos + size].decode()
        value, pos = _piece(body, pos + size)
        headers.append((name, value))
    return headers, pos
