"""CEF over syslog by TCP (RFC 6587, octet counting) or TLS (RFC 5425).

Syslog has no acknowledgement, and a message that lies in a dead receiver's buffer looks sent. So each message has a
connection of its own, which is closed behind it; the receiver's own close, which it sends once it has read all, is
taken for its word. Owns that exchange. Refuses UDP, which loses what it likes.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from datetime import datetime
from typing import Final

from detector.notice import Notice
from streams.outbox.call import Outcome, Result
from streams.sinks.cef import FACILITIES, counted, syslog
from streams.sinks.configuration import CefSyslog
from streams.sinks.sink import Sink
from streams.sinks.web import connects, trusting

SECONDS: Final = 10.0
"""From the connection to the receiver's close."""


class SyslogSink(Sink):
    """Sends to `spec.host`."""

    def __init__(self, spec: CefSyslog) -> None:
        super().__init__(spec)
        self._given = spec
        self._tls = trusting(spec.ca, spec.certificate, spec.key) if spec.tls else None
        self._host = socket.gethostname()

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{self._given.host}:{self._given.port}, {'TLS' if self._given.tls else 'TCP'}"

    async def attempt(self, notice: Notice, at: datetime) -> Outcome:
        """Send one message and wait until the receiver has read it."""
        message = counted(syslog(notice, self._host, FACILITIES[self._given.facility]))
        try:
            await asyncio.to_thread(self._exchange, message)
        except TimeoutError:
            return Outcome(Result.RETRY, f"sent, and not closed by the receiver within {SECONDS:g} s")
        except OSError as error:  # ssl.SSLError is one of them
            return Outcome(Result.RETRY, f"{type(error).__name__}: {error.strerror or error}")
        return Outcome(Result.DELIVERED, f"{len(message)} bytes read by {self.place}")

    async def probe(self) -> str:
        """Whether the receiver takes a connection."""
        return await connects(self._given.host, self._given.port)

    def _exchange(self, message: bytes) -> None:
        until = time.monotonic() + SECONDS
        with socket.create_connection((self._given.host, self._given.port), SECONDS) as plain:
            if self._tls is None:
                plain.sendall(message)
                plain.shutdown(socket.SHUT_WR)
                _read_out(plain, until)
                return
            with self._tls.wrap_socket(plain, server_hostname=self._given.host) as link:
                link.sendall(message)
                _close_notify(link)


def _close_notify(link: ssl.SSLSocket) -> None:
    """Say that nothing more comes (RFC 5425, 4.4) and return once the receiver says so, too, or closes: it has then
    read what came before. Raises TimeoutError, OSError."""
    try:
        link.unwrap().close()
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
        return


def _read_out(plain: socket.socket, until: float) -> None:
    """Return once the receiver has closed. Raises TimeoutError, OSError."""
    while (left := until - time.monotonic()) > 0:
        plain.settimeout(left)
        if not plain.recv(4096):
            return
    raise TimeoutError
