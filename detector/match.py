"""Whose scene is it? Candidates from the index under many hypotheses, then the registered second look.

Owns the radii and the acceptance thresholds. Refuses to know rights and to raise alerts. Every figure below was
measured on stills of fixed cameras and their damages (docs/decisions/fingerprint.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.memory import Known, Memory
from models.code import codes_of
from models.fingerprint import Fingerprint
from models.index import VOTES, Found
from models.placing import AS_IS, RARE, USUAL, Placing, boxed, inverse
from models.registration import Agreement, Looked, agree_at, compare
from models.thumbnail import SIDE

SAME_RADIUS: Final = 0.05
"""Share of differing bits up to which a still shows the very scene: nothing new to learn."""
OWN_RADIUS: Final = 0.14
"""Share of differing bits up to which a camera's own scene explains its still without a second look. Of 78 million
pairs of different cameras none with 120 common bits lay below 0.15."""
LEAST_BITS: Final = 120
"""Reliable bits in common that make such a distance mean something."""
SEARCH_RADIUS: Final = 0.18
"""Share of differing bits up to which another camera's scene gets a second look."""
SEARCH_BITS: Final = 90
"""Reliable bits in common that a candidate needs: a quarter of a picture has about so many."""
OWN_SEARCH_RADIUS: Final = 0.22
"""The same for a camera's own scenes under all placings: they are few, and a mistake there accuses nobody."""
OWN_CORRELATION: Final = 0.70
"""Registered correlation from which on an own scene explains a still (AUC 0.998 against other places)."""
OWN_BLOCKS: Final = 4
"""Blocks that must agree besides."""
OWN_LOOKS: Final = 4
"""Own scenes that get a second look as they are, nearest first."""
ACCEPT_SCORE: Final = 0.60
"""Score of the second look from which on a foreign scene is named. The highest of other places: 0.46 of 45 million."""
ACCEPT_CORRELATION: Final = 0.50
"""Correlation needed besides."""
NEAR: Final = 0.07
"""Share of differing bits from which on the score must rise,"""
FARTHER: Final = 1.2
"""by this much for each unit of the share."""
STRIP_BITS: Final = 120
"""Common bits below which a strip of a picture is compared,"""
STRIP_SCORE: Final = 0.68
"""which must reach this score,"""
SHORT_SCORE: Final = 0.74
"""and this one below `SEARCH_BITS`,"""
SLIP_BITS: Final = 60
"""and below so few bits"""
SLIP_SCORE: Final = 0.84
"""this one."""
PART_SCORE: Final = 0.48
"""Score that suffices where a part is intact and the rest is hidden or torn,"""
PART_INTACT: Final = 0.78
"""with at least this correlation in the best third of the blocks"""
PART_FINE: Final = 0.30
"""and this one of the fine band."""
ACCEPT_BLOCKS: Final = 8
"""Blocks of 64 that must agree."""
COVERED: Final = 0.85
"""Share of the still's valid cells that must lie inside the stored frame. A neighbour's view lies half outside."""
WHOLE_OVERLAP: Final = 0.93
"""Where less is covered: the share of the stored frame that must be seen whole,"""
WHOLE_SCORE: Final = 0.80
"""and how well it must agree, for a picture that is shown smaller inside something else."""
CANDIDATES: Final = 12
"""Candidates that get a second look, nearest first."""


class Query:
    """A still as it is looked up. What only novel stills need is worked out when it is asked for."""

    def __init__(self, found: Fingerprint) -> None:
        self.found = found

    @cached_property
    def looked(self) -> Looked:
        """Made ready for the second look."""
        return Looked(self.found.levels)

    @cached_property
    def usual(self) -> tuple[NDArray[np.float32], NDArray[np.uint64], NDArray[np.uint64]]:
        """The common placings with their codes and masks."""
        placings = np.concatenate([USUAL, boxed(self.found.box)])
        return (placings, *codes_of(self.found.levels, placings))

    @cached_property
    def rare(self) -> tuple[NDArray[np.float32], NDArray[np.uint64], NDArray[np.uint64]]:
        """The rarer placings with their codes and masks."""
        return (RARE, *codes_of(self.found.levels, RARE))


@dataclass(frozen=True, slots=True)
class Match:
    """A scene that a still may show: the share of bits that differ, of how many, and what the second look said."""

    scene: Known
    distance: float
    common: int
    agreement: Agreement


def nearest(memory: Memory, scenes: Sequence[Known], found: Fingerprint) -> list[tuple[float, int, Known]]:
    """Share of differing bits (1 where too few are common), common bits and scene, nearest first."""
    if not scenes:
        return []
    differing, common = memory.index.distances(found.code, found.mask, [k.row for k in scenes])
    ranked = [
        (float(d / c) if c >= LEAST_BITS else 1.0, int(c), k) for d, c, k in zip(differing, common, scenes, strict=True)
    ]
    ranked.sort(key=lambda r: (r[0], -r[1], r[2].record.id))
    return ranked


def explains(a: Agreement) -> bool:
    """Whether a camera's own scene explains its still."""
    return (a.correlation >= OWN_CORRELATION and a.blocks >= OWN_BLOCKS) or agrees(a, 0.0, LEAST_BITS)


def agrees(a: Agreement, distance: float, common: int) -> bool:
    """Whether the two pictures are of one place, wholly or in an intact part.

    The more bits differed and the fewer were common, the better the second look must be.
    """
    if a.blocks < ACCEPT_BLOCKS:
        return False
    farther = FARTHER * max(0.0, distance - NEAR)
    needed = max(ACCEPT_SCORE + farther, STRIP_SCORE if common < STRIP_BITS else 0.0)
    needed = max(needed, SHORT_SCORE if common < SEARCH_BITS else 0.0)
    needed = max(needed, SLIP_SCORE if common < SLIP_BITS else 0.0)
    if a.score >= needed and a.correlation >= ACCEPT_CORRELATION:
        return True
    part = a.score >= PART_SCORE + farther and a.intact >= PART_INTACT and a.fine >= PART_FINE
    return part and common >= STRIP_BITS


def own(memory: Memory, scenes: Sequence[Known], query: Query) -> tuple[Match | None, float, str]:
    """The own scene that explains the still (None without), the best score of any, and the rule."""
    ranked = nearest(memory, scenes, query.found)
    if ranked and ranked[0][0] <= OWN_RADIUS:
        distance, common, known = ranked[0]
        return Match(known, distance, common, _UNLOOKED), 1.0, "own-code"
    best = 0.0
    for distance, common, known in ranked[:OWN_LOOKS]:
        a = compare(query.looked, memory.looked(known))
        best = max(best, a.score)
        if explains(a):
            return Match(known, distance, common, a), a.score, "own-look"
    rows = {k.row: k for k in scenes}
    for placings, codes, masks in (query.usual, query.rare):
        hits = memory.index.match(list(rows), codes, masks, radius=OWN_SEARCH_RADIUS, least=SEARCH_BITS)
        for f in _ranked(memory, hits)[:OWN_LOOKS]:
            known = rows[f.row]
            a = compare(query.looked, memory.looked(known), _placing(placings, f), negative=f.negative)
            best = max(best, a.score)
            if explains(a):
                return Match(known, f.differing / max(f.common, 1), f.common, a), a.score, "own-placed"
    return None, best, ""


def search(memory: Memory, query: Query, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    """Scenes of other cameras that agree, best first; ties by scene id. Rare placings only when the usual find none."""
    for placings, codes, masks in (query.usual, query.rare):
        hits = memory.index.search(
            codes,
            masks,
            skip=skip,
            standings=standings,
            radius=SEARCH_RADIUS,
            least=SEARCH_BITS,
            short=len(placings) < len(RARE),
        )
        matches = []
        for f in _ranked(memory, hits)[:CANDIDATES]:
            known = memory.at_row[f.row]
            m = _look(query.looked, memory.looked(known), known, f, _placing(placings, f))
            if m is not None:
                matches.append(m)
        if matches:
            matches.sort(key=lambda m: (-m.agreement.score, m.scene.record.id))
            return matches
    return []


def search_back(memory: Memory, scene: Known, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    """Stills of other cameras, held or seen once, that may show this scene; by the time at which they came."""
    levels = memory.index.levels(scene.row)
    codes, masks = codes_of(levels, _BACK)
    hits = memory.index.search(codes, masks, skip=skip, standings=standings, radius=SEARCH_RADIUS, least=SEARCH_BITS)
    if not hits:
        return []
    looked = Looked(levels)
    matches = []
    for f in _ranked(memory, hits)[: 4 * CANDIDATES]:
        known = memory.at_row[f.row]
        m = _look(memory.looked(known), looked, known, f, _placing(_FORTH, f))
        if m is not None:
            matches.append(m)
    matches.sort(key=lambda m: (m.scene.record.first_seen, m.scene.record.id))
    return matches


def _look(query: Looked, scene: Looked, known: Known, f: Found, placing: Placing) -> Match | None:
    a = compare(query, scene, placing, negative=f.negative)
    distance = f.differing / max(f.common, 1)
    if not agrees(a, distance if f.votes < VOTES else 0.0, f.common):
        return None
    whole = a.overlap >= WHOLE_OVERLAP and a.score >= WHOLE_SCORE
    if a.covered < COVERED and not whole and not _wraps(query, scene, a, negative=f.negative):
        return None
    return Match(known, distance, f.common, a)


def _wraps(query: Looked, scene: Looked, a: Agreement, *, negative: bool) -> bool:
    """Whether what lies outside comes in again on the other side: a shifted buffer, not another view."""
    xx, xy, x0, yx, yy, y0 = a.placing
    for turn in ((-SIDE, 0), (SIDE, 0), (0, -SIDE), (0, SIDE)):
        b = agree_at(query, scene, (xx, xy, x0 + turn[0], yx, yy, y0 + turn[1]), negative=negative)
        if a.covered + b.covered >= COVERED and b.correlation >= ACCEPT_CORRELATION:
            return True
    return False


def _ranked(memory: Memory, hits: list[Found]) -> list[Found]:
    return sorted(hits, key=lambda f: (f.differing / max(f.common, 1) - 0.05 * f.votes, memory.at_row[f.row].record.id))


def _placing(placings: NDArray[np.float32], f: Found) -> Placing:
    ax, bx, ay, by = placings[f.hypothesis]
    return float(ax), float(bx), float(ay), float(by)


_FORTH: Final = np.concatenate([USUAL, RARE])
_BACK: Final = inverse(_FORTH)
_UNLOOKED: Final = Agreement(1.0, 1.0, 1.0, 1.0, 64, 64, 1.0, 1.0, 1.0, (AS_IS[0], 0.0, 0.0, 0.0, AS_IS[2], 0.0))
