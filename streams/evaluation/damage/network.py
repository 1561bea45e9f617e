"""What lost and mixed-up bytes do to a still, on the network and in caches. Owns those kinds only."""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageFilter

from streams.evaluation.damage.kind import Stage, bytewise, drawn, jpeg, numbers, picture, pixels

SCAN = b"\xff\xda"
"""The marker before a scan's entropy-coded bytes."""


@drawn(Stage.NETWORK)
def top_missing(image: Image.Image, rng: Random) -> Image.Image:
    """The first 30 to 65 % of the picture never came: black or grey."""
    a = pixels(image)
    a[: int(a.shape[0] * rng.uniform(0.3, 0.65))] = rng.choice([0, 128])
    return picture(a)


@drawn(Stage.NETWORK)
def side_grey(image: Image.Image, rng: Random) -> Image.Image:
    """35 to 60 % of the picture on one side never came: grey."""
    a = pixels(image)
    x = int(a.shape[1] * rng.uniform(0.35, 0.6))
    if rng.random() < 0.5:
        a[:, :x] = 128
    else:
        a[:, -x:] = 128
    return picture(a)


@drawn(Stage.NETWORK)
def green_rows(image: Image.Image, rng: Random) -> Image.Image:
    """Two to four stripes of rows that were never decoded, green, a tenth of the height each."""
    a = pixels(image)
    for _ in range(rng.randint(2, 4)):
        y = rng.randrange(a.shape[0])
        a[y : y + a.shape[0] // 10] = (0, 135, 0)
    return picture(a)


@bytewise(Stage.NETWORK)
def progressive_cut(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """A progressive JPEG cut off in a late scan: whole, but without its detail."""
    whole = jpeg(image, rng.choice([70, 85]), progressive=True)
    return whole[: int(len(whole) * rng.uniform(0.45, 0.8))]


@bytewise(Stage.NETWORK)
def hole(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """A packet of 1400 bytes missing from the second half: what follows is shifted and off in brightness."""
    begin = max(_entropy(data) + 1, int(len(data) * rng.uniform(0.5, 0.8)))
    return data[:begin] + data[min(len(data) - 2, begin + 1400) :]


@bytewise(Stage.NETWORK)
def bits_flipped(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """Three to eight wrong bits somewhere in the last third of the coded bytes."""
    begin = _entropy(data)
    spoiled = bytearray(data)
    for _ in range(rng.randint(3, 8)):
        at = rng.randrange(begin + (len(data) - begin) * 2 // 3, len(data) - 2)
        if spoiled[at] != 0xFF and spoiled[at - 1] != 0xFF:  # a marker would end the picture here
            spoiled[at] ^= 1 << rng.randrange(7)
    return bytes(spoiled)


@drawn(Stage.CACHE)
def wrapped(image: Image.Image, rng: Random) -> Image.Image:
    """Read from the wrong offset: moved sideways by 10 to 50 %, wrapping round."""
    a = pixels(image)
    return picture(np.roll(a, int(a.shape[1] * rng.uniform(0.1, 0.5)), 1))


@drawn(Stage.CACHE)
def rolled(image: Image.Image, rng: Random) -> Image.Image:
    """A ring of frames read from the wrong row: moved down by 10 to 50 %, wrapping round."""
    a = pixels(image)
    return picture(np.roll(a, int(a.shape[0] * rng.uniform(0.1, 0.5)), 0))


@drawn(Stage.CACHE)
def torn(image: Image.Image, rng: Random) -> Image.Image:
    """Two writers, one buffer: the lowest 25 to 50 % are another picture's."""
    w, h = image.size
    other = numbers(rng).integers(20, 235, (9, 16, 3), dtype=np.uint8)
    scene = Image.fromarray(other).resize((w, h), Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(w * 0.01))
    y = int(h * rng.uniform(0.5, 0.75))
    out = image.convert("RGB").copy()
    out.paste(scene.crop((0, y, w, h)), (0, y))
    return out


@drawn(Stage.NETWORK, held=True)
def swapped_bands(image: Image.Image, rng: Random) -> Image.Image:
    """Parts that came in another order: two of five bands of rows have changed places."""
    a = pixels(image)
    bands = np.array_split(a, 5)
    one, other = rng.sample(range(5), 2)
    bands[one], bands[other] = bands[other], bands[one]
    return picture(np.concatenate(bands))


@drawn(Stage.CACHE, held=True)
def interleaved(image: Image.Image, rng: Random) -> Image.Image:
    """Two writers by turns: every third band of 16 rows is another picture's."""
    a = pixels(image)
    other = numbers(rng).integers(20, 235, (9, 16, 3), dtype=np.uint8)
    scene = pixels(Image.fromarray(other).resize(image.size, Image.Resampling.BICUBIC))
    for y in range(rng.choice([0, 16, 32]), a.shape[0], 48):
        a[y : y + 16] = scene[y : y + 16]
    return picture(a)


def _entropy(data: bytes) -> int:
    """Where the first scan's coded bytes begin; the middle of bytes that have none."""
    at = data.find(SCAN)
    if at < 0 or at + 4 > len(data):
        return len(data) // 2
    return min(len(data) - 4, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"))
