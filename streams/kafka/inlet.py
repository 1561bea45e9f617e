"""What brokers answer, received where it is read, without the copies between.

kafka-python 3.0.12 reads its socket 4 KiB at a time, joins the pieces, copies them into a buffer that it has made for
this one answer, and copies that twice to decode it: of 0.5 ms of CPU that a fetched still of 140 kB costs, 0.3 go into
these copies and into memory that the system has to hand out anew each time. Here the system writes each answer into
memory of its own, while other threads hold Python's lock, and what a fetch brought stays there until it was read
(streams/kafka/batches.py).

Owns that memory, and where an answer ends. Refuses to know what an answer says: kafka-python's parser decodes it.
"""

from __future__ import annotations

import ssl
from typing import Any, Final

import numpy as np
from kafka.errors import KafkaConnectionError, KafkaError
from kafka.net.manager import KafkaConnectionManager
from kafka.protocol.consumer.fetch import FetchResponse
from kafka.protocol.schemas.fields.codecs import Bytes
from kafka.record import memory_records

from streams.kafka.batches import Batch

HEAD_BYTES: Final = 4
"""The length that stands before each answer."""

LEAST_BYTES: Final = 64 * 1024
"""Answers below this size are decoded from a copy, as the client does it: heartbeats, acknowledgements, metadata."""


class _Lying(Bytes):
    """Bytes that are not copied out of the answer: whoever holds them holds the answer."""

    @classmethod
    def emit_decode_from(cls, ctx: Any, var_name: str, indent: str, compact: bool = False) -> None:
        """As the client has it, but for the copy."""
        begin = len(ctx.lines)
        super().emit_decode_from(ctx, var_name, indent, compact)  # type: ignore[no-untyped-call]
        ctx.lines[begin:] = [line.replace(" = bytes(data[", " = (data[") for line in ctx.lines[begin:]]


def _read_in_place() -> None:
    """Have the client decode what a fetch brings so, and read batches where they lie."""
    answer: Any = FetchResponse
    fields = answer._struct._fields
    for name in ("responses", "partitions"):
        fields = next(field for field in fields if field.name == name).array_of._fields
    next(field for field in fields if field.name == "records")._type = _Lying
    vars(memory_records)["DefaultRecordBatch"] = Batch


_read_in_place()


class Manager(KafkaConnectionManager):
    """kafka-python's connections, each with an inlet."""

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        transport = await super()._build_transport(node, timeout_at=timeout_at)  # type: ignore[no-untyped-call]
        transport._sock_recv = Inlet(transport).receive
        return transport


class Frame:
    """An answer as kafka-python's parser reads it."""

    __slots__ = ("_at", "_view")

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def read(self, size: int | None = None) -> bytes | memoryview:
        """The next bytes, or all that are left; what is large is not copied."""
        begin, self._at = self._at, len(self._view) if size is None else min(self._at + size, len(self._view))
        piece = self._view[begin : self._at]
        return piece if len(piece) >= LEAST_BYTES else bytes(piece)

    def seek(self, at: int) -> None:
        """Go to a place."""
        self._at = at

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at


class Inlet:
    """Takes the place of a transport's receiving, and of what its connection's parser does before it decodes."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._parser: Any = None
        self._head = memoryview(bytearray(HEAD_BYTES))
        self._body: memoryview | None = None
        self._rest = self._head
        self._answers: list[Any] = []

    def receive(self) -> tuple[bytes, Exception | None]:
        """Take in all that has arrived. What the transport hands on is empty: the parser has the answers already."""
        try:
            self._attach()
            while size := self._transport._sock.recv_into(self._rest):
                self._rest = self._rest[size:]
                while not self._rest:
                    self._turn()
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b"", None
        except KafkaError as error:
            return b"", error
        except OSError as error:
            return b"", KafkaConnectionError(error)
        return b"", KafkaConnectionError("socket disconnected")

    def _attach(self) -> None:
        """The parser is there by the time of the first bytes."""
        if self._parser is None:
            self._parser = self._transport.get_protocol().parser
            self._parser.receive_bytes = self._hand_over

    def _hand_over(self, _data: bytes) -> list[Any]:
        answers, self._answers = self._answers, []
        return answers

    def _turn(self) -> None:
        """The head is there, so make room for what it stands before; or that is there, so decode it."""
        if self._body is None:
            size = int.from_bytes(self._head, signed=True)
            self._parser._validate_frame_size(size)
            self._body = self._rest = np.empty(size, np.uint8).data
        else:
            body, self._body, self._rest = self._body, None, self._head
            self._answers.append(self._parser._process_response(Frame(body)))
