"""A moment of a stage: who is there, the sensor's noise, the sway, the clock, and the JPEG bytes.

Owns what differs between two stills of one camera. Refuses to keep anything: a picture is a function of the stage
and the moment, and the same ones give the same bytes.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from streams.simulator.render.figure import car, heading, person, pet
from streams.simulator.render.place import Spot
from streams.simulator.render.stage import GRAINS, HEIGHT, MARGIN, WIDTH, ZOOM, Mode, Stage, exposed, lit, planes
from streams.simulator.render.texture import Floats
from streams.simulator.render.view import HIGH, WIDE, Body, Layers, View, Window, paint

NOISE = {Mode.DAY: 2.2, Mode.DUSK: 3.4, Mode.NIGHT: 4.6}
"""Standard deviation of the sensor's noise in grey levels, before a camera's own factor of 0.7 to 1.3."""
SWAY = 0.6
"""Standard deviation of the sway in pixels; at most 6 are used."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a still is taken: `seed` is different for each, `local` is the time on the camera's own clock."""

    seed: int
    local: datetime


def still(stage: Stage, moment: Moment) -> Image.Image:
    """The still that the camera takes at that moment, 1280 by 720, in mode YCbCr."""
    rng = Random(f"{stage.seed}/{moment.seed}")
    luma, blue, red = stage.luma, stage.chroma[0], stage.chroma[1]
    bodies = _present(stage, rng)
    if bodies:
        luma, blue, red = luma.copy(), blue.copy(), red.copy()
        for figure, ground in bodies:
            _enter(stage, figure, ground, (luma, blue, red))
    x, y = (max(-6.0, min(6.0, rng.gauss(0, SWAY))) + MARGIN for _ in range(2))
    bright = _sensed(_swayed(luma, x, y), stage, moment, rng)
    box = (int(x) // 2, int(y) // 2, int(x) // 2 + WIDTH // 2, int(y) // 2 + HEIGHT // 2)
    colours = [c.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST, box) for c in (blue, red)]
    picture = Image.merge("YCbCr", (bright, *colours))
    if stage.clock:
        _stamp(picture, moment.local, stage.lag)
    return picture


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """The picture's JPEG bytes."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _swayed(luma: Image.Image, x: float, y: float) -> Image.Image:
    """The part of the stage that the camera sees, moved by a fraction of a pixel along the diagonal."""
    i, j = int(y), int(x)
    here = luma.crop((j, i, j + WIDTH, i + HEIGHT))
    return Image.blend(here, luma.crop((j + 1, i + 1, j + 1 + WIDTH, i + 1 + HEIGHT)), (x % 1 + y % 1) / 2)


def _sensed(luma: Image.Image, stage: Stage, moment: Moment, rng: Random) -> Image.Image:
    """Exposure that drifts over the day and from still to still, and the sensor's noise."""
    hour = moment.local.hour + moment.local.minute / 60
    gain = (1 + 0.05 * math.sin(hour / 24 * 6.28 + stage.lag * 3)) * rng.uniform(0.95, 1.05)
    exposed = np.asarray(luma.point([min(255, round(k * gain)) for k in range(256)]))
    noise = _noise(NOISE[stage.mode] * stage.grain)
    i, j = rng.randrange(noise.shape[0] - HEIGHT), rng.randrange(noise.shape[1] - WIDTH)
    part = noise[i : i + HEIGHT, j : j + WIDTH][:: rng.choice((1, -1)), :: rng.choice((1, -1))]
    values = np.add(exposed, part, dtype=np.int16)
    return Image.fromarray(np.clip(values, 0, 255, out=values).astype(np.uint8))


@lru_cache(maxsize=len(NOISE) * len(GRAINS))
def _noise(deviation: float) -> NDArray[np.int8]:
    """More of a sensor's noise than one still needs: each takes another part of it."""
    noise = np.random.default_rng(77).standard_normal((HEIGHT + 331, WIDTH + 463), np.float32)
    whole: NDArray[np.int8] = np.clip(np.rint(noise * np.float32(deviation)), -120, 120).astype(np.int8)
    return whole


def _present(stage: Stage, rng: Random) -> list[tuple[list[Body], tuple[float, float, float]]]:
    """Who and what is there at the moment, each with the (x, z, radius) of the ground that it shades."""
    where, found = stage.place, []
    chance = where.busy * (0.4 if stage.mode is Mode.NIGHT else 1.0)
    if where.walks and rng.random() < chance:
        for _ in range(rng.choice((1, 1, 1, 2))):
            small = rng.random() < 0.18
            found.append(_along(rng, rng.choice(where.walks), pet(rng) if small else person(rng), 0.35))
    if where.lanes and rng.random() < chance:
        found.append(_along(rng, rng.choice(where.lanes), car(rng), 2.0))
    return found


def _along(rng: Random, spot: Spot, figure: list[Body], wide: float) -> tuple[list[Body], tuple[float, float, float]]:
    share = rng.random()
    x = spot.start[0] + (spot.end[0] - spot.start[0]) * share
    z = spot.start[1] + (spot.end[1] - spot.start[1]) * share
    turn = heading(spot.start, spot.end)
    return [body.moved((x, 0.0, z), turn) for body in figure], (x, z, wide)


def _enter(stage: Stage, figure: list[Body], ground: tuple[float, float, float], onto: tuple[Image.Image, ...]) -> None:
    """Draw a figure into the planes, behind whatever stands before it."""
    part = _around(stage.place.view, figure, ground)
    if part is None:
        return
    layers = Layers.blank(part.bottom - part.top, part.right - part.left)
    depth = np.repeat(np.repeat(stage.depth, 2, axis=0), 2, axis=1)[part.area].astype(np.float32)
    layers.depth = depth.copy()
    for body in figure:
        paint(layers, stage.place.view, part, stage.place.lights, body)
    shadow = _shadow(stage.place.view, part, depth, ground)
    picture = exposed(lit(layers, stage.place, stage.mode, part), stage.gain)
    mask = np.where(layers.cover, np.float32(1), shadow)
    luma, blue, red = planes(picture * layers.cover[:, :, None])
    at = (part.left * ZOOM, part.top * ZOOM)
    size = (part.right * ZOOM - at[0], part.bottom * ZOOM - at[1])
    _paste(onto[0], luma, mask, at, size)
    half, small = (at[0] // 2, at[1] // 2), (size[0] // 2, size[1] // 2)
    for plane, values in zip(onto[1:], (blue, red), strict=True):
        _paste(plane, values, layers.cover.astype(np.float32), half, small)


def _paste(
    onto: Image.Image,
    values: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
    mask: Floats,
    at: tuple[int, int],
    size: tuple[int, int],
) -> None:
    soft = Image.fromarray((mask * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    onto.paste(Image.fromarray(values).resize(size, Image.Resampling.NEAREST), at, soft)


def _shadow(view: View, part: Window, depth: Floats, ground: tuple[float, float, float]) -> Floats:
    """How dark a figure makes the ground under it, in [0, 1]."""
    rays = view.rays(part)
    floor = np.where(rays[1] < -0.01, -view.eye[1] / np.minimum(rays[1], -0.01), 1e9)
    x, z, wide = ground
    apart = np.hypot(view.eye[0] + rays[0] * floor - x, view.eye[2] + rays[2] * floor - z) / wide
    dark: Floats = 0.5 * np.exp(-(apart**2)) * (np.abs(floor - depth) < 0.12 * depth)
    return dark.astype(np.float32)


def _around(view: View, figure: list[Body], ground: tuple[float, float, float]) -> Window | None:
    """A window that holds the figure: found with few rays against a ball around it."""
    x, z, wide = ground
    rays = view.rays(Window(), 6)
    high = max(body.at[1] for body in figure) + 0.3
    way = np.array([x - view.eye[0], high / 2 - view.eye[1], z - view.eye[2]], np.float32)
    flat = rays[0] ** 2 + rays[2] ** 2
    near = (rays[0] * way[0] + rays[2] * way[2]) / flat
    miss = np.hypot(rays[0] * near - way[0], rays[2] * near - way[2])
    height = view.eye[1] + rays[1] * near
    hit = (near > 0.5) & (miss < wide * 1.25) & (height > -0.3) & (height < high + 0.1)
    if not hit.any():
        return None
    rows, columns = np.flatnonzero(hit.any(axis=1)) * 6, np.flatnonzero(hit.any(axis=0)) * 6
    return Window(
        max(0, int(rows[0]) - 12),
        min(HIGH, int(rows[-1]) + 18),
        max(0, int(columns[0]) - 12),
        min(WIDE, int(columns[-1]) + 18),
    )


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(26)


def _stamp(picture: Image.Image, local: datetime, lag: float) -> None:
    """Burn the camera's clock in, as its firmware formats it."""
    formats = ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m-%d-%Y %a %H:%M:%S")
    text = local.strftime(formats[int(abs(lag) * 100) % 3])
    at = (WIDTH - 330, 10) if lag > 0 else (14, HEIGHT - 42)
    draw = ImageDraw.Draw(picture)
    draw.text((at[0] + 2, at[1] + 2), text, fill=(20, 128, 128), font=_font())
    draw.text(at, text, fill=(245, 128, 128), font=_font())
