"""Seeded streets, drives and gardens, as a camera on a house's front sees them.

Owns what stands outdoors and where. Refuses to know the camera's picture: it fills in a Place.
"""

from __future__ import annotations

import math
from random import Random

import numpy as np

from streams.simulator.render import texture as tx
from streams.simulator.render.figure import car
from streams.simulator.render.place import Place, Spot, Strip, Yard, leafy
from streams.simulator.render.view import Ball, Body, Light, Lights, Skin, View, box, spun, tapered


def street(seed: str) -> Place:
    """The street of this seed. The plan's own frame has the road along x; the yard's turn carries it all."""
    rng = Random(f"street/{seed}")
    turn = math.radians(rng.uniform(-38, 38))
    road, wide = rng.uniform(5.0, 13.0), rng.uniform(5.0, 8.5)
    far = road + wide
    bodies = _front(rng, road) + _parked(rng, road, wide) + _across(rng, far) + _posts(rng, road, far)
    lanes = (
        Spot((-22.0, road + wide * 0.27), (22.0, road + wide * 0.27)),
        Spot((22.0, road + wide * 0.73), (-22.0, road + wide * 0.73)),
    )
    walks = (
        Spot((-9.0, road - 1.0), (9.0, road - 1.0)), Spot((10.0, far + 1.0), (-10.0, far + 1.0)),
        Spot((rng.uniform(-2, 2), road - 1), (rng.uniform(-1, 1), 2.6)),
    )  # fmt: skip
    high = rng.uniform(1.6, 4.2)
    return Place(
        view=_view(rng, high), lights=_lights(rng, road),
        around=Yard(_strips(rng, road, wide), turn, rng.uniform(0.2, 1.5), rng.randrange(999)),
        bodies=tuple(body.moved((0, 0, 0), turn) for body in bodies), walks=tuple(_turned(w, turn) for w in walks),
        lanes=tuple(_turned(lane, turn) for lane in lanes), busy=rng.uniform(0.2, 0.6),
        tint=(rng.uniform(0.94, 1.06), 1.0, rng.uniform(0.92, 1.08)),
    )  # fmt: skip


def _turned(spot: Spot, turn: float) -> Spot:
    return Spot(spun(*spot.start, turn), spun(*spot.end, turn))


def _view(rng: Random, high: float) -> View:
    pitch = math.radians(rng.uniform(3, 10) + 4.5 * (high - 1.6))
    return View((0.0, high, 0.0), math.radians(rng.uniform(-12, 12)), pitch, math.radians(rng.gauss(0, 1.4)),
                rng.uniform(0.7, 1.15), rng.uniform(0.02, 0.17))  # fmt: skip


def _lights(rng: Random, road: float) -> Lights:
    bearing, height = rng.uniform(0, 6.28), rng.uniform(0.5, 1.3)
    sun = Light((900 * math.cos(bearing), 900 * height, 900 * math.sin(bearing)), 4000.0)
    return Lights(sun, Light((rng.uniform(-6, 6), 5.5, road - 0.8), rng.uniform(5, 8)))


def _strips(rng: Random, road: float, wide: float) -> tuple[Strip, ...]:
    grass = tx.ground(rng, (rng.uniform(0.2, 0.4), rng.uniform(0.34, 0.5), rng.uniform(0.12, 0.24)), 0.16)
    asphalt = tx.ground(rng, tx.muted(rng, 0.22, 0.5), 0.07)
    paving = tx.tiles(rng, tx.muted(rng, 0.4, 0.75), rng.uniform(0.3, 0.7))
    front = rng.choice(
        [grass, grass, paving, tx.ground(rng, tx.muted(rng, 0.35, 0.7), 0.14), tx.bricks(rng, (0.55, 0.36, 0.3))]
    )
    line = tx.ground(rng, (0.86, 0.86, 0.8), 0.05)
    middle = road + wide / 2
    kerb = tx.ground(rng, tx.muted(rng, 0.55, 0.75), 0.05)
    marked = rng.random() < 0.6
    return (
        Strip(-99.0, front), Strip(road - 1.9, paving), Strip(road - 0.15, kerb), Strip(road, asphalt),
        Strip(middle - 0.06, line if marked else asphalt), Strip(middle + 0.06, asphalt), Strip(road + wide, kerb),
        Strip(road + wide + 0.15, paving), Strip(road + wide + 2.0, grass),
    )  # fmt: skip


def _front(rng: Random, road: float) -> list[Body]:
    """What stands between the camera and the road: path, drive, hedge, fence, bins, pots, a tree, a porch post."""
    made: list[Body] = []
    drive = (
        tx.ground(rng, tx.muted(rng, 0.3, 0.7), 0.06)
        if rng.random() < 0.5
        else tx.bricks(rng, tx.muted(rng, 0.35, 0.6))
    )
    x = rng.uniform(-4.5, 4.5)
    made.append(box((x, 0, road / 2 - 0.6), (rng.uniform(1.0, 3.4), 0.015, road - 1.0), Skin(drive)))
    if rng.random() < 0.45 and road > 7:
        made += [
            b.moved((x, 0, rng.uniform(4.0, road - 3.2)), math.pi / 2 * rng.choice([1, -1]) + rng.gauss(0, 0.06))
            for b in car(rng)
        ]
    edge, gap = rng.choice(["hedge", "fence", "wall", "none"]), rng.uniform(1.4, 2.4)
    for side in (-1, 1):
        if edge == "none":
            break
        length = 9.0
        at = (x + side * (gap + length / 2), 0.0, road - 2.3)
        made.append(_edge(rng, edge, at, length))
    green = _green(rng)
    for _ in range(rng.randint(1, 5)):
        size = rng.uniform(0.3, 0.8)
        at = (rng.choice([-1, 1]) * rng.uniform(1.5, 6.0), size * 0.8, rng.uniform(2.5, road - 2.0))
        made += leafy(at, (size, size, size), green, 0.6)
    for _ in range(rng.choice([0, 0, 1, 2, 3])):
        at = (rng.uniform(-5, 5), 0.0, rng.uniform(2.6, road - 2.2))
        bin_skin = Skin(
            tx.plaster(rng, rng.choice([(0.1, 0.3, 0.14), (0.12, 0.14, 0.2), (0.3, 0.2, 0.12), (0.2, 0.2, 0.2)]))
        )
        made.append(tapered(at, (0.55, 1.0, 0.6), bin_skin, (-0.05, -0.05), rng.gauss(0, 0.3)))
    if rng.random() < 0.25:
        post = Skin(tx.planks(rng, tx.muted(rng, 0.5, 0.95), 0.1))
        made.append(
            box((rng.choice([-1, 1]) * rng.uniform(1.0, 1.9), 0, rng.uniform(1.2, 1.9)), (0.16, 4.5, 0.16), post)
        )
    if rng.random() < 0.5:
        made += _tree(rng, rng.choice([-1, 1]) * rng.uniform(2.2, 6), rng.uniform(3.5, road - 1.2))
    return made


def _edge(rng: Random, kind: str, at: tuple[float, float, float], length: float) -> Body:
    high = rng.uniform(0.6, 1.3)
    if kind == "hedge":
        return box(at, (length, high, 0.7), Skin(tx.ground(rng, (0.16, 0.28, 0.1), 0.35)))
    if kind == "fence":
        return box(at, (length, high, 0.06), Skin(tx.planks(rng, tx.muted(rng, 0.35, 0.95), 0.13, True)))
    return box(at, (length, high * 0.7, 0.25), Skin(tx.bricks(rng, (0.58, 0.34, 0.27))))


def _green(rng: Random) -> tx.Material:
    season = rng.random()
    colour = (
        (0.42, 0.3, 0.1)
        if season < 0.15
        else (rng.uniform(0.14, 0.32), rng.uniform(0.28, 0.44), rng.uniform(0.08, 0.18))
    )
    return tx.ground(rng, colour, 0.12)


def _tree(rng: Random, x: float, z: float) -> list[Body]:
    trunk, crown = rng.uniform(1.4, 2.8), rng.uniform(1.1, 2.4)
    bark = Skin(tx.planks(rng, (0.3, 0.24, 0.18), 0.06, True))
    made: list[Body] = [box((x, 0, z), (0.26, trunk + 0.6, 0.26), bark)]
    green = _green(rng)
    for _ in range(rng.randint(1, 3)):
        at = (x + rng.gauss(0, 0.5), trunk + crown * rng.uniform(0.5, 0.9), z + rng.gauss(0, 0.5))
        made += leafy(
            at, (crown * rng.uniform(0.6, 1), crown * rng.uniform(0.6, 1), crown * 0.8), green, rng.uniform(0.5, 0.7)
        )
    return made


def _parked(rng: Random, road: float, wide: float) -> list[Body]:
    """Cars at the kerbs."""
    made: list[Body] = []
    for z, way in ((road + 1.0, 0.0), (road + wide - 1.0, math.pi)):
        for k in range(-3, 4):
            if rng.random() < 0.3:
                made += [b.moved((k * 5.8 + rng.gauss(0, 0.4), 0, z), way + rng.gauss(0, 0.02)) for b in car(rng)]
    return made


def _across(rng: Random, far: float) -> list[Body]:
    """The houses on the other side, with gardens and trees."""
    made: list[Body] = []
    x, terrace = -30.0, rng.random() < 0.35
    while x < 30:
        wide = rng.uniform(5.0, 11.0)
        made += _house(rng, x + wide / 2, far + rng.uniform(3.5, 7.0) * (0.6 if terrace else 1), wide)
        x += wide + (0.1 if terrace else rng.uniform(0.8, 6.0))
    for _ in range(rng.randint(1, 5)):
        made += _tree(rng, rng.uniform(-16, 16), far + rng.uniform(2.2, 4.5))
    for _ in range(rng.randint(0, 3)):
        size = rng.uniform(3.5, 6.5)
        made += leafy(
            (rng.uniform(-30, 30), size * 0.9, far + rng.uniform(17, 24)), (size, size, size), _green(rng), 0.66
        )
    return made


def _house(rng: Random, x: float, z: float, wide: float) -> list[Body]:
    deep, high = 8.0, rng.choice([2.9, 5.4, 5.6, 8.2])
    wall = rng.choice([tx.bricks(rng, (rng.uniform(0.45, 0.7), 0.34, 0.26)), tx.plaster(rng, tx.muted(rng, 0.4, 0.95)),
                       tx.plaster(rng, tx.bright(rng)), tx.planks(rng, tx.muted(rng, 0.4, 0.95), 0.2)])  # fmt: skip
    middle = z + deep / 2
    made: list[Body] = [box((x, 0, middle), (wide, high, deep), Skin(wall))]
    roof = Skin(tx.tiles(rng, rng.choice([(0.5, 0.24, 0.18), (0.27, 0.27, 0.3), (0.36, 0.3, 0.26)]), 0.28))
    if rng.random() < 0.8:
        slope = rng.uniform(0.9, 1.8)
        lean = (0.0 if rng.random() < 0.5 else slope * 0.5, slope)
        made.append(tapered((x, high, middle), (wide + 0.6, (deep + 0.6) / slope / 2, deep + 0.6), roof, lean))
    pane, frame = rng.uniform(0.8, 1.5), rng.choice([0.9, 0.9, 0.2])
    columns = max(2, int(wide / rng.uniform(1.8, 2.8)))
    door = rng.randrange(columns)
    for storey in range(round(high / 2.75)):
        for k in range(columns):
            at = x - wide / 2 + (k + 0.5) * wide / columns
            if storey == 0 and k == door:
                leaf = Skin(tx.panels(rng, tx.bright(rng), 0.9, 1.0))
                made.append(box((at, 0, z), (0.95, 2.1, 0.1), leaf))
                continue
            made.append(box((at, storey * 2.7 + 0.9, z), (pane, 1.25, 0.08), _glass(rng, pane, frame)))
    return made


def _glass(rng: Random, wide: float, frame: float) -> Skin:
    """A window from outside: dark, with a frame; some are lit after dark."""
    lit = rng.uniform(0.5, 1.0) if rng.random() < 0.3 else 0.0
    shift, dark = rng.randrange(999), rng.uniform(0.1, 0.35)

    def paint(u: tx.Floats, v: tx.Floats) -> tx.Floats:
        rgb = tx.tinted(dark + 0.08 * tx.noise(u, v, 60, 2, shift), (0.85, 0.95, 1.1))
        edge = np.minimum(np.minimum(u, wide - u), np.minimum(v, 1.25 - v))
        rgb[(edge < 0.09) | (np.abs(u - wide / 2) < 0.04)] = frame
        return np.clip(rgb, 0, 1).astype(np.float32)

    return Skin(tx.plaster(rng, (frame, frame, frame)), paint, glow=lit)


def _posts(rng: Random, road: float, far: float) -> list[Body]:
    """Street lamps, poles, signs."""
    steel = Skin(tx.plaster(rng, tx.muted(rng, 0.2, 0.6)))
    x = rng.uniform(-5, 5)
    made: list[Body] = [
        box((x, 0, road - 0.5), (0.13, 5.4, 0.13), steel),
        Ball((x, 5.5, road - 0.1), (0.2, 0.12, 0.5), steel.side, glow=1.0),
    ]
    for _ in range(rng.randint(0, 3)):
        foot = (rng.uniform(-14, 14), 0.0, rng.choice([road - 0.5, far + 0.6]))
        made.append(box(foot, (0.18, rng.uniform(2, 7), 0.18), steel))
    if rng.random() < 0.4:
        at = rng.uniform(-6, 6)
        made.append(box((at, 1.9, road - 0.45), (0.6, 0.6, 0.04), Skin(tx.painting(rng, 0.6, 0.6))))
        made.append(box((at, 0, road - 0.4), (0.07, 2.4, 0.07), steel))
    return made
