"""The line between HTTP processes and the one that answers: what crosses it, and what clients get when an end dies."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from places import still

from api.intake import Check, Outcome, OwnCounts, Taken
from api.problems import JUDGE_FAILED, LOADING, ProblemError
from api.relay import Answering, Look, Relaying
from models.records import AccountId, CameraId, Delivery, DeliveryId, Judgement, Verdict
from streams.cloudevents import Message, Rejected
from streams.metrics import Metrics

SEEN = still(1)
Story = Callable[[Relaying, "Desk"], Awaitable[None]]


class Desk:
    """An intake that keeps what it was given, and answers when it may."""

    receipt_only = False

    def __init__(self) -> None:
        self.given: list[Message] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.metrics = Metrics()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def take(self, messages: Sequence[Message]) -> list[Outcome]:
        self.given += messages
        await self.may_answer.wait()
        return [self._outcome(one) for one in messages]

    async def checks(self) -> list[Check]:
        return [Check("index", True, "loaded")]

    def _outcome(self, message: Message) -> Outcome:
        match message.key.id:
            case "early":
                raise ProblemError(LOADING, "Soon.")
            case "fault":
                raise ZeroDivisionError
            case "bad":
                return Rejected("bad_time", "it lies in the future")
            case "failed":
                return ProblemError(JUDGE_FAILED, "It was logged.", headers={"X": "1"}, more=2)
        assert isinstance(message.event, Delivery)
        return Taken(Judgement(message.event, Verdict.CLEAR, "own-code", {"distance": 0.1}))


def message(id: str) -> Message:
    key = DeliveryId("test", id)
    delivery = Delivery(key, datetime(2026, 1, 5, 12, tzinfo=UTC), AccountId("acct"), CameraId("cam"), {"a": "b"})
    return Message(delivery, key, b"picture of " + id.encode())


def played(story: Story, *, look: Look | None = lambda _: SEEN, waiting_bytes: int = 1_000) -> None:
    """Play a story at a line whose two ends are connected."""

    async def play(path: Path) -> None:
        desk = Desk()
        relay = Relaying(path, None if look is None else lambda: look, receipt_only=False, waiting_bytes=waiting_bytes)
        answering = Answering(desk, OwnCounts(desk.metrics))
        server = await asyncio.start_unix_server(answering.answer, path)
        await relay.start()
        await connected(relay)
        await asyncio.wait_for(story(relay, desk), 60)
        await relay.stop()
        await answering.deserted()
        server.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder) / "line"))


async def connected(relay: Relaying) -> None:
    while [check.name for check in await relay.checks()] != ["index"]:
        await asyncio.sleep(0)


def test_what_was_seen_crosses_the_line_and_the_picture_does_not() -> None:
    async def story(relay: Relaying, desk: Desk) -> None:
        sent = message("d")
        (outcome,) = await relay.take([sent])
        assert outcome == Taken(Judgement(sent.event, Verdict.CLEAR, "own-code", {"distance": 0.1}))  # type: ignore[arg-type]
        (given,) = desk.given
        assert (given.event, given.key, given.data) == (sent.event, sent.key, None)
        assert given.still is not None
        assert given.still.digest == SEEN.digest
        assert given.still.fingerprint is not None
        assert SEEN.fingerprint is not None
        assert given.still.fingerprint.to_bytes() == SEEN.fingerprint.to_bytes()
        assert b"strayframe_look_seconds_count 1.0" in await relay.told()

    played(story)


def test_without_a_look_pictures_travel_as_they_are() -> None:
    async def story(relay: Relaying, desk: Desk) -> None:
        await relay.take([message("one"), message("two")])
        assert [given.data for given in desk.given] == [b"picture of one", b"picture of two"]

    played(story, look=None)


def test_every_outcome_crosses_the_line_whole() -> None:
    async def story(relay: Relaying, _: Desk) -> None:
        bad, failed = await relay.take([message("bad"), message("failed")])
        assert isinstance(bad, Rejected)
        assert (bad.reason, bad.detail) == ("bad_time", "it lies in the future")
        assert isinstance(failed, ProblemError)
        assert (failed.problem, failed.headers, failed.extra) == (JUDGE_FAILED, {"X": "1"}, {"more": 2})
        with pytest.raises(ProblemError, match="loading: Soon"):
            await relay.take([message("early")])
        with pytest.raises(ProblemError, match="internal"):
            await relay.take([message("fault")])

    played(story)


def test_what_http_processes_refuse_is_counted_at_the_other_end() -> None:
    async def story(relay: Relaying, _: Desk) -> None:
        relay.rejected("no_picture")
        relay.rejected("no_picture")
        assert b'strayframe_messages_rejected_total{reason="no_picture"} 2.0' in await relay.told()

    played(story)


def test_answers_come_in_any_order() -> None:
    async def story(relay: Relaying, desk: Desk) -> None:
        desk.may_answer.clear()
        waits = asyncio.create_task(relay.take([message("d")]))
        while not desk.given:
            await asyncio.sleep(0)
        assert [check.name for check in await relay.checks()] == ["index"]
        assert not waits.done()
        desk.may_answer.set()
        assert len(await waits) == 1

    played(story)


def test_more_than_fits_in_memory_is_told_to_come_again() -> None:
    async def story(relay: Relaying, desk: Desk) -> None:
        desk.may_answer.clear()
        waits = asyncio.create_task(relay.take([message("large")]))
        while not desk.given:
            await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="busy"):
            await relay.take([message("too-much")])
        desk.may_answer.set()
        await waits
        assert await relay.take([message("later")])

    played(story, waiting_bytes=20)


def test_when_the_answering_end_dies_what_was_asked_is_refused_and_the_next_one_is_reached() -> None:
    async def play(path: Path) -> None:
        gone, comes = Desk(), Desk()
        ends: list[asyncio.StreamWriter] = []

        async def answer(reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
            ends.append(line)
            await Answering(gone, OwnCounts(gone.metrics)).answer(reader, line)

        relay = Relaying(path, lambda: lambda _: SEEN, receipt_only=False, waiting_bytes=1_000)
        server = await asyncio.start_unix_server(answer, path)
        await relay.start()
        await connected(relay)
        gone.may_answer.clear()
        waits = asyncio.create_task(relay.take([message("d")]))
        while not gone.given:
            await asyncio.sleep(0)
        server.close()
        path.unlink(missing_ok=True)
        ends[0].transport.abort()
        with pytest.raises(ProblemError, match="starting"):
            await waits
        assert [(check.name, check.ok) for check in await relay.checks()] == [("judge", False)]
        with pytest.raises(ProblemError, match="starting"):
            await relay.take([message("d")])
        gone.may_answer.set()
        again = await asyncio.start_unix_server(Answering(comes, OwnCounts(comes.metrics)).answer, path)
        await connected(relay)
        assert isinstance((await relay.take([message("d")]))[0], Taken)
        assert len(comes.given) == 1
        await relay.stop()
        again.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(asyncio.wait_for(play(Path(folder) / "line"), 60))
