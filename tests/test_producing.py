"""Producing behind HTTP: what waits for Kafka's acknowledgement is bounded in bytes, not in requests alone."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from api.intake import Taken
from api.problems import ProblemError
from api.producing import Producing
from models.records import AccountId, CameraId, Delivery, DeliveryId
from streams.cloudevents import Message

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Slow:
    """An outlet whose acknowledgements come when they may."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()

    def send(self, _: Message) -> Slow:
        return self

    def wait(self, seconds: float = 30) -> None:
        assert self.may_answer.wait(seconds)

    def close(self) -> None:
        """Nothing is kept open."""


def message(id: str, size: int) -> Message:
    key = DeliveryId("test", id)
    return Message(Delivery(key, NOON, AccountId("acct"), CameraId("cam")), key, b"x" * size)


def test_more_than_fits_in_memory_is_told_to_come_again() -> None:
    outlet = Slow()

    async def story() -> None:
        producing = Producing(lambda: outlet, lambda: "", waiting_bytes=1000)
        await producing.start()
        while not (await producing.checks())[0].ok:
            await asyncio.sleep(0)
        first = asyncio.create_task(producing.take([message("1", 900)]))
        await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="busy"):
            await producing.take([message("2", 200)])
        small = asyncio.create_task(producing.take([message("3", 100)]))
        await asyncio.sleep(0)
        outlet.may_answer.set()
        assert [await first, await small] == [[Taken()], [Taken()]]
        assert await producing.take([message("4", 5000)]) == [Taken()], "one still always fits"
        await producing.stop()

    asyncio.run(asyncio.wait_for(story(), 60))
