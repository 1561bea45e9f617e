"""Suspensions: one switch for each scope, and what moves it. A pure state machine; docs/suspensions.md draws it.

    armed -> proposed -> suspending -> suspended -> probing -> ramping (1, 10, 50, 100 %) -> armed

    suspending, suspended -> failed     deliveries in the scope go on
    probing, ramping -> suspending      one leak
    any -> forced                       a person holds it off, whatever is seen

Owns which moves there are, who may make them, and what the world outside hears of each. Refuses to decide whether a
move is due (policy.py), to look at deliveries (switchboard.py), and to store. Whatever comes, nothing is suspended
twice, and nothing wider than an account's link is resumed by one person alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from detector.notice import Notice, NoticeType, notice
from detector.scope import Scope, SuspensionId
from models.records import AlertId, Numbers

RULES_VERSION: Final = "2"
"""Version of the rules of policy and state machine; every transition carries it. In the first one the same silence told
of every scope, however little came through it."""
RAMP: Final = (0.01, 0.1, 0.5, 1.0)
"""Shares of deliveries that may pass, step by step: each is at most ten times what was watched before it."""
EVIDENCE_MOST: Final = 50
"""Alerts that a suspension names as its evidence: enough for a person, and some 2 kB in a notice."""


class State(StrEnum):
    """Where a switch stands. The values go over the wire; none ever changes its meaning."""

    ARMED = "armed"
    PROPOSED = "proposed"
    SUSPENDING = "suspending"
    SUSPENDED = "suspended"
    PROBING = "probing"
    RAMPING = "ramping"
    FAILED = "failed"
    FORCED = "forced"


SHUT: Final = frozenset({State.SUSPENDING, State.SUSPENDED, State.FAILED, State.FORCED})
"""States in which no delivery in the scope should come."""
TRIED: Final = frozenset({State.PROBING, State.RAMPING})
"""States in which deliveries come and are counted."""


class Do(StrEnum):
    """What is asked of a switch, by a person or the policy, or seen of its scope."""

    PROPOSE = "propose"
    SUSPEND = "suspend"
    APPROVE = "approve"
    REJECT = "reject"
    RESUME = "resume"
    PROBE = "probe"
    RAMP = "ramp"
    FORCE = "force"
    STOPPED = "stopped"
    DISOBEYED = "disobeyed"
    LEAKED = "leaked"
    WITHDRAWN = "withdrawn"


PERSONS: Final = frozenset(
    {Do.PROPOSE, Do.SUSPEND, Do.APPROVE, Do.REJECT, Do.STOPPED, Do.RESUME, Do.PROBE, Do.RAMP, Do.FORCE}
)
POLICYS: Final = frozenset({Do.PROPOSE, Do.SUSPEND, Do.RAMP, Do.STOPPED, Do.DISOBEYED, Do.LEAKED, Do.WITHDRAWN})


class Refusal(StrEnum):
    """Why nothing moved."""

    NOT_NOW = "not-now"
    SAME_PERSON = "same-person"
    UNAPPROVED = "unapproved"
    NOT_YOURS = "not-yours"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person by name, or the policy."""

    name: str
    person: bool = True


POLICY: Final = Actor("policy", person=False)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing asked or seen. `reason` is a named one, `why` a sentence with its `numbers`.

    `at` is the clock of decisions, event time for the policy. `ordered` is from when on a receiver can know of it; it
    lies behind `at` where a backlog is judged. A `shadow` proposal is told to nobody; `page` wakes somebody up. Of
    alerts that were withdrawn (`evidence`), `carries` are others that say the same; `held` says that nothing may act.
    """

    what: Do
    actor: Actor
    at: datetime
    reason: str
    why: str
    numbers: Numbers = field(default_factory=dict)
    evidence: tuple[AlertId, ...] = ()
    ordered: datetime | None = None
    shadow: bool = False
    page: bool = False
    carries: tuple[AlertId, ...] = ()
    held: bool = False


@dataclass(frozen=True, slots=True)
class Suspension:
    """The switch of one scope. `version` counts its transitions; 0 is one that nobody ever touched.

    `share` is how much of the deliveries may pass, in [0, 1]. `since` is when the state, or the step of the ramp,
    began; `ordered` from when on the last order to shut or to probe holds; `settled` when it was last lifted or
    rejected: what was delivered before is answered. `carried` says that nothing but its `evidence` holds it: no person
    ordered it. `asked` and `approved` name who did so for resuming. `clean` counts explained deliveries since `since`,
    `last` is the delivery time of the latest in the scope that came although it was shut. `quiet` is the silence, in
    seconds, that tells that it was shut (quiet.py): infinite where too little came before, None while not yet weighed.
    """

    scope: Scope
    state: State = State.ARMED
    version: int = 0
    share: float = 1.0
    since: datetime | None = None
    ordered: datetime | None = None
    settled: datetime | None = None
    evidence: tuple[AlertId, ...] = ()
    carried: bool = False
    shadow: bool = False
    asked: str | None = None
    approved: str | None = None
    clean: int = 0
    last: datetime | None = None
    quiet: float | None = None

    @property
    def id(self) -> SuspensionId:
        """The scope's: a scope has one switch."""
        return self.scope.id

    @property
    def is_shut(self) -> bool:
        """Whether its path is ordered off."""
        return self.state in SHUT

    def answers(self, delivered: datetime, grace: timedelta) -> bool:
        """Whether what was delivered then, in its scope, is dealt with by what was done since.

        A receiver that was told to shut may take `grace` to do so; a leak of a path that is being tried is news.
        """
        if self.settled is not None and delivered <= self.settled:
            return True
        if self.ordered is None or not (self.is_shut or self.state in TRIED):
            return False
        return delivered <= self.ordered + (grace if self.is_shut else timedelta())


@dataclass(frozen=True, slots=True)
class Transition:
    """A switch moved, or somebody's word for it was noted: from `before` to what it is `after`, and by what."""

    before: State
    after: Suspension
    event: Event
    rules: str = RULES_VERSION

    @property
    def acts(self) -> bool:
        """Whether it asks a receiver to do something. Nothing that acts happens while the kill switch is on."""
        moved = self.before is not self.after.state or self.event.what is Do.RAMP
        asked = self.after.is_shut or self.after.state in TRIED or self.before not in (State.ARMED, State.PROPOSED)
        return moved and asked and self.after.state not in (State.SUSPENDED, State.FAILED)

    @property
    def notice(self) -> Notice | None:
        """What the world outside hears: one notice a transition, none of shadows and of what changes no path."""
        after = self.after
        type_ = self._type()
        if type_ is None:
            return None
        cause = (after.id, str(after.version), self.event.at.isoformat())
        return notice(type_, self.event.at, after.scope.integration, self.told(), *cause, acts=self.acts)

    def told(self) -> dict[str, Any]:
        """What a receiver is told of it."""
        after, event = self.after, self.event
        return {
            "suspension": after.id,
            "version": after.version,
            "scope": after.scope.record(),
            "before": self.before.value,
            "state": after.state.value,
            "share": after.share,
            "action": event.what.value,
            "reason": event.reason,
            "why": event.why,
            "numbers": dict(event.numbers),
            "alerts": list(event.evidence[:EVIDENCE_MOST]),
            "actor": event.actor.name,
            "page": event.page,
        }

    def _type(self) -> NoticeType | None:
        after, state = self.after, self.after.state
        if after.shadow or (state is self.before and self.event.what in (Do.WITHDRAWN, Do.APPROVE, Do.RESUME)):
            return None
        if state is State.PROPOSED:
            return NoticeType.SUSPENSION_PROPOSED
        if self.before is State.PROPOSED and state is State.ARMED:
            return NoticeType.SUSPENSION_CHANGED
        if state is State.ARMED:
            return NoticeType.SUSPENSION_LIFTED
        if state in (State.SUSPENDING, State.FORCED) and self.before in (State.ARMED, State.PROPOSED, State.FAILED):
            return NoticeType.SUSPENSION_REQUESTED
        return NoticeType.SUSPENSION_CHANGED


Move = Callable[[Suspension, Event], "Suspension | Refusal"]


def step(before: Suspension, event: Event) -> Transition | Refusal:
    """What the event makes of the switch, or why it makes nothing of it."""
    if event.what not in (PERSONS if event.actor.person else POLICYS):
        return Refusal.NOT_YOURS
    move = _MOVES.get((before.state, event.what))
    moved = Refusal.NOT_NOW if move is None else move(before, event)
    if isinstance(moved, Refusal):
        return moved
    return Transition(before.state, replace(moved, version=before.version + 1), event)


# --- the moves ---------------------------------------------------------------------------------------------


def _propose(s: Suspension, e: Event) -> Suspension | Refusal:
    return replace(s, state=State.PROPOSED, since=e.at, shadow=e.shadow, evidence=_kept(e.evidence), carried=_only(e))


def _propose_aloud(s: Suspension, e: Event) -> Suspension | Refusal:
    """A proposal that was a shadow only is told now."""
    return _propose(s, e) if s.shadow and not e.shadow else Refusal.NOT_NOW


def _order(s: Suspension, e: Event) -> Suspension | Refusal:
    return replace(
        _shut(s, e), state=State.SUSPENDING, evidence=_kept((*e.evidence, *s.evidence)), carried=_only(e), shadow=False
    )


def _order_again(s: Suspension, e: Event) -> Suspension | Refusal:
    """Only a person orders again what was ordered once."""
    return _order(s, e) if e.actor.person else Refusal.NOT_NOW


def _reject(s: Suspension, e: Event) -> Suspension | Refusal:
    return _armed(s, e)


def _stopped(s: Suspension, e: Event) -> Suspension | Refusal:
    return replace(s, state=State.SUSPENDED, since=e.at)


def _failed(s: Suspension, e: Event) -> Suspension | Refusal:
    return replace(s, state=State.FAILED, since=e.at)


def _ask(s: Suspension, e: Event) -> Suspension | Refusal:
    """One who asks; for an account's link that is enough."""
    if not s.scope.is_wide:
        return _to_probing(replace(s, asked=e.actor.name, approved=e.actor.name), e)
    return replace(s, asked=e.actor.name) if s.asked is None else Refusal.NOT_NOW


def _approve(s: Suspension, e: Event) -> Suspension | Refusal:
    if s.asked is None or s.approved is not None:
        return Refusal.NOT_NOW
    if s.asked == e.actor.name:
        return Refusal.SAME_PERSON
    return _to_probing(replace(s, approved=e.actor.name), e)


def _to_probing(s: Suspension, e: Event) -> Suspension:
    """Probing begins; where it has begun, it goes on."""
    return s if s.state is State.PROBING else _probed(s, e)


def _probe(s: Suspension, e: Event) -> Suspension | Refusal:
    return _probed(s, e)


def _probed(s: Suspension, e: Event) -> Suspension:
    began = e.ordered or e.at
    ordered = s.ordered if s.state is State.RAMPING else began
    return replace(s, state=State.PROBING, share=0.0, since=began, ordered=ordered, clean=0, last=None)


def _ramp(s: Suspension, e: Event) -> Suspension | Refusal:
    """The next step; behind the last one the path is as it was."""
    if s.approved is None:
        return Refusal.UNAPPROVED
    if s.state is State.RAMPING and s.share >= RAMP[-1]:
        return _armed(s, e)
    share = RAMP[0] if s.state is State.PROBING else RAMP[RAMP.index(s.share) + 1]
    return replace(s, state=State.RAMPING, share=share, since=e.ordered or e.at, clean=0)


def _leaked(s: Suspension, e: Event) -> Suspension | Refusal:
    return replace(_shut(s, e), state=State.SUSPENDING, evidence=_kept((*e.evidence, *s.evidence)))


def _force(s: Suspension, e: Event) -> Suspension | Refusal:
    return replace(_shut(s, e), state=State.FORCED, carried=False, shadow=False)


def _withdrawn(s: Suspension, e: Event) -> Suspension | Refusal:
    """Evidence that no longer stands is taken off; what nothing carries any more is lifted."""
    left = _kept(tuple(alert for alert in (*s.evidence, *e.carries) if alert not in e.evidence))
    if left or e.held or not s.carried:
        return replace(s, evidence=left) if left != s.evidence else Refusal.NOT_NOW
    return replace(_armed(s, e), ordered=None, settled=s.settled)


def _shut(s: Suspension, e: Event) -> Suspension:
    ordered = e.ordered or e.at
    return replace(s, share=0.0, since=e.at, ordered=ordered, asked=None, approved=None, clean=0, last=None, quiet=None)


def _armed(s: Suspension, e: Event) -> Suspension:
    return Suspension(s.scope, version=s.version, since=e.at, settled=e.at, shadow=s.shadow)


def _only(e: Event) -> bool:
    return not e.actor.person and bool(e.evidence)


def _kept(evidence: tuple[AlertId, ...]) -> tuple[AlertId, ...]:
    return tuple(dict.fromkeys(evidence))[:EVIDENCE_MOST]


_OFF: Final = (State.SUSPENDING, State.SUSPENDED, State.FAILED)
_MOVES: Final[dict[tuple[State, Do], Move]] = {
    (State.ARMED, Do.PROPOSE): _propose,
    (State.ARMED, Do.SUSPEND): _order,
    (State.PROPOSED, Do.PROPOSE): _propose_aloud,
    (State.PROPOSED, Do.SUSPEND): _order,
    (State.PROPOSED, Do.APPROVE): _order,
    (State.PROPOSED, Do.REJECT): _reject,
    (State.PROPOSED, Do.WITHDRAWN): _withdrawn,
    (State.SUSPENDING, Do.STOPPED): _stopped,
    (State.FAILED, Do.STOPPED): _stopped,
    (State.SUSPENDING, Do.DISOBEYED): _failed,
    (State.SUSPENDED, Do.DISOBEYED): _failed,
    (State.FAILED, Do.SUSPEND): _order_again,
    (State.SUSPENDED, Do.PROBE): _probe,
    (State.RAMPING, Do.PROBE): _probe,
    (State.PROBING, Do.RAMP): _ramp,
    (State.RAMPING, Do.RAMP): _ramp,
    **{(state, Do.RESUME): _ask for state in (*_OFF, State.FORCED, State.PROBING)},
    **{(state, Do.APPROVE): _approve for state in (*_OFF, State.FORCED, State.PROBING)},
    **{(state, Do.SUSPEND): _order_again for state in (State.PROBING, State.RAMPING)},
    **{(state, Do.LEAKED): _leaked for state in (State.PROBING, State.RAMPING)},
    **{(state, Do.WITHDRAWN): _withdrawn for state in (*_OFF, State.PROBING, State.RAMPING)},
    **{(state, Do.FORCE): _force for state in State if state is not State.FORCED},
}
