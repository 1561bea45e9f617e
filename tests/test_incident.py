"""Incidents are a pure fold of the alerts, and of the deliveries counted beside them."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from timeline import START, Timeline, alert, without_alerts

from detector.folding import Incidents, fold
from detector.incident import QUIET, REOPEN, Incident
from detector.notice import Notice
from detector.tally import Tally
from models.records import Alert, AlertId, IncidentId, Kind

QUIET_MINUTES = QUIET.total_seconds() / 60
BEYOND = (QUIET + REOPEN).total_seconds() / 60

nodes = st.sampled_from(["cache-1", "cache-2"])
alerts = st.lists(
    st.builds(
        lambda number, minutes, kind, integration, node, late: alert(
            number, minutes, kind, integration, found=minutes + late, cachenode=node
        ),
        st.integers(0, 40),
        st.floats(0, 6000),
        st.sampled_from(Kind),
        st.sampled_from(["home-display", "app"]),
        nodes,
        st.sampled_from([0.0, 0.0, 90.0, 900.0]),
    ),
    max_size=30,
).map(lambda found: sorted(found, key=lambda a: a.raised_at))


def test_leaks_of_one_integration_are_one_incident_until_it_is_long_quiet() -> None:
    found = fold([alert(1, 0), alert(2, QUIET_MINUTES - 1), alert(3, QUIET_MINUTES + BEYOND)])
    assert [incident.leaks for incident in found] == [2, 1]
    assert found[0].first == START
    assert found[0].viewers == {"viewer-1", "viewer-2"}
    assert found[0].owners == {"owner-1", "owner-2"}


def test_a_leak_found_late_belongs_where_it_was_delivered() -> None:
    found = fold([alert(1, 0), alert(2, 3 * BEYOND), alert(3, 10, found=3 * BEYOND + 1)])
    assert [sorted(one.delivery.id for one in incident.leaked()) for incident in found] == [["1", "3"], ["2"]]


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
    held = [one.id for incident in fold(found) for one in incident.leaked()]
    assert sorted(held) == sorted({one.id for one in found if one.kind is Kind.LEAK})


@given(st.lists(st.integers(0, 40), unique=True, max_size=12), st.randoms(use_true_random=False))
def test_alerts_of_one_moment_make_the_same_incident_in_any_order(numbers: list[int], shuffled: object) -> None:
    found = [alert(number, 5.0) for number in numbers]
    other = list(found)
    shuffled.shuffle(other)  # type: ignore[attr-defined]

    def content(incidents: list[Incident]) -> list[object]:
        return [(set(i.alerts), i.first, i.last, i.leaks, i.viewers, i.owners) for i in incidents]

    assert content(fold(found)) == content(fold(other))


@given(alerts, st.integers(0, 30))
def test_a_fold_that_was_stored_and_taken_up_again_goes_on_alike(found: list[Alert], cut: int) -> None:
    before, through = Incidents(), Incidents()
    for one in found[:cut]:
        before.add(one)
        through.add(one)
    stored: dict[IncidentId, Incident] = {i.id: i for i in before.drain()[0]}
    members = [(id_, incident.id) for incident in stored.values() for id_ in incident.alerts]
    bare = [without_alerts(incident) for incident in stored.values()]
    after = Incidents()
    kept = {one.id: one for one in reversed(found[:cut])}  # of two with one id the first is stored
    after.restore(bare, sorted(members), kept)
    through.drain()
    for one in found[cut:]:
        assert after.add(one) == through.add(one)
    assert after.drain()[2] == through.drain()[2]


@given(alerts, st.sets(st.integers(0, 29)))
def test_viewers_and_owners_are_those_of_the_leaks_that_stand(raised: list[Alert], gone: set[int]) -> None:
    incidents = Incidents()
    for one in raised:
        incidents.add(one)
    for number in gone & set(range(len(raised))):
        incidents.withdraw(raised[number].id)
    for incident in incidents.drain()[0]:
        assert incident.leaks == len(incident.leaked())
        assert incident.viewers == {leak.recipient for leak in incident.leaked()}
        assert incident.owners == {leak.owner for leak in incident.leaked() if leak.owner is not None}


@settings(max_examples=30)
@given(alerts, st.sets(st.integers(0, 29)), st.integers(1, 7))
def test_what_is_told_does_not_depend_on_when_it_is_stored(raised: list[Alert], gone: set[int], batch: int) -> None:
    def told(each: int) -> tuple[list[Notice], dict[AlertId, IncidentId]]:
        incidents, notices, moved = Incidents(Tally()), list[Notice](), dict[AlertId, IncidentId]()
        for number, one in enumerate(raised):
            incidents.pass_time(one.raised_at)
            incidents.add(one)
            if number in gone:
                incidents.withdraw(one.id)
            if number % each == 0:
                _, over, said = incidents.drain()
                notices, moved = notices + said, moved | over
        _, over, said = incidents.drain()
        return notices + said, moved | over

    assert told(1) == told(batch)


@given(alerts)
def test_nothing_is_told_twice(raised: list[Alert]) -> None:
    incidents = Incidents()
    for one in raised:
        incidents.pass_time(one.raised_at)
        incidents.add(one)
    incidents.pass_time(START + timedelta(days=30))
    told = incidents.drain()[2]
    assert len({notice.id for notice in told}) == len(told)


def test_alerts_that_go_over_to_another_incident_are_told_to_the_store() -> None:
    line, moved = Timeline(), dict[AlertId, IncidentId]()
    drain = line.fold.drain

    def kept() -> tuple[list[Incident], dict[AlertId, IncidentId], list[Notice]]:
        out = drain()
        moved.update(out[1])
        return out

    line.fold.drain = kept  # type: ignore[method-assign]
    line.traffic(0, 60)
    for step in range(60):
        line.traffic(60 + step, 61 + step)
        line.leak(60 + step, f"o-{step}", f"v-{step}", **line.path(cachenode="cache-3"))
        if step > 30:
            line.leak(60.5 + step, f"p-{step}", f"w-{step}", **line.path(cachenode="cache-6", surface="web"))
    first, second = line.incidents.values()
    assert moved
    assert set(moved.values()) == {second.id}
    assert moved.keys() <= second.alerts.keys()
    assert not moved.keys() & first.alerts.keys()
