"""Whom an incident reached: exact lists of viewers and owners, and the bound above which it cannot lie.

Owns how leaks are counted by person. Refuses to guess: what cannot be named is counted as unnamed, and the bound says
how many deliveries went the suspected path, leaked or not, found or missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from detector.cause import Path, singled
from detector.tally import Tally
from models.records import AccountId, Alert, CameraId, DeliveryId


@dataclass(frozen=True, slots=True)
class Met:
    """One viewer and one camera whose stills it got. `opened` counts stills that are known to have been looked at."""

    viewer: AccountId
    owner: AccountId | None
    camera: CameraId | None
    presumed: bool
    stills: int
    opened: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """One account's part: as a viewer, or as an owner. `others` are the accounts on the other side, named ones."""

    account: AccountId
    stills: int
    opened: int
    others: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Reach:
    """The reach of an incident. Lists are sorted by account; `unnamed` stills are of nobody who can be named.

    `at_most` is the number of deliveries that went the suspected path in that time, all `deliveries` where none is
    suspected; None where deliveries of that time are no longer counted.
    """

    met: tuple[Met, ...]
    viewers: tuple[Person, ...]
    owners: tuple[Person, ...]
    stills: int
    opened: int
    unnamed: int
    first: datetime | None
    last: datetime | None
    at_most: int | None
    deliveries: int | None


def reach_of(leaks: Sequence[Alert], opened: Mapping[tuple[DeliveryId, AccountId], datetime]) -> Reach:
    """The reach of these leaks. `opened` tells which deliveries were looked at, by whom."""
    rows = [_Row(alert, (alert.delivery, alert.recipient) in opened) for alert in leaks]
    met = [_met(group) for group in _grouped(rows, lambda row: (row.alert.recipient, row.alert.owner_camera or ""))]
    viewers = [_person(group, group[0].alert.recipient, _owner) for group in _grouped(rows, _viewer)]
    named = [row for row in rows if row.alert.owner is not None]
    owners = [_person(group, group[0].alert.owner, _viewer) for group in _grouped(named, _owner)]
    stills = {alert.delivery: any_opened for alert, any_opened in ((row.alert, row.opened) for row in rows)}
    return Reach(
        tuple(met),
        tuple(viewers),
        tuple(owners),
        stills=len(stills),
        opened=sum(stills.values()),
        unnamed=len(rows) - len(named),
        first=min((alert.delivered_at for alert in leaks), default=None),
        last=max((alert.delivered_at for alert in leaks), default=None),
        at_most=None,
        deliveries=None,
    )


def bound(tally: Tally, integration: str, path: Path, first: datetime, until: datetime) -> tuple[int, int]:
    """Deliveries through the path in [first, until), all for an empty one, and all deliveries of that time: (0, 0)
    where none was counted."""
    window = tally.window(integration, first, until)
    return sum(window.exposure(where)[0] for where in singled(path)), window.deliveries


@dataclass(frozen=True, slots=True)
class _Row:
    alert: Alert
    opened: bool


def _viewer(row: _Row) -> str:
    return row.alert.recipient


def _owner(row: _Row) -> str:
    return row.alert.owner or ""


def _grouped(rows: Iterable[_Row], by: Callable[[_Row], object]) -> list[list[_Row]]:
    groups: dict[object, list[_Row]] = {}
    for row in rows:
        groups.setdefault(by(row), []).append(row)
    return [groups[key] for key in sorted(groups)]  # type: ignore[type-var]


def _met(group: list[_Row]) -> Met:
    one = group[0].alert
    at = [row.alert.delivered_at for row in group]
    opened = sum(row.opened for row in group)
    return Met(one.recipient, one.owner, one.owner_camera, one.presumed, len(group), opened, min(at), max(at))


def _person(group: list[_Row], account: AccountId | None, other: Callable[[_Row], str]) -> Person:
    assert account is not None
    at = [row.alert.delivered_at for row in group]
    others = {other(row) for row in group} - {""}
    return Person(account, len(group), sum(row.opened for row in group), len(others), min(at), max(at))
