"""What a kind of damage is: a name, the stage that does it, whether it is held apart, and the function.

Owns the form that all kinds share and the encoding of what they draw. Refuses to know any single kind.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUALITIES: Final = (50, 70, 85)
"""JPEG qualities that a drawn damage is encoded at: what CDNs and displays commonly ask for."""

Pixels = NDArray[np.float32]
Draw = Callable[[Image.Image, Random], Image.Image]
Spoil = Callable[[Image.Image, bytes, Random], bytes]


class Stage(StrEnum):
    """Where on its way from the lens to the viewer a still is damaged."""

    SENSOR = "sensor"
    ENCODER = "encoder"
    NETWORK = "network"
    CACHE = "cache"
    TRANSCODER = "transcoder"
    DISPLAY = "display"


@dataclass(frozen=True, slots=True)
class Damage:
    """One kind of damage, called with the still's picture, its bytes and a generator; gives the damaged bytes.

    The same arguments give the same bytes. `held` kinds are kept away from tuning: nobody may look at how they fare
    while changing the matcher. `meaning` is one line for tables. The bytes may be cut off; they never are empty.
    """

    name: str
    stage: Stage
    held: bool
    meaning: str
    spoil: Spoil

    def __call__(self, image: Image.Image, data: bytes, rng: Random) -> bytes:
        """The bytes as they arrive. `image` is the still in RGB, `data` the bytes that its owner was sent."""
        return self.spoil(image, data, rng)


def drawn(stage: Stage, *, held: bool = False) -> Callable[[Draw], Damage]:
    """Make a Damage of a function from picture to picture; the result is encoded at one of `QUALITIES`."""

    def kind(draw: Draw) -> Damage:
        def spoil(image: Image.Image, data: bytes, rng: Random) -> bytes:
            return jpeg(draw(image, rng), rng.choice(QUALITIES))

        return Damage(draw.__name__, stage, held, _first_line(draw.__doc__), spoil)

    return kind


def bytewise(stage: Stage, *, held: bool = False) -> Callable[[Spoil], Damage]:
    """Make a Damage of a function that gives the bytes itself."""

    def kind(spoil: Spoil) -> Damage:
        return Damage(spoil.__name__, stage, held, _first_line(spoil.__doc__), spoil)

    return kind


def jpeg(image: Image.Image, quality: int, *, progressive: bool = False) -> bytes:
    """The picture as JPEG bytes, in colour."""
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality, progressive=progressive)
    return out.getvalue()


def pixels(image: Image.Image) -> Pixels:
    """The picture as float32 (height, width, 3), 0 to 255, in an array of its own."""
    return np.array(image.convert("RGB"), np.float32)


def picture(values: Pixels) -> Image.Image:
    """The picture of such an array, clipped to what a byte can hold."""
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def numbers(rng: Random) -> np.random.Generator:
    """A NumPy generator that follows from `rng`."""
    return np.random.default_rng(rng.randrange(2**32))


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().splitlines()[0]
