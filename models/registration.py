"""Lays one thumbnail upon another: the affine map under which they lie best, by robust Gauss-Newton.

Owns the map's steps and the wish that holds it where nothing in the pictures determines it. Refuses to say how far the
two agree then (models/agreement.py).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.thumbnail import SIDE

CENTRE: Final = (SIDE - 1) / 2.0
"""The middle of a thumbnail, in cells: an affine map turns around it."""
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
