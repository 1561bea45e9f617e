"""Memory for stills that come and go: what the process once had it keeps.

The C library gives large pieces back to the system as soon as they are free, and asks for them anew for the next still:
36 pages of 140 kB, which the system fills with zeros first. To copy a still into memory that was given back took 0.10
ms, into memory that was kept 0.015 (on a virtual machine, whose host has to find the pages as well).

Owns what the C library is told. Refuses nothing: one that cannot be told (not glibc) works as it does.
"""

from __future__ import annotations

import ctypes
from typing import Final

TRIM, LARGE, ARENAS = -1, -3, -8
"""glibc's numbers, malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX."""

KEPT_BYTES: Final = 64 * 1024 * 1024
"""Free bytes that are not given back: two fetches and the messages of a batch, some 45 MB."""

LARGE_BYTES: Final = 32 * 1024 * 1024
"""From here on a piece is the system's own, as the tables of an index are: the most that glibc takes."""


def keep() -> None:
    """Keep what is freed, for all threads in one place. To be called before there are any."""
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        for what, value in ((ARENAS, 1), (LARGE, LARGE_BYTES), (TRIM, KEPT_BYTES)):
            tell(what, value)
