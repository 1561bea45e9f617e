"""A memory goes on from its snapshot as from the store; a file that is not quite right is refused whole."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from cloud import delivered
from places import Cloud, still
from structlog.testing import capture_logs

from detector.engine import Engine, Knowledge
from detector.image import Image
from detector.memory import Memory
from models.errors import SnapshotRefused
from models.index import Index
from models.keys import as_it_is
from models.placeholder import Shelf
from models.records import CameraId, SceneId
from models.scene import Scene, Standing
from streams.metrics import Metrics
from streams.settings import Settings
from streams.snapshot import PREAMBLE, Keeper, load, read, write
from streams.wiring import open_judge

PARTS = {
    "numbers": np.arange(5000, dtype=np.int32).reshape(50, 100),
    "none": np.zeros((0, 8), np.uint64),
    "names": np.array([b"a", b"bcd", b""]),
    "bytes": np.random.default_rng(1).integers(0, 255, 9_000_000).astype(np.uint8),
}


def test_parts_come_back_as_they_were_written_and_may_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "index"
    assert write(path, "me", PARTS) == path.stat().st_size
    before = path.read_bytes()
    for name, part in read(path, "me").items():
        assert part.dtype == PARTS[name].dtype
        assert np.array_equal(part, PARTS[name])
        assert part.ctypes.data % 64 == 0 or not part.size
        part[...] = part[::-1].copy()
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o600
    assert [left.name for left in tmp_path.iterdir()] == ["index"]


def test_the_last_file_stays_until_the_next_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "index"
    write(path, "me", PARTS)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(path, "me", {"other": np.zeros(3)})
    assert set(read(path, "me")) == set(PARTS)
    assert [left.name for left in tmp_path.iterdir()] == ["index"]


def test_what_a_killed_process_left_beside_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / ".index.4711").write_bytes(b"half")
    write(tmp_path / "index", "me", PARTS)
    assert [left.name for left in tmp_path.iterdir()] == ["index"]


def at(place: int, new: bytes) -> Callable[[bytes], bytes]:
    """Other bytes at a place, counted from the end if negative."""
    return lambda raw: raw[:place] + new + raw[place % len(raw) + len(new) :]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda raw: b"", "torn"),
        (lambda raw: raw[:100], "torn"),
        (lambda raw: raw[: len(raw) // 2], "torn"),
        (lambda raw: raw[:-1], "torn"),
        (at(0, b"SQLite f"), "no snapshot"),
        (at(8, struct.pack("<I", 3)), "of version 3; this program writes and reads 4"),
        (at(8, struct.pack("<I", 5)), "of version 5; this program writes and reads 4"),
        (at(PREAMBLE.size + 4096, b"\xff"), "part numbers does not have its checksum"),
        (at(5_000_000, b"\x01\x02\x03\x04"), "part bytes does not have its checksum"),
        (at(-9, b"!"), "directory does not have its checksum"),
    ],
)
def test_a_torn_foreign_older_or_newer_file_is_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    path = tmp_path / "index"
    write(path, "me", PARTS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SnapshotRefused, match=reason):
        read(path, "me")


def test_another_stores_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "index", "somebody", PARTS)
    with pytest.raises(SnapshotRefused, match="of another store"):
        read(tmp_path / "index", "me")


def cloud(cameras: int = 6) -> Cloud:
    """Cameras with some scenes each, one that waits, and a dark still."""
    made = Cloud()
    for n in range(cameras):
        made.shows(f"cam-{n}", n, range(3))
    made.shows("cam-0", 40, [1])
    return made


def knowledge(made: Cloud) -> Knowledge:
    """What a store would give back."""
    s = made._stored
    shelf = Shelf(0, tuple(s.placeholders), tuple(s.sightings))
    return Knowledge(s.rights, s.cameras, s.scenes, made.standing, s.incidents, shelf)


def image_of(memory: Memory, path: Path) -> Image:
    """The memory's snapshot, written and read."""
    write(path, "me", memory.parts())
    found = load(path, "me")
    assert found is not None
    return found


def same(a: Memory, b: Memory, seeds: range = range(45)) -> None:
    """Both have the same scenes, under the same rows' owners and standings."""
    assert a.scenes.keys() == b.scenes.keys()
    assert len(a.index) == len(b.index)
    for id_, known in a.scenes.items():
        other = b.scenes[id_]
        assert known.record == other.record
        if known.row >= 0:
            assert np.array_equal(a.index.levels(known.row), b.index.levels(other.row))
            assert b.at_row[other.row] is other
    for seed in seeds:
        found = still(seed, 9).fingerprint
        assert found is not None
        for standings in ([0], [1], [2], [0, 1, 2, 3]):
            query = as_it_is(found.levels)
            one, two = (
                {m.at_row[r].record.id for r in m.index.candidates(query, skip=[1], standings=standings).tolist()}
                for m in (a, b)
            )
            assert {a.scenes[i].record.camera for i in one} == {b.scenes[i].record.camera for i in two}


def test_a_memory_goes_on_from_its_snapshot_as_from_the_store(tmp_path: Path) -> None:
    made = cloud()
    image = image_of(made.engine.memory, tmp_path / "index")
    from_store, from_both = Engine(), Engine()
    from_store.restore(knowledge(made))
    from_both.restore(knowledge(made), image)
    assert from_both.memory.index is image.index
    same(from_store.memory, from_both.memory)


def test_the_store_says_which_scenes_there_are_and_how_they_stand(tmp_path: Path) -> None:
    made = cloud()
    image = image_of(made.engine.memory, tmp_path / "index")
    made.shows("cam-new", 30, range(3))
    made.engine.memory.forget_cameras([CameraId("cam-2")])
    waiting = next(k for k in made.engine.memory.scenes.values() if k.record.standing is Standing.HELD)
    made.engine.memory.restand(waiting, Standing.CONFIRMED)
    made.keep()
    from_store, from_both = Engine(), Engine()
    from_store.restore(knowledge(made))
    from_both.restore(knowledge(made), image)
    same(from_store.memory, from_both.memory)
    assert {k.record.camera for k in from_both.memory.scenes.values()} >= {"cam-new", "cam-1"}


def test_a_scene_whose_thumbnail_is_another_one_in_the_file_is_computed_anew(tmp_path: Path) -> None:
    made = cloud()
    memory = made.engine.memory
    parts = {name: part.copy() for name, part in memory.parts().items()}
    row = next(iter(memory.at_row))
    parts["thumbs.0"][row] = 0  # as it is when its scene was removed while the file was written
    from_store, from_both = Engine(), Engine()
    from_store.restore(knowledge(made))
    write(tmp_path / "index", "me", parts)
    from_both.restore(knowledge(made), load(tmp_path / "index", "me"))
    same(from_store.memory, from_both.memory)


def test_codes_of_another_program_are_refused_and_the_log_says_so(tmp_path: Path) -> None:
    parts = {name: part.copy() for name, part in cloud().engine.memory.parts().items()}
    parts["bits"] ^= np.uint64(4)
    write(tmp_path / "index", "me", parts)
    with capture_logs() as logs:
        assert load(tmp_path / "index", "me") is None
        assert load(tmp_path / "absent", "me") is None
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("snapshot.refused", "warning"),
        ("snapshot.missing", "info"),
    ]
    assert "another version" in logs[0]["reason"]


def test_snapshots_are_written_when_they_are_due_and_at_the_end(tmp_path: Path) -> None:
    made, path, clock = cloud(2), tmp_path / "index", [0.0]
    keeper = Keeper(path, "me", made.engine.memory, 60, lambda: clock[0])
    keeper.stored()
    assert not path.exists()
    clock[0] = 60
    keeper.stored()
    made.shows("cam-later", 20, range(2))  # goes on while the file is written
    keeper.close(last=False)
    first = load(path, "me")
    assert first is not None
    engine = Engine()
    engine.restore(knowledge(made), first)
    assert {k.record.camera for k in engine.memory.scenes.values()} == {"cam-0", "cam-1", "cam-later"}
    keeper.close(last=True)
    last = load(path, "me")
    assert last is not None
    assert len(last.index) == len(made.engine.memory.index) > len(first.index) - 1


def test_a_snapshot_that_cannot_be_written_is_logged_and_stops_nothing(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "no" / "index", "me", cloud(1).engine.memory, 0)
    with capture_logs() as logs:
        keeper.stored()
        keeper.close(last=True)
    assert [line["event"] for line in logs] == ["snapshot.failed", "snapshot.failed"]


def test_a_judge_starts_from_the_snapshot_of_the_one_before(tmp_path: Path) -> None:
    settings = Settings(store=f"sqlite:///{tmp_path}/store.db", snapshot=str(tmp_path / "index"))

    def judged(settings: Settings, numbers: range) -> tuple[list[str], int]:
        with capture_logs() as logs:
            opened = open_judge(settings, Metrics(), who="test")
        for number in numbers:
            opened.judge.take(delivered(number, number % 2))
        opened.judge.commit()
        scenes = len(opened.judge.engine.memory.index)
        opened.close()
        return [line["event"] for line in logs], scenes

    events, scenes = judged(settings, range(4))
    assert events == ["snapshot.missing", "judge.restored"]
    assert judged(settings, range(0)) == (["judge.restored"], scenes)
    other = settings.model_copy(update={"store": f"sqlite:///{tmp_path}/other.db"})
    assert judged(other, range(0)) == (["snapshot.refused", "judge.restored"], 0)


# --- scenes that leave -----------------------------------------------------------------------------------


def test_scenes_leave_by_camera_and_the_store_is_told() -> None:
    made = cloud()
    memory = made.engine.memory
    gone = {k.record.id for k in memory.scenes.values() if k.record.camera in ("cam-1", "cam-3")}
    before = len(memory.index)
    memory.forget_cameras([CameraId("cam-1"), CameraId("cam-3"), CameraId("never-seen")])
    assert set(made.engine.drain().removed) == gone
    assert len(memory.index) == before - len(gone)
    assert made.deliver("cam-1", still(50, 1)).verdict.value == "learning"


def test_scenes_leave_by_age_but_for_those_that_were_seen_again() -> None:
    made = cloud(3)
    made.clock += timedelta(days=20)
    made.shows("cam-1", 1, [7, 8])
    border = made.clock - timedelta(days=5)
    memory = made.engine.memory
    young = {id_ for id_, k in memory.scenes.items() if k.record.last_seen >= border}
    memory.forget_before(border)
    assert set(memory.scenes) == young != set()
    memory.forget_before(border)
    assert set(memory.scenes) == young
    memory.forget_before(made.clock + timedelta(days=1))
    assert not memory.scenes
    assert len(memory.index) == 0


def test_memory_gives_rows_back_between_batches_and_finds_the_same() -> None:
    made = cloud(4)
    memory = made.engine.memory
    many = [copied(made, n) for n in range(1500)]
    memory.restore([], many)
    empty = sum(Index().nbytes)
    full = sum(memory.index.nbytes) - empty
    before, found = {id_ for id_, k in memory.scenes.items() if k.record.camera != "filler"}, answers(memory)
    memory.forget_cameras([CameraId("filler")])
    memory.drain()
    assert sum(memory.index.nbytes) - empty < full / 3
    assert max(memory.at_row) < len(memory.index) == len(memory.at_row)
    assert set(memory.scenes) == before
    assert answers(memory) == found != []


def answers(memory: Memory) -> list[set[SceneId]]:
    """Which scenes but those of `filler` share a key with each of the first places."""
    levels = [still(seed, 9).fingerprint.levels for seed in range(4)]  # type: ignore[union-attr]
    rows = [memory.index.candidates(as_it_is(each), skip=[], standings=[0, 1, 2, 3]).tolist() for each in levels]
    found = [[memory.at_row[row].record for row in some] for some in rows]
    return [{record.id for record in some if record.camera != "filler"} for some in found]


def copied(made: Cloud, n: int) -> Scene:
    """A stored scene as that of the camera `filler`, under another id."""
    scene = next(s for s in made._stored.scenes if s.standing is Standing.CONFIRMED)
    return replace(scene, id=SceneId(f"sc-{n:032x}"), camera=CameraId("filler"))
