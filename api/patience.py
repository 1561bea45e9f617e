"""How long a client may take, and the server that holds it to that.

Owns the limits on what a connection may be slow at: its first request, a head, a body, taking an answer. Whoever
exceeds one loses the connection, so that a few slow clients cannot keep everybody's places. Refuses to know a route.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, ClassVar, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 10.0
"""Seconds for a request's line and headers, and for a new connection's first request: a client sends them at once."""
HEAD_BYTES: Final = 65_536
"""Bytes of a request's line and headers: as many as h11 takes; nginx takes half as many."""
BODY_SECONDS: Final = 60.0
"""Seconds for a body: the largest still that is accepted without a setting, 16 MB, at 2 Mbit/s."""
TAKE_SECONDS: Final = 60.0
"""Seconds for which an answer may wait to be taken at all, a stream too."""


class Patient(HttpToolsProtocol):
    """uvicorn's protocol, with an end to its patience. While it is we who do not read, no time is counted."""

    head_seconds: ClassVar[float] = HEAD_SECONDS
    body_seconds: ClassVar[float] = BODY_SECONDS
    take_seconds: ClassVar[float] = TAKE_SECONDS

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._owed: asyncio.TimerHandle | None = None
        self._untaken: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is here: it owes a request."""
        super().connection_made(transport)
        self._owe(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, and owes nothing."""
        self._owe(None)
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came; a head may not have too many."""
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        """A request begins: it owes its head."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._owe(self.head_seconds)

    def on_headers_complete(self) -> None:
        """It owes its body."""
        self._in_head = False
        self._owe(self.body_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole. What the connection sends next, uvicorn waits for."""
        self._owe(None)
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        super().pause_writing()
        self._untaken = self.loop.call_later(self.take_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It takes it."""
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None
        super().resume_writing()

    def _owe(self, seconds: float | None) -> None:
        if self._owed is not None:
            self._owed.cancel()
        self._owed = None if seconds is None else self.loop.call_later(seconds, self._overdue, seconds)

    def _overdue(self, seconds: float) -> None:
        if self.flow.read_paused:
            self._owe(seconds)
        else:
            self.transport.abort()


class Server(uvicorn.Server):
    """uvicorn's server; when it stops, streams that would never end are ended first."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in order."""
        house = getattr(getattr(self.config.app, "state", None), "house", None)
        if house is not None:
            house.live.leave()
        await super().shutdown(sockets)
