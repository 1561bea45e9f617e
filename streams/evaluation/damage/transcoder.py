"""What a transcoder does to a still: tones, sizes, crops, borders. Owns those kinds only."""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from streams.evaluation.damage.kind import Stage, drawn, picture, pixels

BORDERS = (0, 0, 16, 128)
"""Grey levels of borders: black, video black, grey."""


@drawn(Stage.TRANSCODER)
def gamma(image: Image.Image, rng: Random) -> Image.Image:
    """A tone curve of 0.4 to 2.6."""
    curve = 255 * (np.arange(256) / 255) ** rng.choice([0.4, 0.5, 2.0, 2.6])
    return image.convert("RGB").point([round(level) for level in curve] * 3)


@drawn(Stage.TRANSCODER)
def contrast(image: Image.Image, rng: Random) -> Image.Image:
    """A quarter or a third of the contrast, or more than twice of it with both ends clipped."""
    return picture((pixels(image) - 128) * np.float32(rng.choice([0.25, 0.35, 2.2])) + 128)


@drawn(Stage.TRANSCODER)
def equalised(image: Image.Image, rng: Random) -> Image.Image:
    """The histogram made even."""
    return ImageOps.equalize(image.convert("RGB"))


@drawn(Stage.TRANSCODER)
def clahe(image: Image.Image, rng: Random) -> Image.Image:
    """Contrast raised tile by tile, 8 by 8, with seams."""
    grey = pixels(image.convert("L"))
    out = grey.copy()
    h, w = grey.shape[0] // 8 + 1, grey.shape[1] // 8 + 1
    for y in range(0, grey.shape[0], h):
        for x in range(0, grey.shape[1], w):
            tile = grey[y : y + h, x : x + w]
            low, high = np.percentile(tile, (2, 98))
            out[y : y + h, x : x + w] = (tile - low) * min(3.0, 255 / max(high - low, 1)) * 0.6 + tile * 0.4
    return picture(out)


@drawn(Stage.TRANSCODER)
def negative(image: Image.Image, rng: Random) -> Image.Image:
    """Black is white."""
    return ImageOps.invert(image.convert("RGB"))


@drawn(Stage.TRANSCODER)
def false_colour(image: Image.Image, rng: Random) -> Image.Image:
    """Brightness shown as a heat map: black, violet, orange, white."""
    return ImageOps.colorize(image.convert("L"), (0, 0, 10), (255, 255, 190), (190, 50, 90))


@drawn(Stage.TRANSCODER)
def sharpened(image: Image.Image, rng: Random) -> Image.Image:
    """Sharpened threefold, with halos."""
    return image.convert("RGB").filter(ImageFilter.UnsharpMask(rng.choice([2, 6]), 300, 0))


@drawn(Stage.TRANSCODER)
def letterbox(image: Image.Image, rng: Random) -> Image.Image:
    """Squeezed between bars above and below, 12 to 45 % together."""
    w, h = image.size
    inner = int(h * rng.uniform(0.55, 0.88))
    return _placed(image, (w, inner), (0, (h - inner) // 2), (rng.choice(BORDERS),) * 3)


@drawn(Stage.TRANSCODER)
def pillarbox(image: Image.Image, rng: Random) -> Image.Image:
    """Squeezed between bars left and right, 12 to 45 % together."""
    w, h = image.size
    inner = int(w * rng.uniform(0.55, 0.88))
    return _placed(image, (inner, h), ((w - inner) // 2, 0), (rng.choice(BORDERS),) * 3)


@drawn(Stage.TRANSCODER)
def framed(image: Image.Image, rng: Random) -> Image.Image:
    """Shown at 70 to 92 % of the size with a coloured border all round."""
    w, h = image.size
    colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    scale = rng.uniform(0.7, 0.92)
    size = (int(w * scale), int(h * scale))
    return _placed(image, size, ((w - size[0]) // 2, (h - size[1]) // 2), colour)


@drawn(Stage.TRANSCODER)
def blurred_sides(image: Image.Image, rng: Random) -> Image.Image:
    """The sides filled with a blurred blow-up of the picture itself."""
    return _over_its_blur(image, (int(image.width * rng.uniform(0.6, 0.8)), image.height))


@drawn(Stage.TRANSCODER)
def blurred_ends(image: Image.Image, rng: Random) -> Image.Image:
    """Above and below filled with a blurred blow-up of the picture itself."""
    return _over_its_blur(image, (image.width, int(image.height * rng.uniform(0.6, 0.8))))


@drawn(Stage.TRANSCODER)
def crop43(image: Image.Image, rng: Random) -> Image.Image:
    """A quarter of the width cut away, as for 4:3."""
    left = rng.uniform(0, 0.25)
    return _cut(image, left, 0, 0.25 - left, 0)


@drawn(Stage.TRANSCODER)
def crop11(image: Image.Image, rng: Random) -> Image.Image:
    """The middle 56 % of the width, as for a square."""
    return _cut(image, 0.219, 0, 0.219, 0)


@drawn(Stage.TRANSCODER)
def crop169(image: Image.Image, rng: Random) -> Image.Image:
    """A quarter of the height cut away, as of 4:3 for a wide display."""
    top = rng.uniform(0, 0.25)
    return _cut(image, 0, top, 0, 0.25 - top)


@drawn(Stage.TRANSCODER)
def lying(image: Image.Image, rng: Random) -> Image.Image:
    """Cut from the middle of an upright or square picture to fill a wide display: 32 to 56 % of the height."""
    height = rng.choice([81 / 256, 27 / 64, 9 / 16])
    top = rng.uniform(0.45, 0.55) * (1 - height)
    return _cut(image, 0, top, 0, 1 - top - height)


@drawn(Stage.TRANSCODER)
def zoom_far(image: Image.Image, rng: Random) -> Image.Image:
    """About the middle 47 to 60 %: a digital zoom of twice."""
    side = rng.uniform(0.47, 0.6)
    left, top = (0.5 - side / 2 + rng.uniform(-0.05, 0.05) for _ in range(2))
    return _cut(image, left, top, 1 - left - side, 1 - top - side)


@drawn(Stage.TRANSCODER)
def upright(image: Image.Image, rng: Random) -> Image.Image:
    """Cut from the middle to fill an upright display of 9:16, 2:3 or 3:4."""
    width = min(1.0, image.height / image.width * rng.choice([9 / 16, 2 / 3, 3 / 4]))
    left = rng.uniform(0.45, 0.55) * (1 - width)
    return _cut(image, left, 0, 1 - left - width, 0)


@drawn(Stage.TRANSCODER)
def crop20(image: Image.Image, rng: Random) -> Image.Image:
    """8 to 20 % cut off each side."""
    return _cut(image, *(rng.uniform(0.08, 0.2) for _ in range(4)))


@drawn(Stage.TRANSCODER)
def zoom(image: Image.Image, rng: Random) -> Image.Image:
    """The middle 60 to 80 %."""
    trim = rng.uniform(0.1, 0.2)
    return _cut(image, trim, trim, trim, trim)


@drawn(Stage.TRANSCODER)
def stretched(image: Image.Image, rng: Random) -> Image.Image:
    """Another aspect ratio: a square, upright, or a strip."""
    return image.resize(rng.choice([(640, 640), (360, 640), (1280, 400)]))


def _placed(image: Image.Image, size: tuple[int, int], at: tuple[int, int], colour: tuple[int, ...]) -> Image.Image:
    out = Image.new("RGB", image.size, colour)
    out.paste(image.resize(size), at)
    return out


def _over_its_blur(image: Image.Image, inner: tuple[int, int]) -> Image.Image:
    """The picture at this size in the middle of a blurred one of the full size."""
    w, h = image.size
    out = image.convert("RGB").filter(ImageFilter.GaussianBlur(w / 40))
    out.paste(image.resize(inner), ((w - inner[0]) // 2, (h - inner[1]) // 2))
    return out


def _cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    w, h = image.size
    return image.crop((int(w * left), int(h * top), int(w * (1 - right)), int(h * (1 - bottom))))


@drawn(Stage.TRANSCODER, held=True)
def pixelated(image: Image.Image, rng: Random) -> Image.Image:
    """A privacy filter: squares of one colour, 40 to 64 of them across."""
    across = rng.randint(40, 64)
    small = image.convert("RGB").resize((across, max(1, across * image.height // image.width)), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.NEAREST)


@drawn(Stage.TRANSCODER)
def quarter_turn(image: Image.Image, rng: Random) -> Image.Image:
    """Turned by a quarter, as a telephone does it, left or right."""
    return image.convert("RGB").transpose(rng.choice([Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270]))


@drawn(Stage.TRANSCODER)
def corner_crop(image: Image.Image, rng: Random) -> Image.Image:
    """A corner is left: 25 to 35 % cut off two sides that meet."""
    cut = [rng.uniform(0.25, 0.35) for _ in range(2)]
    left, top = rng.random() < 0.5, rng.random() < 0.5
    return _cut(image, cut[0] * left, cut[1] * top, cut[0] * (not left), cut[1] * (not top))


@drawn(Stage.TRANSCODER, held=True)
def middle_sharp(image: Image.Image, rng: Random) -> Image.Image:
    """A portrait mode: all but a round middle blurred by 3 % of the width."""
    mask, (w, h) = Image.new("L", image.size), image.size
    reach = rng.uniform(0.25, 0.35)
    ImageDraw.Draw(mask).ellipse([w * (0.5 - reach), h * (0.5 - reach), w * (0.5 + reach), h * (0.5 + reach)], fill=255)
    soft = image.convert("RGB").filter(ImageFilter.GaussianBlur(w * 0.03))
    return Image.composite(image.convert("RGB"), soft, mask.filter(ImageFilter.GaussianBlur(w * 0.02)))


@drawn(Stage.TRANSCODER)
def turned(image: Image.Image, rng: Random) -> Image.Image:
    """Straightened wrongly: turned by 5 to 9 degrees, and cut so that no corner is empty."""
    degrees = rng.choice([-1, 1]) * rng.uniform(5, 9)
    slant = image.convert("RGB").rotate(degrees, Image.Resampling.BICUBIC)
    return _cut(slant, 0.11, 0.14, 0.11, 0.14)


@drawn(Stage.TRANSCODER, held=True)
def solarised(image: Image.Image, rng: Random) -> Image.Image:
    """A wrapped table of tones: what is brighter than 128 to 176 is turned over."""
    return ImageOps.solarize(image.convert("RGB"), rng.randint(128, 176))


@drawn(Stage.TRANSCODER)
def portrait(image: Image.Image, rng: Random) -> Image.Image:
    """Cut upright for a telephone: 32 to 40 % of the width."""
    width = rng.uniform(0.32, 0.4)
    left = rng.uniform(0.2, 0.8 - width)
    return _cut(image, left, 0, 1 - left - width, 0)


@drawn(Stage.TRANSCODER, held=True)
def cartoon(image: Image.Image, rng: Random) -> Image.Image:
    """An artist's filter: surfaces smoothed to five or six levels a colour, edges drawn in black."""
    smooth = image.convert("RGB").filter(ImageFilter.MedianFilter(7))
    edges = image.convert("L").filter(ImageFilter.FIND_EDGES).filter(ImageFilter.MaxFilter(3))
    step = 256 // rng.choice([5, 6])
    out = smooth.point([min(255, level // step * step + step // 2) for level in range(256)] * 3)
    out.paste((0, 0, 0), mask=edges.point([0 if level < 60 else 255 for level in range(256)]))
    return out


@drawn(Stage.TRANSCODER, held=True)
def twice_across(image: Image.Image, rng: Random) -> Image.Image:
    """Packed as for two eyes: the whole picture twice, side by side, each at half the width."""
    w, h = image.size
    half, out = image.convert("RGB").resize((w // 2, h)), Image.new("RGB", image.size)
    out.paste(half, (0, 0))
    out.paste(half, (w - w // 2, 0))
    return out
