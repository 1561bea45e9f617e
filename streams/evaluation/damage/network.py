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


@drawn(Stage.CACHE)
def interleaved(image: Image.Image, rng: Random) -> Image.Image:
    """Two writers by turns: every third band of 16 rows is another picture's."""
    a = pixels(image)
    other = numbers(rng).integers(20, 235, (9, 16, 3), dtype=np.uint8)
    scene = pixels(Image.fromarray(other).resize(image.size, Image.Resampling.BICUBIC))
    for y in range(rng.choice([0, 16, 32]), a.shape[0], 48):
        a[y : y + 16] = scene[y : y + 16]
    return picture(a)


@drawn(Stage.NETWORK, held=True)
def swapped_tiles(image: Image.Image, rng: Random) -> Image.Image:
    """A picture sent in four by three tiles: two pairs of them have changed places."""
    out, tiles = image.convert("RGB").copy(), _tiles(image, 4, 3)
    some = rng.sample(tiles, 4)
    for one, other in zip(some, some[2:] + some[:2], strict=True):
        out.paste(image.crop(one), other[:2])
    return out


@drawn(Stage.NETWORK, held=True)
def tiles_missing(image: Image.Image, rng: Random) -> Image.Image:
    """A picture sent in six by four tiles: a third of them never came, white or black."""
    out, colour = image.convert("RGB").copy(), (rng.choice([0, 255]),) * 3
    for tile in rng.sample(_tiles(image, 6, 4), 8):
        out.paste(colour, tile)
    return out


@drawn(Stage.NETWORK, held=True)
def coarse_end(image: Image.Image, rng: Random) -> Image.Image:
    """Only a coarse version came of the lowest 50 to 75 %: 24 to 40 pixels across."""
    across, top = rng.randint(24, 40), int(image.height * rng.uniform(0.25, 0.5))
    small = image.convert("RGB").resize((across, max(4, across * image.height // image.width)), Image.Resampling.BOX)
    out = small.resize(image.size, Image.Resampling.BICUBIC)
    out.paste(image.crop((0, 0, image.width, top)), (0, 0))
    return out


@bytewise(Stage.NETWORK, held=True)
def zeroed_bytes(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """A hole in a file: 200 to 600 bytes of zeros in the second half."""
    begin = max(_entropy(data) + 1, int(len(data) * rng.uniform(0.5, 0.8)))
    many = min(rng.randint(200, 600), max(len(data) - 2 - begin, 0))
    return data[:begin] + bytes(many) + data[begin + many :]


@drawn(Stage.CACHE)
def rolled_twice(image: Image.Image, rng: Random) -> Image.Image:
    """Read from the wrong row and the wrong column: moved down and sideways by 10 to 30 %, wrapping round."""
    a = pixels(image)
    down, along = (int(side * rng.uniform(0.1, 0.3)) for side in a.shape[:2])
    return picture(np.roll(a, (down, along * rng.choice([-1, 1])), (0, 1)))


@drawn(Stage.NETWORK, held=True)
def staircase(image: Image.Image, rng: Random) -> Image.Image:
    """Three to five losses, each of which moves all below it by 2 to 6 % of the width to one side, wrapping round."""
    a, side = pixels(image), rng.choice([-1, 1])
    for y in sorted(rng.sample(range(a.shape[0] // 10, a.shape[0]), rng.randint(3, 5))):
        a[y:] = np.roll(a[y:], side * int(a.shape[1] * rng.uniform(0.02, 0.06)), 1)
    return picture(a)


@drawn(Stage.NETWORK, held=True)
def slices_lost(image: Image.Image, rng: Random) -> Image.Image:
    """Five to eight slices of rows, 3 to 6 % of the height each, show what the slice above them shows."""
    a = pixels(image)
    for _ in range(rng.randint(5, 8)):
        high = max(1, int(a.shape[0] * rng.uniform(0.03, 0.06)))
        y = rng.randrange(high, a.shape[0] - high)
        a[y : y + high] = a[y - high : y]
    return picture(a)


@drawn(Stage.CACHE, held=True)
def torn_top(image: Image.Image, rng: Random) -> Image.Image:
    """Two writers, one buffer: the upper 25 to 50 % are another picture's, with hard edges in it."""
    cells = numbers(rng).integers(20, 235, (7, 12, 3), dtype=np.uint8)
    other = Image.fromarray(cells).resize(image.size, Image.Resampling.NEAREST)
    out = image.convert("RGB").copy()
    out.paste(other.crop((0, 0, image.width, int(image.height * rng.uniform(0.25, 0.5)))), (0, 0))
    return out


@drawn(Stage.CACHE, held=True)
def checkered(image: Image.Image, rng: Random) -> Image.Image:
    """Tiles of two writers: a quarter of eight by six tiles are another picture's."""
    cells = numbers(rng).integers(20, 235, (12, 20, 3), dtype=np.uint8)
    other, out = Image.fromarray(cells).resize(image.size, Image.Resampling.BICUBIC), image.convert("RGB").copy()
    for tile in rng.sample(_tiles(image, 8, 6), 12):
        out.paste(other.crop(tile), tile[:2])
    return out


def _tiles(image: Image.Image, across: int, down: int) -> list[tuple[int, int, int, int]]:
    """Boxes of equal tiles."""
    w, h = image.width // across, image.height // down
    return [(x * w, y * h, x * w + w, y * h + h) for y in range(down) for x in range(across)]


def _entropy(data: bytes) -> int:
    """Where the first scan's coded bytes begin; the middle of bytes that have none."""
    at = data.find(SCAN)
    if at < 0 or at + 4 > len(data):
        return len(data) // 2
    return min(len(data) - 4, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"))
