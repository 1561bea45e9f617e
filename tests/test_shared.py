"""What other cameras show as well counts for nothing where few bits decide: one operator's banner and sky."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from numpy.typing import NDArray
from places import START, picture, place

from detector import strip
from detector.certainty import certainty, nats
from detector.match import Match
from detector.memory import Memory
from detector.query import Query
from detector.shared import SEVERAL, its_own, shared
from models.agreement import Agreement
from models.fingerprint import Fingerprint, fingerprint
from models.records import AccountId, CameraId, Delivery, DeliveryId
from models.scene import Standing

CONFIRMED = (1,)
BANNER = 100
"""The place whose upper part they all show."""
Grey = NDArray[np.uint8]


def operated(seed: int, moment: int = 0, *, alike: float = 0.7) -> Grey:
    """Camera `seed` of one operator: much of its upper half is the banner and sky of all of them."""
    grey = place(seed, moment)
    rows, columns = len(grey) // 2, int(grey.shape[1] * alike)
    banner = place(BANNER, moment)
    grey[:rows, :columns] = banner[:rows, :columns]
    return grey


def seen(grey: Grey, kept: float = 1.0) -> Fingerprint:
    """What arrives of a still, `kept` of which was sent."""
    cut = grey.copy()
    cut[int(len(cut) * kept) :] = 128
    found = fingerprint(picture(cut, complete=kept == 1.0)).fingerprint
    assert found is not None
    return found


def watched(*scenes: Grey) -> Memory:
    """A memory in which camera `cam-N` has confirmed the N-th scene."""
    memory = Memory()
    for n, grey in enumerate(scenes):
        delivery = Delivery(DeliveryId("test", str(n)), START, AccountId(f"of-{n}"), CameraId(f"cam-{n}"))
        memory.learn(memory.camera(delivery), delivery, fingerprint(picture(grey)), Standing.CONFIRMED, novel=False)
    return memory


def found(memory: Memory, still: Fingerprint) -> list[Match]:
    return strip.search(memory, Query(still), (), CONFIRMED)


def of_first(memory: Memory, still: Fingerprint) -> float:
    return shared(memory, memory.at_row[0], still.mask, ())


def test_a_strip_of_an_operators_unknown_camera_names_none_of_the_others() -> None:
    memory = watched(*(operated(n) for n in range(6)))
    assert [found(memory, seen(operated(n, 1), 0.3)) for n in range(20, 28)] == [[]] * 8


def test_a_strip_of_a_known_one_names_it_by_what_is_its_own() -> None:
    memory = watched(*(operated(n) for n in range(6)))
    hit = found(memory, seen(operated(2, 1), 0.3))[0]
    assert hit.scene.record.camera == "cam-2"
    assert 0 < hit.shared < nats(hit.distance, hit.common)
    assert hit.certainty < certainty(hit.distance, hit.common, hit.agreement)


@pytest.mark.parametrize(("cameras", "counts"), [(SEVERAL, False), (SEVERAL + 1, True)])
def test_only_several_others_count(cameras: int, counts: bool) -> None:
    memory = watched(*(operated(n, alike=0.75) for n in range(cameras)))
    assert (of_first(memory, seen(operated(0, 1, alike=0.75), 0.35)) > 0) is counts


def test_one_camera_that_shows_all_of_the_part_suffices() -> None:
    memory = watched(operated(0, alike=1.0), operated(1, alike=1.0))
    assert of_first(memory, seen(operated(0, 1, alike=1.0), 0.35)) == inf


def test_cameras_that_may_be_seen_anyway_are_not_asked() -> None:
    memory = watched(*(operated(n) for n in range(SEVERAL + 1)))
    assert shared(memory, memory.at_row[0], seen(operated(0, 1), 0.35).mask, (1,)) == 0.0


def test_where_many_bits_decide_nobody_is_asked() -> None:
    memory = watched(*(operated(0, n) for n in range(6)))
    assert of_first(memory, seen(operated(0, 7))) == 0.0


def test_what_all_share_makes_nothing_certain() -> None:
    agreement = Agreement(0.9, 0.9, 0.9, 0.9, 20, 24, 1.0, 0.3, 0.95, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    whole = nats(0.04, 66)
    assert certainty(0.04, 66, agreement, whole) == certainty(0.04, 66, agreement, inf) == 0.0
    assert certainty(0.04, 66, agreement, whole / 2) == pytest.approx(certainty(0.04, 66, agreement) / 2)
    assert not its_own(certainty(0.04, 66, agreement, inf), inf)
