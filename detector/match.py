"""Whose scene is it? Candidates from the index under many hypotheses, then the registered second look.

Owns the radii and the acceptance thresholds. Refuses to know rights and to raise alerts. Every figure below was
measured on stills of fixed cameras and their damages (docs/decisions/fingerprint.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.known import Known
from detector.memory import NUMBER, Memory
from detector.reading import Reading, readings
from models.code import AS_IS as AS_IT_IS
from models.code import codes_of
from models.distance import VOTES, Found
from models.fingerprint import Fingerprint
from models.placing import AS_IS, RARE, USUAL, Placing, boxed, inverse
from models.records import SceneId
from models.registration import Agreement, Looked, agree_at, compare, glance
from models.scene import Standing
from models.thumbnail import SIDE
from models.view import PARTIAL, WORDS_OF, View, cleaned, frames, seen

SAME_RADIUS: Final = 0.05
"""Share of differing bits up to which a still shows the very scene: nothing new to learn."""
OWN_RADIUS: Final = 0.14
"""Share of differing bits up to which a camera's own scene explains its still without a second look. Of 78 million
pairs of different cameras none with 120 common bits lay below 0.15."""
LEAST_BITS: Final = 120
"""Reliable bits in common that make such a distance mean something."""
SEARCH_RADIUS: Final = 0.18
"""Share of differing bits up to which another camera's scene gets a second look."""
SEARCH_BITS: Final = 80
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
FARTHER: Final = 1.0
"""by this much for each unit of the share."""
SMOOTH_FINE: Final = 0.25
"""Correlation of the fine band below which the score must rise as well: bands and shadows agree without it,"""
SMOOTH: Final = 0.6
"""by this much for each unit."""
STRIP_BITS: Final = 110
"""Common bits below which a strip of a picture is compared,"""
STRIP_SCORE: Final = 0.66
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
TORN_SCORE: Final = 0.44
"""Or, whatever share of bits differs: this score,"""
TORN_INTACT: Final = 0.93
"""a best third that is the same to the pixel,"""
TORN_FINE: Final = 0.40
"""and this much of the fine band: the rest of the picture is another one."""
ACCEPT_BLOCKS: Final = 8
"""Blocks of 64 that must agree."""
COVERED: Final = 0.85
"""Share of the still's valid cells that must lie inside the stored frame. A neighbour's view lies half outside."""
ASIDE: Final = 2.0
"""Cells by which the frame's middle may be off; beyond, two cameras may stand side by side, and"""
COVERED_ASIDE: Final = 0.96
"""this share must lie inside."""
STRAIGHT_FACTOR: Final = 0.03
"""Difference of a scale from 1, or a shear from 0, up to which a picture is shown as it was taken,"""
STRAIGHT_SHIFT: Final = 1.2
"""and by how many cells it may be off."""
WHOLE_OVERLAP: Final = 0.93
"""Where less is covered: the share of the stored frame that must be seen whole,"""
WHOLE_SCORE: Final = 0.74
"""how well it must agree,"""
WHOLE_FINE: Final = 0.52
"""and in the fine band, for a picture that is shown smaller inside something else. A wider view of the same room
reached 0.70 and 0.49."""
TILE_SCORE: Final = 0.58
"""Score that suffices when the picture fills one half or quarter of the still exactly, as a display of four does."""
TILE_SLACK: Final = 1.3
"""Cells by which such a tile may be off."""
BESIDE_BLOCKS: Final = 8
"""Blocks of the frame beside a window that must be there to say that it does not go on,"""
BESIDE_CORRELATION: Final = 0.3
"""and the correlation below which it does not."""
VIEW_RADIUS: Final = 0.12
"""Share of differing bits of a part, or of one direction, up to which it gets a second look,"""
VIEW_BITS: Final = 90
"""and the common bits that this needs;"""
VIEW_SCORE: Final = 0.80
"""and the score that this must reach: a part that is the same to the pixel."""
COMMON_BITS: Final = 200
"""Common bits below which it is asked whether other cameras show the same there:"""
COMMON_RADIUS: Final = 0.06
"""at most this share of bits differs,"""
COMMON_SHARE: Final = 0.7
"""of at least this share of them."""
HOPELESS: Final = 0.25
"""Correlation of a candidate where the bits found it, before the registration, below which it is dismissed. Of 1,695
that were accepted in four labelled replays none lay below 0.38."""
CANDIDATES: Final = 12
"""Candidates that get a second look, nearest first."""


class Query:
    """A still as it is looked up. What only novel stills need is worked out when it is asked for."""

    def __init__(self, found: Fingerprint) -> None:
        self.found = found
        self._looked: dict[View, Looked] = {}
        self._near: tuple[tuple[object, ...], NDArray[np.int64]] | None = None
        self._as_is: dict[SceneId, Agreement] = {}

    def seen(self, view: View) -> Looked:
        """Made ready for the second look, as the view sees it."""
        if view not in self._looked:
            self._looked[view] = Looked(seen(self.found.levels, view))
        return self._looked[view]

    @property
    def looked(self) -> Looked:
        """Made ready for the second look, wholly."""
        return self.seen(View.WHOLE)

    def as_is(self, memory: Memory, known: Known) -> Agreement:
        """How it agrees with a scene as it is; looked at once."""
        id_ = known.record.id
        if id_ not in self._as_is:
            self._as_is[id_] = compare(self.looked, memory.looked(known))
        return self._as_is[id_]

    @cached_property
    def usual(self) -> tuple[NDArray[np.float32], NDArray[np.uint64], NDArray[np.uint64]]:
        """The common placings with their codes and masks."""
        placings = np.concatenate([USUAL, boxed(self.found.box)])
        return (placings, *codes_of(self.found.levels, placings))

    @cached_property
    def rare(self) -> tuple[NDArray[np.float32], NDArray[np.uint64], NDArray[np.uint64]]:
        """The rarer placings with their codes and masks."""
        placings = np.concatenate([RARE, frames(self.found.levels)])
        return (placings, *codes_of(self.found.levels, placings))

    def near(self, memory: Memory, skip: Sequence[int], standings: Sequence[int]) -> NDArray[np.int64]:
        """Rows that may show it under a common placing, whole or in part. Asked several times of one search."""
        asked = (memory, *skip, None, *standings)
        if self._near is None or self._near[0] != asked:
            placings = self.usual[0]
            rows = memory.candidates(self.found.levels, placings, skip, standings, usual=len(placings))
            self._near = asked, rows
        return self._near[1]

    def farther(self, memory: Memory, skip: Sequence[int], standings: Sequence[int]) -> NDArray[np.int64]:
        """Rows that may show it under a rarer placing."""
        return memory.candidates(self.found.levels, self.rare[0], skip, standings)

    @cached_property
    def anew(self) -> list[Reading]:
        """The still read otherwise than as it came."""
        return readings(self.found)

    @cached_property
    def partial(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Codes and masks of the partial views, as it is, in the order of `PARTIAL`."""
        masks = self.found.mask[None] & WORDS_OF
        return np.broadcast_to(self.found.code, masks.shape).copy(), masks


@dataclass(frozen=True, slots=True)
class Match:
    """A scene that a still may show: the share of bits that differ, of how many, and what the second look said.

    `part` says that only a part of the still, or one direction of its differences, was compared, or that a camera's
    own scene was found in the still read otherwise than as it came.
    """

    scene: Known
    distance: float
    common: int
    agreement: Agreement
    part: bool = False


def nearest(memory: Memory, scenes: Sequence[Known], found: Fingerprint) -> list[tuple[float, int, Known]]:
    """Share of differing bits (1 where too few are common), common bits and scene, nearest first."""
    if not scenes:
        return []
    differing, common = memory.index.distances(found.code, found.mask, [k.row for k in scenes])
    both = zip(differing.tolist(), common.tolist(), scenes, strict=True)
    ranked = [(d / c if c >= LEAST_BITS else 1.0, c, k) for d, c, k in both]
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
    smooth = SMOOTH * max(0.0, SMOOTH_FINE - a.fine)
    needed = max(ACCEPT_SCORE + farther + smooth, STRIP_SCORE if common < STRIP_BITS else 0.0)
    needed = max(needed, SHORT_SCORE if common < SEARCH_BITS else 0.0)
    needed = max(needed, SLIP_SCORE if common < SLIP_BITS else 0.0)
    if a.score >= needed and a.correlation >= ACCEPT_CORRELATION:
        return True
    if common < STRIP_BITS:
        return False
    part = a.score >= PART_SCORE + farther and a.intact >= PART_INTACT and a.fine >= PART_FINE
    torn = a.score >= TORN_SCORE and a.intact >= TORN_INTACT and a.fine >= TORN_FINE
    return part or torn


def own(memory: Memory, scenes: Sequence[Known], query: Query) -> tuple[Match | None, float, str]:
    """The own scene that explains the still (None without), the best score of any, and the rule."""
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
    for placings, codes, masks in (query.usual, query.rare):
        hits = memory.index.match(list(rows), codes, masks, radius=OWN_SEARCH_RADIUS, least=SEARCH_BITS)
        for f in _ranked(memory, hits)[:OWN_LOOKS]:
            known = rows[f.row]
            a = compare(query.looked, memory.looked(known), _placing(placings, f), negative=f.negative)
            best = max(best, a.score)
            if explains(a):
                return Match(known, f.differing / max(f.common, 1), f.common, a), a.score, "own-placed"
    for reading in query.anew:
        hits = memory.index.match(list(rows), *reading.codes, radius=OWN_SEARCH_RADIUS, least=SEARCH_BITS)
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
    for reading in query.anew:
        rows = memory.candidates(reading.levels, reading.placings, skip, standings)
        codes, masks = reading.codes
        short = reading.box is not None
        hits = memory.index.match(rows, codes, masks, radius=SEARCH_RADIUS, least=SEARCH_BITS, short=short)
        for f in _ranked(memory, hits)[:CANDIDATES]:
            known = memory.at_row[f.row]
            scene = memory.looked(known)
            m = _agreeing(reading.looked, scene, known, f, _placing(reading.placings, f))
            if m is None or not lies(reading, scene, m.agreement, f.common, negative=f.negative):
                continue
            if not common_view(memory, known, masks[f.hypothesis], skip):
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
    hypotheses: tuple[NDArray[np.float32], NDArray[np.uint64], NDArray[np.uint64]],
    skip: Sequence[int],
    *,
    short: bool,
) -> list[Match]:
    placings, codes, masks = hypotheses
    hits = memory.index.match(rows, codes, masks, radius=SEARCH_RADIUS, least=SEARCH_BITS, short=short)
    matches = []
    for f in _ranked(memory, hits)[:CANDIDATES]:
        known = memory.at_row[f.row]
        m = _look(query.looked, memory.looked(known), known, f, _placing(placings, f))
        if m is not None and not common_view(memory, known, masks[f.hypothesis], skip):
            matches.append(m)
    return matches


def common_view(memory: Memory, known: Known, mask: NDArray[np.uint64], skip: Sequence[int]) -> bool:
    """Whether what a part of a scene shows is seen by other cameras too: a banner, a logo, the same sky.

    Asked only where few bits decide: a whole picture that two cameras share is one view, and told apart otherwise.
    """
    code, own = memory.index.bits(known.row)
    both = own & mask
    bits = int(np.bitwise_count(both).sum())
    if bits >= COMMON_BITS:
        return False
    camera = _number(memory, known)
    least = int(COMMON_SHARE * bits)
    rows = memory.candidates(memory.index.levels(known.row), AS_IT_IS, [*skip, camera], _CONFIRMED, usual=1)
    return bool(memory.index.match(rows, code[None], both[None], radius=COMMON_RADIUS, least=least))


def _partly(memory: Memory, query: Query, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    codes, masks = query.partial
    hits = memory.index.match(query.near(memory, skip, standings), codes, masks, radius=VIEW_RADIUS, least=VIEW_BITS)
    matches = []
    for f in _ranked(memory, hits)[:CANDIDATES]:
        known, view = memory.at_row[f.row], PARTIAL[f.hypothesis]
        scene = memory.seen(known, view) if view in (View.ALONG_X, View.ALONG_Y) else memory.looked(known)
        a = compare(query.seen(view), scene, negative=f.negative)
        agree = a.score >= VIEW_SCORE and a.blocks >= ACCEPT_BLOCKS and a.covered >= COVERED
        if agree and not common_view(memory, known, masks[f.hypothesis], skip):
            matches.append(Match(known, f.differing / max(f.common, 1), f.common, a, part=True))
    return matches


def search_back(memory: Memory, scene: Known, skip: Sequence[int], standings: Sequence[int]) -> list[Match]:
    """Stills of other cameras, held or seen once, that may show this scene; by the time at which they came."""
    levels = memory.index.levels(scene.row)
    rows = memory.candidates(levels, _BACK, skip, standings, usual=len(USUAL))
    if not rows.size:
        return []
    codes, masks = codes_of(levels, _BACK)
    hits = memory.index.match(rows, codes, masks, radius=SEARCH_RADIUS, least=SEARCH_BITS)
    if not hits:
        return []
    looked = Looked(levels)
    matches = []
    for f in _ranked(memory, hits)[: 4 * CANDIDATES]:
        known = memory.at_row[f.row]
        m = _look(memory.looked(known), looked, known, f, _placing(_FORTH, f))
        if m is not None and not common_view(memory, scene, _mask_of(memory, f), [*skip, _number(memory, known)]):
            matches.append(m)
    matches.sort(key=lambda m: (m.scene.record.first_seen, m.scene.record.id))
    return matches


def _mask_of(memory: Memory, f: Found) -> NDArray[np.uint64]:
    """What a kept still shows of the scene that found it, in the scene's own frame."""
    mask: NDArray[np.uint64] = codes_of(memory.index.levels(f.row), _FORTH[f.hypothesis][None])[1][0]
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
    if not agrees(a, distance if f.votes < VOTES else 0.0, f.common):
        return None
    return Match(known, distance, f.common, a)


def fits(query: Looked, scene: Looked, a: Agreement, *, negative: bool = False) -> bool:
    """Whether the placing is one that a still on its way can have: no neighbour's view, which lies half outside."""
    sure = a.score >= TILE_SCORE if _tile(a) else a.score >= WHOLE_SCORE and a.fine >= WHOLE_FINE
    whole = a.overlap >= WHOLE_OVERLAP and sure
    aside = max(abs(a.placing[2]), abs(a.placing[5])) > ASIDE
    inside = a.covered >= (COVERED_ASIDE if aside else COVERED)
    return inside or whole or _wraps(query, scene, a, negative=negative)


def lies(reading: Reading, scene: Looked, a: Agreement, common: int, *, negative: bool = False) -> bool:
    """Whether the placing is one that a still read so can have, with so many bits in common.

    A still that is read otherwise as a whole must agree in the fine band too: bands that were turned over, or bridged,
    look like other bands. A window shows the frame from edge to edge; or a crop of it, with another picture where it
    goes on: what two cameras side by side have in common ends where one's frame ends, and goes on beyond a line in the
    still.
    """
    if reading.beside is None:
        return a.fine >= SMOOTH_FINE and fits(reading.looked, scene, a, negative=negative)
    if common < SEARCH_BITS and a.score < SLIP_SCORE:
        return False
    if reading.filled(a):
        return True
    if a.score < WHOLE_SCORE or a.covered < WHOLE_OVERLAP:
        return False
    beside = agree_at(reading.beside, scene, a.placing, negative=negative)
    return beside.textured >= BESIDE_BLOCKS and beside.correlation < BESIDE_CORRELATION


def in_window(query: Query, a: Agreement) -> bool:
    """Whether the still shows the whole frame in a window of a page that is not the camera's."""
    return a.covered < COVERED and any(reading.filled(a) for reading in query.anew)


def straight(a: Agreement) -> bool:
    """Whether the still shows the frame as it was taken: neither cropped, shifted nor shown smaller."""
    xx, xy, x0, yx, yy, y0 = a.placing
    return (
        max(abs(abs(xx) - 1), abs(abs(yy) - 1), abs(xy), abs(yx)) <= STRAIGHT_FACTOR
        and max(abs(x0), abs(y0)) <= STRAIGHT_SHIFT
    )


def same_place(memory: Memory, some: Sequence[Known], others: Sequence[Known]) -> bool:
    """Whether any scene of one camera shows what a scene of another camera shows, under any placing."""
    rows = {k.row: k for k in others}
    for known in some:
        query = Query(Fingerprint.of(memory.index.levels(known.row)))
        for placings, codes, masks in (query.usual, query.rare):
            hits = memory.index.match(list(rows), codes, masks, radius=OWN_SEARCH_RADIUS, least=SEARCH_BITS)
            for f in _ranked(memory, hits)[:OWN_LOOKS]:
                scene = memory.looked(rows[f.row])
                a = compare(query.looked, scene, _placing(placings, f), negative=f.negative)
                if agrees(a, 0.0, LEAST_BITS):
                    return True
    return False


def _wraps(query: Looked, scene: Looked, a: Agreement, *, negative: bool) -> bool:
    """Whether what lies outside comes in again on the other side: a shifted buffer, not another view."""
    xx, xy, x0, yx, yy, y0 = a.placing
    for turn in ((-SIDE, 0), (SIDE, 0), (0, -SIDE), (0, SIDE)):
        b = agree_at(query, scene, (xx, xy, x0 + turn[0], yx, yy, y0 + turn[1]), negative=negative)
        if a.covered + b.covered >= COVERED and b.correlation >= ACCEPT_CORRELATION:
            return True
    return False


def _tile(a: Agreement) -> bool:
    """Whether the picture fills a half or a quarter of the still."""
    xx, _, x0, _, yy, y0 = a.placing
    edge = SIDE / 2
    left, right, top, bottom = x0 - xx * edge, x0 + xx * edge, y0 - yy * edge, y0 + yy * edge
    lines = (-edge, 0.0, edge)
    return all(min(abs(side - line) for line in lines) < TILE_SLACK for side in (left, right, top, bottom))


def _ranked(memory: Memory, hits: list[Found]) -> list[Found]:
    return sorted(hits, key=lambda f: (f.differing / max(f.common, 1) - 0.05 * f.votes, memory.at_row[f.row].record.id))


def _placing(placings: NDArray[np.float32], f: Found) -> Placing:
    ax, bx, ay, by = placings[f.hypothesis]
    return float(ax), float(bx), float(ay), float(by)


_CONFIRMED: Final = [NUMBER[Standing.CONFIRMED]]
_FORTH: Final = np.concatenate([USUAL, RARE])
_BACK: Final = inverse(_FORTH)
_UNLOOKED: Final = Agreement(1.0, 1.0, 1.0, 1.0, 64, 64, 1.0, 1.0, 1.0, (AS_IS[0], 0.0, 0.0, 0.0, AS_IS[2], 0.0))
