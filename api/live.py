"""What readers of the stream share in one process: the latest events, and one look at the store for all of them.

Owns who waits for what. The store is the truth and the order: a reader that is slow, or comes back, reads on from the
store, so that nobody is waited for and nothing is kept for anybody. Refuses to know HTTP and to remember readers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import structlog
from starlette.concurrency import run_in_threadpool

from models.errors import StrayframeError
from streams.store.feed import Feed, Told, Wanted

LOOK_SECONDS: Final = 0.5
"""Between two looks at the store while somebody reads: one walk along a primary key, a tenth of a millisecond."""
BEAT_SECONDS: Final = 15.0
"""After so long without an event a reader gets its place again: proxies close what is silent for 30 to 60 s."""
AT_ONCE: Final = 200
"""Events read from the store at a time: some 200 kB."""
REMEMBERED: Final = 1000
"""Latest events, from which readers who keep up are served."""
READERS: Final = 256
"""Readers of one process, at most; each costs a connection and a task."""

_log = structlog.get_logger()


class Live:
    """The readers of one process. Belongs to the loop that serves them.

    `_latest` holds every event behind the number `_floor` and up to the number `_seq`.
    """

    def __init__(self, beat_seconds: float = BEAT_SECONDS, remembered: int = REMEMBERED) -> None:
        self.readers = 0
        self._beat_seconds = beat_seconds
        self._remembered = remembered
        self._latest: deque[Told] = deque()
        self._floor = self._seq = 0
        self._news = asyncio.Event()
        self._leaving = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    @property
    def left(self) -> bool:
        """Whether every stream was told to end."""
        return self._leaving.is_set()

    def leave(self) -> None:
        """End every stream; its reader comes back to whoever serves then."""
        self._leaving.set()
        self._news.set()

    async def read(self, feed: Feed, seq: int, wanted: Wanted) -> AsyncIterator[tuple[int, Told | None]]:
        """The events behind `seq`, and those that come, each with its number; None now and then when there is none,
        with the number up to which there was none. Ends when the process does, or when the store is away."""
        self.readers += 1
        try:
            while not self.left:
                self._look_out(feed)
                news = self._news
                found, upto = await self._behind(feed, seq, wanted)
                for told in found:
                    yield told.seq, told
                if upto > seq:
                    seq = upto
                elif not await _rung(news, self._beat_seconds):
                    yield seq, None
        except StrayframeError as error:
            _log.warning("stream.ended", error=str(error))
        finally:
            self.readers -= 1

    async def _behind(self, feed: Feed, seq: int, wanted: Wanted) -> tuple[list[Told], int]:
        """Events behind `seq`, and the number up to which these are all."""
        known = self._seq
        if seq >= self._floor:
            return [told for told in self._latest if told.seq > seq and wanted.holds(told.notice)], known
        found = await run_in_threadpool(feed.after, seq, AT_ONCE, wanted)
        last = found[-1].seq if found else seq
        return found, last if len(found) == AT_ONCE else max(known, last)

    def _look_out(self, feed: Feed) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(feed), name="stream")

    async def _look(self, feed: Feed) -> None:
        """Look for news for as long as somebody reads."""
        begun = False
        while self.readers and not self.left:
            try:
                if not begun:
                    self._latest.clear()
                    self._floor = self._seq = await run_in_threadpool(lambda: feed.span()[1])
                    begun = True
                    self._tell()
                while found := await run_in_threadpool(feed.after, self._seq, AT_ONCE):
                    self._remember(found)
            except StrayframeError as error:
                _log.warning("stream.retrying", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), LOOK_SECONDS)

    def _remember(self, found: list[Told]) -> None:
        self._latest.extend(found)
        self._seq = found[-1].seq
        while len(self._latest) > self._remembered:
            self._floor = self._latest.popleft().seq
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


async def _rung(news: asyncio.Event, seconds: float) -> bool:
    """Wait for news, but no longer than so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()
    return news.is_set()
