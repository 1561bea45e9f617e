"""A still read otherwise than as it came: turned, put upright, untwined, or one window of it by itself.

Owns what such a reading compares and how what is found in it lies in the still. Refuses to search and to decide.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from math import cos, radians, sin
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.agreement import Agreement
from models.code import AS_IS, Hypotheses, fine_of, hypotheses
from models.fingerprint import Fingerprint
from models.looked import Looked
from models.placing import QUARTER_TURNS, ROLLED_TWICE, TRIMMED, inside
from models.thumbnail import INVALID, SIDE
from models.window import Box, Slant, rolled, slanted, untwined, upright, windows

Map = tuple[float, float, float, float, float, float]
"""An affine map (xx, xy, x0, yx, yy, y0) of cells, measured from the centre."""
SAME: Final[Map] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TRANSPOSED: Final[Map] = (0.0, 1.0, 0.0, 1.0, 0.0, 0.0)
FILL_SLACK: Final = 2.5
"""Cells by which a frame's sides may be off those of the window that it fills: a window is known to a cell each way."""


STRAIGHTENED: Final = 7.0
"""Degrees by which a still is turned back, either way: the second look bears four, straightening errs up to ten."""
ASPECT: Final = 16 / 9
"""Width of a still over its height, as it is for most; the second look bears that it is 4 / 3."""


class Reading:
    """Levels, and the placings under which they are looked up.

    `back` maps the reading's cells to the still's. `box` is the window (left, right, top, bottom in cells) that is read
    by itself, `beside` the levels of all else; without one, all of the still is read.
    """

    def __init__(
        self,
        levels: NDArray[np.int8],
        placings: NDArray[np.float32],
        back: Map = SAME,
        box: Box | None = None,
        beside: NDArray[np.int8] | None = None,
    ) -> None:
        self.levels, self.placings, self.back, self.box = levels, placings, back, box
        self._beside = beside

    @cached_property
    def looked(self) -> Looked:
        """Made ready for the second look."""
        return Looked(self.levels)

    @cached_property
    def given(self) -> Hypotheses:
        """It under its placings."""
        return hypotheses(fine_of(self.levels), self.placings)

    @cached_property
    def beside(self) -> Looked | None:
        """What is beside the window, made ready for the second look."""
        return None if self._beside is None else Looked(self._beside)

    def in_still(self, a: Agreement) -> Agreement:
        """The same agreement, its placing told in the still's cells."""
        if self.back == SAME:
            return a
        xx, xy, x0, yx, yy, y0 = self.back
        m = a.placing
        across = (xx * m[0] + xy * m[3], xx * m[1] + xy * m[4], xx * m[2] + xy * m[5] + x0)
        down = (yx * m[0] + yy * m[3], yx * m[1] + yy * m[4], yx * m[2] + yy * m[5] + y0)
        return replace(a, placing=(*across, *down))

    def filled(self, a: Agreement) -> bool:
        """Whether a window shows the frame from edge to edge."""
        if self.box is None:
            return False
        xx, _, x0, _, yy, y0 = a.placing
        edge = SIDE / 2
        sides = (x0 - abs(xx) * edge, x0 + abs(xx) * edge, y0 - abs(yy) * edge, y0 + abs(yy) * edge)
        return all(abs(side + edge - line) < FILL_SLACK for side, line in zip(sides, self.box, strict=True))


def readings(found: Fingerprint) -> list[Reading]:
    """How a still may be read beside as it came: turned by a quarter always, the rest where the still itself says so.

    A still that is known by its thumbnail only, not just looked at, is only turned.
    """
    levels, cells = found.levels, found.cells
    out = [Reading(np.ascontiguousarray(levels.T), QUARTER_TURNS, TRANSPOSED)]
    if cells is None:
        return out
    for lean, straight in upright(cells, levels):
        out.append(Reading(straight, AS_IS, (1.0, lean / SIDE, lean / 2, 0.0, 1.0, 0.0)))
    for degrees in (-STRAIGHTENED, STRAIGHTENED):
        slant = _turn(degrees)
        xx, xy, yx, yy = slant
        out.append(Reading(slanted(cells, levels, slant), TRIMMED, (xx, xy, 0.0, yx, yy, 0.0)))
    if rolled(cells):
        out.append(Reading(levels, ROLLED_TWICE))
    alone = untwined(cells, levels)
    if alone is not None:
        out.append(Reading(alone, AS_IS))
    for window in windows(cells, levels):
        beside = np.where(window.levels == INVALID, levels, np.int8(INVALID))
        out.append(Reading(window.levels, inside(window.box), SAME, window.box, beside))
    return out


def _turn(degrees: float) -> Slant:
    """The map of a turn, in cells that are wider than high."""
    along, across = cos(radians(degrees)), sin(radians(degrees))
    return along, -across / ASPECT, across * ASPECT, along
