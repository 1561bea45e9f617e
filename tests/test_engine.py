"""What the engine decides, as timelines: push this, expect that, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from places import Cloud, picture, place, still

from detector.certainty import needed
from detector.shift import CLEARLY_FOREIGN, unlike
from models.fingerprint import Still, fingerprint
from models.records import Kind, Level, RightAction, Verdict

DARK = picture(np.clip(np.random.default_rng(1).normal(6, 3, (360, 640)), 0, 255).astype(np.uint8))
BLANK = picture(np.full((360, 640), 52, np.uint8))


def known(cameras: int, stills: int = 6) -> Cloud:
    """A cloud in which cameras `cam-0`.. have shown their own place for a while."""
    cloud = Cloud()
    for moment in range(stills):
        for n in range(cameras):
            cloud.deliver(f"cam-{n}", still(n, moment))
    assert cloud.raised == []
    return cloud


def test_own_stills_are_clear_and_raise_nothing() -> None:
    cloud = known(3)
    assert {j.verdict for j in cloud.judged[3:]} == {Verdict.CLEAR}


def test_foreign_still_names_its_owner_at_once_with_numbers() -> None:
    cloud = known(3)
    judged = cloud.deliver("cam-0", still(1, 99))
    assert judged.verdict is Verdict.LEAK
    (alert,) = judged.alerts
    assert (alert.kind, alert.recipient, alert.owner, alert.owner_camera) == (
        Kind.LEAK,
        "of-cam-0",
        "of-cam-1",
        "cam-1",
    )
    assert alert.presumed
    assert alert.numbers["margin"] == pytest.approx(
        float(alert.numbers["score"]) - float(alert.numbers["own"]), abs=1e-3
    )
    assert "cam-1" in alert.why
    assert alert.attributes["integration"] == "hub"


def test_leaked_still_teaches_nothing() -> None:
    cloud = known(2)
    for moment in range(90, 96):
        assert cloud.deliver("cam-0", still(1, moment)).verdict is Verdict.LEAK
    assert cloud.deliver("cam-0", still(0, 97)).verdict is Verdict.CLEAR


def test_cut_off_and_grey_still_is_named() -> None:
    cloud = known(3)
    grey = place(2, 50).copy()
    grey[150:] = 128
    (alert,) = cloud.deliver("cam-0", fingerprint(picture(grey, complete=False))).alerts
    assert alert.owner_camera == "cam-2"


@pytest.mark.parametrize("damage", ["mirror", "turned", "negative", "crop", "letterbox"])
def test_still_is_named_however_it_was_shown(damage: str) -> None:
    cloud = known(4)
    grey = place(3, 40)
    letterbox = np.zeros_like(grey)
    letterbox[60:300] = grey[::3][:120].repeat(2, axis=0)
    shown = {
        "mirror": grey[:, ::-1],
        "turned": grey[::-1, ::-1],
        "negative": 255 - grey,
        "crop": grey[50:320, 60:560],
        "letterbox": letterbox,
    }[damage]
    judged = cloud.deliver("cam-0", fingerprint(picture(np.ascontiguousarray(shown))))
    assert [a.owner_camera for a in judged.alerts] == ["cam-3"]


def test_viewer_without_a_right_is_a_leak_and_the_picture_is_not_looked_at() -> None:
    cloud = known(2)

    def look() -> Still:
        raise AssertionError("looked at the picture although rights decide")

    (alert,) = cloud.deliver("cam-0", look, to="stranger").alerts
    assert (alert.rule, alert.owner, alert.recipient, alert.presumed) == ("no-right", "of-cam-0", "stranger", True)
    assert alert.level is Level.SHOWN


def test_of_two_first_viewers_the_one_who_comes_again_is_presumed_and_the_other_one_is_told() -> None:
    cloud = Cloud()
    wrong = cloud.deliver("cam", still(1, 0), to="stranger")
    assert cloud.deliver("cam", still(1, 1), to="owner").alerts == ()
    (alert,) = cloud.deliver("cam", still(1, 2), to="owner").alerts
    assert (alert.rule, alert.owner, alert.recipient, alert.presumed) == ("no-right", "owner", "stranger", True)
    assert (alert.delivery, alert.delivered_at) == (wrong.delivery.key, wrong.delivery.time)
    assert alert.attributes["integration"] == "hub"
    assert [cloud.deliver("cam", still(1, n), to="owner").verdict for n in (3, 4)] == [Verdict.CLEAR] * 2
    assert cloud.deliver("cam", still(1, 5), to="stranger").verdict is Verdict.LEAK


def test_a_stranger_between_the_owners_first_two_stills_is_told_when_the_owner_comes_again() -> None:
    cloud = Cloud()
    cloud.deliver("cam", still(1, 0), to="owner")
    wrong = cloud.deliver("cam", still(1, 1), to="stranger")
    assert wrong.verdict is not Verdict.LEAK
    (alert,) = cloud.deliver("cam", still(1, 2), to="owner").alerts
    assert (alert.owner, alert.recipient, alert.delivery) == ("owner", "stranger", wrong.delivery.key)


def test_whose_camera_it_is_stays_open_over_a_restart_and_an_enrolment_settles_it() -> None:
    cloud = Cloud()
    cloud.deliver("cam", still(1, 0), to="stranger")
    cloud.deliver("cam", still(1, 1), to="owner")
    cloud.restart()
    cloud.right("cam", "owner", RightAction.ENROL, ago=timedelta(days=1))
    (alert,) = cloud.deliver("cam", still(1, 2), to="owner").alerts
    assert (alert.owner, alert.recipient, alert.presumed, alert.level) == ("owner", "stranger", False, Level.ACTING)


def test_a_third_viewer_of_a_camera_whose_owner_is_open_is_told_at_once() -> None:
    cloud = Cloud()
    for viewer in ("one", "two"):
        assert cloud.deliver("cam", still(1, 0), to=viewer).alerts == ()
    assert [a.recipient for a in cloud.deliver("cam", still(1, 2), to="three").alerts] == ["three"]


def test_enrolled_owner_is_not_presumed_and_the_alert_may_act() -> None:
    cloud = Cloud()
    cloud.right("cam", "alice", RightAction.ENROL)
    (alert,) = cloud.deliver("cam", still(1), to="bob").alerts
    assert (alert.owner, alert.presumed, alert.level) == ("alice", False, Level.ACTING)


def test_late_grant_withdraws_what_it_explains() -> None:
    cloud = known(2)
    cloud.deliver("cam-0", still(1, 99))
    cloud.deliver("cam-1", still(1, 98), to="guest")
    assert len(cloud.standing) == 2
    cloud.right("cam-1", "of-cam-0", RightAction.GRANT, ago=timedelta(hours=5))
    cloud.right("cam-1", "guest", RightAction.GRANT, ago=timedelta(0))
    assert [a.recipient for a in cloud.standing] == []


def test_grant_that_begins_later_explains_nothing_before() -> None:
    cloud = known(2)
    cloud.deliver("cam-0", still(1, 99))
    cloud.deliver("cam-0", still(0, 99))
    cloud.right("cam-1", "of-cam-0", RightAction.GRANT)
    assert len(cloud.standing) == 1


def test_shared_camera_and_sibling_are_no_leak() -> None:
    cloud = Cloud()
    for moment in range(5):
        cloud.deliver("front", still(1, moment), to="home")
        cloud.deliver("back", still(2, moment), to="home")
        cloud.deliver("other", still(3, moment), to="friend")
    cloud.right("other", "home", RightAction.GRANT, ago=timedelta(hours=9))
    assert cloud.deliver("front", still(2, 50), to="home").rule == "sibling"
    assert cloud.deliver("front", still(3, 50), to="home").rule == "sibling"
    assert cloud.raised == []


def test_scene_of_nobody_is_told_at_once_by_a_calm_camera() -> None:
    cloud = known(2)
    judged = cloud.deliver("cam-0", still(77, 1))
    assert judged.verdict is Verdict.SHIFT
    (alert,) = judged.alerts
    assert (alert.kind, alert.owner) == (Kind.SHIFT, None)


def test_camera_that_moved_takes_its_alert_back_and_is_clear_afterwards() -> None:
    cloud = known(2)
    cloud.shows("cam-0", 77, range(4))
    assert cloud.standing == []
    assert cloud.judged[-1].verdict is Verdict.CLEAR


def test_camera_that_moved_twice_is_believed_where_a_still_is_clearly_foreign() -> None:
    cloud = known(2)
    for seed in (77, 78):
        cloud.shows("cam-0", seed, range(5))
    stranger = cloud.deliver("cam-0", still(79, 1))
    assert stranger.alerts == ()
    cloud.deliver("cam-0", still(78, 9))
    assert [(a.rule, a.delivery) for a in cloud.standing] == [("came-and-went", stranger.delivery.key)]


def test_still_between_two_of_a_new_look_came_and_went_and_teaches_nothing() -> None:
    cloud = known(2)
    cloud.deliver("cam-0", still(77, 1))
    stranger = cloud.deliver("cam-0", still(78, 1))
    cloud.shows("cam-0", 77, range(2, 5))
    assert [a.delivery for a in cloud.standing] == [stranger.delivery.key]
    assert cloud.deliver("cam-0", still(78, 2)).verdict is not Verdict.CLEAR


def test_camera_that_only_ever_showed_new_looks_is_not_calm() -> None:
    cloud = known(1)
    for seed in range(50, 55):
        cloud.deliver("cam-9", still(seed))
    cloud.deliver("cam-9", still(54, 1))
    assert cloud.deliver("cam-9", still(77)).verdict is Verdict.SHIFT
    assert cloud.standing == []


def test_shift_that_turns_out_to_be_the_viewers_other_camera_is_withdrawn() -> None:
    cloud = known(1)
    early = cloud.deliver("cam-0", still(9, 50))
    cloud.deliver("cam-0", still(0, 60))
    assert [a.delivery for a in cloud.standing] == [early.delivery.key]
    cloud.right("cam-9", "of-cam-0", RightAction.ENROL)
    for moment in range(2):
        cloud.deliver("cam-9", still(9, moment), to="of-cam-0")
    assert cloud.standing == []


def test_leak_found_later_takes_the_place_of_its_shift() -> None:
    cloud = known(1)
    early = cloud.deliver("cam-0", still(9, 50))
    assert [a.kind for a in early.alerts] == [Kind.SHIFT]
    cloud.deliver("cam-0", still(0, 60))
    cloud.shows("cam-9", 9, range(2))
    (alert,) = cloud.standing
    assert (alert.kind, alert.owner_camera, alert.delivery) == (Kind.LEAK, "cam-9", early.delivery.key)
    assert alert.raised_by != early.delivery.key


def test_new_camera_waits_until_the_owner_goes_on() -> None:
    cloud = known(2)
    first = cloud.deliver("new", still(1, 70))
    assert (first.verdict, first.alerts) == (Verdict.LEARNING, ())
    (alert,) = cloud.deliver("cam-1", still(1, 71)).alerts
    assert (alert.delivery, alert.recipient, alert.owner_camera) == (first.delivery.key, "of-new", "cam-1")


def test_still_between_two_leaks_of_a_new_camera_is_told_when_it_has_a_scene_of_its_own() -> None:
    cloud = known(2)
    cloud.deliver("new", still(1, 70))
    stranger = cloud.deliver("new", still(77))
    cloud.deliver("new", still(1, 71))
    cloud.deliver("cam-1", still(1, 72))
    assert stranger.verdict is Verdict.LEARNING
    cloud.shows("new", 9, range(2))
    told = [(a.kind, a.rule) for a in cloud.standing if a.delivery == stranger.delivery.key]
    assert told == [(Kind.SHIFT, "came-and-went")]
    assert cloud.deliver("new", still(77, 1)).verdict is not Verdict.CLEAR


def test_new_cameras_other_looks_without_leaks_around_them_are_its_own() -> None:
    cloud = known(2)
    cloud.deliver("new", still(77))
    cloud.shows("new", 9, range(2))
    assert cloud.standing == []


def test_strip_of_another_place_is_told_although_strips_agree_by_chance() -> None:
    assert unlike(0.34, 0.15) < CLEARLY_FOREIGN < unlike(0.34, 1.0)


def test_still_that_a_mere_look_accused_is_named_anew_when_its_own_camera_comes() -> None:
    """Two homes get a third one's scene before it is known; one of the two is new and looks about."""
    cloud = known(1)
    early = cloud.deliver("cam-0", still(9, 50))
    cloud.deliver("cam-0", still(0, 60))
    for seed in (50, 9, 51):
        cloud.deliver("new", still(seed, 51))
    cloud.deliver("new", still(51, 52))
    (by_look,) = [a for a in cloud.standing if a.delivery == early.delivery.key]
    assert (by_look.kind, by_look.owner_camera) == (Kind.LEAK, "new")
    cloud.shows("cam-9", 9, range(2))
    told = [(a.kind, a.owner_camera) for a in cloud.standing if a.delivery == early.delivery.key]
    assert told == [(Kind.LEAK, "cam-9")]


def test_camera_enrolled_anew_accuses_nobody_while_the_old_one_is_silent() -> None:
    cloud = known(3)
    judged = cloud.shows("new", 1, range(60, 70))
    assert cloud.raised == []
    assert "reenrolled" in [j.rule for j in judged]
    assert judged[-1].verdict is Verdict.CLEAR


def test_placeholder_of_many_accounts_is_a_candidate_and_accuses_nobody() -> None:
    cloud = known(5)
    rules = [cloud.deliver(f"cam-{n}", fingerprint(BLANK)).rule for n in range(5)]
    assert rules[-1] == "placeholder-candidate"
    assert cloud.raised == []


def test_copy_of_a_dark_still_accuses_by_its_noise_but_a_blank_one_never_does() -> None:
    cloud = known(3)
    assert fingerprint(DARK).fingerprint is None
    assert cloud.deliver("cam-0", fingerprint(DARK)).verdict is Verdict.UNJUDGED
    (alert,) = cloud.deliver("cam-1", fingerprint(DARK)).alerts
    assert (alert.rule, alert.owner_camera) == ("same-bytes", "cam-0")
    cloud.deliver("cam-0", fingerprint(BLANK))
    assert cloud.deliver("cam-1", fingerprint(BLANK)).alerts == ()


def test_same_delivery_twice_changes_nothing_and_raises_nothing_new() -> None:
    cloud = known(2)
    first = cloud.deliver("cam-0", still(1, 99), key="twice")
    cloud.engine.drain()
    again = cloud.deliver("cam-0", still(1, 99), key="twice")
    assert (again.verdict, again.rule, again.alerts) == (first.verdict, "again", ())
    assert cloud.engine.drain().scenes == []


def timeline(restart_at: set[int]) -> Cloud:
    """Everything at once: leaks, shifts, a move, a cold camera, a re-enrolment, dark and blank stills."""
    rng = np.random.default_rng(5)
    cloud = Cloud(restart_at)
    for step in range(130):
        n = int(rng.integers(0, 6))
        kind = rng.choice(["own", "own", "own", "own", "leak", "unseen", "dark", "blank", "cold", "again", "moved"])
        camera = f"cam-{n}"
        if kind == "own":
            cloud.deliver(camera, still(n, step))
        elif kind == "leak":
            cloud.deliver(camera, still(int(rng.integers(0, 6)), step))
        elif kind == "unseen":
            cloud.deliver(camera, still(50 + n, step))
        elif kind == "dark":
            cloud.deliver(camera, fingerprint(DARK))
        elif kind == "blank":
            cloud.deliver(camera, fingerprint(BLANK))
        elif kind == "cold":
            cloud.deliver(f"cold-{step}", still(n, step))
        elif kind == "again":
            cloud.deliver("cam-0-again", still(0, step))
        else:
            cloud.shows(camera, 60 + n, range(step, step + 3))
    return cloud


def told(cloud: Cloud) -> list[tuple[object, ...]]:
    """What a cloud concluded, delivery by delivery."""
    verdicts = [(str(j.delivery.key), j.verdict, j.rule, tuple(a.id for a in j.alerts)) for j in cloud.judged]
    return [*verdicts, *sorted((a.id, a.rule, a.why) for a in cloud.raised), sorted(cloud.withdrawn)]


@pytest.mark.parametrize("every", [1, 7])
def test_engine_restored_at_any_point_judges_alike(every: int) -> None:
    through, restarted = timeline(set()), timeline(set(range(0, 300, every)))
    assert {a.rule for a in through.raised} >= {"foreign-scene", "foreign-at-once", "same-bytes"}
    assert told(restarted) == told(through)


def beside(seed: int, moment: int, left: int) -> Still:
    """What a camera beside another one sees: the same place, from further left or right."""
    return fingerprint(picture(np.ascontiguousarray(place(seed, moment, width=960)[:, left : left + 640])))


@pytest.mark.parametrize("apart", [40, 100, 220])
def test_two_cameras_that_look_at_one_place_accuse_nobody(apart: int) -> None:
    cloud = Cloud()
    for moment in range(8):
        cloud.deliver("left", beside(3, moment, 0))
        cloud.deliver("right", beside(3, moment + 50, apart))
    assert cloud.raised == []


def test_neighbours_new_look_is_no_leak_either() -> None:
    cloud = Cloud()
    for moment in range(6):
        cloud.deliver("left", beside(3, moment, 0))
        cloud.deliver("right", beside(3, moment + 50, 60))
    for moment in range(4):
        cloud.deliver("left", beside(4, moment, 0))
    cloud.deliver("right", beside(4, 90, 60))
    cloud.deliver("right", beside(4, 91, 60))
    assert [a for a in cloud.standing if a.kind is Kind.LEAK] == []


def test_cut_off_copy_of_a_dark_still_is_known_by_its_first_bytes() -> None:
    cloud = known(2)
    whole = replace(fingerprint(DARK), prefix=b"first bytes")
    cloud.deliver("cam-0", whole)
    (alert,) = cloud.deliver("cam-1", replace(whole, digest=b"of fewer bytes", complete=False)).alerts
    assert alert.rule == "same-bytes"


def test_level_follows_the_certainty_and_the_size_of_the_cloud() -> None:
    cloud = known(3)
    (alert,) = cloud.deliver("cam-0", still(1, 99)).alerts
    assert alert.level is Level.ACTING
    assert float(alert.numbers["certainty"]) > float(alert.numbers["needed"])


def test_half_a_picture_is_named_but_too_little_to_act_on_in_a_large_cloud() -> None:
    cloud = known(3)
    torn = place(1, 40).copy()
    torn[170:] = place(88, 1)[170:]
    (alert,) = cloud.deliver("cam-0", fingerprint(picture(torn))).alerts
    assert alert.owner_camera == "cam-1"
    assert float(alert.numbers["certainty"]) < needed(1_000_000)


def test_partitions_read_side_by_side_accuse_no_camera_that_was_enrolled_anew() -> None:
    """The new id's first stills are read before the old id's, which are older."""
    cloud = Cloud()
    begin = cloud.clock
    cloud.right("new", "of-new", RightAction.ENROL, ago=timedelta(minutes=-9))
    for camera, moments in (
        ("new", (10, 11, 12)),
        ("old", (0,)),
        ("new", (13, 14)),
        ("old", (1, 2, 3)),
        ("new", (15,)),
    ):
        for moment in moments:
            cloud.clock = begin + timedelta(minutes=moment)
            cloud.deliver(camera, still(1, moment))
    assert cloud.raised == []


def test_alert_that_can_name_nobody_never_acts() -> None:
    cloud = known(2)
    cloud.right("cam-1", "of-cam-1", RightAction.ENROL, ago=timedelta(days=9))
    cloud.right("cam-1", "of-cam-1", RightAction.RELEASE)
    (alert,) = cloud.deliver("cam-0", still(1, 99)).alerts
    assert (alert.owner, alert.owner_camera, alert.level) == (None, "cam-1", Level.SHOWN)
