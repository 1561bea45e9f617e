"""A turn of the switchboard: what it starts from, what it has at hand, and what it comes to.

Owns these values. Refuses to decide (turning.py) and to keep what was decided (switchboard.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from detector.notice import Notice
from detector.policy import Mode
from detector.roll import Roll
from detector.scope import SuspensionId
from detector.suspension import Suspension, Transition
from detector.watch import Watch
from models.records import Alert

LEAKS_MOST: Final = 1000
"""Leaks at hand of one integration, the latest delivered: twice what one decision looks at."""
HOUR: Final = timedelta(hours=1)


@dataclass(slots=True)
class Standing:
    """What a switchboard starts from. `words` numbers what persons said so far; `suspensions` are those ever touched.

    `leaks` are those raised in the last day that stand, `orders` when the policy suspended within the last hour,
    `capped` when a cap was last met.
    """

    words: int = 0
    killed: bool = False
    modes: Mapping[str, Mode] = field(default_factory=dict)
    suspensions: Sequence[Suspension] = ()
    rolls: Sequence[Roll] = ()
    leaks: Sequence[Alert] = ()
    orders: Sequence[datetime] = ()
    capped: datetime | None = None


@dataclass(slots=True)
class Book:
    """What a turn has at hand, as it was stored last.

    `wide` are the switches of each integration that are wider than a link. `rolled` are rolls that changed since.
    `latest` is the delivery time of the latest delivery, `due` when time alone may move a switch next, `fresh` says
    that `standing` was just read.
    """

    standing: Standing = field(default_factory=Standing)
    switches: dict[SuspensionId, Suspension] = field(default_factory=dict)
    wide: dict[str, set[SuspensionId]] = field(default_factory=dict)
    leaks: dict[str, list[Alert]] = field(default_factory=dict)
    rolls: dict[str, Roll] = field(default_factory=dict)
    rolled: dict[str, Roll] = field(default_factory=dict)
    watch: Watch = field(default_factory=Watch)
    latest: datetime | None = None
    due: datetime | None = None
    fresh: bool = True


@dataclass(slots=True)
class Turn:
    """What a batch moved. To be stored whole, while persons have said no more than `words`, or not at all.

    `switches` are all that moved, or whose counts changed, as they are behind it.
    """

    words: int = 0
    transitions: list[Transition] = field(default_factory=list)
    switches: list[Suspension] = field(default_factory=list)
    rolls: list[Roll] = field(default_factory=list)

    @property
    def notices(self) -> list[Notice]:
        """What the world outside hears of it, in order."""
        return [told for each in self.transitions if (told := each.notice) is not None]

    def __bool__(self) -> bool:
        return bool(self.switches or self.rolls)
