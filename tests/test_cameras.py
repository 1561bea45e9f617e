"""Most cameras are packed: nothing that is judged, stored or found depends on how many are at hand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import START, picture, place, still

from detector.cameras import Cameras
from detector.engine import Changes, Engine, Knowledge
from detector.packed import camera_in, glance, id_in, mark_of_camera, mark_of_scene, pack, parts_in, unpack
from models.fingerprint import Still, fingerprint
from models.placeholder import Placeholder, Shelf, State
from models.places import Places, key_of
from models.records import AccountId, CameraId, Delivery, DeliveryId, Judgement, RightAction, RightChanged, SceneId
from models.scene import Camera, Scene
from streams.snapshot import load, write

CAMERAS = 7
STEPS = 420

PARTS = (
    *("scenes", "removed", "cameras", "rights", "raised", "withdrawn", "placeholders", "sightings", "unmet", "moved"),
    *("sought", "went_on", "alive"),
)

look = cache(still)


@cache
def dark(number: int) -> Still:
    """A still with a sensor's noise and nothing else."""
    noise = np.random.default_rng(number).normal(6, 3, (360, 640))
    return replace(fingerprint(picture(np.clip(noise, 0, 255).astype(np.uint8))), prefix=b"first-%d" % (number % 3))


@cache
def cut(seed: int, moment: int) -> Still:
    """A still that ends early."""
    grey = place(seed, moment).copy()
    grey[200:] = 128
    return fingerprint(picture(grey, complete=False))


@dataclass
class Run:
    """An engine beside what the store would keep of it."""

    at_hand: int
    path: Path
    engine: Engine = field(init=False)
    judged: list[Judgement] = field(default_factory=list)
    drained: list[Changes] = field(default_factory=list)
    rights: list[RightChanged] = field(default_factory=list)
    cameras: dict[CameraId, Camera] = field(default_factory=dict)
    scenes: dict[SceneId, Scene] = field(default_factory=dict)
    placeholders: dict[str, Placeholder] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = Engine(at_hand=self.at_hand)

    def keep(self) -> None:
        """Store what changed."""
        changes = self.engine.drain()
        self.drained.append(changes)
        self.rights += changes.rights
        self.cameras |= {each.id: each for each in changes.cameras}
        self.scenes |= {each.id: each for each in changes.scenes}
        for id_ in changes.removed:
            self.scenes.pop(id_, None)
        self.placeholders |= {each.id: each for each in changes.placeholders}

    def restart(self, *, stale: bool) -> None:
        """Start from what is stored and an image of it, or of how it was when one was last written."""
        if not stale or not self.path.exists():
            write(self.path, "test", self.engine.memory.parts())
        standing = {alert.id: alert for changes in self.drained for alert in changes.raised}
        for changes in self.drained:
            for gone in changes.withdrawn:
                standing.pop(gone.alert, None)
        incidents = {each.id: each for changes in self.drained for each in changes.incidents}
        sightings = [each for changes in self.drained for each in changes.sightings]
        shelf = Shelf(0, tuple(self.placeholders.values()), tuple(sightings))
        self.engine = Engine(at_hand=self.at_hand)
        known = Knowledge(
            self.rights, self.cameras.values(), self.scenes.values(), standing.values(), incidents.values(), shelf
        )
        self.engine.restore(known, load(self.path, "test"))


def acts(seed: int) -> Iterator[tuple[str, tuple[object, ...]]]:
    """A stream in which cameras show their places, move, are new, leak, are dark, and are forgotten."""
    draw = random.Random(seed)
    shown = {camera: camera for camera in range(CAMERAS)}
    for number in range(STEPS):
        camera, chance = draw.randrange(CAMERAS), draw.random()
        moment = number // 2 if draw.random() < 0.2 else number
        if chance < 0.60:
            yield "show", (camera, shown[camera], look(shown[camera], moment))
        elif chance < 0.72:
            yield "show", (camera, -1, look(draw.randrange(CAMERAS), number))
        elif chance < 0.78:
            yield "show", (camera, -1, cut(draw.randrange(CAMERAS), number))
        elif chance < 0.85:
            yield "show", (camera, -1, dark(draw.randrange(6)))
        elif chance < 0.88:
            shown[camera] = 20 + draw.randrange(4)
        elif chance < 0.91:
            yield "show", (f"new-{number % 5}", -1, look(draw.randrange(CAMERAS), number))
        elif chance < 0.93:
            yield "right", (camera, draw.randrange(CAMERAS), draw.choice(list(RightAction)))
        elif chance < 0.94:
            yield "forget", (camera,)
        elif chance < 0.95:
            yield "expire", (draw.randrange(60, 200),)
        elif chance < 0.96:
            yield "rule", (draw.random(),)
        elif chance < 0.975:
            yield "restart", (draw.random() < 0.5,)
        if draw.random() < 0.4:
            yield "keep", ()


def do(run: Run, number: int, what: str, given: tuple[object, ...]) -> None:
    now = START + timedelta(minutes=number)
    engine = run.engine
    match what, given:
        case "show", (camera, _, Still() as shown):
            delivery = Delivery(
                DeliveryId("test", str(number)),
                now,
                AccountId(f"of-{camera}"),
                CameraId(f"cam-{camera}"),
                {"integration": "hub", "w": "attributes may be called anything"},
            )
            run.judged.append(engine.judge(delivery, lambda: shown))
        case "right", (camera, account, RightAction() as action):
            engine.right(RightChanged(CameraId(f"cam-{camera}"), AccountId(f"of-{account}"), action, now))
        case "forget", (camera,):
            engine.memory.forget_cameras([CameraId(f"cam-{camera}")])
        case "expire", (int() as minutes,):
            engine.memory.forget_before(now - timedelta(minutes=minutes))
        case "rule", (float() as which,):
            run.keep()
            if run.placeholders:
                id_ = sorted(run.placeholders)[int(which * len(run.placeholders))]
                run.placeholders[id_] = replace(run.placeholders[id_], state=State.CONFIRMED)
                sightings = [each for changes in run.drained for each in changes.sightings]
                engine.shelve(Shelf(0, tuple(run.placeholders.values()), tuple(sightings)))
        case "restart", (bool() as stale,):
            run.keep()
            run.restart(stale=stale)
        case "keep", ():
            run.keep()


def told(run: Run) -> list[object]:
    """What was last drained, but for counts, which no camera changes."""
    return [[getattr(changes, part) for part in PARTS] for changes in run.drained[-1:]]


@pytest.mark.parametrize("seed", [1, 2])
def test_an_engine_with_room_for_two_cameras_judges_and_stores_as_one_with_room_for_all(
    seed: int, tmp_path: Path
) -> None:
    few, all_ = Run(2, tmp_path / "few"), Run(1000, tmp_path / "all")
    seen: set[str] = set()
    for number, (what, given_) in enumerate(acts(seed)):
        for run in (few, all_):
            do(run, number, what, given_)
        assert few.judged[-1:] == all_.judged[-1:]
        assert told(few) == told(all_)
        assert few.engine.latest == all_.engine.latest
        seen |= {what} | {judged.rule for judged in few.judged[-1:]}
    assert few.judged == all_.judged
    assert few.scenes == all_.scenes
    assert few.cameras == all_.cameras
    few.keep()
    assert len(few.engine.memory.cameras._at_hand) <= 2 < len(few.engine.memory.cameras)
    assert {"rule", "restart", "forget", "expire", "keep", "right"} < seen
    assert {"foreign-scene", "own-code", "same-bytes", "stayed", "cold"} < seen


# --- what is packed ----------------------------------------------------------------------------------------


def watched(tmp_path: Path) -> Run:
    """Cameras with own, held, awaiting and unjudged scenes, of strange names."""
    run = Run(1000, tmp_path / "image")
    for number, (what, given_) in enumerate(acts(3)):
        if what not in ("restart", "expire"):
            do(run, number, what, given_)
    for n in range(6):
        do(run, 900 + n, "show", ("of \u2603 the \u00e9glise", -1, look(40, n)))
    run.keep()
    return run


def test_a_camera_comes_back_as_it_was_packed(tmp_path: Path) -> None:
    memory = watched(tmp_path).engine.memory
    kinds = set()
    for id_ in list(memory.cameras):
        camera = memory.cameras[id_]
        for scene in (*camera.own, *camera.held, *camera.unjudged):
            scene.prefix = scene.prefix if scene.row < 0 else b""  # of others nothing is found by it
            scene.part = None
            kinds |= {(scene.record.standing, scene.awaits is not None)}
        record = pack(camera)
        back = unpack(record, camera.number, memory.scenes.row_of)
        assert back == camera
        assert pack(back) == record
        assert id_in(record) == camera_in(record).id == id_
    assert len(kinds) >= 5


def test_marks_of_records_are_those_of_what_is_stored(tmp_path: Path) -> None:
    run = watched(tmp_path)
    memory = run.engine.memory
    records = [pack(memory.cameras[id_]) for id_ in memory.cameras]
    blob = np.frombuffer(b"".join(records), np.uint8)
    starts = np.cumsum([0, *map(len, records)])
    marks = glance(blob, starts)
    assert sorted(marks.cameras.tolist()) == sorted(mark_of_camera(each) for each in run.cameras.values())
    assert sorted(marks.scenes.tolist()) == sorted(mark_of_scene(each) for each in run.scenes.values())
    for number, record in enumerate(records):
        mine = marks.record == number
        assert marks.scenes[mine].tolist() == [part.mark for part in parts_in(record)]
        assert marks.place[mine].tolist() == [*range(int(mine.sum()))]


def test_a_scene_has_another_mark_when_anything_of_it_changes(tmp_path: Path) -> None:
    scene = next(each for each in watched(tmp_path).scenes.values())
    others: dict[str, Any] = {
        "camera": "another",
        "account": "another",
        "standing": next(each for each in type(scene.standing) if each is not scene.standing),
        "delivery": DeliveryId("another", scene.delivery.id),
        "first_seen": scene.first_seen - timedelta(microseconds=1),
        "last_seen": scene.last_seen + timedelta(microseconds=1),
        "seen": scene.seen + 1,
        "body": scene.body.replace(b'"d":"', b'"d":"0'),
    }
    marks = {mark_of_scene(replace(scene, **{name: other})) for name, other in others.items()}
    assert len(marks | {mark_of_scene(scene)}) == 1 + len(others)


# --- who is at hand ----------------------------------------------------------------------------------------


def test_what_changed_outlives_being_let_go() -> None:
    cameras = Cameras(lambda _id, _number: 0, room=2)
    for n in range(5):
        cameras.add(Camera(CameraId(f"cam-{n}"), None, START, START + timedelta(minutes=n), b"")).stills = n
    cameras.settle()
    assert [cameras[CameraId(f"cam-{n}")].stills for n in range(5)] == [*range(5)]
    assert cameras.latest == cameras.latest
    cameras.settle()
    assert list(cameras._at_hand) == ["cam-3", "cam-4"]
    cameras[CameraId("cam-3")].stills = 7
    cameras.changed(CameraId("cam-3"))
    cameras[CameraId("cam-0")].stills = 9  # nobody was told
    for n in (1, 2):
        assert cameras[CameraId(f"cam-{n}")].stills == n
    cameras.settle()
    assert (cameras[CameraId("cam-3")].stills, cameras[CameraId("cam-0")].stills) == (7, 0)
    assert CameraId("cam-5") not in cameras
    assert cameras.get(CameraId("cam-5")) is None
    assert list(cameras) == [f"cam-{n}" for n in range(5)]


# --- the table ---------------------------------------------------------------------------------------------

ENTRIES = st.lists(st.tuples(st.booleans(), st.integers(-4, 4), st.integers(-3, 3)), max_size=200)


@given(ENTRIES)
def test_a_table_holds_what_a_list_of_pairs_holds(entries: list[tuple[bool, int, int]]) -> None:
    places, pairs = Places(), list[tuple[int, int]]()
    for adds, key, number in entries:
        spread = key * 1023  # neighbours in the table, and its end
        if adds:
            places.insert(spread, number)
            pairs.append((spread, number))
        else:
            places.remove(spread, number)
            if (spread, number) in pairs:
                pairs.remove((spread, number))
        assert len(places) == len(pairs)
        for each in range(-4, 5):
            assert sorted(places.under(each * 1023)) == sorted(n for k, n in pairs if k == each * 1023)
    again = Places.of(*places.parts())
    again.renumber(np.arange(10, 20))
    assert sorted(again.under(1023)) == sorted(n + 10 if n >= 0 else n for k, n in pairs if k == 1023)


def test_a_table_grows() -> None:
    places = Places()
    ids = [f"camera-{n}" for n in range(5000)]
    for n, id_ in enumerate(ids[:4000]):
        places.insert(key_of(id_), n)
    places.extend(np.array([key_of(id_) for id_ in ids[4000:]]), np.arange(4000, 5000, dtype=np.int32))
    assert [list(places.under(key_of(id_))) for id_ in ids] == [[n] for n in range(5000)]
    keys, numbers = places.parts()
    with pytest.raises(ValueError, match="a table of 1000 places"):
        Places.of(keys[:1000], numbers[:1000])
