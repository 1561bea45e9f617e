"""Decoding: every kind of bytes becomes a Picture, none an exception."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.records import PREFIX_BYTES
from streams.decode import Decoder

DECODE = Decoder(b"key")


def encoded(form: str = "JPEG", size: tuple[int, int] = (1280, 720), mode: str = "RGB") -> bytes:
    """A seeded noisy gradient in the given format."""
    width, height = size
    ramp = np.linspace(0, 200, width)[None, :] + np.random.default_rng(1).integers(0, 50, (height, width))
    out = io.BytesIO()
    Image.fromarray(ramp.astype(np.uint8)).convert(mode).save(out, form)
    return out.getvalue()


def test_a_jpeg_is_decoded_at_a_reduced_scale() -> None:
    picture = DECODE(encoded())
    assert picture.grey is not None
    assert picture.grey.shape == (360, 640)
    assert picture.grey.dtype == np.uint8
    assert picture.complete
    assert not picture.fault


@pytest.mark.parametrize(
    ("form", "mode"), [("PNG", "RGBA"), ("PNG", "L"), ("PNG", "P"), ("WEBP", "RGB"), ("JPEG", "CMYK")]
)
def test_every_accepted_format_and_colour_mode_becomes_grey(form: str, mode: str) -> None:
    picture = DECODE(encoded(form, (320, 180), mode))
    assert picture.grey is not None
    assert picture.grey.shape == (180, 320)


def test_a_cut_off_jpeg_is_decoded_as_far_as_it_goes_and_said_to_be_cut_off() -> None:
    whole = encoded()
    cut, full = DECODE(whole[: len(whole) // 2]), DECODE(whole)
    assert cut.grey is not None
    assert full.grey is not None
    assert not cut.complete
    top = slice(0, 150)
    assert np.array_equal(cut.grey[top], full.grey[top])
    assert not np.array_equal(cut.grey, full.grey)


def test_a_cut_off_copy_shares_the_prefix_digest_and_no_other() -> None:
    whole = encoded()
    a, b = DECODE(whole), DECODE(whole[: PREFIX_BYTES + 1])
    assert a.prefix == b.prefix
    assert a.digest != b.digest
    assert DECODE(whole[:PREFIX_BYTES]).prefix == b""


def test_digests_depend_on_the_key() -> None:
    data = encoded()
    assert Decoder(b"one")(data).digest != Decoder(b"two")(data).digest


@pytest.mark.parametrize("data", [b"", b"hello", encoded()[:20], b"GIF89a" + bytes(100)])
def test_what_is_no_picture_says_so_and_has_a_digest_all_the_same(data: bytes) -> None:
    picture = DECODE(data)
    assert picture.grey is None
    assert picture.fault == "not a picture: none of JPEG, PNG, WEBP"
    assert len(picture.digest) == 16


def test_what_is_too_large_is_refused_before_it_is_decoded() -> None:
    assert "too large" in Decoder(b"k", max_pixels=100)(encoded()).fault
    assert "too large" in Decoder(b"k", max_bytes=100)(encoded()).fault


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 40_000), st.sampled_from(["JPEG", "PNG", "WEBP"]))
def test_no_bytes_make_the_decoder_raise(noise: bytes, place: int, form: str) -> None:
    data = bytearray(SAMPLES[form])
    place %= len(data)
    data[place : place + len(noise)] = noise
    picture = DECODE(bytes(data))
    assert (picture.grey is None) == bool(picture.fault)


SAMPLES = {form: encoded(form, (320, 180)) for form in ("JPEG", "PNG", "WEBP")}
