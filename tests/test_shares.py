"""Matchers that share the cameras find every pair that one matcher finds, whatever comes at the same time."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from places import START, still
from shares import Share, Step, Tables, leaks

from detector.engine import Engine
from models.fingerprint import Still
from models.records import AccountId, CameraId, Delivery, DeliveryId, RightAction, RightChanged
from models.scene import Standing

HOMES = 5


look = cache(still)


def account(camera: int) -> AccountId:
    """Whose camera it is: one account has the first two, which two matchers judge."""
    return AccountId(f"of-{max(camera, 1)}")


def step(camera: int, number: int, shows: int) -> Step:
    """Still `number` of a camera: its own place, or another one's."""
    key, when = DeliveryId("test", f"{camera}-{number}"), START + timedelta(minutes=number, seconds=camera)
    attributes = {"integration": "hub"}
    delivery = Delivery(key, when, account(camera), CameraId(str(camera)), attributes)
    return delivery, look(shows, number if shows == camera else 100 + camera)


@st.composite
def clouds(draw: st.DrawFn) -> list[list[int]]:
    """What each camera delivers: its own place, and now and then another home's, none of them twice: who shows a home
    that nobody knows yet twice may be taken for it, by one matcher too, as long as it comes first."""
    cloud = []
    for camera in range(HOMES):
        own = draw(st.integers(3, 5))
        shown = [camera] * own
        others = [each for each in range(HOMES) if each != camera]
        for other in draw(st.lists(st.sampled_from(others), max_size=2, unique=True)):
            shown.insert(draw(st.integers(2, len(shown))), other)
        shown += [camera]
        cloud.append(shown)
    return cloud


class Run:
    """Shares of one cloud, moved one act at a time."""

    def __init__(self, cloud: list[list[int]], of: int) -> None:
        self.tables = Tables()
        self.shares = [
            Share(number, lambda camera, number=number: int(camera) % of == number - 1, self.tables)
            for number in range(1, of + 1)
        ]
        self.left = [
            [step(camera, number, shows) for number, shows in enumerate(shown)] for camera, shown in enumerate(cloud)
        ]
        self.order: list[Step] = []
        self.one = Engine()
        for camera in range(HOMES):
            enrol = RightChanged(CameraId(str(camera)), account(camera), RightAction.ENROL, START)
            for engine in [self.one, *(share.engine for share in self.shares)]:
                engine.right(enrol)
        for share in self.shares:
            share.commit()

    def judge(self, camera: int) -> None:
        if self.left[camera]:
            self.order.append(self.left[camera].pop(0))
            self.shares[camera % len(self.shares)].judge(self.order[-1])

    def act(self, share: int, what: int) -> None:
        """Store, or take up some rows; a share that dies comes back and judges again what it had not stored."""
        one = self.shares[share % len(self.shares)]
        if what == 0:
            one.commit()
        elif what < 4:
            one.fold(what)
        else:
            for step in one.die():
                one.judge(step)

    def finish(self) -> None:
        """Everything that is left, until nobody has anything to tell."""
        for camera in range(HOMES):
            while self.left[camera]:
                self.judge(camera)
        rows = -1
        while len(self.tables.log) > rows:
            rows = len(self.tables.log)
            for share in self.shares:
                share.commit()
                share.fold(1000)
                share.commit()

    def expected(self) -> set[tuple[str, str, str]]:
        """What one matcher tells that gets the same in the order in which it was judged."""
        for delivery, look in self.order:
            self.one.judge(delivery, lambda look=look: look)
        changes = self.one.drain()
        gone = {each.alert for each in changes.withdrawn}
        return leaks(alert for alert in changes.raised if alert.id not in gone)


ACTS = st.lists(
    st.tuples(st.sampled_from([False, False, True]), st.integers(0, HOMES - 1), st.integers(0, 4)),
    min_size=20,
    max_size=80,
)
"""Judge the next still of a camera, or have a share store, take up rows, or die."""


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(clouds(), ACTS, st.integers(2, 3))
def test_shares_find_the_pairs_that_one_matcher_finds_whatever_comes_at_the_same_time(
    cloud: list[list[int]], acts: list[tuple[bool, int, int]], of: int
) -> None:
    run = Run(cloud, of)
    for act, who, what in acts:
        if act:
            run.act(who, what)
        else:
            run.judge(who)
    run.finish()
    assert run.tables.leaks() == run.expected()


def test_dark_stills_that_come_at_the_same_time_accuse_one_home_and_not_both() -> None:
    dark = Still(b"d" * 16, b"", None, "dark", noisy=True)
    run = Run([[] for _ in range(HOMES)], 2)
    for camera in (1, 2):
        delivery, _ = step(camera, 1, camera)
        run.shares[camera % 2].judge((delivery, dark))
        run.order.append((delivery, dark))
    run.finish()
    assert run.tables.leaks() == run.expected() == {("2-1", "of-2", "of-1")}


def test_a_new_camera_that_shows_anothers_scene_is_told_once_the_other_goes_on_elsewhere() -> None:
    run = Run([[0] * 5, [], [], [0, 0, 3, 3, 3], []], 2)
    for _ in range(3):
        run.judge(0)
    run.shares[0].commit()
    run.shares[1].fold(9)
    for _ in range(4):
        run.judge(3)
    run.finish()
    assert run.tables.leaks() == run.expected()
    assert {delivery for delivery, _, _ in run.tables.leaks()} >= {"3-0"}


def test_accounts_that_get_one_picture_are_counted_together() -> None:
    """Three homes on two matchers get a vendor's picture that one camera takes for its own: it accuses nobody."""
    run = Run([[0, 0, 0, 0], [], [2, 2, 2], [3, 3, 3], [4, 4, 4]], 2)
    run.finish()
    for number, camera in enumerate((2, 3, 4)):
        delivery, _ = step(camera, 9 + number, 0)
        shown = (delivery, look(0, 2))
        run.shares[camera % 2].judge(shown)
        run.order.append(shown)
        run.finish()
    assert run.tables.leaks() == run.expected()


def test_a_foreign_scene_that_is_told_again_and_again_is_one_scene() -> None:
    run = Run([[0, 0, 0], [], [], [], []], 2)
    for _ in range(3):
        run.judge(0)
        run.shares[0].commit()
        run.shares[1].fold(9)
    memory = run.shares[1].engine.memory
    assert len(memory.scenes) == len(memory.index) == len(run.shares[0].engine.memory.scenes)
    assert run.shares[1].engine.drain().scenes == []
    assert {k.record.standing for k in memory.scenes.values()} == {Standing.CONFIRMED}
