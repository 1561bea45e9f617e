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


@njit(cache=True, nogil=True)
def planes(
    levels: NDArray[np.int8],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """A thumbnail softened, its fine band, and which cells are valid."""
    n = SIDE
    v = np.zeros((n, n), np.float32)
    z = np.zeros((n, n), np.float32)
    ok = np.zeros((n, n), np.bool_)
    for y in range(n):
        for x in range(n):
            if levels[y, x] != INVALID:
                v[y, x] = 1.0
                ok[y, x] = True
                z[y, x] = levels[y, x] * np.float32(STEP)
    s = _soft(z)
    b = _soft(v)
    wide = _band(z)
    wb = _band(v)
    fine = np.zeros((n, n), np.float32)
    for y in range(n):
        for x in range(n):
            if ok[y, x]:
                s[y, x] /= b[y, x]
                fine[y, x] = z[y, x] - wide[y, x] / wb[y, x]
            else:
                s[y, x] = 0.0
    return s, fine, ok


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def register(
    q: NDArray[np.float32],
    qok: NDArray[np.bool_],
    s: NDArray[np.float32],
    sok: NDArray[np.bool_],
    start: NDArray[np.float64],
    sign: float,
) -> NDArray[np.float64]:
    """The affine map (xx, xy, x0, yx, yy, y0) near `start` that lays the softened scene best upon the softened query.

    `sign` is -1 for a negative. Priors hold shear and scale where nothing in the picture determines them.
    """
    p = start.copy()
    centre = (SIDE - 1) / 2.0
    a = np.zeros((6, 6))
    b = np.zeros(6)
    stride = 4
    for step in range(ROUNDS):
        a[:] = 0.0
        b[:] = 0.0
        count = 0
        for y in range(SIDE):
            v = y - centre
            # sums along a row of weighted gradient products times 1, u, u u; they meet v below
            xx0 = xx1 = xx2 = xy0 = xy1 = xy2 = yy0 = yy1 = yy2 = 0.0
            rx0 = rx1 = ry0 = ry1 = 0.0
            for x in range((y + step) % stride, SIDE, stride):
                if not sok[y, x]:
                    continue
                u = x - centre
                fx = p[0] * u + p[1] * v + p[2] + centre
                fy = p[3] * u + p[4] * v + p[5] + centre
                if fx < 0.0 or fx > SIDE - 1.001 or fy < 0.0 or fy > SIDE - 1.001:
                    continue
                ix, jy = int(fx), int(fy)
                if not (qok[jy, ix] and qok[jy + 1, ix + 1] and qok[jy, ix + 1] and qok[jy + 1, ix]):
                    continue
                wx, wy = fx - ix, fy - jy
                q00, q01, q10, q11 = q[jy, ix], q[jy, ix + 1], q[jy + 1, ix], q[jy + 1, ix + 1]
                value = (q00 * (1 - wx) + q01 * wx) * (1 - wy) + (q10 * (1 - wx) + q11 * wx) * wy
                gx = sign * ((q01 - q00) * (1 - wy) + (q11 - q10) * wy)
                gy = sign * ((q10 - q00) * (1 - wx) + (q11 - q01) * wx)
                r = s[y, x] - sign * value
                w = 1.0
                if abs(r) > HUBER:
                    w = (HUBER / abs(r)) ** 2
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
                rx0 += wgx * r
                rx1 += wgx * r * u
                ry0 += wgy * r
                ry1 += wgy * r * u
                count += 1
            for m, s0, s1, s2 in ((0, xx0, xx1, xx2), (1, xy0, xy1, xy2), (2, yy0, yy1, yy2)):
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
            b[0] += rx1
            b[1] += rx0 * v
            b[2] += rx0
            b[3] += ry1
            b[4] += ry0 * v
            b[5] += ry0
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


@njit(cache=True, nogil=True)
def agreement(
    q: NDArray[np.float32],
    qfine: NDArray[np.float32],
    qok: NDArray[np.bool_],
    s: NDArray[np.float32],
    sfine: NDArray[np.float32],
    sok: NDArray[np.bool_],
    p: NDArray[np.float64],
    sign: float,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """The figures (see `Agreement`, in its order, without score and placing) and the correlations of the blocks.

    Blocks without texture in either picture, or not common to both, hold -2.
    """
    n, side = SIDE, SIDE // BLOCKS
    centre = (SIDE - 1) / 2.0
    sums = np.zeros((BLOCKS, BLOCKS, 6))
    fsum = np.zeros(3)
    valid = 0
    inside = 0
    seen = 0
    for y in range(n):
        for x in range(n):
            if (
                qok[y, x]
                and qok[min(y + 1, n - 1), x]
                and qok[y, min(x + 1, n - 1)]
                and qok[min(y + 1, n - 1), min(x + 1, n - 1)]
            ):
                valid += 1
            if sok[y, x]:
                seen += 1
            u, v = x - centre, y - centre
            fx = p[0] * u + p[1] * v + p[2] + centre
            fy = p[3] * u + p[4] * v + p[5] + centre
            if fx < -0.5 or fx > n - 0.5 or fy < -0.5 or fy > n - 0.5:
                continue
            fx, fy = min(max(fx, 0.0), n - 1.001), min(max(fy, 0.0), n - 1.001)
            ix, jy = int(fx), int(fy)
            if not (qok[jy, ix] and qok[jy + 1, ix + 1] and qok[jy, ix + 1] and qok[jy + 1, ix]):
                continue
            inside += 1
            if not sok[y, x]:
                continue
            wx, wy = fx - ix, fy - jy
            value = sign * (
                (q[jy, ix] * (1 - wx) + q[jy, ix + 1] * wx) * (1 - wy)
                + (q[jy + 1, ix] * (1 - wx) + q[jy + 1, ix + 1] * wx) * wy
            )
            f = sign * (
                (qfine[jy, ix] * (1 - wx) + qfine[jy, ix + 1] * wx) * (1 - wy)
                + (qfine[jy + 1, ix] * (1 - wx) + qfine[jy + 1, ix + 1] * wx) * wy
            )
            t = s[y, x]
            c = sums[y // side, x // side]
            c[0] += 1
            c[1] += value
            c[2] += t
            c[3] += value * value
            c[4] += t * t
            c[5] += value * t
            fsum[0] += f * f
            fsum[1] += sfine[y, x] * sfine[y, x]
            fsum[2] += f * sfine[y, x]
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
    out[6] = total[0] / max(seen, 1)
    if total[0] < LEAST_CELLS:
        return out, blocks
    vq = total[3] / total[0] - (total[1] / total[0]) ** 2
    vs = total[4] / total[0] - (total[2] / total[0]) ** 2
    out[0] = (total[5] / total[0] - total[1] * total[2] / total[0] ** 2) / np.sqrt(max(vq, 1e-6) * max(vs, 1e-6))
    out[1] = fsum[2] / np.sqrt(max(fsum[0] * fsum[1], 1e-9))
    out[2] = agreed / energy if energy > 0 else 0.0
    out[3] = agreeing
    out[5] = min(1.0, inside * abs(p[0] * p[4] - p[1] * p[3]) / max(valid, 1))
    if textured > 0:
        ranked = np.sort(best[:textured])
        out[7] = ranked[min(textured - 1, int(textured * (1.0 - INTACT)))]
    return out, blocks


class Looked:
    """A thumbnail made ready for the second look: its planes are worked out once and used for every candidate."""

    __slots__ = ("fine", "ok", "soft")

    def __init__(self, levels: NDArray[np.int8]) -> None:
        self.soft, self.fine, self.ok = planes(levels)


def compare(query: Looked, scene: Looked, placing: Placing = AS_IS, *, negative: bool = False) -> Agreement:
    """Register the query on the scene, starting from `placing`, and say how far they agree."""
    ax, bx, ay, by = placing
    start = np.array((ax, 0.0, bx, 0.0, ay, by), np.float64)
    p = register(query.soft, query.ok, scene.soft, scene.ok, start, -1.0 if negative else 1.0)
    return agree_at(query, scene, (p[0], p[1], p[2], p[3], p[4], p[5]), negative=negative)


def agree_at(
    query: Looked, scene: Looked, placing: tuple[float, float, float, float, float, float], *, negative: bool = False
) -> Agreement:
    """How far they agree under this affine map, as it is."""
    p = np.array(placing, np.float64)
    sign = -1.0 if negative else 1.0
    f, _ = agreement(query.soft, query.fine, query.ok, scene.soft, scene.fine, scene.ok, p, sign)
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
    return agreement(query.soft, query.fine, query.ok, scene.soft, scene.fine, scene.ok, p, sign)[1]
