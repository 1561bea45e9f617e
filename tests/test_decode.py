"""Decoding: every kind of bytes becomes a Picture, none an exception."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.fingerprint import fingerprint
from models.records import PREFIX_BYTES
from streams.decode import END_OF_IMAGE, QUICK_SIDE, Decoder
from streams.simulator.render import Mode, Moment, jpeg, stage, still

DECODE = Decoder(b"key")


def encoded(form: str = "JPEG", size: tuple[int, int] = (1280, 720), mode: str = "RGB") -> bytes:
    """A seeded noisy gradient in the given format."""
    width, height = size
    ramp = np.linspace(0, 200, width)[None, :] + np.random.default_rng(1).integers(0, 50, (height, width))
    out = io.BytesIO()
    Image.fromarray(ramp.astype(np.uint8)).convert(mode).save(out, form)
    return out.getvalue()


def scene(camera: str = "camera-1") -> bytes:
    """A rendered still as a camera encodes it, 1280x720."""
    drawn = stage(camera, Mode.DAY)
    return jpeg(still(drawn, Moment(1, datetime(2026, 3, 1, 9, tzinfo=UTC))), 85)


SCENE = scene()


def resized(size: tuple[int, int], mode: str = "RGB", quality: int = 85, **options: Any) -> bytes:
    """The scene in another size and form, as a JPEG."""
    out = io.BytesIO()
    Image.open(io.BytesIO(SCENE)).resize(size).convert(mode).save(out, "JPEG", quality=quality, **options)
    return out.getvalue()


JPEGS = {
    "as a camera writes it": SCENE,
    "of odd size": resized((637, 359)),
    "upright": resized((270, 480)),
    "small": resized((176, 144)),
    "tiny": resized((40, 30)),
    "grey": resized((640, 360), "L"),
    "progressive": resized((640, 360), progressive=True),
    "of halved colour": resized((640, 360), subsampling=1),
    "of full colour": resized((640, 360), subsampling=0),
    "with restart markers": resized((640, 360), restart_marker_rows=1),
    "of low quality": resized((1280, 720), quality=20),
}
"""Whole JPEGs of the kinds that the quick look takes."""


@pytest.mark.parametrize("data", JPEGS.values(), ids=list(JPEGS))
def test_the_quick_look_sees_the_pixels_that_pillow_sees_at_its_scale(data: bytes) -> None:
    quick = DECODE._quick(data)
    assert quick is not None
    with Image.open(io.BytesIO(data)) as image:
        scale = round(image.width / quick.shape[1])
        image.draft("L", (image.width // scale, image.height // scale))
        assert np.array_equal(quick, np.asarray(image.convert("L")))
        assert scale == 1 or min(quick.shape) >= QUICK_SIDE
        assert scale == 8 or min(image.width, image.height) / scale < 2 * QUICK_SIDE


@pytest.mark.parametrize("camera", ["camera-2", "camera-3", "camera-4"])
def test_the_quick_look_and_the_reference_agree_on_what_is_compared(camera: str) -> None:
    data = scene(camera)
    quick, whole = DECODE.still(data).fingerprint, fingerprint(DECODE(data)).fingerprint
    assert quick is not None
    assert whole is not None
    both = quick.mask & whole.mask
    assert np.bitwise_count(both).sum() > 0.9 * np.bitwise_count(whole.mask).sum()
    assert np.bitwise_count((quick.code ^ whole.code) & both).sum() <= 0.01 * np.bitwise_count(both).sum()


def masked() -> bytes:
    """The scene with a privacy mask."""
    image = Image.open(io.BytesIO(SCENE))
    image.paste((0, 0, 0), (200, 100, 700, 500))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


SPOILED = {
    "cut off": SCENE[: len(SCENE) // 2],
    "cut off, with an end": SCENE[: len(SCENE) // 2] + END_OF_IMAGE,
    "without an end": SCENE[:-2],
    "with lost blocks": SCENE[:60_000] + bytes(400) + SCENE[60_400:],
    "with a privacy mask": masked(),
    "dark": resized((1, 1)),
    "of four colours": resized((640, 360), "CMYK"),
    "no picture": b"\xff\xd8\xff" + bytes(200) + END_OF_IMAGE,
    "PNG": encoded("PNG", (320, 180)),
    "WebP": encoded("WEBP", (320, 180)),
}
"""What the quick look leaves to the reference."""


@pytest.mark.parametrize("data", SPOILED.values(), ids=list(SPOILED))
def test_what_is_spoiled_or_unusual_is_seen_as_the_reference_sees_it(data: bytes) -> None:
    one, other = DECODE.still(data), fingerprint(DECODE(data))
    assert (one.digest, one.prefix, one.reason, one.complete) == (
        other.digest,
        other.prefix,
        other.reason,
        other.complete,
    )
    assert (one.fingerprint is None) == (other.fingerprint is None)
    if one.fingerprint is not None and other.fingerprint is not None:
        assert np.array_equal(one.fingerprint.levels, other.fingerprint.levels)


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
    seen = DECODE.still(bytes(data))
    assert seen.digest == picture.digest
    assert picture.grey is not None or seen.reason == picture.fault


SAMPLES = {form: encoded(form, (320, 180)) for form in ("JPEG", "PNG", "WEBP")}
