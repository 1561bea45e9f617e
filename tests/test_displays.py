"""What displays of another shape and pages of several leave of a still is named elsewhere, and clear at home."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from places import Cloud, picture, place

from models.fingerprint import Still, fingerprint
from models.records import Verdict

Grey = NDArray[np.uint8]
Box = tuple[float, float, float, float]
WIDE, HIGH = 640, 360

CUTS: dict[str, Box] = {
    **{f"4:3 for a wide display, {t:.0%} from the top": (0, 1, t, t + 0.75) for t in (0, 0.08, 0.125, 0.25)},
    **{f"wide for a square, {t:.0%} from the left": (t, t + 0.5625, 0, 1) for t in (0, 0.2188, 0.4375)},
    **{f"a square for a wide display, {t:.0%} from the top": (0, 1, t, t + 0.5625) for t in (0, 0.2188, 0.4375)},
    "a third of the width for an upright display": (0.34, 0.66, 0, 1),
    "two fifths of the height for a lying display": (0, 1, 0.3, 0.7),
}
TILES: dict[str, Box] = {
    **{f"two thirds of a page of six, at {x:.1f}, {y:.1f}": (x, x + 2 / 3, y, y + 2 / 3)
       for x, y in product((0.0, 1 / 3), repeat=2)},
    "the upper half": (0, 1, 0, 0.5),
    "the lower half": (0, 1, 0.5, 1),
    "squeezed between the blurred picture above and below": (0, 1, 0.16, 0.84),
    "squeezed between the blurred picture at both sides": (0.18, 0.82, 0, 1),
}  # fmt: skip


def seen(grey: Grey) -> Still:
    return fingerprint(picture(np.ascontiguousarray(grey)))


def cut(box: Box, moment: int) -> Grey:
    left, right, top, bottom = box
    return place(1, moment)[int(top * HIGH) : int(bottom * HIGH), int(left * WIDE) : int(right * WIDE)]


def tile(box: Box, moment: int) -> Grey:
    """The still in a box of a page, and another picture around it, each in patches."""
    left, right, top, bottom = (round(side * of) for side, of in zip(box, (WIDE, WIDE, HIGH, HIGH), strict=True))
    patches = np.random.default_rng(5).integers(20, 235, (12, 20), dtype=np.uint8)
    page = Image.fromarray(patches).resize((WIDE, HIGH), Image.Resampling.BICUBIC)
    page.paste(Image.fromarray(place(1, moment)).resize((right - left, bottom - top)), (left, top))
    return np.asarray(page)


@pytest.mark.parametrize(
    "shown",
    [*(cut(box, 9) for box in CUTS.values()), *(tile(box, 9) for box in TILES.values())],
    ids=[*CUTS, *TILES],
)
def test_it_is_named_elsewhere_and_clear_at_home(shown: Grey) -> None:
    cloud = Cloud()
    for seed in (1, 2, 3):
        cloud.shows(f"cam-{seed}", seed, range(4))
    judged = cloud.deliver("cam-2", seen(shown))
    assert (judged.verdict, judged.rule) == (Verdict.LEAK, "foreign-scene")
    assert [alert.owner_camera for alert in judged.alerts] == ["cam-1"]
    assert cloud.deliver("cam-1", seen(shown)).verdict is Verdict.CLEAR
