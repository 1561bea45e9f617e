"""The hypotheses under which a still is looked up: how a stored frame may lie in a delivered one.

Owns the list of placings, common ones first. Refuses to compare. A placing (ax, bx, ay, by) says where the stored
frame's cell (x, y), measured from the centre, lies in the delivered thumbnail: (ax x + bx, ay y + by). A crop has
factors above 1, a picture shown smaller has factors below 1, a mirrored one has a negative factor.
"""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.thumbnail import SIDE

Placing = tuple[float, float, float, float]
AS_IS: Final[Placing] = (1.0, 0.0, 1.0, 0.0)


def window(left: float, right: float, top: float, bottom: float) -> Placing:
    """The placing of a delivered frame that shows this window of the stored one (shares of the frame, 0 to 1)."""
    width, height = right - left, bottom - top
    return (
        1 / width,
        (0.5 - (left + right) / 2) / width * SIDE,
        1 / height,
        (0.5 - (top + bottom) / 2) / height * SIDE,
    )


def shown_in(left: float, right: float, top: float, bottom: float) -> Placing:
    """The placing of a delivered frame in which the stored one is shown smaller, inside this box (shares, 0 to 1)."""
    return (right - left, ((left + right) / 2 - 0.5) * SIDE, bottom - top, ((top + bottom) / 2 - 0.5) * SIDE)


def _usual() -> list[Placing]:
    """As it is, and trimmed by 4 to 9 % a side."""
    out = [AS_IS]
    for dx, dy in product((-0.022, 0.022), repeat=2):
        out.append(window(0.065 + dx, 0.935 + dx, 0.065 + dy, 0.935 + dy))
    return out


_CUTS: Final = (
    (0.75, (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)),
    (0.5625, (0.0, 0.07, 0.145, 0.219, 0.29, 0.365, 0.4375)),
    (0.39, (0.265, 0.305, 0.345)),
    (0.33, (0.295, 0.335, 0.375)),
)
"""Shares of one side that a display of another shape leaves, and where they begin: 4:3 for 16:9 and the reverse, a
square, and, from about the middle, upright for lying and the reverse."""


def _crops() -> list[Placing]:
    """Trimmed by up to 20 % a side, cut to another shape, and to a corner of 65 to 75 % of each side."""
    out = []
    for width, height in product((0.82, 0.73, 0.65), repeat=2):
        for dx, dy in product((-0.045, 0.0, 0.045), repeat=2):
            out.append(window(0.5 + dx - width / 2, 0.5 + dx + width / 2, 0.5 + dy - height / 2, 0.5 + dy + height / 2))
    for share, starts in _CUTS:
        for t in starts:
            out += [window(t, t + share, 0, 1), window(0, 1, t, t + share)]
    ends = [(0, w) for w in (0.675, 0.73)] + [(1 - w, 1) for w in (0.675, 0.73)]
    out += [window(*across, *down) for across, down in product(ends, repeat=2)]
    return out


def _turned() -> list[Placing]:
    return [(-1.0, 0.0, -1.0, 0.0), (-1.0, 0.0, 1.0, 0.0), (1.0, 0.0, -1.0, 0.0)]


def _rolled() -> list[Placing]:
    """Shifted sideways or downwards, as by a lost start or a wrapped buffer."""
    out: list[Placing] = []
    for step in range(1, 12):
        shift = 3.0 * step
        out += [(1.0, shift, 1.0, 0.0), (1.0, -shift, 1.0, 0.0), (1.0, 0.0, 1.0, shift), (1.0, 0.0, 1.0, -shift)]
    return out


def _smaller() -> list[Placing]:
    """Shown smaller, where no flat border tells the box: squeezed either way, or one of several pictures on a page."""
    out = []
    for w in (0.6, 0.66, 0.72, 0.78, 0.84):
        out += [shown_in(0.5 - w / 2, 0.5 + w / 2, 0, 1), shown_in(0, 1, 0.5 - w / 2, 0.5 + w / 2)]
    out += [shown_in(0.5 - w / 2, 0.5 + w / 2, 0.5 - w / 2, 0.5 + w / 2) for w in (0.7, 0.78, 0.86, 0.93)]
    for side in (1 / 2, 2 / 3):
        out += [shown_in(x, x + side, y, y + side) for x, y in product((0.0, 1 - side), repeat=2)]
    for x in (0.0, 0.5):
        out += [shown_in(x, x + 0.5, 0, 1), shown_in(0, 1, x, x + 0.5)]
    return out


BORDER: Final = 0.7
"""Cells of a flat border on both sides from which on a picture is taken to be shown smaller inside it."""
USUAL: Final = np.array(_usual(), np.float32)
"""What is looked up first."""
RARE: Final = np.array(_crops() + _turned() + _rolled() + _smaller(), np.float32)
"""What is looked up when the usual placings find nothing."""


def boxed(box: tuple[float, float, float, float]) -> NDArray[np.float32]:
    """The placings of a picture inside flat borders (left, top, right, bottom in cells); no row without borders."""
    left, top, right, bottom = box
    if right - left > SIDE - 1.5 and bottom - top > SIDE - 1.5:
        return np.zeros((0, 4), np.float32)
    whole = shown_in(left / SIDE, right / SIDE, top / SIDE, bottom / SIDE)
    beside, above = left > BORDER and SIDE - right > BORDER, top > BORDER and SIDE - bottom > BORDER
    rows = [whole] if beside or above else []
    if beside and not above:
        rows.append((whole[0], whole[1], 1.0, 0.0))
    if above and not beside:
        rows.append((1.0, 0.0, whole[2], whole[3]))
    return np.array(rows, np.float32).reshape(-1, 4)


QUARTER_TURNS: Final = np.array([(-1.0, 0.0, 1.0, 0.0), (1.0, 0.0, -1.0, 0.0)], np.float32)
"""The placings of a picture turned by a quarter, right and left, in the delivered thumbnail with rows and columns
exchanged."""


def _rolled_twice() -> list[Placing]:
    """Shifted sideways and downwards at once, by up to 24 cells each."""
    shifts = [3.0 * step for step in range(-8, 9) if step]
    return [(1.0, across, 1.0, down) for across, down in product(shifts, repeat=2)]


ROLLED_TWICE: Final = np.array(_rolled_twice(), np.float32)
"""The placings of a picture that was read from the wrong row and the wrong column."""


TRIMMED: Final = np.array([AS_IS, window(0.12, 0.88, 0.14, 0.86)], np.float32)
"""The placings of a picture that was turned a little: with its corners, and cut so that none is empty."""


def inside(box: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """The placings of a picture that fills a window (left, right, top, bottom in cells), or the middle of which does.

    A half shows the middle half as a rule, at the size of the whole.
    """
    left, right, top, bottom = (side / SIDE for side in box)
    whole = shown_in(left, right, top, bottom)
    rows = [whole]
    if bottom - top == 1:
        rows.append((1.0, whole[1], 1.0, 0.0))
    if right - left == 1:
        rows.append((1.0, 0.0, 1.0, whole[3]))
    return np.array(rows, np.float32)


def inverse(placings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The placings that undo these."""
    ax, bx, ay, by = placings.T
    return np.stack([1 / ax, -bx / ax, 1 / ay, -by / ay], axis=1).astype(np.float32)
