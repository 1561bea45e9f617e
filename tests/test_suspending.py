"""From a leak to a switch, as timelines: push at t, expect the scope and the request, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import inf

import pytest
from suspending import HOME, Path, told, when

from detector.notice import NoticeType
from detector.policy import Held, Mode, Rules
from detector.quiet import silence
from detector.scope import link, named
from detector.suspension import Actor, Do, Event, State, Suspension, Transition, step

AUTO = Rules(mode=Mode.AUTO, warm_cameras=0, warm_share=0.0)
LINK_1 = f"account acct-1 of {HOME}"
NODE_3 = f"cachenode cache-3 of {HOME}"


@pytest.fixture
def path() -> Path:
    """A path of thirty homes, warm and in `auto`."""
    return with_homes(Path())


def with_homes(made: Path, homes: int = 30) -> Path:
    for home in range(homes):
        made.enrol(home)
    made.commit()
    return made


def test_one_named_leak_suspends_the_link_it_came_over_and_nothing_else(path: Path) -> None:
    assert path.push(1, None, 0) == []
    moved = path.push(2, 1, 10)
    assert told(moved) == [(LINK_1, "suspending")]
    (request,) = [each.notice for each in moved]
    assert request is not None
    assert request.type is NoticeType.SUSPENSION_REQUESTED
    assert request.at == when(10)
    assert request.data["scope"]["where"] == {"account": ["acct-1"]}
    assert (request.data["reason"], request.data["actor"]) == ("named-leak", "policy")
    assert moved[0].rules
    assert path.push(3, 1, 11) == [], "what the link brings while it is being shut is dealt with"


def test_a_suspension_is_done_when_deliveries_stop_and_not_before(path: Path) -> None:
    path.push(2, 1, 10)
    assert path.push(1, None, 40) == [], "within the grace"
    assert path.push(5, None, 10 + 60 + 119) == []
    assert told(path.push(5, None, 10 + 60 + 120)) == [(LINK_1, "suspended")]


def test_a_backlog_is_not_taken_for_disobedience(path: Path) -> None:
    """It is judged an hour late, and delivered before the order."""
    path.push(2, 1, 10)
    path.push(5, None, 3600)
    assert path.states()[LINK_1] is State.SUSPENDED
    for second in range(11, 70):
        assert path.push(1, None, second) == []


def test_a_scope_that_goes_on_fails_pages_and_proposes_the_next_wider(path: Path) -> None:
    path.push(2, 1, 10, cachenode="cache-3")
    moved = path.push(1, None, 71, cachenode="cache-3")
    assert told(moved) == [(LINK_1, "failed"), (NODE_3, "proposed")]
    assert [each.event.page for each in moved] == [True, True]
    assert moved[1].event.reason == "still-leaking"
    assert path.push(1, None, 72, cachenode="cache-3") == [], "once is enough"
    assert path.push(5, None, 72 + 119) == []
    assert told(path.push(5, None, 72 + 120)) == [(LINK_1, "suspended")], "late, but it stopped"


def test_an_uncertain_leak_is_proposed_and_a_presumed_owner_never_more(path: Path) -> None:
    """The first viewer of a camera that nobody enrolled is presumed to own it, once it came again."""
    path.push(77, 77, 0)
    path.push(77, 77, 5)
    moved = path.push(77, 1, 10)
    assert told(moved) == [(LINK_1, "proposed")]
    assert (moved[0].event.reason, moved[0].event.numbers["held"]) == ("presumed-owner", "unsure")


def test_three_pairs_through_one_node_suspend_the_node(path: Path) -> None:
    path.counts.more = [({"cachenode": f"cache-{node}"}, 1000) for node in range(40)]
    path.push(2, 1, 0, cachenode="cache-3")
    path.push(4, 3, 60, cachenode="cache-3")
    moved = path.push(6, 5, 120, cachenode="cache-3", network="poor")
    assert told(moved) == [(NODE_3, "suspending")], "the link needs no switch of its own any more"
    event = moved[0].event
    assert event.reason == "shared-scope"
    assert event.numbers["pairs"] == 3
    assert event.numbers["bound"] >= 10
    assert len(event.evidence) == 3
    assert path.push(8, 7, 121, cachenode="cache-3") == [], "its backlog"
    assert told(path.push(10, 9, 121, cachenode="cache-4")) == [(f"account acct-9 of {HOME}", "suspending")]


def test_pairs_that_come_too_slowly_share_nothing(path: Path) -> None:
    path.counts.more = [({"cachenode": f"cache-{node}"}, 1000) for node in range(40)]
    for number, minute in enumerate((0, 6, 12)):
        moved = path.push(10 + number, number, 60 * minute, cachenode="cache-3")
        assert told(moved)[-1] == (f"account acct-{number} of {HOME}", "suspending")


def test_a_node_that_carries_most_of_the_traffic_is_not_blamed_for_most_of_the_leaks(path: Path) -> None:
    path.counts.more = [({"cachenode": "cache-3"}, 9000), ({"cachenode": "cache-4"}, 1000)]
    for number in range(5):
        moved = path.push(10 + number, number, number, cachenode="cache-3")
        assert told(moved) == [(f"account acct-{number} of {HOME}", "suspending")]


def test_a_release_is_blamed_beside_the_ones_before_it(path: Path) -> None:
    """All nodes run it by now; only yesterday's deliveries tell."""
    path.counts.more = [({"release": "7"}, 1000), ({"release": "6"}, 40_000)]
    for number in range(2):
        path.push(10 + number, number, number, release="7", cachenode=f"cache-{number}")
    moved = path.push(12, 2, 3, release="7", cachenode="cache-2")
    assert told(moved) == [(f"release 7 of {HOME}", "suspending")]


def test_two_nodes_that_leak_are_one_set(path: Path) -> None:
    path.counts.more = [({"cachenode": f"cache-{node}"}, 1000) for node in range(60)]
    moved = []
    for number in range(6):
        moved += path.push(10 + number, number, number, cachenode=f"cache-{3 + number % 2}")
    assert told(moved)[-1] == (f"cachenode cache-3, cache-4 of {HOME}", "suspending")


def test_a_pair_of_attributes_is_blamed_only_where_neither_of_the_two_explains_it(path: Path) -> None:
    path.counts.more = [
        ({"network": "poor", "region": "eu"}, 100),
        ({"network": "poor", "region": "us"}, 9900),
        ({"network": "good", "region": "eu"}, 9900),
        ({"network": "good", "region": "us"}, 80_000),
    ]
    moved = []
    for number in range(4):
        moved += path.push(10 + number, number, number, network="poor", region="eu")
    assert (f"network poor and region eu of {HOME}", "suspending") in told(moved)


def test_five_pairs_over_two_nodes_suspend_the_surface(path: Path) -> None:
    path.counts.more = [({"surface": "web", "cachenode": f"cache-{node}"}, 1000) for node in range(5)]
    moved = []
    for number in range(5):
        moved += path.push(10 + number, number, number, surface="web", cachenode=f"cache-{number}")
    links = [(f"account acct-{number} of {HOME}", "suspending") for number in range(4)]
    assert told(moved) == [*links, (f"surface web of {HOME}", "suspending")]
    assert moved[-1].event.reason == "spread"


@pytest.mark.parametrize(
    ("mode", "said"), [(Mode.OFF, []), (Mode.SHADOW, [None]), (Mode.PROPOSE, [NoticeType.SUSPENSION_PROPOSED])]
)
def test_what_does_not_run_by_itself_requests_nothing(mode: Mode, said: list[NoticeType | None]) -> None:
    path = with_homes(Path(AUTO, modes={HOME: mode}))
    moved = path.push(2, 1, 10)
    assert [each.notice and each.notice.type for each in moved] == said
    assert all(each.after.state is State.PROPOSED for each in moved)
    assert path.push(3, 1, 20) == [], "a proposal is made once"


def test_a_new_integration_warms_up_first() -> None:
    path = with_homes(Path(Rules(mode=Mode.AUTO, warm_cameras=5, warm_share=0.8)))
    moved = path.push(2, 1, 0)
    assert (moved[0].after.state, moved[0].event.numbers["held"]) == (State.PROPOSED, Held.WARMING_UP)
    assert moved[0].notice is None
    for home in range(8, 14):
        for moment in range(4):
            path.push(home, None, 10 * moment)
    assert told(path.push(4, 3, 100)) == [(f"account acct-3 of {HOME}", "suspending")]


def test_the_kill_switch_leaves_proposals_and_pages() -> None:
    path = with_homes(Path(AUTO, killed=True))
    moved = path.push(2, 1, 10)
    assert told(moved) == [(LINK_1, "proposed")]
    assert (moved[0].event.numbers["held"], moved[0].event.page) == ("kill-switch", True)


def test_beyond_the_cap_it_proposes_and_pages_once_an_hour() -> None:
    path = with_homes(Path(Rules(mode=Mode.AUTO, per_hour=2, warm_cameras=0, warm_share=0)))
    moved = []
    for number in range(5):
        moved += path.push(10 + number, number, number)
    assert [each.after.state for each in moved] == [State.SUSPENDING] * 2 + [State.PROPOSED] * 3
    assert [each.event.page for each in moved] == [False, False, True, False, False]
    assert moved[-1].event.numbers["held"] == "rate-cap"
    late = path.push(20, 9, 3700)
    assert late[-1].after.state is State.SUSPENDING, "an hour later it may again"


def test_a_share_of_the_links_is_suspended_at_most() -> None:
    path = with_homes(Path(Rules(mode=Mode.AUTO, links_least=2, warm_cameras=0, warm_share=0)))
    moved = []
    for number in range(4):
        moved += path.push(10 + number, number, 700 * number)
    assert [each.after.state.value for each in moved if each.event.what in (Do.SUSPEND, Do.PROPOSE)] == [
        *["suspending"] * 2,
        *["proposed"] * 2,
    ]
    assert moved[-1].event.numbers["held"] == "links-cap"


def test_a_grant_that_arrives_late_lifts_what_nothing_else_carries(path: Path) -> None:
    path.push(2, 1, 10)
    moved = path.grant(2, 1, 5)
    assert told(moved) == [(LINK_1, "armed")]
    assert moved[0].notice is not None
    assert moved[0].notice.type is NoticeType.SUSPENSION_LIFTED
    assert "had a right" in moved[0].event.why


def test_a_suspension_that_another_leak_carries_stays(path: Path) -> None:
    path.push(2, 1, 10)
    path.push(3, 1, 11)
    moved = path.grant(2, 1, 5)
    assert [(each.after.state, each.notice) for each in moved] == [(State.SUSPENDING, None)]
    assert told(path.grant(3, 1, 5)) == [(LINK_1, "armed")]


def test_an_alert_that_is_withdrawn_in_its_own_batch_moves_nothing(path: Path) -> None:
    path.still(2, 1, 10)
    assert path.grant(2, 1, 5) == []


def resumed(path: Path, at: float) -> None:
    """As if a person had resumed the link of account 1, and the judge had heard of it."""
    (now,) = path.board.switches()
    moved = step(now, Event(Do.RESUME, Actor("anna"), when(at), "person", "fixed"))
    assert isinstance(moved, Transition)
    assert moved.after.state is State.PROBING
    path.board.take(type(path.board.book.standing)(words=1, suspensions=[moved.after]))


def test_clean_deliveries_promote_step_by_step_until_it_is_lifted() -> None:
    path = with_homes(Path(Rules(mode=Mode.AUTO, clean=3, warm_cameras=0, warm_share=0)))
    for moment in range(4):
        path.push(1, None, moment)
    path.push(2, 1, 10)
    path.push(5, None, 500)
    resumed(path, 500)
    shares = []
    for second in range(30):
        shares += [(m.after.state.value, m.after.share, second) for m in path.push(1, None, 501 + second)]
    assert shares == [
        ("ramping", 0.01, 2),
        ("ramping", 0.1, 5),
        ("ramping", 0.5, 8),
        ("ramping", 1.0, 11),
        ("armed", 1.0, 14),
    ]
    assert path.push(4, 1, 600)[0].after.state is State.SUSPENDING, "a new leak is a new suspension"


def test_one_leak_goes_back_and_an_old_one_that_is_named_late_does_not(path: Path) -> None:
    path.push(2, 1, 10)
    path.push(5, None, 500)
    resumed(path, 500)
    assert path.push(3, 1, 400) == [], "delivered before probing began"
    moved = path.push(3, 1, 510)
    assert told(moved) == [(LINK_1, "suspending")]
    assert moved[0].notice is not None
    assert moved[0].notice.type is NoticeType.SUSPENSION_CHANGED
    assert (moved[0].after.share, moved[0].after.asked, moved[0].event.page) == (0.0, None, True)


def test_however_the_stream_is_cut_into_batches_the_decisions_are_the_same() -> None:
    def decided(every: int) -> list[tuple[str, str, object, float]]:
        path = with_homes(Path())
        path.counts.more = [({"cachenode": f"cache-{node}"}, 1000) for node in range(40)]
        for number in range(60):
            leak = number % 4 == 0
            home = 10 + number % 19
            path.still(home, number % 7 if leak else None, 20 * number, cachenode=f"cache-{3 if leak else number % 9}")
            if number % every == 0:
                path.commit()
        path.commit()
        return [(str(m.after.scope), m.after.state.value, m.event.at, m.after.share) for m in path.transitions]

    once = decided(1000)
    assert len(once) > 3
    assert decided(1) == once
    assert decided(7) == once


def test_nothing_is_counted_while_nothing_is_suspended(path: Path) -> None:
    assert not path.board.book.watch
    path.push(1, None, 0)
    assert not path.board.book.watch
    path.push(2, 1, 10)
    assert path.board.book.watch


def test_a_switch_is_named_by_its_scope_alone() -> None:
    assert Suspension(link(HOME, "acct-1")).id == Suspension(link(HOME, "acct-1"), State.SUSPENDED).id
    assert Suspension(link(HOME, "acct-1")).id != Suspension(link("other", "acct-1")).id


def test_the_ten_minutes_are_those_of_the_deliveries(path: Path) -> None:
    """Three pairs an hour ago, told of now, one after the other and out of order."""
    path.counts.more = [({"cachenode": f"cache-{node}"}, 1000) for node in range(40)]
    path.push(20, None, 3600)
    moved = []
    for number, second in enumerate((120, 0, 60)):
        moved += path.push(10 + number, number, second, cachenode="cache-3")
    assert (NODE_3, "suspending") in told(moved)


# --- silence, and what it tells ------------------------------------------------------------------------------


def test_a_scope_that_hardly_anything_comes_through_waits_for_a_person(path: Path) -> None:
    path.counts.more = []
    path.push(2, 1, 10)
    (switch,) = path.board.switches()
    assert switch.quiet == inf
    path.push(5, None, 86_400)
    assert path.states()[LINK_1] is State.SUSPENDING
    said = step(path.board.switches()[0], Event(Do.STOPPED, Actor("anna"), when(90_000), "person", "they told us"))
    assert isinstance(said, Transition)
    assert said.after.state is State.SUSPENDED
    assert not said.acts


@pytest.mark.parametrize(
    ("of", "counts", "seconds"),
    [
        ({"cachenode": "cache-3"}, {600: 0, 3600: 2, 86_400: 48}, 3 * 86_400 / 48),
        ({"cachenode": "cache-3"}, {600: 0, 3600: 60, 86_400: 60}, 180.0),
        ({"release": "7"}, {600: 300, 3600: 300, 86_400: 300}, 6.0),
        ({"release": "7"}, {600: 0, 3600: 0, 86_400: 2}, inf),
        ({"account": "acct-1"}, {600: 20, 3600: 1000, 86_400: 9000}, 3 * 3600 / 100),
    ],
)
def test_the_silence_that_tells_is_of_the_shortest_time_in_which_enough_came(
    of: dict[str, str], counts: dict[int, int], seconds: float
) -> None:
    """Ten accounts share what came over all links; of a path that has a name its own deliveries are known."""

    class Came:
        def exposure(self, _: str, since: datetime, until: datetime, where: Mapping[str, str]) -> tuple[int, int]:
            came = counts[round((until - since).total_seconds())]
            return (came if where == of else 0), came

    assert silence(named(HOME, of), when(0), Came(), 10) == pytest.approx(seconds)
    assert silence(named(HOME, of), when(0), Came(), 10, when(-90_000)) == pytest.approx(seconds)


def test_an_integration_that_is_new_is_weighed_by_the_time_in_which_it_was_watched() -> None:
    class Came:
        def exposure(self, _: str, since: datetime, until: datetime, where: Mapping[str, str]) -> tuple[int, int]:
            return (until - since) // timedelta(hours=1), 0

    node = named(HOME, {"cachenode": "cache-3"})
    assert silence(node, when(0), Came(), 10) == 3600 * 3
    assert silence(node, when(0), Came(), 10, when(-6 * 3600)) == 3600 * 3
    assert silence(node, when(0), Came(), 10, when(-3600)) == inf
    assert silence(node, when(0), Came(), 10, when(5)) == inf
