"""A corpus of real stills: cameras/<name>/*.jpg, each folder one fixed camera in time order, and photos/**/*.jpg.

Owns the layout and how a still of it is opened. Refuses to copy or keep a picture: a corpus stays where it lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import StrayframeError

LONGEST: Final = 1280
"""Longest side, in pixels, that a still is used at: what cameras commonly send to displays."""
PHOTO: Final = "photo-"
"""What the name of a source begins with that is a single photograph: a camera that never moves."""
NOISE: Final = (1.0, 3.5)
"""Standard deviation of a sensor's noise by day, in grey levels, from good to cheap."""
TILE: Final = 1400
"""Side of the tile that noise is cut from, in pixels: any still fits, at some ten thousand places."""


class CorpusError(StrayframeError):
    """A folder is no corpus; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Source:
    """One camera of a corpus, or one photograph that stands for a camera. `files` are in time order, never empty."""

    name: str
    group: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """The cameras and photographs of a folder, by name."""

    cameras: tuple[Source, ...]
    photos: tuple[Source, ...]

    def drawn(self, photos: int, rng: Random) -> list[Source]:
        """All cameras and `photos` photographs, in an order that follows from `rng`."""
        chosen = [*self.cameras, *rng.sample(self.photos, min(photos, len(self.photos)))]
        rng.shuffle(chosen)
        return chosen


def read(folder: Path) -> Corpus:
    """What a folder holds. Raises CorpusError when there is no still in it."""
    cameras = [_camera(path) for path in sorted((folder / "cameras").glob("*")) if path.is_dir()]
    photos = [
        Source(f"{PHOTO}{path.stem}", f"photos/{path.parent.name}", (path,))
        for path in sorted((folder / "photos").rglob("*.jpg"))
    ]
    found = Corpus(tuple(camera for camera in cameras if camera.files), tuple(photos))
    if not found.cameras and not found.photos:
        raise CorpusError(f"{folder} is no corpus: it has neither cameras/<name>/*.jpg nor photos/*.jpg")
    return found


def group_of(camera: str) -> str:
    """The group of a source by its name: the folder's name up to a double underscore, or `photos`."""
    return "photos" if camera.startswith((PHOTO, "neighbour-")) else f"cameras/{camera.partition('__')[0]}"


def opened(path: Path) -> Image.Image:
    """A still in RGB, at most `LONGEST` pixels on its longest side. Raises CorpusError when it cannot be read."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (LONGEST, LONGEST))
            still = image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise CorpusError(f"{path} cannot be read as a picture: {error}") from None
    if max(still.size) > LONGEST:
        still.thumbnail((LONGEST, LONGEST))
    return still


def moment(still: Image.Image, rng: Random) -> Image.Image:
    """The same view a moment later: a sensor's noise, a slight change of exposure, up to a pixel of sway."""
    a = np.asarray(still, np.float32) * np.float32(rng.uniform(0.95, 1.05))
    i, j = rng.randrange(TILE - a.shape[0]), rng.randrange(TILE - a.shape[1])
    a += _tile()[i : i + a.shape[0], j : j + a.shape[1], None] * np.float32(rng.uniform(*NOISE))
    later = np.clip(a, 0, 255).astype(np.uint8)
    return Image.fromarray(_swayed(later, rng.randint(-1, 1), rng.randint(-1, 1)))


def _camera(path: Path) -> Source:
    return Source(path.name, group_of(path.name), tuple(sorted(path.glob("*.jpg"))))


@lru_cache(maxsize=1)
def _tile() -> NDArray[np.float32]:
    return np.random.default_rng(20260105).standard_normal((TILE, TILE), np.float32)


def _swayed(a: NDArray[np.uint8], down: int, across: int) -> NDArray[np.uint8]:
    """Moved by whole pixels, the edge repeated."""
    h, w = a.shape[:2]
    return a[np.clip(np.arange(h) + down, 0, h - 1)][:, np.clip(np.arange(w) + across, 0, w - 1)]
