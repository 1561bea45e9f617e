"""What happens to a picture on its way, and what makes an honest one look odd.

Owns damage and odd moments as functions of a picture and a seeded generator. Refuses to decide who gets them.
Pictures are Pillow images in mode YCbCr or L; results are JPEG bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from streams.simulator.render.moment import jpeg
from streams.simulator.render.stage import HEIGHT, WIDTH

Odd = Callable[[Image.Image, Random], Image.Image]
"""Makes a still odd."""

DISPLAYS = ((1024, 600), (1280, 800), (640, 360), (800, 480), (480, 270))
"""Sizes to which smart displays have stills scaled; not all keep the aspect ratio."""


def opened(data: bytes) -> Image.Image:
    """The picture of JPEG bytes, in mode YCbCr as JPEG has it."""
    return Image.open(io.BytesIO(data)).convert("YCbCr")


def for_display(picture: Image.Image, rng: Random) -> bytes:
    """Scaled to some display and encoded again."""
    return jpeg(picture.resize(rng.choice(DISPLAYS), Image.Resampling.BICUBIC), rng.choice((50, 60, 75, 85)))


def greyed(picture: Image.Image, rng: Random) -> bytes:
    """Grey, black scan lines, the lower part flat: a decoder that went on after lost data."""
    values = np.asarray(picture.getchannel(0)).copy()
    values[:: rng.choice((6, 8, 10))] = 0
    values[int(values.shape[0] * rng.uniform(0.45, 0.85)) :] = 128
    return for_display(Image.fromarray(values), rng)


def cut(data: bytes, rng: Random) -> bytes:
    """The first 30 to 90 % of the bytes."""
    return data[: int(len(data) * rng.uniform(0.3, 0.9))]


def flickered(picture: Image.Image, rng: Random) -> Image.Image:
    """Much darker or brighter, for one still."""
    factor = rng.choice((0.35, 0.5, 1.6, 2.0))
    luma, blue, red = picture.split()
    return Image.merge("YCbCr", (luma.point([min(255, int(k * factor)) for k in range(256)]), blue, red))


def occluded(picture: Image.Image, rng: Random) -> Image.Image:
    """Something close and out of focus covers 20 to 45 % of the width."""
    wide, high = picture.size
    rough = np.random.default_rng(rng.randrange(2**32)).normal(60, 22, (high // 40 + 1, wide // 40 + 1))
    shade = Image.fromarray(np.clip(rough, 0, 255).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    share = rng.uniform(0.2, 0.45)
    left = int(rng.uniform(0, 1 - share) * wide)
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).ellipse((left, int(high * 0.05), left + int(share * wide * 1.2), int(high * 1.3)), fill=255)
    out = picture.copy()
    out.paste(
        Image.merge("YCbCr", (shade, Image.new("L", picture.size, 118), Image.new("L", picture.size, 142))),
        (0, 0),
        mask,
    )
    return out


def dark(rng: Random) -> bytes:
    """A lens cap or an unlit cellar: the sensor's noise around black."""
    noise = np.random.default_rng(rng.randrange(2**32)).normal(6, 3, (HEIGHT // 2, WIDTH // 2))
    return jpeg(Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)), 80)


@lru_cache(maxsize=1)
def placeholder() -> bytes:
    """The vendor's own picture for a camera that is off: always the same bytes."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), (52, 56, 64))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((540, 220, 740, 370), 26, outline=(170, 176, 186), width=8)
    draw.ellipse((600, 255, 680, 335), outline=(170, 176, 186), width=8)
    draw.line((520, 390, 760, 200), fill=(52, 56, 64), width=22)
    draw.line((520, 390, 760, 200), fill=(214, 110, 60), width=8)
    draw.text(
        (WIDTH // 2, 440), "Camera is switched off", fill=(220, 224, 230), font=ImageFont.load_default(40), anchor="mm"
    )
    return jpeg(picture, 90)
