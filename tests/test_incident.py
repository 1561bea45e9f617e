"""Incidents are a pure fold of the alerts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from detector.incident import QUIET, Incidents, fold
from models.records import AccountId, Alert, CameraId, DeliveryId, Kind, Level, alert_id

START = datetime(2026, 1, 5, 6, tzinfo=UTC)


def alert(number: int, minutes: float, kind: Kind = Kind.LEAK, integration: str = "home-display") -> Alert:
    """The alert on delivery `number`, raised so many minutes after the start."""
    key, when = DeliveryId("cloud", str(number)), START + timedelta(minutes=minutes)
    owner = AccountId(f"owner-{number % 5}") if kind is Kind.LEAK else None
    return Alert(
        id=alert_id(key, owner),
        kind=kind,
        level=Level.SHOWN,
        delivery=key,
        delivered_at=when,
        recipient=AccountId(f"viewer-{number % 3}"),
        camera=CameraId("cam"),
        owner=owner,
        owner_camera=None,
        presumed=False,
        raised_by=key,
        raised_at=when,
        rule="foreign_scene",
        why="",
        numbers={},
        attributes={"integration": integration},
    )


alerts = st.lists(
    st.builds(
        alert,
        st.integers(0, 40),
        st.floats(0, 3000),
        st.sampled_from(Kind),
        st.sampled_from(["home-display", "app"]),
    ),
    max_size=30,
).map(lambda found: sorted(found, key=lambda a: a.raised_at))


def test_leaks_of_one_integration_are_one_incident_until_it_falls_quiet() -> None:
    quiet = QUIET.total_seconds() / 60
    found = fold([alert(1, 0), alert(2, quiet - 1), alert(3, 3 * quiet)])
    assert [incident.leaks for incident in found] == [2, 1]
    assert found[0].first == START
    assert found[0].viewers == {"viewer-1", "viewer-2"}
    assert found[0].owners == {"owner-1", "owner-2"}


def test_a_shift_opens_no_incident_but_is_counted_in_an_open_one() -> None:
    assert fold([alert(1, 0, Kind.SHIFT)]) == []
    assert [(i.leaks, i.shifts) for i in fold([alert(1, 0), alert(2, 1, Kind.SHIFT)])] == [(1, 1)]


def test_two_integrations_are_two_incidents() -> None:
    assert [i.integration for i in fold([alert(1, 0), alert(2, 0, integration="app")])] == ["home-display", "app"]


def test_an_incident_whose_leaks_are_all_withdrawn_no_longer_stands() -> None:
    incidents = Incidents()
    incident = incidents.add(alert(1, 0))
    assert incident is not None
    assert incident.stands
    assert incidents.withdraw(alert(1, 0).id) is incident
    assert not incident.stands
    assert incidents.withdraw(alert(1, 0).id) is None


@given(alerts)
def test_the_same_alerts_twice_give_the_same_incidents(found: list[Alert]) -> None:
    doubled = [one for each in found for one in (each, each)]
    assert fold(found) == fold(doubled)


@given(alerts)
def test_every_leak_is_in_exactly_one_incident(found: list[Alert]) -> None:
    incidents = fold(found)
    held = [one for incident in incidents for one, (kind, _, _) in incident.alerts.items() if kind is Kind.LEAK]
    assert sorted(held) == sorted({one.id for one in found if one.kind is Kind.LEAK})


@given(alerts, st.integers(0, 30))
def test_a_fold_that_was_stored_and_taken_up_again_goes_on_alike(found: list[Alert], cut: int) -> None:
    before, through = Incidents(), Incidents()
    opened = {i.id: i for one in found[:cut] if (i := before.add(one))}
    after = Incidents()
    after.restore(opened.values())
    for one in found[:cut]:
        through.add(one)
    for one in found[cut:]:
        assert after.add(one) == through.add(one)


@given(alerts, st.sets(st.integers(0, 29)))
def test_viewers_and_owners_are_those_of_the_leaks_that_stand(raised: list[Alert], gone: set[int]) -> None:
    incidents = Incidents()
    touched = {id(found): found for one in raised if (found := incidents.add(one)) is not None}
    for number in gone & set(range(len(raised))):
        incidents.withdraw(raised[number].id)
    for incident in touched.values():
        leaks = [(owner, viewer) for kind, owner, viewer in incident.alerts.values() if kind is Kind.LEAK]
        assert incident.viewers == {viewer for _, viewer in leaks}
        assert incident.owners == {owner for owner, _ in leaks if owner is not None}
