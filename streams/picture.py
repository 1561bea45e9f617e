"""Draws an explained delivery: the still, what is compared of it, the scenes laid upon it, and where they come from.

Owns the drawing: panels, captions, green for blocks that agree and red for those that do not. Refuses to look anything
up: it is given an explanation with its stills. Colours never stand alone: agreeing blocks bear a full frame, the others
a cross.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from detector.explanation import Near
from models.agreement import AGREES
from models.thumbnail import INVALID, SIDE
from streams.explain import Explained

WIDTH: Final = 600
"""Pixels that a panel is wide."""
TALLEST: Final = 600
"""Pixels that a panel is high at most."""
MARGIN: Final = 20
"""Pixels around a panel."""
CAPTION: Final = 92
"""Pixels above a panel for its caption: four lines."""
TEXT: Final = 16
"""Height of the text, in pixels."""
TITLE: Final = 22
"""Height of the title, in pixels."""
LINE: Final = 1.35
"""Distance of lines, in heights of the text."""
BLOCKS: Final = 8
"""Blocks a side whose agreement is drawn."""

PAPER: Final = (250, 250, 248)
INK: Final = (28, 32, 36)
FAINT: Final = (100, 108, 116)
NOTHING: Final = (38, 44, 92)
"""Where a thumbnail holds no picture."""
GREEN: Final = (20, 160, 70)
RED: Final = (208, 44, 40)

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture with the lines that stand above it; without a picture the lines alone."""

    picture: Image.Image | None
    lines: tuple[str, ...]


def draw(explained: Explained) -> Image.Image:
    """The picture of one explained delivery, RGB.

    The left column holds the still as delivered and its thumbnail; the next one the scene that it matched, laid upon
    the still, and the still that this scene comes from; a third one the camera's own nearest scene, if that is another.
    """
    still = _opened(explained.data)
    size = _size(still)
    columns = [[_delivered(explained, still, size), _compared(explained, size)]]
    for title, near in _scenes(explained):
        columns.append([_laid(explained, title, near, size), _origin(explained, near, size)])
    return _sheet(_title(explained), _why(explained), columns, size)


def save_png(explained: Explained) -> bytes:
    """The picture as the bytes of a PNG."""
    out = io.BytesIO()
    draw(explained).save(out, "PNG", optimize=True)
    return out.getvalue()


def _scenes(explained: Explained) -> list[tuple[str, Near]]:
    """Which scenes get a column: the match, and the camera's own nearest beside it."""
    match, mine = explained.match, explained.found.mine
    out = []
    if match is not None:
        own = match.camera == explained.found.delivery.camera
        out.append(("the camera's own scene" if own else _whose(explained, match), match))
    if mine is not None and (match is None or mine.camera != match.camera):
        out.append(("the camera's own nearest scene", mine))
    return out


def _whose(explained: Explained, match: Near) -> str:
    if match is explained.found.card:
        return f"the placeholder {match.delivery.id}"
    accused = any(alert.scene == match.scene for alert in explained.standing)
    return "the scene that it was taken for" if accused or match.counts else "the nearest foreign scene"


# --- panels


def _delivered(explained: Explained, still: Image.Image | None, size: tuple[int, int]) -> Panel:
    d = explained.found.delivery
    told = f"{len(explained.data)} bytes" if explained.found.still.complete else f"{len(explained.data)} bytes, cut off"
    if still is None:
        return Panel(None, ("The still as delivered", f"{told}: {explained.found.still.reason}"))
    return Panel(
        still.resize(size, Image.Resampling.LANCZOS),
        ("The still as delivered", f"to {d.account}, as camera {d.camera}", f"{still.width} x {still.height}, {told}"),
    )


def _compared(explained: Explained, size: tuple[int, int]) -> Panel:
    found = explained.found
    print_ = found.still.fingerprint
    if print_ is None:
        return Panel(None, ("Nothing to compare", found.still.reason))
    facts = f"{100 * print_.valid:.0f} % valid, texture in {print_.textured} of 64 blocks"
    return Panel(
        _thumbnail(print_.levels, size),
        ("What is compared: 64 x 64 cells", facts, f"{found.reliable} of 512 bits reliable"),
    )


def _laid(explained: Explained, title: str, near: Near, size: tuple[int, int]) -> Panel:
    a = near.agreement
    card = near is explained.found.card
    whose = "nobody's camera" if card else f"camera {near.camera} of {near.owner or 'nobody known'}"
    figures = (
        f"{100 * near.distance:.1f} % of {near.common} bits differ, score {a.score:.2f}, "
        f"{a.blocks} of {a.textured} blocks agree"
    )
    print_ = explained.found.still.fingerprint
    assert print_ is not None
    picture = _blocks(_upon(near, size), near, size)
    return Panel(picture, (f"Laid upon it: {title}", whose, f"placing: {near.placing}", figures))


def _origin(explained: Explained, near: Near, size: tuple[int, int]) -> Panel:
    if near is explained.found.card:
        return Panel(_thumbnail(near.levels, size), ("What a person confirmed: 64 x 64 cells", near.delivery.id))
    data = explained.originals.get(near.delivery)
    picture = None if data is None else _opened(data)
    when = f"{near.delivery.id}, {near.first_seen:%Y-%m-%d %H:%M:%S} UTC"
    head = f"Where that scene was first seen: {near.camera}"
    if picture is None:
        return Panel(None, (head, f"{when}: the file has no such still"))
    fitted = picture.resize(_size(picture, size), Image.Resampling.LANCZOS)
    return Panel(fitted, (head, when, f"{near.standing.value}, seen {near.seen} times"))


# --- pictures


def _thumbnail(levels: NDArray[np.int8], size: tuple[int, int]) -> Image.Image:
    """Levels as grey, NOTHING where there is no picture; cells stay visible."""
    grey = np.clip(128 + levels.astype(np.int16) * 17, 0, 255).astype(np.uint8)
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    rgb[levels == INVALID] = NOTHING
    return Image.fromarray(rgb).resize(size, Image.Resampling.NEAREST)


def _upon(near: Near, size: tuple[int, int]) -> Image.Image:
    """The scene's thumbnail in the frame of the still, by the map that was found; NOTHING outside of it."""
    xx, xy, x0, yx, yy, y0 = near.agreement.placing
    det = xx * yy - xy * yx
    centre = (SIDE - 1) / 2
    width, height = size
    across = (np.arange(width) + 0.5) * SIDE / width - 0.5 - centre - x0
    down = (np.arange(height) + 0.5) * SIDE / height - 0.5 - centre - y0
    gx, gy = np.meshgrid(across, down)
    i = np.rint((yy * gx - xy * gy) / det + centre).astype(int)
    j = np.rint((xx * gy - yx * gx) / det + centre).astype(int)
    inside = (i >= 0) & (i < SIDE) & (j >= 0) & (j < SIDE)
    levels = near.levels[np.clip(j, 0, SIDE - 1), np.clip(i, 0, SIDE - 1)]
    shown = np.where(near.negative & (levels != INVALID), -levels, levels)
    grey = np.clip(128 + shown.astype(np.int16) * 17, 0, 255).astype(np.uint8)
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    rgb[~inside | (levels == INVALID)] = NOTHING
    return Image.fromarray(rgb)


def _blocks(picture: Image.Image, near: Near, size: tuple[int, int]) -> Image.Image:
    """The blocks on top: a green frame where they agree, a red cross where they do not, nothing where nothing can."""
    veil = Image.new("RGBA", size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(veil)
    for j in range(BLOCKS):
        for i in range(BLOCKS):
            correlation = float(near.blocks[j, i])
            if correlation < -1:
                continue
            corners = _corners(near, i, j, size)
            if correlation >= AGREES:
                pen.polygon(corners, fill=(*GREEN, 70))
                pen.line([*corners, corners[0]], fill=(*GREEN, 255), width=2)
            else:
                pen.polygon(corners, fill=(*RED, 80))
                pen.line([corners[0], corners[2]], fill=(*RED, 255), width=1)
                pen.line([corners[1], corners[3]], fill=(*RED, 255), width=1)
    return Image.alpha_composite(picture.convert("RGBA"), veil).convert("RGB")


def _corners(near: Near, i: int, j: int, size: tuple[int, int]) -> list[tuple[float, float]]:
    """The corners of the scene's block (i, j) in the frame of the still, a little drawn in, clockwise."""
    xx, xy, x0, yx, yy, y0 = near.agreement.placing
    side, centre, inset = SIDE / BLOCKS, (SIDE - 1) / 2, 0.35
    low, high = -0.5 + inset, side - 0.5 - inset
    out = []
    for dx, dy in ((low, low), (high, low), (high, high), (low, high)):
        u, v = i * side + dx - centre, j * side + dy - centre
        x, y = xx * u + xy * v + x0 + centre, yx * u + yy * v + y0 + centre
        out.append(((x + 0.5) * size[0] / SIDE, (y + 0.5) * size[1] / SIDE))
    return out


def _opened(data: bytes) -> Image.Image | None:
    """The still in colour, as far as it can be decoded."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, IndexError, TypeError, KeyError, EOFError, MemoryError):
        return None  # the decoder has said why (streams/decode.py); there is nothing to show


def _size(picture: Image.Image | None, within: tuple[int, int] = (WIDTH, TALLEST)) -> tuple[int, int]:
    """Width and height of a panel that keeps the picture's shape."""
    if picture is None:
        return WIDTH, WIDTH * 9 // 16
    scale = min(within[0] / picture.width, within[1] / picture.height)
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


# --- the sheet


def _title(explained: Explained) -> str:
    said, d = explained.judgement, explained.found.delivery
    verdict = f"{said.verdict.value} by rule {said.rule}"
    return f"Delivery {d.key.id} to {d.account} as camera {d.camera}, {d.time:%Y-%m-%d %H:%M:%S} UTC: {verdict}"


def _why(explained: Explained) -> list[str]:
    out = [
        f"{alert.kind.value.capitalize()} alert, {alert.level.value}, rule {alert.rule}, "
        f"raised by {alert.raised_by.id}: "
        f"{alert.why}"
        for alert in explained.standing
    ]
    if not _scenes(explained):
        return out
    legend = f"Green frame: the block agrees (correlation {AGREES} or more). Red cross: it does not."
    return [*out, f"{legend} No mark: nothing to compare. Dark blue: no picture there."]


def _sheet(title: str, why: list[str], columns: list[list[Panel]], size: tuple[int, int]) -> Image.Image:
    width = MARGIN + len(columns) * (size[0] + MARGIN)
    head, text = _font(TITLE), _font(TEXT)
    titles = _wrapped(title, head, width - 2 * MARGIN)
    footer = [line for sentence in why for line in _wrapped(sentence, text, width - 2 * MARGIN)]
    top = MARGIN + round(len(titles) * TITLE * LINE) + MARGIN // 2
    below = [top]
    for row in zip(*columns, strict=True):
        drawn = any(panel.picture is not None for panel in row)
        below.append(below[-1] + CAPTION + (size[1] if drawn else 0) + MARGIN)
    height = below[-1] + round(len(footer) * TEXT * LINE) + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (MARGIN, MARGIN), titles, head, INK)
    for i, column in enumerate(columns):
        for j, panel in enumerate(column):
            _panel(sheet, pen, panel, (MARGIN + i * (size[0] + MARGIN), below[j]), size)
    _write(pen, (MARGIN, height - round(len(footer) * TEXT * LINE) - MARGIN // 2), footer, text, INK)
    return sheet


def _panel(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, panel: Panel, at: tuple[int, int], size: tuple[int, int]
) -> None:
    text = _font(TEXT)
    lines = [_shortened(line, text, size[0]) for line in panel.lines]
    _write(pen, at, lines[:1], text, INK)
    _write(pen, (at[0], at[1] + round(TEXT * LINE)), lines[1:], text, FAINT)
    if panel.picture is not None:
        sheet.paste(panel.picture, (at[0], at[1] + CAPTION))


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _font(height: int) -> Font:
    return ImageFont.load_default(height)


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], lines: list[str], font: Font, colour: Colour) -> None:
    step = round(getattr(font, "size", TEXT) * LINE)
    for k, line in enumerate(lines):
        pen.text((at[0], at[1] + k * step), line, fill=colour, font=font)


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    """The text in lines of at most so many pixels; a single word that is longer is shortened."""
    out: list[str] = []
    for word in text.split():
        longer = f"{out[-1]} {word}" if out else word
        if out and font.getlength(longer) <= width:
            out[-1] = longer
        else:
            out.append(_shortened(word, font, width))
    return out


def _shortened(text: str, font: Font, width: int) -> str:
    """The text, cut at its end so that it fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
