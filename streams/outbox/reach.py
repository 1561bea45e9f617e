"""Which addresses a hook may reach: public ones, and those in networks that a setting names.

Owns the rule, and that a connection goes to an address which was checked: the name is resolved once, every address it
has is checked, and the connection is made to one of these. A name that resolves to something else a moment later
(DNS rebinding) changes nothing. Refuses plain HTTP to public addresses, since bodies name accounts.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore

from models.errors import StrayframeError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]

LONGEST_URL: Final = 2000
"""Characters of a hook's URL, at most; some servers take no more."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses as IPv6 ones behind a translator: RFC 6052."""


class BadHookUrl(StrayframeError):
    """A URL that a hook cannot have; the message says what is accepted."""


class Unreachable(StrayframeError):
    """An address that a hook may not reach, or a name that has none."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be reached: public addresses, and any in `networks`."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, text: str) -> Reach:
        """The reach beyond public addresses, from networks with commas between. Raises ValueError."""
        return cls(tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()))

    def names(self, address: Address) -> bool:
        """Whether a setting names a network that holds the address."""
        return any(address in network for network in self.networks)

    def check(self, text: str, *, plain: bool) -> None:
        """Raise Unreachable for an address that may not be reached; `plain` is without TLS."""
        address = ipaddress.ip_address(text.partition("%")[0])
        if self.names(address):
            return
        if not is_public(address):
            raise Unreachable(f"{address} is not public; hook_networks names the others that hooks may reach")
        if plain:
            raise Unreachable(f"{address} is public, and http is not encrypted: use https")

    def check_url(self, url: str) -> None:
        """Raise BadHookUrl for a URL that can never be called. Names are not resolved: that is done for each call."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise BadHookUrl(f"the URL cannot be read ({error})") from None
        if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
            raise BadHookUrl(f"a URL has at most {LONGEST_URL} printable ASCII characters; encode others")
        if parts.scheme not in ("https", "http") or not host:
            raise BadHookUrl("a URL is https://HOST[:PORT]/PATH, or http:// to a network that hook_networks names")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise BadHookUrl("a URL holds no password and no fragment; what is sent is signed")
        try:
            self.check(host, plain=parts.scheme == "http")
        except ValueError:
            return  # a name
        except Unreachable as error:
            raise BadHookUrl(str(error)) from None


def is_public(address: Address) -> bool:
    """Whether the address is one of the open internet, and so is what it stands for."""
    return all(each.is_global and not each.is_multicast for each in (address, *_within(address)))


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order in which they are to be tried. Raises OSError.

    Each lookup has a thread of its own, which nobody waits for at the end: a name server that hangs for one hook holds
    up neither other hooks nor the end of the process.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def look() -> None:
        try:
            addresses = [str(place[0]) for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
            settle = partial(_settle, found, addresses)
        except OSError as error:
            settle = partial(_settle, found, error)
        except UnicodeError:  # an empty or an overlong part: no name server is asked
            settle = partial(_settle, found, OSError(f"{host} is no name of a host"))
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=look, name="strayframe-name", daemon=True).start()
    return await found


class Guarded(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, and to no other. Certificates are still checked against the name."""

    def __init__(self, reach: Reach, *, plain: bool, resolve: Resolve = resolve) -> None:
        self._reach = reach
        self._plain = plain
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address that answers. Raises Unreachable when any address may not be reached."""
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise Unreachable(f"{host} has no address ({error.strerror or error})") from None
        for address in addresses:
            self._reach.check(address, plain=self._plain)
        wrong: Exception = Unreachable(f"{host} has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                wrong = error
        raise wrong


def _settle(found: asyncio.Future[list[str]], result: list[str] | OSError) -> None:
    if found.done():
        return
    if isinstance(result, OSError):
        found.set_exception(result)
    else:
        found.set_result(result)


def _within(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 one stands for: mapped, 6to4, NAT64. (Teredo's are never public.)"""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]
