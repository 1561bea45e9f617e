"""Sockets that take in what has arrived in large pieces.

kafka-python 3.0.12 asks its socket for 4 KiB at a time: 35 calls for a still of 140 kB, each of which gives up Python's
lock and has to win it back. Owns the one door that the client leaves open for other sockets: the scheme of a proxy.
"""

from __future__ import annotations

import socket
from typing import Final

from kafka.net.inet import KafkaNetSocket

DIRECT: Final = "direct://"
"""What the client takes for the URL of a proxy. There is none: the brokers are spoken to directly."""

PIECE_BYTES: Final = 64 * 1024
"""Bytes asked for at a time. A fetched still of 140 kB costs 0.46 ms of CPU, with 4 KiB 0.72 ms; more brings nothing,
because larger pieces are mapped anew by the C library each time."""


class _Socket(socket.socket):
    def recv(self, size: int, flags: int = 0, /) -> bytes:
        return super().recv(max(size, PIECE_BYTES), flags)


class _Direct(KafkaNetSocket):
    """Makes the sockets for `DIRECT`; being defined registers it."""

    SCHEMES = ("direct",)

    def socket(
        self,
        family: int = socket.AF_UNSPEC,
        sock_type: int = socket.SOCK_STREAM,
        proto: int = socket.IPPROTO_TCP,
    ) -> socket.socket:
        return _Socket(family, sock_type, proto)
