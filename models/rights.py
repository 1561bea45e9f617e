"""Who may see which camera, as of a moment.

Owns owners, presumed owners and grants over time. Refuses to judge deliveries. Rights arrive in any order and hold
from their own time on; the same one twice is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from models.records import AccountId, CameraId, RightAction, RightChanged

RANK: Final = {RightAction.RELEASE: 0, RightAction.ENROL: 1, RightAction.REVOKE: 2, RightAction.GRANT: 3}
"""Order of what happens at the same moment: the old owner leaves before the new one enters."""


class Rights:
    """The rights of all cameras. Small lists, read in order: a camera changes hands a few times in its life."""

    def __init__(self) -> None:
        self._of: dict[CameraId, list[RightChanged]] = {}
        self._presumed: dict[CameraId, AccountId] = {}
        self._linked: dict[AccountId, set[CameraId]] = defaultdict(set)

    def note(self, event: RightChanged) -> bool:
        """Take note of a right. False when it was known already."""
        known = self._of.setdefault(event.camera, [])
        if event in known:
            return False
        known.append(event)
        known.sort(key=lambda e: (e.time, RANK[e.action], e.account))
        self._linked[event.account].add(event.camera)
        return True

    def presume(self, camera: CameraId, account: AccountId) -> None:
        """Take the account for the owner until an enrolment says otherwise."""
        self._presumed[camera] = account
        self._linked[account].add(camera)

    def presumed(self, camera: CameraId) -> AccountId | None:
        """The presumed owner, whether or not an enrolment has superseded it."""
        return self._presumed.get(camera)

    def owner(self, camera: CameraId, at: datetime) -> tuple[AccountId | None, bool]:
        """The owner at that moment, and whether that is only presumed. (None, False) after a release."""
        owner, enrolled = self._enrolled(camera, at)
        return (owner, False) if enrolled else (self._presumed.get(camera), True)

    def may_see(self, account: AccountId, camera: CameraId, at: datetime) -> bool:
        """Whether the account owned the camera or had a grant for it at that moment.

        A grant ends with its revocation, and when the camera passes to another owner.
        """
        owner: AccountId | None = None
        granted = False
        enrolled = False
        for event in self._of.get(camera, ()):
            if event.time > at:
                break
            match event.action:
                case RightAction.ENROL:
                    if owner is not None and owner != event.account:
                        granted = False
                    owner, enrolled = event.account, True
                case RightAction.RELEASE:
                    if owner == event.account:
                        owner, granted = None, False
                case RightAction.GRANT:
                    granted = granted or event.account == account
                case RightAction.REVOKE:
                    granted = granted and event.account != account
        if not enrolled:
            owner = self._presumed.get(camera)
        return granted or (owner is not None and owner == account)

    def visible(self, account: AccountId, at: datetime) -> Iterator[CameraId]:
        """The cameras that the account may see at that moment, in the order of their ids."""
        linked = self._linked.get(account)
        if linked is None:
            return
        if len(linked) == 1:
            yield from (c for c in linked if self.may_see(account, c, at))
            return
        for camera in sorted(linked):
            if self.may_see(account, camera, at):
                yield camera

    def _enrolled(self, camera: CameraId, at: datetime) -> tuple[AccountId | None, bool]:
        owner: AccountId | None = None
        enrolled = False
        for event in self._of.get(camera, ()):
            if event.time > at:
                break
            if event.action is RightAction.ENROL:
                owner, enrolled = event.account, True
            elif event.action is RightAction.RELEASE and owner == event.account:
                owner = None
        return owner, enrolled
