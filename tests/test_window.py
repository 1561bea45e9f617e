"""Pictures inside a still, and stills that were read wrongly: where they are found, and whom they may accuse."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from places import Cloud, Grey, picture, place

from detector import agree
from detector.query import Query
from detector.reading import Reading, readings
from models.agreement import agree_at, compare
from models.fingerprint import Fingerprint, fingerprint
from models.looked import Looked
from models.records import Verdict
from models.thumbnail import INVALID
from models.window import bands, leans, rolled, untwined, upright, windows


def found(grey: Grey) -> Fingerprint:
    still = fingerprint(picture(grey))
    assert still.fingerprint is not None
    return still.fingerprint


def smaller(grey: Grey, height: int, width: int) -> Grey:
    """By means over equal parts; the sides must divide."""
    h, w = grey.shape
    out: Grey = grey.reshape(height, h // height, width, w // width).mean(axis=(1, 3)).astype(np.uint8)
    return out


def page(seed: int, moment: int = 0) -> Grey:
    """A picture at half the size on a light page, right of a menu and below a bar."""
    out = np.full((360, 640), 236, np.uint8)
    out[:36] = 70
    for y in range(60, 330, 30):
        out[y : y + 14, 30:120] = 182
    out[100:280, 250:570] = smaller(place(seed, moment), 180, 320)
    return out


def quarters(seed: int) -> Grey:
    """Four cameras on one page, `seed` the last of them."""
    parts = [smaller(place(k), 180, 320) for k in (seed + 100, seed + 101, seed + 102, seed)]
    return np.concatenate([np.concatenate(parts[:2], axis=1), np.concatenate(parts[2:], axis=1)])


def split(seed: int, other: int) -> Grey:
    """The middle half of one camera, and another one's beside it."""
    return np.concatenate([place(seed)[:, 160:480], place(other)[:, 160:480]], axis=1)


def leaning(seed: int, by: int, moment: int = 0) -> Grey:
    """Rows read too long, by so many pixels in all."""
    return np.stack([np.roll(row, int(by * y / 360)) for y, row in enumerate(place(seed, moment))])


def rolled_twice(seed: int, across: int, down: int) -> Grey:
    """Read from the wrong row and the wrong column of its buffer."""
    return np.roll(place(seed), (down, across), (0, 1))


def slanted(seed: int, degrees: float) -> Grey:
    """Turned by a few degrees, and cut so that no corner is empty."""
    turned = Image.fromarray(place(seed)).rotate(degrees, Image.Resampling.BICUBIC)
    return np.asarray(turned.crop((70, 50, 570, 310)).resize((640, 360)))


def cornered(seed: int, left: int, top: int) -> Grey:
    """Seven tenths of both sides, up to a corner."""
    corner = Image.fromarray(place(seed)).crop((left, top, left + 448, top + 252))
    return np.asarray(corner.resize((640, 360)))


def twined(seed: int, other: int) -> Grey:
    """Every third band of 16 rows is another camera's."""
    out, theirs = place(seed).copy(), place(other)
    for y in range(16, 360, 48):
        out[y : y + 16] = theirs[y : y + 16]
    return out


def alike(a: NDArray[np.int8], b: NDArray[np.int8]) -> float:
    """The correlation of two thumbnails where both are seen."""
    both = (a != INVALID) & (b != INVALID)
    return float(np.corrcoef(a[both], b[both])[0, 1])


def known(*seeds: int) -> Cloud:
    """Each place is the home of a camera that has shown it six times."""
    cloud = Cloud()
    for moment in range(6):
        for seed in seeds:
            cloud.deliver(f"cam-{seed}", fingerprint(picture(place(seed, moment))))
    return cloud


# --- where they are


def test_a_page_leaves_one_window_where_the_picture_is() -> None:
    of_page = found(page(3))
    assert of_page.cells is not None
    (window,) = [w for w in windows(of_page.cells, of_page.levels) if w.box[0] > 0 and w.box[1] < 64]
    assert np.abs(np.array(window.box) - (25, 57, 18, 50)).max() <= 1


def test_four_cameras_on_one_page_are_four_windows() -> None:
    of_four = found(quarters(3))
    assert of_four.cells is not None
    boxes = {w.box for w in windows(of_four.cells, of_four.levels)}
    assert {(x, x + 32, y, y + 32) for x in (0, 32) for y in (0, 32)} <= boxes


def test_a_window_holds_nothing_of_what_is_beside_it() -> None:
    of_four = found(quarters(3))
    assert of_four.cells is not None
    for window in windows(of_four.cells, of_four.levels):
        left, right, top, bottom = window.box
        outside = np.ones((64, 64), np.bool_)
        outside[top:bottom, left:right] = False
        assert (window.levels[outside] == INVALID).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_plain_still_has_neither_windows_nor_bands(seed: int) -> None:
    plain = found(place(seed))
    assert plain.cells is not None
    assert windows(plain.cells, plain.levels) == []
    assert untwined(plain.cells, plain.levels) is None


@pytest.mark.parametrize("by", [-150, -70, 70, 150])
def test_a_leaning_still_is_put_upright(by: int) -> None:
    straight, lean = found(place(5)), found(leaning(5, by))
    assert lean.cells is not None
    assert leans(lean.cells).max() > 0.36
    best = max(upright(lean.cells, lean.levels), key=lambda each: alike(each[1], straight.levels))
    assert best[0] == pytest.approx(by / 10, abs=1)
    assert alike(best[1], straight.levels) > 0.8 > alike(lean.levels, straight.levels)


def test_every_third_band_of_another_picture_is_left_out() -> None:
    straight, mixed = found(place(5)), found(twined(5, 9))
    assert mixed.cells is not None
    assert bands(mixed.cells)[1] > 0.6
    levels = untwined(mixed.cells, mixed.levels)
    assert levels is not None
    assert alike(levels, straight.levels) > max(0.75, alike(mixed.levels, straight.levels))


@pytest.mark.parametrize(("across", "down"), [(100, 60), (-150, 90), (60, -100)])
def test_opposite_borders_of_a_still_from_the_wrong_row_and_column_go_on_at_each_other(across: int, down: int) -> None:
    still = found(rolled_twice(5, across, down))
    assert still.cells is not None
    assert rolled(still.cells)


@pytest.mark.parametrize("seed", range(4))
def test_opposite_borders_of_a_plain_still_or_a_framed_one_do_not(seed: int) -> None:
    framed = np.full((360, 640), 20, np.uint8)
    framed[40:320, 60:580] = place(seed)[40:320, 60:580]
    for grey in (place(seed), framed):
        still = found(grey)
        assert still.cells is not None
        assert not rolled(still.cells)


def test_a_still_that_is_known_by_its_thumbnail_only_is_only_turned() -> None:
    assert len(readings(Fingerprint.of(found(page(3)).levels))) == 1


# --- how it lies in the still


@pytest.mark.parametrize(
    "spoiled",
    [
        np.ascontiguousarray(np.rot90(place(6))),
        np.ascontiguousarray(np.rot90(place(6), 3)),
        leaning(6, 60),
        slanted(6, 7),
        slanted(6, -8),
    ],
)
def test_what_a_reading_finds_is_told_in_the_stills_own_cells(spoiled: Grey) -> None:
    still, scene = found(spoiled), Looked(found(place(6)).levels)
    best = max((looked_at(reading, scene) for reading in readings(still)), key=lambda found: found[0])
    assert best[0] > 0.7
    in_still = agree_at(Looked(still.levels), scene, best[1])
    assert in_still.score > 0.6


def looked_at(reading: Reading, scene: Looked) -> tuple[float, tuple[float, float, float, float, float, float]]:
    """The best score of a reading under any of its placings, and the map in the still's cells."""
    tried = []
    for ax, bx, ay, by in reading.placings.tolist():
        a = compare(reading.looked, scene, (ax, bx, ay, by))
        tried.append((a.score, reading.in_still(a).placing))
    return max(tried)


# --- whom they accuse


@pytest.mark.parametrize(
    "spoiled",
    [
        page(1),
        quarters(1),
        split(1, 40),
        np.ascontiguousarray(np.rot90(place(1))),
        leaning(1, 130),
        twined(1, 9),
        rolled_twice(1, 120, 60),
        slanted(1, -6),
        cornered(1, 192, 0),
    ],
    ids=["page", "quarters", "split", "turned", "leaning", "twined", "rolled", "slanted", "cornered"],
)
def test_a_leak_read_otherwise_names_its_owner_and_is_clear_at_home(spoiled: Grey) -> None:
    cloud = known(1, 2, 3)
    judged = cloud.deliver("cam-2", fingerprint(picture(spoiled)))
    assert (judged.verdict, judged.rule) == (Verdict.LEAK, "foreign-scene")
    assert [alert.owner_camera for alert in judged.alerts] == ["cam-1"]
    assert cloud.deliver("cam-1", fingerprint(picture(spoiled))).verdict is Verdict.CLEAR


def test_a_page_around_a_cameras_own_picture_teaches_nothing_and_accuses_nobody_later() -> None:
    cloud = known(1, 2, 3)
    scenes = len(cloud.engine.memory.scenes)
    for moment in range(3):
        assert cloud.deliver("cam-1", fingerprint(picture(page(1, moment)))).verdict is Verdict.CLEAR
    assert len(cloud.engine.memory.scenes) == scenes
    strange = cloud.deliver("cam-2", fingerprint(picture(page(77))))
    assert strange.verdict is Verdict.SHIFT
    assert not any(alert.owner_camera for alert in cloud.raised)


def test_a_page_is_not_what_a_camera_is_left_with_that_moved_while_it_was_shown() -> None:
    cloud = known(1, 2)
    for shown in (place(9, 1), place(9, 2), page(9, 3)):
        cloud.deliver("cam-1", fingerprint(picture(shown)))
    assert cloud.judged[-1].rule == "stayed"
    assert cloud.deliver("cam-1", fingerprint(picture(place(9, 4)))).verdict is Verdict.CLEAR
    strange = cloud.deliver("cam-2", fingerprint(picture(page(77))))
    assert not any(alert.owner_camera for alert in strange.alerts)


def test_a_neighbours_view_that_goes_on_beyond_a_straight_edge_is_no_window() -> None:
    """Both see the same street, one of them from further left, and a pole stands in the middle of its view."""
    street = place(8, width=1280)
    mine, theirs = street[:, :640], street[:, 160:800].copy()
    theirs[:, 316:322] = 20
    still, scene = found(theirs), Looked(found(mine).levels)
    assert still.cells is not None
    halves = [r for r in Query(still).anew if r.box is not None]
    assert {r.box for r in halves} >= {(0, 32, 0, 64), (32, 64, 0, 64)}
    for reading in halves:
        for ax, bx, ay, by in [*reading.placings.tolist(), (1.0, -16.0, 1.0, 0.0)]:
            a = compare(reading.looked, scene, (ax, bx, ay, by))
            assert not (agree.agrees(a, 0.0, 200) and agree.lies(reading, scene, a, 200))
