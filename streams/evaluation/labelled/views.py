"""How a camera's own scene can look all of a sudden, and pictures of nothing: what must accuse nobody.

Owns the pictures of the controls. Refuses to say when they come (plan.py).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from streams.evaluation.damage.kind import jpeg, numbers, picture

View = Callable[[Image.Image, Random], Image.Image]


def infrared(still: Image.Image, rng: Random) -> Image.Image:
    """The night mode: grey, spread over all tones, lit by a lamp in the middle."""
    grey = np.asarray(ImageOps.autocontrast(still.getchannel(0), cutoff=1), np.float32)
    y = np.linspace(-1, 1, grey.shape[0], dtype=np.float32)[:, None] / np.float32(1.2)
    x = np.linspace(-1, 1, grey.shape[1], dtype=np.float32)[None, :] / np.float32(1.1)
    return picture(grey * (0.25 + 0.75 * np.exp(-(x * x + y * y)))).convert("RGB")


def flicker(still: Image.Image, rng: Random) -> Image.Image:
    """Lights go off or on: a third of the brightness to twice of it."""
    return ImageEnhance.Brightness(still).enhance(rng.choice([0.35, 0.5, 1.6, 2.0]))


def occluded(still: Image.Image, rng: Random) -> Image.Image:
    """Somebody close to the lens: a blurred shape over up to 45 % of the view."""
    w, h = still.size
    cloth = Image.fromarray(numbers(rng).integers(60, 200, (h // 8 + 1, w // 8 + 1), dtype=np.uint8)).resize((w, h))
    shape = ImageOps.colorize(cloth.filter(ImageFilter.GaussianBlur(3)), (30, 20, 15), (150, 110, 90))
    share = rng.uniform(0.2, 0.45)
    left = rng.uniform(0, 1 - share) * w
    mask = Image.new("L", still.size)
    ImageDraw.Draw(mask).ellipse([left, h * 0.05, left + share * w * 1.2, h * 1.3], fill=255)
    return Image.composite(shape, still, mask)


CHANGES: Final[dict[str, View]] = {"infrared": infrared, "flicker": flicker, "occluded": occluded}
"""What may happen to a camera's own scene, by the name of the control."""


def dark(rng: Random) -> bytes:
    """A lens cap: nothing but a sensor's noise near black."""
    noise = numbers(rng).normal(6, 3, (360, 640)).astype(np.float32)
    return jpeg(picture(noise), 80)


def placeholder(*, artwork: bool) -> bytes:
    """The vendor's own picture, always the same bytes: a line of text when switched off, `artwork` when unreachable."""
    out = Image.new("RGB", (1280, 720), (52, 56, 64))
    draw = ImageDraw.Draw(out)
    if artwork:
        draw.rounded_rectangle([520, 250, 760, 430], 24, outline=(200, 204, 212), width=10)
        draw.ellipse([590, 290, 690, 390], outline=(200, 204, 212), width=10)
        draw.line([480, 470, 800, 210], fill=(235, 110, 20), width=14)
    draw.rectangle([0, 640, 640, 685], fill=(16, 16, 16))
    draw.text((20, 650), "no connection" if artwork else "camera is switched off", fill=(250, 250, 250))
    return jpeg(out, 90)
