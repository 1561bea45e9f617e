"""People, pets and cars: seeded bodies around the origin, looking towards +x, to be moved where they are wanted.

Owns their shapes. Refuses to place them.
"""

from __future__ import annotations

import math
from random import Random

from streams.simulator.render import texture as tx
from streams.simulator.render.view import Ball, Body, Skin, box, tapered


def person(rng: Random) -> list[Body]:
    """Somebody standing or in mid-step."""
    tall, step = rng.uniform(0.88, 1.08), rng.uniform(-0.16, 0.16)
    skin = tx.plaster(rng, rng.choice([(0.85, 0.65, 0.53), (0.72, 0.5, 0.38), (0.45, 0.3, 0.22), (0.9, 0.74, 0.64)]))
    hair = tx.plaster(rng, rng.choice([(0.1, 0.08, 0.07), (0.35, 0.24, 0.14), (0.7, 0.6, 0.4), (0.6, 0.6, 0.6)]), 0.2)
    shirt = tx.fabric(rng, tx.bright(rng), rng.choice([None, None, tx.bright(rng)]), 0.07)
    trousers = tx.fabric(rng, rng.choice([(0.15, 0.18, 0.28), (0.2, 0.2, 0.2), (0.5, 0.45, 0.36)]))
    shoe = tx.plaster(rng, tx.muted(rng, 0.05, 0.8))
    made: list[Body] = [
        Ball((0.02, 1.62 * tall, 0), (0.1, 0.13, 0.085), skin),
        Ball((-0.02, 1.67 * tall, 0), (0.11, 0.11, 0.095), hair),
        Ball((0, 1.46 * tall, 0), (0.05, 0.1, 0.05), skin), Ball((0, 1.18 * tall, 0), (0.13, 0.33, 0.21), shirt),
        Ball((0, 1.36 * tall, 0), (0.11, 0.1, 0.22), shirt), Ball((0, 0.92 * tall, 0), (0.13, 0.15, 0.18), trousers),
    ]  # fmt: skip
    for side in (-1, 1):
        ahead = side * step
        made += [
            Ball((ahead * 0.5, 0.66 * tall, side * 0.09), (0.085, 0.3, 0.085), trousers),
            Ball((ahead, 0.28 * tall, side * 0.09), (0.065, 0.28, 0.065), trousers),
            Ball((ahead + 0.05, 0.04, side * 0.09), (0.14, 0.05, 0.05), shoe),
            Ball((-ahead * 0.5, 1.2 * tall, side * 0.24), (0.055, 0.2, 0.055), shirt),
            Ball((-ahead + 0.04, 0.95 * tall, side * 0.25), (0.04, 0.17, 0.04), skin),
        ]
    return made


def pet(rng: Random) -> list[Body]:
    """A cat or a dog."""
    size = rng.uniform(0.7, 1.7)
    fur = tx.fabric(rng, rng.choice([(0.1, 0.1, 0.1), (0.6, 0.4, 0.2), (0.8, 0.78, 0.74), (0.4, 0.38, 0.36)]))
    made: list[Body] = [
        Ball((0, 0.24 * size, 0), (0.24 * size, 0.09 * size, 0.08 * size), fur),
        Ball((0.26 * size, 0.34 * size, 0), (0.09 * size, 0.08 * size, 0.07 * size), fur),
        Ball((-0.3 * size, 0.3 * size, 0), (0.12 * size, 0.03 * size, 0.03 * size), fur),
    ]
    for x in (-0.16, 0.16):
        made += [
            Ball((x * size, 0.1 * size, z * size), (0.03 * size, 0.12 * size, 0.03 * size), fur) for z in (-0.05, 0.05)
        ]
    return made


def car(rng: Random) -> list[Body]:
    """A car: body, bonnet, cabin with windows, wheels, lights."""
    paintwork = rng.choice([(0.8, 0.8, 0.82), (0.1, 0.1, 0.11), (0.35, 0.37, 0.4), (0.55, 0.08, 0.08), (0.1, 0.18, 0.4),
                            (0.92, 0.92, 0.92), tx.bright(rng)])  # fmt: skip
    long, van = rng.uniform(3.7, 4.7), rng.random() < 0.18
    metal = Skin(tx.plaster(rng, paintwork, 0.02))
    glass = tx.plaster(rng, (0.1, 0.12, 0.14), 0.12)
    tyre, rim = tx.plaster(rng, (0.05, 0.05, 0.05)), tx.plaster(rng, (0.6, 0.6, 0.62))
    high = 1.1 if van else 0.58
    made: list[Body] = [
        tapered((0, 0.28, 0), (long, 0.62, 1.72), metal, (0.12, 0.06)),
        tapered((-0.12 * long, 0.86, 0), (long * (0.72 if van else 0.6), high, 1.58),
                Skin(glass, glass, metal.side), (0.2 if van else 0.62, 0.22)),
        tapered((-0.12 * long, 0.86 + high, 0), (long * (0.6 if van else 0.36), 0.05, 1.3), metal, (0.2, 0.2)),
        box((-0.12 * long, 0.86, 0), (0.09, high * 0.96, 1.5), metal),
    ]  # fmt: skip
    for x in (-0.31, 0.31):
        for side in (-1, 1):
            made.append(Ball((x * long, 0.32, side * 0.8), (0.33, 0.33, 0.13), tyre))
            made.append(Ball((x * long, 0.32, side * 0.87), (0.2, 0.2, 0.08), rim))
    for side in (-1, 1):
        made.append(
            Ball((long / 2 - 0.06, 0.66, side * 0.62), (0.08, 0.09, 0.17), tx.plaster(rng, (0.95, 0.95, 0.9)), glow=0.6)
        )
        made.append(
            Ball((-long / 2 + 0.06, 0.7, side * 0.66), (0.07, 0.1, 0.13), tx.plaster(rng, (0.6, 0.05, 0.05)), glow=0.25)
        )
    return made


def heading(start: tuple[float, float], end: tuple[float, float]) -> float:
    """The turn that makes a figure look from `start` to `end` on the plan."""
    return math.atan2(-(end[1] - start[1]), end[0] - start[0])
