"""What the demonstration calls stopped: more than a link was shut, was seen to stop, and nothing leaked after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from api.commands.demo_watch import Watch
from detector.scope import Breadth, Scope, link, scope
from detector.suspension import POLICY, Do, Event, Suspension, Transition, step
from models.records import AccountId, AlertId, CameraId, DeliveryId
from streams.simulator.simulate import Truth

T0 = datetime(2019, 12, 26, 12, tzinfo=UTC)
RELEASE = scope(Breadth.RELEASE, "home-display", {"release": "2"})


def moved(before: Suspension, what: Do, minutes: float = 0) -> Transition:
    event = Event(what, POLICY, T0 + timedelta(minutes=minutes), "named-leak", "so it is", {}, (AlertId("al-1"),))
    made = step(before, event)
    assert isinstance(made, Transition)
    return made


def leak(watch: Watch, id: str) -> None:
    key = DeliveryId("/test", id)
    watch.leaks[key] = Truth(key, AccountId("a"), CameraId("c"), "copy", AccountId("b"), CameraId("d"))


def suspend(watch: Watch, of: Scope) -> None:
    """Order the scope shut; three minutes later it is seen to have stopped."""
    ordered = moved(Suspension(of), Do.SUSPEND)
    assert watch.moved(ordered, 1.0) is not None
    assert watch.moved(moved(ordered.after, Do.STOPPED, 3), 2.0) is None


def test_a_leak_behind_a_wide_suspension_that_was_seen_to_stop_is_stopped() -> None:
    watch = Watch()
    leak(watch, "1")
    suspend(watch, RELEASE)
    assert watch.stopped()
    assert (watch.wide[0].leaked, watch.wide[0].stopped) == (1, T0 + timedelta(minutes=3))


def test_one_still_that_leaks_after_it_means_that_it_was_not_stopped() -> None:
    watch = Watch()
    suspend(watch, RELEASE)
    leak(watch, "1")
    assert not watch.stopped()


def test_account_links_alone_stop_no_leak() -> None:
    watch = Watch()
    leak(watch, "1")
    suspend(watch, link("home-display", "acct-1"))
    assert len(watch.links) == 1
    assert not watch.stopped()


def test_an_order_that_was_never_seen_to_stop_is_not_enough() -> None:
    watch = Watch()
    leak(watch, "1")
    assert watch.moved(moved(Suspension(RELEASE), Do.SUSPEND), 1.0) is not None
    assert not watch.stopped()


def test_a_proposal_is_no_order() -> None:
    watch = Watch()
    assert watch.moved(moved(Suspension(RELEASE), Do.PROPOSE), 1.0) is None
    assert watch.proposed == {RELEASE.id}
    assert not watch.orders
