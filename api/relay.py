"""The line between the HTTP processes of one `serve` and the process that answers for all of them: both ends of it.

Owns what travels: questions and answers, pickled behind their length, over a Unix socket in a folder that only this
user can enter. `Relaying` is the end in an HTTP process: it looks at stills, which is most of the work, and asks for
the rest. `Answering` is the other end: it holds the one intake that judges or produces. Refuses to judge and to know
HTTP. When either end dies the other finds the line closed: nothing that was asked then is known to be stored, and
clients ask again, which doubles nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import pickle
import time
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from api.intake import Check, Intake, Outcome, OwnCounts
from api.problems import BUSY, INTERNAL, STARTING, ProblemError
from models.fingerprint import Still
from streams.cloudevents import Message

LENGTH_BYTES: Final = 4
AT_ONCE_BYTES: Final = 2**20
"""What an end reads ahead: some 200 looked-at stills of 5 kB, more than come at a time."""
DIAL_SECONDS: Final = 0.1
"""Seconds between attempts to reach the process that answers; it takes a second or more to come up."""

_log = structlog.get_logger()

Look = Callable[[bytes], Still]


class Relaying:
    """The intake, and the counts, of an HTTP process. `path` is where the process that answers listens.

    `open_look` blocks and gives what looks at a picture. Looking holds this process up, for 2 to 3 ms a still: that is
    what there are several for, and with a thread beside the loop, both wanted Python's lock, and less came through.
    Without it pictures travel as they are. At most `waiting_bytes` of pictures wait for their answers.
    """

    def __init__(
        self, path: Path, open_look: Callable[[], Look] | None, *, receipt_only: bool, waiting_bytes: int
    ) -> None:
        self.receipt_only = receipt_only
        self._path = path
        self._open_look = open_look
        self._most_bytes = waiting_bytes
        self._look: Look | None = None
        self._bytes = 0
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._line: StreamWriter | None = None
        self._dialling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Get ready to look, and begin to reach the process that answers. Raises what `open_look` does."""
        if self._open_look is not None:
            self._look = await asyncio.to_thread(self._open_look)
        self._dialling = asyncio.create_task(self._dial(), name="relaying")

    async def stop(self) -> None:
        """Hang up. Every request has been answered by now: uvicorn waits for them first."""
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.wait([self._dialling])

    async def take(self, messages: Sequence[Message]) -> list[Outcome]:
        """Look at the stills and have the messages judged and stored, or produced, at the other end."""
        size = sum(len(message.data or b"") for message in messages)
        if self._bytes and self._bytes + size > self._most_bytes:
            raise ProblemError(BUSY)
        self._bytes += size
        try:
            seconds = 0.0
            if self._look is not None and size:
                messages, seconds = _looked(self._look, messages)
            outcomes: list[Outcome] = await self._ask("take", messages, seconds)
            return outcomes
        finally:
            self._bytes -= size

    async def checks(self) -> list[Check]:
        """What the process that answers says of itself, or that it is away."""
        try:
            found: list[Check] = await self._ask("checks")
        except ProblemError as error:
            return [Check("judge", False, error.problem.title)]
        return found

    def rejected(self, reason: str) -> None:
        """Have it counted. While nobody answers it is lost, as are all counts of the process that ended."""
        if self._line is not None:
            _write(self._line, (None, "rejected", (reason,)))

    async def told(self) -> bytes:
        """The counts of all processes."""
        counts: bytes = await self._ask("told")
        return counts

    async def _ask(self, what: str, *given: object) -> Any:
        if self._line is None:
            raise ProblemError(STARTING)
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            _write(self._line, (number, what, given))
            return await answer
        finally:
            self._asked.pop(number, None)

    async def _dial(self) -> None:
        """Reach the process that answers, hear its answers until it is gone, and so on."""
        while True:
            with suppress(OSError, IncompleteReadError):
                reader, line = await asyncio.open_unix_connection(self._path, limit=AT_ONCE_BYTES)
                try:
                    await self._hear(reader, line)
                finally:
                    self._line = None
                    line.close()
                    self._give_up()
            await asyncio.sleep(DIAL_SECONDS)

    async def _hear(self, reader: StreamReader, line: StreamWriter) -> None:
        await _read(reader)  # it greets: until then the line is open, and nobody is there
        self._line = line
        _log.info("relay.connected")
        while True:
            number, result = await _read(reader)
            answer = self._asked.get(number)
            if answer is None or answer.done():
                continue  # the request was given up meanwhile
            if isinstance(result, ProblemError):
                answer.set_exception(result)
            else:
                answer.set_result(result)

    def _give_up(self) -> None:
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ProblemError(STARTING, "Send it again; if it was judged, it is recognised."))


class Answering:
    """Answers HTTP processes: each has one line, on which many questions are under way at a time."""

    def __init__(self, intake: Intake, counts: OwnCounts) -> None:
        self._intake = intake
        self._counts = counts
        self._questions: dict[str, Callable[..., Awaitable[Any]]] = {
            "take": self._take,
            "checks": intake.checks,
            "told": counts.told,
        }
        self._lines = 0
        self._deserted = asyncio.Event()

    async def answer(self, reader: StreamReader, line: StreamWriter) -> None:
        """Answer one HTTP process until it hangs up; what it asked before that is finished all the same."""
        asked: set[asyncio.Task[Any]] = set()
        self._lines += 1
        self._deserted.clear()
        _write(line, None)
        try:
            with suppress(IncompleteReadError, ConnectionError):
                while True:
                    number, what, given = await _read(reader)
                    if what == "rejected":
                        self._counts.rejected(*given)
                        continue
                    task = asyncio.ensure_future(self._questions[what](*given))
                    asked.add(task)
                    task.add_done_callback(asked.discard)
                    task.add_done_callback(partial(_reply, line, number))
        finally:
            line.close()
            self._lines -= 1
            if not self._lines:
                self._deserted.set()

    async def deserted(self) -> None:
        """Return once no HTTP process is connected."""
        if self._lines:
            await self._deserted.wait()

    async def _take(self, messages: Sequence[Message], seconds: float) -> list[Outcome]:
        if seconds:
            self._counts.looked(seconds)
        return await self._intake.take(messages)


def _looked(look: Look, messages: Sequence[Message]) -> tuple[list[Message], float]:
    """The messages with what was seen in the place of their pictures, and the seconds that it took."""
    begin = time.perf_counter()
    seen = [m if m.data is None else replace(m, data=None, still=look(m.data)) for m in messages]
    return seen, time.perf_counter() - begin


def _reply(line: StreamWriter, number: int, task: asyncio.Task[Any]) -> None:
    if task.cancelled() or line.is_closing():
        return
    error = task.exception()
    if error is not None and not isinstance(error, ProblemError):
        _log.error("answer.fault", exc_info=error)
        error = ProblemError(INTERNAL, "The fault was logged; the same request may or may not work again.")
    _write(line, (number, task.result() if error is None else error))


def _write(line: StreamWriter, said: object) -> None:
    """Write without waiting: what can be under way is bounded by the bytes that may wait."""
    body = pickle.dumps(said, pickle.HIGHEST_PROTOCOL)
    line.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)


async def _read(reader: StreamReader) -> Any:
    length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - written by our own process
