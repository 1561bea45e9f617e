"""A memory from what is stored, with or without an image of it.

Owns what is taken from the image (records, rows in the index) and what is made anew: the cameras and scenes whose marks
the image lacks, or has and the store does not. Refuses to unpack what did not change.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.cameras import Cameras, Scenes
from detector.image import Image, differing
from detector.known import Known, Part, number_of, read_scene
from detector.packed import camera_in, join, mark_of_camera, mark_of_scene, parts_in, scene_part
from models.index import Index
from models.places import Places, key_of
from models.records import SceneId
from models.scene import Camera, Scene, Standing
from models.signs import Signs, signs_of

BATCH: Final = 1000
"""Scenes that are entered into the index at once when the store is read: some megabytes."""
Fresh = list[tuple[Known, int, NDArray[np.uint8]]]
"""Scenes without a row, their cameras' numbers, and their packed thumbnails."""


def thumbs_of(fresh: Fresh) -> NDArray[np.uint8]:
    """The packed thumbnails of scenes, (n, PACKED)."""
    return np.array([packed for _, _, packed in fresh])


def enter(index: Index, fresh: Fresh, thumbs: NDArray[np.uint8], signs: Signs) -> None:
    """Give rows to scenes that have none, of which these are the thumbnails and by what they are found."""
    cameras = np.array([number for _, number, _ in fresh], np.int32)
    standings = np.array([number_of(known) for known, _, _ in fresh], np.uint8)
    rows = index.extend(signs.codes, signs.masks, cameras, standings, thumbs, signs.keys)
    for (known, _, _), row in zip(fresh, rows, strict=True):
        known.row = row


class Restoring:
    """One restoring of cameras, scenes and index."""

    def __init__(self, cameras: Cameras, scenes: Scenes, index: Index) -> None:
        self._cameras, self._scenes, self._index = cameras, scenes, index
        self._anew: dict[int, Camera | None] = {}
        self._parts: dict[int, dict[SceneId, Part | None]] = defaultdict(dict)
        self._fresh: Fresh = []
        self._begun: deque[tuple[Fresh, NDArray[np.uint8], Future[Signs]]] = deque()
        self._cores = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._cores, "strayframe-restoring")

    def run(self, cameras: Iterable[Camera], scenes: Iterable[Scene], image: Image | None) -> None:
        """Take up what was drained, in any order."""
        with self._pool:
            self._run(cameras, scenes, image)

    def _run(self, cameras: Iterable[Camera], scenes: Iterable[Scene], image: Image | None) -> None:
        held_cameras = held_scenes = np.zeros(0, np.int64)
        if image is not None:
            held_cameras, held_scenes = image.marks.cameras, _believed(image)
        newer, gone = differing(cameras, mark_of_camera, held_cameras)
        if image is not None:
            self._open(image, image.marks.last_seen[~gone & (held_cameras != 0)])
        self._anew |= dict.fromkeys(np.flatnonzero(gone & (held_cameras != 0)).tolist())
        for camera in newer:
            self._anew[self._number(camera)] = camera
        changed, lost = differing(scenes, mark_of_scene, held_scenes)
        if image is not None:
            self._lose(image, np.flatnonzero(lost))
        for scene in changed:
            self._take(scene)
            if len(self._fresh) == BATCH:
                self._begin()
                self._enter(2 * self._cores)
        self._begin()
        self._enter(0)
        for number in {**self._anew, **self._parts}:
            self._write(number)

    def _open(self, image: Image, last_seen: NDArray[np.int64]) -> None:
        latest = int(last_seen.max()) if last_seen.size else None
        self._cameras.open(image.parts, image.marks.oldest, latest)
        self._scenes.places = Places.of(image.parts["scene_keys"], image.parts["scene_numbers"])

    def _lose(self, image: Image, lost: NDArray[np.int64]) -> None:
        """What the image holds and the store does not: as it is there, or at all."""
        last, parts = -1, list[Part]()
        for number, place in zip(image.marks.record[lost].tolist(), image.marks.place[lost].tolist(), strict=True):
            if number != last:
                last, parts = number, parts_in(self._cameras.record(number))
            self._parts[number][parts[place].order[1]] = None

    def _number(self, camera: Camera) -> int:
        """The camera's number, which is a new one where it is not known."""
        number = self._cameras.number(camera.id)
        if number is None:
            number = self._cameras.reserve(camera.id)
            self._cameras.put(number, join(camera, []))
        return number

    def _take(self, scene: Scene) -> None:
        """A scene as it is stored; its row stays where its thumbnail does."""
        known, packed = read_scene(scene)
        number = self._cameras.number(scene.camera)
        if number is None:
            number = self._number(Camera(scene.camera, None, scene.first_seen, scene.last_seen, b""))
        self._parts[number][scene.id] = scene_part(known)
        if packed is None:
            if not self._is_noted(scene.id, number):
                self._scenes.enter(scene.id, -1, number)
            return
        row = self._row(scene.id, number)
        if row is not None and self._index.holds(row, packed):
            self._index.restand(row, number_of(known))
            return
        if row is not None:
            self._scenes.leave(scene.id, row, number)
            self._index.remove(row)
        self._fresh.append((known, number, packed))

    def _begin(self) -> None:
        """Make out by what the scenes without a row are found, while others are read."""
        if self._fresh:
            thumbs = thumbs_of(self._fresh)
            self._begun.append((self._fresh, thumbs, self._pool.submit(signs_of, thumbs)))
            self._fresh = []

    def _enter(self, left: int) -> None:
        """Give rows to scenes, the first first, until this many batches are left."""
        while len(self._begun) > left:
            fresh, thumbs, signs = self._begun.popleft()
            enter(self._index, fresh, thumbs, signs.result())
            for known, number, _ in fresh:
                self._scenes.enter(known.record.id, known.row, number)

    def _row(self, id_: SceneId, number: int) -> int | None:
        try:
            return self._scenes.row_of(id_, number)
        except KeyError:
            return None

    def _is_noted(self, id_: SceneId, number: int) -> bool:
        return -2 - number in self._scenes.places.under(key_of(id_))

    def _write(self, number: int) -> None:
        """Put a camera's record together: what it had, but for what is gone, and what came."""
        before = self._cameras.record(number)
        parts = {part.order[1]: part for part in parts_in(before)}
        for id_, part in self._parts.pop(number, {}).items():
            if part is not None:
                parts[id_] = part
            elif parts.pop(id_, None) is not None:
                self._forget(id_, number)
        camera = self._anew[number] if number in self._anew else camera_in(before)
        if camera is None and not parts:
            self._cameras.drop(number)
            return
        if camera is None:  # its row is gone, though not its scenes
            was = camera_in(before)
            camera = Camera(was.id, None, was.first_seen, was.last_seen, b"")
        ordered = sorted(parts.values(), key=_order)
        self._cameras.put(number, join(camera, ordered))

    def _forget(self, id_: SceneId, number: int) -> None:
        row = self._row(id_, number)
        self._scenes.leave(id_, -1 if row is None else row, number)
        if row is not None:
            self._index.remove(row)


def _order(part: Part) -> tuple[int, tuple[int, SceneId]]:
    """Own ones, held ones, unjudged ones; each by when they were first seen."""
    return _LIST.get(part.standing, 0), part.order


def _believed(image: Image) -> NDArray[np.int64]:
    """The marks of the image's scenes; 0 of those whose camera has a row without a thumbnail: one was removed while the
    image was written."""
    marks, numbers = image.marks, image.index.blank()
    if not numbers.size:
        return marks.scenes
    return np.where(np.isin(marks.record, numbers), 0, marks.scenes)


_LIST: Final = {Standing.HELD: 1, Standing.UNJUDGED: 2}
