"""Every camera and its scenes: a bounded number of them at hand as objects, all others packed as bytes.

Owns cameras' numbers, which cameras are at hand, and how a camera is found by its id, a scene by its id or its row.
Refuses to change one. Those that were not asked for longest are packed and let go in `settle`, between batches, when
nobody holds an object any more; one that did not change is let go as it is.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detector.known import Known, Watched
from detector.packed import NEVER, RowOf, id_in, last_seen_in, micros_of, pack, unpack
from models.index import FREE
from models.places import Places, key_of
from models.records import CameraId, SceneId
from models.scene import Camera

AT_HAND: Final = 50_000
"""Cameras that stay at hand, the latest ones: some 6 kB each, and as many as one process judges within a minute (two
cores: 800 stills a second). One that is not takes some 70 us to unpack, and to pack another in its place
(benchmarks/growth.py)."""

OwnerOf = Callable[[int], int]
"""The number of the camera of a row in the index; FREE where nothing is."""


class Cameras:
    """All cameras by their ids. Say `changed` of one after changing it, or the change is lost with the object."""

    def __init__(self, row_of: RowOf, room: int = AT_HAND) -> None:
        self._row_of, self._room = row_of, room
        self._at_hand: OrderedDict[CameraId, Watched] = OrderedDict()
        self._by_number: dict[int, Watched] = {}
        self._places = Places()
        self._records: list[bytes | None] = []
        self._mapped: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._starts: NDArray[np.int64] = np.zeros(1, np.int64)
        self._oldest = array("q")
        self._changed: dict[CameraId, None] = {}
        self._latest: int | None = None

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, id_: CameraId) -> bool:
        return self.number(id_) is not None

    def __iter__(self) -> Iterator[CameraId]:
        """The ids of all, in the order of their numbers."""
        for number in range(len(self._records)):
            if number in self._by_number or len(self.record(number)):
                yield self._id_of(number)

    def __getitem__(self, id_: CameraId) -> Watched:
        found = self.get(id_)
        if found is None:
            raise KeyError(id_)
        return found

    def get(self, id_: CameraId) -> Watched | None:
        """The camera, at hand; None when it is not known."""
        found = self._at_hand.get(id_)
        if found is not None:
            self._at_hand.move_to_end(id_)
            return found
        number = self.number(id_)
        return None if number is None else self.at(number)

    def number(self, id_: CameraId) -> int | None:
        """A camera's number, without unpacking it."""
        found = self._at_hand.get(id_)
        if found is not None:
            return found.number
        return next((n for n in self._places.under(key_of(id_)) if self._id_of(n) == id_), None)

    def at(self, number: int) -> Watched:
        """The camera of a number, at hand."""
        found = self._by_number.get(number)
        if found is None:
            return self._hand(unpack(self.record(number), number, self._row_of))
        self._at_hand.move_to_end(found.record.id)
        return found

    def get_or_add(self, record: Camera) -> Watched:
        """The camera of this id, at hand; when it is not known, a new one with this record."""
        return self.get(record.id) or self.add(record)

    def add(self, record: Camera) -> Watched:
        """A new camera."""
        watched = self._hand(Watched(record, self.reserve(record.id)))
        self.changed(record.id)
        return watched

    def changed(self, id_: CameraId) -> None:
        """Say that a camera which is at hand, or one of its scenes, changed."""
        self._changed[id_] = None

    def settle(self) -> None:
        """Let go what was not asked for longest, beyond the room for it. What was handed out before may be stale."""
        while len(self._at_hand) > self._room:
            id_, gone = self._at_hand.popitem(last=False)
            del self._by_number[gone.number]
            if id_ in self._changed:
                del self._changed[id_]
                self.put(gone.number, pack(gone))

    def pack(self) -> None:
        """Pack what changed, so that every record says how its camera stands."""
        for id_ in self._changed:
            watched = self._at_hand[id_]
            self.put(watched.number, pack(watched))
        self._changed.clear()

    def renumber(self, rows: NDArray[np.int64]) -> None:
        """The index has given its rows other numbers."""
        for watched in self._at_hand.values():
            for known in (*watched.own, *watched.held):
                known.row = int(rows[known.row])

    @property
    def latest(self) -> int | None:
        """When any camera was last seen, in microseconds since 1970; None without one."""
        seen = [micros_of(self._at_hand[id_].record.last_seen) for id_ in self._changed]
        return max(seen if self._latest is None else [self._latest, *seen], default=None)

    def seen_before(self, micros: int) -> list[int]:
        """The numbers of cameras that may have a scene which was not seen since."""
        changed = [self._at_hand[id_].number for id_ in self._changed]
        return sorted({*np.flatnonzero(np.array(self._oldest, np.int64) < micros).tolist(), *changed})

    # --- records, for who restores

    def reserve(self, id_: CameraId) -> int:
        """A number for a camera that is not known, whose record is put there later."""
        number = len(self._records)
        self._records.append(b"")
        self._oldest.append(NEVER)
        self._places.insert(key_of(id_), number)
        return number

    def put(self, number: int, record: bytes) -> None:
        """Keep a camera's record in the place of the one before."""
        last_seen, self._oldest[number] = last_seen_in(record)
        self._latest = last_seen if self._latest is None else max(self._latest, last_seen)
        self._records[number] = record

    def drop(self, number: int) -> None:
        """Forget a camera that is not at hand."""
        self._places.remove(key_of(self._id_of(number)), number)
        self._records[number], self._oldest[number] = b"", NEVER

    def record(self, number: int) -> bytes | memoryview:
        """A camera's record, as it was when it was last packed; empty for a number that nobody has."""
        own = self._records[number]
        return self._mapped[self._starts[number] : self._starts[number + 1]].data if own is None else own

    def flagged(self, flag: int) -> Iterator[int]:
        """The numbers of cameras whose records have the flag."""
        filled = np.flatnonzero(np.diff(self._starts))
        having = np.zeros(len(self._records), bool)
        having[filled] = self._mapped[self._starts[filled]] & flag
        for number, (own, has) in enumerate(zip(self._records, having.tobytes(), strict=True)):
            if has if own is None else own and own[0] & flag:
                yield number

    # --- the snapshot

    def open(self, parts: Mapping[str, NDArray[Any]], oldest: NDArray[np.int64], latest: int | None) -> None:
        """Take up what `parts` gave, where it lies."""
        self._mapped, self._starts = parts["records"], parts["starts"]
        self._places = Places.of(parts["camera_keys"], parts["camera_numbers"])
        self._records = [None] * (len(self._starts) - 1)
        self._oldest, self._latest = array("q", oldest.tobytes()), latest

    def parts(self) -> dict[str, Any]:
        """All of it: where each record lies, and the records themselves, piece by piece."""
        self.pack()
        keys, numbers = self._places.parts()
        sizes = np.zeros(len(self._records), np.int64)
        sizes[: len(self._starts) - 1] = np.diff(self._starts)
        own = np.array([record is not None for record in self._records], bool)
        sizes[own] = [len(record) for record in self._records if record is not None]
        edges = [0, *(np.flatnonzero(np.diff(own)) + 1).tolist(), len(own)]
        pieces: list[Any] = []
        for first, end in pairwise(edges):
            if end > first and own[first]:
                pieces += self._records[first:end]
            elif end > first:
                pieces.append(self._mapped[self._starts[first] : self._starts[end]].data)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        return {"records": pieces, "starts": starts, "camera_keys": keys, "camera_numbers": numbers}

    def _hand(self, watched: Watched) -> Watched:
        self._at_hand[watched.record.id] = self._by_number[watched.number] = watched
        return watched

    def _id_of(self, number: int) -> CameraId:
        found = self._by_number.get(number)
        return id_in(self.record(number)) if found is None else found.record.id


class Scenes(Mapping[SceneId, Known]):
    """All scenes by their ids. To walk over them takes every camera at hand until the next `settle`."""

    def __init__(self, cameras: Cameras, owner_of: OwnerOf) -> None:
        self._cameras, self._owner_of = cameras, owner_of
        self.places = Places()

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[SceneId]:
        for id_ in list(self._cameras):
            camera = self._cameras[id_]
            yield from [known.record.id for known in camera.scenes]

    def __getitem__(self, id_: SceneId) -> Known:
        for place in self.places.under(key_of(id_)):
            number = self._owner_of(place) if place >= 0 else -2 - place
            found = self._cameras.at(number).scene(id_) if number != FREE else None
            if found is not None:
                return found
        raise KeyError(id_)

    def row_of(self, id_: SceneId, number: int) -> int:
        """The row of a scene of the camera of this number."""
        for place in self.places.under(key_of(id_)):
            if place >= 0 and self._owner_of(place) == number:
                return place
        raise KeyError(id_)

    def enter(self, id_: SceneId, row: int, number: int) -> None:
        """Note a scene: its row, or -1, and its camera's number."""
        self.places.insert(key_of(id_), row if row >= 0 else -2 - number)

    def leave(self, id_: SceneId, row: int, number: int) -> None:
        """The scene is gone."""
        self.places.remove(key_of(id_), row if row >= 0 else -2 - number)


class Rows(Mapping[int, Known]):
    """The scenes that have a row, by it."""

    def __init__(self, cameras: Cameras, owner_of: OwnerOf, rows: Callable[[], NDArray[np.int64]]) -> None:
        self._cameras, self._owner_of, self._rows = cameras, owner_of, rows

    def __len__(self) -> int:
        return len(self._rows())

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows().tolist())

    def __getitem__(self, row: int) -> Known:
        number = self._owner_of(row)
        for known in self._cameras.at(number).scenes if number != FREE else ():
            if known.row == row:
                return known
        raise KeyError(row)
