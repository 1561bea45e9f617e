"""The second look: lays one thumbnail upon another and says how far they agree, and where.

Owns the registration (an affine map, by robust Gauss-Newton) and the scores that come from it. Refuses to decide what
the scores mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.placing import AS_IS, Placing
from models.thumbnail import INVALID, SIDE, STEP, blurring, gaussian

_soft = blurring(gaussian(0.8))
"""Smoothing, in cells, before the registration: levels are coarse, and sub-cell gradients need a little width."""
_band = blurring(gaussian(1.2))
"""What is subtracted for the fine band: coarse light and dark agree between places, fine texture does not."""
CENTRE: Final = (SIDE - 1) / 2.0
"""The middle of a thumbnail, in cells: an affine map turns around it."""
BLOCKS: Final = 8
"""Blocks a side in which agreement is voted."""
AGREES: Final = 0.5
"""Correlation above which a block agrees."""
ROUNDS: Final = 10
"""Gauss-Newton steps at most; it ends earlier when a step moves less than 0.02 cells."""
COARSE_ROUNDS: Final = 4
"""Of these, how many use every fourth cell; the others use every second one."""
LEAST_USED: Final = 120
"""Common cells below which nothing is registered."""
HUBER: Final = 0.8
"""Residual, in local standard deviations, beyond which a cell counts less."""
PRIOR: Final = np.array((400.0, 4000.0, 0.5, 4000.0, 400.0, 0.5))
"""Weight, in cells, of the wish that scale (xx, yy), shear (xy, yx) and shift (x0, y0) stay as they are."""
TEXTURE: Final = 0.03
"""Variance, in squared local standard deviations, below which a block has nothing in it to compare."""
LEAST_CELLS: Final = 100
"""Common cells (of 4096) below which nothing is said."""
LEAST_WEIGHT: Final = np.float32(1e-9)
"""Stands for no weight at all where something is divided by it."""
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


@njit(cache=True, nogil=True, error_model="numpy")
def planes(levels: NDArray[np.int8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """A thumbnail softened, and 1 or 0: which cells are valid, and which with those right and below."""
    n = SIDE
    ok, z = _spread(levels)
    s = _soft(z)
    b = _soft(ok)
    whole = np.empty((n, n), np.float32)
    for y in range(n):
        below = min(y + 1, n - 1)
        for x in range(n):
            s[y, x] = ok[y, x] * s[y, x] / max(b[y, x], LEAST_WEIGHT)
        for x in range(n - 1):
            whole[y, x] = ok[y, x] * ok[y, x + 1] * ok[below, x] * ok[below, x + 1]
        whole[y, n - 1] = ok[y, n - 1] * ok[below, n - 1]
    return s, ok, whole


@njit(cache=True, nogil=True, error_model="numpy")
def fine_band(levels: NDArray[np.int8]) -> NDArray[np.float32]:
    """The fine band of a thumbnail: what its surroundings do not explain; 0 where nothing is seen."""
    ok, z = _spread(levels)
    wide = _band(z)
    weight = _band(ok)
    for y in range(SIDE):
        for x in range(SIDE):
            wide[y, x] = ok[y, x] * (z[y, x] - wide[y, x] / max(weight[y, x], LEAST_WEIGHT))
    return wide


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(levels: NDArray[np.int8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Which cells are valid, 1 or 0, and the levels in local standard deviations, 0 where nothing is seen."""
    ok = np.zeros((SIDE, SIDE), np.float32)
    z = np.zeros((SIDE, SIDE), np.float32)
    for y in range(SIDE):
        for x in range(SIDE):
            if levels[y, x] != INVALID:
                ok[y, x] = 1.0
                z[y, x] = levels[y, x] * np.float32(STEP)
    return ok, z


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Solve a x = b in place (x in b); a is symmetric and positive. False when it is singular."""
    n = b.size
    for k in range(n):
        if abs(a[k, k]) < 1e-9:
            return False
        for r in range(k + 1, n):
            f = a[r, k] / a[k, k]
            for c in range(k, n):
                a[r, c] -= f * a[k, c]
            b[r] -= f * b[k]
    for k in range(n - 1, -1, -1):
        for c in range(k + 1, n):
            b[k] -= a[k, c] * b[c]
        b[k] /= a[k, k]
    return True


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _sums(
    flat: NDArray[np.float32],
    whole: NDArray[np.float32],
    s: NDArray[np.float32],
    sok: NDArray[np.float32],
    p: NDArray[np.float64],
    y: int,
    first: int,
    stride: int,
    sign: float,
    out: NDArray[np.float32],
) -> None:
    """What every `stride`-th cell of one row adds to the normal equations, but for the factors that are of the row.

    Sums of the weighted gradient products times 1, u and u u: along x, mixed, along y; then of the gradients times the
    residual and 1 and u, along x and along y; last the number of cells. Without a branch, so that the compiler takes
    many cells at once.
    """
    xx0 = xx1 = xx2 = xy0 = xy1 = xy2 = yy0 = yy1 = yy2 = np.float32(0)
    rx0 = rx1 = ry0 = ry1 = count = np.float32(0)
    one, last = np.float32(1), np.float32(SIDE - 1.001)
    centre = np.float32(CENTRE)
    turned = np.float32(sign)
    v = np.float32(y) - centre
    px, py = np.float32(p[0]), np.float32(p[3])
    x0 = np.float32(p[1]) * v + np.float32(p[2]) + centre
    y0 = np.float32(p[4]) * v + np.float32(p[5]) + centre
    limit = np.float32(HUBER * HUBER)
    for k in range((SIDE - first + stride - 1) // stride):
        x = first + k * stride
        u = np.float32(x) - centre
        fx, fy = px * u + x0, py * u + y0
        inx, iny = min(max(fx, np.float32(0)), last), min(max(fy, np.float32(0)), last)
        ix, jy = np.int32(inx), np.int32(iny)
        at = np.uint32(jy * SIDE + ix)
        used = sok[x] * whole[at] if fx == inx and fy == iny else np.float32(0)
        wx, wy = inx - np.float32(ix), iny - np.float32(jy)
        q00, q01 = flat[at], flat[at + np.uint32(1)]
        q10, q11 = flat[at + np.uint32(SIDE)], flat[at + np.uint32(SIDE + 1)]
        above, below = q01 - q00, q11 - q10
        gx = turned * (above * (one - wy) + below * wy)
        gy = turned * ((q10 - q00) * (one - wx) + (q11 - q01) * wx)
        r = s[x] - turned * ((q00 + above * wx) * (one - wy) + (q10 + below * wx) * wy)
        w = used * min(one, limit / max(r * r, np.float32(1e-12)))
        wgx, wgy = w * gx, w * gy
        t = wgx * gx
        xx0 += t
        xx1 += t * u
        xx2 += t * u * u
        t = wgx * gy
        xy0 += t
        xy1 += t * u
        xy2 += t * u * u
        t = wgy * gy
        yy0 += t
        yy1 += t * u
        yy2 += t * u * u
        t = wgx * r
        rx0 += t
        rx1 += t * u
        t = wgy * r
        ry0 += t
        ry1 += t * u
        count += used
    out[0], out[1], out[2], out[3], out[4], out[5], out[6] = xx0, xx1, xx2, xy0, xy1, xy2, yy0
    out[7], out[8], out[9], out[10], out[11], out[12], out[13] = yy1, yy2, rx0, rx1, ry0, ry1, count


@njit(cache=True, nogil=True, error_model="numpy")
def register(
    q: NDArray[np.float32],
    qwhole: NDArray[np.float32],
    s: NDArray[np.float32],
    sok: NDArray[np.float32],
    start: NDArray[np.float64],
    sign: float,
) -> NDArray[np.float64]:
    """The affine map (xx, xy, x0, yx, yy, y0) near `start` that lays the softened scene best upon the softened query.

    `sign` is -1 for a negative. Priors hold shear and scale where nothing in the picture determines them.
    """
    p = start.copy()
    a = np.zeros((6, 6))
    b = np.zeros(6)
    row = np.empty(14, np.float32)
    flat, whole = q.ravel(), qwhole.ravel()
    stride = 4
    for step in range(ROUNDS):
        a[:] = 0.0
        b[:] = 0.0
        count = 0.0
        for y in range(SIDE):
            _sums(flat, whole, s[y], sok[y], p, y, (y + step) % stride, stride, sign, row)
            v = y - CENTRE
            count += row[13]
            for m in range(3):
                s0, s1, s2 = row[3 * m], row[3 * m + 1], row[3 * m + 2]
                i, k = (0, 0) if m == 0 else ((0, 3) if m == 1 else (3, 3))
                a[i, k] += s2
                a[i, k + 1] += s1 * v
                a[i, k + 2] += s1
                a[i + 1, k + 1] += s0 * v * v
                a[i + 1, k + 2] += s0 * v
                a[i + 2, k + 2] += s0
                if m == 1:
                    a[i + 1, k] += s1 * v
                    a[i + 2, k] += s1
                    a[i + 2, k + 1] += s0 * v
            b[0] += row[10]
            b[1] += row[9] * v
            b[2] += row[9]
            b[3] += row[12]
            b[4] += row[11] * v
            b[5] += row[11]
        if count * stride < LEAST_USED:
            return p
        for m in range(6):
            for k in range(m):
                a[m, k] = a[k, m]
            a[m, m] = a[m, m] * 1.001 + PRIOR[m] * 2 / stride
        b[1] -= PRIOR[1] * p[1] * 2 / stride
        b[3] -= PRIOR[3] * p[3] * 2 / stride
        if not _solve(a, b):
            return p
        biggest = 0.0
        for m in range(6):
            shift = m == 2 or m == 5
            reach = 2.0 if shift else 0.06
            d = min(max(b[m], -reach), reach)
            p[m] += d
            biggest = max(biggest, abs(d) * (1.0 if shift else 30.0))
        if stride == 2 and biggest < 0.03:
            break
        if step >= COARSE_ROUNDS or biggest < 0.2:
            stride = 2
    return p


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


class Looked:
    """A thumbnail made ready for the second look: its planes are worked out once and used for every candidate."""

    __slots__ = ("_fine", "_levels", "ok", "soft", "whole")

    def __init__(self, levels: NDArray[np.int8]) -> None:
        self.soft, self.ok, self.whole = planes(levels)
        self._levels = levels
        self._fine: NDArray[np.float32] | None = None

    @property
    def fine(self) -> NDArray[np.float32]:
        """The fine band; most candidates are dismissed without it."""
        if self._fine is None:
            self._fine = fine_band(self._levels)
        return self._fine


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


def blocks_at(
    query: Looked, scene: Looked, placing: tuple[float, float, float, float, float, float], *, negative: bool = False
) -> NDArray[np.float32]:
    """The correlation of each block of the scene under this affine map, (8, 8); -2 where nothing can be compared."""
    p = np.array(placing, np.float64)
    sign = -1.0 if negative else 1.0
    return agreement(query.soft, query.fine, query.whole, scene.soft, scene.fine, scene.ok, p, sign)[1]
