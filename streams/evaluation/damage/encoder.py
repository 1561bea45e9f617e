"""What an encoder and its concealment of errors do to a still. Owns those kinds only; kind.py says what a kind is."""

from __future__ import annotations

import io
from random import Random

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from streams.evaluation.damage.kind import Stage, bytewise, drawn, jpeg, numbers, picture, pixels

ROWS = 45
"""Rows of 16-line blocks in a still of 720 lines; smaller stills get blocks of the same share of the height."""


@bytewise(Stage.ENCODER)
def quality5(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """JPEG at quality 4 to 9: blocks of 8 pixels with hardly anything in them."""
    return jpeg(image, rng.randint(4, 9))


@drawn(Stage.ENCODER)
def tiny(image: Image.Image, rng: Random) -> Image.Image:
    """A thumbnail of 128x72 to 176x144 pixels, blown up again."""
    size = rng.choice([(160, 90), (128, 72), (176, 144)])
    return image.resize(size, Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BICUBIC)


@drawn(Stage.ENCODER)
def posterise(image: Image.Image, rng: Random) -> Image.Image:
    """Two or four levels a colour."""
    return ImageOps.posterize(image.convert("RGB"), rng.choice([1, 2, 2]))


@drawn(Stage.ENCODER)
def dithered(image: Image.Image, rng: Random) -> Image.Image:
    """A palette of 8 or 16 colours, dithered, as in a GIF."""
    return image.convert("RGB").quantize(rng.choice([8, 16])).convert("RGB")


@drawn(Stage.ENCODER)
def combing(image: Image.Image, rng: Random) -> Image.Image:
    """Two fields of different moments: every second line shifted by 0.5 to 2 % of the width."""
    a = pixels(image)
    a[1::2] = np.roll(a[1::2], max(2, int(a.shape[1] * rng.uniform(0.005, 0.02))), 1)
    return picture(a)


@drawn(Stage.ENCODER, held=True)
def line_jitter(image: Image.Image, rng: Random) -> Image.Image:
    """A worn tape or a bad sync: each row of pixels begins up to 1 to 2.5 % of the width too soon or too late."""
    a = pixels(image)
    most = a.shape[1] * rng.uniform(0.01, 0.025)
    shifts = numbers(rng).uniform(-most, most, a.shape[0]).astype(int)
    return picture(np.stack([np.roll(row, shift, axis=0) for row, shift in zip(a, shifts, strict=True)]))


@drawn(Stage.ENCODER)
def smeared(image: Image.Image, rng: Random) -> Image.Image:
    """A starved video encoder: all texture gone, edges left."""
    third = (max(16, image.width // 3), max(16, image.height // 3))
    smooth = image.convert("RGB").resize(third, Image.Resampling.BILINEAR)
    for _ in range(2):
        smooth = smooth.filter(ImageFilter.MedianFilter(5))
    return smooth.resize(image.size, Image.Resampling.BILINEAR)


@drawn(Stage.ENCODER)
def repeated_rows(image: Image.Image, rng: Random) -> Image.Image:
    """Lost rows of blocks, concealed: the last good one repeated down to the bottom."""
    a = pixels(image)
    block = max(4, a.shape[0] // ROWS)
    y = block * rng.randint(ROWS // 2, ROWS * 3 // 4)
    a[y:] = np.resize(a[y - block : y], a[y:].shape)
    return picture(a)


@drawn(Stage.ENCODER)
def lost_mcu(image: Image.Image, rng: Random) -> Image.Image:
    """A lost block: everything below is shifted sideways, wraps round, and is brighter or darker."""
    a = pixels(image)
    block = max(4, a.shape[0] // ROWS)
    y = block * rng.randint(ROWS // 4, ROWS * 2 // 3)
    a[y:] = np.roll(a[y:], block * rng.randint(4, 40), 1) + rng.uniform(-50, 50)
    return picture(a)


@drawn(Stage.ENCODER)
def freeze_mix(image: Image.Image, rng: Random) -> Image.Image:
    """Blocks dropped all over: a third of them grey."""
    a = pixels(image)
    side = max(8, 2 * a.shape[0] // ROWS)
    for y in range(0, a.shape[0], side):
        for x in range(0, a.shape[1], side):
            if rng.random() < 0.33:
                a[y : y + side, x : x + side] = 128
    return picture(a)


@bytewise(Stage.ENCODER)
def generations(image: Image.Image, data: bytes, rng: Random) -> bytes:
    """Passed on eight times: each time another size and another quality."""
    for _ in range(8):
        scale = rng.uniform(0.55, 0.95)
        size = (max(64, int(image.width * scale)), max(36, int(image.height * scale)))
        data = jpeg(image.resize(size, Image.Resampling.BILINEAR).resize(image.size), rng.randint(25, 60))
        image = Image.open(io.BytesIO(data)).convert("RGB")
    return data


@drawn(Stage.ENCODER, held=True)
def mosaic(image: Image.Image, rng: Random) -> Image.Image:
    """The sensor's colour mosaic shown as it is: every pixel one colour, as grey."""
    a = pixels(image) * np.array((rng.uniform(0.5, 0.8), 1.0, rng.uniform(0.4, 0.7)), np.float32)
    raw = a[:, :, 1].copy()
    raw[::2, ::2] = a[::2, ::2, 0]
    raw[1::2, 1::2] = a[1::2, 1::2, 2]
    return picture(np.repeat(raw[:, :, None], 3, 2))


@drawn(Stage.ENCODER)
def fields_apart(image: Image.Image, rng: Random) -> Image.Image:
    """The two fields one below the other: the whole picture twice, at half the height."""
    a = pixels(image)[: image.height // 2 * 2]
    return picture(np.concatenate([a[::2], a[1::2]] if rng.random() < 0.5 else [a[1::2], a[::2]]))


@drawn(Stage.ENCODER, held=True)
def displaced_blocks(image: Image.Image, rng: Random) -> Image.Image:
    """Lost motion vectors: 30 to 45 % of the blocks show what lies up to 6 % beside them."""
    a, reach = pixels(image), max(4, int(image.width * 0.06))
    out, share = a.copy(), rng.uniform(0.3, 0.45)
    for y in range(0, a.shape[0] - 16, 16):
        for x in range(0, a.shape[1] - 16, 16):
            if rng.random() < share:
                v = min(max(y + rng.randint(-reach, reach), 0), a.shape[0] - 16)
                u = min(max(x + rng.randint(-reach, reach), 0), a.shape[1] - 16)
                out[y : y + 16, x : x + 16] = a[v : v + 16, u : u + 16]
    return picture(out)


@drawn(Stage.ENCODER)
def wrong_stride(image: Image.Image, rng: Random) -> Image.Image:
    """Rows read a little too long: the picture leans by 8 to 30 % of its width, wrapping round."""
    a, lean = pixels(image), image.width * rng.uniform(0.08, 0.3) * rng.choice([-1, 1])
    rows = [np.roll(row, int(lean * y / a.shape[0]), 0) for y, row in enumerate(a)]
    return picture(np.stack(rows))


@drawn(Stage.ENCODER, held=True)
def planes_shifted(image: Image.Image, rng: Random) -> Image.Image:
    """Colour planes read at wrong offsets: red and blue 1.5 to 5 % of the width beside green."""
    a = pixels(image)
    for plane in (0, 2):
        by = int(a.shape[1] * rng.uniform(0.015, 0.05)) * rng.choice([-1, 1])
        a[:, :, plane] = np.roll(a[:, :, plane], by, 1)
    return picture(a)


@drawn(Stage.ENCODER, held=True)
def lines_repeated(image: Image.Image, rng: Random) -> Image.Image:
    """Too slow a bus: only one row in eight to sixteen arrives, and is shown in place of the others."""
    a, step = pixels(image), rng.randint(8, 16) * image.height / 720
    kept = (np.arange(a.shape[0]) // max(step, 2) * max(step, 2)).astype(np.intp)
    return picture(a[kept])


@drawn(Stage.ENCODER, held=True)
def dc_drift(image: Image.Image, rng: Random) -> Image.Image:
    """Brightness is coded as differences, each a little wrong: it drifts from block to block along each row."""
    a, block = pixels(image), max(4, image.height // ROWS)
    steps = numbers(rng).normal(0, 4, (a.shape[0] // block + 1, a.shape[1] // block + 1))
    drift = np.cumsum(steps, axis=1).repeat(block, 0).repeat(block, 1)[: a.shape[0], : a.shape[1]]
    return picture(a + drift[:, :, None].astype(np.float32))


@drawn(Stage.ENCODER, held=True)
def blocks_exchanged(image: Image.Image, rng: Random) -> Image.Image:
    """Blocks read in the wrong order: each has changed places with its neighbour, two blocks in three of the rows."""
    a, block = pixels(image), max(4, image.height // ROWS)
    for y in range(0, a.shape[0] - block + 1, block):
        if rng.random() < 2 / 3:
            for x in range(0, a.shape[1] - 2 * block + 1, 2 * block):
                pair = a[y : y + block, x : x + 2 * block]
                a[y : y + block, x : x + 2 * block] = np.roll(pair, block, 1)
    return picture(a)
