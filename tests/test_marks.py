"""What a start reads of the store beside a snapshot: what changed since, whoever changed it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from places import Cloud
from sqlalchemy import text, update

from detector.engine import Engine, Knowledge
from detector.image import Image, Marked
from detector.memory import Memory
from models.records import CameraId
from models.scene import Standing
from streams.judge import Batch
from streams.snapshot import load, write
from streams.store import marks, schema
from streams.store.sql import SqlStore


@dataclass
class Watching:
    """Rows of a store, and how many of them were read."""

    rows: Marked[Any]
    read: int = 0

    def __iter__(self) -> Iterator[Any]:
        for row in self.rows:
            self.read += 1
            yield row

    def marks(self) -> NDArray[np.int64]:
        return self.rows.marks()

    def of(self, marks: NDArray[np.int64]) -> Iterable[Any]:
        for row in self.rows.of(marks):
            self.read += 1
            yield row


@dataclass
class Kept:
    """A cloud whose changes go to a store, and the image of its memory."""

    cloud: Cloud
    store: SqlStore
    path: Path

    def keep(self) -> None:
        """Store what changed."""
        changes = self.cloud.engine.drain()
        self.store.commit(Batch(changes))

    def image(self) -> Image:
        found = load(self.path, "test")
        assert found is not None
        return found

    def started(self) -> tuple[Engine, int, int]:
        """An engine from the image and the store; how many cameras and scenes were read."""
        known = self.store.knowledge()
        assert isinstance(known.cameras, Marked)
        assert isinstance(known.scenes, Marked)
        cameras, scenes = Watching(known.cameras), Watching(known.scenes)
        engine = Engine()
        engine.restore(Knowledge(known.rights, cameras, scenes), self.image())
        return engine, cameras.read, scenes.read

    def store_latest(self) -> datetime:
        """When a camera was last seen, as the store has it."""
        return max(camera.last_seen for camera in self.store.knowledge().cameras)

    def anew(self) -> Memory:
        """The memory of an engine that starts from the store alone."""
        engine = Engine()
        engine.restore(replace(self.store.knowledge(), alerts=(), incidents=(), members=()))
        return engine.memory


@pytest.fixture
def kept(url: str, tmp_path: Path) -> Iterator[Kept]:
    with SqlStore(url) as store:
        store.acquire(60, "test")
        cloud = Cloud()
        cloud.keep = lambda: None  # type: ignore[method-assign]
        kept = Kept(cloud, store, tmp_path / "image")
        for n in range(5):
            cloud.shows(f"cam-{n}", n, range(3))
        cloud.shows("cam-0", 40, [1])
        kept.keep()
        write(kept.path, "test", cloud.engine.memory.parts())
        yield kept


def stands(memory: Memory) -> dict[str, Any]:
    """How each scene stands, and each camera."""
    scenes: dict[str, Any] = {id_: known.record for id_, known in memory.scenes.items()}
    return scenes | {id_: (memory.cameras[id_].stills, memory.cameras[id_].record) for id_ in memory.cameras}


def test_what_did_not_change_is_not_read(kept: Kept) -> None:
    engine, cameras, scenes = kept.started()
    assert (cameras, scenes) == (0, 0)
    assert stands(engine.memory) == stands(kept.anew()) != {}


def test_what_came_changed_and_went_is_taken_from_the_store(kept: Kept) -> None:
    kept.cloud.shows("cam-new", 30, range(2))
    kept.cloud.shows("cam-1", 1, [7])
    memory = kept.cloud.engine.memory
    memory.forget_cameras([memory.cameras[next(iter(memory.cameras))].record.id])
    kept.keep()
    engine, cameras, scenes = kept.started()
    assert stands(engine.memory) == stands(kept.anew())
    assert cameras == 3
    assert 0 < scenes < len(memory.scenes)


def test_an_image_that_is_ahead_of_the_store_is_taken_back(kept: Kept) -> None:
    kept.cloud.shows("cam-new", 30, range(2))
    kept.cloud.shows("cam-1", 1, [7])
    write(kept.path, "test", kept.cloud.engine.memory.parts())
    engine, _, _ = kept.started()
    assert CameraId("cam-new") not in engine.memory.cameras
    assert stands(engine.memory) == stands(kept.anew())
    assert len(engine.memory.index) == len(kept.anew().index)
    assert engine.latest == kept.store_latest()
    write(kept.path, "test", engine.memory.parts())  # with a number that nobody has
    again, *read = kept.started()
    assert read == [0, 0]
    again.memory.forget_before(kept.cloud.clock - timedelta(minutes=8))
    assert 0 < len(again.memory.scenes) < len(engine.memory.scenes)


@pytest.mark.parametrize("table", ["cameras", "scenes"])
def test_a_row_that_somebody_else_changed_is_read(kept: Kept, table: str) -> None:
    statement = {
        "cameras": "UPDATE cameras SET presumed_owner = 'another' WHERE id = 'cam-2'",
        "scenes": "UPDATE scenes SET standing = 'once' WHERE camera = 'cam-2' AND standing = 'confirmed'",
    }[table]
    with kept.store.database.writing() as connection:
        assert connection.execute(text(statement)).rowcount > 0
    engine, *read = kept.started()
    assert sum(read) > 0
    assert stands(engine.memory) == stands(kept.anew())
    standings = {known.record.standing for known in engine.memory.cameras[next(iter(engine.memory.cameras))].own}
    assert standings <= set(Standing)


def test_rows_of_an_older_program_get_their_marks_once(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "CHUNK", 4)
    monkeypatch.setattr(marks, "MARKS", 3)
    before = [rows.marks().tolist() for rows in (marks.cameras(kept.store.database), marks.scenes(kept.store.database))]
    with kept.store.database.writing() as connection:
        for table in (schema.cameras, schema.scenes):
            connection.execute(update(table).values(mark=None))
    _, cameras, scenes = kept.started()
    assert (cameras, scenes) == tuple(map(len, before))
    assert kept.store.mark() == cameras + scenes
    assert kept.store.mark() == 0
    after = [rows.marks().tolist() for rows in (marks.cameras(kept.store.database), marks.scenes(kept.store.database))]
    assert after == before == [sorted(each) for each in before]


@pytest.mark.parametrize("some", [slice(0, 2), slice(0, None)])
def test_rows_are_read_by_their_marks(kept: Kept, some: slice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "IDS", 1)
    rows = marks.cameras(kept.store.database)
    every: Callable[[], list[str]] = lambda: sorted(each.id for each in rows.of(rows.marks()[some]))  # noqa: E731
    found = every()
    assert len(found) == len(set(found)) == len(rows.marks()[some])
