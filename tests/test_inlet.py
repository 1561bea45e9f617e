"""Answers of brokers come whole however they are cut, are not copied on the way, and leave no room behind them."""

from __future__ import annotations

import random
import socket
import tracemalloc
from collections.abc import Iterator

import pytest
from kafka.errors import InvalidReceiveError, KafkaConnectionError
from kafka.protocol.consumer.fetch import FetchRequest, FetchResponse
from kafka.protocol.parser import KafkaProtocol

from streams.kafka import inlet
from streams.kafka.inlet import KEPT_BYTES, LEAST_BYTES, Inlet

VERSION = 12
MANY = 4 * 1024 * 1024


class Connection:
    """A connection as its transport knows it."""

    def __init__(self, **config: object) -> None:
        self.parser = KafkaProtocol(client_id="test", receive_message_max_bytes=100_000_000, **config)

    def ask(self) -> int:
        """Send a fetch nowhere; its number."""
        request = FetchRequest(version=VERSION, topics=[], forgotten_topics_data=[], rack_id="")
        number: int = self.parser.send_request(request)
        return number


class Transport:
    """A transport that reads from one end of a pair of sockets."""

    def __init__(self, here: socket.socket) -> None:
        here.setblocking(False)
        self._sock = here
        self.connection = Connection()

    def get_protocol(self) -> Connection:
        return self.connection


class Line:
    """A broker's end, and a client's with its inlet."""

    def __init__(self, here: socket.socket, there: socket.socket) -> None:
        self.there = there
        self.transport = Transport(here)
        self.inlet = Inlet(self.transport)

    def ask(self) -> int:
        return self.transport.connection.ask()

    def say(self, data: bytes) -> list[tuple[int, FetchResponse]]:
        """What the client has understood when all of this has come."""
        answers = []
        self.there.setblocking(False)
        while data:
            data = data[self.there.send(data) :]
            nothing, error = self.inlet.receive()
            assert (nothing, error) == (b"", None)
            answers += self.transport.connection.parser.receive_bytes(nothing)
        return answers


@pytest.fixture
def line() -> Iterator[Line]:
    here, there = socket.socketpair()
    with here, there:
        yield Line(here, there)


def answer(number: int, records: bytes) -> bytes:
    """A broker's answer to the fetch of that number, with its length before it."""
    topic = FetchResponse.FetchableTopicResponse
    partition = topic.PartitionData(partition_index=0, aborted_transactions=[], records=records)
    response = FetchResponse(version=VERSION, responses=[topic(topic="stills", partitions=[partition])])
    response.with_header(correlation_id=number)
    return bytes(response.encode(header=True, framed=True))


def records_of(response: FetchResponse) -> bytes:
    found: bytes = response.responses[0].partitions[0].records
    return found


def test_answers_are_the_same_however_they_are_cut(line: Line) -> None:
    dice = random.Random(7)
    bodies = [dice.randbytes(size) for size in (0, 1, LEAST_BYTES - 40, LEAST_BYTES, 300_000, 5, 200_000, 70_000)]
    said = b"".join(answer(line.ask(), body) for body in bodies)
    answers, at = [], 0
    while at < len(said):
        size = dice.choice((1, 2, 3, 5, 1000, 50_000, 400_000))
        answers += line.say(said[at : at + size])
        at += size
    assert [number for number, _ in answers] == list(range(1, 9))
    assert [records_of(response) for _, response in answers] == bodies


def test_what_was_received_outlives_the_answers_that_follow(line: Line) -> None:
    bodies = [bytes([number]) * 500_000 for number in range(4)]
    answers = [line.say(answer(line.ask(), body)) for body in bodies]
    assert [records_of(response) for [(_, response)] in answers] == bodies


def test_a_fetch_takes_no_memory_but_what_it_leaves(line: Line) -> None:
    said = [answer(line.ask(), bytes(MANY)) for _ in range(2)]
    line.say(said[0])  # from here on the room is there
    tracemalloc.start()
    try:
        [(_, response)] = line.say(said[1])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(records_of(response)) == MANY
    in_test = len(said[1])  # what `say` has not sent yet
    assert peak < in_test + 1.1 * MANY


def test_room_for_a_very_large_answer_is_given_back(line: Line) -> None:
    line.say(answer(line.ask(), bytes(2 * KEPT_BYTES)))
    assert line.inlet.room == LEAST_BYTES
    line.say(answer(line.ask(), bytes(MANY)))
    assert MANY < line.inlet.room <= KEPT_BYTES


def test_a_broker_that_hangs_up_is_told(line: Line) -> None:
    line.there.close()
    _, error = line.inlet.receive()
    assert isinstance(error, KafkaConnectionError)


@pytest.mark.parametrize("head", [b"\xff\xff\xff\xff", b"HTTP"], ids=["negative", "another protocol"])
def test_what_cannot_be_an_answer_ends_the_connection(line: Line, head: bytes) -> None:
    line.there.send(head)
    _, error = line.inlet.receive()
    assert isinstance(error, InvalidReceiveError)


def test_small_answers_are_decoded_from_bytes() -> None:
    frame = inlet.Frame(memoryview(bytearray(b"abcdef")))
    assert (frame.read(2), frame.tell(), frame.read()) == (b"ab", 2, b"cdef")
    frame.seek(1)
    assert type(frame.read()) is bytes
