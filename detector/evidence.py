"""What the scene-shift model is told of a novel still: how it compares with its camera's scenes, and what went before.

Owns how each figure of `models.shift.Evidence` is taken. Refuses to decide on it. Everything here follows from what the
store keeps, so that an engine that was restored says the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import numpy as np

from detector import agree, match, shift
from detector.known import Known, Watched
from detector.memory import Memory
from detector.query import Query
from models.records import SceneId
from models.shift import Evidence, ShiftModel

LOOKS: Final = 4
"""Nearest own scenes that are compared."""
APART: Final = 0.5
"""Share of differing bits that two scenes with too few common bits count as: what chance gives."""


def numbers_of(evidence: Evidence, model: ShiftModel) -> dict[str, float | int | str]:
    """The figures for the verdict: the model's probability that it is another place, and all that it came from."""
    figures = {name: round(value, 4) for name, value in asdict(evidence).items()}
    return {"probability": round(model.probability(evidence), 4), **figures}


def gather(memory: Memory, camera: Watched, query: Query, own: float, look: SceneId | None) -> Evidence:
    """The evidence on a still that neither its camera's history nor anybody else's explains; changes nothing."""
    ranked = match.nearest(memory, camera.own, query.found)
    seen = [query.as_is(memory, known) for _, _, known in ranked[:LOOKS]]
    return Evidence(
        own=own,
        correlation=max((a.correlation for a in seen), default=0.0),
        fine=max((a.fine for a in seen), default=0.0),
        intact=max((a.intact for a in seen), default=0.0),
        blocks=max((a.blocks / max(a.textured, 1) for a in seen), default=0.0),
        distance=ranked[0][0] if ranked else 1.0,
        valid=query.found.valid,
        textured=query.found.textured / 64,
        stills=camera.stills,
        moves=camera.moves,
        scenes=len(camera.own),
        wander=wander(memory, camera.own),
        waiting=len(shift.waiting(camera)),
        alike=len(shift.alike(camera, look)),
    )


def wander(memory: Memory, own: Sequence[Known]) -> float:
    """Mean share of bits by which each own scene differs from the nearest other one; 0 of a single scene."""
    if len(own) < 2:
        return 0.0
    rows = [known.row for known in own]
    nearest = []
    for k, row in enumerate(rows):
        differing, common = memory.index.distances(*memory.index.bits(row), [*rows[:k], *rows[k + 1 :]])
        shares = np.where(common >= agree.LEAST_BITS, differing / np.maximum(common, 1), APART)
        nearest.append(float(shares.min()))
    return float(np.mean(nearest))
