"""Notices: what the world outside is to hear of, in the words that hooks and sinks carry.

Owns their types and that the same cause makes the same notice. Refuses to send: streams/ does, after the transaction
that stored the notice beside what it tells of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from models.records import derived_id


class NoticeType(StrEnum):
    """What happened. The values go over the wire; none ever changes its meaning."""

    ALERT_RAISED = "alert.raised"
    ALERT_WITHDRAWN = "alert.withdrawn"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_UPDATED = "incident.updated"
    INCIDENT_RESOLVED = "incident.resolved"
    SUSPENSION_PROPOSED = "suspension.proposed"
    SUSPENSION_REQUESTED = "suspension.requested"
    SUSPENSION_CHANGED = "suspension.changed"
    SUSPENSION_LIFTED = "suspension.lifted"
    TEST = "test"
    """Somebody tries a hook or a sink out; nothing happened."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened. `id` is the same whenever the same cause is met again: a receiver hears of it once.

    `data` is what a receiver is told, JSON as it is, without pictures and under 20 kB. One that `acts` asks somebody to
    switch something; all others only tell. `trace` is the W3C traceparent of what led to it, None where it has none.
    """

    id: str
    type: NoticeType
    at: datetime
    integration: str
    data: Mapping[str, Any] = field(hash=False)
    acts: bool = False
    trace: str | None = field(default=None, compare=False)


def notice(
    type: NoticeType, at: datetime, integration: str, data: Mapping[str, Any], *cause: str, acts: bool = False
) -> Notice:
    """The notice of a cause: its id derives from type and `cause`, which name exactly one happening."""
    return Notice(derived_id("no", type.value, *cause), type, at, integration, data, acts)
