"""The second look: how far two thumbnails agree where one is laid upon the other, and in which blocks.

Owns the figures and how they are taken. Refuses to decide what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.looked import Looked
from models.placing import AS_IS, Placing
from models.registration import CENTRE, register
from models.thumbnail import SIDE

BLOCKS: Final = 8
"""Blocks a side in which agreement is voted."""
AGREES: Final = 0.5
"""Correlation above which a block agrees."""
TEXTURE: Final = 0.03
"""Variance, in squared local standard deviations, below which a block has nothing in it to compare."""
LEAST_CELLS: Final = 100
"""Common cells (of 4096) below which nothing is said."""
INTACT: Final = 0.35
"""Share of the textured blocks that must be intact for `intact` to be high: the rest may be hidden or torn."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two thumbnails agree once registered.

    `correlation` over all common cells, `fine` of the fine band, `share` of the textured energy in agreeing blocks,
    `blocks` agreeing of `textured` common blocks. `covered` is the share of the query's valid cells that fall into
    the stored frame, `overlap` the common share of the stored frame's valid cells. `intact` is the correlation that
    the best 35 % of the blocks reach at least: high also where the rest is hidden. `score` is the mean of
    correlation, fine and share. `placing` is the affine map that was found.
    """

    score: float
    correlation: float
    fine: float
    share: float
    blocks: int
    textured: int
    covered: float
    overlap: float
    intact: float
    placing: tuple[float, float, float, float, float, float]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _laid(
    flat: NDArray[np.float32],
    fine: NDArray[np.float32],
    whole: NDArray[np.float32],
    p: NDArray[np.float64],
    y: int,
    sign: float,
    out: NDArray[np.float32],
) -> float:
    """Fill `out` (3, 64) with the query under one row of the scene: softened, fine, and 1 where there is any of it.

    Returns how many cells there are. Without a branch, as `_sums`.
    """
    centre, half, last = np.float32(CENTRE), np.float32(0.5), np.float32(SIDE - 1.001)
    edge, turned, one = np.float32(SIDE - 0.5), np.float32(sign), np.float32(1)
    v = np.float32(y) - centre
    px, py = np.float32(p[0]), np.float32(p[3])
    x0 = np.float32(p[1]) * v + np.float32(p[2]) + centre
    y0 = np.float32(p[4]) * v + np.float32(p[5]) + centre
    inside = np.float32(0)
    for x in range(SIDE):
        u = np.float32(x) - centre
        fx, fy = px * u + x0, py * u + y0
        inx, iny = min(max(fx, np.float32(0)), last), min(max(fy, np.float32(0)), last)
        ix, jy = np.int32(inx), np.int32(iny)
        at = np.uint32(jy * SIDE + ix)
        there = whole[at] if min(fx, fy) >= -half and max(fx, fy) <= edge else np.float32(0)
        wx, wy = inx - np.float32(ix), iny - np.float32(jy)
        a, b, c, d = (one - wx) * (one - wy), wx * (one - wy), (one - wx) * wy, wx * wy
        right, below, across = at + np.uint32(1), at + np.uint32(SIDE), at + np.uint32(SIDE + 1)
        out[0, x] = turned * (flat[at] * a + flat[right] * b + flat[below] * c + flat[across] * d)
        out[1, x] = turned * (fine[at] * a + fine[right] * b + fine[below] * c + fine[across] * d)
        out[2, x] = there
        inside += there
    return float(inside)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _add(
    laid: NDArray[np.float32],
    s: NDArray[np.float32],
    sfine: NDArray[np.float32],
    sok: NDArray[np.float32],
    sums: NDArray[np.float64],
    fsum: NDArray[np.float64],
) -> None:
    """Add one row of cells to the sums of its blocks, and of the fine band."""
    side = SIDE // BLOCKS
    for i in range(BLOCKS):
        n = mean = other = square = its = product = ff = gg = fg = np.float32(0)
        for x in range(i * side, i * side + side):
            both = sok[x] * laid[2, x]
            value, t, f, g = both * laid[0, x], both * s[x], both * laid[1, x], both * sfine[x]
            n += both
            mean += value
            other += t
            square += value * value
            its += t * t
            product += value * t
            ff += f * f
            gg += g * g
            fg += f * g
        c = sums[i]
        c[0] += n
        c[1] += mean
        c[2] += other
        c[3] += square
        c[4] += its
        c[5] += product
        fsum[0] += ff
        fsum[1] += gg
        fsum[2] += fg


@njit(cache=True, nogil=True, error_model="numpy")
def agreement(
    q: NDArray[np.float32],
    qfine: NDArray[np.float32],
    qwhole: NDArray[np.float32],
    s: NDArray[np.float32],
    sfine: NDArray[np.float32],
    sok: NDArray[np.float32],
    p: NDArray[np.float64],
    sign: float,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """The figures (see `Agreement`, in its order, without score and placing) and the correlations of the blocks.

    Blocks without texture in either picture, or not common to both, hold -2.
    """
    side = SIDE // BLOCKS
    sums = np.zeros((BLOCKS, BLOCKS, 6))
    fsum = np.zeros(3)
    laid = np.empty((3, SIDE), np.float32)
    flat, fine, whole = q.ravel(), qfine.ravel(), qwhole.ravel()
    valid, seen, inside = whole.sum(), sok.sum(), 0.0
    for y in range(SIDE):
        inside += _laid(flat, fine, whole, p, y, sign, laid)
        _add(laid, s[y], sfine[y], sok[y], sums[y // side], fsum)
    blocks = np.full((BLOCKS, BLOCKS), np.float32(-2), np.float32)
    best = np.empty(BLOCKS * BLOCKS)
    agreeing, textured = 0, 0
    energy, agreed = 0.0, 0.0
    total = np.zeros(6)
    for j in range(BLOCKS):
        for i in range(BLOCKS):
            c = sums[j, i]
            total += c
            if c[0] < side * side // 2:
                continue
            vq = max(c[3] / c[0] - (c[1] / c[0]) ** 2, 0.0)
            vs = max(c[4] / c[0] - (c[2] / c[0]) ** 2, 0.0)
            if vq < TEXTURE and vs < TEXTURE:
                continue
            norm = np.sqrt(max(vq, TEXTURE) * max(vs, TEXTURE))
            r = (c[5] / c[0] - c[1] * c[2] / c[0] ** 2) / norm
            blocks[j, i] = r
            best[textured] = r
            textured += 1
            energy += norm * c[0]
            if r >= AGREES:
                agreeing += 1
                agreed += norm * c[0]
    out = np.zeros(8)
    out[4] = textured
    out[6] = total[0] / max(seen, 1.0)
    if total[0] < LEAST_CELLS:
        return out, blocks
    vq = total[3] / total[0] - (total[1] / total[0]) ** 2
    vs = total[4] / total[0] - (total[2] / total[0]) ** 2
    out[0] = (total[5] / total[0] - total[1] * total[2] / total[0] ** 2) / np.sqrt(max(vq, 1e-6) * max(vs, 1e-6))
    out[1] = fsum[2] / np.sqrt(max(fsum[0] * fsum[1], 1e-9))
    out[2] = agreed / energy if energy > 0 else 0.0
    out[3] = agreeing
    out[5] = min(1.0, inside * abs(p[0] * p[4] - p[1] * p[3]) / max(valid, 1.0))
    if textured > 0:
        ranked = np.sort(best[:textured])
        out[7] = ranked[min(textured - 1, int(textured * (1.0 - INTACT)))]
    return out, blocks


@njit(cache=True, nogil=True, error_model="numpy")
def correlation_at(
    q: NDArray[np.float32],
    qwhole: NDArray[np.float32],
    s: NDArray[np.float32],
    sok: NDArray[np.float32],
    p: NDArray[np.float64],
    sign: float,
) -> float:
    """The correlation of the softened planes under an affine map; 1 with fewer than LEAST_CELLS in common."""
    flat, whole = q.ravel(), qwhole.ravel()
    laid = np.empty((3, SIDE), np.float32)
    n = mean = other = square = its = product = 0.0
    for y in range(0, SIDE, 2):
        _laid(flat, flat, whole, p, y, sign, laid)
        c = _moments(laid, s[y], sok[y])
        n += float(c[0])
        mean += float(c[1])
        other += float(c[2])
        square += float(c[3])
        its += float(c[4])
        product += float(c[5])
    if 2 * n < LEAST_CELLS:
        return 1.0
    vq, vs = square / n - (mean / n) ** 2, its / n - (other / n) ** 2
    return float((product / n - mean * other / n**2) / np.sqrt(max(vq, 1e-6) * max(vs, 1e-6)))


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _moments(
    laid: NDArray[np.float32], s: NDArray[np.float32], sok: NDArray[np.float32]
) -> tuple[np.float32, np.float32, np.float32, np.float32, np.float32, np.float32]:
    """Sums over one row of common cells: their number, both values, both squares, the product."""
    n = mean = other = square = its = product = np.float32(0)
    for x in range(SIDE):
        both = sok[x] * laid[2, x]
        value, t = both * laid[0, x], both * s[x]
        n += both
        mean += value
        other += t
        square += value * value
        its += t * t
        product += value * t
    return n, mean, other, square, its, product


@njit(cache=True, nogil=True, error_model="numpy")
def across_at(
    q: NDArray[np.float32],
    qwhole: NDArray[np.float32],
    s: NDArray[np.float32],
    sok: NDArray[np.float32],
    p: NDArray[np.float64],
    sign: float,
) -> float:
    """The lesser of the correlations within the scene's rows and within its columns under an affine map."""
    flat, whole = q.ravel(), qwhole.ravel()
    laid = np.empty((3, SIDE), np.float32)
    planes = np.empty((3, SIDE, SIDE), np.float32)
    for y in range(SIDE):
        _laid(flat, flat, whole, p, y, sign, laid)
        for x in range(SIDE):
            planes[0, y, x], planes[1, y, x], planes[2, y, x] = laid[0, x], s[y, x], laid[2, x] * sok[y, x]
    return min(_within(planes), _within(np.ascontiguousarray(planes.transpose(0, 2, 1))))


@njit(cache=True, nogil=True, error_model="numpy")
def _within(planes: NDArray[np.float32]) -> float:
    """The correlation of the first two planes where the third is 1, with each row's means taken off; 0 with fewer than
    LEAST_CELLS in common, and small where that leaves nothing to compare."""
    n = square = its = product = 0.0
    for y in range(SIDE):
        k = mean = other = 0.0
        for x in range(SIDE):
            both = planes[2, y, x]
            k += both
            mean += both * planes[0, y, x]
            other += both * planes[1, y, x]
        if k == 0.0:
            continue
        n += k
        for x in range(SIDE):
            both, value, t = planes[2, y, x], planes[0, y, x] - mean / k, planes[1, y, x] - other / k
            square += both * value * value
            its += both * t * t
            product += both * value * t
    return float(product / np.sqrt(max(square, n * TEXTURE) * max(its, n * TEXTURE))) if n >= LEAST_CELLS else 0.0


def glance(query: Looked, scene: Looked, placing: Placing = AS_IS, *, negative: bool = False) -> float:
    """Their correlation where `placing` lays them, before any registration; 1 where too little is common to say."""
    ax, bx, ay, by = placing
    p = np.array((ax, 0.0, bx, 0.0, ay, by), np.float64)
    sign = -1.0 if negative else 1.0
    return float(correlation_at(query.soft, query.whole, scene.soft, scene.ok, p, sign))


def compare(query: Looked, scene: Looked, placing: Placing = AS_IS, *, negative: bool = False) -> Agreement:
    """Register the query on the scene, starting from `placing`, and say how far they agree."""
    ax, bx, ay, by = placing
    start = np.array((ax, 0.0, bx, 0.0, ay, by), np.float64)
    p = register(query.soft, query.whole, scene.soft, scene.ok, start, -1.0 if negative else 1.0)
    return agree_at(query, scene, (p[0], p[1], p[2], p[3], p[4], p[5]), negative=negative)


def agree_at(
    query: Looked, scene: Looked, placing: tuple[float, float, float, float, float, float], *, negative: bool = False
) -> Agreement:
    """How far they agree under this affine map, as it is."""
    p = np.array(placing, np.float64)
    sign = -1.0 if negative else 1.0
    f, _ = agreement(query.soft, query.fine, query.whole, scene.soft, scene.fine, scene.ok, p, sign)
    score = (max(f[0], 0.0) + max(f[1], 0.0) + f[2]) / 3
    return Agreement(
        float(score),
        float(f[0]),
        float(f[1]),
        float(f[2]),
        int(f[3]),
        int(f[4]),
        float(f[5]),
        float(f[6]),
        float(f[7]),
        (float(p[0]), float(p[1]), float(p[2]), float(p[3]), float(p[4]), float(p[5])),
    )


def across(query: Looked, scene: Looked, a: Agreement, *, negative: bool = False) -> float:
    """The correlation that is left where they agree so, when each row of the scene is brought to the same mean, or each
    column: the lesser of the two. Pictures that have nothing but bands or bars in common have next to nothing left."""
    p = np.array(a.placing, np.float64)
    return float(across_at(query.soft, query.whole, scene.soft, scene.ok, p, -1.0 if negative else 1.0))


def blocks_at(
    query: Looked, scene: Looked, placing: tuple[float, float, float, float, float, float], *, negative: bool = False
) -> NDArray[np.float32]:
    """The correlation of each block of the scene under this affine map, (8, 8); -2 where nothing can be compared."""
    p = np.array(placing, np.float64)
    sign = -1.0 if negative else 1.0
    return agreement(query.soft, query.fine, query.whole, scene.soft, scene.fine, scene.ok, p, sign)[1]
