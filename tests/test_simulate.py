"""The simulator: the scenario's facts hold, the truth is true, and a gate really stops deliveries."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from models.records import ChangeDeployed, Delivery, RightAction, RightChanged
from streams.cloudevents import parse_line
from streams.simulator.cast import Act, cast
from streams.simulator.scenario import SCENARIOS, Scenario, UnknownScenarioError, scenario
from streams.simulator.simulate import Happening, Simulation, write_folder
from streams.simulator.studio import Studio

LEAK_KINDS = {"copy", "transcode", "truncated", "corrupt"}


def small(accounts: int = 12, poor: float = 0.3) -> Scenario:
    """The scenario with few accounts and many leaks, quick to draw."""
    whole = scenario("xiaomi_2019").scaled(accounts)
    crowd = replace(whole.crowd, own_before=8, own_after=6, shared=0.2, second_camera=0.2)
    return replace(whole, crowd=crowd, fault=replace(whole.fault, poor=poor))


@pytest.fixture(scope="module")
def played() -> list[Happening]:
    return list(Simulation(small(), seed=3))


def test_an_unknown_scenario_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UnknownScenarioError, match="xiaomi_2019"):
        scenario("xiaomi_1999")


def test_every_scenario_is_registered_under_its_own_name() -> None:
    assert all(name == found.name for name, found in SCENARIOS.items())


def test_events_come_in_time_order_and_as_many_as_announced(played: list[Happening]) -> None:
    times = [h.event.time for h in played]
    assert times == sorted(times)
    assert len(played) == Simulation(small(), seed=3).total


def test_every_key_is_there_once(played: list[Happening]) -> None:
    assert len({h.key for h in played}) == len(played)


def test_every_camera_is_enrolled_before_it_delivers(played: list[Happening]) -> None:
    enrolled = set()
    for happening in played:
        match happening.event:
            case RightChanged(action=RightAction.ENROL, camera=camera):
                enrolled.add(camera)
            case Delivery(camera=camera):
                assert camera in enrolled


def test_nothing_leaks_before_the_change(played: list[Happening]) -> None:
    change = next(h.event.time for h in played if isinstance(h.event, ChangeDeployed))
    leaks = [h for h in played if h.truth and h.truth.leaked]
    assert len(leaks) >= 3
    assert min(h.event.time for h in leaks) >= change


def test_only_displays_on_a_poor_network_get_strangers_stills(played: list[Happening]) -> None:
    for happening in played:
        if happening.truth and happening.truth.leaked:
            assert isinstance(happening.event, Delivery)
            assert happening.event.attributes["surface"] == "hub"
            assert happening.event.attributes["network"] == "poor"
            assert happening.event.attributes["release"] == small().fault.version_after


def test_the_new_release_serves_only_the_caches_that_it_has_reached(played: list[Happening]) -> None:
    fault = small().fault
    change = next(h.event.time for h in played if isinstance(h.event, ChangeDeployed))
    reached = {f"cache-{n}" for n in range(1, fault.updated + 1)}
    late = [h.event for h in played if isinstance(h.event, Delivery) and h.event.time >= change]
    assert 0 < fault.updated < fault.nodes
    assert {d.attributes["cachenode"] for d in late if d.attributes["release"] == fault.version_after} == reached
    old = [d.attributes["cachenode"] for d in late if d.attributes["release"] == fault.version_before]
    assert old
    assert not reached & set(old)


def test_a_recipient_of_a_leak_has_no_right_to_that_camera(played: list[Happening]) -> None:
    rights = {(h.event.camera, h.event.account) for h in played if isinstance(h.event, RightChanged)}
    for happening in played:
        truth = happening.truth
        if truth and truth.leaked:
            assert truth.kind in LEAK_KINDS
            assert (truth.owner_camera, truth.recipient) not in rights
            assert (truth.owner_camera, truth.owner) in rights


def test_a_viewer_always_has_a_right_to_the_camera_that_is_claimed(played: list[Happening]) -> None:
    rights = {(h.event.camera, h.event.account) for h in played if isinstance(h.event, RightChanged)}
    deliveries = [h.event for h in played if isinstance(h.event, Delivery)]
    assert all((d.camera, d.account) in rights for d in deliveries)


def test_a_copied_leak_is_byte_for_byte_an_earlier_still_of_its_owner(played: list[Happening]) -> None:
    seen: dict[str, set[bytes]] = {}
    copies = 0
    for happening in played:
        if not isinstance(happening.event, Delivery) or happening.data is None:
            continue
        if happening.truth and happening.truth.kind == "copy":
            copies += 1
            assert happening.data in seen[str(happening.truth.owner_camera)]
        elif happening.truth is None or happening.truth.kind == "reenrolled":
            seen.setdefault(happening.event.camera, set()).add(happening.data)
    assert copies > 0


def test_every_camera_has_eight_own_deliveries_before_the_change() -> None:
    whole = scenario("xiaomi_2019")
    players, timetable = (found := cast(whole, 1)).players, found.timetable
    change = whole.start + whole.change
    own = Counter(due.player for due in timetable if due.act is Act.OWN and due.when < change)
    assert all(own[n] >= 8 for n, p in enumerate(players) if not p.reset_of)


def test_the_demo_has_two_to_three_thousand_deliveries() -> None:
    assert 2000 <= len(cast(scenario("xiaomi_2019"), 1).timetable) <= 3000


def test_as_reported_has_the_reported_size_and_rates() -> None:
    found = scenario("xiaomi_2019").as_reported()
    assert found.fault.updated == found.fault.nodes
    assert (found.crowd.accounts, found.fault.poor, found.fault.foreign, found.fault.damaged) == (
        1044,
        0.005,
        0.85,
        0.4,
    )


def test_another_seed_is_another_crowd_and_the_same_seed_the_same_one() -> None:
    assert cast(small(), 1) == cast(small(), 1)
    assert cast(small(), 1) != cast(small(), 2)


def test_a_shut_gate_stops_deliveries_and_the_rest_stays_the_same(played: list[Happening]) -> None:
    def gate(delivery: Delivery) -> bool:
        return delivery.attributes["surface"] != "hub"

    simulation = Simulation(small(), seed=3, gate=gate)
    through = list(simulation)
    hub = [h for h in played if isinstance(h.event, Delivery) and h.event.attributes["surface"] == "hub"]
    assert simulation.withheld == len(hub) > 0
    assert simulation.spared == sum(h.truth is not None and h.truth.leaked for h in played)
    assert not any(h.truth and h.truth.leaked for h in through)
    assert {h.key for h in through} == {h.key for h in played} - {h.key for h in hub}


def test_a_gate_that_shuts_during_the_run_stops_only_what_comes_after() -> None:
    leaked: list[Happening] = []
    simulation = Simulation(small(), seed=3, gate=lambda _: not leaked)
    last = None
    for happening in simulation:
        last = happening
        if happening.truth and happening.truth.leaked:
            leaked.append(happening)
    assert len(leaked) == 1
    assert last is leaked[0]
    assert simulation.withheld > 0


def test_a_written_folder_reads_back_and_its_truth_names_its_deliveries(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    simulation = Simulation(small(), seed=4)
    written = write_folder(simulation, tmp_path, progress=lambda done, total: told.append((done, total)))
    messages = [parse_line(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    truths = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    deliveries = {m.key.id: m for m in messages if isinstance(m.event, Delivery)}
    assert told[-1] == (simulation.total, simulation.total) == (written.events, len(messages))
    assert len(deliveries) == written.deliveries
    assert all((tmp_path / str(m.dataref)).stat().st_size > 1000 for m in deliveries.values())
    assert sum("owner" in t and t["kind"] != "household" for t in truths) == written.leaks > 0
    for truth in truths:
        event = deliveries[truth["id"]].event
        assert isinstance(event, Delivery)
        assert (event.account, event.camera) == (truth["recipient"], truth["camera"])


def test_stills_drawn_ahead_in_other_processes_are_the_same_bytes(played: list[Happening]) -> None:
    with Studio(2) as studio:
        assert list(islice(Simulation(small(), seed=3, studio=studio), 150)) == played[:150]
