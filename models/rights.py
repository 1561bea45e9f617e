"""Who may see which camera, as of a moment.

Owns owners, presumed owners and grants over time. Refuses to judge deliveries. Rights arrive in any order and hold
from their own time on; the same one twice is one.

A compacted topic keeps the last right of each camera and account only, so that a release or a revocation may be all
that is left of a right that held before it. What lies before the first that is known is therefore inferred: whoever
releases a camera owned it, whoever enrols it first is taken for its owner, and whoever loses a grant had one.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from models.records import AccountId, CameraId, RightAction, RightChanged

RANK: Final = {RightAction.RELEASE: 0, RightAction.ENROL: 1, RightAction.REVOKE: 2, RightAction.GRANT: 3}
"""Order of what happens at the same moment: the old owner leaves before the new one enters."""


@dataclass(slots=True)
class _Deeds:
    """One camera's rights. `owners` are who owned it from `times` on; `passed` when it went from one to another."""

    known: set[RightChanged] = field(default_factory=set)
    changes: list[RightChanged] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    owners: list[AccountId | None] = field(default_factory=list)
    passed: list[datetime] = field(default_factory=list)
    grants: dict[AccountId, list[RightChanged]] = field(default_factory=dict)

    def note(self, event: RightChanged) -> None:
        if event.action in (RightAction.GRANT, RightAction.REVOKE):
            insort(self.grants.setdefault(event.account, []), event, key=_order)
            return
        insort(self.changes, event, key=_order)
        self.times, self.owners, self.passed = [], [], []
        owner: AccountId | None = None
        for change in self.changes:
            if change.action is RightAction.ENROL:
                if owner is not None and owner != change.account:
                    self.passed.append(change.time)
                owner = change.account
            elif owner in (None, change.account):
                self.passed.append(change.time)
                owner = None
            self.times.append(change.time)
            self.owners.append(owner)

    def granted(self, account: AccountId, at: datetime) -> bool:
        """Whether a grant held: it ends with its revocation, and when the camera passes to another owner."""
        events = self.grants.get(account)
        if not events:
            return False
        place = bisect_right(events, at, key=_time) - 1
        if place < 0:
            return events[0].action is RightAction.REVOKE
        last = events[place]
        return last.action is RightAction.GRANT and _none_between(self.passed, last.time, at)


class Rights:
    """The rights of all cameras. A look-up costs a bisection, whatever a camera's number of guests.

    Of most cameras nothing is known but one enrolment, and most accounts have one camera: these are kept as they are.
    """

    def __init__(self) -> None:
        self._of: dict[CameraId, _Deeds | RightChanged] = {}
        self._presumed: dict[CameraId, AccountId] = {}
        self._linked: dict[AccountId, CameraId | set[CameraId]] = {}

    def note(self, event: RightChanged) -> bool:
        """Take note of a right. False when it was known already."""
        found = self._of.get(event.camera)
        if found == event or (isinstance(found, _Deeds) and event in found.known):
            return False
        if found is None and event.action is RightAction.ENROL:
            self._of[event.camera] = event
        else:
            deeds = found if isinstance(found, _Deeds) else _Deeds()
            for each in (found, event) if isinstance(found, RightChanged) else (event,):
                deeds.known.add(each)
                deeds.note(each)
            self._of[event.camera] = deeds
        self._link(event.account, event.camera)
        return True

    def presume(self, camera: CameraId, account: AccountId) -> None:
        """Take the account for the owner until an enrolment says otherwise."""
        self._presumed[camera] = account
        self._link(account, camera)

    def owner(self, camera: CameraId, at: datetime) -> tuple[AccountId | None, bool]:
        """The owner at that moment, and whether that is only presumed.

        (None, False) after a release; (None, True) when nothing at all is known of the camera's owners.
        """
        deeds = self._of.get(camera)
        if isinstance(deeds, RightChanged):
            return (deeds.account, False) if at >= deeds.time else (self._presumed.get(camera, deeds.account), True)
        if deeds is None or not deeds.times:
            return self._presumed.get(camera), True
        place = bisect_right(deeds.times, at) - 1
        if place >= 0:
            return deeds.owners[place], False
        return self._presumed.get(camera, deeds.changes[0].account), True

    def may_see(self, account: AccountId, camera: CameraId, at: datetime) -> bool:
        """Whether the account owned the camera or had a grant for it at that moment."""
        if self.owner(camera, at)[0] == account:
            return True
        deeds = self._of.get(camera)
        return isinstance(deeds, _Deeds) and deeds.granted(account, at)

    def visible(self, account: AccountId, at: datetime) -> Iterator[CameraId]:
        """The cameras that the account may see at that moment, in the order of their ids."""
        linked = self._linked.get(account, set())
        for camera in sorted(linked) if isinstance(linked, set) else (linked,):
            if self.may_see(account, camera, at):
                yield camera

    def _link(self, account: AccountId, camera: CameraId) -> None:
        linked = self._linked.setdefault(account, camera)
        if isinstance(linked, set):
            linked.add(camera)
        elif linked != camera:
            self._linked[account] = {linked, camera}


def _time(event: RightChanged) -> datetime:
    return event.time


def _order(event: RightChanged) -> tuple[datetime, int, AccountId]:
    return event.time, RANK[event.action], event.account


def _none_between(times: list[datetime], after: datetime, until: datetime) -> bool:
    """Whether none of the sorted times lies in (after, until]."""
    return bisect_right(times, after) == bisect_right(times, until)
