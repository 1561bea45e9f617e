"""From grey pixels to the normalised thumbnail: 64x64 cells in which brightness and contrast no longer count.

Owns which part of a picture is valid (what a cut, a grey half, a letter box or a privacy mask left of it), the repair
of dark scan lines, and the local contrast normalisation. Refuses to compare anything. All functions are compiled;
none allocates more than a few kilobytes beside its result. A cell takes of each pixel the part that lies in it, so that
a picture has nearly the same thumbnail at every scale at which it may have been decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

SIDE: Final = 64
"""Cells of a thumbnail a side. Measured: true pairs still correlate at 0.87 (2 % quantile) with 4 bits a cell."""
INVALID: Final = -8
"""The level that marks a cell without a picture in it. Valid cells lie in -7..7."""
STEP: Final = 2.5 / 7.0
"""Normalised contrast of one level: values are clipped at 2.5 local standard deviations."""

FLAT_RANGE: Final = 10
"""Grey levels that a filler row or column may span: JPEG ringing of a constant colour stays below."""
FLAT_MEAN: Final = 4.0
"""Grey levels by which filler rows or columns of one border may differ in their mean."""
FLOOR: Final = 3.0
"""Grey levels added to the local standard deviation, so that a sensor's noise in a flat part is not blown up."""
LINE_DEPTH: Final = 10.0
"""Grey levels by which a row's mean must lie below both of its neighbourhoods to be a dark scan line."""
FILL_RANGE: Final = 2
"""Grey levels that a cell of a filled area (grey half, privacy mask, blown-out sky) spans at most."""
QUICK_RANGE: Final = 1
"""The same of a picture whose pixels are means of many, so that a wall's noise is gone. Of 24 rendered scenes none,
and of 2,484 camera stills 1.6 %, are taken for filled without need."""
FILL_CELLS: Final = 60
"""Cells, connected and of one grey, from which on an area counts as filled: 1.5 % of the picture."""
DECODER_GREY: Final = 128
"""What decoders fill a lost block with: zero coefficients."""
GREY_SHARE: Final = 0.12
"""Share of a cell's pixels of the decoder's grey from which on they are left out, where many blocks are lost."""
LEFT_OVER: Final = 0.25
"""Share of a cell's pixels that must be left."""
TEXTURE: Final = 1.5 * 64
"""Grey levels by which a block's 64 cells differ from what is around them, in sum, from which on it has texture."""
BLANK: Final = 3
"""Cells, in width or height, that are left inside the borders of a picture that shows nothing."""
FILL_SQUARE: Final = 0.9
"""Share of its bounding box that a filled area takes: masks and grey parts are rectangles, skies and walls are not."""


Box = tuple[int, int, int, int]
"""Rows and columns of a picture: top, bottom, left, right; ends exclusive."""


def gaussian(sigma: float, reach: float = 2.5) -> NDArray[np.float32]:
    """A normalised Gaussian kernel of this width in cells, cut off at `reach` widths."""
    r = int(np.ceil(reach * sigma))
    x = np.arange(-r, r + 1)
    kernel: NDArray[np.float64] = np.exp(-0.5 * (x / sigma) ** 2)
    out: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return out


Blur = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def blurring(kernel: NDArray[np.float32]) -> Blur:
    """The compiled function that convolves a plane with this symmetric kernel in both directions; zero outside.

    Compiled for the kernel: its length and weights are constants to the compiler, which halves the time.
    """
    r, taps = kernel.size // 2, kernel.size

    @njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
    def blur(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        mid = np.zeros((SIDE + 2 * r, SIDE), np.float32)
        line = np.zeros(SIDE + 2 * r, np.float32)
        for y in range(SIDE):
            for x in range(SIDE):
                line[r + x] = plane[y, x]
            for x in range(SIDE):
                total = np.float32(0)
                for k in range(taps):
                    total += kernel[k] * line[x + k]
                mid[y + r, x] = total
        out = np.empty((SIDE, SIDE), np.float32)
        for y in range(SIDE):
            for x in range(SIDE):
                total = np.float32(0)
                for k in range(taps):
                    total += kernel[k] * mid[y + k, x]
                out[y, x] = total
        return out

    compiled: Blur = blur
    return compiled


_wide = blurring(gaussian(4.0))
_narrow = blurring(gaussian(1.5))


@njit(cache=True, nogil=True, error_model="numpy")
def thumbnail(
    grey: NDArray[np.uint8], lost: int, span: int
) -> tuple[NDArray[np.int8], NDArray[np.uint8], int, float, int, Box]:
    """Levels, mean greys, blocks with texture (of 64), valid share, cells filled with one grey, the box
    inside flat borders.

    `lost` rows above a flat lower border are left out as well, half decoded; `span` is how many grey levels a filled
    cell may span. A picture that is blank has no texture.
    """
    low, high, mean = _rows(grey)
    h, w = grey.shape
    top, bottom, left, right = _borders(grey, low, high, mean)
    if bottom < h:
        bottom = max(top, bottom - lost)
    box = (top, bottom, left, right)
    if (bottom - top) * SIDE < BLANK * h or (right - left) * SIDE < BLANK * w:
        return np.full((SIDE, SIDE), np.int8(INVALID), np.int8), np.zeros((SIDE, SIDE), np.uint8), 0, 0.0, 0, box
    cells, valid, filled = _shrink(grey, box, _dark_lines(mean, top, bottom), span)
    levels, textured, share = _normalise(cells, valid)
    greys = np.empty((SIDE, SIDE), np.uint8)
    for y in range(SIDE):
        for x in range(SIDE):
            greys[y, x] = np.uint8(cells[y, x] + np.float32(0.5))
    return levels, greys, textured, share, filled, box


@njit(cache=True, nogil=True, error_model="numpy")
def _rows(grey: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64]]:
    """The least, greatest and mean grey of each row."""
    h, w = grey.shape
    low = np.empty(h, np.uint8)
    high = np.empty(h, np.uint8)
    mean = np.empty(h, np.float64)
    for y in range(h):
        line = grey[y]
        lo, hi, total = line[0], line[0], np.uint32(0)
        for x in range(w):
            v = line[x]
            lo = min(lo, v)
            hi = max(hi, v)
            total += np.uint32(v)
        low[y], high[y], mean[y] = lo, hi, total / w
    return low, high, mean


@njit(cache=True, nogil=True, error_model="numpy")
def _borders(
    grey: NDArray[np.uint8], low: NDArray[np.uint8], high: NDArray[np.uint8], mean: NDArray[np.float64]
) -> Box:
    """The box that remains once flat borders are trimmed off."""
    h, w = grey.shape
    top, bottom = 0, h
    while (
        bottom > 0
        and high[bottom - 1] - low[bottom - 1] <= FLAT_RANGE
        and abs(mean[bottom - 1] - mean[h - 1]) <= FLAT_MEAN
    ):
        bottom -= 1
    while top < bottom and high[top] - low[top] <= FLAT_RANGE and abs(mean[top] - mean[0]) <= FLAT_MEAN:
        top += 1
    left, right = 0, w
    if (bottom - top) * SIDE < BLANK * h:
        return top, bottom, left, right
    first = grey[top:bottom, 0].mean()
    last = grey[top:bottom, w - 1].mean()
    while right > 0 and _flat_column(grey, top, bottom, right - 1, last):
        right -= 1
    while left < right and _flat_column(grey, top, bottom, left, first):
        left += 1
    return top, bottom, left, right


@njit(cache=True, nogil=True, error_model="numpy")
def _flat_column(grey: NDArray[np.uint8], top: int, bottom: int, x: int, mean: float) -> bool:
    lo, hi, total = 255, 0, 0
    for y in range(top, bottom):
        v = grey[y, x]
        lo = min(lo, v)
        hi = max(hi, v)
        total += v
    return hi - lo <= FLAT_RANGE and abs(total / (bottom - top) - mean) <= FLAT_MEAN


@njit(cache=True, nogil=True, error_model="numpy")
def _dark_lines(mean: NDArray[np.float64], top: int, bottom: int) -> NDArray[np.bool_]:
    """Rows that are dark scan lines: regular, and far below the rows on both sides. All False where there are none."""
    bad = np.zeros(mean.size, np.bool_)
    count = 0
    reach = 3
    for y in range(top, bottom):
        before, after = 0.0, 0.0
        for k in range(1, reach + 1):
            if y - k >= top:
                before = max(before, mean[y - k])
            if y + k < bottom:
                after = max(after, mean[y + k])
        if min(before, after) - mean[y] > LINE_DEPTH:
            bad[y] = True
            count += 1
    rows = bottom - top
    if count * 14 < rows or count * 5 > rows * 3:
        bad[:] = False
    return bad


@njit(cache=True, nogil=True, error_model="numpy")
def _shrink(
    grey: NDArray[np.uint8], box: Box, bad: NDArray[np.bool_], span: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], int]:
    """The whole frame as 64x64 cell means, which cells are valid, and how many inside `box` hold but one grey."""
    h, w = grey.shape
    top, bottom, left, right = box
    mean = np.zeros((SIDE, SIDE), np.float32)
    valid = np.zeros((SIDE, SIDE), np.bool_)
    fill = np.zeros((SIDE, SIDE), np.bool_)
    at, part, mine = _across(w)
    sums = np.empty(w, np.float32)
    lows = np.empty(w, np.int32)
    highs = np.empty(w, np.int32)
    low = np.empty(SIDE, np.int32)
    high = np.empty(SIDE, np.int32)
    beside = np.empty(SIDE, np.bool_)
    for i in range(SIDE):
        beside[i] = i * w < left * SIDE or (i + 1) * w > right * SIDE
    inside = 0
    for j in range(SIDE):
        y0, y1 = j * h / SIDE, (j + 1) * h / SIDE
        share = _down(grey, y0, y1, bad, sums, lows, highs)
        if share == 0.0:
            continue
        scale = np.float32(SIDE / (share * w))
        row = mean[j]
        for i in range(SIDE):
            row[i] = part[0, i] * sums[at[0, i]]
            low[i] = lows[mine[0, i]]
            high[i] = highs[mine[0, i]]
        for k in range(1, at.shape[0]):
            for i in range(SIDE):
                row[i] += part[k, i] * sums[at[k, i]]
            for i in range(SIDE):
                low[i] = min(low[i], lows[mine[k, i]])
                high[i] = max(high[i], highs[mine[k, i]])
        seen = y0 >= top and y1 <= bottom
        for i in range(SIDE):
            row[i] *= scale
        for i in range(SIDE if seen else 0):
            inside += not beside[i]
            valid[j, i] = not beside[i]
            fill[j, i] = not beside[i] and high[i] - low[i] <= span
    if _drop_filled(mean, fill, valid) >= FILL_CELLS:
        _without_grey(grey, bad, mean, valid)
    filled = inside - valid.sum()
    # a row whose every line was a dark one, or none of which was decoded, is bridged from the row above
    for j in range(1, SIDE):
        y = j * h // SIDE
        if not (bad[y] and top <= y < bottom - h // SIDE):
            continue
        for i in range(SIDE):
            if mean[j, i] == 0.0 and not valid[j, i] and valid[j - 1, i] and not fill[j, i]:
                mean[j, i] = mean[j - 1, i]
                valid[j, i] = True
    return mean, valid, filled


@njit(cache=True, nogil=True, error_model="numpy")
def _across(w: int) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.uint32]]:
    """The columns that each cell touches and the part of each that lies in it, and the columns that are its alone.

    One row each for a cell's first column, its second one, and so on; short ones repeat their last, with no part in it.
    """
    most = 1
    for i in range(SIDE):
        most = max(most, ((i + 1) * w - 1) // SIDE - i * w // SIDE + 1)
    at = np.empty((most, SIDE), np.uint32)
    part = np.zeros((most, SIDE), np.float32)
    mine = np.empty((most, SIDE), np.uint32)
    for i in range(SIDE):
        first, last = i * w // SIDE, ((i + 1) * w - 1) // SIDE
        for k in range(most):
            x = first + k
            at[k, i] = min(x, last)
            if x <= last:
                part[k, i] = min(x + 1.0, (i + 1) * w / SIDE) - max(float(x), i * w / SIDE)
            mine[k, i] = min(x, max((i + 1) * w // SIDE - 1, first))
    return at, part, mine


@njit(cache=True, nogil=True, error_model="numpy")
def _down(
    grey: NDArray[np.uint8],
    y0: float,
    y1: float,
    bad: NDArray[np.bool_],
    sums: NDArray[np.float32],
    lows: NDArray[np.int32],
    highs: NDArray[np.int32],
) -> float:
    """Weighted sum, least and greatest down each column of some rows; the weight of the good rows among them."""
    sums[:] = 0
    lows[:] = 255
    highs[:] = 0
    share = 0.0
    first, end = int(y0), min(int(np.ceil(y1)), grey.shape[0])
    for y in range(first, end):
        if bad[y]:
            continue
        line = grey[y]
        weight = min(y + 1.0, y1) - max(float(y), y0)
        share += weight
        part = np.float32(weight)
        for x in range(line.size):
            sums[x] += part * line[x]
        if y == first or y < int(y1):
            for x in range(line.size):
                v = np.int32(line[x])
                lows[x] = min(lows[x], v)
                highs[x] = max(highs[x], v)
    return share


@njit(cache=True, nogil=True, error_model="numpy")
def _without_grey(
    grey: NDArray[np.uint8], bad: NDArray[np.bool_], mean: NDArray[np.float32], valid: NDArray[np.bool_]
) -> None:
    """Leave the decoder's grey out of the means, where many blocks are lost; a cell with little else is not valid."""
    h, w = grey.shape
    for j in range(SIDE):
        y0 = j * h // SIDE
        for i in range(SIDE):
            x0 = i * w // SIDE
            cells, greys = 0, 0
            for y in range(y0, max((j + 1) * h // SIDE, y0 + 1)):
                if bad[y]:
                    continue
                for x in range(x0, max((i + 1) * w // SIDE, x0 + 1)):
                    cells += 1
                    greys += abs(int(grey[y, x]) - DECODER_GREY) <= FILL_RANGE
            left_over = cells - greys
            if not valid[j, i] or greys <= GREY_SHARE * cells:
                continue
            if left_over < LEFT_OVER * cells:
                valid[j, i] = False
            else:
                mean[j, i] = (mean[j, i] * cells - DECODER_GREY * greys) / left_over


@njit(cache=True, nogil=True, error_model="numpy")
def _drop_filled(mean: NDArray[np.float32], fill: NDArray[np.bool_], valid: NDArray[np.bool_]) -> int:
    """Mark the cells of rectangular areas of one grey, and of the decoder's, as not valid; how many were the decoder's.

    `fill` is used up.
    """
    lost = 0
    stack = np.empty(SIDE * SIDE, np.int64)
    for start in range(SIDE * SIDE):
        if not fill[start // SIDE, start % SIDE]:
            continue
        shade = mean[start // SIDE, start % SIDE]
        fill[start // SIDE, start % SIDE] = False
        stack[0] = start
        size, done = 1, 0
        y0, y1, x0, x1 = SIDE, 0, SIDE, 0
        while done < size:
            y, x = stack[done] // SIDE, stack[done] % SIDE
            done += 1
            y0, y1, x0, x1 = min(y0, y), max(y1, y), min(x0, x), max(x1, x)
            for k in range(4):
                ny = y + (k == 0) - (k == 1)
                nx = x + (k == 2) - (k == 3)
                if 0 <= ny < SIDE and 0 <= nx < SIDE and fill[ny, nx] and abs(mean[ny, nx] - shade) <= 1.0:
                    fill[ny, nx] = False
                    stack[size] = ny * SIDE + nx
                    size += 1
        square = size >= FILL_CELLS and size >= FILL_SQUARE * (y1 - y0 + 1) * (x1 - x0 + 1)
        if square or abs(shade - DECODER_GREY) <= FILL_RANGE:
            lost += 0 if square else size
            for k in range(size):
                valid[stack[k] // SIDE, stack[k] % SIDE] = False
    return lost


@njit(cache=True, nogil=True, error_model="numpy")
def _seen(valid: NDArray[np.bool_]) -> tuple[NDArray[np.float32], int]:
    """1 where a cell is valid, else 0; and how many are."""
    v, count = np.empty((SIDE, SIDE), np.float32), 0
    for y in range(SIDE):
        for x in range(SIDE):
            v[y, x] = np.float32(valid[y, x])
            count += valid[y, x]
    return v, count


@njit(cache=True, nogil=True, error_model="numpy")
def _normalise(mean: NDArray[np.float32], valid: NDArray[np.bool_]) -> tuple[NDArray[np.int8], int, float]:
    """Levels -7..7 of local contrast (INVALID outside), blocks with texture (of 64), and the valid share."""
    n = SIDE
    v, count = _seen(valid)
    x1 = v * mean
    b = _wide(v)
    m1 = _wide(x1)
    m2 = _wide(x1 * mean)
    out = np.empty((n, n), np.int8)
    apart = np.empty((n, n), np.float32)
    for y in range(n):
        for x in range(n):
            weight = max(b[y, x], np.float32(1e-9))
            mu = m1[y, x] / weight
            sd = np.sqrt(max(m2[y, x] / weight - mu * mu, np.float32(0)))
            diff = mean[y, x] - mu
            apart[y, x] = v[y, x] * abs(diff)
            level = diff / (sd + np.float32(FLOOR)) / np.float32(STEP)
            level = np.floor(min(max(level, np.float32(-7)), np.float32(7)) + np.float32(0.5))
            out[y, x] = np.int8(level) if valid[y, x] else np.int8(INVALID)
    return out, _textured(apart), count / (n * n)


@njit(cache=True, nogil=True, error_model="numpy")
def _textured(apart: NDArray[np.float32]) -> int:
    """Blocks of 8x8 cells with texture, eight of them summed side by side: each sum waits for the one before it."""
    textured, totals = 0, np.empty(8, np.float32)
    for j in range(8):
        totals[:] = 0
        for cell in range(64):
            y, x = 8 * j + cell // 8, cell % 8
            for i in range(8):
                totals[i] += apart[y, 8 * i + x]
        for i in range(8):
            textured += totals[i] > TEXTURE
    return textured


@njit(cache=True, nogil=True, error_model="numpy")
def normalised(cells: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.int8]:
    """The levels of other cells than a whole picture's: some of them only, or put back where they belong."""
    return _normalise(cells, valid)[0]


@njit(cache=True, nogil=True, error_model="numpy")
def smooth(levels: NDArray[np.int8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The thumbnail smoothed over valid cells (in local standard deviations), and the share of valid cells around."""
    n = SIDE
    v = np.zeros((n, n), np.float32)
    z = np.zeros((n, n), np.float32)
    for y in range(n):
        for x in range(n):
            if levels[y, x] != INVALID:
                v[y, x] = 1.0
                z[y, x] = levels[y, x] * np.float32(STEP)
    b = _narrow(v)
    s = _narrow(z)
    for y in range(n):
        for x in range(n):
            s[y, x] = s[y, x] / b[y, x] if b[y, x] > np.float32(0.05) else np.float32(0)
    return s, b
