"""Bands over any picture: light that flickers under a rolling shutter makes two rooms alike, and accuses nobody."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from places import Cloud, picture, place

from detector.agree import ACROSS, LEAST_BITS, agrees
from models.agreement import across, compare
from models.fingerprint import Still, fingerprint
from models.looked import Looked
from models.records import Kind

ROOMS = range(8)


def banded(seed: int, moment: int = 0, *, phase: float = 0.3, texture: float = 0.12) -> NDArray[np.uint8]:
    """A room, with little in it, under lamps that flicker: five bands, a third brighter and darker."""
    dull = 110 + texture * (place(seed, moment).astype(np.float32) - 110)
    down = np.linspace(0, 1, len(dull), dtype=np.float32)[:, None]
    return np.clip(dull * (1 + 0.35 * np.sin(2 * np.pi * (5 * down + phase))), 0, 255).astype(np.uint8)


def seen(grey: NDArray[np.uint8]) -> Still:
    return fingerprint(picture(np.ascontiguousarray(grey)))


def looked(grey: NDArray[np.uint8]) -> Looked:
    found = seen(grey).fingerprint
    assert found is not None
    return Looked(found.levels)


@pytest.mark.parametrize("turned", [False, True])
def test_what_two_rooms_have_in_common_is_bands_or_bars_alone(turned: bool) -> None:
    grounds = [looked(banded(n).T if turned else banded(n)) for n in ROOMS]
    agreeing = 0
    for n, ground in enumerate(grounds):
        for other in grounds[:n]:
            a = compare(ground, other)
            agreeing += agrees(a, 0.0, LEAST_BITS)
            assert across(ground, other, a) < ACROSS
    assert agreeing > 10, "they look alike: without the question what is left across, they would accuse each other"


@pytest.mark.parametrize("turned", [False, True])
def test_of_one_room_much_is_left_beside_the_bands(turned: bool) -> None:
    for n in ROOMS:
        ground, later = (looked(grey.T if turned else grey) for grey in (place(n), banded(n, 3, texture=1.0)))
        a = compare(later, ground)
        assert across(later, ground, a) > 2 * ACROSS


def test_rooms_whose_lamps_begin_to_flicker_one_after_the_other_accuse_nobody() -> None:
    cloud = Cloud()
    for moment in range(6):
        for n in ROOMS:
            cloud.deliver(f"cam-{n}", seen(place(n, moment, gain=0.12)))
    for n in ROOMS:
        for moment in range(6, 12):
            cloud.deliver(f"cam-{n}", seen(banded(n, moment)))
    assert [alert.owner_camera for alert in cloud.raised if alert.kind is Kind.LEAK] == []


def test_a_flickering_room_that_is_shown_elsewhere_is_named() -> None:
    cloud = Cloud()
    for moment in range(6):
        for n in ROOMS:
            cloud.deliver(f"cam-{n}", seen(banded(n, moment, phase=0.4 * moment, texture=1.0)))
    (alert,) = cloud.deliver("cam-0", seen(banded(3, 20, phase=0.9, texture=1.0))).alerts
    assert (alert.kind, alert.owner_camera) == (Kind.LEAK, "cam-3")
