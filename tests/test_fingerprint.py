"""The fingerprint keeps what a place is and drops what light, filler and damage make of it."""

from __future__ import annotations

import pickle
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import picture, place, still

from models.agreement import compare
from models.code import code_of, fine_of, hypotheses
from models.fingerprint import Fingerprint, fingerprint
from models.looked import Looked
from models.packing import pack, unpack
from models.placing import AS_IS, RARE, USUAL, inverse, window
from models.records import Picture
from models.thumbnail import INVALID, SIDE


def share(a: Fingerprint, b: Fingerprint) -> tuple[float, int]:
    """The share of reliable bits that differ, and how many both have."""
    both = a.mask & b.mask
    common = int(np.bitwise_count(both).sum())
    return int(np.bitwise_count((a.code ^ b.code) & both).sum()) / max(common, 1), common


def of(grey: np.ndarray, *, complete: bool = True) -> Fingerprint:
    """The fingerprint of a picture that must have one."""
    found = fingerprint(picture(np.ascontiguousarray(grey), complete=complete)).fingerprint
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(5))
def test_the_same_place_stays_near_and_another_is_far(seed: int) -> None:
    near, common = share(of(place(seed, 1)), of(place(seed, 2)))
    assert near < 0.05
    assert common > 200
    assert share(of(place(seed, 1)), of(place(seed + 1, 2)))[0] > 0.3


def test_brightness_and_contrast_do_not_count() -> None:
    assert share(of(place(3, 1)), of(place(3, 2, gain=0.4)))[0] < 0.06


def test_a_grey_lower_half_is_not_seen_and_the_upper_half_stays_near() -> None:
    grey = place(3, 1).copy()
    grey[170:] = 128
    found = of(grey)
    assert (found.levels[34:] == INVALID).all()
    assert 0.4 < found.valid < 0.5
    assert share(of(place(3, 2)), found)[0] < 0.05


def test_dark_scan_lines_are_repaired() -> None:
    grey = place(3, 1).copy()
    grey[::6] = 0
    assert share(of(place(3, 2)), of(grey))[0] < 0.08


def test_a_privacy_mask_is_not_seen() -> None:
    grey = place(3, 1).copy()
    grey[60:200, 100:300] = 0
    found = of(grey)
    assert (found.levels[13:33, 12:28] == INVALID).all()
    assert share(of(place(3, 2)), found)[0] < 0.06


@pytest.mark.parametrize(
    "grey", [np.zeros((360, 640), np.uint8), np.full((360, 640), 200, np.uint8), np.full((8, 8), 9, np.uint8)]
)
def test_blank_and_tiny_pictures_have_no_fingerprint_and_say_why(grey: np.ndarray) -> None:
    found = fingerprint(picture(grey))
    assert found.fingerprint is None
    assert found.reason
    assert not found.noisy


def test_dark_noise_has_no_fingerprint_but_is_known_to_carry_noise() -> None:
    found = fingerprint(picture(np.clip(np.random.default_rng(1).normal(6, 3, (360, 640)), 0, 255).astype(np.uint8)))
    assert found.fingerprint is None
    assert found.noisy


def test_a_picture_without_pixels_gives_its_fault() -> None:
    assert fingerprint(Picture(None, False, b"d", b"", "undecodable: OSError")).reason == "undecodable: OSError"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 500), cut=st.integers(0, 250))
def test_the_byte_form_round_trips(seed: int, cut: int) -> None:
    grey = place(seed, 1).copy()
    grey[360 - cut :] = 128
    found = of(grey)
    again = Fingerprint.from_bytes(found.to_bytes())
    assert np.array_equal(again.levels, found.levels)
    assert np.array_equal(again.code, found.code)
    assert np.array_equal(again.mask, found.mask)


def test_what_arrives_in_another_process_is_all_that_was_sent() -> None:
    """Also that it may be written to, since compiled code is compiled for that."""
    for sent in (of(place(3, 1)), Fingerprint.of(of(place(3, 1)).levels)):
        arrived = pickle.loads(pickle.dumps(sent, pickle.HIGHEST_PROTOCOL))
        for field in fields(Fingerprint):
            one, other = getattr(sent, field.name), getattr(arrived, field.name)
            assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
            if isinstance(one, np.ndarray):
                assert (other.dtype, other.flags.writeable, other.flags.c_contiguous) == (one.dtype, True, True)


def test_a_torn_body_is_refused() -> None:
    body = of(place(1)).to_bytes()
    for torn in (b"", body[:-1], b"\x09" + body[1:]):
        with pytest.raises(ValueError, match="not a fingerprint"):
            Fingerprint.from_bytes(torn)
    with pytest.raises(ValueError, match="torn"):
        Fingerprint.from_bytes(body[:300] + bytes(len(body) - 300))


def test_a_still_is_compared_by_what_packing_leaves_of_it() -> None:
    found = of(place(3, 1))
    assert np.array_equal(found.levels, unpack(found.stored))
    assert np.array_equal(found.code, code_of(found.levels)[0])


def test_a_body_of_two_cells_a_byte_is_read_as_if_it_were_packed_now() -> None:
    levels = np.random.default_rng(4).integers(-8, 8, (SIDE, SIDE)).astype(np.int8)
    cells = (levels.reshape(-1, 2) + 8).astype(np.uint8)
    old = b"\x01" + (cells[:, 0] << 4 | cells[:, 1]).astype(np.uint8).tobytes()
    assert np.array_equal(Fingerprint.from_bytes(old).levels, pack(levels)[1])


def test_the_first_placing_is_the_code_itself() -> None:
    found = of(place(4))
    _, codes, masks, _ = hypotheses(fine_of(found.levels), USUAL)
    assert np.array_equal(codes[0], found.code)
    assert np.array_equal(masks[0], found.mask)
    assert code_of(found.levels)[0].shape == (8,)


@pytest.mark.parametrize("box", [(0.06, 0.94, 0.06, 0.94), (0.15, 0.85, 0.12, 0.86), (0.25, 1.0, 0.0, 1.0)])
def test_some_placing_brings_a_crop_near(box: tuple[float, float, float, float]) -> None:
    left, right, top, bottom = box
    cut = of(place(6, 1)[int(top * 360) : int(bottom * 360), int(left * 640) : int(right * 640)])
    whole = of(place(6, 2))
    _, codes, masks, _ = hypotheses(fine_of(cut.levels), np.concatenate([USUAL, RARE]))
    both = masks & whole.mask
    common = np.bitwise_count(both).sum(axis=1)
    differ = np.bitwise_count((codes ^ whole.code) & both).sum(axis=1)
    assert (differ / np.maximum(common, 1))[common >= 90].min() < 0.15


def test_inverse_placings_undo() -> None:
    twice = inverse(inverse(RARE))
    assert np.allclose(twice, RARE, atol=1e-4)


def test_registration_finds_where_a_crop_lies() -> None:
    cut, whole = of(place(8, 1)[36:324, 64:600]), of(place(8, 2))
    start = window(0.07, 0.93, 0.07, 0.93)
    found = compare(Looked(cut.levels), Looked(whole.levels), start)
    assert found.placing[0] == pytest.approx(640 / 536, abs=0.02)
    assert found.placing[4] == pytest.approx(360 / 288, abs=0.02)
    assert found.score > 0.8
    assert found.covered > 0.95


def test_different_places_do_not_agree_wherever_they_are_laid() -> None:
    a, b = Looked(of(place(1)).levels), Looked(of(place(2)).levels)
    assert max(compare(a, b, tuple(map(float, p))).score for p in RARE[::5]) < 0.45  # type: ignore[arg-type]


def test_a_still_agrees_wholly_with_itself_a_moment_later() -> None:
    found = compare(Looked(of(place(5, 1)).levels), Looked(of(place(5, 2)).levels), AS_IS)
    assert found.score > 0.9
    assert found.blocks == found.textured


def test_looking_twice_gives_the_same() -> None:
    assert still(4, 2).fingerprint is not None
    assert np.array_equal(of(place(4, 2)).levels, of(place(4, 2)).levels)
