"""What a start goes by: the image of a memory that a snapshot kept, and what the store has become since.

Owns what an image is made of, and how what the store holds is told from what the image holds: by marks
(detector/packed.py), all at once. Refuses to believe the image: it takes from it what has the mark of what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from detector.packed import Marks, glance
from models.index import Index
from models.places import Places

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Image:
    """What was kept of a memory to start from sooner: its index, its cameras' records, what these say at a glance."""

    index: Index
    parts: Mapping[str, NDArray[Any]]
    marks: Marks

    @classmethod
    def of(cls, parts: Mapping[str, NDArray[Any]]) -> Image:
        """From `Memory.parts`. Raises ValueError for parts that do not fit together or to this program."""
        index, records, starts = Index.of(parts), parts["records"], parts["starts"]
        if (
            not starts.size
            or starts[0]
            or starts[-1] != records.size
            or records.dtype != np.uint8
            or starts.dtype != np.int64
        ):
            raise ValueError(f"{records.size} bytes of records, {starts.size} places")
        for thing in ("camera", "scene"):
            Places.of(parts[f"{thing}_keys"], parts[f"{thing}_numbers"])
        if not index.genuine():
            raise ValueError("another version's codes or keys")
        return cls(index, parts, glance(records, starts))


@runtime_checkable
class Marked(Protocol[T_co]):
    """Rows of a store that tell what has changed without being read."""

    def __iter__(self) -> Iterator[T_co]: ...

    def marks(self) -> NDArray[np.int64]:
        """The marks of all rows that have one, in order."""

    def of(self, marks: NDArray[np.int64]) -> Iterable[T_co]:
        """The rows of these marks, and all that have none."""


def differing(
    rows: Iterable[T], mark_of: Callable[[T], int], held: NDArray[np.int64]
) -> tuple[Iterable[T], NDArray[np.bool_]]:
    """The rows that are not held, and which of what is held is no row."""
    if not held.size:
        return rows, np.zeros(0, bool)
    ordered = np.sort(held)
    if isinstance(rows, Marked):
        stored = rows.marks()
        return rows.of(stored[~_within(stored, ordered)]), ~_within(held, stored)
    given = {mark_of(row): row for row in rows}
    stored = np.sort(np.fromiter(given, np.int64, len(given)))
    return [given[mark] for mark in stored[~_within(stored, ordered)].tolist()], ~_within(held, stored)


def _within(some: NDArray[np.int64], ordered: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of some numbers are among others, which are in order."""
    if not ordered.size:
        return np.zeros(some.size, bool)
    return np.asarray(ordered[np.minimum(np.searchsorted(ordered, some), ordered.size - 1)] == some)
