"""The switch: whatever comes in whatever order, nothing is suspended twice, resumed unapproved, or moved unheard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from detector.notice import NoticeType
from detector.policy import ratio_bound
from detector.scope import BadScope, Breadth, link, of_record, scope, whole, wider
from detector.suspension import POLICY, RAMP, SHUT, Actor, Do, Event, Refusal, State, Suspension, Transition, step
from models.records import AlertId

START = datetime(2026, 1, 5, tzinfo=UTC)
NODE = scope(Breadth.NODE, "homeview", {"cachenode": "cache-3"})
PERSONS = ("anna", "ben", "chris")
alerts = st.lists(st.integers(0, 4).map(lambda n: AlertId(f"al-{n}")), max_size=3, unique=True).map(tuple)


class Switch(RuleBasedStateMachine):
    """Any event by anybody, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.switch = Suspension(self.scope())
        self.moves: list[Transition] = []
        self.clock = START

    @staticmethod
    def scope() -> object:
        return NODE

    @rule(
        what=st.sampled_from(Do),
        actor=st.sampled_from([*map(Actor, PERSONS), POLICY]),
        evidence=alerts,
        shadow=st.booleans(),
        held=st.booleans(),
        seconds=st.integers(0, 100),
    )
    def happens(
        self, what: Do, actor: Actor, evidence: tuple[AlertId, ...], shadow: bool, held: bool, seconds: int
    ) -> None:
        self.clock += timedelta(seconds=seconds)
        shadow = shadow and what is Do.PROPOSE and actor == POLICY
        event = Event(what, actor, self.clock, "any", "", {}, evidence, shadow=shadow, held=held)
        moved = step(self.switch, event)
        if isinstance(moved, Transition):
            assert moved.before is self.switch.state
            assert moved.after.version == self.switch.version + 1
            self.moves.append(moved)
            self.switch = moved.after

    @invariant()
    def is_suspended_once(self) -> None:
        """Between two requests it was lifted, or had failed and a person asked again."""
        open_ = False
        for move in self.moves:
            kind = None if move.notice is None else move.notice.type
            if kind is NoticeType.SUSPENSION_REQUESTED:
                assert not open_ or (move.before is State.FAILED and move.event.actor.person)
                open_ = True
            elif kind is NoticeType.SUSPENSION_LIFTED:
                assert open_
                open_ = False
        assert open_ == (self.switch.state not in (State.ARMED, State.PROPOSED))

    @invariant()
    def is_resumed_by_two(self) -> None:
        """Deliveries pass again after two persons said so since the last order, or when nothing carries it."""
        asked: str | None = None
        approved = False
        for move in self.moves:
            what, who = move.event.what, move.event.actor.name
            if move.after.state in SHUT and (move.before not in SHUT or what is Do.FORCE):
                asked, approved = None, False
            if what is Do.RESUME:
                asked = who
            if what is Do.APPROVE and move.before is not State.PROPOSED:
                assert asked is not None
                assert asked != who
                approved = True
            opens = move.after.share > 0 and move.before not in (State.ARMED, State.PROPOSED)
            if opens and what is not Do.WITHDRAWN:
                assert approved or not move.after.scope.is_wide

    @invariant()
    def is_told_once(self) -> None:
        """Every change of state or share has its own notice, shadows apart; nothing else has one."""
        told = [move.notice for move in self.moves if move.notice is not None]
        assert len({notice.id for notice in told}) == len(told)
        share, state = 1.0, State.ARMED
        for move in self.moves:
            after = move.after
            changed = (after.share, after.state) != (share, state)
            if changed and not after.shadow:
                assert move.notice is not None
                assert move.notice.data["share"] == after.share
            if move.notice is None and not after.shadow:
                assert not changed
            share, state = after.share, after.state

    @invariant()
    def has_a_share_that_its_state_allows(self) -> None:
        state, share = self.switch.state, self.switch.share
        if state in SHUT or state is State.PROBING:
            assert share == 0.0
            assert self.switch.ordered is not None
        elif state is State.RAMPING:
            assert share in RAMP
        else:
            assert share == 1.0

    @invariant()
    def is_lifted_by_withdrawal_only_where_the_policy_alone_held_it(self) -> None:
        for move in self.moves:
            if move.event.what is Do.WITHDRAWN and move.after.state is State.ARMED:
                orders = [m for m in self.moves[: self.moves.index(move)] if m.event.what in (Do.SUSPEND, Do.FORCE)]
                assert move.before is State.PROPOSED or not orders[-1].event.actor.person


class Link(Switch):
    """The same for one account's link."""

    @staticmethod
    def scope() -> object:
        return link("homeview", "acct-1")


TestSwitch = Switch.TestCase
TestLink = Link.TestCase
for _case in (TestSwitch, TestLink):
    _case.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def done(now: Suspension, what: Do, who: str | Actor = "anna", seconds: float = 0) -> Suspension:
    actor = Actor(who) if isinstance(who, str) else who
    moved = step(now, Event(what, actor, START + timedelta(seconds=seconds), "test", "because"))
    assert isinstance(moved, Transition), moved
    return moved.after


def refused(now: Suspension, what: Do, who: str | Actor = "anna") -> Refusal:
    moved = step(now, Event(what, Actor(who) if isinstance(who, str) else who, START, "test", "because"))
    assert isinstance(moved, Refusal)
    return moved


def test_resuming_a_node_takes_one_who_asks_and_another_who_approves() -> None:
    shut = done(done(Suspension(NODE), Do.SUSPEND), Do.STOPPED, POLICY)
    asked = done(shut, Do.RESUME)
    assert asked.state is State.SUSPENDED
    assert refused(asked, Do.APPROVE) is Refusal.SAME_PERSON
    assert refused(asked, Do.APPROVE, POLICY) is Refusal.NOT_YOURS
    approved = done(asked, Do.APPROVE, "ben")
    assert (approved.state, approved.asked, approved.approved) == (State.PROBING, "anna", "ben")


def test_probing_may_begin_before_anybody_approved_and_ends_there() -> None:
    """Nobody is shown anything while it probes."""
    probing = done(done(done(Suspension(NODE), Do.SUSPEND), Do.STOPPED, POLICY), Do.PROBE)
    assert probing.share == 0
    assert refused(probing, Do.RAMP) is Refusal.UNAPPROVED
    assert refused(probing, Do.RAMP, POLICY) is Refusal.UNAPPROVED
    approved = done(done(probing, Do.RESUME), Do.APPROVE, "ben")
    assert done(approved, Do.RAMP, POLICY).share == RAMP[0]


def test_one_person_resumes_a_link() -> None:
    shut = done(Suspension(link("homeview", "a")), Do.SUSPEND)
    assert done(shut, Do.RESUME).state is State.PROBING


def test_what_a_person_forces_off_stays_off_until_persons_resume_it() -> None:
    forced = done(done(Suspension(NODE), Do.SUSPEND, POLICY), Do.FORCE)
    assert {refused(forced, what, POLICY) for what in (Do.WITHDRAWN, Do.DISOBEYED, Do.STOPPED, Do.SUSPEND)} == {
        Refusal.NOT_NOW
    }
    assert done(done(forced, Do.RESUME), Do.APPROVE, "ben").state is State.PROBING


def test_a_notice_is_small_and_says_who_what_and_how_much_may_pass() -> None:
    event = Event(Do.SUSPEND, POLICY, START, "named-leak", "why", {"certain": 1}, tuple(map(AlertId, "abc")))
    moved = step(Suspension(NODE), event)
    assert isinstance(moved, Transition)
    assert moved.notice is not None
    assert moved.notice.data["scope"] == {
        "breadth": "cache-node",
        "integration": "homeview",
        "where": {"cachenode": ["cache-3"]},
    }
    assert (moved.notice.data["share"], moved.notice.data["state"]) == (0.0, "suspending")
    assert moved.notice.data["alerts"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "where", [{}, {"cachenode": ("a", "b")}, {"release": "1"}, {"cachenode": ""}, {"cachenode": "a", "release": "1"}]
)
def test_a_scope_has_the_attributes_of_its_breadth(where: dict[str, str | tuple[str, ...]]) -> None:
    with pytest.raises(BadScope):
        scope(Breadth.NODE, "homeview", where)


def test_a_scope_comes_back_as_it_was_written() -> None:
    for each in (NODE, whole("homeview"), scope(Breadth.NODES, "h", {"cachenode": ("b", "a", "b")})):
        assert of_record(each.record()) == each
        assert of_record(each.record()).id == each.id
    with pytest.raises(BadScope):
        of_record({"breadth": "street", "integration": "h", "where": {}})


def test_scopes_widen_until_nothing_is_left() -> None:
    at = {"cachenode": "cache-3", "surface": "web", "release": "7"}
    steps, now = [], link("homeview", "acct-1")
    while now is not None:
        steps.append(now.breadth)
        now = wider(now, "acct-1", at)  # type: ignore[assignment]
    assert steps == [Breadth.LINK, Breadth.NODE, Breadth.SURFACE, Breadth.INTEGRATION]


@pytest.mark.parametrize(
    ("inside", "of", "outside", "outside_of", "bound"),
    [
        (3, 1000, 0, 39_000, 39 * 0.05 ** (1 / 3) / (1 - 0.05 ** (1 / 3))),  # none outside: a power of alpha
        (0, 1000, 5, 1000, 0.0),
        (3, 0, 0, 1000, 0.0),
        (3, 1000, 0, 0, 0.0),
    ],
)
def test_the_bound_of_a_ratio_is_the_exact_one(
    inside: int, of: int, outside: int, outside_of: int, bound: float
) -> None:
    assert ratio_bound(inside, of, outside, outside_of) == pytest.approx(bound)


def test_the_bound_of_a_ratio_lies_below_it_and_grows_with_evidence() -> None:
    few, many = ratio_bound(4, 1000, 2, 10_000), ratio_bound(40, 10_000, 20, 100_000)
    assert 0 < few < many < (4 / 1000) / (2 / 10_000)
