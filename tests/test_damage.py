"""What can happen to a still: every kind is seeded, decodable, documented; the held list does not move by accident."""

from __future__ import annotations

import importlib.util
import io
import re
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from streams.decode import Decoder
from streams.evaluation.corpus import Source
from streams.evaluation.damage import EVERYDAY, FURTHER, HELD, KINDS, Damage, Stage, trial, witness
from streams.simulator.render import Mode, Moment, jpeg, stage, still

PAGE = Path(__file__).parents[1] / "docs/damages.md"
HELD_KINDS = (
    "app_page blocks_exchanged cartoon checkered coarse_end cracked dc_drift detections displaced_blocks filmstrip "
    "fogged hdr_ghost insect light_streak line_jitter lines_repeated magnified middle_sharp mosaic nine "
    "notifications one_bit overexposed pixelated planes_shifted row_noise seam slices_lost snowfall solarised "
    "staircase swapped_bands swapped_tiles tiles_missing torn_top twice_across underexposed wiped wobble "
    "zeroed_bytes"
)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def seen() -> tuple[Image.Image, bytes]:
    """A drawn room, and its bytes."""
    picture = still(stage("a room", Mode.DAY), Moment(1, NOON)).convert("RGB").resize((640, 360))
    return picture, jpeg(picture, 82)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Six drawn cameras with two stills each."""
    folder = tmp_path_factory.mktemp("cameras")
    found = []
    for n in range(6):
        scene = stage(f"camera {n}", Mode.DAY)
        files = []
        for k in range(2):
            files.append(folder / f"{n}-{k}.jpg")
            files[-1].write_bytes(jpeg(still(scene, Moment(k, NOON)), 82))
        found.append(Source(f"drawn__{n}", "cameras/drawn", tuple(files)))
    return found


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_the_same_seed_gives_the_same_bytes(kind: Damage, seen: tuple[Image.Image, bytes]) -> None:
    assert kind(*seen, Random(3)) == kind(*seen, Random(3))


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_what_arrives_can_be_decoded_and_shows_something(kind: Damage, seen: tuple[Image.Image, bytes]) -> None:
    for seed in range(3):
        data = kind(*seen, Random(seed))
        picture = Decoder(b"key")(data)
        assert picture.grey is not None, picture.fault
        assert picture.grey.std() > 8
        assert (data == seen[1]) is (kind.name == "copy")


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_small_still_can_be_damaged_too(kind: Damage, seen: tuple[Image.Image, bytes]) -> None:
    small = seen[0].resize((160, 90))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    assert len(kind(small, out.getvalue(), Random(1))) > 300


def test_the_picture_that_is_handed_in_stays_as_it_is(seen: tuple[Image.Image, bytes]) -> None:
    before = np.array(seen[0])
    for kind in KINDS.values():
        kind(*seen, Random(2))
    assert np.array_equal(before, np.asarray(seen[0]))


def test_some_of_the_further_kinds_are_held_apart_and_always_the_same_ones() -> None:
    assert len(FURTHER) - len(EVERYDAY) >= 24
    assert set(HELD) == set(HELD_KINDS.split())
    assert 3 * len(HELD) >= len(FURTHER)
    assert not any(kind.held for kind in EVERYDAY.values())


def test_every_stage_has_kinds() -> None:
    assert {kind.stage for kind in FURTHER.values()} == set(Stage)


def test_every_kind_is_documented_with_its_stage_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (held)? ?\| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    told = {(name, stage, held == "held", meaning) for name, stage, held, meaning in rows}
    assert told == {(kind.name, kind.stage.value, kind.held, kind.meaning) for kind in KINDS.values()}


def test_a_copy_is_named_and_the_recipients_own_damaged_still_accuses_nobody(sources: list[Source]) -> None:
    tried = trial.Trial(sources, seed=1).run(KINDS["copy"], 4)
    assert (tried.trials, tried.named, tried.told, tried.misnamed, tried.false_leaks) == (4, 4, 4, 0, 0)
    assert not tried.misses


def test_a_trial_counts_each_miss_with_its_rule_and_its_pictures(sources: list[Source]) -> None:
    def blank(image: Image.Image, data: bytes, rng: Random) -> bytes:
        return jpeg(Image.new("RGB", image.size), 80)

    kind = Damage("blank", Stage.DISPLAY, False, "Nothing is left.", blank)
    tried = trial.Trial(sources, seed=1).run(kind, 3)
    assert (tried.trials, tried.named, tried.misnamed) == (3, 0, 0)
    assert tried.missed_by.total() == len(tried.misses) == 3
    assert all(miss.intact != miss.still for miss in tried.misses)


def test_the_order_of_kinds_does_not_change_how_one_fares(sources: list[Source]) -> None:
    first = trial.Trial(sources, seed=2)
    alone = first.run(KINDS["letterbox"], 3)
    second = trial.Trial(sources, seed=2)
    second.run(KINDS["crop20"], 3)
    assert second.run(KINDS["letterbox"], 3) == alone


def test_without_opencv_the_witness_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    witness._opencv.cache_clear()
    assert not witness.present()
    with pytest.raises(witness.WitnessAbsentError, match=r"strayframe\[evaluate\]"):
        witness.inliers(b"", b"")
