"""The bytes of stills under way to other processes: one piece of memory without a name, which all of them have open.

Owns which part of it holds what. One process puts bytes in and gives their room up; the others only read. Refuses to
know who reads what and when that is done. The memory is nobody's file: whoever dies, nothing of a still is left behind.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from mmap import mmap
from multiprocessing.reduction import DupFd
from typing import Any


@dataclass(slots=True)
class Place:
    """Where the bytes of a still lie, until their room is given up."""

    at: int
    size: int
    held: bool = True

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.at + self.size


class Reading:
    """The memory as a process sees it that was given it at its start. One size is mapped, what lies beyond is read."""

    def __init__(self, file: Any, size: int) -> None:
        self._file: int = file.detach()
        self._size = size
        self._memory = mmap(self._file, size)

    def get(self, at: int, size: int) -> bytes:
        """A copy of the bytes that lie there."""
        if at + size <= self._size:
            return self._memory[at : at + size]
        return os.pread(self._file, size, at)


class Ring:
    """Room for `size` bytes of stills, or for a single larger one. Can be handed to a process that is started."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._file = os.memfd_create("stills")
        os.ftruncate(self._file, size)
        self._memory = mmap(self._file, size)
        self._places: deque[Place] = deque()

    def close(self) -> None:
        """Give the memory up; it goes once the last process that has it open has ended."""
        self._memory.close()
        os.close(self._file)

    def put(self, data: bytes) -> Place | None:
        """Put the bytes of a still in; None while there is no room for them."""
        at = self._room(len(data))
        if at is None:
            return None
        place = Place(at, len(data))
        if place.end <= self._size:
            self._memory[at : place.end] = data
        else:
            os.pwrite(self._file, data, at)
        self._places.append(place)
        return place

    def get(self, place: Place) -> bytes:
        """A copy of the bytes that lie there."""
        return os.pread(self._file, place.size, place.at)

    def free(self, place: Place) -> None:
        """Give up the room of a still. What came after the oldest one still held stays taken until that goes."""
        place.held = False
        while self._places and not self._places[0].held:
            gone = self._places.popleft()
            if gone.end > self._size:  # it was alone
                os.ftruncate(self._file, self._size)

    def __reduce__(self) -> tuple[Any, ...]:
        return Reading, (DupFd(self._file), self._size)

    def _room(self, size: int) -> int | None:
        if not self._places:
            return 0
        first, end = self._places[0].at, self._places[-1].end
        if self._places[-1].at < first:  # it has begun anew from 0; the two never touch, so that this tells
            return end if end + size < first else None
        if end + size <= self._size:
            return end
        return 0 if size < first else None
