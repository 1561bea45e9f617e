"""Scenes of cameras that do not exist, as many as a benchmark needs: what an index is filled with before it is timed.

Owns thumbnails with the statistics of real ones and the codes that follow from them by the detector's own rule. Scene k
of a seed is always the same, whatever is drawn before it; scenes `k // LOOKS` alike are looks of one camera.

A thumbnail is the sum of two windows into seeded fields, whose spectrum falls as that of natural pictures does and
holds nothing coarser than local contrast normalisation leaves; a third one makes parts of it flat, as walls are. Beside
1,355 stills of real cameras: 305 reliable bits of 512 with a deviation of 45 (real: 306 and 52), other cameras' codes
at 50.0 % with one of 5.0 (49.4 and 5.2), at least 24 % where 120 bits are common, of real ones in a like sample 17 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.code import AS_IS, WORDS, encode, finer
from models.thumbnail import SIDE, STEP, smooth

LOOKS: Final = 3
"""Scenes of one camera: they differ in at most 5 % of their reliable bits, as most looks of a camera do."""
FIELDS: Final = 24
"""Fields that windows are taken of."""
WIDE: Final = 256
"""Cells a side of a field."""
CHUNK: Final = 20_000
"""Scenes drawn at once: some 180 MB of thumbnails."""
THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """Scenes from `first` on: their cameras' numbers, codes and masks (n, 8), and levels (n, 64, 64).

    The codes are those of the levels as they are; `Fingerprint` packs them first.
    """

    first: int
    cameras: NDArray[np.int32]
    codes: NDArray[np.uint64]
    masks: NDArray[np.uint64]
    levels: NDArray[np.int8]


def scenes(n: int, seed: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The codes and masks, (n, 8) each, of the first n scenes."""
    codes = np.empty((n, WORDS), np.uint64)
    masks = np.empty((n, WORDS), np.uint64)
    for chunk in chunks(n, seed):
        end = chunk.first + len(chunk.codes)
        codes[chunk.first : end], masks[chunk.first : end] = chunk.codes, chunk.masks
    return codes, masks


def chunks(n: int, seed: int, size: int = CHUNK) -> Iterator[Chunk]:
    """The first n scenes, in order, drawn ahead by `THREADS` threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        starts = list(range(0, n, size))
        ahead = [pool.submit(_chunk, start, min(size, n - start), seed) for start in starts[: THREADS + 1]]
        for k in range(len(starts)):
            yield ahead.pop(0).result()
            if k + THREADS + 1 < len(starts):
                start = starts[k + THREADS + 1]
                ahead.append(pool.submit(_chunk, start, min(size, n - start), seed))


def levels(k: int, seed: int) -> NDArray[np.int8]:
    """The thumbnail of scene k, (64, 64)."""
    out = np.empty((SIDE, SIDE), np.int8)
    _draw(fields(seed), np.uint64(seed), k, out)
    return out


@lru_cache(maxsize=2)
def fields(seed: int) -> NDArray[np.float32]:
    """The seeded fields, (FIELDS, WIDE, WIDE), each of mean 0 and deviation 1; they repeat at their edges."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(WIDE)[:, None], np.fft.rfftfreq(WIDE)[None])
    falls = 1.0 / np.maximum(f, 1 / WIDE) ** 1.5
    local = 1.0 - np.exp(-0.5 * (2 * np.pi * 4.0 * f) ** 2)
    out = np.empty((FIELDS, WIDE, WIDE), np.float32)
    for k in range(FIELDS):
        plane = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(WIDE, WIDE))) * falls * local, s=(WIDE, WIDE))
        out[k] = plane / plane.std()
    return out


def _chunk(first: int, n: int, seed: int) -> Chunk:
    codes, masks, drawn = _fill(fields(seed), np.uint64(seed), first, n, AS_IS)
    return Chunk(first, (np.arange(first, first + n) // LOOKS).astype(np.int32), codes, masks, drawn)


@njit(cache=True, nogil=True)
def _random(a: np.uint64, b: np.uint64) -> np.uint64:
    """A hash of two numbers (splitmix64's finaliser)."""
    z = a * np.uint64(0x9E3779B97F4A7C15) + b * np.uint64(0xD1B54A32D192ED03) + np.uint64(0x8CB92BA72F3D8DD7)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _unit(random: np.uint64) -> float:
    """A number from 0 to 1 of the upper bits of a random one."""
    return float(random >> np.uint64(40)) / float(1 << 24)


@njit(cache=True, nogil=True)
def _window(all_fields: NDArray[np.float32], which: np.uint64) -> NDArray[np.float32]:
    """A window into one of the fields."""
    inside = np.uint64(WIDE - SIDE)
    field = all_fields[which % np.uint64(FIELDS)]
    y = int((which >> np.uint64(8)) % inside)
    x = int((which >> np.uint64(24)) % inside)
    return field[y : y + SIDE, x : x + SIDE]


@njit(cache=True, nogil=True, error_model="numpy")
def _draw(all_fields: NDArray[np.float32], seed: np.uint64, k: int, out: NDArray[np.int8]) -> None:
    camera = _random(seed, np.uint64(k // LOOKS))
    one, two = _window(all_fields, _random(camera, np.uint64(1))), _window(all_fields, _random(camera, np.uint64(2)))
    flat = _window(all_fields, _random(camera, np.uint64(3)))
    own = _random(camera, np.uint64(16 + k % LOOKS))
    moment = _window(all_fields, own)
    share = np.float32(0.08 + 0.12 * _unit(own))
    usual = np.float32(0.08 + 0.55 * _unit(camera))
    turn = np.float32(1.0 if camera >> np.uint64(7) & np.uint64(1) else -1.0)
    for y in range(SIDE):
        for x in range(SIDE):
            plane = np.float32(0.8) * one[y, x] + turn * np.float32(0.6) * two[y, x]
            contrast = min(max(usual + np.float32(0.5) * flat[y, x], np.float32(0.02)), np.float32(1.2))
            level = (contrast * plane + share * moment[y, x]) * np.float32(1.0 / STEP)
            out[y, x] = np.int8(np.floor(min(max(level, np.float32(-7)), np.float32(7)) + np.float32(0.5)))


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    all_fields: NDArray[np.float32], seed: np.uint64, first: int, n: int, as_is: NDArray[np.float32]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int8]]:
    codes = np.empty((n, WORDS), np.uint64)
    masks = np.empty((n, WORDS), np.uint64)
    drawn = np.empty((n, SIDE, SIDE), np.int8)
    for k in range(n):
        out = drawn[k]
        _draw(all_fields, seed, first + k, out)
        plane, support = smooth(out)
        code, mask = encode(finer(plane, support), as_is)
        codes[k], masks[k] = code[0], mask[0]
    return codes, masks, drawn
