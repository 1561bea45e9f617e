"""One POST, bounded in time and bytes, that follows nothing: what hooks and HTTP sinks are called with.

Owns the limits and what an answer means. Refuses redirects, proxies, and kept connections, of which one that went stale
would fail a call. httpcore is used without httpx around it, which has no place for an address of our choice.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

import httpcore

from streams.outbox.call import Outcome, Result
from streams.outbox.reach import Guarded, Reach, Resolve, Unreachable, resolve

SEND_SECONDS: Final = 15.0
"""From looking up the name to the answer's status. Standard Webhooks advise 15 to 30 s."""
CONNECT_SECONDS: Final = 5.0
"""For one address to take a connection, so that a second one has its turn."""
SAYS_SECONDS: Final = 1.0
SAYS_BYTES: Final = 300
"""How long, and how much of, a refusal's body is read, for the log. A success's is read for sinks only."""
GONE: Final = 410
ASKS_TO_WAIT: Final = (429, 503)


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of an answer, the pause that it asked for, and how the body of a refusal begins."""

    status: int
    after: timedelta | None
    says: str


class NoAnswer(Exception):
    """The receiver did not answer in time, or not in HTTP; the message says what happened. `says` is what came of it,
    where that may hold what the receiver wrote."""

    def __init__(self, message: str, says: str = "") -> None:
        super().__init__(message)
        self.says = says


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    reach: Reach,
    *,
    seconds: float = SEND_SECONDS,
    resolve: Resolve = resolve,
    tls: ssl.SSLContext | None = None,
    hear: bool = False,
) -> Answer:
    """Post the body once; with `hear` the beginning of a success is kept, too. Raises NoAnswer, Unreachable."""
    backend = Guarded(reach, plain=url.startswith("http://"), resolve=resolve)
    limits = {"connect": CONNECT_SECONDS, "read": seconds, "write": seconds, "pool": seconds}
    sent = _with_host(url, {**headers, "content-length": str(len(body)), "connection": "close", "accept": "*/*"})
    try:
        async with (
            asyncio.timeout(seconds),
            httpcore.AsyncConnectionPool(tls or _tls(), network_backend=backend) as pool,
            pool.stream("POST", url, headers=sent, content=body, extensions={"timeout": limits}) as answer,
        ):
            told = {name.lower().decode(): value.decode("latin-1") for name, value in answer.headers}
            says = "" if 200 <= answer.status < 300 and not hear else await _beginning(answer)
            return Answer(answer.status, _after(answer.status, told.get("retry-after")), says)
    except TimeoutError:
        raise NoAnswer(f"no answer within {seconds:g} s") from None
    except httpcore.ProtocolError as error:  # it quotes what is no HTTP
        raise NoAnswer(type(error).__name__, str(error)[:SAYS_BYTES]) from None
    except (httpcore.NetworkError, httpcore.TimeoutException, ssl.SSLError, OSError) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}".rstrip(": ")) from None


def outcome(answer: Answer) -> Outcome:
    """What an answer means for the call: 2xx delivered, 410 gone, anything else to be tried again."""
    said = f"HTTP {answer.status}"
    if 200 <= answer.status < 300:
        return Outcome(Result.DELIVERED, said, answer.status, says=answer.says)
    if answer.status == GONE:
        return Outcome(Result.GONE, "the receiver answered 410 Gone", answer.status)
    if 300 <= answer.status < 400:
        return Outcome(Result.RETRY, f"HTTP {answer.status}: redirects are not followed", answer.status)
    return Outcome(Result.RETRY, said, answer.status, answer.after, answer.says)


async def attempted(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    reach: Reach,
    *,
    tls: ssl.SSLContext | None = None,
    hear: bool = False,
) -> Outcome:
    """Post the body once, as `post` does; whatever goes wrong on the way is an attempt that failed."""
    try:
        return outcome(await post(url, body, headers, reach, tls=tls, hear=hear))
    except NoAnswer as error:
        return Outcome(Result.RETRY, str(error), says=error.says)
    except Unreachable as error:
        return Outcome(Result.RETRY, str(error))


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The system's authorities, or those that SSL_CERT_FILE names. Read once: it takes 20 ms."""
    return ssl.create_default_context()


def _with_host(url: str, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    place = httpcore.URL(url)
    standard = {b"http": 80, b"https": 443}[place.scheme]
    host = place.host.decode()
    host = f"[{host}]" if ":" in host else host
    return [("host", host if place.port in (None, standard) else f"{host}:{place.port}"), *headers.items()]


async def _beginning(answer: httpcore.Response) -> str:
    """How the body begins, as far as it comes soon."""
    begun = b""
    try:
        async with asyncio.timeout(SAYS_SECONDS):
            async for part in answer.aiter_stream():
                begun += part[: SAYS_BYTES - len(begun)]
                if len(begun) >= SAYS_BYTES:
                    break
    except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        pass  # the status is what counts
    text = begun.decode(errors="replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _after(status: int, value: str | None) -> timedelta | None:
    """The pause that an answer asks for, in seconds or as a date (RFC 9110, 10.2.3); what cannot be read is none."""
    if status not in ASKS_TO_WAIT or value is None:
        return None
    try:
        if value.strip().isdecimal():
            return timedelta(seconds=min(int(value), 10**9))
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(when - datetime.now(UTC), timedelta(0))
