"""A camera's unmoving scene under one kind of light, ready for moments of it to be taken.

Owns what light makes of layers: day, dusk, infrared night. Refuses to move anything. A stage takes about a tenth of
a second to make and is kept by the caller; a moment of it (moment.py) takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from streams.simulator.render.place import Place, cast
from streams.simulator.render.room import room
from streams.simulator.render.street import street
from streams.simulator.render.texture import Floats, ink, tile
from streams.simulator.render.view import FAR, HIGH, WIDE, Layers, View, Window

WIDTH, HEIGHT = 1280, 720
"""Size of a still in pixels."""
MARGIN = 8
"""Pixels that a stage has beyond a still on each side, for the camera's sway."""
ZOOM = 2
"""A stage's pixels for each ray."""

GRAINS = (0.7, 0.85, 1.0, 1.15, 1.3)
"""How noisy sensors are among each other."""

Bytes = NDArray[np.uint8]


class Mode(StrEnum):
    """The light in which a still is taken."""

    DAY = "day"
    DUSK = "dusk"
    NIGHT = "night"


AIM = {Mode.DAY: 1.15, Mode.DUSK: 0.72, Mode.NIGHT: 0.75}
"""What automatic exposure brings the sum of mean and median to, before the tone curve."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The unmoving part of a camera's stills: full-size brightness, half-size colour, and quarter-size depths."""

    seed: str
    place: Place
    mode: Mode
    luma: Image.Image
    chroma: tuple[Image.Image, Image.Image]
    depth: NDArray[np.float16]
    gain: float
    lag: float
    clock: bool
    quality: int
    grain: float


def outdoors(seed: str) -> bool:
    """Whether the place of this camera is a street; two of three are rooms."""
    return Random(f"place/{seed}").random() < 0.36


def place(seed: str) -> Place:
    """The place of a camera."""
    return street(seed) if outdoors(seed) else room(seed)


def stage(seed: str, mode: Mode) -> Stage:
    """The stage of the camera `seed` in this light. The same arguments give the same pixels."""
    where = place(seed)
    layers = cast(where)
    raw = _bloomed(lit(layers, where, mode, Window()))
    gain = _gain(raw, mode)
    luma, blue, red = planes(exposed(raw, gain))
    size = (WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN)
    half = (size[0] // 2, size[1] // 2)
    rng = Random(f"stage/{seed}")
    return Stage(
        seed=seed, place=where, mode=mode,
        luma=_finely(Image.fromarray(luma).resize(size, Image.Resampling.BICUBIC), rng),
        chroma=(Image.fromarray(blue).resize(half), Image.fromarray(red).resize(half)),
        depth=np.minimum(layers.depth[::2, ::2], 6e4).astype(np.float16), gain=gain, lag=rng.uniform(-1, 1),
        clock=rng.random() < 0.35, quality=rng.choice([75, 78, 80, 82, 85, 88]), grain=rng.choice(GRAINS),
    )  # fmt: skip


def lit(layers: Layers, where: Place, mode: Mode, part: Window) -> Floats:
    """The layers' picture in this light, before exposure: RGB, float32 (rows, columns, 3)."""
    if mode is Mode.NIGHT:
        return np.repeat(_infrared(layers, where.view, part)[:, :, None], 3, axis=2)
    if mode is Mode.DAY:
        level = 0.42 * layers.shade + (1.7 if where.indoors else 0.55) * layers.sun
        if where.indoors:
            level += 0.1 * layers.lamp
        light = np.multiply.outer(level, np.asarray(where.tint, np.float32))
        sent = (1.5 if where.indoors else 1.0) * layers.open + 0.5 * layers.glow
    elif where.indoors:
        light = np.multiply.outer(0.22 * layers.shade + 0.95 * layers.lamp, ink((1.06, 0.93, 0.76)))
        sent = 0.12 * layers.open + 1.2 * layers.glow
    else:
        light = np.multiply.outer(0.24 * layers.shade + 0.05 * layers.sun, ink((0.85, 0.95, 1.15)))
        light += np.multiply.outer(0.8 * layers.lamp, ink((1.1, 0.9, 0.62)))
        sent = 0.3 * layers.open + 1.5 * layers.glow
    picture: Floats = layers.albedo * (light + sent[:, :, None])
    if not where.indoors:
        haze = 1 - np.exp(-np.minimum(layers.depth, 300) / (220 if mode is Mode.DAY else 140))
        haze = np.where(layers.depth < FAR, haze, 0)[:, :, None]
        picture += haze * (ink((0.82, 0.86, 0.9)) * (0.95 if mode is Mode.DAY else 0.2) - picture)
    return picture.astype(np.float32)


def _infrared(layers: Layers, view: View, part: Window) -> Floats:
    """Grey, lit by the camera's own lamps: bright near and in the middle, with a rest of light from elsewhere."""
    rays = view.rays(part)
    off = (view_axis(view)[:, None, None] * rays).sum(axis=0) / np.sqrt((rays * rays).sum(axis=0))
    beam = np.clip((off - 0.35) / 0.65, 0, 1)
    near = 1 / (1 + (layers.depth / 8) ** 2) + 0.25 / (1 + layers.depth / 20)
    reflects = 0.05 + 0.6 * layers.albedo[:, :, 0] + 0.35 * layers.albedo[:, :, 1]
    lamp = beam * (0.25 + near) * layers.shade + 0.3 * layers.sun + 0.04
    grey: Floats = reflects * lamp * (1 - 0.9 * layers.open) + 0.4 * layers.glow * reflects
    return grey.astype(np.float32)


def view_axis(view: View) -> Floats:
    """The direction in which the camera looks, as a unit vector."""
    middle = view.rays(Window(HIGH // 2, HIGH // 2 + 1, WIDE // 2, WIDE // 2 + 1))[:, 0, 0]
    axis: Floats = middle / np.sqrt(middle @ middle)
    return axis


def exposed(picture: Floats, gain: float) -> Floats:
    """A sensor's tone curve: steep in the dark, a soft shoulder before white. Gives [0, 1]."""
    curve: Floats = (1 - np.exp(-gain * np.maximum(picture, 0))) / np.float32(0.93)
    return np.clip(curve, 0, 1)


def _gain(picture: Floats, mode: Mode) -> float:
    """Automatic exposure: the gain that brings the middle of the picture to what the mode aims at."""
    middle = float(np.median(picture[::4, ::4])) + float(picture[::4, ::4].mean())
    return float(np.clip(AIM[mode] / max(middle, 1e-3), 0.7, 5.0))


def _bloomed(picture: Floats) -> Floats:
    """Light that spills from what is brightest, as in a cheap lens."""
    small = np.clip(picture[::4, ::4].mean(axis=2) - 0.9, 0, 2)
    spill = Image.fromarray((small * 127).astype(np.uint8)).filter(ImageFilter.GaussianBlur(9))
    wide = np.asarray(spill.resize((WIDE, HIGH), Image.Resampling.BILINEAR), np.float32) / 127
    return picture + 0.35 * wide[:, :, None]


def planes(picture: Floats) -> tuple[Bytes, Bytes, Bytes]:
    """RGB in [0, 1] as JPEG's brightness and colour planes (ITU-R BT.601, full range)."""
    rgb = picture * np.float32(255)
    luma = 0.299 * rgb[:, :, 0] + 0.587 * rgb[:, :, 1] + 0.114 * rgb[:, :, 2]
    blue = 128 + 0.564 * (rgb[:, :, 2] - luma)
    red = 128 + 0.713 * (rgb[:, :, 0] - luma)
    return luma.astype(np.uint8), np.clip(blue, 0, 255).astype(np.uint8), np.clip(red, 0, 255).astype(np.uint8)


def _finely(luma: Image.Image, rng: Random) -> Image.Image:
    """What the rays are too coarse for: a surface's finest grain, and a lens's fall-off towards the corners."""
    y, x = rng.randrange(200), 1024 - 2 * rng.randrange(40)
    grain = np.take(np.roll(tile(0), (y, x), axis=(0, 1)), range(luma.width), axis=1, mode="wrap")[: luma.height]
    across = np.linspace(-1, 1, luma.width, dtype=np.float32)[None, :] ** 2
    down = np.linspace(-1, 1, luma.height, dtype=np.float32)[:, None] ** 2
    fall = 1 - rng.uniform(0.02, 0.16) * (across + 0.6 * down)
    value = np.asarray(luma, np.float32) * fall * (1 + np.float32(0.028) * grain)
    return Image.fromarray(np.clip(value, 0, 255).astype(np.uint8))
