"""A place: what stands where, and how rays meet its ground, walls and sky.

Owns the shape that room.py and street.py fill in, and `cast`, which turns it into layers. Refuses to invent
anything: the same place gives the same layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from streams.simulator.render.texture import Floats, Material, noise
from streams.simulator.render.view import Ball, Body, Layers, Lights, Solid, Vector, View, Window, paint, spun

PLAN = 420
"""Side in pixels of the plan on which shadows are drawn."""


@dataclass(frozen=True, slots=True)
class Shell:
    """A room seen from inside: `size` (x, y, z) in metres from the origin, its floor, ceiling and four walls.

    `walls` are those at x = 0, at x = size, at z = 0, at z = size.
    """

    size: Vector
    floor: Material
    ceiling: Material
    walls: tuple[Material, Material, Material, Material]

    def faces(self, axis: int) -> tuple[Material, Material]:
        """The two faces across an axis (0 = x, 1 = y, 2 = z), the one at the origin first."""
        if axis == 1:
            return self.floor, self.ceiling
        return (self.walls[0], self.walls[1]) if axis == 0 else (self.walls[2], self.walls[3])


@dataclass(frozen=True, slots=True)
class Strip:
    """A strip of outdoor ground, from `start` metres away up to the next strip."""

    start: float
    material: Material


@dataclass(frozen=True, slots=True)
class Yard:
    """Outdoors: strips of ground across the view, nearest first, turned by `yaw`, under a sky with `clouds`."""

    strips: tuple[Strip, ...]
    yaw: float
    clouds: float
    shift: int


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something that moves can be: from `start` to `end` on the plan (x, z), looking along its way."""

    start: tuple[float, float]
    end: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Place:
    """One camera's surroundings. `walks` are ways of people, `lanes` of cars; `busy` how often somebody is there."""

    view: View
    lights: Lights
    around: Shell | Yard
    bodies: tuple[Body, ...]
    walks: tuple[Spot, ...]
    lanes: tuple[Spot, ...]
    busy: float
    tint: tuple[float, float, float]

    @property
    def indoors(self) -> bool:
        """Whether it is a room: its lamp then lights it after dark, else the street lamp does."""
        return isinstance(self.around, Shell)


def cast(place: Place) -> Layers:
    """Paint the whole place."""
    part = Window()
    rays = place.view.rays(part)
    layers = Layers.blank(rays.shape[1], rays.shape[2])
    plan = _Plan(place)
    if isinstance(place.around, Shell):
        _cast_shell(layers, rays, place, place.around, plan)
    else:
        _cast_yard(layers, rays, place, place.around, plan)
    for body in sorted(
        place.bodies, key=lambda body: math.dist(body.at, place.view.eye)
    ):  # nearest first: less to paint
        paint(layers, place.view, part, place.lights, body)
    return layers


class _Plan:
    """The ground from above: where it is shaded from the sun, and where things stand close over it."""

    def __init__(self, place: Place) -> None:
        reach = 14.0 if isinstance(place.around, Shell) else 46.0
        self._scale = PLAN / reach
        self._left = place.view.eye[0] - reach / 2
        self._near = place.view.eye[2] - reach / 2
        solids = [b for b in place.bodies if b.at[1] < 2.5 or not place.indoors]
        self.sun = self._drawn(solids, place.lights.sun.at, 0.3 if place.indoors else 0.75, 0.16)
        self.near = self._drawn([b for b in solids if b.at[1] < 0.5], None, 0.6, 0.12)

    def at(self, plan: Floats, x: Floats, z: Floats) -> Floats:
        """The plan's values under world points."""
        i = np.clip((z - self._near) * self._scale, 0, PLAN - 1).astype(np.int32)
        j = np.clip((x - self._left) * self._scale, 0, PLAN - 1).astype(np.int32)
        values: Floats = plan[i, j]
        return values

    def _drawn(self, bodies: Sequence[Body], source: Vector | None, dark: float, blur: float) -> Floats:
        image = Image.new("L", (PLAN, PLAN), 255)
        draw = ImageDraw.Draw(image)
        for body in bodies:
            base, top = _footprint(body)
            if top - body.at[1] < 0.05 and source is not None:
                continue
            low = [self._cast_point(x, body.at[1], z, source) for x, z in base]
            high = [self._cast_point(x, top, z, source) for x, z in base]
            for k in range(len(base)):
                after = (k + 1) % len(base)
                draw.polygon([low[k], low[after], high[after], high[k]], fill=int(255 * (1 - dark)))
            draw.polygon(low, fill=int(255 * (1 - dark)))
            draw.polygon(high, fill=int(255 * (1 - dark)))
        soft = image.filter(ImageFilter.GaussianBlur(blur * self._scale))
        return np.asarray(soft, np.float32) / 255

    def _cast_point(self, x: float, y: float, z: float, source: Vector | None) -> tuple[float, float]:
        if source is not None and y > 0:
            rise = y / max(source[1] - y, 0.4 * source[1])
            x, z = x + (x - source[0]) * rise, z + (z - source[2]) * rise
        return (x - self._left) * self._scale, (z - self._near) * self._scale


def _footprint(body: Body) -> tuple[list[tuple[float, float]], float]:
    """A body's outline on the plan, and the height of its top."""
    if isinstance(body, Solid):
        w, d = body.corner
        top = body.at[1] + float(body.offsets[4])
        ring = [(-w, -d), (w, -d), (w, d), (-w, d)]
    else:
        top = body.at[1] + body.radii[1]
        ring = [
            (body.radii[0] * math.cos(k * math.pi / 4), body.radii[2] * math.sin(k * math.pi / 4)) for k in range(8)
        ]
    turned = [spun(x, z, body.yaw) for x, z in ring]
    return [(body.at[0] + x, body.at[2] + z) for x, z in turned], top


def _cast_shell(layers: Layers, rays: Floats, place: Place, shell: Shell, plan: _Plan) -> None:
    """Every ray inside a room meets exactly one of its six faces."""
    eye = place.view.eye
    flat = rays.reshape(3, -1)
    reach = [_wall_reach(flat[k], eye[k], shell.size[k]) for k in range(3)]
    depth = np.minimum(np.minimum(reach[0], reach[1]), reach[2])
    layers.depth = depth.reshape(layers.depth.shape)
    for axis in range(3):
        met = reach[axis] == depth
        for sign, material in zip((-1, 1), shell.faces(axis), strict=True):
            on = np.flatnonzero(met & ((flat[axis] > 0) == (sign > 0)))
            at = np.asarray(eye, np.float32)[:, None] + flat[:, on] * depth[on]
            normal = np.zeros((3, 1), np.float32)
            normal[axis] = -sign
            ways = np.unravel_index(on, layers.depth.shape)
            layers.albedo[ways] = material(at[2 if axis == 0 else 0], at[2 if axis == 1 else 1])
            floor = axis == 1 and sign < 0
            shaded = plan.at(plan.sun, at[0], at[2]) if floor else np.float32(1)
            close = plan.at(plan.near, at[0], at[2]) if floor else np.float32(1)
            layers.sun[ways] = place.lights.sun.on(at, normal) * shaded
            layers.lamp[ways] = place.lights.lamp.on(at, normal)
            layers.shade[ways] = _corners(at, axis, shell.size) * close


def _wall_reach(ways: Floats, eye: float, size: float) -> Floats:
    """How far rays go until they meet the two faces across this axis."""
    ways = ways + np.float32(1e-7)
    return np.where(ways > 0, np.float32(size - eye), np.float32(-eye)) / ways


def _corners(at: Floats, axis: int, size: Vector) -> Floats:
    """Less ambient light reaches the edges of a room."""
    shade = np.ones(at.shape[1], np.float32)
    for k in range(3):
        if k != axis:
            edge = np.minimum(at[k], size[k] - at[k])
            shade *= 1 - 0.32 * np.exp(-np.maximum(edge, 0) / 0.22)
    return shade


def _cast_yard(layers: Layers, rays: Floats, place: Place, yard: Yard, plan: _Plan) -> None:
    """Rays that fall meet the ground, the others the sky."""
    eye = place.view.eye
    falls = rays[1] < -0.004
    depth = np.where(falls, -eye[1] / np.where(falls, rays[1], -1), np.float32(1e9)).astype(np.float32)
    at = np.asarray(eye, np.float32)[:, None] + rays[:, falls] * depth[falls]
    cosine, sine = math.cos(yard.yaw), math.sin(yard.yaw)
    across, away = at[0] * cosine - at[2] * sine, at[2] * cosine + at[0] * sine
    rgb = np.zeros((across.size, 3), np.float32)
    ends = [strip.start for strip in yard.strips[1:]] + [1e9]
    for strip, end in zip(yard.strips, ends, strict=True):
        on = (away >= strip.start) & (away < end)
        rgb[on] = strip.material(across[on], away[on])
    layers.albedo[falls] = rgb
    layers.depth = depth
    up = np.array([[0], [1], [0]], np.float32)
    layers.sun[falls] = place.lights.sun.on(at, up) * plan.at(plan.sun, at[0], at[2])
    layers.lamp[falls] = place.lights.lamp.on(at, up)
    layers.shade[falls] = plan.at(plan.near, at[0], at[2])
    sky = ~falls
    high = np.clip(rays[1][sky] / 0.8, 0, 1)
    cloud = noise(rays[0][sky] / (0.15 + high), high * 3, 90, 2, yard.shift) * yard.clouds * 0.09
    base = np.stack([0.93 - 0.38 * high, 0.95 - 0.26 * high, 0.97 - 0.08 * high], axis=1)
    layers.albedo[sky] = np.clip(base + cloud[:, None], 0, 1)
    layers.open[sky] = 1.0


def leafy(at: Vector, radii: Vector, material: Material, leaf: float = 0.62) -> list[Body]:
    """A crown of foliage: one pierced ball in front of a smaller, denser one."""
    inner = (radii[0] * 0.8, radii[1] * 0.8, radii[2] * 0.8)
    return [Ball(at, inner, material, 0.85), Ball(at, radii, material, leaf)]
