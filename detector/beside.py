"""Known scenes laid beside a still: how each lies in it, how well it agrees, and why it counts or does not.

Owns the search for the best placing of one scene and the words for it. Refuses to judge and to change anything: it uses
the very functions that the engine decides with, and looks at more scenes, those that the engine leaves out included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from detector import agree, match, strip
from detector.accuse import MARGIN, SECOND
from detector.explanation import Near
from detector.known import NUMBER, Known, Watched
from detector.match import Match
from detector.memory import WHOSE, Memory
from detector.query import Query
from models.agreement import Agreement, across, agree_at, blocks_at, compare
from models.distance import SHORT_BITS
from models.looked import Looked
from models.records import CameraId, Delivery
from models.rights import Rights
from models.scene import Standing
from models.thumbnail import SIDE

LISTED: Final = 5
"""Scenes that are listed of the camera's own history, and of the other accounts'."""
LOOKS: Final = 40
"""Other cameras' scenes that get a second look here; the engine gives it to its nearest candidates only."""
FAR: Final = 0.38
"""Share of differing bits up to which another camera's scene is looked at here: unrelated ones differ in 0.40 to 0.60,
less under the best of many placings."""
CLEARLY: Final = 0.05
"""By how much the score must rise under another placing than as it is, for that one to be told."""
STRAIGHT: Final = 0.04
"""Difference of a factor from 1 up to which a picture is neither cropped nor shown smaller, for the words."""
LEANS: Final = 0.06
"""Shear across from which on a picture leans, for the words."""
STILL_CELLS: Final = 1.5
"""Cells up to which a picture is not shifted, for the words."""


class Viewer:
    """Lays scenes beside a still, with the eyes of the account that it was delivered to."""

    def __init__(self, memory: Memory, rights: Rights, delivery: Delivery) -> None:
        self._memory, self._rights, self._delivery = memory, rights, delivery

    def own(self, query: Query, camera: Watched, hit: Match | None) -> tuple[Near, ...]:
        """The camera's own scenes, those held included, best first; the one that explains the still before all."""
        out = []
        for known in (*camera.own, *camera.held):
            near = self.near(query, known)
            if hit is not None and known is hit.scene:
                near = replace(near, counts=True, note="explains the still")
            elif known.record.standing is Standing.HELD:
                near = replace(near, note="held: looks foreign here, explains nothing")
            elif agree.explains(near.agreement):
                near = replace(near, note="would explain it as well")
            else:
                near = replace(near, note="does not explain it")
            out.append(near)
        return tuple(_best(out)[:LISTED])

    def foreign(self, query: Query, visible: Sequence[CameraId], own_score: float) -> tuple[Near, ...]:
        """The nearest scenes of all other cameras, those that the viewer may see included."""
        memory, mine = self._memory, self._delivery.camera
        accepted = strip.search(memory, query, memory.numbers((mine, *visible)), WHOSE)
        named = {m.scene.record.id for m in accepted}
        nears = [self.near(query, m.scene, m) for m in accepted[:LOOKS]]
        nears += [self.near(query, k) for k in self._candidates(query) if k.record.id not in named]
        told = [_noted(near, nears, own_score) for near in nears]
        of_camera: dict[CameraId, Near] = {}
        for near in _best(told):
            of_camera.setdefault(near.camera, near)
        return tuple(of_camera.values())[:LISTED]

    def near(self, query: Query, known: Known, hit: Match | None = None) -> Near:
        """The scene under the placing that agrees best; `hit` is what the engine's own search said of it, if it did."""
        memory, record = self._memory, known.record
        query_look, scene_look = query.looked, memory.looked(known)
        if hit is None:
            best, words = self._best_placing(query, known), ""
        else:
            best, words = _as_found(query_look, scene_look, hit)
        agreement = best.agreement
        owner, presumed = self._rights.owner(record.camera, self._delivery.time)
        return Near(
            scene=record.id,
            camera=record.camera,
            owner=owner,
            presumed=presumed,
            may_see=self._rights.may_see(self._delivery.account, record.camera, self._delivery.time),
            standing=record.standing,
            seen=record.seen,
            first_seen=record.first_seen,
            last_seen=record.last_seen,
            delivery=record.delivery,
            distance=best.distance,
            common=best.common,
            shared=hit.shared if hit is not None else 0.0,
            placing=placed(agreement.placing, negative=best.negative) + words,
            agreement=agreement,
            needed=needed_score(agreement, best.distance, best.common),
            across=across(query_look, scene_look, agreement, negative=best.negative),
            accepted=hit is not None,
            counts=False,
            note="",
            negative=best.negative,
            levels=memory.index.levels(known.row),
            blocks=blocks_at(query_look, scene_look, agreement.placing, negative=best.negative),
        )

    def _candidates(self, query: Query) -> list[Known]:
        """Scenes of other cameras of any standing, the nearest under any placing first."""
        skip = self._memory.numbers([self._delivery.camera])
        standings = sorted({*NUMBER.values(), *WHOSE})
        nearest: dict[int, float] = {}
        everything = self._memory.index.rows(skip=skip, standings=standings)
        for _, codes, masks, _ in (query.usual, query.rare, *(reading.given for reading in query.anew)):
            for f in self._memory.index.match(everything, codes, masks, radius=FAR, least=SHORT_BITS, short=True):
                value = (f.differing + 1.0) / (f.common + 2.0) - 0.05 * f.votes
                nearest[f.row] = min(value, nearest.get(f.row, 1.0))
        rows = sorted(nearest, key=lambda row: (nearest[row], self._memory.at_row[row].record.id))
        return [self._memory.at_row[row] for row in rows[:LOOKS]]

    def _best_placing(self, query: Query, known: Known) -> _Look:
        """As it is, unless another placing agrees clearly better, or as well and in more of the bits."""
        memory, scene = self._memory, self._memory.looked(known)
        differing, common = memory.index.distances(query.found.code, query.found.mask, [known.row])
        best = _Look(compare(query.looked, scene), _share(int(differing[0]), int(common[0])), int(common[0]), False)
        for placings, codes, masks, _ in (query.usual, query.rare):
            found = memory.index.match(
                [known.row], codes, masks, radius=match.OWN_SEARCH_RADIUS, least=SHORT_BITS, short=True
            )
            for f in found:
                ax, bx, ay, by = placings[f.hypothesis].tolist()
                a = compare(query.looked, scene, (ax, bx, ay, by), negative=f.negative)
                look = _Look(a, _share(f.differing, f.common), f.common, f.negative)
                best = look if look.beats(best) else best
        for reading in query.anew:
            _, codes, masks, _ = reading.given
            for f in memory.index.match([known.row], codes, masks, radius=match.OWN_SEARCH_RADIUS, least=SHORT_BITS):
                ax, bx, ay, by = reading.placings[f.hypothesis].tolist()
                a = compare(reading.looked, scene, (ax, bx, ay, by), negative=f.negative)
                look = _Look(reading.in_still(a), _share(f.differing, f.common), f.common, f.negative)
                if agree.lies(reading, scene, a, f.common, negative=f.negative) and look.beats(best):
                    best = look
        return best


@dataclass(frozen=True, slots=True)
class _Look:
    """One placing of a scene: how well it agrees, and the bits under it."""

    agreement: Agreement
    distance: float
    common: int
    negative: bool

    def beats(self, other: _Look) -> bool:
        better = self.agreement.score - other.agreement.score
        nearer = self.distance <= match.SEARCH_RADIUS and self.distance < other.distance
        return better > CLEARLY or (nearer and better > -CLEARLY)


def _as_found(query: Looked, scene: Looked, hit: Match) -> tuple[_Look, str]:
    """The look that the engine's search took, and a word where it took it of a part of the still only."""
    found = hit.agreement
    straight, inverted = (agree_at(query, scene, found.placing, negative=n).score for n in (False, True))
    part = ", by a part of it" if max(straight, inverted) < found.score - CLEARLY else ""
    return _Look(found, hit.distance, hit.common, inverted > straight), part


def needed_score(agreement: Agreement, distance: float, common: int) -> float | None:
    """The least score, to 0.01, at which the engine would take the match for the place; None when no score would do."""
    for hundredth in range(101):
        if agree.agrees(replace(agreement, score=hundredth / 100), distance, common):
            return hundredth / 100
    return None


def placed(placing: tuple[float, float, float, float, float, float], *, negative: bool = False) -> str:
    """How the scene lies in the still, in words: as it is, cropped, shown smaller, shifted, mirrored, turned."""
    xx, xy, x0, yx, yy, y0 = placing
    words = []
    if min(abs(xy), abs(yx)) > max(abs(xx), abs(yy)):
        words.append("turned by a quarter" if xy * yx < 0 else "turned by a quarter and mirrored")
    elif xx < 0 or yy < 0:
        words.append("turned by 180°" if xx < 0 and yy < 0 else "mirrored" if xx < 0 else "upside down")
    elif abs(xy) > LEANS:
        words.append(f"leaning by {100 * xy:+.0f} % of the width")
        x0 = 0.0
    width, height = max(abs(xx), abs(yx)), max(abs(yy), abs(xy) if abs(yx) > abs(xx) else 0.0)
    if width > 1 + STRAIGHT or height > 1 + STRAIGHT:
        words.append(f"cropped to {100 * min(1.0, 1 / width):.0f} x {100 * min(1.0, 1 / height):.0f} %")
    if width < 1 - STRAIGHT or height < 1 - STRAIGHT:
        words.append(f"shown at {100 * min(1.0, width):.0f} x {100 * min(1.0, height):.0f} % of the size")
    if max(abs(x0), abs(y0)) > STILL_CELLS:
        words.append(f"shifted by {100 * x0 / SIDE:+.0f} % across, {100 * y0 / SIDE:+.0f} % down")
    if negative:
        words.append("as a negative")
    return ", ".join(words) or "as it is"


def _noted(near: Near, nears: Sequence[Near], own_score: float) -> Near:
    """The scene with what keeps it from naming its owner, or that it does."""
    if not near.accepted:
        return replace(near, note=_refused(near))
    a = near.agreement
    if a.score < own_score + MARGIN:
        return replace(near, note=f"agrees, but not {MARGIN} better than the camera's own history ({own_score:.2f})")
    rivals = [n for n in nears if n.accepted and n.owner != near.owner and n.agreement.score > a.score - SECOND]
    if rivals:
        return replace(near, note=f"agrees, but {rivals[0].owner or rivals[0].camera} comes within {SECOND}")
    return replace(near, counts=True, note="names its owner")


def _refused(near: Near) -> str:
    """Why the engine passes this scene by."""
    a = near.agreement
    if near.may_see:
        return "the viewer may see this camera"
    if near.standing is not Standing.CONFIRMED:
        return f"{near.standing.value}: only confirmed scenes accuse"
    if near.needed is None:
        return f"the pictures do not agree: correlation {a.correlation:.2f}, {a.blocks} blocks"
    if a.score < near.needed:
        return f"score {a.score:.2f}, {near.needed:.2f} needed"
    if near.across < agree.ACROSS:
        return "the pictures have little but bands in common"
    if near.distance > match.SEARCH_RADIUS:
        return f"{100 * near.distance:.0f} % of the bits differ, at most {100 * match.SEARCH_RADIUS:.0f} % are searched"
    if a.covered < agree.COVERED:
        return f"covers {100 * a.covered:.0f} % of the still: a view that overlaps"
    return "agrees, but is passed by: a better one names the owner, or other cameras show the same there"


def _best(nears: Iterable[Near]) -> list[Near]:
    return sorted(nears, key=lambda n: (not n.counts, -n.agreement.score, n.distance, n.scene))


def _share(differing: int, common: int) -> float:
    return differing / common if common else 1.0
