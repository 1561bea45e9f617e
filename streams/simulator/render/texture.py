"""What surfaces are made of: seeded materials over surface coordinates in metres.

Owns the noise tiles and the materials. Refuses to know where a surface is or how it is lit. A material is a
function from two float32 arrays `u`, `v` (metres along the surface) to RGB reflectance, float32 (n, 3) in [0, 1].
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Colour = tuple[float, float, float]
Material = Callable[[Floats, Floats], Floats]

TILE = 1024
"""Side of a noise tile in texels; a power of two, so that wrapping is a bit mask."""
ROUGHNESS = (0.55, 1.0, 1.6)
"""Spectral slopes of the three tiles: grit, grain, clouds. Photographs of surfaces lie between 0.8 and 1.6."""


HUES = (0.0, 0.03, 0.06, 0.09, 0.12, 0.16, 0.3, 0.42, 0.5, 0.56, 0.6, 0.64, 0.92)
"""Hues of household things, warm ones and blues oftener than greens and violets."""


@lru_cache(maxsize=len(ROUGHNESS))
def tile(kind: int) -> Floats:
    """A wrapping tile of 1/f noise with mean 0 and standard deviation 1; always the same for the same `kind`."""
    rng = np.random.default_rng(7000 + kind)
    fy = np.fft.fftfreq(TILE)[:, None]
    fx = np.fft.rfftfreq(TILE)[None, :]
    spectrum = np.hypot(fy, fx)
    spectrum[0, 0] = 1.0
    waves = np.fft.rfft2(rng.standard_normal((TILE, TILE))) / spectrum ** ROUGHNESS[kind]
    waves[0, 0] = 0.0
    noise = np.fft.irfft2(waves, s=(TILE, TILE))
    values: Floats = (noise / noise.std()).astype(np.float32)
    return values


def noise(u: Floats, v: Floats, texels: float, kind: int, shift: int = 0) -> Floats:
    """The tile's values at (u, v), at `texels` a metre; `shift` picks another part of the tile."""
    i = (v * texels).astype(np.int32) + shift * 37
    j = (u * texels).astype(np.int32) + shift * 91
    flat = ((i & (TILE - 1)) << 10) | (j & (TILE - 1))
    values: Floats = tile(kind).ravel()[flat]
    return values


def scatter(i: Floats, j: Floats, shift: float) -> Floats:
    """A number in [0, 1) for each cell (i, j), looking random."""
    value = np.sin(i * np.float32(12.9898) + j * np.float32(78.233) + np.float32(shift)) * np.float32(4375.85)
    return (value - np.floor(value)).astype(np.float32)


def ink(colour: Colour) -> Floats:
    """A colour as an array of three."""
    return np.array(colour, np.float32)


def tinted(tone: Floats, colour: Colour) -> Floats:
    """`colour` at the strength `tone`, a value for each point."""
    values: Floats = tone[:, None] * ink(colour)
    return values


def plaster(rng: Random, colour: Colour, rough: float = 0.05) -> Material:
    """A painted wall: fine grit and large faint stains."""
    shift = rng.randrange(999)

    def paint(u: Floats, v: Floats) -> Floats:
        tone = 1 + rough * noise(u, v, 170, 0, shift) + 0.8 * rough * noise(u, v, 60, 2, shift)
        return tinted(tone, colour)

    return paint


def planks(rng: Random, colour: Colour, width: float = 0.14, across: bool = False) -> Material:
    """Boards with grain, each in a tone of its own, dark seams between them."""
    shift, length = rng.randrange(999), rng.uniform(0.9, 2.2)

    def paint(u: Floats, v: Floats) -> Floats:
        along, side = (v, u) if across else (u, v)
        row = np.floor(side / width)
        column = np.floor(along / length + scatter(row, row, shift))
        tone = 0.78 + 0.4 * scatter(row, column, shift)
        tone += 0.09 * noise(along * 0.12 + column, side + row, 300, 1, shift)
        seam = (side / width - row) * width < 0.008
        return tinted(np.where(seam, 0.45 * tone, tone).astype(np.float32), colour)

    return paint


def tiles(rng: Random, colour: Colour, size: float = 0.33, other: Colour | None = None) -> Material:
    """Square tiles with grout, chequered when `other` is given."""
    shift, gap = rng.randrange(999), 0.012

    def paint(u: Floats, v: Floats) -> Floats:
        i, j = np.floor(u / size), np.floor(v / size)
        tone = 0.88 + 0.2 * scatter(i, j, shift) + 0.05 * noise(u, v, 150, 1, shift)
        rgb = tinted(tone, colour)
        if other is not None:
            odd = ((i + j) % 2 > 0)[:, None]
            rgb = np.where(odd, tinted(tone, other), rgb)
        grout = (u - i * size < gap) | (v - j * size < gap)
        rgb[grout] *= 0.6
        return rgb

    return paint


def bricks(rng: Random, colour: Colour) -> Material:
    """A wall of bricks in running bond."""
    shift = rng.randrange(999)

    def paint(u: Floats, v: Floats) -> Floats:
        row = np.floor(v / 0.1)
        x = u / 0.3 + 0.5 * (row % 2)
        column = np.floor(x)
        tone = 0.72 + 0.5 * scatter(row, column, shift) + 0.1 * noise(u, v, 120, 0, shift)
        rgb = tinted(tone, colour)
        mortar = (v / 0.1 - row < 0.14) | (x - column < 0.05)
        rgb[mortar] = 0.62
        return rgb

    return paint


def fabric(rng: Random, colour: Colour, other: Colour | None = None, step: float = 0.12) -> Material:
    """Woven cloth; `other` adds stripes, checks or waves of that colour."""
    shift, pattern = rng.randrange(999), rng.randrange(3)

    def paint(u: Floats, v: Floats) -> Floats:
        tone = 1 + 0.09 * noise(u, v, 330, 0, shift) + 0.12 * noise(u, v, 70, 2, shift)
        rgb = tinted(tone, colour)
        if other is not None:
            stripe = np.floor(u / step) % 2
            check = (np.floor(u / step) + np.floor(v / step)) % 2
            wave = np.floor((u + 0.06 * np.sin(v * 14)) / step) % 2
            marked = ((stripe, check, wave)[pattern] > 0)[:, None]
            rgb = np.where(marked, tinted(tone, other), rgb)
        return rgb

    return paint


def curtain(rng: Random, colour: Colour) -> Material:
    """Hanging folds."""
    shift, fold = rng.randrange(999), rng.uniform(0.07, 0.13)

    def paint(u: Floats, v: Floats) -> Floats:
        phase = u / fold * 6.283 + 0.7 * noise(u, v * 0.1, 40, 2, shift)
        return tinted(0.72 + 0.26 * np.sin(phase) + 0.04 * noise(u, v, 250, 0, shift), colour)

    return paint


def books(rng: Random, frame: Colour) -> Material:
    """Shelves full of books: rows of spines of every colour, some gaps."""
    shift, height = rng.uniform(0, 99), rng.uniform(0.28, 0.38)

    def paint(u: Floats, v: Floats) -> Floats:
        row = np.floor(v / height)
        column = np.floor(u / 0.045 + scatter(row, row, shift))
        high = 0.55 + 0.38 * scatter(column, row, shift + 1)
        rest = v / height - row
        rgb = np.stack([scatter(column, row, shift + c) for c in (2, 3, 4)], axis=1) * 0.7 + 0.1
        rgb[(rest > high) | (scatter(column // 5, row, shift + 5) > 0.8)] = 0.12
        rgb[rest < 0.08] = frame
        return rgb.astype(np.float32)

    return paint


def panels(rng: Random, colour: Colour, width: float = 0.5, height: float = 0.7) -> Material:
    """Cupboard doors or drawers: recessed seams, a handle on each."""
    shift = rng.randrange(999)

    def paint(u: Floats, v: Floats) -> Floats:
        x, y = u / width - np.floor(u / width), v / height - np.floor(v / height)
        tone = 1 + 0.06 * noise(u * 0.2, v, 220, 1, shift)
        tone[(x < 0.025) | (y < 0.02)] *= 0.4
        handle = (np.abs(x - 0.86) < 0.03) & (np.abs(y - 0.55) < 0.09)
        rgb = tinted(tone, colour)
        rgb[handle] = 0.75 if sum(colour) < 1.5 else 0.2
        return rgb

    return paint


def painting(rng: Random, width: float, height: float) -> Material:
    """A framed picture of `width` by `height` metres: blots of a few colours, or a print with lines."""
    shift, inks = rng.randrange(999), [bright(rng) for _ in range(3)]
    frame, mount = rng.choice([0.08, 0.3, 0.85]), rng.random() < 0.5

    def paint(u: Floats, v: Floats) -> Floats:
        value = noise(u, v, 110 / max(width, height), 2, shift)
        rgb = np.where((value > 0.3)[:, None], ink(inks[0]), ink(inks[1]))
        rgb = np.where((value < -0.6)[:, None], ink(inks[2]), rgb)
        rgb = rgb * (1 + 0.12 * noise(u, v, 240, 0, shift))[:, None]
        edge = np.minimum(np.minimum(u, width - u), np.minimum(v, height - v))
        if mount:
            rgb[edge < 0.1] = 0.9
        rgb[edge < 0.035] = frame
        return np.asarray(rgb, np.float32)

    return paint


def panes(rng: Random, width: float, height: float, bars: int = 2, frame: float = 0.92) -> Material:
    """A window of `width` by `height` metres: frame, `bars` panes across, and what lies outside, out of focus."""
    shift, skyline = rng.randrange(999), rng.uniform(0.25, 0.65)

    def paint(u: Floats, v: Floats) -> Floats:
        line = skyline + 0.14 * noise(u, u * 0, 60, 2, shift)
        sky = tinted(0.95 + 0.05 * noise(u, v, 50, 2, shift), (0.93, 0.97, 1.0))
        green = tinted(0.5 + 0.16 * noise(u, v, 120, 2, shift + 3), (0.75, 0.85, 0.6))
        rgb = np.where((v / height > line)[:, None], sky, green)
        x = u / width * bars
        near = np.abs(x - np.round(x)) * width / bars
        rgb[(near < 0.035) | (v < 0.05) | (v > height - 0.05) | (np.abs(v - 0.62 * height) < 0.02)] = frame
        return rgb.astype(np.float32)

    return paint


def ground(rng: Random, colour: Colour, rough: float) -> Material:
    """Grass, asphalt, paving or gravel: noise at three scales, `rough` strong."""
    shift = rng.randrange(999)

    def paint(u: Floats, v: Floats) -> Floats:
        tone = 1 + rough * (noise(u, v, 60, 0, shift) + 0.7 * noise(u, v, 14, 1, shift) + noise(u, v, 4, 2, shift))
        return tinted(np.clip(tone, 0.3, 1.8), colour)

    return paint


def bright(rng: Random) -> Colour:
    """A colour of things that people buy: any hue, mostly subdued, seldom strong."""
    strong = rng.random() ** 2
    return colorsys.hsv_to_rgb(rng.choice(HUES) + rng.gauss(0, 0.03), 0.15 + 0.65 * strong, rng.uniform(0.15, 0.9))


def muted(rng: Random, low: float = 0.3, high: float = 0.85) -> Colour:
    """A colour of walls and large furniture: near grey, slightly warm or cold."""
    level, warm = rng.uniform(low, high), rng.uniform(-0.07, 0.1)
    return (min(1.0, level * (1 + warm)), level, level * (1 - warm))


def wood(rng: Random) -> Colour:
    """A colour of wood, from bleached to nearly black."""
    level = rng.uniform(0.16, 0.75)
    return (level, level * rng.uniform(0.7, 0.85), level * rng.uniform(0.45, 0.7))
