"""The policy: whether a leak calls for a suspension, of which scope, and whether it may act or only propose.

Owns the rules, their thresholds and the named reason of each decision (docs/suspensions.md). Refuses to look at stills,
to keep anything and to read a clock: it is given the leaks that stand and the counts of deliveries, and its decision is
a value.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import combinations
from typing import Final, Protocol

from scipy.special import betaincinv

from detector.scope import ACCOUNT, NODE, NODES_MOST, REGION, RELEASE, SURFACE, Breadth, Scope, link, scope
from models.records import Alert, AlertId, Kind, Level, Numbers

BEFORE: Final = timedelta(hours=24)
"""Span in which a release is compared with the ones before it, and a second still of a pair with its first."""
CONFIDENCE: Final = 0.95
"""Of the lower bound, one-sided."""
CONSIDERED: Final = 500
"""Leaks looked at for one decision, the latest: more do not change which scope holds them, and cost time."""
EXPLAINS: Final = 0.8
"""Share of the pairs of whichever scope holds most, from which on a narrower one explains the evidence, too."""
PATH: Final = (NODE, RELEASE, REGION, SURFACE)
"""Attributes by which two leaks came the same path."""


class Exposure(Protocol):
    """How many deliveries there were. `detector.tally.Tally` counts them."""

    def exposure(self, integration: str, since: datetime, until: datetime, where: Mapping[str, str]) -> tuple[int, int]:
        """(deliveries with all of these attribute values, all deliveries) of the integration in [since, until)."""


class Unknown:
    """No deliveries were counted: no rate can be told, and nothing that needs one is suspended."""

    def exposure(self, integration: str, since: datetime, until: datetime, where: Mapping[str, str]) -> tuple[int, int]:
        """None at all."""
        return 0, 0


class Mode(StrEnum):
    """What the policy may do for an integration: nothing; note what it would do; propose; act."""

    OFF = "off"
    SHADOW = "shadow"
    PROPOSE = "propose"
    AUTO = "auto"


class Reason(StrEnum):
    """Why the policy decided as it did. The values go over the wire; none ever changes its meaning."""

    NAMED_LEAK = "named-leak"
    CONFIRMED_LEAK = "confirmed-leak"
    UNCERTAIN_LEAK = "uncertain-leak"
    PRESUMED_OWNER = "presumed-owner"
    SHARED_SCOPE = "shared-scope"
    SPREAD = "spread"
    STILL_LEAKING = "still-leaking"


class Held(StrEnum):
    """What made a proposal of a suspension."""

    UNSURE = "unsure"
    KILL_SWITCH = "kill-switch"
    WARMING_UP = "warming-up"
    SHADOW = "shadow"
    PROPOSE = "propose"
    RATE_CAP = "rate-cap"
    LINKS_CAP = "links-cap"


@dataclass(frozen=True, slots=True)
class Rules:
    """Thresholds. The defaults are the policy's own; settings may say otherwise (docs/settings.md).

    `pairs` owner-viewer pairs within `window` sharing a scope whose leak rate is at least `ratio` times the rate
    outside; `spread_pairs` pairs over `spread_places` nodes or regions. At most `per_hour` suspensions by the policy
    within an hour, and `links_share` of an integration's links, but always `links_least`. `grace` is how long a
    receiver may take to shut, `watch` how long nothing may come, at least, until it counts as shut; `clean` explained
    deliveries promote. An integration is warm once `warm_cameras` of its cameras, and `warm_share` of all that were
    seen, are known.
    """

    mode: Mode = Mode.SHADOW
    pairs: int = 3
    window: timedelta = timedelta(minutes=10)
    ratio: float = 10.0
    spread_pairs: int = 5
    spread_places: int = 2
    per_hour: int = 20
    links_share: float = 0.01
    links_least: int = 10
    grace: timedelta = timedelta(seconds=60)
    watch: timedelta = timedelta(seconds=120)
    clean: int = 3000
    warm_cameras: int = 20
    warm_share: float = 0.8


@dataclass(frozen=True, slots=True)
class Decision:
    """What the evidence calls for: to suspend the scope, or (`suspends` False) to propose that.

    `held` says what made it less than a suspension, None where nothing did. `page` wakes somebody up.
    """

    scope: Scope
    suspends: bool
    reason: Reason
    why: str
    numbers: Numbers
    evidence: tuple[AlertId, ...]
    held: Held | None = None
    page: bool = False

    @property
    def is_shadow(self) -> bool:
        """Whether nobody is told."""
        return self.held in (Held.SHADOW, Held.WARMING_UP)


@dataclass(frozen=True, slots=True)
class Situation:
    """What an integration's decisions depend on beside the evidence. Counts are of what is suspended now.

    `ordered` counts suspensions by the policy within the last hour, `links` suspended links of the integration out of
    `accounts`; `capped` says that a cap was met within the last hour, and somebody paged.
    """

    mode: Mode
    warm: bool
    killed: bool
    ordered: int
    links: int
    accounts: int
    capped: bool


Pair = tuple[str, str]
Answered = Callable[[Alert], bool]


def ratio_bound(inside: int, inside_of: int, outside: int, outside_of: int) -> float:
    """Lower 95 % bound (one-sided) of the ratio of two rates: `inside` among `inside_of` to `outside` among
    `outside_of`.

    Exact and conditional on the total, for two Poisson counts (Przyborowski and Wilenski, Biometrika 31, 1940), by the
    bound of Clopper and Pearson (Biometrika 26, 1934) on the share that falls inside: never too high, whatever the
    counts. 0 where nothing was delivered inside or outside, or nothing leaked inside.
    """
    if inside <= 0 or inside_of <= 0 or outside_of <= 0:
        return 0.0
    share = float(betaincinv(inside, outside + 1, 1 - CONFIDENCE))
    return share / (1 - share) * outside_of / inside_of


def decide(alert: Alert, leaks: Sequence[Alert], counts: Exposure, rules: Rules) -> list[Decision]:
    """What a leak that was just raised calls for, widest scope first.

    `leaks` are those of its integration that stand and are not answered by an earlier suspension, it among them, by
    time of delivery. A shift calls for nothing.
    """
    if alert.kind is not Kind.LEAK:
        return []
    wide = _shared(alert, leaks, counts, rules) or _spread(alert, leaks, rules)
    return [*([wide] if wide else []), _link(alert, leaks)]


def temper(decision: Decision, here: Situation, rules: Rules) -> Decision | None:
    """The decision as mode, warm-up, kill switch and caps let it be; None where the policy is off."""
    if here.mode is Mode.OFF:
        return None
    if not here.warm:
        return replace(decision, suspends=False, held=Held.WARMING_UP)
    if here.mode is Mode.SHADOW:
        return replace(decision, suspends=False, held=Held.SHADOW)
    if not decision.suspends:
        return replace(decision, held=Held.UNSURE)
    if here.killed:
        return replace(decision, suspends=False, held=Held.KILL_SWITCH, page=True)
    if here.mode is Mode.PROPOSE:
        return replace(decision, suspends=False, held=Held.PROPOSE)
    if here.ordered >= rules.per_hour:
        return _capped(decision, Held.RATE_CAP, here, {"ordered": here.ordered, "per_hour": rules.per_hour})
    most = max(rules.links_least, int(rules.links_share * here.accounts))
    if not decision.scope.is_wide and here.links >= most:
        return _capped(decision, Held.LINKS_CAP, here, {"links": here.links, "links_most": most})
    return decision


def _capped(decision: Decision, cap: Held, here: Situation, numbers: Numbers) -> Decision:
    """One page an hour: who is awake reads the list."""
    told = {**decision.numbers, **numbers}
    return replace(decision, suspends=False, held=cap, numbers=told, page=not here.capped)


# --- one account's link ------------------------------------------------------------------------------------


def _link(alert: Alert, leaks: Sequence[Alert]) -> Decision:
    scope_ = link(alert.integration, alert.recipient)
    evidence, numbers = (alert.id,), {"certain": int(alert.level is Level.ACTING), "presumed": int(alert.presumed)}
    if not _named(alert):
        why = f"{alert.recipient} got a still of {alert.owner or 'nobody known'}, whose ownership is presumed."
        return Decision(scope_, False, Reason.PRESUMED_OWNER, why, numbers, evidence)
    saw = f"{alert.recipient} got a still of {alert.owner}'s camera {alert.owner_camera}"
    if alert.level is Level.ACTING:
        return Decision(scope_, True, Reason.NAMED_LEAK, f"{saw}: certain enough to act on.", numbers, evidence)
    other = next((each for each in reversed(leaks) if _confirms(each, alert)), None)
    if other is not None:
        why = f"{saw}; another leak says the same: {other.recipient} got one of {other.owner}'s."
        return Decision(scope_, True, Reason.CONFIRMED_LEAK, why, numbers, (alert.id, other.id))
    return Decision(scope_, False, Reason.UNCERTAIN_LEAK, f"{saw}, less than certainly.", numbers, evidence)


def _confirms(other: Alert, alert: Alert) -> bool:
    """Whether another leak says the same: a different still of that pair, or another pair on the same path."""
    if other.id == alert.id or not _named(other) or abs(other.delivered_at - alert.delivered_at) > BEFORE:
        return False
    if _pair(other) == _pair(alert):  # the same cached still again would match alike to the last digit
        return other.delivery != alert.delivery and _figures(other) != _figures(alert)
    path = [name for name in PATH if name in alert.attributes]
    return bool(path) and all(other.attributes.get(name) == alert.attributes[name] for name in path)


def _figures(alert: Alert) -> tuple[object, ...]:
    return tuple(alert.numbers.get(name) for name in ("distance", "common_bits", "score"))


# --- scopes that several pairs share -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A scope with the pairs in it, and what of it was delivered."""

    scope: Scope
    pairs: int
    delivered: int
    numbers: Numbers = field(default_factory=dict)


def _shared(alert: Alert, leaks: Sequence[Alert], counts: Exposure, rules: Rules) -> Decision | None:
    """The narrowest scope that the alert's pair shares with others, and in which leaks are many times as frequent."""
    near, since, until = _near(alert, leaks, rules.window)
    if len(_pairs(near)) < rules.pairs:
        return None
    found = [(each, _within(each, near)) for each in _scopes(alert, near, rules.pairs)]
    found = [(each, pairs) for each, pairs in found if pairs >= rules.pairs]
    most = max((pairs for _, pairs in found), default=0)
    old = _inside(leaks, until - BEFORE, until)
    judged = [
        _judged(each, old if each.breadth is Breadth.RELEASE else near, counts, (since, until), rules)
        for each, pairs in found
        if pairs >= EXPLAINS * most
    ]
    fit = [each for each in judged if each is not None]
    if not fit:
        return None
    best = min(fit, key=lambda each: (each.delivered, list(Breadth).index(each.scope.breadth), str(each.scope)))
    evidence = tuple(each.id for each in near if _in(best.scope, each))
    minutes = rules.window / timedelta(minutes=1)
    why = (
        f"{best.pairs} owner-viewer pairs share {best.scope}, within {minutes:g} minutes; leaks are at least "
        f"{best.numbers['bound']} times as frequent there."
    )
    return Decision(best.scope, True, Reason.SHARED_SCOPE, why, best.numbers, evidence)


def _scopes(alert: Alert, near: Sequence[Alert], least: int) -> Iterable[Scope]:
    """Scopes that hold the alert, as its attributes name them."""
    at, integration = alert.attributes, alert.integration
    for breadth, name in ((Breadth.NODE, NODE), (Breadth.RELEASE, RELEASE)):
        if at.get(name):
            yield scope(breadth, integration, {name: at[name]})
    by_node: dict[str, set[Pair]] = defaultdict(set)
    for each in near:
        by_node[each.attributes.get(NODE, "")].add(_pair(each))
    nodes = tuple(node for node, pairs in by_node.items() if node and len(pairs) > 1)
    if at.get(NODE) in nodes and 1 < len(nodes) <= NODES_MOST:
        yield scope(Breadth.NODES, integration, {NODE: nodes})
    names = sorted(name for name, value in at.items() if value and name not in ("integration", ACCOUNT))
    for two in combinations(names, 2):
        both = {name: at[name] for name in two}
        if sum(all(each.attributes.get(name) == value for name, value in both.items()) for each in near) >= least:
            yield scope(Breadth.ATTRIBUTES, integration, both)


def _judged(
    of: Scope, leaks: Sequence[Alert], counts: Exposure, span: tuple[datetime, datetime], rules: Rules
) -> _Candidate | None:
    """The candidate, if leaks are so much more frequent in it; a pair of attributes also beside each of the two
    alone."""
    since, until = (span[1] - BEFORE, span[1]) if of.breadth is Breadth.RELEASE else span
    delivered, everything = passed(of, of.where, counts, since, until)
    inside, outside = _within(of, leaks), len(_pairs(each for each in leaks if not _in(of, each)))
    bound = ratio_bound(inside, delivered, outside, everything - delivered)
    if bound < rules.ratio:
        return None
    if of.breadth is Breadth.ATTRIBUTES:
        for one in of.where:
            parent = [each for each in leaks if each.attributes.get(one[0]) in one[1]]
            of_parent, _ = passed(of, (one,), counts, since, until)
            beside = len(_pairs(each for each in parent if not _in(of, each)))
            if ratio_bound(inside, delivered, beside, of_parent - delivered) < rules.ratio:
                return None
    numbers: Numbers = {
        "pairs": inside,
        "deliveries": delivered,
        "pairs_outside": outside,
        "deliveries_outside": everything - delivered,
        "bound": round(bound, 1),
        "needed": rules.ratio,
    }
    return _Candidate(of, inside, delivered, numbers)


def passed(
    of: Scope, where: tuple[tuple[str, tuple[str, ...]], ...], counts: Exposure, since: datetime, until: datetime
) -> tuple[int, int]:
    """How many deliveries had these values, and how many there were: a set of nodes is the sum of its nodes."""
    if of.breadth is not Breadth.NODES:
        return counts.exposure(of.integration, since, until, {name: values[0] for name, values in where})
    each = [counts.exposure(of.integration, since, until, {NODE: node}) for node in where[0][1]]
    return sum(one for one, _ in each), each[0][1]


def _spread(alert: Alert, leaks: Sequence[Alert], rules: Rules) -> Decision | None:
    """Several pairs of one surface over several nodes or regions: the fault lies in front of them."""
    surface = alert.attributes.get(SURFACE)
    if not surface:
        return None
    near = [each for each in _near(alert, leaks, rules.window)[0] if each.attributes.get(SURFACE) == surface]
    pairs = len(_pairs(near))
    places = max(len({each.attributes[name] for each in near if each.attributes.get(name)}) for name in (NODE, REGION))
    if pairs < rules.spread_pairs or places < rules.spread_places:
        return None
    of = scope(Breadth.SURFACE, alert.integration, {SURFACE: surface})
    why = f"{pairs} owner-viewer pairs on {places} nodes or regions share nothing narrower than {of}."
    evidence = tuple(each.id for each in near)
    return Decision(of, True, Reason.SPREAD, why, {"pairs": pairs, "places": places}, evidence)


# --- pairs ---------------------------------------------------------------------------------------------------


def _near(alert: Alert, leaks: Sequence[Alert], window: timedelta) -> tuple[list[Alert], datetime, datetime]:
    """Named leaks of one window that the alert lies in, with its beginning and end.

    It ends with the latest leak that came within a window after the alert: the owner's own still may name an older leak
    later than a younger one.
    """
    if not _named(alert):
        return [], alert.delivered_at, alert.delivered_at
    after = _inside(leaks, alert.delivered_at, alert.delivered_at + window)
    last = max((each.delivered_at for each in after), default=alert.delivered_at)
    until = last + timedelta(microseconds=1)
    return _inside(leaks, until - window, until), until - window, until


def _inside(leaks: Sequence[Alert], since: datetime, until: datetime) -> list[Alert]:
    return [each for each in leaks[-CONSIDERED:] if since <= each.delivered_at < until and _named(each)]


def _within(of: Scope, leaks: Iterable[Alert]) -> int:
    return len(_pairs(each for each in leaks if _in(of, each)))


def _in(of: Scope, alert: Alert) -> bool:
    return of.holds(alert.integration, alert.recipient, alert.attributes)


def _pairs(leaks: Iterable[Alert]) -> Counter[Pair]:
    return Counter(_pair(each) for each in leaks)


def _pair(alert: Alert) -> Pair:
    return alert.owner or "", alert.recipient


def _named(alert: Alert) -> bool:
    """Whether it names an owner who was enrolled: a presumed one never suspends, nor does nobody."""
    return alert.owner is not None and not alert.presumed
