"""The public incidents as timelines: what is pushed at t, what is told between t1 and t2, and nothing else."""

from __future__ import annotations

import pytest
from timeline import Timeline, at, without_alerts

from detector.incident import QUIET, State

QUIET_MINUTES = QUIET.total_seconds() / 60


def cache_update() -> Timeline:
    """A release at minute 120; from minute 124 on, displays on a poor network get strangers' stills from two nodes."""
    line = Timeline()
    line.traffic(0, 120, release="2026.01.01-1")
    line.deploy(120, "image-cache", "2026.01.05-2")
    for step in range(4800):
        minute, path = 120 + step / 40, line.path(release="2026.01.05-2")
        node, poor = path["cachenode"] in ("cache-3", "cache-4"), path["network"] == "poor"
        if minute >= 124 and node and poor:
            line.leak(minute, f"owner-{step}", f"viewer-{line.number % 14}", **path)
        else:
            line.deliver(minute, **path)
    return line


def test_a_cache_update_under_poor_network_names_nodes_change_and_network() -> None:
    line = cache_update()
    assert line.sentence() == (
        "14 viewers received stills of 40 other homes, all through cache-3 and cache-4 since image-cache 2026.01.05-2, "
        "7 minutes after it was deployed; network=poor in 100 % (3 % elsewhere)"
    )
    assert line.form() == "scattered"
    opened = [notice for notice in line.told if notice.type.value == "incident.opened"]
    assert [notice.at for notice in opened] == [line.only().first]
    assert at(124) <= opened[0].at < at(132)


def test_ten_homes_in_the_web_view_are_one_to_many() -> None:
    """A web page cache: ten cameras are seen by everybody who looks, at one edge."""
    line = Timeline()
    line.traffic(0, 60, surface="app")
    for step in range(300):
        minute = 60 + step / 10
        line.deliver(minute, **line.path(surface="app"))
        if step % 3 == 0:
            line.leak(minute, f"owner-{step % 10}", f"viewer-{step}", **line.path(surface="web"))
    assert line.form() == "one-to-many"
    assert ", all with surface=web" in line.sentence()


def test_an_upgrade_of_one_region_that_swaps_sessions_is_a_swap_there_only() -> None:
    """Each account of one region gets one stable wrong home; other regions are the control."""
    line = Timeline()
    line.traffic(0, 60)
    line.deploy(60, "sessions", "5.1")
    homes = [f"acct-{n}" for n in range(40)]
    for step in range(400):
        line.deliver(70 + step / 10, **line.path(region="eu"))
        if step % 2 == 0:
            k = (step // 2) % 40
            line.leak(70 + step / 10, homes[(k * 7 + 3) % 40], homes[k], **line.path(region="us"))
    assert line.form() == "swap"
    assert ", all with region=us since sessions 5.1, 10 minutes after it was deployed" in line.sentence()


def test_two_accounts_that_see_each_other_are_a_swap_at_once() -> None:
    line = Timeline()
    line.leak(1, "acct-1", "acct-2", **line.path())
    assert line.form() == "too-few"
    line.leak(2, "acct-2", "acct-1", **line.path())
    assert line.form() == "swap"


def test_a_group_that_is_mapped_on_another_group_is_a_group_map() -> None:
    """Sixty accounts get the stills of fifty-eight others, each always the same one's."""
    line = Timeline()
    for again in range(3):
        for viewer in range(60):
            line.leak(60 * again + viewer, f"owner-{viewer * 29 // 30}", f"viewer-{viewer}", **line.path())
    assert line.form() == "group-map"


def test_a_reply_left_on_a_pooled_connection_is_a_chain_by_one() -> None:
    """Per connection, each gets the still of who asked before; three connections run beside each other."""
    line = Timeline()
    line.traffic(0, 30)
    before = {connection: f"acct-first-{connection}" for connection in range(3)}
    for step in range(90):
        connection, viewer = step % 3, f"acct-{step}"
        line.leak(30 + step, before[connection], viewer, **line.path(worker=f"w-{connection}"))
        before[connection] = viewer
    assert line.form() == "chain-by-one"


def two_bugs(restart_every: int = 10**9) -> Timeline:
    """A node that leaks, and half an hour later another one in the web view."""
    line = Timeline()
    line.traffic(0, 60)
    for step in range(1200):
        if step % restart_every == restart_every - 1:
            line.restart()
        path = line.path()
        line.deliver(60 + step / 10, **path)
        if step % 20 == 0:
            line.leak(
                60 + step / 10, f"owner-{step}", f"viewer-{step}", **line.path(cachenode="cache-3", surface="hub")
            )
        if step > 300 and step % 25 == 0:
            web = line.path(cachenode="cache-7", surface="web")
            line.leak(60 + step / 10, f"home-{step}", f"guest-{step}", **web)
    return line


def test_two_bugs_at_one_time_are_two_incidents() -> None:
    line = two_bugs()
    first, second = line.incidents.values()
    assert second.split_from == first.id
    assert first.cause == (("cachenode", ("cache-3",)),)
    assert {name for name, _ in second.cause} <= {"cachenode", "surface"}
    assert {alert.attributes["cachenode"] for alert in first.leaked()} == {"cache-3"}
    assert {alert.attributes["cachenode"] for alert in second.leaked()} == {"cache-7"}
    assert first.leaks + second.leaks == line.number


@pytest.mark.parametrize("every", [100, 333])
def test_a_judge_that_starts_again_finds_the_same_causes_and_splits(every: int) -> None:
    through, again = two_bugs(), two_bugs(every)
    assert again.told == through.told
    assert [without_alerts(one) for one in again.incidents.values()] == [
        without_alerts(one) for one in through.incidents.values()
    ]


def test_what_leaks_without_any_path_of_its_own_says_so() -> None:
    line = Timeline()
    line.traffic(0, 60)
    for step in range(60):
        line.leak(60 + step, f"owner-{step}", f"viewer-{step}", **line.path())
        line.traffic(60 + step, 61 + step)
    assert line.sentence() == "60 viewers received stills of 60 other homes; nothing sets their path apart"


def test_one_viewer_s_many_stills_are_no_proof_of_a_path() -> None:
    """A hundred stills to one account prove as much as one: it always asks the same node."""
    line = Timeline()
    line.traffic(0, 60)
    for step in range(100):
        line.traffic(60 + step, 61 + step)
        line.leak(60 + step, f"owner-{step}", "viewer", **line.path(cachenode="cache-5"))
    assert line.sentence() == "1 viewer received stills of 100 other homes; nothing sets their path apart yet"


def test_an_incident_is_opened_updated_resolved_and_opened_again() -> None:
    line = Timeline()
    line.leak(0, "o", "v", **line.path())
    line.leak(1, "p", "w", **line.path())
    line.deliver(4, **line.path())
    assert line.types() == ["incident.opened"]
    line.deliver(6, **line.path())
    assert line.types() == ["incident.opened", "incident.updated"]
    assert line.told[-1].data["leaks"] == 2
    line.deliver(QUIET_MINUTES, **line.path())
    assert line.only().state is State.OPEN
    line.deliver(QUIET_MINUTES + 1, **line.path())
    assert line.only().resolved == at(QUIET_MINUTES + 1)
    line.leak(QUIET_MINUTES + 100, "q", "x", **line.path())
    assert line.types()[2:] == ["incident.resolved", "incident.opened"]
    assert (line.only().state, line.only().reopened, line.told[-1].data["reopened"]) == (State.OPEN, 1, 1)
    line.deliver(2 * QUIET_MINUTES + 101, **line.path())
    assert line.types()[4:] == ["incident.resolved"]
    assert len({notice.id for notice in line.told}) == len(line.told)


def test_a_leak_after_more_than_a_day_of_quiet_is_another_incident() -> None:
    line = Timeline()
    line.leak(0, "o", "v", **line.path())
    line.leak(30 * 60 + 1, "o", "v", **line.path())
    assert [incident.leaks for incident in line.incidents.values()] == [1, 1]


def test_a_hundred_thousand_alerts_are_few_updates() -> None:
    line = Timeline()
    for step in range(2000):
        line.leak(step / 100, f"owner-{step}", f"viewer-{step}", **line.path())
    assert line.types() == ["incident.opened", *["incident.updated"] * 3]


def test_an_incident_of_which_nothing_stands_is_resolved_and_says_so() -> None:
    line = Timeline()
    raised = line.leak(0, "o", "v", **line.path())
    line.fold.withdraw(raised.id)
    line.deliver(6, **line.path())
    assert line.types() == ["incident.opened", "incident.resolved"]
    assert line.told[-1].data["stands"] is False
    assert line.only().resolved == at(6)
