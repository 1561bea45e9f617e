"""Starting from a snapshot: a million scenes, ready to be searched, beside entering the same scenes anew.

    python benchmarks/snapshot.py [--quick] [--json FILE]

The scenes are synthetic (benchmarks/synthetic.py), some thousand drawn and the rest made of their halves. The file lies
in the system's temporary folder and, having just been written, in the page cache, as after a restart of the process;
the checksums are proved in each run. The whole start of a judge, which proves the snapshot by the marks in the
store, is measured on a store of as many scenes, three of each camera; without a snapshot by the scene on a smaller one.
"""

from __future__ import annotations

import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import synthetic
from rows import Bar, Row, Say, main

from detector.engine import Changes, Engine
from detector.image import Marked
from detector.known import CAMERA_FORM, read_scene
from detector.memory import Memory
from detector.packed import join, scene_part
from models.fingerprint import packed_body
from models.index import Index
from models.keys import as_it_is
from models.packing import pack
from models.records import AccountId, CameraId, DeliveryId, SceneId, derived_id
from models.scene import Camera, Scene, Standing
from models.signs import signs_of
from streams.judge import Batch
from streams.snapshot import load, read, write
from streams.store.sql import SqlStore

SCENES = 1_000_000
STORED = 5_000
"""Scenes of the store from which a start is timed without a snapshot."""
CHANGED = 100
"""One in so many cameras and scenes is changed in the store since the snapshot."""
DRAWN = 4000
AT_ONCE = 30_000
REPEATS = 5
COMPUTED = 300
"""Scenes whose codes and keys are computed, to tell what a start without a snapshot takes."""
SEED = 20191231
WHEN = datetime(2026, 3, 1, 8, tzinfo=UTC)


def measure(say: Say, *, quick: bool) -> list[Row]:
    """See `rows.Measure`."""
    scenes, stored = (20_000, 500) if quick else (SCENES, STORED)
    say(f"drawing {scenes:,} scenes")
    pool = Pool()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        rows = [*_of_index(say, pool.index(scenes), pool, path)]
        without = anew(say, stored, pool, f"sqlite:///{path}/few.db")
        return [*rows, *of_start(say, scenes, pool, f"sqlite:///{path}/store.db", path / "whole", without)]


class Pool:
    """Drawn scenes, of which many more are made."""

    def __init__(self) -> None:
        (drawn,) = synthetic.chunks(DRAWN, SEED, DRAWN)
        packed, self.levels = zip(*map(pack, drawn.levels), strict=True)
        self.packed = np.array(packed)
        self.codes, self.masks, self.keys = signs_of(self.packed)

    def index(self, n: int) -> Index:
        """An index of n scenes: each the upper half of one drawn scene and the lower half of another,
        with the thumbnail of the first."""
        index, rng = Index(), np.random.default_rng(SEED)
        for first in range(0, n, AT_ONCE):
            size = min(AT_ONCE, n - first)
            upper, lower = rng.integers(0, DRAWN, (2, size))
            keys = self.keys[:, upper] ^ (self.keys[:, lower] >> np.uint32(14))
            codes = np.concatenate([self.codes[upper, :4], self.codes[lower, 4:]], axis=1)
            masks = np.concatenate([self.masks[upper, :4], self.masks[lower, 4:]], axis=1)
            cameras = ((first + np.arange(size)) // 3).astype(np.int32)
            index.extend(codes, masks, cameras, np.ones(size, np.uint8), self.packed[upper], keys)
        return index

    def repeated(self, n: int) -> Index:
        """An index of n scenes that are the drawn ones again and again."""
        index = Index()
        for first in range(0, n, AT_ONCE):
            at = np.arange(first, min(first + AT_ONCE, n)) % DRAWN
            cameras = (np.arange(first, first + len(at)) // 3).astype(np.int32)
            standings = np.ones(len(at), np.uint8)
            index.extend(self.codes[at], self.masks[at], cameras, standings, self.packed[at], self.keys[:, at])
        return index


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _of_index(say: Say, index: Index, pool: Pool, folder: Path) -> Iterator[Row]:
    n, path, query = len(index), folder / "index", as_it_is(pool.levels[0])
    rows = index.candidates(query, skip=[], standings=[1])
    parts = index.parts()
    say(f"writing {sum(part.nbytes for part in parts.values()) / 1e6:,.0f} MB")
    written = _seconds(lambda: write(path, "benchmark", parts))

    def restored() -> None:
        found = Index.of(read(path, "benchmark")).candidates(query, skip=[], standings=[1])
        assert np.array_equal(found, rows)

    def entered() -> None:
        anew = Index()
        size = min(n, 10 * AT_ONCE)
        codes, masks = np.split(parts["bits"][:size], 2, axis=1)
        anew.extend(codes, masks, parts["camera"][:size], parts["standing"][:size], None, parts["keys"][:, :size])

    ours, peers = [], []
    for turn in range(REPEATS):
        say(f"restoring, {turn + 1} of {REPEATS}")
        ours.append(_seconds(restored))
        peers.append(_seconds(entered) * n / min(n, 10 * AT_ONCE))
    computed = _seconds(lambda: signs_of(pool.packed[:COMPUTED])) / COMPUTED * n
    yield Row(
        f"restore {n:,} scenes from a snapshot, checksums proved, first search answered",
        "s",
        median(ours),
        {"entering known codes and keys anew": median(peers), "making them out of thumbnails": computed},
        (Bar("restore, s", median(ours), 2.0, at_least=False),),
        f"{path.stat().st_size / n:.0f} bytes a scene; median of {REPEATS}",
    )
    yield Row(f"a snapshot of {n:,} scenes: written and synced beside the judge in", "s", written, options="once")
    path.unlink()


def anew(say: Say, n: int, pool: Pool, url: str) -> float:
    """Seconds a scene that a start takes without a snapshot."""
    with SqlStore(url) as store:
        fill(say, store, n, pool)
        return _seconds(lambda: Engine().restore(store.knowledge())) / n


def fill(say: Say, store: SqlStore, n: int, pool: Pool) -> None:
    """Make an empty store one of n scenes."""
    say(f"a store of {n:,} scenes")
    store.acquire(60)
    for changes in stored_scenes(n, pool):
        store.commit(Batch(changes))


def of_start(say: Say, n: int, pool: Pool, url: str, path: Path, without: float) -> Iterator[Row]:
    """The whole start of a judge on a store of n scenes."""
    with SqlStore(url) as store:
        fill(say, store, n, pool)
        say("the snapshot of it")
        memory = remembered(n, pool)
        write(path, store.identity(), memory.parts())
        held_up = median(_seconds(memory.parts) for _ in range(REPEATS))
        del memory

        def start() -> None:
            image = load(path, store.identity())
            assert image is not None
            engine = Engine()
            engine.restore(store.knowledge(), image)
            assert len(engine.memory.scenes) == len(engine.memory.index) == n

        say("starting")
        with_it = median(_seconds(start) for _ in range(REPEATS))
        marks = median(_seconds(lambda: [rows.marks() for rows in _marked(store)]) for _ in range(REPEATS))
        again = [*_changed(n, pool)]
        store.commit(Batch(Changes(cameras=[_camera(k, 1) for k in range(0, n // 3, CHANGED)], scenes=again)))
        after = median(_seconds(start) for _ in range(REPEATS))
    yield Row("a snapshot holds the judge up for", "s", held_up, options=f"{n:,} scenes")
    yield Row(
        f"the whole start of a judge with {n:,} scenes, from a snapshot",
        "s",
        with_it,
        {"without one": without * n, f"from one, with one row in {CHANGED} changed since": after},
        options=f"of it {marks:.2f} s to read the marks; median of {REPEATS}, without a snapshot by the scene",
    )


def _marked(store: SqlStore) -> tuple[Marked[object], Marked[object]]:
    known = store.knowledge()
    assert isinstance(known.cameras, Marked)
    assert isinstance(known.scenes, Marked)
    return known.cameras, known.scenes


def remembered(n: int, pool: Pool) -> Memory:
    """The memory of a judge on that store."""
    memory = Memory()
    memory.index = pool.repeated(n)
    for changes in stored_scenes(n, pool):
        scenes = {camera.id: [] for camera in changes.cameras}  # type: dict[CameraId, list[Scene]]
        for scene in changes.scenes:
            scenes[scene.camera].append(scene)
        for camera in changes.cameras:
            number = memory.cameras.reserve(camera.id)
            parts = [scene_part(read_scene(scene)[0]) for scene in scenes[camera.id]]
            memory.cameras.put(number, join(camera, parts))
            for scene in scenes[camera.id]:
                memory.scenes.enter(scene.id, int(scene.delivery.id), number)
    return memory


def _changed(n: int, pool: Pool) -> Iterator[Scene]:
    for k in range(0, n, CHANGED):
        for scene in _scenes(k, k + 1, pool):
            yield replace(scene, seen=3)


def _camera(k: int, stills: int = 0) -> Camera:
    body = struct.pack("<BIIB", CAMERA_FORM, stills, 0, 0)
    return Camera(CameraId(f"cam-{k}"), AccountId(f"home-{k}"), WHEN, WHEN, body)


def stored_scenes(n: int, pool: Pool) -> Iterator[Changes]:
    """What makes a store one of n scenes, three of each camera, some at a time."""
    for first in range(0, n, AT_ONCE):
        end = min(first + AT_ONCE, n)
        cameras = [_camera(k) for k in range(first // 3, -(-end // 3))]
        yield Changes(cameras=cameras, scenes=[*_scenes(first, end, pool)])


def _scenes(first: int, end: int, pool: Pool) -> Iterator[Scene]:
    head = b'{"d":"' + b"0" * 32 + b'"}'
    for k in range(first, end):
        key, camera = DeliveryId("benchmark", str(k)), CameraId(f"cam-{k // 3}")
        id_ = SceneId(derived_id("sc", camera, key.source, key.id))
        body = b"\x01" + len(head).to_bytes(2, "little") + head + packed_body(pool.packed[k % DRAWN])
        account = AccountId(f"home-{k // 3}")
        yield Scene(id_, camera, account, Standing.CONFIRMED, key, WHEN, WHEN, 2, body)


if __name__ == "__main__":
    main(measure, __doc__)
