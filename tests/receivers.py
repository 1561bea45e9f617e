"""Receivers of hooks on loopback, as they are met: one that answers, and those that hang, redirect, drip or break off.

Owns sockets and what arrived. Refuses to speak more HTTP than they need.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from programs import wait_until

WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Arrived:
    """One request: its headers by lower-case name, its body, and when it was read (time.monotonic)."""

    headers: dict[str, str]
    body: bytes
    at: float


Reply = Callable[[socket.socket, threading.Event], None]
"""Answers on a connection whose request has been read; the event says that the test is over."""


def status(code: int, *headers: str, body: bytes = b"") -> Reply:
    """Answers with a status."""
    lines = [f"HTTP/1.1 {code} Whatever", f"content-length: {len(body)}", *headers, "", ""]
    return lambda connection, _: connection.sendall("\r\n".join(lines).encode() + body)


def hang(_: socket.socket, over: threading.Event) -> None:
    """Reads the request and says nothing."""
    over.wait(WAIT_SECONDS)


def close(_: socket.socket, __: threading.Event) -> None:
    """Reads the request and breaks off."""


def drip(code: int) -> Reply:
    """Answers with a status and a body that never ends, a byte at a time."""

    def reply(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(f"HTTP/1.1 {code} Slow\r\ncontent-length: 1000000\r\n\r\n".encode())
        while not over.wait(0.05):
            connection.sendall(b"x")

    return reply


def flood(code: int) -> Reply:
    """Answers with a status and a body of as many bytes as are taken."""

    def reply(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(f"HTTP/1.1 {code} Much\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        while not over.is_set():
            connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    return reply


@dataclass
class Receiver:
    """Listens on a port of its own. Each request is answered by the next of `replies`, the last one for ever."""

    replies: list[Reply] = field(default_factory=lambda: [status(204)])
    arrived: list[Arrived] = field(default_factory=list)
    after: Callable[[Arrived], None] = lambda _: None
    """Called when a request was read, before it is answered."""

    def __enter__(self) -> Receiver:
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/hook"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    @property
    def ids(self) -> list[str]:
        """The `webhook-id` of each request, in the order in which they came."""
        return [one.headers["webhook-id"] for one in self.arrived]

    def until(self, count: int, seconds: float = WAIT_SECONDS) -> list[Arrived]:
        """Wait until so many requests have come."""
        assert wait_until(lambda: len(self.arrived) >= count, seconds), f"{len(self.arrived)} of {count} came"
        return self.arrived

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = _read(connection)
                if request is None:
                    return
                reply = self.replies[min(len(self.arrived), len(self.replies) - 1)]
                self.arrived.append(request)
                self.after(request)
                reply(connection, self._over)
            except OSError:
                return


def _read(connection: socket.socket) -> Arrived | None:
    read = b""
    while b"\r\n\r\n" not in read:
        more = connection.recv(65536)
        if not more:
            return None
        read += more
    head, _, body = read.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Arrived(headers, body, time.monotonic())
