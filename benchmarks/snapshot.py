"""Starting from a snapshot: a million scenes, ready to be searched, beside entering the same scenes anew.

    python benchmarks/snapshot.py [--quick] [--json FILE]

The scenes are synthetic (benchmarks/synthetic.py), some thousand drawn and the rest made of their halves. The file lies
in the system's temporary folder and, having just been written, in the page cache, as after a restart of the process;
the checksums are proved in each run. The rest of a start, reading the store's rows and making what the judge knows of
them, is measured by the scene on a store with fewer of them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import synthetic
from rows import Bar, Row, Say, main

from detector.engine import Changes, Engine
from detector.memory import ID, Image
from models.code import code_of
from models.fingerprint import packed_body
from models.index import Index
from models.keys import as_it_is, keys_of
from models.packing import pack
from models.records import AccountId, CameraId, DeliveryId, SceneId, derived_id
from models.scene import Camera, Scene, Standing
from streams.judge import Batch
from streams.snapshot import load, read, write
from streams.store.sql import SqlStore

SCENES = 1_000_000
STORED = 20_000
"""Scenes of the store whose whole start is timed."""
DRAWN = 4000
AT_ONCE = 20_000
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
    index = pool.index(scenes)
    with tempfile.TemporaryDirectory() as folder:
        return [*_of_index(say, index, pool, Path(folder)), *_of_start(say, stored, pool, Path(folder))]


class Pool:
    """Drawn scenes, of which many more are made."""

    def __init__(self) -> None:
        (drawn,) = synthetic.chunks(DRAWN, SEED, DRAWN)
        packed, self.levels = zip(*map(pack, drawn.levels), strict=True)
        codes, masks = zip(*map(code_of, self.levels), strict=True)
        self.codes, self.masks, self.packed = np.array(codes), np.array(masks), np.array(packed)
        self.keys = np.array([keys_of(levels) for levels in self.levels]).T

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


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _of_index(say: Say, index: Index, pool: Pool, folder: Path) -> Iterator[Row]:
    n, path, query = len(index), folder / "index", as_it_is(pool.levels[0])
    rows = index.candidates(query, skip=[], standings=[1])
    ids = np.array([derived_id("sc", str(k)) for k in range(n)], ID)
    parts = index.parts() | {"ids": ids}
    say(f"writing {sum(part.nbytes for part in parts.values()) / 1e6:,.0f} MB")
    written = _seconds(lambda: write(path, "benchmark", parts))

    def restored() -> None:
        found = Index.of(read(path, "benchmark")).candidates(query, skip=[], standings=[1])
        assert np.array_equal(found, rows)

    def entered() -> None:
        anew = Index()
        size = min(n, 10 * AT_ONCE)
        anew.extend(*(parts[k][:size] for k in ("codes", "masks", "camera", "standing")), None, parts["keys"][:, :size])

    ours, peers = [], []
    for turn in range(REPEATS):
        say(f"restoring, {turn + 1} of {REPEATS}")
        ours.append(_seconds(restored))
        peers.append(_seconds(entered) * n / min(n, 10 * AT_ONCE))
    computed = _seconds(lambda: [keys_of(levels) for levels in pool.levels[:COMPUTED]]) / COMPUTED * n
    yield Row(
        f"restore {n:,} scenes from a snapshot, checksums proved, first search answered",
        "s",
        median(ours),
        {"entering known codes and keys anew": median(peers), "computing the keys from thumbnails": computed},
        (Bar("restore, s", median(ours), 2.0, at_least=False),),
        f"{path.stat().st_size / n:.0f} bytes a scene; median of {REPEATS}",
    )
    yield Row(f"a snapshot of {n:,} scenes: written and synced beside the judge in", "s", written, options="once")
    path.unlink()


def _of_start(say: Say, n: int, pool: Pool, folder: Path) -> Iterator[Row]:
    say(f"a store of {n:,} scenes")
    url, path = f"sqlite:///{folder}/store.db", folder / "whole"
    with SqlStore(url) as store:
        store.acquire(60)
        for changes in stored_scenes(n, pool):
            store.commit(Batch(changes))
        first = Engine()
        without = _seconds(lambda: first.restore(store.knowledge())) / n
        write(path, store.identity(), first.memory.parts())

        def start() -> Image | None:
            image = load(path, store.identity())
            Engine().restore(store.knowledge(), image)
            return image

        assert start() is not None
        with_it = median(_seconds(start) for _ in range(REPEATS)) / n
        read_rows = median(_seconds(lambda: sum(1 for _ in store.knowledge().scenes)) for _ in range(REPEATS)) / n
        held_up = median(_seconds(first.memory.parts) for _ in range(REPEATS)) / n
    yield Row("a snapshot holds the judge up for", "µs a scene", held_up * 1e6, options=f"{n:,} scenes")
    yield Row(
        "the whole start of a judge on SQLite, from a snapshot",
        "µs a scene",
        with_it * 1e6,
        {"without a snapshot": without * 1e6, "of it reading the rows": read_rows * 1e6},
        options=f"{n:,} scenes; median of {REPEATS}, without a snapshot once",
    )


def _camera(k: int) -> Camera:
    return Camera(CameraId(f"cam-{k}"), AccountId(f"home-{k}"), WHEN, WHEN, b"")


def stored_scenes(n: int, pool: Pool) -> Iterator[Changes]:
    """What makes a store one of n scenes, three of each camera, some at a time."""
    for first in range(0, n, AT_ONCE):
        end = min(first + AT_ONCE, n)
        cameras = [_camera(k) for k in range(first // 3, end // 3 + 1)]
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
