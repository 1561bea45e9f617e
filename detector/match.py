"""Whose scene is it? Candidates from the index under many hypotheses, then the registered second look.

Owns the radii and the order of the search. Refuses to know rights and to raise alerts. Every figure below was
measured on stills of fixed cameras and their damages (docs/decisions/fingerprint.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.agree import (
    ACCEPT_BLOCKS,
    COVERED,
    LEAST_BITS,
    SEARCH_BITS,
    agrees,
    explains,
    fits,
    lies,
    shows_more_than_bands,
)
from detector.certainty import certainty
from detector.known import Known
from detector.memory import Memory
from detector.query import Query
from detector.shared import its_own, shared
from models.agreement import Agreement, compare, glance
from models.code import Hypotheses, fine_of, hypotheses
from models.distance import VOTES, Found
from models.fingerprint import Fingerprint
from models.looked import Looked
from models.placing import AS_IS, RARE, USUAL, Placing, inverse
from models.view import PARTIAL, View, cleaned

SAME_RADIUS: Final = 0.05
"""Share of differing bits up to which a still shows the very scene: nothing new to learn."""
OWN_RADIUS: Final = 0.14
"""Share of differing bits up to which a camera's own scene explains its still without a second look. Of 78 million
pairs of different cameras none with 120 common bits lay below 0.15."""
SEARCH_RADIUS: Final = 0.18
"""Share of differing bits up to which another camera's scene gets a second look."""
OWN_SEARCH_RADIUS: Final = 0.22
"""The same for a camera's own scenes under all placings: they are few, and a mistake there accuses nobody."""
OWN_LOOKS: Final = 4
"""Own scenes that get a second look as they are, nearest first."""
VIEW_RADIUS: Final = 0.12
"""Share of differing bits of a part, or of one direction, up to which it gets a second look,"""
VIEW_BITS: Final = 90
"""and the common bits that this needs;"""
VIEW_SCORE: Final = 0.80
"""and the score that this must reach: a part that is the same to the pixel."""
HOPELESS: Final = 0.25
"""Correlation of a candidate where the bits found it, before the registration, below which it is dismissed. Of 1,695
that were accepted in four labelled replays none lay below 0.38."""
CANDIDATES: Final = 12
"""Candidates that get a second look, nearest first."""


@dataclass(frozen=True, slots=True)
class Match:
    """A scene that a still may show: the share of bits that differ, of how many, and what the second look said.

    `part` says that only a part of the still, or one direction of its differences, was compared, or that a camera's
    own scene was found in the still read otherwise than as it came. `shared` are the nats by which several other
    cameras agree with that part of the scene too.
    """

    scene: Known
    distance: float
    common: int
    agreement: Agreement
    part: bool = False
    shared: float = 0.0

    @property
    def certainty(self) -> float:
        """How certain it is that the still shows the scene."""
        return certainty(self.distance, self.common, self.agreement, self.shared)


def nearest(memory: Memory, scenes: Sequence[Known], found: Fingerprint) -> list[tuple[float, int, Known]]:
    """Share of differing bits (1 where too few are common), common bits and scene, nearest first."""
    if not scenes:
        return []
    differing, common = memory.index.distances(found.code, found.mask, [k.row for k in scenes])
    both = zip(differing.tolist(), common.tolist(), scenes, strict=True)
    ranked = [(d / c if c >= LEAST_BITS else 1.0, c, k) for d, c, k in both]
    ranked.sort(key=lambda r: (r[0], -r[1], r[2].record.id))
    return ranked


def own(memory: Memory, scenes: Sequence[Known], query: Query) -> tuple[Match | None, float, str]:
    """The own scene that explains the still (None without), the best score of any, and the rule."""
    if not scenes:
        return None, 0.0, ""
    ranked = nearest(memory, scenes, query.found)
    if ranked and ranked[0][0] <= OWN_RADIUS:
        distance, common, known = ranked[0]
        return Match(known, distance, common, _UNLOOKED), 1.0, "own-code"
    best = 0.0
    for distance, common, known in ranked[:OWN_LOOKS]:
        a = query.as_is(memory, known)
        best = max(best, a.score)
        if explains(a):
            return Match(known, distance, common, a), a.score, "own-look"
    rows = {k.row: k for k in scenes}
    for placings, codes, masks, _ in (query.usual, query.rare):
        hits = memory.index.match(list(rows), codes, masks, radius=OWN_SEARCH_RADIUS, least=SEARCH_BITS)
        for f in _ranked(memory, hits)[:OWN_LOOKS]:
            known = rows[f.row]
            a = compare(query.looked, memory.looked(known), _placing(placings, f), negative=f.negative)
            best = max(best, a.score)
            if explains(a):
                return Match(known, f.differing / max(f.common, 1), f.common, a), a.score, "own-placed"
    for reading in query.anew:
        hits = memory.index.match(
            list(rows), reading.given.codes, reading.given.masks, radius=OWN_SEARCH_RADIUS, least=SEARCH_BITS
        )
        for f in _ranked(memory, hits)[:OWN_LOOKS]:
            known = rows[f.row]
            a = compare(reading.looked, memory.looked(known), _placing(reading.placings, f), negative=f.negative)
            if explains(a):
                m = Match(known, f.differing / max(f.common, 1), f.common, reading.in_still(a), part=True)
                return m, a.score, "own-placed"
    return None, best, ""


def kinship(memory: Memory, known: Known, scenes: Sequence[Known]) -> float:
    """The best score of a scene against some others of its camera, as they are."""
    looked = memory.looked(known)
    return max((compare(looked, memory.looked(other)).score for other in scenes), default=0.0)


def search(memory: Memory, query: Query, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    """Scenes of other cameras that agree, best first; ties by scene id.

    The usual placings first, then the rare ones, then the still read otherwise than as it came, then parts of it, then
    the still without a regular pattern that lies over it: each only when the one before finds none.
    """
    for search_stage in (_usually, _rarely, _anew, _partly, _cleaned):
        matches = search_stage(memory, query, skip, standings)
        if matches:
            matches.sort(key=lambda m: (-m.agreement.score, m.scene.record.id))
            return matches
    return []


def _usually(memory: Memory, query: Query, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    rows = query.near(memory, skip, standings)
    return _placed(memory, query, rows, query.usual, skip, short=True)


def _rarely(memory: Memory, query: Query, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    rows = query.farther(memory, skip, standings)
    return _placed(memory, query, rows, query.rare, skip, short=False)


def _anew(memory: Memory, query: Query, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    matches = []
    found = memory.candidates_of([reading.given for reading in query.anew], skip, standings)
    for reading, rows in zip(query.anew, found, strict=True):
        _, codes, masks, _ = reading.given
        short = reading.box is not None
        hits = memory.index.match(rows, codes, masks, radius=SEARCH_RADIUS, least=SEARCH_BITS, short=short)
        for f in _ranked(memory, hits)[:CANDIDATES]:
            known = memory.at_row[f.row]
            scene = memory.looked(known)
            m = _agreeing(reading.looked, scene, known, f, _placing(reading.placings, f))
            if m is None or not lies(reading, scene, m.agreement, f.common, negative=f.negative):
                continue
            m = _weighed(memory, m, known, masks[f.hypothesis], skip)
            if m is not None:
                matches.append(replace(m, agreement=reading.in_still(m.agreement)))
    return matches


def _cleaned(memory: Memory, query: Query, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    levels = cleaned(query.found.levels)
    if levels is None:
        return []
    return _usually(memory, Query(Fingerprint.of(levels)), skip, standings)


def _placed(
    memory: Memory,
    query: Query,
    rows: NDArray[np.int64],
    given: Hypotheses,
    skip: Sequence[int],
    *,
    short: bool,
) -> list[Match]:
    placings, codes, masks, _ = given
    hits = memory.index.match(rows, codes, masks, radius=SEARCH_RADIUS, least=SEARCH_BITS, short=short)
    matches = []
    for f in _ranked(memory, hits)[:CANDIDATES]:
        known = memory.at_row[f.row]
        m = _look(query.looked, memory.looked(known), known, f, _placing(placings, f))
        m = _weighed(memory, m, known, masks[f.hypothesis], skip)
        if m is not None:
            matches.append(m)
    return matches


def _weighed(
    memory: Memory, m: Match | None, scene: Known, mask: NDArray[np.uint64], skip: Sequence[int]
) -> Match | None:
    """The match with what several other cameras show of that part of the scene as well; None where it stands on nothing
    else."""
    if m is None:
        return None
    m = replace(m, shared=shared(memory, scene, mask, skip))
    return m if its_own(m.certainty, m.shared) else None


def _partly(memory: Memory, query: Query, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    codes, masks = query.partial
    hits = memory.index.match(query.near(memory, skip, standings), codes, masks, radius=VIEW_RADIUS, least=VIEW_BITS)
    matches = []
    for f in _ranked(memory, hits)[:CANDIDATES]:
        known, view = memory.at_row[f.row], PARTIAL[f.hypothesis]
        scene = memory.seen(known, view) if view in (View.ALONG_X, View.ALONG_Y) else memory.looked(known)
        part = query.seen(view)
        a = compare(part, scene, negative=f.negative)
        agree = a.score >= VIEW_SCORE and a.blocks >= ACCEPT_BLOCKS and a.covered >= COVERED
        agree = agree and shows_more_than_bands(part, scene, a, negative=f.negative)
        m = Match(known, f.differing / max(f.common, 1), f.common, a, part=True) if agree else None
        m = _weighed(memory, m, known, masks[f.hypothesis], skip)
        if m is not None:
            matches.append(m)
    return matches


def search_back(memory: Memory, scene: Known, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    """Stills of other cameras, held or seen once, that may show this scene; by the time at which they came."""
    levels = memory.index.levels(scene.row)
    given = hypotheses(fine_of(levels), _BACK)
    rows = memory.candidates(given, skip, standings, usual=len(USUAL), whole=len(USUAL))
    if not rows.size:
        return []
    hits = memory.index.match(rows, given.codes, given.masks, radius=SEARCH_RADIUS, least=SEARCH_BITS)
    if not hits:
        return []
    looked = Looked(levels)
    matches = []
    for f in _ranked(memory, hits)[: 4 * CANDIDATES]:
        known = memory.at_row[f.row]
        m = _look(memory.looked(known), looked, known, f, _placing(_FORTH, f))
        if m is not None:
            m = _weighed(memory, m, scene, _mask_of(memory, f), [*skip, _number(memory, known)])
        if m is not None:
            matches.append(m)
    matches.sort(key=lambda m: (m.scene.record.first_seen, m.scene.record.id))
    return matches


def _mask_of(memory: Memory, f: Found) -> NDArray[np.uint64]:
    """What a kept still shows of the scene that found it, in the scene's own frame."""
    mask: NDArray[np.uint64] = hypotheses(fine_of(memory.index.levels(f.row)), _FORTH[f.hypothesis][None]).masks[0]
    return mask


def _number(memory: Memory, known: Known) -> int:
    return memory.cameras[known.record.camera].number


def _look(query: Looked, scene: Looked, known: Known, f: Found, placing: Placing) -> Match | None:
    m = _agreeing(query, scene, known, f, placing)
    return m if m is not None and fits(query, scene, m.agreement, negative=f.negative) else None


def _agreeing(query: Looked, scene: Looked, known: Known, f: Found, placing: Placing) -> Match | None:
    """The match of a candidate, wherever it lies; None when the pictures do not agree."""
    if glance(query, scene, placing, negative=f.negative) < HOPELESS:
        return None
    a = compare(query, scene, placing, negative=f.negative)
    distance = f.differing / max(f.common, 1)
    agree = agrees(a, distance if f.votes < VOTES else 0.0, f.common)
    agree = agree and shows_more_than_bands(query, scene, a, negative=f.negative)
    return Match(known, distance, f.common, a) if agree else None


def same_place(memory: Memory, some: Sequence[Known], others: Sequence[Known]) -> bool:
    """Whether any scene of one camera shows what a scene of another camera shows, under any placing."""
    rows = {k.row: k for k in others}
    for known in some:
        query = Query(Fingerprint.of(memory.index.levels(known.row)))
        for placings, codes, masks, _ in (query.usual, query.rare):
            hits = memory.index.match(list(rows), codes, masks, radius=OWN_SEARCH_RADIUS, least=SEARCH_BITS)
            for f in _ranked(memory, hits)[:OWN_LOOKS]:
                scene = memory.looked(rows[f.row])
                a = compare(query.looked, scene, _placing(placings, f), negative=f.negative)
                agree = agrees(a, 0.0, LEAST_BITS)
                if agree and shows_more_than_bands(query.looked, scene, a, negative=f.negative):
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
