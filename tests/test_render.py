"""The renderer: deterministic, alike from moment to moment, different from camera to camera, fast enough."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from functools import lru_cache
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from streams.simulator.render import HEIGHT, WIDTH, Mode, Moment, Stage, damage, jpeg, outdoors, stage, still

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
CAMERAS = 16


@lru_cache(maxsize=4 * CAMERAS)
def drawn(seed: str, mode: Mode = Mode.DAY) -> Stage:
    return stage(seed, mode)


def taken(seed: str, moment: int, mode: Mode = Mode.DAY) -> Image.Image:
    return still(drawn(seed, mode), Moment(moment, NOON))


def blurred(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Averages of 13x13 neighbours, by running sums; the border repeats."""
    padded = np.pad(values, 7, mode="edge").astype(np.float64)
    sums = padded.cumsum(axis=0).cumsum(axis=1)
    mean: NDArray[np.float32] = (
        (sums[13:, 13:] - sums[:-13, 13:] - sums[13:, :-13] + sums[:-13, :-13])[:64, :64] / 169
    ).astype(np.float32)
    return mean


def contrast(picture: Image.Image) -> NDArray[np.float32]:
    """The picture as a 64x64 grey whose local contrast is normalised, a unit vector."""
    grey = np.asarray(picture.convert("L").resize((64, 64), Image.Resampling.BOX), np.float32)
    flat = grey - blurred(grey)
    local = flat / (np.sqrt(blurred(flat * flat)) + 3)
    local -= local.mean()
    unit: NDArray[np.float32] = (local / np.linalg.norm(local)).ravel()
    return unit


def test_same_seed_and_moment_give_the_same_bytes() -> None:
    first = jpeg(still(stage("twice", Mode.DUSK), Moment(5, NOON)), 80)
    again = jpeg(still(stage("twice", Mode.DUSK), Moment(5, NOON)), 80)
    assert first == again


def test_two_moments_never_give_the_same_bytes() -> None:
    assert len({jpeg(taken("cam-1", k), 80) for k in range(8)}) == 8


def test_a_still_is_a_720p_jpeg_of_a_cameras_size() -> None:
    data = jpeg(taken("cam-2", 1), drawn("cam-2").quality)
    assert Image.open(io.BytesIO(data)).size == (WIDTH, HEIGHT) == (1280, 720)
    assert 30_000 < len(data) < 400_000


@pytest.mark.parametrize("mode", list(Mode))
def test_a_camera_looks_alike_at_two_moments(mode: Mode) -> None:
    alike = [
        float(contrast(taken(f"cam-{k}", 1, mode)) @ contrast(taken(f"cam-{k}", 2, mode))) for k in range(CAMERAS // 2)
    ]
    assert np.median(alike) >= 0.9
    assert np.quantile(alike, 0.1) >= 0.8


def test_two_cameras_look_different() -> None:
    looks = np.array([contrast(taken(f"cam-{k}", 1)) for k in range(CAMERAS)])
    alike = looks @ looks.T
    np.fill_diagonal(alike, 0)
    assert alike.max() <= 0.35


def test_a_room_at_night_is_still_that_room() -> None:
    rooms = [f"cam-{k}" for k in range(CAMERAS) if not outdoors(f"cam-{k}")][:5]
    alike = [float(contrast(taken(seed, 1)) @ contrast(taken(seed, 1, Mode.NIGHT))) for seed in rooms]
    assert np.median(alike) >= 0.5


def test_infrared_is_grey_and_daylight_is_not() -> None:
    _, blue, red = (np.asarray(c, int)[100:600] for c in taken("cam-3", 1, Mode.NIGHT).split())
    assert abs(blue - 128).max() <= 1
    assert abs(red - 128).max() <= 1
    _, blue, _ = (np.asarray(c, int) for c in taken("cam-3", 1).split())
    assert abs(blue - 128).max() > 10


def test_both_rooms_and_streets_are_drawn() -> None:
    share = np.mean([outdoors(f"cam-{k}") for k in range(200)])
    assert 0.25 < share < 0.5


def test_somebody_comes_by_now_and_then() -> None:
    empty = np.asarray(drawn("cam-4").luma, np.float32)[8:-8, 8:-8]
    moved = [np.abs(np.asarray(taken("cam-4", k).getchannel(0), np.float32) - empty) > 60 for k in range(24)]
    visited = sum(bool(m.mean() > 0.002) for m in moved)
    assert 0 < visited < 24


def test_a_cut_still_keeps_its_start_and_no_end() -> None:
    data = jpeg(taken("cam-5", 1), 80)
    part = damage.cut(data, Random(1))
    assert data.startswith(part)
    assert 0.3 * len(data) - 1 <= len(part) <= 0.9 * len(data)


def test_a_greyed_still_has_no_colour_and_a_flat_end() -> None:
    picture = damage.opened(damage.greyed(taken("cam-5", 1), Random(2)))
    luma, blue, _ = (np.asarray(c, int) for c in picture.split())
    assert abs(blue - 128).max() <= 2
    assert luma[-20:].std() < 30


def test_an_occlusion_covers_a_part_only() -> None:
    before = taken("cam-5", 1)
    after = damage.occluded(before, Random(3))
    changed = np.mean(np.abs(np.asarray(before.getchannel(0), int) - np.asarray(after.getchannel(0), int)) > 8)
    assert 0.1 < changed < 0.6


def test_the_placeholder_is_always_the_same() -> None:
    first = damage.placeholder()
    damage.placeholder.cache_clear()
    assert damage.placeholder() == first
