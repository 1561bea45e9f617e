"""Seeded rooms: living rooms, bedrooms, kitchens, halls, garages.

Owns what stands in a home and where. Refuses to know the camera's picture: it fills in a Place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from streams.simulator.render import texture as tx
from streams.simulator.render.place import Place, Shell, Spot, leafy
from streams.simulator.render.view import Ball, Body, Light, Lights, Skin, Solid, Vector, View, box, tapered

Maker = Callable[[Random], list[Body]]


def room(seed: str) -> Place:
    """The room of this seed: another seed is another home."""
    rng = Random(f"room/{seed}")
    size = (rng.uniform(3.2, 6.0), rng.uniform(2.35, 2.9), rng.uniform(3.6, 7.0))
    furniture = _furnished(rng, size)
    view = _view(rng, size)
    window, opening = _windows(rng, size)
    wall_things = _hung(rng, size)
    sun = Light((window[0], window[1] + 0.8, window[2]), rng.uniform(2.2, 4.5))
    lamp = Light((size[0] * rng.uniform(0.3, 0.7), size[1] - 0.25, size[2] * rng.uniform(0.3, 0.7)), 2.6)
    walks = tuple(
        Spot((size[0] * rng.uniform(0.2, 0.8), size[2] * rng.uniform(0.25, 0.9)),
             (size[0] * rng.uniform(0.2, 0.8), size[2] * rng.uniform(0.25, 0.9)))
        for _ in range(4)
    )  # fmt: skip
    return Place(
        view=view, lights=Lights(sun, lamp), around=_shell(rng, size),
        bodies=tuple(b for b in opening + wall_things + furniture if _clear(view, b)),
        walks=walks, lanes=(), busy=rng.uniform(0.15, 0.5),
        tint=(rng.uniform(0.95, 1.08), 1.0, rng.uniform(0.88, 1.05)),
    )  # fmt: skip


def _view(rng: Random, size: Vector) -> View:
    """A camera on a shelf or under the ceiling, in a corner or at a wall, looking in."""
    side = rng.choice([0.04, 0.12, 0.5, 0.88, 0.96])
    eye = (size[0] * side, rng.uniform(1.1, size[1] - 0.25), rng.uniform(0.12, 0.5))
    target = (size[0] * rng.uniform(0.3, 0.7), size[2] * rng.uniform(0.55, 0.8))
    yaw = math.atan2(target[0] - eye[0], target[1] - eye[2])
    pitch = math.radians(rng.uniform(4, 14) + 9 * (eye[1] - 1.1))
    return View(eye, yaw, pitch, math.radians(rng.gauss(0, 1.6)), rng.uniform(0.72, 1.05), rng.uniform(0.02, 0.16))


def _clear(view: View, body: Body) -> bool:
    """Nobody puts a camera behind a cupboard: what stands right before the lens is left out."""
    apart = math.hypot(body.at[0] - view.eye[0], body.at[2] - view.eye[2])
    return apart > (1.5 if body.at[1] + _height(body) > view.eye[1] - 0.3 else 0.7)


def _height(body: Body) -> float:
    return float(body.offsets[4]) if isinstance(body, Solid) else body.radii[1]


def _shell(rng: Random, size: Vector) -> Shell:
    colour = tx.bright(rng) if rng.random() < 0.25 else tx.muted(rng, 0.45, 0.9)
    plain = tx.plaster(rng, colour)
    accent = rng.choice([
        plain, plain, tx.plaster(rng, tx.muted(rng, 0.2, 0.7)), tx.bricks(rng, (0.6, 0.3, 0.22)),
        tx.fabric(rng, colour, tx.muted(rng, 0.3, 0.9), rng.uniform(0.1, 0.3)),
        tx.planks(rng, tx.wood(rng), rng.uniform(0.1, 0.2)), tx.tiles(rng, tx.muted(rng, 0.5, 0.95), 0.2),
    ])  # fmt: skip
    walls = [plain, plain, plain, accent]
    if rng.random() < 0.5:
        walls[rng.randrange(2)] = tx.plaster(rng, tx.muted(rng, 0.25, 0.85))
    floor = rng.choice([
        tx.planks(rng, tx.wood(rng), rng.uniform(0.08, 0.22), rng.random() < 0.5),
        tx.planks(rng, tx.wood(rng), rng.uniform(0.08, 0.22), rng.random() < 0.5),
        tx.tiles(rng, tx.muted(rng, 0.25, 0.85), rng.uniform(0.2, 0.6), rng.choice([None, tx.muted(rng, 0.1, 0.9)])),
        tx.ground(rng, tx.muted(rng, 0.25, 0.7), 0.08),
    ])  # fmt: skip
    return Shell(size, floor, tx.plaster(rng, tx.muted(rng, 0.8, 0.97), 0.02), (walls[0], walls[1], walls[2], walls[3]))


def _on_wall(rng: Random, size: Vector, width: float, wall: int) -> tuple[float, float, float]:
    """Where (x, z) and how turned something of this width stands against wall 0 (left), 1 (right), 3 (back)."""
    if wall == 3:
        return rng.uniform(width / 2, size[0] - width / 2), size[2], 0.0
    along = rng.uniform(max(1.0, width / 2), size[2] - width / 2)
    return (0.0, along, -math.pi / 2) if wall == 0 else (size[0], along, math.pi / 2)


def _windows(rng: Random, size: Vector) -> tuple[Vector, list[Body]]:
    """One or two windows with curtains; the first gives the daylight."""
    made: list[Body] = []
    middle: Vector = (0.0, 1.5, 0.0)
    for n in range(rng.choice([1, 1, 2])):
        width, height = rng.uniform(0.8, 2.0), rng.uniform(0.9, 1.5)
        x, z, yaw = _on_wall(rng, size, width + 0.6, rng.choice([0, 1, 3, 3]))
        sill = rng.uniform(0.6, 1.0)
        glass = tx.panes(rng, width, height, rng.choice([1, 2, 2, 3]), rng.choice([0.92, 0.92, 0.25]))
        made.append(box((x, sill, z), (width, height, 0.05), Skin(glass, open=0.9), yaw))
        if rng.random() < 0.7:
            cloth = tx.curtain(rng, tx.bright(rng) if rng.random() < 0.6 else tx.muted(rng))
            for side in (-1, 1):
                hang = box(
                    (side * (width / 2 + 0.1), 0, 0), (rng.uniform(0.25, 0.5), sill + height + 0.1, 0.14), Skin(cloth)
                )
                made.append(hang.moved((x, 0.03, z), yaw))
        if n == 0:
            middle = (x, sill + height / 2, z)
    return middle, made


def _hung(rng: Random, size: Vector) -> list[Body]:
    """Pictures, a clock, a door, a radiator, wall shelves."""
    made: list[Body] = []
    for _ in range(rng.randint(2, 6)):
        width, height = rng.uniform(0.25, 1.0), rng.uniform(0.25, 0.8)
        x, z, yaw = _on_wall(rng, size, width, rng.choice([0, 1, 3, 3]))
        art = tx.painting(rng, width, height)
        made.append(
            box(
                (x, rng.uniform(1.2, 1.6), z), (width, height, 0.06), Skin(tx.plaster(rng, (0.2, 0.18, 0.15)), art), yaw
            )
        )
    if rng.random() < 0.6:
        x, z, yaw = _on_wall(rng, size, 0.9, rng.choice([0, 1, 3]))
        door = tx.panels(rng, tx.wood(rng) if rng.random() < 0.5 else (0.88, 0.87, 0.84), 0.45, 1.0)
        made.append(box((x, 0, z), (0.98, 2.08, 0.05), Skin(tx.plaster(rng, (0.85, 0.84, 0.8))), yaw))
        made.append(box((x, 0, z), (0.86, 2.02, 0.09), Skin(door), yaw))
    for _ in range(rng.choice([0, 1, 1, 2])):
        width = rng.uniform(0.5, 1.3)
        x, z, yaw = _on_wall(rng, size, width, rng.choice([0, 1, 3]))
        up = rng.uniform(1.2, 1.8)
        made.append(box((x, up, z), (width, 0.04, 0.44), Skin(tx.planks(rng, tx.wood(rng))), yaw))
        for k in range(rng.randint(2, 6)):
            measure = (rng.uniform(0.05, 0.14), rng.uniform(0.08, 0.3), 0.12)
            thing = box((-width / 2 + 0.08 + k * width / 6, 0, -0.08), measure, Skin(tx.plaster(rng, tx.bright(rng))))
            made.append(thing.moved((x, up + 0.04, z), yaw))
    return made


def _furnished(rng: Random, size: Vector) -> list[Body]:
    """Furniture along the walls and in the middle, a rug, clutter."""
    made: list[Body] = []
    if rng.random() < 0.75:
        cloth = tx.fabric(
            rng, tx.bright(rng), rng.choice([None, tx.muted(rng), tx.bright(rng)]), rng.uniform(0.08, 0.4)
        )
        rug = (rng.uniform(1.2, 2.6), 0.02, rng.uniform(1.2, 2.4))
        made.append(
            box(
                (size[0] * rng.uniform(0.35, 0.65), 0, size[2] * rng.uniform(0.4, 0.6)),
                rug,
                Skin(cloth),
                rng.gauss(0, 0.15),
            )
        )
    large: list[tuple[float, Maker]] = [
        (2.0, _sofa), (1.7, _bed), (1.0, _bookcase), (1.6, _sideboard), (1.2, _wardrobe), (1.4, _desk), (2.2, _counter),
        (1.5, _television), (0.6, _plant), (0.8, _armchair), (1.2, _racks),
    ]  # fmt: skip
    for wall in (0, 0, 1, 1, 3, 3, 3):
        width, maker = rng.choice(large)
        x, z, yaw = _on_wall(rng, size, width, wall)
        made += [body.moved((x, 0, z), yaw + rng.gauss(0, 0.03)) for body in maker(rng)]
    middle: list[Maker] = [_table, _table, _low_table, _armchair, _chair, _chair, _clutter, _plant, _lamp]
    taken: list[tuple[float, float]] = []
    for maker in rng.sample(middle, rng.randint(3, 6)):
        spot = (size[0] * rng.uniform(0.22, 0.78), 0.0, size[2] * rng.uniform(0.32, 0.75))
        if any(math.dist((spot[0], spot[2]), other) < 1.3 for other in taken):
            continue
        taken.append((spot[0], spot[2]))
        made += [body.moved(spot, rng.uniform(-math.pi, math.pi)) for body in maker(rng)]
    for _ in range(rng.randint(2, 6)):
        spot = (size[0] * rng.uniform(0.1, 0.9), 0.0, size[2] * rng.uniform(0.25, 0.95))
        made += [body.moved(spot, rng.uniform(-math.pi, math.pi)) for body in _clutter(rng)]
    return made


# Each maker stands its furniture with the back at z = 0, looking towards -z.


def _sofa(rng: Random) -> list[Body]:
    wide, colour = rng.uniform(1.5, 2.3), tx.bright(rng) if rng.random() < 0.5 else tx.muted(rng, 0.15, 0.8)
    skin = Skin(tx.fabric(rng, colour, rng.choice([None, None, tx.muted(rng)])))
    made: list[Body] = [
        box((0, 0.05, -0.45), (wide, 0.38, 0.85), skin), box((0, 0.2, -0.12), (wide, 0.65, 0.24), skin),
        box((-wide / 2, 0.05, -0.45), (0.2, 0.58, 0.88), skin), box((wide / 2, 0.05, -0.45), (0.2, 0.58, 0.88), skin),
    ]  # fmt: skip
    for _ in range(rng.randint(1, 4)):
        pillow = Skin(tx.fabric(rng, tx.bright(rng), rng.choice([None, tx.bright(rng)]), 0.06))
        made.append(box((rng.uniform(-0.4, 0.4) * wide, 0.43, -0.33), (0.42, 0.36, 0.14), pillow, rng.gauss(0, 0.3)))
    return made


def _bed(rng: Random) -> list[Body]:
    wide = rng.uniform(1.0, 1.9)
    frame = Skin(tx.planks(rng, tx.wood(rng)))
    cover = Skin(
        tx.fabric(rng, tx.bright(rng), rng.choice([None, tx.bright(rng), tx.muted(rng)]), rng.uniform(0.06, 0.3))
    )
    sheet = Skin(tx.fabric(rng, tx.muted(rng, 0.7, 0.95)))
    made: list[Body] = [
        box((0, 0, -0.05), (wide + 0.1, rng.uniform(0.7, 1.2), 0.08), frame),
        box((0, 0, -1.0), (wide, 0.3, 2.0), frame),
        box((0, 0.3, -1.0), (wide - 0.05, 0.2, 1.95), sheet), box((0, 0.3, -1.3), (wide + 0.02, 0.25, 1.3), cover),
    ]  # fmt: skip
    linen = [tx.fabric(rng, tx.muted(rng, 0.6, 0.95)) for _ in range(2)]
    made += [Ball((k * wide * 0.24, 0.55, -0.3), (wide * 0.2, 0.1, 0.2), linen[k > 0]) for k in (-1, 1)]
    return made


def _bookcase(rng: Random) -> list[Body]:
    wide, high, colour = rng.uniform(0.6, 1.4), rng.uniform(1.1, 2.1), tx.wood(rng)
    return [box((0, 0, -0.17), (wide, high, 0.34), Skin(tx.planks(rng, colour), tx.books(rng, colour)))]


def _racks(rng: Random) -> list[Body]:
    wide, high, metal = rng.uniform(0.8, 1.4), rng.uniform(1.4, 2.0), Skin(tx.plaster(rng, tx.muted(rng, 0.2, 0.7)))
    made: list[Body] = [box((side * wide / 2, 0, -0.2), (0.05, high, 0.4), metal) for side in (-1, 1)]
    for k in range(4):
        up = 0.1 + k * (high - 0.2) / 3
        made.append(box((0, up, -0.2), (wide, 0.03, 0.4), metal))
        for _ in range(rng.randint(1, 3)):
            stuff = Skin(tx.plaster(rng, rng.choice([tx.bright(rng), (0.62, 0.48, 0.33)])))
            made.append(
                box(
                    (rng.uniform(-0.35, 0.35) * wide, up, -0.2),
                    (rng.uniform(0.12, 0.4), rng.uniform(0.12, 0.36), 0.3),
                    stuff,
                )
            )
    return made


def _sideboard(rng: Random) -> list[Body]:
    wide, high = rng.uniform(1.0, 1.8), rng.uniform(0.6, 1.0)
    front = tx.panels(
        rng, tx.wood(rng) if rng.random() < 0.6 else tx.muted(rng), rng.uniform(0.35, 0.6), rng.uniform(0.2, 0.6)
    )
    made: list[Body] = [box((0, 0, -0.22), (wide, high, 0.44), Skin(front, top=tx.planks(rng, tx.wood(rng))))]
    for _ in range(rng.randint(1, 4)):
        x = rng.uniform(-0.4, 0.4) * wide
        paint = tx.plaster(rng, tx.bright(rng))
        if rng.random() < 0.5:
            made.append(Ball((x, high + 0.12, -0.2), (0.1, 0.14, 0.1), paint))
        else:
            made.append(box((x, high, -0.2), (rng.uniform(0.1, 0.35), rng.uniform(0.1, 0.4), 0.15), Skin(paint)))
    return made


def _television(rng: Random) -> list[Body]:
    wide = rng.uniform(0.9, 1.4)
    screen = tx.painting(rng, wide, wide * 0.56) if rng.random() < 0.3 else tx.plaster(rng, (0.05, 0.05, 0.06))
    made = _sideboard(rng)
    made.append(
        box((0, 0.95, -0.2), (wide, wide * 0.56, 0.05), Skin(tx.plaster(rng, (0.04, 0.04, 0.04)), screen, glow=0.15))
    )
    return made


def _wardrobe(rng: Random) -> list[Body]:
    wide, high = rng.uniform(0.9, 1.8), rng.uniform(1.8, 2.3)
    colour = tx.wood(rng) if rng.random() < 0.6 else tx.muted(rng, 0.6, 0.95)
    return [
        box(
            (0, 0, -0.3),
            (wide, high, 0.6),
            Skin(tx.planks(rng, colour), tx.panels(rng, colour, wide / rng.choice([2, 3]), high)),
        )
    ]


def _desk(rng: Random) -> list[Body]:
    wide, top = rng.uniform(1.0, 1.6), Skin(tx.planks(rng, tx.wood(rng)))
    made: list[Body] = [box((0, 0.7, -0.35), (wide, 0.04, 0.7), top)]
    made += [box((side * (wide / 2 - 0.05), 0, -0.35), (0.05, 0.7, 0.6), top) for side in (-1, 1)]
    screen = Skin(
        tx.plaster(rng, (0.05, 0.05, 0.05)), tx.painting(rng, 0.6, 0.36) if rng.random() < 0.4 else None, glow=0.1
    )
    made.append(box((rng.uniform(-0.25, 0.25), 0.85, -0.2), (0.6, 0.36, 0.04), screen, rng.gauss(0, 0.2)))
    return made + [body.moved((0, 0, -0.85), math.pi + rng.gauss(0, 0.4)) for body in _chair(rng)]


def _counter(rng: Random) -> list[Body]:
    """A kitchen's units, below and above, an appliance among them."""
    wide, colour = rng.uniform(1.6, 2.4), tx.wood(rng) if rng.random() < 0.4 else tx.muted(rng, 0.3, 0.95)
    front = tx.panels(rng, colour, rng.uniform(0.4, 0.6), 0.8)
    top = tx.plaster(rng, tx.muted(rng, 0.12, 0.8), 0.15)
    made: list[Body] = [
        box((0, 0, -0.3), (wide, 0.86, 0.6), Skin(front)), box((0, 0.86, -0.31), (wide, 0.05, 0.64), Skin(top)),
        box((0, 1.45, -0.17), (wide, 0.65, 0.34), Skin(front)),
        box((0, 0.91, 0), (wide, 0.54, 0.03), Skin(tx.tiles(rng, tx.muted(rng), 0.12))),
        box((rng.uniform(-0.3, 0.3) * wide, 0.1, -0.32), (0.58, 0.7, 0.6), Skin(tx.plaster(rng, (0.1, 0.1, 0.1)))),
    ]  # fmt: skip
    for _ in range(rng.randint(2, 5)):
        thing = Skin(tx.plaster(rng, tx.bright(rng)))
        made.append(
            box(
                (rng.uniform(-0.45, 0.45) * wide, 0.91, -0.28),
                (rng.uniform(0.08, 0.3), rng.uniform(0.1, 0.35), 0.2),
                thing,
            )
        )
    return made


def _plant(rng: Random) -> list[Body]:
    high, wide = rng.uniform(0.5, 1.3), rng.uniform(0.25, 0.5)
    green = tx.ground(rng, (rng.uniform(0.12, 0.3), rng.uniform(0.3, 0.5), rng.uniform(0.08, 0.22)), 0.1)
    pot = tapered((0, 0, -0.35), (0.32, 0.3, 0.32), Skin(tx.plaster(rng, tx.bright(rng))), (-0.15, -0.15))
    return [pot, *leafy((0, 0.25 + high / 2, -0.35), (wide, high / 2, wide), green, 0.5)]


def _armchair(rng: Random) -> list[Body]:
    skin = Skin(tx.fabric(rng, tx.bright(rng), rng.choice([None, tx.muted(rng)])))
    return [
        box((0, 0.05, -0.4), (0.75, 0.36, 0.75), skin), box((0, 0.2, -0.08), (0.75, 0.75, 0.18), skin),
        box((-0.36, 0.05, -0.4), (0.14, 0.56, 0.75), skin), box((0.36, 0.05, -0.4), (0.14, 0.56, 0.75), skin),
    ]  # fmt: skip


def _legs(skin: Skin, wide: float, deep: float, high: float) -> list[Solid]:
    return [box((x * wide / 2, 0, z * deep / 2), (0.05, high, 0.05), skin) for x in (-1, 1) for z in (-1, 1)]


def _table(rng: Random) -> list[Body]:
    wide, deep, skin = rng.uniform(0.9, 1.8), rng.uniform(0.7, 1.0), Skin(tx.planks(rng, tx.wood(rng)))
    made: list[Body] = [box((0, 0.7, 0), (wide, 0.05, deep), skin), *_legs(skin, wide - 0.1, deep - 0.1, 0.7)]
    for _ in range(rng.randint(0, 5)):
        at = (rng.uniform(-0.4, 0.4) * wide, 0.75, rng.uniform(-0.4, 0.4) * deep)
        made.append(
            box(
                at,
                (rng.uniform(0.06, 0.3), rng.uniform(0.02, 0.25), rng.uniform(0.06, 0.25)),
                Skin(tx.plaster(rng, tx.bright(rng))),
            )
        )
    for side in (-1, 1):
        made += [
            b.moved((rng.uniform(-0.3, 0.3), 0, side * (deep / 2 + 0.2)), (0 if side > 0 else math.pi))
            for b in _chair(rng)
        ]
    return made


def _low_table(rng: Random) -> list[Body]:
    wide, deep, skin = rng.uniform(0.7, 1.2), rng.uniform(0.5, 0.8), Skin(tx.planks(rng, tx.wood(rng)))
    paper = box(
        (rng.uniform(-0.2, 0.2), 0.44, 0), (0.25, 0.02, 0.3), Skin(tx.painting(rng, 0.25, 0.3)), rng.uniform(0, 3)
    )
    return [box((0, 0.38, 0), (wide, 0.06, deep), skin), *_legs(skin, wide - 0.1, deep - 0.1, 0.38), paper]


def _chair(rng: Random) -> list[Body]:
    skin = Skin(tx.planks(rng, tx.wood(rng)) if rng.random() < 0.6 else tx.fabric(rng, tx.bright(rng)))
    return [
        box((0, 0.43, 0), (0.42, 0.05, 0.42), skin),
        box((0, 0.48, 0.2), (0.42, 0.48, 0.04), skin),
        *_legs(skin, 0.36, 0.36, 0.43),
    ]


def _lamp(rng: Random) -> list[Body]:
    shade = Skin(tx.fabric(rng, tx.muted(rng, 0.7, 0.95)), glow=0.9)
    return [
        box((0, 0, 0), (0.04, 1.4, 0.04), Skin(tx.plaster(rng, (0.15, 0.15, 0.15)))),
        tapered((0, 1.3, 0), (0.4, 0.3, 0.4), shade, (0.25, 0.25)),
    ]


def _clutter(rng: Random) -> list[Body]:
    size = (rng.uniform(0.15, 0.5), rng.uniform(0.08, 0.45), rng.uniform(0.15, 0.5))
    skin = Skin(
        rng.choice(
            [
                tx.plaster(rng, (0.62, 0.48, 0.33)),
                tx.fabric(rng, tx.bright(rng)),
                tx.panels(rng, tx.bright(rng), 0.2, 0.2),
            ]
        )
    )
    if rng.random() < 0.25:
        radius = size[1] / 2
        return [Ball((0, radius, 0), (radius, radius, radius), skin.side)]
    return [box((0, 0, 0), size, skin)]
