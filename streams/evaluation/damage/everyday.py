"""What happens to a still every day: sent on as it is, scaled for a display, cut off, greyed, drawn over, trimmed.

Owns the kinds that replays (labelled.py) draw their leaks from. `held` is False for all: everybody tunes to these.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from streams.evaluation.damage.kind import Stage, bytewise, jpeg

DISPLAYS = ((1024, 600), (1280, 800), (640, 360), (800, 480), (480, 270))
"""Sizes of smart displays, in pixels."""
DISPLAY_QUALITIES = (35, 50, 60, 75, 85)


def shown(image: Image.Image, rng: Random) -> bytes:
    """The picture scaled and encoded for one of `DISPLAYS`."""
    fitted = image.convert("RGB").resize(rng.choice(DISPLAYS), Image.Resampling.BICUBIC)
    return jpeg(fitted, rng.choice(DISPLAY_QUALITIES))


@bytewise(Stage.CACHE)
def copy(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """Byte for byte what its owner was sent."""
    return data


@bytewise(Stage.TRANSCODER)
def transcode(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """Scaled and encoded anew for a display."""
    return shown(image, rng)


@bytewise(Stage.NETWORK)
def truncated(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """The first 30 to 90 % of the bytes."""
    whole = data if rng.random() < 0.5 else shown(image, rng)
    return whole[: int(len(whole) * rng.uniform(0.3, 0.9))]


@bytewise(Stage.ENCODER)
def corrupt(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """Grey, dark scan lines, the lowest 15 to 55 % flat: the stills of December 2019."""
    a = np.array(image.convert("L"))
    a[:: rng.choice([6, 8, 10])] = 0
    a[int(a.shape[0] * rng.uniform(0.45, 0.85)) :] = 128
    return shown(Image.fromarray(a), rng)


@bytewise(Stage.DISPLAY)
def overlay(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """A clock and a sign drawn over it."""
    out = image.convert("RGB").copy()
    draw, (w, h) = ImageDraw.Draw(out), out.size
    bar = max(14, h // 16)
    top = rng.choice([2, h - bar - 2])
    draw.rectangle([0, top, w * 0.5, top + bar], fill=(16, 16, 16))
    clock = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=rng.randrange(86_400))
    draw.text((6, top + 2), f"{clock:%Y-%m-%d %H:%M:%S}", (250, 250, 250))
    draw.ellipse([w - 3 * bar, 4, w - bar, 4 + 2 * bar], fill=(235, 110, 20))
    return shown(out, rng)


@bytewise(Stage.TRANSCODER)
def crop(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """4 to 9 % trimmed off each side, stretched to another aspect ratio."""
    w, h = image.size
    left, top, right, bottom = (rng.uniform(0.04, 0.09) for _ in range(4))
    return shown(image.crop((int(w * left), int(h * top), int(w * (1 - right)), int(h * (1 - bottom)))), rng)
