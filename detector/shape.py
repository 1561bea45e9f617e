"""The shape of an incident: how owners and viewers are joined by its leaks, named from the graph of both.

Owns the names and the figures that decide. Refuses to guess from fewer than `LEAST` pairs. Which bug makes which shape:
docs/incidents.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from models.records import AccountId, Numbers

LEAST: Final = 3
"""Pairs of owner and viewer from which on a shape is named; two that saw each other are a swap at once."""
FANS: Final = 5.0
"""Viewers of one owner, on average, from which on a few stills went to many."""
MOSTLY: Final = 0.8
"""Share of viewers, pairs or leaks that must do what names the shape. Ours: reports tell of whole incidents."""
FOLLOWS: Final = 0.6
"""Share of leaks whose owner asked just before: of a chain each missed leak breaks two links."""
JUST_BEFORE: Final = 16
"""Leaks back within which the viewer before is looked for: chains run beside each other, one a connection. Never more
than an eighth of the viewers, or in a small incident everybody would have asked just before."""


class Form(StrEnum):
    """How owners and viewers are joined. The values go over the wire."""

    ONE_TO_MANY = "one-to-many"
    SWAP = "swap"
    CHAIN = "chain-by-one"
    GROUP_MAP = "group-map"
    SCATTERED = "scattered"
    FEW = "too-few"


@dataclass(frozen=True, slots=True)
class Shape:
    """The form, and the figures that decided."""

    form: Form
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class Leak:
    """One leak, as far as its shape goes."""

    at: datetime
    owner: AccountId | None
    viewer: AccountId


def shape_of(leaks: Iterable[Leak]) -> Shape:
    """The shape of these leaks, in any order; those whose owner nobody can name say nothing of it."""
    named = sorted((leak for leak in leaks if leak.owner is not None), key=lambda leak: (leak.at, leak.viewer))
    pairs = Counter((leak.owner, leak.viewer) for leak in named)
    owners, viewers = {owner for owner, _ in pairs}, {viewer for _, viewer in pairs}
    if not pairs:
        return Shape(Form.FEW, {"pairs": 0})
    mutual = sum((viewer, owner) in pairs for owner, viewer in pairs) / len(pairs)
    numbers: dict[str, float | int | str] = {
        "stills": len(named),
        "pairs": len(pairs),
        "owners": len(owners),
        "viewers": len(viewers),
        "viewers_of_an_owner": round(len(pairs) / len(owners), 2),
        "owners_of_a_viewer": round(len(pairs) / len(viewers), 2),
        "mutual": round(mutual, 3),
        "in_both_groups": round(len(owners & viewers) / min(len(owners), len(viewers)), 3),
        "constant": round(_constant(pairs), 3),
        "follows": round(_follows(named, len(viewers)), 3),
    }
    return Shape(_form(numbers), numbers)


def _form(numbers: Numbers) -> Form:
    figure = {name: float(value) for name, value in numbers.items()}
    if figure["mutual"] >= MOSTLY:
        return Form.SWAP
    if figure["pairs"] < LEAST:
        return Form.FEW
    if figure["viewers_of_an_owner"] >= FANS:
        return Form.ONE_TO_MANY
    if figure["follows"] >= FOLLOWS and figure["stills"] < 2 * figure["pairs"]:
        return Form.CHAIN
    if figure["constant"] >= MOSTLY:
        return Form.SWAP if figure["in_both_groups"] >= MOSTLY else Form.GROUP_MAP
    return Form.SCATTERED


def _constant(pairs: Counter[tuple[AccountId | None, AccountId]]) -> float:
    """Of the viewers of two stills or more, the share that got all of them from one owner; 0 where nobody got two."""
    stills: dict[AccountId, int] = defaultdict(int)
    owners: dict[AccountId, int] = defaultdict(int)
    for (_, viewer), count in pairs.items():
        stills[viewer] += count
        owners[viewer] += 1
    again = [viewer for viewer, count in stills.items() if count > 1]
    return sum(owners[viewer] == 1 for viewer in again) / len(again) if len(again) >= LEAST else 0.0


def _follows(named: Sequence[Leak], viewers: int) -> float:
    """The share of leaks, from the second on, whose owner was the viewer of one of the leaks just before."""
    before: deque[AccountId] = deque(maxlen=max(1, min(JUST_BEFORE, viewers // 8)))
    hits = 0
    for leak in named:
        hits += leak.owner in before
        before.append(leak.viewer)
    return hits / (len(named) - 1) if len(named) > 1 else 0.0
