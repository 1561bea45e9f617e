"""Whose strip is it? What is left of a still that was cut off early names its camera where it stands out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from places import START, picture, place

from detector import strip
from detector.memory import Memory
from detector.query import Query
from models.fingerprint import fingerprint
from models.records import AccountId, CameraId, Delivery, DeliveryId
from models.scene import Standing

CONFIRMED = (1,)


def cut(grey: NDArray[np.uint8], kept: float) -> Query:
    """What arrives of a still whose bytes ended early: the rest is the decoder's grey."""
    seen = grey.copy()
    seen[int(len(seen) * kept) :] = 128
    found = fingerprint(picture(seen, complete=False)).fingerprint
    assert found is not None
    return Query(found)


def watched(*scenes: NDArray[np.uint8]) -> Memory:
    """A memory in which camera `cam-N` has confirmed the N-th scene."""
    memory = Memory()
    for n, grey in enumerate(scenes):
        delivery = Delivery(DeliveryId("test", str(n)), START, AccountId(f"of-{n}"), CameraId(f"cam-{n}"))
        memory.learn(memory.camera(delivery), delivery, fingerprint(picture(grey)), Standing.CONFIRMED, novel=False)
    return memory


def below_the_same(top: NDArray[np.uint8], other: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """The other place under the first one's upper part, as a banner and sky are."""
    mixed = other.copy()
    rows = int(len(top) * share)
    mixed[:rows] = top[:rows]
    return mixed


def named(memory: Memory, query: Query) -> list[str]:
    return [hit.scene.record.camera for hit in strip.strips(memory, query, (), CONFIRMED)]


@pytest.mark.parametrize("kept", [0.25, 0.4])
def test_a_strip_names_its_camera_as_a_part(kept: float) -> None:
    memory = watched(*(place(n) for n in range(8)))
    query = cut(place(3, 7), kept)
    (hit,) = strip.strips(memory, query, (), CONFIRMED)
    assert (hit.scene.record.camera, hit.part) == ("cam-3", True)


def test_a_strip_of_an_unknown_camera_names_nobody() -> None:
    memory = watched(*(place(n) for n in range(8)))
    assert [named(memory, cut(place(n, 1), 0.3)) for n in range(20, 28)] == [[]] * 8


def test_a_strip_that_two_cameras_show_names_neither() -> None:
    memory = watched(place(3), below_the_same(place(3), place(4), 0.5), place(5))
    assert named(memory, cut(place(3, 7), 0.3)) == []


def test_a_whole_still_is_no_strip() -> None:
    memory = watched(place(3))
    assert named(memory, cut(place(3, 7), 1.0)) == []


def test_nobody_who_may_be_left_out_is_named() -> None:
    memory = watched(place(3))
    assert strip.search(memory, cut(place(3, 7), 0.3), [0], CONFIRMED) == []
