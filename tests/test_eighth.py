"""A JPEG at an eighth: pixel for pixel what libjpeg-turbo gives, or nothing."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from streams.decode import COLOURS
from streams.eighth import eighth, head_of

RNG = np.random.default_rng(3)


def picture(width: int, height: int) -> Image.Image:
    """Smooth shapes with a sensor's noise: long blocks and short ones."""
    smooth = Image.fromarray(RNG.integers(0, 255, (9, 16, 3), dtype=np.uint8)).resize((width, height))
    noisy = np.asarray(smooth, np.float32) + RNG.normal(0, 8, (height, width, 3)) * np.linspace(0, 3, width)[:, None]
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def jpeg(width: int = 320, height: int = 192, mode: str = "RGB", quality: int = 85, **options: Any) -> bytes:
    out = io.BytesIO()
    picture(width, height).convert(mode).save(out, "JPEG", quality=quality, **options)
    return out.getvalue()


def turbo(data: bytes) -> NDArray[np.uint8]:
    """What libjpeg-turbo gives. Raises ValueError where it meets an error or a warning."""
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    grey: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "GRAY", min_height=-(-height // 8), min_width=-(-width // 8))
    return grey[:, :, 0]


def flat(width: int, height: int, **options: Any) -> bytes:
    """One grey, with a seam of noise in its middle: the same few bits for each block, wherever one begins to read."""
    shown = Image.new("RGB", (width, height), (90, 92, 95))
    shown.paste(picture(64, height), (width // 2, 0))
    out = io.BytesIO()
    shown.save(out, "JPEG", quality=85, **options)
    return out.getvalue()


PLAIN = {
    "as cameras write it": jpeg(1280, 720),
    "of odd size": jpeg(637, 359),
    "of a column of blocks": jpeg(7, 300),
    "of halved colour": jpeg(subsampling=1),
    "of full colour": jpeg(subsampling=0),
    "grey": jpeg(mode="L"),
    "grey, of odd size": jpeg(331, 77, "L"),
    "with codes of its own": jpeg(optimize=True),
    "with restarts by row": jpeg(restart_marker_rows=1),
    "with restarts by units": jpeg(restart_marker_blocks=3),
    "of the least quality": jpeg(quality=1),
    "of the best quality": jpeg(quality=100, subsampling=0),
    "with a comment": jpeg(comment=b"\xff\xda noon \xff\xd9"),
    "with something behind its end": jpeg() + b"\xff\xd9 and more",
    "of one grey for the most part": flat(1600, 1200),
    "of one grey, with restarts": flat(1600, 400, restart_marker_rows=3),
}


@pytest.mark.parametrize("data", PLAIN.values(), ids=list(PLAIN))
def test_a_plain_jpeg_has_the_pixels_that_libjpeg_turbo_gives(data: bytes) -> None:
    found = eighth(data, head_of(data))
    assert found is not None
    assert np.array_equal(found, turbo(data))


SMALL = jpeg(200, 120)
SCAN = SMALL.index(b"\xff\xda") + 14

UNUSUAL = {
    "progressive": jpeg(progressive=True),
    "of four colours": jpeg(mode="CMYK"),
    "cut off": SMALL[: len(SMALL) // 2],
    "cut off, with an end": SMALL[: len(SMALL) // 2] + b"\xff\xd9",
    "cut off in its codes": SMALL[: SMALL.index(b"\xff\xc4") + 9],
    "with bytes too many": SMALL[:-2] + b"\x00\x00\xff\xd9",
    "with a lost restart": jpeg(restart_marker_rows=1).replace(b"\xff\xd1", b"", 1),
    "with restarts out of order": jpeg(restart_marker_rows=1).replace(b"\xff\xd1", b"\xff\xd2", 1),
    "with a marker in its midst": SMALL[: SCAN + 500] + b"\xff\xfe" + SMALL[SCAN + 502 :],
    "with more restarts than any camera makes": jpeg(restart_marker_blocks=1, width=768),
    "empty": b"",
    "no JPEG": bytes(100),
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=list(UNUSUAL))
def test_what_is_unusual_or_torn_is_left_to_libjpeg_turbo(data: bytes) -> None:
    assert eighth(data, head_of(data)) is None


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(PLAIN)[1:]), st.binary(min_size=1, max_size=6), st.integers(0, 1 << 30), st.booleans())
def test_of_changed_bytes_it_says_the_same_as_libjpeg_turbo_or_nothing(
    kind: str, noise: bytes, place: int, head: bool
) -> None:
    data = bytearray(PLAIN[kind])
    place %= 700 if head else len(data)
    data[place : place + len(noise)] = noise
    try:  # the caller has had the head read already
        *_, colours, _ = simplejpeg.decode_jpeg_header(bytes(data))
    except ValueError:
        return
    found = eighth(bytes(data), head_of(bytes(data))) if colours in COLOURS else None
    if found is not None:
        assert np.array_equal(found, turbo(bytes(data)))


def test_libjpeg_turbo_reads_in_the_head_what_it_reads_in_the_file() -> None:
    for data in (jpeg(640, 360), jpeg(641, 363, "L"), jpeg(640, 360, subsampling=0), jpeg(640, 360, progressive=True)):
        head = head_of(data)
        assert len(head) < 4096
        assert data.startswith(head)
        assert simplejpeg.decode_jpeg_header(head) == simplejpeg.decode_jpeg_header(data)


@pytest.mark.parametrize("between", [b"\xff", b"\xff\xd0", b"\xff\x01", b"\x00", b"\xff\xe1\x00\x01"])
def test_without_plain_segments_the_head_is_all_of_the_file_and_no_eighth_is_given(between: bytes) -> None:
    data = jpeg(640, 360)
    odd = data[:2] + between + data[2:]
    assert head_of(odd) == odd
    assert eighth(odd, head_of(odd)) is None
