"""What lens, sensor and mount do to a still. Owns those kinds only; kind.py says what a kind is."""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from streams.evaluation.damage.kind import Pixels, Stage, drawn, numbers, picture, pixels


@drawn(Stage.SENSOR)
def heavy_noise(image: Image.Image, rng: Random) -> Image.Image:
    """The gain turned up in the dark: noise of 18 to 32 grey levels, each colour its own."""
    a = pixels(image)
    return picture(a + numbers(rng).normal(0, rng.uniform(18, 32), a.shape).astype(np.float32))


@drawn(Stage.SENSOR)
def salt_pepper(image: Image.Image, rng: Random) -> Image.Image:
    """Hot and dead pixels: 3 % white, 3 % black."""
    a = pixels(image)
    chance = numbers(rng).random(a.shape[:2])
    a[chance < 0.03] = 0
    a[chance > 0.97] = 255
    return picture(a)


@drawn(Stage.SENSOR)
def dead_columns(image: Image.Image, rng: Random) -> Image.Image:
    """4 to 14 columns of the sensor stuck at black or white."""
    a = pixels(image)
    for _ in range(rng.randint(4, 14)):
        x = rng.randrange(a.shape[1])
        a[:, x : x + rng.randint(1, 4)] = rng.choice([0, 255])
    return picture(a)


@drawn(Stage.SENSOR)
def rolling_bands(image: Image.Image, rng: Random) -> Image.Image:
    """Mains light under a rolling shutter: 3 to 7 bands, a third brighter and darker."""
    a = pixels(image)
    turns, phase = np.float32(rng.uniform(3, 7)), np.float32(rng.random())
    y = np.linspace(0, 1, a.shape[0], dtype=np.float32)[:, None, None]
    return picture(a * (1 + np.float32(0.35) * np.sin(np.float32(2 * np.pi) * (y * turns + phase))))


@drawn(Stage.SENSOR)
def motion_blur(image: Image.Image, rng: Random) -> Image.Image:
    """The camera moved while it exposed: a streak of 1 to 3.5 % of the width."""
    a = pixels(image)
    length = max(3, int(a.shape[1] * rng.uniform(0.012, 0.035)))
    axis = rng.choice([0, 1])
    total: Pixels = np.zeros_like(a)
    for step in range(-length // 2, length - length // 2):
        total += np.roll(a, step, axis)
    return picture(total / np.float32(length))


@drawn(Stage.SENSOR)
def defocus(image: Image.Image, rng: Random) -> Image.Image:
    """Out of focus: a blur of 0.6 to 1.4 % of the width."""
    return image.filter(ImageFilter.GaussianBlur(image.width * rng.uniform(0.006, 0.014)))


@drawn(Stage.SENSOR)
def vignette(image: Image.Image, rng: Random) -> Image.Image:
    """A lens that leaves the corners at 10 to 30 % of the light."""
    y, x = _plane(image)
    fall = np.exp(-np.float32(rng.uniform(0.6, 1.2)) * (x * x + y * y))
    return picture(pixels(image) * fall[..., None])


@drawn(Stage.SENSOR)
def glare(image: Image.Image, rng: Random) -> Image.Image:
    """The sun or a lamp in the lens: a white spot that veils a third of the view."""
    y, x = _plane(image)
    i, j = rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8)
    veil = np.exp(-((x - j) ** 2 + (y - i) ** 2) / np.float32(2 * rng.uniform(0.22, 0.38) ** 2))
    return picture(pixels(image) + 260 * veil[..., None])


@drawn(Stage.SENSOR)
def raindrops(image: Image.Image, rng: Random) -> Image.Image:
    """Drops on the dome: 25 to 60 spots through which only a blur is seen."""
    mask = Image.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    for _ in range(rng.randint(25, 60)):
        x, y = rng.random() * image.width, rng.random() * image.height
        r = image.width * rng.uniform(0.01, 0.045)
        draw.ellipse([x - r, y - r, x + r, y + 1.2 * r], fill=255)
    still = image.convert("RGB")
    through = still.filter(ImageFilter.GaussianBlur(image.width * 0.02)).point(lambda v: min(255, v * 1.15))
    return Image.composite(through, still, mask.filter(ImageFilter.GaussianBlur(2)))


@drawn(Stage.SENSOR)
def fisheye(image: Image.Image, rng: Random) -> Image.Image:
    """Another lens correction: the picture bent by -10, 8 or 15 % at the sides."""
    y, x = _plane(image)
    bend = 1 + np.float32(rng.choice([-0.1, 0.08, 0.15])) * (x * x + y * y)
    a = pixels(image)
    h, w = a.shape[:2]
    row = np.clip((y / bend + 1) * h / 2, 0, h - 1).astype(np.intp)
    column = np.clip((x / bend + 1) * w / 2, 0, w - 1).astype(np.intp)
    return picture(a[row, column])


@drawn(Stage.SENSOR)
def rotate180(image: Image.Image, rng: Random) -> Image.Image:
    """A camera hung from the ceiling: upside down."""
    return image.transpose(Image.Transpose.ROTATE_180)


@drawn(Stage.SENSOR)
def mirror(image: Image.Image, rng: Random) -> Image.Image:
    """The sensor read from right to left."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


@drawn(Stage.SENSOR)
def tilted(image: Image.Image, rng: Random) -> Image.Image:
    """Turned by 1.5 to 4 degrees, black corners."""
    degrees = rng.choice([-1, 1]) * rng.uniform(1.5, 4)
    return image.convert("RGB").rotate(degrees, Image.Resampling.BILINEAR)


@drawn(Stage.SENSOR)
def channels_swapped(image: Image.Image, rng: Random) -> Image.Image:
    """Red read as blue, or as green: the colours, and with them the greys, are off."""
    r, g, b = image.convert("RGB").split()
    return Image.merge("RGB", rng.choice([(b, g, r), (g, r, b)]))


def _plane(image: Image.Image) -> tuple[Pixels, Pixels]:
    """Row and column of each pixel, from -1 at one edge to 1 at the other."""
    y = np.linspace(-1, 1, image.height, dtype=np.float32)
    x = np.linspace(-1, 1, image.width, dtype=np.float32)
    rows, columns = np.meshgrid(y, x, indexing="ij")
    return rows, columns


@drawn(Stage.SENSOR, held=True)
def hdr_ghost(image: Image.Image, rng: Random) -> Image.Image:
    """Two exposures merged, the camera moved in between: all is double, 1 to 3 % apart."""
    a = pixels(image)
    moved = np.roll(a, int(a.shape[1] * rng.uniform(0.01, 0.03)) * rng.choice([-1, 1]), 1)
    return picture(0.55 * a + 0.45 * np.minimum(moved * np.float32(1.3), 255))


@drawn(Stage.SENSOR, held=True)
def fogged(image: Image.Image, rng: Random) -> Image.Image:
    """The glass fogged from one edge: up to four fifths of the contrast gone there, and soft."""
    soft = pixels(image.filter(ImageFilter.GaussianBlur(image.width * 0.012)))
    fog = np.linspace(0, rng.uniform(0.6, 0.8), soft.shape[0], dtype=np.float32)[:, None, None]
    fog = fog if rng.random() < 0.5 else fog[::-1]
    return picture(pixels(image) * (1 - fog) + (0.4 * soft + 0.6 * 190) * fog)


@drawn(Stage.SENSOR, held=True)
def light_streak(image: Image.Image, rng: Random) -> Image.Image:
    """A lamp overflows its columns: two to four streaks of white from top to bottom."""
    a = pixels(image)
    x = np.arange(a.shape[1], dtype=np.float32) / a.shape[1]
    for _ in range(rng.randint(2, 4)):
        streak = np.exp(-(((x - rng.random()) / np.float32(rng.uniform(0.01, 0.03))) ** 2))
        a += np.float32(rng.uniform(120, 230)) * streak[None, :, None].astype(np.float32)
    return picture(a)


@drawn(Stage.SENSOR, held=True)
def row_noise(image: Image.Image, rng: Random) -> Image.Image:
    """A bad supply: each row of the sensor brighter or darker by some 12 to 25 grey levels."""
    a = pixels(image)
    return picture(a + numbers(rng).normal(0, rng.uniform(12, 25), (a.shape[0], 1, 1)).astype(np.float32))


@drawn(Stage.SENSOR, held=True)
def overexposed(image: Image.Image, rng: Random) -> Image.Image:
    """The iris stuck open: twice to three times the light, all beyond is white."""
    return picture(pixels(image) * np.float32(rng.uniform(2, 3)))


@drawn(Stage.SENSOR, held=True)
def underexposed(image: Image.Image, rng: Random) -> Image.Image:
    """A quarter to a third of the light, in the noise of a dark sensor."""
    a = pixels(image) * np.float32(rng.uniform(0.25, 0.35))
    return picture(a + numbers(rng).normal(0, 6, a.shape).astype(np.float32))


@drawn(Stage.SENSOR, held=True)
def insect(image: Image.Image, rng: Random) -> Image.Image:
    """A spider on the glass under infrared: a bright blur with legs over a fifth of the view."""
    layer = Image.new("L", image.size)
    draw, w, h = ImageDraw.Draw(layer), image.width, image.height
    x, y, r = rng.uniform(0.2, 0.8) * w, rng.uniform(0.2, 0.8) * h, 0.14 * h
    draw.ellipse([x - r, y - 1.4 * r, x + r, y + 1.4 * r], fill=255)
    for _ in range(8):
        end = (x + rng.uniform(-0.4, 0.4) * w, y + rng.uniform(-0.5, 0.5) * h)
        draw.line([x, y, *end], fill=220, width=max(2, h // 30))
    layer = layer.filter(ImageFilter.GaussianBlur(w * 0.008))
    return Image.composite(Image.new("RGB", image.size, (250, 250, 250)), image.convert("RGB"), layer)


@drawn(Stage.SENSOR, held=True)
def cracked(image: Image.Image, rng: Random) -> Image.Image:
    """A broken dome: three to five cracks, and what lies beyond each is moved by up to 3 % of the width."""
    y, x = _plane(image)
    out, (h, w) = pixels(image), x.shape
    for _ in range(rng.randint(3, 5)):
        nx, ny, at = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-0.3, 0.6)
        side = nx * x + ny * y - at
        moved = np.roll(out, (int(rng.uniform(-0.02, 0.02) * h), int(rng.uniform(-0.03, 0.03) * w)), (0, 1))
        out = np.where((side > 0)[:, :, None], moved, out)
        out[np.abs(side) < 0.006] = 235
    return picture(out)


@drawn(Stage.SENSOR, held=True)
def seam(image: Image.Image, rng: Random) -> Image.Image:
    """Two lenses, badly joined: 5 to 12 % of the width are shown twice, and the right half hangs 2 to 5 % lower."""
    a = pixels(image)
    h, w = a.shape[:2]
    twice, lower = int(w * rng.uniform(0.05, 0.12)), int(h * rng.uniform(0.02, 0.05))
    right = np.roll(a, lower, axis=0)[:, w // 2 - twice :]
    return picture(np.concatenate([a[:, : w // 2], right], axis=1))


@drawn(Stage.SENSOR, held=True)
def snowfall(image: Image.Image, rng: Random) -> Image.Image:
    """Snow before an infrared lamp: 80 to 160 bright, soft streaks, 3 to 10 % of the height long."""
    w, h = image.size
    flakes = Image.new("L", image.size)
    draw, lean = ImageDraw.Draw(flakes), rng.uniform(-0.5, 0.5)
    for _ in range(rng.randint(80, 160)):
        x, y, long = rng.uniform(0, w), rng.uniform(0, h), h * rng.uniform(0.03, 0.1)
        draw.line((x, y, x + lean * long, y + long), fill=rng.randint(120, 255), width=max(1, w // 160))
    out = image.convert("RGB")
    out.paste((255, 255, 255), mask=flakes.filter(ImageFilter.GaussianBlur(w / 500)))
    return out


@drawn(Stage.SENSOR, held=True)
def wobble(image: Image.Image, rng: Random) -> Image.Image:
    """Shaken under a rolling shutter: the rows swing by 1 to 2.5 % of the width, one to three times."""
    a, turns, start = pixels(image), rng.uniform(1, 3), rng.uniform(0, 6.3)
    reach = rng.uniform(0.01, 0.025) * a.shape[1]
    swing = reach * np.sin(start + 2 * np.pi * turns * np.arange(a.shape[0]) / a.shape[0])
    return picture(np.stack([np.roll(row, int(by), 0) for row, by in zip(a, swing, strict=True)]))
