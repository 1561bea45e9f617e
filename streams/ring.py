"""The bytes of stills under way to other processes: one piece of memory without a name, which all of them have open.

Owns which part of it holds what. One process puts stills in and gives their room up; the others read them, and lay what
they have to say of a still behind it. Refuses to know who reads what and when that is done. The memory is
nobody's file: whoever dies, nothing of a still is left behind.
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
    """Where the bytes of a still lie, and behind them so much room for what is said of it, until that is given up."""

    at: int
    size: int
    room: int
    held: bool = True

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.at + self.size + self.room


class Reading:
    """The memory as a process sees it that was given it at its start. One size is mapped, what lies beyond is read and
    written."""

    def __init__(self, file: Any, size: int, room: int) -> None:
        self._file: int = file.detach()
        self._size = size
        self._room = room
        self._memory = mmap(self._file, size)

    def get(self, at: int, size: int) -> bytes:
        """A copy of the still that lies there."""
        if at + size <= self._size:
            return self._memory[at : at + size]
        return os.pread(self._file, size, at)

    def say(self, at: int, size: int, said: bytes) -> None:
        """Lay what is to be said of the still that lies there behind it. Raises ValueError where it takes more room."""
        if len(said) > self._room:
            raise ValueError(f"{len(said)} bytes are to be said, there is room for {self._room}")
        begin = at + size
        if begin + len(said) <= self._size:
            self._memory[begin : begin + len(said)] = said
        else:
            os.pwrite(self._file, said, begin)


class Ring:
    """`size` bytes for stills, or for a single larger one, each with so much `room` behind it for what is said of it.
    Can be handed to a process that is started."""

    def __init__(self, size: int, room: int) -> None:
        self._size = size
        self._room = room
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
        at = self._begin(len(data) + self._room)
        if at is None:
            return None
        place = Place(at, len(data), self._room)
        if place.end <= self._size:
            self._memory[at : at + place.size] = data
        else:
            os.pwrite(self._file, data, at)
        self._places.append(place)
        return place

    def get(self, place: Place) -> bytes:
        """A copy of the still that lies there."""
        return os.pread(self._file, place.size, place.at)

    def said(self, place: Place, size: int) -> bytes:
        """A copy of what was said of it, of so many bytes."""
        begin = place.at + place.size
        if place.end <= self._size:
            return self._memory[begin : begin + size]
        return os.pread(self._file, size, begin)

    def free(self, place: Place) -> None:
        """Give up the room of a still. What came after the oldest one still held stays taken until that goes."""
        place.held = False
        while self._places and not self._places[0].held:
            gone = self._places.popleft()
            if gone.end > self._size:  # it was alone
                os.ftruncate(self._file, self._size)

    def __reduce__(self) -> tuple[Any, ...]:
        return Reading, (DupFd(self._file), self._size, self._room)

    def _begin(self, size: int) -> int | None:
        if not self._places:
            return 0
        first, end = self._places[0].at, self._places[-1].end
        if self._places[-1].at < first:  # it has begun anew from 0; the two never touch, so that this tells
            return end if end + size < first else None
        if end + size <= self._size:
            return end
        return 0 if size < first else None
