"""Who may see a camera, as of a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

from models.records import AccountId, CameraId, RightAction, RightChanged
from models.rights import Rights

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CAM, ALICE, BOB, CAROL = CameraId("cam"), AccountId("alice"), AccountId("bob"), AccountId("carol")


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def right(account: AccountId, action: RightAction, hours: float) -> RightChanged:
    return RightChanged(CAM, account, action, at(hours))


SOLD = [
    right(ALICE, RightAction.ENROL, 0),
    right(BOB, RightAction.GRANT, 1),
    right(ALICE, RightAction.RELEASE, 5),
    right(CAROL, RightAction.ENROL, 6),
]


def test_rights_hold_from_their_own_time_in_whatever_order_they_arrive() -> None:
    for order in permutations(SOLD):
        rights = Rights()
        for event in order:
            rights.note(event)
        assert rights.owner(CAM, at(3)) == (ALICE, False)
        assert rights.owner(CAM, at(7)) == (CAROL, False)
        assert rights.may_see(BOB, CAM, at(2))
        assert not rights.may_see(BOB, CAM, at(0.5))


def test_a_grant_does_not_outlive_the_sale_of_the_camera() -> None:
    rights = Rights()
    for event in SOLD:
        rights.note(event)
    assert not rights.may_see(BOB, CAM, at(7))
    assert not rights.may_see(ALICE, CAM, at(7))
    assert rights.owner(CAM, at(5.5)) == (None, False)


def test_the_same_right_twice_is_one() -> None:
    rights = Rights()
    assert rights.note(SOLD[0])
    assert not rights.note(SOLD[0])


def test_a_revoked_grant_ends() -> None:
    rights = Rights()
    for event in (SOLD[0], SOLD[1], right(BOB, RightAction.REVOKE, 2)):
        rights.note(event)
    assert rights.may_see(BOB, CAM, at(1.5))
    assert not rights.may_see(BOB, CAM, at(2))


def test_a_presumed_owner_holds_until_an_enrolment() -> None:
    rights = Rights()
    rights.presume(CAM, BOB)
    rights.note(right(ALICE, RightAction.ENROL, 2))
    assert rights.owner(CAM, at(1)) == (BOB, True)
    assert rights.owner(CAM, at(3)) == (ALICE, False)
    assert not rights.may_see(BOB, CAM, at(3))


def test_visible_cameras_are_those_of_the_moment() -> None:
    rights = Rights()
    for event in SOLD:
        rights.note(event)
    assert list(rights.visible(BOB, at(2))) == [CAM]
    assert list(rights.visible(BOB, at(7))) == []
