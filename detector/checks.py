"""The thresholds that one still was held against, with the value that met or missed each.

Owns the list, in the order in which the engine asks. Refuses to decide: the engine does, and where its answer comes
from several thresholds together (the score that a match needs) it is asked, not imitated.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from detector import accuse, agree, certainty, match, shift
from detector.beside import needed_score
from detector.explanation import Explanation, Near
from models import fingerprint
from models.scene import Standing


class Step(StrEnum):
    """Where in the straight way a threshold stands."""

    STILL = "the still itself"
    OWN = "the camera's own history"
    OTHERS = "other accounts' cameras"
    SHIFT = "another place, nobody's"


@dataclass(frozen=True, slots=True)
class Check:
    """One threshold by name, what was measured, and how much was needed, at least or at most; None: no value does."""

    step: Step
    what: str
    threshold: str
    needed: float | None
    value: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether the value keeps the threshold."""
        if self.needed is None:
            return False
        return self.value <= self.needed if self.at_most else self.value >= self.needed


def checks(found: Explanation) -> tuple[Check, ...]:
    """The thresholds of each step that has something to measure, in the engine's order.

    Empty for a still without a fingerprint, where bytes are all there is.
    """
    if found.still.fingerprint is None:
        return ()
    out = _still(found)
    if found.mine is not None:
        out += _own(found.mine)
    if not found.own_rule and found.theirs is not None:
        out += _others(found, found.theirs)
    named = found.theirs is not None and found.theirs.counts
    if not found.own_rule and not named and found.camera.confirmed:
        out += _shift(found)
    return tuple(out)


def _still(found: Explanation) -> list[Check]:
    assert found.still.fingerprint is not None
    print_ = found.still.fingerprint
    return [
        Check(Step.STILL, "blocks with texture", "LEAST_BLOCKS", fingerprint.LEAST_BLOCKS, print_.textured),
        Check(Step.STILL, "valid share", "LEAST_VALID", fingerprint.LEAST_VALID, print_.valid),
    ]


def _own(near: Near) -> list[Check]:
    """A short distance suffices; else the second look must agree in correlation and blocks, or in its score."""
    a, step = near.agreement, Step.OWN
    score = needed_score(a, 0.0, agree.LEAST_BITS)
    return [
        Check(step, "share of differing bits", "OWN_RADIUS", match.OWN_RADIUS, near.distance, at_most=True),
        Check(step, "or registered correlation", "OWN_CORRELATION", agree.OWN_CORRELATION, a.correlation),
        Check(step, "and agreeing blocks", "OWN_BLOCKS", agree.OWN_BLOCKS, a.blocks),
        Check(step, "or score of the second look", "ACCEPT_SCORE and what raises it", score, a.score),
    ]


def _others(found: Explanation, near: Near) -> list[Check]:
    a, step = near.agreement, Step.OTHERS
    out = [
        Check(step, "the scene may accuse", "WHOSE", 1, near.accepted or near.standing is Standing.CONFIRMED),
        Check(step, "share of differing bits", "SEARCH_RADIUS", match.SEARCH_RADIUS, near.distance, at_most=True),
        Check(step, "score of the second look", "ACCEPT_SCORE and what raises it", near.needed, a.score),
        Check(step, "registered correlation", "ACCEPT_CORRELATION", agree.ACCEPT_CORRELATION, a.correlation),
        Check(step, "agreeing blocks", "ACCEPT_BLOCKS", agree.ACCEPT_BLOCKS, a.blocks),
        Check(step, "correlation left without bands", "ACROSS", agree.ACROSS, near.across),
        Check(step, "share of the still covered", "COVERED", agree.COVERED, a.covered),
        Check(step, "above the own history by", "MARGIN", accuse.MARGIN, a.score - found.own_score),
    ]
    second = next((n for n in found.foreign if n.accepted and n.owner != near.owner), None)
    if second is not None:
        ahead = a.score - second.agreement.score
        out.append(Check(step, "above a second account by", "SECOND", accuse.SECOND, ahead))
    sure = certainty.certainty(near.distance, near.common, a, near.shared)
    out.append(Check(step, "certainty to act on alone", "needed", certainty.needed(found.cameras), sure))
    return out


def _shift(found: Explanation) -> list[Check]:
    own, camera, step = found.own_score, found.camera, Step.SHIFT
    return [
        Check(step, "own history's best score", "FOREIGN_OWN", shift.FOREIGN_OWN, own, at_most=True),
        Check(step, "the same, at once or if restless", "CLEARLY_FOREIGN", shift.CLEARLY_FOREIGN, own, at_most=True),
        Check(step, "explained stills so far", "CALM_STILLS", shift.CALM_STILLS, camera.explained),
        Check(step, "moves of its view so far", "RESTLESS", shift.RESTLESS - 1, camera.moves, at_most=True),
        Check(step, "stills waiting already", "STAYS", shift.STAYS - 1, camera.waiting, at_most=True),
    ]
