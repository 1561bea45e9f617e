"""A small ray caster: a camera's view, convex solids and ellipsoids, and the layers that they are painted on.

Owns geometry: where rays go and what they meet. Refuses to decide what stands where (room.py, street.py) and what
light makes of it (stage.py). World coordinates are metres: x right, y up, z away. Depths are along the camera's axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from streams.simulator.render.texture import Floats, Material, noise

WIDE, HIGH = 648, 368
"""Size in which surfaces are cast. A stage is twice that; cheap cameras' optics resolve no more."""
COARSE = 8
"""Every how many-th ray is tried first, to find the part of the view that a thing can cover."""

NEAREST, FAR = 0.08, 1e9
"""Depths in metres: nothing nearer than the first is met, and the second stands for nothing met."""

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of the view, in rays."""

    top: int = 0
    bottom: int = HIGH
    left: int = 0
    right: int = WIDE

    @property
    def area(self) -> tuple[slice, slice]:
        """The rectangle as an index of a (HIGH, WIDE) array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera is and looks: angles in radians, `focal` in half widths, `barrel` the lens's bend."""

    eye: Vector
    yaw: float
    pitch: float
    roll: float
    focal: float
    barrel: float

    def rays(self, part: Window, step: int = 1) -> Floats:
        """Directions of the rays of `part`, float32 (3, rows, columns); the depth along the axis is 1."""
        y = (np.arange(part.top, part.bottom, step, dtype=np.float32) - HIGH / 2) / (WIDE / 2)
        x = (np.arange(part.left, part.right, step, dtype=np.float32) - WIDE / 2) / (WIDE / 2)
        bend = (1 + self.barrel * (x[None, :] ** 2 + y[:, None] ** 2)) / self.focal
        across, down = bend * x[None, :], bend * y[:, None]
        turn = self._turn()
        return np.stack([turn[k, 0] * across - turn[k, 1] * down + turn[k, 2] for k in range(3)]).astype(np.float32)

    def _turn(self) -> Floats:
        cy, sy = math.cos(self.yaw), math.sin(self.yaw)
        cp, sp = math.cos(self.pitch), math.sin(self.pitch)
        cr, sr = math.cos(self.roll), math.sin(self.roll)
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        turn: Floats = yaw @ pitch @ roll
        return turn.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Light:
    """A source at a place; its strength halves at `reach` metres. The sun is far away with a far reach."""

    at: Vector
    reach: float

    def on(self, points: Floats, normals: Floats) -> Floats:
        """Light that falls on points (3, n) with normals (3, n), in [0, 1]."""
        x, y, z = (np.float32(self.at[k]) - points[k] for k in range(3))
        square = x * x + y * y + z * z + np.float32(1e-6)
        cosine: Floats = x * normals[0] + y * normals[1] + z * normals[2]
        np.maximum(cosine, 0, out=cosine)
        cosine /= np.sqrt(square) * (1 + square * np.float32(self.reach**-2))
        return cosine


@dataclass(slots=True)
class Layers:
    """What is known of each ray of a window: the arrays that light turns into a picture.

    `albedo` RGB reflectance; `depth` metres; `sun` and `lamp` light of the two sources; `open` how much daylight it
    sends itself (sky, window panes); `glow` the same after dark (lamps, screens, lit windows); `shade` ambient
    light let through, 1 in the open; `cover` 1 where something was painted.
    """

    albedo: Floats
    depth: Floats
    sun: Floats
    lamp: Floats
    open: Floats
    glow: Floats
    shade: Floats
    cover: NDArray[np.bool_]

    @classmethod
    def blank(cls, rows: int, columns: int) -> Layers:
        """Nothing painted yet, everything infinitely far."""
        shape = (rows, columns)
        sun, lamp, sky, glow = (np.zeros(shape, np.float32) for _ in range(4))
        return cls(
            albedo=np.zeros((*shape, 3), np.float32), depth=np.full(shape, FAR, np.float32), sun=sun, lamp=lamp,
            open=sky, glow=glow, shade=np.ones(shape, np.float32), cover=np.zeros(shape, np.bool_),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Skin:
    """Materials of a solid's faces: its sides, its front and back (z), its top. `open`, `glow` as in Layers."""

    side: Material
    front: Material | None = None
    top: Material | None = None
    open: float = 0.0
    glow: float = 0.0


@dataclass(frozen=True, slots=True)
class Solid:
    """A convex body: in its own frame, the points with normals·p <= offsets. It stands at `at`, turned by `yaw`."""

    normals: NDArray[np.float32]
    offsets: NDArray[np.float32]
    at: Vector
    yaw: float
    skin: Skin
    corner: tuple[float, float] = (0.0, 0.0)

    def moved(self, at: Vector, yaw: float) -> Solid:
        """The same body carried along: `at` and `yaw` are of the frame in which it stands now."""
        x, z = spun(self.at[0], self.at[2], yaw)
        return replace(self, at=(at[0] + x, at[1] + self.at[1], at[2] + z), yaw=self.yaw + yaw)


@dataclass(frozen=True, slots=True)
class Ball:
    """An ellipsoid around `at`; with `leaf` in (0, 1] it is pierced like foliage, more with a lower value."""

    at: Vector
    radii: Vector
    material: Material
    leaf: float = 1.0
    glow: float = 0.0
    yaw: float = 0.0

    def moved(self, at: Vector, yaw: float) -> Ball:
        """The same body carried along, as Solid.moved."""
        x, z = spun(self.at[0], self.at[2], yaw)
        return replace(self, at=(at[0] + x, at[1] + self.at[1], at[2] + z), yaw=self.yaw + yaw)


Body = Solid | Ball


def spun(x: float, z: float, yaw: float) -> tuple[float, float]:
    """A point of the plan turned about the origin."""
    return x * math.cos(yaw) + z * math.sin(yaw), z * math.cos(yaw) - x * math.sin(yaw)


def box(at: Vector, size: Vector, skin: Skin, yaw: float = 0.0) -> Solid:
    """A box of `size` (x, y, z) standing on `at`, the middle of its base."""
    w, h, d = size
    normals = np.array([[1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1], [0, 1, 0], [0, -1, 0]], np.float32)
    offsets = np.array([w / 2, w / 2, d / 2, d / 2, h, 0], np.float32)
    return Solid(normals, offsets, at, yaw, skin, (w / 2, d / 2))


def tapered(at: Vector, size: Vector, skin: Skin, slope: tuple[float, float], yaw: float = 0.0) -> Solid:
    """A box whose sides lean inwards by `slope` metres a metre of height, in x and in z: roofs, car cabins."""
    w, h, d = size
    sx, sz = slope
    normals = np.array([[1, sx, 0], [-1, sx, 0], [0, sz, 1], [0, sz, -1], [0, 1, 0], [0, -1, 0]], np.float32)
    offsets = np.array([w / 2, w / 2, d / 2, d / 2, h, 0], np.float32)
    length = np.sqrt((normals * normals).sum(axis=1))
    return Solid(normals / length[:, None], offsets / length, at, yaw, skin, (w / 2, d / 2))


@dataclass(frozen=True, slots=True)
class Lights:
    """A place's two sources: daylight, and the lamp that is on after dark."""

    sun: Light
    lamp: Light


@dataclass(frozen=True, slots=True)
class Surface:
    """What a body shows at the rays that meet it: reflectance (n, 3), normals (3, n), and which of them it fills."""

    rgb: Floats
    normals: Floats
    kept: NDArray[np.bool_] | None


def paint(layers: Layers, view: View, part: Window, lights: Lights, body: Body) -> None:
    """Paint `body` on the layers of `part`, in front of what is farther away."""
    found = _reach(view, part, body)
    if found is None:
        return
    rows, columns = found
    rays = _rays(view, part)[:, rows, columns]
    origin, ways = _into_frame(view, rays, body)
    near = _meet(origin, ways, body)
    i, j = np.nonzero(near < layers.depth[rows, columns])
    if not i.size:
        return
    depth, rays = near[i, j], rays[:, i, j]
    local = origin[:, None] + ways[:, i, j] * depth
    surface = _solid_surface(local, body) if isinstance(body, Solid) else _ball_surface(local, body)
    kept = surface.kept
    if kept is not None:
        i, j, depth, rays = i[kept], j[kept], depth[kept], rays[:, kept]
    at = (i + rows.start, j + columns.start)
    points = np.asarray(view.eye, np.float32)[:, None] + rays * depth
    layers.albedo[at] = surface.rgb
    layers.depth[at] = depth
    layers.sun[at] = lights.sun.on(points, surface.normals)
    layers.lamp[at] = lights.lamp.on(points, surface.normals)
    layers.shade[at] = 0.75 + 0.25 * surface.normals[1]
    layers.open[at] = body.skin.open if isinstance(body, Solid) else 0.0
    layers.glow[at] = body.skin.glow if isinstance(body, Solid) else body.glow
    layers.cover[at] = True


@lru_cache(maxsize=8)
def _rays(view: View, part: Window, step: int = 1) -> Floats:
    """The rays of the window that is being painted; kept because every body of a place asks for the same ones."""
    return view.rays(part, step)


def _reach(view: View, part: Window, body: Body) -> tuple[slice, slice] | None:
    """Rows and columns of `part` that the body can cover, found with few rays and a body a little too large."""
    away = math.dist(view.eye, body.at)
    if _aside(view, body, away):
        return None
    rays = _rays(view, part, COARSE)
    slack = 0.02 + 0.035 * away
    if isinstance(body, Solid):
        large: Body = replace(body, offsets=body.offsets + np.float32(slack))
    else:
        rx, ry, rz = body.radii
        large = replace(body, radii=(rx + slack, ry + slack, rz + slack))
    hit = _meet(*_into_frame(view, rays, large), large) < FAR
    if not hit.any():
        return None
    down, across = np.flatnonzero(hit.any(axis=1)) * COARSE, np.flatnonzero(hit.any(axis=0)) * COARSE
    return (
        slice(max(0, int(down[0]) - COARSE), min(part.bottom - part.top, int(down[-1]) + COARSE)),
        slice(max(0, int(across[0]) - COARSE), min(part.right - part.left, int(across[-1]) + COARSE)),
    )


def _aside(view: View, body: Body, away: float) -> bool:
    """Whether the whole body lies outside the cone that the camera sees: cheap, and true of half of a room."""
    size = math.hypot(*body.corner, float(body.offsets[4])) if isinstance(body, Solid) else max(body.radii)
    if away <= size:
        return False
    axis, widest = _cone(view)
    cosine = sum((body.at[k] - view.eye[k]) * axis[k] for k in range(3)) / away
    return math.acos(max(-1.0, min(1.0, cosine))) > widest + math.asin(size / away)


@lru_cache(maxsize=8)
def _cone(view: View) -> tuple[Vector, float]:
    """The direction in which the camera looks, and the angle from it to the farthest corner of the picture."""
    rays = view.rays(Window(), 1)[:, [0, 0, HIGH // 2, -1, -1], [0, -1, WIDE // 2, 0, -1]]
    rays = rays / np.sqrt((rays * rays).sum(axis=0))
    axis = rays[:, 2]
    return (float(axis[0]), float(axis[1]), float(axis[2])), math.acos(float((axis @ rays).min()))


def _into_frame(view: View, rays: Floats, body: Body) -> tuple[Floats, Floats]:
    """The eye and the rays as the body sees them: its place the origin, its turn undone, a ball's radii all 1."""
    x, z = spun(view.eye[0] - body.at[0], view.eye[2] - body.at[2], -body.yaw)
    cosine, sine = np.float32(math.cos(body.yaw)), np.float32(math.sin(body.yaw))
    origin = np.array([x, view.eye[1] - body.at[1], z], np.float32)
    ways = np.stack([rays[0] * cosine - rays[2] * sine, rays[1], rays[2] * cosine + rays[0] * sine])
    if isinstance(body, Ball):
        radii = np.asarray(body.radii, np.float32)
        return origin / radii, ways / radii[:, None, None]
    return origin, ways


def _meet(origin: Floats, ways: Floats, body: Body) -> Floats:
    """Depth at which each ray enters the body, FAR where it does not."""
    if isinstance(body, Ball):
        return _meet_ball(origin, ways)
    enter = np.full(ways.shape[1:], NEAREST, np.float32)
    leave = np.full(ways.shape[1:], FAR, np.float32)
    for normal, offset in zip(body.normals, body.offsets, strict=True):
        rate = _along(normal, ways)
        at = (offset - normal @ origin) / rate
        np.maximum(enter, at, out=enter, where=rate < 0)
        np.minimum(leave, at, out=leave, where=rate > 0)
    return np.where((enter < leave) & (enter > NEAREST), enter, np.float32(FAR))


def _along(normal: Floats, ways: Floats) -> Floats:
    """normal·ray, never 0. Most normals lie along an axis, which spares the sum."""
    used = np.flatnonzero(normal)
    rate: Floats = ways[used[0]] * normal[used[0]] if used.size == 1 else np.einsum("k,kij->ij", normal, ways)
    rate += np.float32(1e-7)
    return rate


def _meet_ball(origin: Floats, ways: Floats) -> Floats:
    a = np.einsum("kij,kij->ij", ways, ways)
    b = np.einsum("k,kij->ij", origin, ways)
    inside = b * b - a * np.float32(origin @ origin - 1)
    at = (-b - np.sqrt(np.maximum(inside, 0))) / a
    return np.where((inside > 0) & (at > NEAREST), at, np.float32(FAR)).astype(np.float32)


def _solid_surface(local: Floats, body: Solid) -> Surface:
    face = np.argmax(np.einsum("fk,kn->fn", body.normals, local) - body.offsets[:, None], axis=0)
    rgb = np.empty((local.shape[1], 3), np.float32)
    axes = np.abs(body.normals).argmax(axis=1)[face]
    for axis, material in ((0, body.skin.side), (2, body.skin.front), (1, body.skin.top)):
        on = np.flatnonzero(axes == axis)
        if on.size:
            u = local[2, on] + body.corner[1] if axis == 0 else local[0, on] + body.corner[0]
            v = local[2, on] + body.corner[1] if axis == 1 else local[1, on]
            rgb[on] = (material or body.skin.side)(u, v)
    return Surface(rgb, _out_of_frame(body.normals.T, body.yaw)[:, face], None)


def _ball_surface(local: Floats, body: Ball) -> Surface:
    radii = np.asarray(body.radii, np.float32)[:, None]
    u, v = np.arctan2(local[0], local[2]) * radii[0], local[1] * radii[1]
    normals = local / radii
    normals /= np.sqrt((normals * normals).sum(axis=0)) + np.float32(1e-6)
    normals = _out_of_frame(normals, body.yaw)
    if body.leaf >= 1:
        return Surface(body.material(u, v), normals, None)
    shift = int(abs(body.radii[0] + body.radii[1]) * 1000)
    rough = noise(u, v, 46, 1, shift)
    kept = rough > 2.4 * (0.5 - body.leaf)
    tone = np.clip(0.75 + 0.22 * noise(u, v, 70, 0, shift + 5) + 0.18 * rough, 0.2, 1.5)
    return Surface((body.material(u, v) * tone[:, None])[kept], normals[:, kept], kept)


def _out_of_frame(normals: Floats, yaw: float) -> Floats:
    cosine, sine = np.float32(math.cos(yaw)), np.float32(math.sin(yaw))
    return np.stack(
        [normals[0] * cosine + normals[2] * sine, normals[1], normals[2] * cosine - normals[0] * sine]
    ).astype(np.float32)
