"""Another picture inside a still: where straight gaps and seams say that one begins, and what it looks like by itself.

Owns the boxes that a page around a picture, a wall of cameras or two halves leave, and the lean of a buffer that was
read with a wrong row length. Refuses to say whose picture it is. A window is normalised anew from the still's cells, as
if it were alone: the local contrast at its edges is no longer measured against the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.thumbnail import INVALID, SIDE, normalised

LEAST: Final = 20
"""Cells that a window is wide and high at least."""
MOST: Final = 4
"""Windows between gaps that are looked at, the largest first."""
FLAT: Final = 12
"""Grey levels that the cells of a gap span at most, along its whole length."""
SEAM: Final = 0.55
"""Share of the rows that show a seam from which on two pictures meet there; one still of a fixed camera in 20 has so
clear a line, and is looked at twice in vain."""
MIDWAY: Final = 0.4
"""The same of a seam in the middle, where pictures meet as a rule."""
SEAM_STEP: Final = 2
"""Grey levels by which a row's difference at a seam is above those beside it."""
MIDDLE: Final = 12
"""Cells that a seam keeps from the border."""
TWICE: Final = 0.8
"""Correlation of both halves from which on they are one picture."""
LEAN: Final = 24
"""Cells by which a picture leans at most, from its first row to its last."""
UPRIGHT: Final = 3
"""Cells of lean from which on rows were read too long or too short."""
LEANS: Final = 0.36
"""Share of the rows that show where the still comes in again from which on it is put upright: nine in ten of those
that lean, and half of the others."""
TRIED: Final = 2
"""Leans that are tried, the clearest first."""
LEAN_STEP: Final = 8
"""Twice the grey levels by which a row's difference there is above one and a half times those beside it."""
JOINED: Final = 0.8
"""Mean step across the join of opposite borders, of the still's clearest line, below which one goes on at the other:"""
JOIN_STEP: Final = 2.0
"""and of its usual step. Both ways so of 96 % of the pictures that were rolled twice, and of 4 % of the others."""
SEAM_CAP: Final = 40
"""Grey levels beyond which a step from row to row counts no more: an edge that is strong in one place is no band."""
FLATTEST: Final = 0.9
"""Cells of a band of 16 rows in a still of 1,137 rows,"""
TALLEST: Final = 4.3
"""of 240 rows,"""
FINER: Final = 0.03
"""and by how much the heights differ that are tried,"""
PHASES: Final = 12
"""each at so many places."""
BANDS: Final = 0.47
"""Correlation of the steps from row to row with those bands from which on two writers took turns: of 361 stills of
fixed cameras and photographs none has more than 0.45."""
MINE: Final = 0.1
"""Share of the other's in a row of cells up to which it is kept."""
_HALVES: Final = ((0, SIDE // 2), (SIDE // 2, SIDE))

Box = tuple[int, int, int, int]
"""Left, right, top and bottom of a window, in cells; ends exclusive."""
Slant = tuple[float, float, float, float]
"""A linear map (xx, xy, yx, yy) of cells, measured from the middle."""


@dataclass(frozen=True, slots=True)
class Window:
    """A picture inside a still: its box, and the levels of a thumbnail in which all else is not seen."""

    box: Box
    levels: NDArray[np.int8]


@njit(cache=True, nogil=True)
def _trim(cells: NDArray[np.uint8], x0: int, x1: int, y0: int, y1: int) -> tuple[int, int, int, int]:
    """The box without flat rows and columns at its sides."""
    before = -1
    while before != (x1 - x0) + (y1 - y0) and x1 > x0 and y1 > y0:
        before = (x1 - x0) + (y1 - y0)
        while y0 < y1 and _flat(cells, x0, x1, y0, y0 + 1):
            y0 += 1
        while y0 < y1 and _flat(cells, x0, x1, y1 - 1, y1):
            y1 -= 1
        while x0 < x1 and _flat(cells, x0, x0 + 1, y0, y1):
            x0 += 1
        while x0 < x1 and _flat(cells, x1 - 1, x1, y0, y1):
            x1 -= 1
    return x0, x1, y0, y1


@njit(cache=True, nogil=True)
def _flat(cells: NDArray[np.uint8], x0: int, x1: int, y0: int, y1: int) -> bool:
    low, high = 255, 0
    for y in range(y0, y1):
        for x in range(x0, x1):
            v = int(cells[y, x])
            low, high = min(low, v), max(high, v)
        if high - low > FLAT:
            return False
    return True


@njit(cache=True, nogil=True)
def _between_gaps(cells: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Boxes (left, right, top, bottom) that flat gaps leave, by cutting along them again and again."""
    todo = np.zeros((64, 4), np.int64)
    todo[0] = (0, SIDE, 0, SIDE)
    out = np.zeros((64, 4), np.int64)
    waiting, found = 1, 0
    while waiting > 0 and found < 64:
        waiting -= 1
        x0, x1, y0, y1 = _trim(cells, todo[waiting, 0], todo[waiting, 1], todo[waiting, 2], todo[waiting, 3])
        if x1 - x0 < LEAST or y1 - y0 < LEAST:
            continue
        cut = False
        for x in range(x0 + 1, x1 - 1):
            if _flat(cells, x, x + 1, y0, y1) and waiting + 2 <= 64:
                todo[waiting] = (x0, x, y0, y1)
                todo[waiting + 1] = (x + 1, x1, y0, y1)
                waiting, cut = waiting + 2, True
                break
        if cut:
            continue
        for y in range(y0 + 1, y1 - 1):
            if _flat(cells, x0, x1, y, y + 1) and waiting + 2 <= 64:
                todo[waiting] = (x0, x1, y0, y)
                todo[waiting + 1] = (x0, x1, y + 1, y1)
                waiting, cut = waiting + 2, True
                break
        if not cut:
            out[found] = (x0, x1, y0, y1)
            found += 1
    return out[:found]


@njit(cache=True, nogil=True)
def seams(cells: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The share of the rows in which the cells differ more across each line between columns than at the four lines
    beside it; the same of rows (1); (2, SIDE), 0 near the border."""
    out = np.zeros((2, SIDE), np.float32)
    line = np.empty(SIDE, np.int32)
    step = np.zeros(SIDE, np.int32)
    for k in range(2):
        for y in range(SIDE):
            for x in range(SIDE):
                line[x] = cells[y, x] if k == 0 else cells[x, y]
            for x in range(1, SIDE):
                step[x] = abs(line[x] - line[x - 1])
            for x in range(MIDDLE, SIDE - MIDDLE + 1):
                beside = max(max(step[x - 2], step[x - 1]), max(step[x + 1], step[x + 2]))
                out[k, x] += step[x] > beside + SEAM_STEP
    return out / np.float32(SIDE)


@njit(cache=True, nogil=True)
def leans(cells: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The share of the rows that show, for each lean from -LEAN to LEAN cells, that the left border comes in again
    along it, (2 LEAN + 1,)."""
    out = np.zeros(2 * LEAN + 1, np.float32)
    clear = np.empty((SIDE, SIDE), np.bool_)  # by row, before which column there is a line that those beside it lack
    ring = np.empty(SIDE + 8, np.int32)  # a row with what comes in again on both sides
    for y in range(SIDE):
        for x in range(SIDE + 8):
            ring[x] = cells[y, (x - 4) & (SIDE - 1)]
        for x in range(SIDE):
            left = max(abs(ring[x + 2] - ring[x + 1]), abs(ring[x + 1] - ring[x]))
            right = max(abs(ring[x + 6] - ring[x + 5]), abs(ring[x + 7] - ring[x + 6]))
            clear[y, x] = 2 * abs(ring[x + 5] - ring[x + 2]) > 3 * max(left, right) + LEAN_STEP
    for lean in range(-LEAN, LEAN + 1):
        if abs(lean) < UPRIGHT:
            continue
        showing = 0
        for y in range(SIDE):
            showing += clear[y, int(np.floor(lean * (y + 0.5) / SIDE + 0.5)) & (SIDE - 1)]
        out[lean + LEAN] = showing / SIDE
    return out


def rolled(cells: NDArray[np.uint8]) -> bool:
    """Whether the still's left border goes on at its right one, and its lower one at its upper one: it was read from
    the wrong row and column of its buffer. Flat borders say nothing."""
    return _joined(cells) and _joined(np.ascontiguousarray(cells.T))


@njit(cache=True, nogil=True)
def _joined(cells: NDArray[np.uint8]) -> bool:
    if _flat(cells, 0, 1, 0, SIDE) or _flat(cells, SIDE - 1, SIDE, 0, SIDE):
        return False
    sums = np.zeros(SIDE, np.int64)  # of the steps across each line between columns, the join last
    for y in range(SIDE):
        for x in range(SIDE):
            right = cells[y, x + 1] if x + 1 < SIDE else cells[y, 0]
            sums[x] += min(abs(np.int64(right) - np.int64(cells[y, x])), SEAM_CAP)
    join, inner = sums[SIDE - 1] / SIDE, np.sort(sums[: SIDE - 1]) / SIDE
    return bool(join < JOINED * (inner[-1] + 1) and join < JOIN_STEP * (inner[SIDE // 2 - 1] + 1))


def windows(cells: NDArray[np.uint8], levels: NDArray[np.int8]) -> list[Window]:
    """The pictures that may stand in a still of these cells, none of them the still itself."""
    boxes = [tuple(box) for box in _between_gaps(cells).tolist()]
    boxes = sorted((b for b in boxes if _area(b) < SIDE * SIDE), key=lambda b: (-_area(b), b))[:MOST]
    across, down = (_seam(shares) for shares in seams(cells))
    if across == down == SIDE // 2:
        boxes += [(*a, *b) for a in _HALVES for b in _HALVES]
    else:
        boxes += [(0, across, 0, SIDE), (across, SIDE, 0, SIDE)] if across else []
        boxes += [(0, SIDE, 0, down), (0, SIDE, down, SIDE)] if down else []
    if _twice(levels):
        boxes.append((0, SIDE, 0, SIDE // 2))
    return [Window(box, _alone(cells, levels, box)) for box in dict.fromkeys(boxes)]


def _seam(shares: NDArray[np.float32]) -> int:
    """Where two pictures meet: the middle, or the clearest line; 0 where none is clear enough."""
    half = SIDE // 2
    if shares[half - 1 : half + 2].max() >= MIDWAY:
        return half
    at = int(shares.argmax())
    return at if shares[at] >= SEAM else 0


@njit(cache=True, nogil=True)
def _twice(levels: NDArray[np.int8]) -> bool:
    """Whether the still shows one picture twice, one below the other."""
    both = 0
    ab, aa, bb = np.int64(0), np.int64(0), np.int64(0)
    for y in range(SIDE // 2):
        for x in range(SIDE):
            a, b = np.int64(levels[y, x]), np.int64(levels[y + SIDE // 2, x])
            if a != INVALID and b != INVALID:
                both, ab, aa, bb = both + 1, ab + a * b, aa + a * a, bb + b * b
    return bool(4 * both > SIDE * SIDE and ab > TWICE * np.sqrt(np.float64(aa * bb)))


def upright(cells: NDArray[np.uint8], levels: NDArray[np.int8]) -> list[tuple[int, NDArray[np.int8]]]:
    """The lean, and the levels with each row put back, of a still whose rows may have been read too long or too short;
    the likeliest first."""
    shares = leans(cells)
    out: list[tuple[int, NDArray[np.int8]]] = []
    for _ in range(TRIED):
        best = int(shares.argmax())
        if shares[best] < LEANS:
            break
        out.append((best - LEAN, _put_back(cells, levels, best - LEAN)))
        shares[max(best - UPRIGHT + 1, 0) : best + UPRIGHT] = 0
    return out


@njit(cache=True, nogil=True)
def _put_back(cells: NDArray[np.uint8], levels: NDArray[np.int8], lean: int) -> NDArray[np.int8]:
    """The levels with each row moved back by its part of the lean, what leaves it on one side entering on the other."""
    mean = np.empty((SIDE, SIDE), np.float32)
    seen = np.empty((SIDE, SIDE), np.bool_)
    for y in range(SIDE):
        by = lean * (y + 0.5) / SIDE
        whole = int(np.floor(by))
        part = np.float32(by - whole)
        for x in range(SIDE):
            left, right = (x + whole) & (SIDE - 1), (x + whole + 1) & (SIDE - 1)
            mean[y, x] = cells[y, left] * (np.float32(1) - part) + cells[y, right] * part
            seen[y, x] = levels[y, left if part < np.float32(0.5) else right] != INVALID
    return normalised(mean, seen)


def slanted(cells: NDArray[np.uint8], levels: NDArray[np.int8], slant: Slant) -> NDArray[np.int8]:
    """The levels of the still under a linear map of its cells (xx, xy, yx, yy), each cell seen where the map says; what
    that leaves empty is not seen."""
    return normalised(*_slanted(cells, levels, *slant))


@njit(cache=True, nogil=True)
def _slanted(
    cells: NDArray[np.uint8], levels: NDArray[np.int8], xx: float, xy: float, yx: float, yy: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    mean = np.zeros((SIDE, SIDE), np.float32)
    seen = np.zeros((SIDE, SIDE), np.bool_)
    middle = (SIDE - 1) / 2
    for v in range(SIDE):
        for u in range(SIDE):
            x = xx * (u - middle) + xy * (v - middle) + middle
            y = yx * (u - middle) + yy * (v - middle) + middle
            x0, y0 = int(np.floor(x)), int(np.floor(y))
            if x0 < 0 or y0 < 0 or x0 > SIDE - 2 or y0 > SIDE - 2:
                continue
            p, q = x - x0, y - y0
            above = cells[y0, x0] * (1 - p) + cells[y0, x0 + 1] * p
            below = cells[y0 + 1, x0] * (1 - p) + cells[y0 + 1, x0 + 1] * p
            mean[v, u] = above * (1 - q) + below * q
            seen[v, u] = levels[int(y + 0.5), int(x + 0.5)] != INVALID
    return mean, seen


def _area(box: Box) -> int:
    return (box[1] - box[0]) * (box[3] - box[2])


@njit(cache=True, nogil=True)
def _alone(cells: NDArray[np.uint8], levels: NDArray[np.int8], box: Box) -> NDArray[np.int8]:
    """The levels of a window by itself."""
    x0, x1, y0, y1 = box
    seen = np.zeros((SIDE, SIDE), np.bool_)
    for y in range(y0, y1):
        for x in range(x0, x1):
            seen[y, x] = levels[y, x] != INVALID
    return normalised(cells.astype(np.float32), seen)


def _twined() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each height and place of the bands: how much of each row of cells is every third band's, and how much that
    changes from row to row, brought to mean 0 and length 1."""
    heights = np.repeat(np.arange(FLATTEST, TALLEST, FINER), PHASES)
    starts = heights * 3 * np.tile(np.arange(PHASES), len(heights) // PHASES) / PHASES
    at = (np.arange(SIDE + 1)[None] - starts[:, None]) / (3 * heights[:, None])
    above = (np.floor(at) + np.minimum(3 * (at - np.floor(at)), 1)) * heights[:, None]
    parts = np.diff(above, axis=1)
    changes = np.abs(np.diff(parts, axis=1))
    changes -= changes.mean(axis=1, keepdims=True)
    changes /= np.linalg.norm(changes, axis=1, keepdims=True) + 1e-6
    return parts.astype(np.float32), changes.astype(np.float32)


_PARTS, _CHANGES = _twined()


@njit(cache=True, nogil=True)
def _steps_down(cells: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much the cells change from each row to the next, (SIDE - 1,)."""
    out = np.empty(SIDE - 1, np.float32)
    for y in range(SIDE - 1):
        total = 0
        for x in range(SIDE):
            total += min(abs(int(cells[y + 1, x]) - int(cells[y, x])), SEAM_CAP)
        out[y] = total
    return out


def bands(cells: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
    """How much of each row of cells is every third band's of a still that two writers filled by turns, (SIDE,), under
    the height and the place of the bands that explain the steps from row to row best; and their correlation with it."""
    steps = _steps_down(cells)
    steps -= steps.mean()
    explained = _CHANGES @ steps
    best = int(explained.argmax())
    return _PARTS[best], float(explained[best] / (np.linalg.norm(steps) + 1e-6))


def untwined(cells: NDArray[np.uint8], levels: NDArray[np.int8]) -> NDArray[np.int8] | None:
    """The levels without every third band, bridged from the rows above and below; None without such bands."""
    part, clear = bands(cells)
    if clear < BANDS:
        return None
    kept = np.flatnonzero(part < MINE)
    if len(kept) < SIDE // 4:
        return None
    mean = np.empty((SIDE, SIDE), np.float32)
    rows = np.arange(SIDE)
    for x in range(SIDE):
        mean[:, x] = np.interp(rows, kept, cells[kept, x])
    return normalised(mean, levels != INVALID)
