"""What the sinks that speak HTTP share: one POST, whose answer's beginning is kept for the log.

Owns certificates and what an answer means: 2xx delivered, anything else to be tried again; unlike a hook a sink is
disabled by no answer. Refuses to know what is posted.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from streams.outbox.call import Outcome, Result, dumped
from streams.outbox.http import attempted
from streams.sinks.configuration import SinkError, Spec
from streams.sinks.sink import ANYWHERE, Sink

AGENT: Final = "strayframe"
PROBE_SECONDS: Final = 5.0
JSON: Final = "application/json"


class WebSink(Sink):
    """Posts to one URL. `ca` is a PEM file of the authorities that are trusted instead of the system's."""

    def __init__(self, spec: Spec, url: str, ca: str | None) -> None:
        super().__init__(spec)
        self._url = url
        self._tls = None if ca is None else trusting(ca)

    @property
    def place(self) -> str:
        """The URL."""
        return self._url

    async def post(self, told: Any, headers: Mapping[str, str]) -> Outcome:
        """Post JSON once."""
        sent = {"content-type": JSON, "user-agent": AGENT, **headers}
        found = await attempted(self._url, dumped(told).encode(), sent, ANYWHERE, tls=self._tls, hear=True)
        return Outcome(Result.RETRY, found.detail, found.status) if found.result is Result.GONE else found

    async def probe(self) -> str:
        """Whether the receiver takes a connection."""
        parts = urlsplit(self._url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return await connects(parts.hostname or "", port)


async def connects(host: str, port: int) -> str:
    """What is wrong with the way to a port, empty where a connection is taken."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
    except TimeoutError:
        return f"{host}:{port} does not answer within {PROBE_SECONDS:g} s"
    except OSError as error:
        return f"{host}:{port} cannot be reached ({error.strerror or error})"
    return ""


def trusting(ca: str | None, certificate: str | None = None, key: str | None = None) -> ssl.SSLContext:
    """A context that trusts these authorities (None: the system's) and shows this certificate. Raises SinkError."""
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one of them
        raise SinkError(f"ca, certificate or key cannot be used ({error})") from None
    return context
