"""Pictures that come by reference: the claim check, for clouds that put no pictures into Kafka.

Owns which places a `dataref` may name, and the limits of size and time. Refuses to send a request to a place that is
not allowed, to follow a redirect, to use a proxy of the environment, and, unless told otherwise, to connect to a
private address: whoever can write an event must not be able to make us ask around inside. A reference may carry a
signature, so only its place and path are ever shown.

What may pass is tried again, `TRIES` times within `dataref_seconds` each; then the message is rejected as
`unreachable`, and `strayframe dlq replay` brings it back when the place is there again.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import httpx

from streams.cloudevents import Rejected
from streams.outbox.reach import is_public
from streams.settings import Settings

TRIES: Final = 3
"""How often a picture is asked for. A server that restarts is back within a second or two, or not soon."""

PAUSE_SECONDS: Final = 0.5
"""Pause before the second try, twice that before the third."""

FETCHES: Final = 16
"""Pictures asked for at the same time: at 20 ms each, 800 a second, several times what one process judges."""

PASSING: Final = (408, 425, 429)
"""Statuses beside 5xx that may be another one later."""

Resolve = Callable[[str, int], list[str]]
"""The addresses of a host, for a port."""


def folder_fetch(folder: Path, max_bytes: int) -> Callable[[str], bytes]:
    """A `fetch` for pictures named by `dataref` relative to a folder; leaving the folder is refused."""
    root = folder.resolve()

    def fetch(dataref: str) -> bytes:
        try:
            path = (root / dataref).resolve()
            if not path.is_relative_to(root):
                raise Rejected("bad_dataref", f"{dataref!r} leads out of the folder of pictures")
            if not path.is_file():
                raise Rejected("no_picture", f"{dataref!r} cannot be read (no such file)")
            if path.stat().st_size > max_bytes:
                raise Rejected("too_large", f"{dataref!r} is larger than {max_bytes} bytes")
            return path.read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a file name"
            raise Rejected("no_picture", f"{dataref!r} cannot be read ({reason})") from None

    return fetch


class ClaimCheck:
    """Brings pictures by their `dataref`, from the places that the settings allow. A context manager.

    `expect` sends for pictures that will be asked for; a call waits for its own. Raises Rejected: `bad_dataref` (not
    allowed), `no_picture` (not there), `too_large`, `unreachable` (may be there later). Used by one thread.
    """

    def __init__(
        self,
        settings: Settings,
        resolve: Resolve | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._origins = frozenset(settings.dataref_origins)
        self._folder = Path(settings.dataref_folder) if settings.dataref_folder else None
        self._max_bytes = settings.still_bytes
        self._seconds = settings.dataref_seconds
        self._private = settings.dataref_private
        self._resolve = resolve or _addresses
        self._sleep = sleep
        self._clients = {origin: _client(settings.dataref_seconds) for origin in self._origins}
        self._threads = ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch")
        self._expected: dict[str, Future[bytes]] = {}

    def __enter__(self) -> ClaimCheck:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        for client in self._clients.values():
            client.close()

    def expect(self, datarefs: Iterable[str]) -> None:
        """Send for pictures that will be asked for next. What was expected before and not asked for is forgotten."""
        for future in self._expected.values():
            future.cancel()
        self._expected = {dataref: self._threads.submit(self._bring, dataref) for dataref in datarefs}

    def __call__(self, dataref: str) -> bytes:
        """The bytes of one picture."""
        expected = self._expected.pop(dataref, None)
        return self._bring(dataref) if expected is None else expected.result()

    def _bring(self, dataref: str) -> bytes:
        try:
            url = httpx.URL(dataref)
        except (httpx.InvalidURL, TypeError, ValueError):
            raise Rejected("bad_dataref", "dataref is not a URL") from None
        if url.scheme in ("http", "https"):
            return self._from_web(url)
        if url.scheme in ("", "file") and url.host in ("", "localhost") and self._folder is not None:
            path = unquote(url.raw_path.decode()) if url.scheme else dataref
            return folder_fetch(self._folder, self._max_bytes)(path)
        raise Rejected("bad_dataref", "dataref names a place that is not allowed (dataref_origins, dataref_folder)")

    def _from_web(self, url: httpx.URL) -> bytes:
        client = self._clients.get(origin_of(url))
        if client is None or url.userinfo:
            raise Rejected("bad_dataref", f"{origin_of(url)} is not one of dataref_origins")
        for number in range(TRIES):
            if number:
                self._sleep(number * PAUSE_SECONDS)
            try:
                with _told(url):
                    return self._ask(client, url, number)
            except _Passing as passing:
                last = passing
        raise Rejected("unreachable", f"{_shown(url)}: {last} ({TRIES} tries)")

    def _ask(self, client: httpx.Client, url: httpx.URL, number: int) -> bytes:
        """One try, at the host's addresses in turn. The address is the one that was looked at: the name is not resolved
        again, so a name server cannot lead us elsewhere in between. TLS still checks the name."""
        deadline = time.monotonic() + self._seconds
        addresses = self._allowed(url)
        request = client.build_request(
            "GET",
            url.copy_with(host=addresses[number % len(addresses)], fragment=None),
            headers={"Host": url.netloc.decode()},
            extensions={"sni_hostname": _host(url)},
        )
        answer = client.send(request, stream=True)
        try:
            _require_picture(answer, url)
            return _read(answer, url, self._max_bytes, deadline)
        finally:
            answer.close()

    def _allowed(self, url: httpx.URL) -> list[str]:
        addresses = self._resolve(_host(url), _port(url))
        allowed = addresses if self._private else [each for each in addresses if is_public(ip_address(each))]
        if addresses and not allowed:
            raise Rejected(
                "bad_dataref", f"{origin_of(url)} has a private address; dataref_private allows such, if that is meant"
            )
        if not allowed:
            raise _Passing("the host has no address")
        return allowed


def origin_of(url: httpx.URL) -> str:
    """Scheme, host and port as `dataref_origins` names them; the scheme's own port is left out."""
    host = f"[{_host(url)}]" if ":" in _host(url) else _host(url)
    return f"{url.scheme}://{host}" + ("" if url.port is None else f":{url.port}")


class _Passing(Exception):
    """What went wrong may not go wrong again; the message says what."""


def _client(seconds: float) -> httpx.Client:
    """One for each origin, so that a connection is only ever used for the name that its certificate was checked for."""
    return httpx.Client(
        trust_env=False,
        follow_redirects=False,
        verify=ssl.create_default_context(),
        timeout=seconds,
        limits=httpx.Limits(max_connections=FETCHES, max_keepalive_connections=FETCHES),
        headers={"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "strayframe"},
    )


@contextmanager
def _told(url: httpx.URL) -> Iterator[None]:
    """Turn what the client and the resolver raise into what can be done about it."""
    try:
        yield
    except httpx.TransportError as error:
        raise _Passing(type(error).__name__) from None
    except OSError as error:
        raise _Passing(f"the name cannot be resolved ({error.strerror})") from None
    except httpx.HTTPError as error:
        raise Rejected("no_picture", f"{_shown(url)}: {type(error).__name__}") from None


def _require_picture(answer: httpx.Response, url: httpx.URL) -> None:
    status = answer.status_code
    if status >= 500 or status in PASSING:
        raise _Passing(f"status {status}")
    if 300 <= status < 400:
        raise Rejected("bad_dataref", f"{_shown(url)} leads elsewhere (status {status}); redirects are not followed")
    if status != 200:
        raise Rejected("no_picture", f"{_shown(url)} answers with status {status}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise Rejected("no_picture", f"{_shown(url)} comes compressed, which nobody asked for")


def _read(answer: httpx.Response, url: httpx.URL, max_bytes: int, deadline: float) -> bytes:
    """The body, as long as size and clock allow."""
    too_large = Rejected("too_large", f"{_shown(url)} is larger than {max_bytes} bytes")
    length = answer.headers.get("content-length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise too_large
    data = bytearray()
    for piece in answer.iter_raw():  # as it comes: a server that drips is looked at with each drop
        data += piece
        if len(data) > max_bytes:
            raise too_large
        if time.monotonic() > deadline:
            raise _Passing("it takes too long")
    return bytes(data)


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _host(url: httpx.URL) -> str:
    """The host as the wire has it: a name in other letters as xn--..."""
    return url.raw_host.decode()


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _shown(url: httpx.URL) -> str:
    return f"{origin_of(url)}{url.path}"
