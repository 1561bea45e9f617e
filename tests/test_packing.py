"""The packed thumbnail: it always fits, gives back what packing said it would, and torn bytes say so."""

from __future__ import annotations

import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from places import still

from models.code import code_of
from models.coder import _ODDS, _SLOT, _SPREAD
from models.packing import PACKED, pack, unpack
from models.thumbnail import INVALID, SIDE


def rendered(seed: int) -> np.ndarray:
    """The levels of a drawn place, as fine as they were before anything packed them: noise of half a level is added."""
    found = still(seed, 0).fingerprint
    assert found is not None
    noise = np.random.default_rng(seed).normal(0, 0.5, (SIDE, SIDE))
    levels = np.clip(np.rint(found.levels + noise), -7, 7).astype(np.int8)
    return np.where(found.levels == INVALID, np.int8(INVALID), levels)


def drawn(seed: int, spread: float, hidden: float, cell: int) -> np.ndarray:
    """Levels of noise this strong, of which this share is hidden, in squares of so many cells."""
    rng = np.random.default_rng(seed)
    levels = np.clip(np.rint(rng.normal(0, spread, (SIDE, SIDE))), -7, 7).astype(np.int8)
    size = -(-SIDE // cell)
    gone = np.kron(rng.random((size, size)) < hidden, np.ones((cell, cell), bool))[:SIDE, :SIDE]
    return np.where(gone, np.int8(INVALID), levels)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    spread=st.sampled_from([0.0, 0.3, 1.0, 2.5, 6.0, 100.0]),
    hidden=st.sampled_from([0.0, 0.02, 0.5, 0.97, 1.0]),
    cell=st.sampled_from([1, 2, 3, 8, 20]),
)
@example(seed=0, spread=100.0, hidden=0.97, cell=8)  # one block, stronger than its number can say
def test_anything_fits_and_comes_back_as_packing_said(seed: int, spread: float, hidden: float, cell: int) -> None:
    levels = drawn(seed, spread, hidden, cell)
    packed, left = pack(levels)
    assert packed.shape == (PACKED,)
    assert np.array_equal(unpack(packed), left)
    assert np.array_equal(left == INVALID, levels == INVALID)
    assert left.max() <= 7


@pytest.mark.parametrize("runs", [1, 2, 3, 5])
def test_the_worst_that_can_be_hidden_fits(runs: int) -> None:
    rng = np.random.default_rng(runs)
    differs = (np.arange(SIDE * SIDE) // runs % 2 == 0).reshape(SIDE, SIDE)
    levels = np.where(np.logical_xor.accumulate(differs, axis=0), INVALID, rng.integers(-7, 8, (SIDE, SIDE))).astype(
        np.int8
    )
    packed, left = pack(levels)
    assert np.array_equal(left == INVALID, levels == INVALID)
    assert np.array_equal(unpack(packed), left)


@pytest.mark.parametrize("seed", range(8))
def test_a_place_keeps_nearly_all_of_its_levels_and_all_of_its_code(seed: int) -> None:
    levels = rendered(seed)
    left = pack(levels)[1]
    seen = levels != INVALID
    assert (abs(left.astype(int) - levels)[seen] <= 1).mean() > 0.98
    (code, mask), (other, its) = code_of(levels), code_of(left)
    assert int(np.bitwise_count((code ^ other) & mask & its).sum()) <= 1


def test_what_is_flat_is_kept_wholly() -> None:
    for level in (-7, 0, 3, 7):
        assert (pack(np.full((SIDE, SIDE), level, np.int8))[1] == level).all()


def test_nothing_is_seen_in_zeros_and_what_shows_nothing_is_packed_to_zeros() -> None:
    assert (unpack(np.zeros(PACKED, np.uint8)) == INVALID).all()
    assert not pack(np.full((SIDE, SIDE), INVALID, np.int8))[0].any()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_bytes_of_others_give_levels_or_an_error_and_nothing_else(data: st.DataObject) -> None:
    packed = pack(drawn(data.draw(st.integers(0, 50)), 2.0, 0.05, 8))[0]
    body = bytearray(data.draw(st.binary(min_size=PACKED, max_size=PACKED)) if data.draw(st.booleans()) else packed)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, PACKED - 1), st.integers(0, 255)), max_size=6)):
        body[at] = value
    with suppress(ValueError):
        levels = unpack(np.frombuffer(body, np.uint8))
        assert levels.min() >= INVALID
        assert levels.max() <= 7


@pytest.mark.parametrize("size", [0, 1, PACKED - 1, PACKED + 1, SIDE * SIDE // 2])
def test_bytes_of_another_length_are_torn(size: int) -> None:
    with pytest.raises(ValueError, match=f"torn thumbnail: {size} bytes"):
        unpack(np.full(size, 7, np.uint8))


@pytest.mark.parametrize("cut", [4, 40, 60, 300, 700])
def test_bytes_that_end_early_are_torn(cut: int) -> None:
    packed = pack(rendered(1))[0]
    packed[cut:] = 0
    with pytest.raises(ValueError, match="torn"):
        unpack(packed)


def test_the_odds_are_those_that_stored_thumbnails_were_packed_by() -> None:
    """Another table would read other pictures out of them: whoever changes it gives the byte form a new number."""
    assert [zlib.crc32(table.tobytes()) for table in (_ODDS, _SLOT, _SPREAD)] == [156429569, 3180484216, 1388913867]
