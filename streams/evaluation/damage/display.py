"""What a display draws over and around a still, and what a camera sees of a display. Owns those kinds only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from streams.evaluation.damage.kind import Stage, drawn, numbers, picture, pixels


@drawn(Stage.DISPLAY)
def banners(image: Image.Image, rng: Random) -> Image.Image:
    """A banner with text above and below, 14 % of the height each."""
    out, draw, w, h = _canvas(image)
    for top in (0, int(h * 0.86)):
        draw.rectangle([0, top, w, top + int(h * 0.14)], fill=(20, 24, 40))
        for k in range(12):
            draw.text((w // 60 + k * w // 12, top + h // 20), f"{rng.randrange(10**6)}", fill=(250, 250, 250))
    return out


@drawn(Stage.DISPLAY)
def datestamp(image: Image.Image, rng: Random) -> Image.Image:
    """Date and time in letters a tenth of the height, white with a black rim."""
    out, draw, w, h = _canvas(image)
    day = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(31_536_000))
    at, font = (w * 0.02, h * rng.choice([0.02, 0.87])), ImageFont.load_default(h * 0.1)
    draw.text(at, f"{day:%Y-%m-%d %H:%M:%S}", (255, 255, 255), font, stroke_width=max(1, h // 200), stroke_fill=0)
    return out


@drawn(Stage.DISPLAY)
def big_logo(image: Image.Image, rng: Random) -> Image.Image:
    """A maker's sign over nearly a quarter of the picture."""
    out, draw, w, h = _canvas(image)
    x, y = int(w * rng.uniform(0, 0.55)), int(h * rng.uniform(0, 0.5))
    draw.rounded_rectangle([x, y, x + int(w * 0.45), y + int(h * 0.5)], h // 18, fill=(240, 240, 245))
    draw.ellipse([x + w // 12, y + h // 12, x + w // 4, y + h // 3], fill=(220, 60, 30))
    draw.text((x + w // 4, y + h // 5), "MyCamera", fill=(10, 10, 10))
    return out


@drawn(Stage.DISPLAY)
def inset(image: Image.Image, rng: Random) -> Image.Image:
    """Picture in picture: another one in a corner, over a sixth of the frame."""
    out, _, w, h = _canvas(image)
    small = Image.fromarray(_scene(rng)).resize((int(w * 0.42), int(h * 0.42)), Image.Resampling.BICUBIC)
    out.paste(small, (rng.choice([0, w - small.width]), rng.choice([0, h - small.height])))
    return out


@drawn(Stage.DISPLAY)
def privacy_mask(image: Image.Image, rng: Random) -> Image.Image:
    """One to three black rectangles, 2 to 14 % of the picture each."""
    out, draw, w, h = _canvas(image)
    for _ in range(rng.randint(1, 3)):
        x, y = rng.uniform(0, 0.7) * w, rng.uniform(0, 0.7) * h
        draw.rectangle([x, y, x + rng.uniform(0.15, 0.35) * w, y + rng.uniform(0.15, 0.4) * h], fill=(0, 0, 0))
    return out


@drawn(Stage.DISPLAY)
def watermark(image: Image.Image, rng: Random) -> Image.Image:
    """Lines and letters all over, half transparent."""
    layer = Image.new("L", image.size)
    draw = ImageDraw.Draw(layer)
    step = max(20, image.height // 10)
    for y in range(0, image.height, step):
        for x in range(-(y % (3 * step)), image.width, 3 * step):
            draw.text((x, y), "SAMPLE COPY", fill=255)
            draw.line([x, y, x + 1.7 * step, y + 0.7 * step], fill=255, width=max(2, step // 18))
    white = Image.new("RGB", image.size, (255, 255, 255))
    return Image.composite(white, image.convert("RGB"), layer.point(lambda v: v // 2))


@drawn(Stage.DISPLAY)
def faded(image: Image.Image, rng: Random) -> Image.Image:
    """Dimmed behind a dialogue: 55 to 70 % of it is a flat grey, a window in the middle all of it."""
    grey = Image.new("RGB", image.size, (rng.choice([20, 235]),) * 3)
    out, draw, w, h = _canvas(Image.blend(image.convert("RGB"), grey, rng.uniform(0.55, 0.7)))
    draw.rounded_rectangle([w * 0.35, h * 0.38, w * 0.65, h * 0.62], h // 30, fill=(250, 250, 250))
    draw.text((w * 0.4, h * 0.47), "Reconnecting ...", fill=(40, 40, 40))
    return out


@drawn(Stage.DISPLAY)
def rounded(image: Image.Image, rng: Random) -> Image.Image:
    """A round or rounded window on white or black: the corners are gone."""
    mask = Image.new("L", image.size)
    draw, w, h = ImageDraw.Draw(mask), image.width, image.height
    if rng.random() < 0.5:
        draw.rounded_rectangle([0, 0, w - 1, h - 1], h // rng.choice([3, 4, 6]), fill=255)
    else:
        draw.ellipse([0, 0, w - 1, h - 1], fill=255)
    return Image.composite(image.convert("RGB"), Image.new("RGB", image.size, (rng.choice([0, 255]),) * 3), mask)


@drawn(Stage.DISPLAY)
def buttons(image: Image.Image, rng: Random) -> Image.Image:
    """A bar of buttons over the lowest 22 %, a play sign in the middle."""
    out, draw, w, h = _canvas(image)
    draw.rectangle([0, int(h * 0.78), w, h], fill=(30, 30, 34))
    for k in range(5):
        x = int(w * (0.1 + 0.18 * k))
        draw.ellipse([x, int(h * 0.82), x + h // 8, int(h * 0.82) + h // 8], fill=(240, 240, 240))
    draw.polygon([(w * 0.45, h * 0.35), (w * 0.45, h * 0.6), (w * 0.58, h * 0.475)], fill=(255, 255, 255))
    return out


@drawn(Stage.DISPLAY)
def screenshot(image: Image.Image, rng: Random) -> Image.Image:
    """The page around it: the picture is a window of 75 % in it, right of a menu."""
    w, h = image.size
    out = Image.new("RGB", image.size, (236, 238, 242))
    draw = ImageDraw.Draw(out)
    draw.rectangle([0, 0, w, h // 10], fill=(40, 80, 160))
    for k in range(8):
        draw.rectangle([w * 0.03, h * (0.15 + 0.1 * k), w * 0.17, h * (0.2 + 0.1 * k)], fill=(180, 184, 190))
    out.paste(image.resize((int(w * 0.75), int(h * 0.75))), (int(w * 0.22), int(h * 0.15)))
    return out


@drawn(Stage.DISPLAY)
def quad(image: Image.Image, rng: Random) -> Image.Image:
    """Four cameras on one page: this one is a quarter of the picture."""
    w, h = image.size
    out = Image.new("RGB", image.size)
    mine = rng.randrange(4)
    for k in range(4):
        part = image if k == mine else Image.fromarray(_scene(rng))
        out.paste(
            part.resize((w - w // 2, h - h // 2), Image.Resampling.BICUBIC), (k % 2 * (w // 2), k // 2 * (h // 2))
        )
    return out


@drawn(Stage.DISPLAY)
def moire(image: Image.Image, rng: Random) -> Image.Image:
    """Two fine gratings over the picture, as when a screen is filmed."""
    a = pixels(image)
    y = np.arange(a.shape[0], dtype=np.float32)[:, None]
    x = np.arange(a.shape[1], dtype=np.float32)[None, :]
    f = np.float32(rng.uniform(0.05, 0.4))
    waves = 30 * np.sin(f * x + 0.3 * f * y) + 20 * np.sin(f * 1.07 * x - 0.2 * f * y)
    return picture(a + waves[..., None])


@drawn(Stage.DISPLAY)
def perspective(image: Image.Image, rng: Random) -> Image.Image:
    """Seen from the side: each corner moved inwards by up to 7 %."""
    return _slanted(image, rng, 0.07)


@drawn(Stage.DISPLAY)
def photographed(image: Image.Image, rng: Random) -> Image.Image:
    """A photograph of the screen: slanted, soft, with a reflection and noise."""
    w, h = image.size
    seen = _slanted(image, rng, 0.05).filter(ImageFilter.GaussianBlur(w * 0.002))
    a = pixels(seen)
    at = rng.uniform(0, 1)
    along = np.linspace(0, 1, w, dtype=np.float32)[None, :] + np.linspace(0, 0.4, h, dtype=np.float32)[:, None]
    lit = a * 0.8 + 20 + 70 * np.exp(-((along - np.float32(at)) ** 2) / np.float32(0.02))[..., None]
    return picture(lit + numbers(rng).normal(0, 6, a.shape).astype(np.float32))


@drawn(Stage.DISPLAY)
def split_screen(image: Image.Image, rng: Random) -> Image.Image:
    """Two cameras side by side: the middle half of this one, and another one beside it."""
    out, _, w, h = _canvas(image)
    mine = image.convert("RGB").crop((w // 4, 0, w // 4 + w // 2, h))
    cells = numbers(rng).integers(20, 235, (9, 8, 3), dtype=np.uint8)
    other = Image.fromarray(cells).resize((w - w // 2, h), Image.Resampling.BICUBIC)
    left = rng.random() < 0.5
    out.paste(mine, (0 if left else w - w // 2, 0))
    out.paste(other, (w // 2 if left else 0, 0))
    return out


@drawn(Stage.DISPLAY)
def stacked(image: Image.Image, rng: Random) -> Image.Image:
    """Two cameras one above the other: all of this one, or its middle half, and another one."""
    out, _, w, h = _canvas(image)
    mine = out.crop((0, h // 4, w, h // 4 + h // 2)) if rng.random() < 0.5 else out.copy()
    parts = [mine, Image.fromarray(_scene(rng))]
    ours = rng.randrange(2)
    for k in range(2):
        out.paste(parts[k != ours].resize((w, h - h // 2), Image.Resampling.BICUBIC), (0, k * (h // 2)))
    return out


@drawn(Stage.DISPLAY)
def one_and_five(image: Image.Image, rng: Random) -> Image.Image:
    """A guard's page of six: this one over two thirds of it, five others at a third each."""
    out, _, w, h = _canvas(image)
    side, x, y = (w // 3, h // 3), rng.randrange(2), rng.randrange(2)
    for k in range(9):
        small = Image.fromarray(_scene(rng)).resize(side, Image.Resampling.BICUBIC)
        out.paste(small, (k % 3 * side[0], k // 3 * side[1]))
    out.paste(image.convert("RGB").resize((2 * side[0], 2 * side[1])), (x * side[0], y * side[1]))
    return out


@drawn(Stage.DISPLAY, held=True)
def notifications(image: Image.Image, rng: Random) -> Image.Image:
    """Three to five cards of text down one side, over 40 % of the width."""
    out, draw, w, h = _canvas(image)
    x, many = rng.choice([0.02, 0.58]) * w, rng.randint(3, 5)
    for k in range(many):
        y = h * (0.04 + 0.19 * k)
        draw.rounded_rectangle([x, y, x + w * 0.4, y + h * 0.16], h // 40, fill=(245, 245, 248))
        for line in range(3):
            draw.text((x + w * 0.02, y + h * (0.02 + 0.045 * line)), f"{rng.randrange(10**12)}", fill=(40, 40, 48))
    return out


@drawn(Stage.DISPLAY, held=True)
def one_bit(image: Image.Image, rng: Random) -> Image.Image:
    """An electronic-paper display: black or white, dithered at 240 to 480 pixels across."""
    across = rng.randint(240, 480)
    grey = image.convert("L").resize((across, max(1, across * image.height // image.width)))
    return grey.convert("1").convert("RGB").resize(image.size, Image.Resampling.NEAREST)


@drawn(Stage.DISPLAY)
def ghost(image: Image.Image, rng: Random) -> Image.Image:
    """What was shown before has not gone: another picture over it, at 25 to 40 %."""
    cells = numbers(rng).integers(0, 255, (rng.randint(6, 12), rng.randint(8, 20), 3), dtype=np.uint8)
    before = Image.fromarray(cells).resize(image.size, rng.choice([Image.Resampling.NEAREST, Image.Resampling.BICUBIC]))
    return Image.blend(image.convert("RGB"), before, rng.uniform(0.25, 0.4))


@drawn(Stage.DISPLAY, held=True)
def detections(image: Image.Image, rng: Random) -> Image.Image:
    """What an analysis found: six to twelve boxes with their names in them."""
    out, draw, w, h = _canvas(image)
    for _ in range(rng.randint(6, 12)):
        x, y, colour = rng.uniform(0, 0.8) * w, rng.uniform(0, 0.75) * h, rng.choice(["lime", "red", "yellow"])
        box = [x, y, x + rng.uniform(0.08, 0.3) * w, y + rng.uniform(0.1, 0.4) * h]
        draw.rectangle(box, outline=colour, width=max(2, h // 120))
        draw.rectangle([x, y, x + w * 0.08, y + h * 0.045], fill=colour)
        draw.text((x + 2, y + 1), f"person {rng.random():.2f}", fill="black")
    return out


@drawn(Stage.DISPLAY, held=True)
def nine(image: Image.Image, rng: Random) -> Image.Image:
    """Nine cameras on one page: this one is a ninth of the picture."""
    out, _, w, h = _canvas(image)
    mine = rng.randrange(9)
    for k in range(9):
        part = image.convert("RGB") if k == mine else Image.fromarray(_scene(rng))
        x0, x1, y0, y1 = k % 3 * w // 3, (k % 3 + 1) * w // 3, k // 3 * h // 3, (k // 3 + 1) * h // 3
        out.paste(part.resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC), (x0, y0))
    return out


@drawn(Stage.DISPLAY, held=True)
def app_page(image: Image.Image, rng: Random) -> Image.Image:
    """An app's upright page: the picture across its width, a title above and a list of events below."""
    w, h = image.size
    out = Image.new("RGB", (w, w * 16 // 9), rng.choice([(18, 18, 22), (250, 250, 250)]))
    draw, top = ImageDraw.Draw(out), int(out.height * rng.uniform(0.06, 0.15))
    draw.text((w // 20, top // 3), "Front door", fill=(128, 128, 128), font=ImageFont.load_default(max(10, top // 3)))
    out.paste(image.convert("RGB"), (0, top))
    for y in range(top + h + h // 12, out.height - h // 8, h // 6):
        draw.ellipse([w // 20, y, w // 20 + h // 10, y + h // 10], fill=(90, 130, 200))
        draw.rectangle([w // 5, y + h // 40, w // 5 + w * rng.uniform(0.3, 0.6), y + h // 16], fill=(128, 128, 128))
    return out


@drawn(Stage.DISPLAY, held=True)
def wiped(image: Image.Image, rng: Random) -> Image.Image:
    """Caught while one picture wipes over the other: a slanted edge, another one beyond it, 35 to 55 % of the still."""
    a, b = pixels(image), pixels(Image.fromarray(_scene(rng)).resize(image.size, Image.Resampling.BICUBIC))
    along = np.linspace(0, 1, a.shape[1], dtype=np.float32)[None, :]
    down = np.linspace(-0.15, 0.15, a.shape[0], dtype=np.float32)[:, None] * np.float32(rng.choice([-1, 1]))
    beyond = along + down > 1 - rng.uniform(0.35, 0.55)
    return picture(np.where((beyond if rng.random() < 0.5 else beyond[:, ::-1])[:, :, None], b, a))


@drawn(Stage.DISPLAY, held=True)
def filmstrip(image: Image.Image, rng: Random) -> Image.Image:
    """An app's earlier moments: a row of four to six small copies of the picture over the lowest fifth to quarter."""
    out, draw, w, h = _canvas(image)
    many, tall = rng.randint(4, 6), int(h * rng.uniform(0.2, 0.25))
    draw.rectangle((0, h - tall, w, h), fill=(16, 16, 16))
    gap = w / many
    small = image.convert("RGB").resize((int(gap * 0.92), int(tall * 0.85)))
    for k in range(many):
        out.paste(small, (int(k * gap + gap * 0.04), h - int(tall * 0.93)))
    return out


@drawn(Stage.DISPLAY, held=True)
def magnified(image: Image.Image, rng: Random) -> Image.Image:
    """A magnifying glass over it: a round of 40 to 60 % of the height shows what lies under it at twice the size."""
    out, _, w, h = _canvas(image)
    across = int(h * rng.uniform(0.4, 0.6))
    x, y = (int(rng.uniform(0.1, 0.9) * side) - across // 2 for side in (w, h))
    quarter = across // 4
    glass = image.convert("RGB").crop((x + quarter, y + quarter, x + 3 * quarter, y + 3 * quarter))
    mask = Image.new("L", (across, across))
    ImageDraw.Draw(mask).ellipse([0, 0, across - 1, across - 1], fill=255)
    out.paste(glass.resize((across, across), Image.Resampling.BICUBIC), (x, y), mask)
    return out


def _canvas(image: Image.Image) -> tuple[Image.Image, ImageDraw.ImageDraw, int, int]:
    out = image.convert("RGB").copy()
    return out, ImageDraw.Draw(out), out.width, out.height


def _scene(rng: Random) -> np.typing.NDArray[np.uint8]:
    """Some other picture, in 20 by 12 patches."""
    return numbers(rng).integers(20, 235, (12, 20, 3), dtype=np.uint8)


def _slanted(image: Image.Image, rng: Random, most: float) -> Image.Image:
    w, h = image.size
    d = [rng.uniform(0, most) for _ in range(8)]
    quad = (w * d[0], h * d[1], w * d[2], h * (1 - d[3]), w * (1 - d[4]), h * (1 - d[5]), w * (1 - d[6]), h * d[7])
    return image.convert("RGB").transform(image.size, Image.Transform.QUAD, quad, Image.Resampling.BILINEAR)
