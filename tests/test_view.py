"""Parts, patterns and frames: what is left of a still once a damage is left out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from places import Grey, picture, place

from models.agreement import compare
from models.fingerprint import Fingerprint, fingerprint
from models.looked import Looked
from models.thumbnail import INVALID
from models.view import PARTIAL, WORDS_OF, View, cleaned, frames, seen


def of(grey: Grey) -> Fingerprint:
    """The fingerprint of a picture that must have one."""
    found = fingerprint(picture(np.ascontiguousarray(grey))).fingerprint
    assert found is not None
    return found


def banded(grey: Grey) -> Grey:
    """Rolling bands over the picture."""
    wave = 1 + 0.45 * np.sin(2 * np.pi * 5 * np.arange(grey.shape[0]) / grey.shape[0])
    return np.clip(grey * wave[:, None], 0, 255).astype(np.uint8)


@pytest.mark.parametrize("view", PARTIAL)
def test_a_view_keeps_the_bits_of_the_part_that_it_shows(view: View) -> None:
    found = of(place(5, 1))
    words = WORDS_OF[PARTIAL.index(view)]
    kept = int(np.bitwise_count(found.mask & words).sum())
    shown = float((seen(found.levels, view) != INVALID).mean())
    assert 0 < kept < int(np.bitwise_count(found.mask).sum())
    assert 0.2 <= shown <= 1.0


def test_a_torn_still_agrees_in_its_upper_half_only() -> None:
    torn = place(3, 1).copy()
    torn[180:] = place(9, 1)[180:]
    a, b = of(torn), of(place(3, 2))
    top = compare(Looked(seen(a.levels, View.TOP_HALF)), Looked(b.levels))
    bottom = compare(Looked(seen(a.levels, View.BOTTOM_HALF)), Looked(b.levels))
    assert top.score > 0.8
    assert bottom.score < 0.4


def test_rolling_bands_are_taken_out() -> None:
    spoiled, intact = of(banded(place(4, 1))), Looked(of(place(4, 2)).levels)
    clean = cleaned(spoiled.levels)
    assert clean is not None
    assert compare(Looked(clean), intact).score > compare(Looked(spoiled.levels), intact).score + 0.1


@pytest.mark.parametrize("seed", range(6))
def test_cleaning_an_intact_picture_leaves_the_place_and_makes_no_other(seed: int) -> None:
    clean = cleaned(of(place(seed, 1)).levels)
    if clean is not None:
        assert compare(Looked(clean), Looked(of(place(seed, 2)).levels)).correlation > 0.8
        assert compare(Looked(clean), Looked(of(place(seed + 1, 2)).levels)).score < 0.4


def test_the_quicker_look_for_a_pattern_overlooks_none(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, (y, x) = np.random.default_rng(1), np.mgrid[:64, :64]
    drawn = []
    for seed, strength in product(range(4), (0.0, 0.4, 0.8, 1.5, 3.0)):
        for fy, fx in rng.uniform(-0.5, 0.5, (4, 2)):
            levels = of(place(seed, 1)).levels.copy()
            wave = np.clip(np.rint(levels + strength * np.cos(2 * np.pi * (fy * y + fx * x))), -7, 7).astype(np.int8)
            levels[levels != INVALID] = wave[levels != INVALID]
            drawn.append(levels)
    quick = [cleaned(levels) for levels in drawn]
    monkeypatch.setattr("models.view._may_be_patterned", lambda _: True)
    full = [cleaned(levels) for levels in drawn]
    assert [found is None for found in quick] == [found is None for found in full]
    assert 0 < sum(found is None for found in full) < len(full)


def test_a_picture_in_a_page_is_found_by_its_frame() -> None:
    page = np.full((360, 640), 236, np.uint8)
    page[::12] = 90
    page[90:330, 160:600] = place(6, 1)[::3, ::2][:120, :320].repeat(2, axis=0)[:, :220].repeat(2, axis=1)
    found = frames(of(page).levels)
    wanted = (440 / 640, ((160 + 600) / 2 / 640 - 0.5) * 64, 240 / 360, ((90 + 330) / 2 / 360 - 0.5) * 64)
    assert min(float(np.abs(row * (20, 1, 20, 1) - np.array(wanted) * (20, 1, 20, 1)).max()) for row in found) < 1.5
