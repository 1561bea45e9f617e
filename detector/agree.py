"""When two pictures are of one place: what the second look must show.

Owns the acceptance thresholds and which ways a still may lie in a stored frame. Refuses to search. Every figure below
was measured on stills of fixed cameras and their damages (docs/decisions/fingerprint.md).
"""

from __future__ import annotations

from typing import Final

from detector.reading import Reading
from models.agreement import Agreement, across, agree_at
from models.looked import Looked
from models.thumbnail import SIDE

LEAST_BITS: Final = 120
"""Reliable bits in common that make such a distance mean something."""
SEARCH_BITS: Final = 80
"""Reliable bits in common that a candidate needs: a quarter of a picture has about so many."""
OWN_CORRELATION: Final = 0.70
"""Registered correlation from which on an own scene explains a still (AUC 0.998 against other places)."""
OWN_BLOCKS: Final = 4
"""Blocks that must agree besides."""
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
"""Score that suffices when the picture fills a tile of the still exactly, as on a display of four or six."""
TILE_SLACK: Final = 1.3
"""Cells by which such a tile may be off."""
ACROSS: Final = 0.25
"""Correlation that must be left when every row is brought to the same mean, and when every column. Light that
flickers lays bands over any picture: of two places that had nothing else in common 0.18 was left at most, of one place
at least 0.31 (of 4,549 that were named under 114 kinds of damage)."""
BESIDE_BLOCKS: Final = 8
"""Blocks of the frame beside a window that must be there to say that it does not go on,"""
BESIDE_CORRELATION: Final = 0.3
"""and the correlation below which it does not."""


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


def shows_more_than_bands(query: Looked, scene: Looked, a: Agreement, *, negative: bool) -> bool:
    """Whether two pictures that agree so have more in common than bands of light."""
    return across(query, scene, a, negative=negative) >= ACROSS


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


def smaller(a: Agreement) -> bool:
    """Whether the still shows the frame smaller, and something around it: a page, or other pictures."""
    return a.covered < COVERED <= a.overlap


def straight(a: Agreement) -> bool:
    """Whether the still shows the frame as it was taken: neither cropped, shifted nor shown smaller."""
    xx, xy, x0, yx, yy, y0 = a.placing
    return (
        max(abs(abs(xx) - 1), abs(abs(yy) - 1), abs(xy), abs(yx)) <= STRAIGHT_FACTOR
        and max(abs(x0), abs(y0)) <= STRAIGHT_SHIFT
    )


def _wraps(query: Looked, scene: Looked, a: Agreement, *, negative: bool) -> bool:
    """Whether what lies outside comes in again on the other side: a shifted buffer, not another view."""
    xx, xy, x0, yx, yy, y0 = a.placing

    def beyond(across: int, down: int, least: float) -> float:
        b = agree_at(query, scene, (xx, xy, x0 + across, yx, yy, y0 + down), negative=negative)
        return b.covered if b.correlation >= least else 0.0

    across, down = (-SIDE if x0 > 0 else SIDE), (-SIDE if y0 > 0 else SIDE)
    once = ((across, 0), (0, down), (-across, 0), (0, -down))
    if any(a.covered + beyond(*turn, ACCEPT_CORRELATION) >= COVERED for turn in once):
        return True
    corners = ((across, 0), (0, down), (across, down))
    return a.covered + sum(beyond(*turn, BESIDE_CORRELATION) for turn in corners) >= COVERED


def _tile(a: Agreement) -> bool:
    """Whether the picture's sides lie where pages of two, four or six pictures have theirs: at halves or thirds."""
    xx, _, x0, _, yy, y0 = a.placing
    edge = SIDE / 2
    left, right, top, bottom = x0 - xx * edge, x0 + xx * edge, y0 - yy * edge, y0 + yy * edge
    lines = (-edge, -edge / 3, 0.0, edge / 3, edge)
    return all(min(abs(side - line) for line in lines) < TILE_SLACK for side in (left, right, top, bottom))
