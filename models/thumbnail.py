"""From grey pixels to the normalised thumbnail: 64x64 cells in which brightness and contrast no longer count.

Owns which part of a picture is valid (what a cut, a grey half, a letter box or a privacy mask left of it), the repair
of dark scan lines, and the local contrast normalisation. Refuses to compare anything. All functions are compiled;
none allocates more than a few kilobytes beside its result.
"""

from __future__ import annotations

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
FILL_CELLS: Final = 60
"""Cells, connected and of one grey, from which on an area counts as filled: 1.5 % of the picture."""
DECODER_GREY: Final = 128
"""What decoders fill a lost block with: zero coefficients."""
GREY_SHARE: Final = 0.12
"""Share of a cell's pixels of the decoder's grey from which on they are left out, where many blocks are lost."""
LEFT_OVER: Final = 0.25
"""Share of a cell's pixels that must be left."""
FILL_SQUARE: Final = 0.9
"""Share of its bounding box that a filled area takes: masks and grey parts are rectangles, skies and walls are not."""


@njit(cache=True, nogil=True)
def borders(grey: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """The box (top, bottom, left, right; ends exclusive) that remains once flat borders are trimmed off."""
    h, w = grey.shape
    low = np.empty(h, np.int64)
    high = np.empty(h, np.int64)
    mean = np.empty(h, np.float64)
    for y in range(h):
        lo, hi, total = 255, 0, 0
        for x in range(w):
            v = grey[y, x]
            lo = min(lo, v)
            hi = max(hi, v)
            total += v
        low[y], high[y], mean[y] = lo, hi, total / w
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
    if bottom - top < 8:
        return top, bottom, left, right
    first = grey[top:bottom, 0].mean()
    last = grey[top:bottom, w - 1].mean()
    while right > 0 and _flat_column(grey, top, bottom, right - 1, last):
        right -= 1
    while left < right and _flat_column(grey, top, bottom, left, first):
        left += 1
    return top, bottom, left, right


@njit(cache=True, nogil=True)
def _flat_column(grey: NDArray[np.uint8], top: int, bottom: int, x: int, mean: float) -> bool:
    lo, hi, total = 255, 0, 0
    for y in range(top, bottom):
        v = grey[y, x]
        lo = min(lo, v)
        hi = max(hi, v)
        total += v
    return hi - lo <= FLAT_RANGE and abs(total / (bottom - top) - mean) <= FLAT_MEAN


@njit(cache=True, nogil=True)
def dark_lines(grey: NDArray[np.uint8], top: int, bottom: int) -> NDArray[np.bool_]:
    """Rows that are dark scan lines: regular, and far below the rows on both sides. All False where there are none."""
    h, w = grey.shape
    mean = np.empty(h, np.float64)
    for y in range(h):
        total = 0
        for x in range(w):
            total += grey[y, x]
        mean[y] = total / w
    bad = np.zeros(h, np.bool_)
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


@njit(cache=True, nogil=True)
def shrink(
    grey: NDArray[np.uint8], box: tuple[int, int, int, int], bad: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The whole frame as 64x64 cell means, and which cells are valid: inside `box`, not filled with one grey."""
    h, w = grey.shape
    top, bottom, left, right = box
    mean = np.zeros((SIDE, SIDE), np.float32)
    valid = np.zeros((SIDE, SIDE), np.bool_)
    fill = np.zeros((SIDE, SIDE), np.bool_)
    edges = np.empty(SIDE + 1, np.int64)
    for i in range(SIDE + 1):
        edges[i] = i * w // SIDE
    greys = np.zeros((SIDE, SIDE), np.int64)
    sums = np.empty(w, np.uint32)
    lows = np.empty(w, np.uint8)
    highs = np.empty(w, np.uint8)
    grown = np.empty(w, np.uint16)
    for j in range(SIDE):
        y0, y1 = j * h // SIDE, min(max((j + 1) * h // SIDE, j * h // SIDE + 1), h)
        inside = y0 >= top and y1 <= bottom
        rows = _down(grey, y0, y1, bad, sums, lows, highs, grown)
        for i in range(SIDE):
            width = edges[i + 1] - edges[i]
            if rows == 0 or width == 0:
                continue
            total, lo, hi = 0, 255, 0
            for x in range(edges[i], edges[i + 1]):
                total += sums[x]
                lo = min(lo, lows[x])
                hi = max(hi, highs[x])
                greys[j, i] += grown[x]
            mean[j, i] = total / (rows * width)
            valid[j, i] = inside and edges[i] >= left and edges[i + 1] <= right
            if valid[j, i] and hi - lo <= FILL_RANGE:
                fill[j, i] = True
    if _drop_filled(mean, fill, valid) >= FILL_CELLS:
        for j in range(SIDE):
            height = (j + 1) * h // SIDE - j * h // SIDE
            for i in range(SIDE):
                cells = height * (edges[i + 1] - edges[i])
                if not valid[j, i] or greys[j, i] <= GREY_SHARE * cells:
                    continue
                left_over = cells - greys[j, i]
                if left_over < LEFT_OVER * cells:
                    valid[j, i] = False
                else:
                    mean[j, i] = (mean[j, i] * cells - DECODER_GREY * greys[j, i]) / left_over
    # a row whose every line was a dark one, or none of which was decoded, is bridged from the row above
    for j in range(1, SIDE):
        for i in range(SIDE):
            y = j * h // SIDE
            bridged = mean[j, i] == 0.0 and not valid[j, i] and valid[j - 1, i] and not fill[j, i]
            if bridged and bad[y] and top <= y < bottom - h // SIDE:
                mean[j, i] = mean[j - 1, i]
                valid[j, i] = True
    return mean, valid


@njit(cache=True, nogil=True)
def _down(
    grey: NDArray[np.uint8],
    y0: int,
    y1: int,
    bad: NDArray[np.bool_],
    sums: NDArray[np.uint32],
    lows: NDArray[np.uint8],
    highs: NDArray[np.uint8],
    grown: NDArray[np.uint16],
) -> int:
    """Sum, least, greatest and count of the decoder's grey down each column of some rows; how many rows were good."""
    sums[:] = 0
    lows[:] = 255
    highs[:] = 0
    grown[:] = 0
    rows = 0
    for y in range(y0, y1):
        if bad[y]:
            continue
        rows += 1
        line = grey[y]
        for x in range(line.size):
            v = line[x]
            sums[x] += v
            lows[x] = min(lows[x], v)
            highs[x] = max(highs[x], v)
            grown[x] += np.uint8(v - np.uint8(DECODER_GREY - FILL_RANGE)) <= np.uint8(2 * FILL_RANGE)
    return rows


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True, fastmath=True)
def blur(plane: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """The plane convolved with a symmetric kernel in both directions; zero outside."""
    n = SIDE
    r = kernel.size // 2
    mid = np.zeros((n + 2 * r, n), np.float32)
    line = np.zeros(n + 2 * r, np.float32)
    for y in range(n):
        line[r : r + n] = plane[y]
        row = mid[y + r]
        for k in range(2 * r + 1):
            c = kernel[k]
            for x in range(n):
                row[x] += c * line[x + k]
    out = np.zeros((n, n), np.float32)
    for y in range(n):
        row = out[y]
        for k in range(2 * r + 1):
            c = kernel[k]
            above = mid[y + k]
            for x in range(n):
                row[x] += c * above[x]
    return out


def gaussian(sigma: float, reach: float = 2.5) -> NDArray[np.float32]:
    """A normalised Gaussian kernel of this width in cells, cut off at `reach` widths."""
    r = int(np.ceil(reach * sigma))
    x = np.arange(-r, r + 1)
    kernel: NDArray[np.float64] = np.exp(-0.5 * (x / sigma) ** 2)
    out: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return out


WIDE: Final = gaussian(4.0)
NARROW: Final = gaussian(1.5)


@njit(cache=True, nogil=True)
def normalise(
    mean: NDArray[np.float32], valid: NDArray[np.bool_], wide: NDArray[np.float32]
) -> tuple[NDArray[np.int8], int, float]:
    """Levels -7..7 of local contrast (INVALID outside), blocks with texture (of 64), and the valid share."""
    n = SIDE
    v = np.zeros((n, n), np.float32)
    x1 = np.zeros((n, n), np.float32)
    x2 = np.zeros((n, n), np.float32)
    for y in range(n):
        for x in range(n):
            if valid[y, x]:
                v[y, x] = 1.0
                x1[y, x] = mean[y, x]
                x2[y, x] = mean[y, x] * mean[y, x]
    b = blur(v, wide)
    m1 = blur(x1, wide)
    m2 = blur(x2, wide)
    out = np.full((n, n), np.int8(INVALID), np.int8)
    energy = np.zeros((8, 8), np.float32)
    count = 0
    for y in range(n):
        for x in range(n):
            if not valid[y, x]:
                continue
            count += 1
            mu = m1[y, x] / b[y, x]
            var = m2[y, x] / b[y, x] - mu * mu
            sd = np.sqrt(max(var, np.float32(0)))
            diff = mean[y, x] - mu
            energy[y // 8, x // 8] += abs(diff)
            level = diff / (sd + np.float32(FLOOR)) / np.float32(STEP)
            level = min(max(level, np.float32(-7)), np.float32(7))
            out[y, x] = np.int8(np.floor(level + np.float32(0.5)))
    textured = 0
    for j in range(8):
        for i in range(8):
            if energy[j, i] > 1.5 * 64:
                textured += 1
    return out, textured, count / (n * n)


@njit(cache=True, nogil=True)
def smooth(levels: NDArray[np.int8], narrow: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The thumbnail smoothed over valid cells (in local standard deviations), and the share of valid cells around."""
    n = SIDE
    v = np.zeros((n, n), np.float32)
    z = np.zeros((n, n), np.float32)
    for y in range(n):
        for x in range(n):
            if levels[y, x] != INVALID:
                v[y, x] = 1.0
                z[y, x] = levels[y, x] * np.float32(STEP)
    b = blur(v, narrow)
    s = blur(z, narrow)
    for y in range(n):
        for x in range(n):
            s[y, x] = s[y, x] / b[y, x] if b[y, x] > 0.05 else np.float32(0)
    return s, b
