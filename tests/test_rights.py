"""Who may see a camera, as of a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random

from hypothesis import given
from hypothesis import strategies as st

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


def test_a_revocation_that_is_all_a_compacted_topic_kept_says_that_a_grant_was_there() -> None:
    rights = Rights()
    for event in (SOLD[0], right(BOB, RightAction.REVOKE, 2)):
        rights.note(event)
    assert rights.may_see(BOB, CAM, at(1))
    assert not rights.may_see(BOB, CAM, at(2))


def test_whoever_releases_a_camera_owned_it_before() -> None:
    rights = Rights()
    for event in (right(ALICE, RightAction.RELEASE, 5), right(CAROL, RightAction.ENROL, 6)):
        rights.note(event)
    assert rights.owner(CAM, at(1)) == (ALICE, True)
    assert rights.owner(CAM, at(5)) == (None, False)
    assert rights.owner(CAM, at(6)) == (CAROL, False)


def test_nobody_is_presumed_for_a_camera_that_was_enrolled_at_any_time() -> None:
    rights = Rights()
    rights.note(right(ALICE, RightAction.ENROL, 2))
    assert rights.owner(CAM, at(-1000)) == (ALICE, True)
    assert not rights.may_see(BOB, CAM, at(-1000))
    assert rights.may_see(ALICE, CAM, at(1.9))


def test_a_first_enrolment_ends_no_grant() -> None:
    rights = Rights()
    for event in (right(BOB, RightAction.GRANT, 0), right(ALICE, RightAction.ENROL, 1)):
        rights.note(event)
    assert rights.may_see(BOB, CAM, at(2))


def test_a_grant_at_the_moment_of_a_sale_is_the_new_owner_s() -> None:
    rights = Rights()
    for event in (SOLD[0], right(CAROL, RightAction.ENROL, 6), right(BOB, RightAction.GRANT, 6)):
        rights.note(event)
    assert rights.may_see(BOB, CAM, at(6))


actions = st.builds(
    right, st.sampled_from([ALICE, BOB, CAROL]), st.sampled_from(RightAction), st.integers(0, 6).map(float)
)


@given(st.lists(actions, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(events: list[RightChanged], rng: Random) -> None:
    shuffled = list(events)
    rng.shuffle(shuffled)
    one, two = Rights(), Rights()
    for event in events:
        one.note(event)
    for event in [*shuffled, *events]:
        two.note(event)
    for hours in (-1.0, 0.0, 2.5, 6.0):
        assert one.owner(CAM, at(hours)) == two.owner(CAM, at(hours))
        for account in (ALICE, BOB, CAROL):
            assert one.may_see(account, CAM, at(hours)) == two.may_see(account, CAM, at(hours))
