"""Marks in the store: what changed since a snapshot was written is told from them, without reading the rest.

Owns how marks are read all at once, how rows are read by them, and that every row gets one. Refuses to say what a mark
is made of: detector/packed.py does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Table, bindparam, func, select, update

from detector.packed import mark_of_camera, mark_of_scene
from streams.store import rows, schema
from streams.store.database import Database
from streams.store.lease import Lease

T = TypeVar("T")

CHUNK: Final = 2000
"""Rows read at a time: a few megabytes of scenes."""
MARKS: Final = 100_000
"""Marks read at a time."""
IDS: Final = 1000
"""Marks asked for in one statement."""


@dataclass(frozen=True, slots=True)
class MarkedRows(Generic[T]):
    """All rows of a table, or those of some marks; read when they are iterated, in chunks (`detector.image.Marked`)."""

    database: Database
    table: Table
    to: Callable[[Sequence[Any]], T]

    def __iter__(self) -> Iterator[T]:
        return self._read()

    def marks(self) -> NDArray[np.int64]:
        """The marks of all rows that have one, in order: a walk along the index, with no more to a mark than the
        driver's own tuple."""
        mark, found = self.table.c.mark, [np.zeros(0, np.int64)]
        walk = select(mark).order_by(mark).limit(MARKS)
        with self.database.reading() as connection:
            some = walk.where(mark.is_not(None))
            while True:
                read = connection.execute(some).cursor
                assert read is not None
                found.append(np.fromiter(chain.from_iterable(read.fetchall()), np.int64))
                if len(found[-1]) < MARKS:
                    return np.concatenate(found)
                some = walk.where(mark > int(found[-1][-1]))

    def of(self, marks: NDArray[np.int64]) -> Iterator[T]:
        """The rows of these marks, and all that have none. Where that is most of them, the table is read through."""
        mark = self.table.c.mark
        with self.database.reading() as connection:
            stored = connection.scalar(select(func.count()).select_from(self.table)) or 0
        if 2 * len(marks) > stored:
            wanted = set(marks.tolist())
            yield from self._read(lambda row: row[-1] is None or row[-1] in wanted)
            return
        yield from self._read(None, mark.is_(None))
        for first in range(0, len(marks), IDS):
            yield from self._read(None, mark.in_(marks[first : first + IDS].tolist()))

    def _read(self, keep: Callable[[Sequence[Any]], bool] | None = None, *where: ColumnElement[bool]) -> Iterator[T]:
        with self.database.reading_through() as connection:
            read = connection.execution_options(yield_per=CHUNK).execute(select(self.table).where(*where))
            for chunk in read.partitions():
                yield from map(self.to, chunk if keep is None else filter(keep, chunk))


def cameras(database: Database) -> MarkedRows[Any]:
    """All cameras."""
    return MarkedRows(database, schema.cameras, rows.to_camera)


def scenes(database: Database) -> MarkedRows[Any]:
    """All scenes."""
    return MarkedRows(database, schema.scenes, rows.to_scene)


def fill(database: Database, lease: Lease) -> int:
    """Give a mark to every row that has none, as those of an older program have; how many that were. Raises Fenced."""
    filled = 0
    kinds: tuple[tuple[Table, Callable[[Any], int]], ...] = (
        (schema.cameras, lambda row: mark_of_camera(rows.to_camera(row))),
        (schema.scenes, lambda row: mark_of_scene(rows.to_scene(row))),
    )
    for table, mark_of in kinds:
        put = update(table).where(table.c.id == bindparam("of")).values(mark=bindparam("new"))
        while True:
            with database.writing() as connection:
                some = select(table).where(table.c.mark.is_(None)).limit(CHUNK).with_for_update()
                without = connection.execute(some).all()  # held: another share may be about to change them
                if without:
                    connection.execute(put, [{"of": row.id, "new": mark_of(row)} for row in without])
                    lease.fence(connection)
            filled += len(without)
            if len(without) < CHUNK:
                break
    return filled
