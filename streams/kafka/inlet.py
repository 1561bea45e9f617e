"""What brokers answer, received where it is read, without the copies between.

kafka-python 3.0.12 reads its socket 4 KiB at a time, joins the pieces, copies them into a buffer that it has made for
this one answer, and copies that twice to decode it: of 0.5 ms of CPU that a fetched still of 140 kB costs, 0.3 go into
these copies and into memory that the system has to hand out anew each time. Here a connection has one buffer; the
system writes into it while other threads hold Python's lock, and answers are decoded from it.

Owns that buffer, and where in it an answer begins and ends. Refuses to know what an answer says: kafka-python's parser
decodes it, and copies out of the buffer what lasts longer than the call.
"""

from __future__ import annotations

import ssl
from typing import Any, Final

from kafka.errors import KafkaConnectionError, KafkaError
from kafka.net.manager import KafkaConnectionManager

HEAD_BYTES: Final = 4
"""The length that stands before each answer."""

LEAST_BYTES: Final = 64 * 1024
"""Room of a connection on which no larger answer has come: heartbeats, acknowledgements, metadata. Answers below this
size are decoded from a copy, as the client does it."""

STEP_BYTES: Final = 1024 * 1024
"""Room grows by so much, so that answers that differ a little share one buffer."""

KEPT_BYTES: Final = 16 * 1024 * 1024
"""Room that a connection keeps, at most: a fetch is half of it, and a message that is larger comes alone and rarely."""


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
        self._view = memoryview(bytearray(LEAST_BYTES))
        self._filled = 0
        self._answers: list[Any] = []

    @property
    def room(self) -> int:
        """Bytes that the buffer holds."""
        return len(self._view)

    def receive(self) -> tuple[bytes, Exception | None]:
        """Take in all that has arrived. What the transport hands on is empty: the parser has the answers already."""
        try:
            self._attach()
            while size := self._transport._sock.recv_into(self._view[self._filled :]):
                self._filled += size
                self._take_out()
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

    def _take_out(self) -> None:
        """Decode the answers that are whole, and bring what follows them to the front."""
        begin, end = 0, self._end_of(0)
        while end <= self._filled:
            self._answers.append(self._parser._process_response(Frame(self._view[begin + HEAD_BYTES : end])))
            begin, end = end, self._end_of(end)
        self._move(begin, end - begin)

    def _end_of(self, begin: int) -> int:
        """Where the answer that begins there ends; behind all that is there while its length is not."""
        if self._filled - begin < HEAD_BYTES:
            return begin + LEAST_BYTES
        size = int.from_bytes(self._view[begin : begin + HEAD_BYTES], signed=True)
        self._parser._validate_frame_size(size)
        return begin + HEAD_BYTES + size

    def _move(self, begin: int, wanted: int) -> None:
        """Have what begins there stand at the front of a buffer in which so much fits."""
        rest = self._view[begin : self._filled]
        if wanted > self.room or self.room > KEPT_BYTES >= wanted:
            size = LEAST_BYTES if wanted <= LEAST_BYTES else -(-wanted // STEP_BYTES) * STEP_BYTES
            self._view = memoryview(bytearray(size))
        self._filled = len(rest)
        self._view[: self._filled] = rest
