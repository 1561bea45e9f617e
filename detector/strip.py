"""Whose strip is it? What is left of a still that was cut off early, looked up as it lies.

Owns when a strip with hardly enough bits names a camera all the same: where it is the same to the pixel, and stands out
from every other camera that shows the like. Refuses whatever the search finds by itself (match.py). A banner with
sky below it is one operator's fifty cameras: such a strip names nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isinf
from typing import Final

from detector import agree, match
from detector.certainty import certainty
from detector.known import Known
from detector.match import Match
from detector.memory import Memory
from detector.query import Query
from detector.shared import its_own, shared
from models.agreement import Agreement, agree_at, compare

VALID: Final = 0.5
"""Valid share of a still below which it is a strip."""
RADIUS: Final = 0.07
"""Share of differing bits up to which a strip may be a camera's,"""
BESIDE: Final = 0.14
"""and up to which others are asked whether they show the like;"""
BITS: Final = 40
"""common bits that this needs, fewer than under many placings: a cut-off still lies as it was taken."""
LOOKS: Final = 30
"""Cameras' scenes that get a second look, nearest first."""
CERTAIN: Final = 1.5
"""Certainty from which on a strip names its camera: half above the highest of 2,295 strips whose camera was left out
(1.05, benchmarks/tail.py says what it is made of),"""
SHARED: Final = 2.6
"""and where another camera shows all of it: half above the highest of another
2,502, shared or not (1.73, one operator's banner and sky)."""
STANDS_OUT: Final = 2.0
"""How many times as certain as the next camera it must be."""
_AS_IT_LIES: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def search(memory: Memory, query: Query, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    """Scenes of other cameras that agree, best first: what the search finds, else the one that a strip is of."""
    return match.search(memory, query, skip, standings) or strips(memory, query, skip, standings)


def strips(memory: Memory, query: Query, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    """The scene that a strip is of, marked as a part; none for a still that is no strip, or that does not stand out."""
    if query.found.valid >= VALID:
        return []
    code, mask = query.found.code[None], query.found.mask[None]
    found = memory.index.match(query.near(memory, skip, standings), code, mask, radius=BESIDE, least=BITS)
    near = sorted((f.differing / f.common, memory.at_row[f.row].record.id, f) for f in found if not f.negative)
    best: dict[str, tuple[float, Match]] = {}
    for distance, _, f in near[:LOOKS]:
        known = memory.at_row[f.row]
        a = _look(memory, query, known)
        sure = certainty(distance, f.common, a)
        if a.blocks >= agree.ACCEPT_BLOCKS and sure > best.get(known.record.camera, (0.0,))[0]:
            best[known.record.camera] = sure, Match(known, distance, f.common, a, part=True)
    ranked = sorted(best.values(), key=lambda each: -each[0])
    if not ranked or ranked[0][1].distance > RADIUS:
        return []
    sure, first = ranked[0]
    others = shared(memory, first.scene, query.found.mask, skip)
    whole = isinf(others)
    hit = first if whole else replace(first, shared=others)
    alone = len(ranked) < 2 or sure >= STANDS_OUT * ranked[1][0]
    enough = sure >= (SHARED if whole else CERTAIN) and its_own(hit.certainty, hit.shared)
    return [hit] if alone and enough else []


def _look(memory: Memory, query: Query, known: Known) -> Agreement:
    """Registered, or as it lies where that agrees better: a strip holds a map badly."""
    scene = memory.looked(known)
    registered, lying = compare(query.looked, scene), agree_at(query.looked, scene, _AS_IT_LIES)
    fits = agree.fits(query.looked, scene, registered)
    return registered if fits and registered.score > lying.score else lying
