"""Episodes: a notice as what opens, goes on or ends under one key, for receivers that keep one entry for each.

Owns which notices make an episode: those of incidents and suspensions, and alerts that are in no incident. An alert of
an incident is told by the incident. Refuses to know a protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from detector.notice import Notice, NoticeType
from streams.sinks.severity import ends

_HANDLED: Final = ("suspended", "probing", "ramping")
"""States of a suspension in which what was asked for is done, and is watched."""


class Phase(StrEnum):
    """Where an episode stands after a notice."""

    OPEN = "open"
    """It needs somebody's eyes."""
    HANDLED = "handled"
    """It goes on, and what was asked for was done."""
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Episode:
    """One entry at a receiver. `key` is the id of the incident, suspension or alert: the same for all its notices."""

    key: str
    phase: Phase


def episode(notice: Notice) -> Episode | None:
    """The episode that a notice belongs to, None for an alert that its incident tells of."""
    family = notice.type.partition(".")[0]
    if family == "alert" and notice.data.get("incident") is not None:
        return None
    key = notice.id if notice.type is NoticeType.TEST else str(notice.data.get(family, notice.id))
    if ends(notice):
        return Episode(key, Phase.OVER)
    handled = family == "suspension" and notice.data.get("state") in _HANDLED
    return Episode(key, Phase.HANDLED if handled else Phase.OPEN)
