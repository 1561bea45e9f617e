"""What a batch of judgements moves, decided judgement by judgement.

Owns the order in which events reach the switches, the count of deliveries in scopes that are shut or tried, and what
the policy is given to decide on. Refuses to store, to read a clock and to change what it was given: a turn that a
person's word has overtaken is thrown away, and decided again.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import isinf

from detector import policy
from detector.policy import Decision, Exposure, Held, Mode, Reason, Rules, Situation
from detector.quiet import silence
from detector.roll import Roll
from detector.scope import Scope, SuspensionId, link, wider
from detector.suspension import POLICY, TRIED, Do, Event, State, Suspension, Transition, step
from detector.turn import HOUR, Book, Turn
from models.records import Alert, AlertId, Delivery, Judgement, Kind, Verdict, Withdrawal


class Turning:
    """One turn in the making: reads the book, and keeps what it changes to itself, but for the counts of the rolls."""

    def __init__(
        self, book: Book, rules: Rules, counts: Exposure, withdrawn: Sequence[Withdrawal], now: datetime | None
    ) -> None:
        self._book = book
        self._rules = rules
        self._counts = counts
        self._withdrawn = {each.alert: each for each in withdrawn}
        self._now = now
        self.latest = book.latest
        self.due = book.due
        self.moved: dict[SuspensionId, Suspension] = {}
        self.leaks: dict[str, list[Alert]] = {}
        self.orders = list(book.standing.orders)
        self.capped = book.standing.capped
        self._transitions: list[Transition] = []
        self._links: Counter[str] | None = None

    def run(self, judged: Sequence[Judgement], apart: Sequence[Alert] = ()) -> Turn:
        """What time alone shows, every judgement in its order, alerts apart from them, then what no longer stands."""
        watch = self._book.watch
        if self._book.fresh:
            self._look()
        for judgement in judged:
            delivery = judgement.delivery
            self._enrol(judgement)
            if watch:
                for id_ in watch.of(delivery):
                    self._count(self._get(id_), judgement)
            if self.latest is None or delivery.time > self.latest:
                self.latest = delivery.time
                if self.due is not None and self.latest >= self.due:
                    self._look()
            for alert in judgement.alerts:
                if alert.kind is Kind.LEAK and alert.id not in self._withdrawn:
                    self._leak(alert)
        for alert in apart:
            if alert.kind is Kind.LEAK and alert.id not in self._withdrawn:
                self._leak(alert)
        if self._withdrawn:
            self._take_back()
        rolls = list(self._book.rolled.values())
        return Turn(self._book.standing.words, self._transitions, list(self.moved.values()), rolls)

    # --- deliveries -------------------------------------------------------------------------------------

    def _enrol(self, judgement: Judgement) -> None:
        """Ids are counted once, however often a turn is decided."""
        delivery, rules, book = judgement.delivery, self._rules, self._book
        name = delivery.integration
        roll = book.rolls.get(name)
        if roll is None:
            roll = book.rolls[name] = Roll(name, delivery.time)
        known = judgement.verdict is Verdict.CLEAR
        if roll.note(delivery.camera, delivery.account, known=known):
            book.rolled[name] = roll
            roll.warm(delivery.time, rules.warm_cameras, rules.warm_share)

    def _count(self, switch: Suspension, judgement: Judgement) -> None:
        """A delivery came in a scope that is shut, or tried."""
        when = judgement.delivery.time
        if switch.state in TRIED:
            assert switch.since is not None
            if when > switch.since and judgement.verdict is Verdict.CLEAR:
                self._clean(replace(switch, clean=switch.clean + 1), when)
        elif switch.is_shut and switch.state is not State.FORCED:
            self._came(switch, judgement.delivery)

    def _clean(self, switch: Suspension, when: datetime) -> None:
        self.moved[switch.id] = switch
        if switch.clean >= self._rules.clean:
            why = f"{switch.clean} explained deliveries came and no leak, {switch.share:.0%} of what may pass."
            self._move(switch, Event(Do.RAMP, POLICY, when, "clean", why, {"clean": switch.clean}, ordered=self._now))

    def _came(self, switch: Suspension, delivery: Delivery) -> None:
        """By its own time, so that a backlog is not taken for disobedience."""
        ordered = switch.ordered
        assert ordered is not None
        if delivery.time <= ordered + self._rules.grace:
            return
        self._stop_if_quiet(switch)
        switch = self._get(switch.id)
        last = delivery.time if switch.last is None else max(switch.last, delivery.time)
        switch = self.moved[switch.id] = replace(switch, last=last)
        if switch.state is State.FAILED:
            return
        seconds = (delivery.time - ordered).total_seconds()
        why = f"Delivery {delivery.key} came {seconds:.0f} seconds after the order, {self._rules.grace} being granted."
        numbers = {"seconds": round(seconds, 3), "grace_seconds": self._rules.grace.total_seconds()}
        self._move(switch, Event(Do.DISOBEYED, POLICY, delivery.time, "not-obeyed", why, numbers, page=True))
        self._widen(switch, delivery)

    def _widen(self, switch: Suspension, delivery: Delivery) -> None:
        wide = wider(switch.scope, delivery.account, delivery.attributes)
        if wide is not None:
            why = f"{switch.scope} was ordered shut, and deliveries go on; this is the next wider scope."
            event = Event(
                Do.PROPOSE, POLICY, delivery.time, Reason.STILL_LEAKING, why, {}, switch.evidence, self._now, page=True
            )
            self._move(self._get(wide.id, wide), event)

    def _look(self) -> None:
        """What is shut and stayed quiet for long enough has stopped; what nothing carries any more is lifted."""
        self.due = None
        pending = [(quiet, each.id) for each in self._all() if (quiet := self._quiet(each)) is not None]
        for _, id_ in sorted(pending):  # those due at one moment in an order that a restart does not change
            self._stop_if_quiet(self._get(id_))
            self._expect(self._get(id_))
        for switch in self._all():
            if switch.carried and not switch.evidence and switch.state is not State.ARMED:
                self._unload(switch, (), "nothing carries it any more")

    def _stop_if_quiet(self, switch: Suspension) -> None:
        quiet = self._quiet(switch)
        if quiet is not None and self.latest is not None and self.latest >= quiet:
            switch = self._get(switch.id)
            seconds = round(switch.quiet or 0.0, 1)
            why = f"No delivery in {switch.scope} for {seconds:.0f} seconds, while others went on."
            self._move(switch, Event(Do.STOPPED, POLICY, quiet, "stopped", why, {"watched_seconds": seconds}))

    def _expect(self, switch: Suspension) -> None:
        """Look again when the switch may have been quiet for long enough."""
        quiet = self._quiet(switch)
        if quiet is not None and (self.due is None or quiet < self.due):
            self.due = quiet

    def _quiet(self, switch: Suspension) -> datetime | None:
        """Until when nothing may come for the switch to count as suspended; None where that is not the question, or no
        silence tells: then a person says it."""
        if switch.state not in (State.SUSPENDING, State.FAILED):
            return None
        assert switch.ordered is not None
        seconds = self._silence(switch, switch.ordered)
        if isinf(seconds):
            return None
        begin = switch.ordered + self._rules.grace
        return (begin if switch.last is None else max(begin, switch.last)) + timedelta(seconds=seconds)

    def _silence(self, switch: Suspension, ordered: datetime) -> float:
        """Seconds of silence that tell; weighed once an order, and kept with the switch."""
        if switch.quiet is not None:
            return switch.quiet
        roll = self._book.rolls.get(switch.scope.integration)
        accounts, since = (0, None) if roll is None else (len(roll.accounts), roll.first_seen)
        seconds = silence(switch.scope, ordered, self._counts, accounts, since)
        seconds = max(seconds, self._rules.watch.total_seconds())
        self.moved[switch.id] = replace(switch, quiet=seconds)
        return seconds

    # --- alerts -----------------------------------------------------------------------------------------

    def _leak(self, alert: Alert) -> None:
        for switch in self._over(alert):
            if switch.state in TRIED and switch.ordered is not None and alert.delivered_at > switch.ordered:
                self._back(switch, alert)
        leaks = self._of(alert.integration)
        if all(each.id != alert.id for each in leaks):
            keep(leaks, alert)
        here, wide = self._situation(alert), [each for each in self._over(alert) if each.scope.is_wide]
        if here.mode is Mode.OFF or any(self._is_answered(each, alert) for each in wide):
            return
        quiet = here.mode is Mode.SHADOW or not here.warm
        acts = here.mode is Mode.AUTO and here.warm and not here.killed and here.ordered < self._rules.per_hour
        if not acts and any(each.state is State.PROPOSED and (quiet or not each.shadow) for each in wide):
            return  # a wider scope is proposed, and that is all that may be done
        self._decide(alert, leaks)

    def _decide(self, alert: Alert, leaks: Sequence[Alert]) -> None:
        wide = self._wide(alert.integration)
        news = [each for each in leaks[-policy.CONSIDERED :] if not self._is_answered_by(wide, each)]
        for decision in policy.decide(alert, news, self._counts, self._rules):
            over = list(self._over(alert))
            if not decision.scope.is_wide and any(self._is_answered(each, alert) for each in over):
                continue
            tempered = policy.temper(decision, self._situation(alert), self._rules)
            if tempered is None:
                continue
            proposed = any(each.state is State.PROPOSED and each.scope.is_wide for each in over)
            if tempered.suspends or decision.scope.is_wide or not proposed:
                self._carry_out(alert, tempered)

    def _carry_out(self, alert: Alert, decision: Decision) -> None:
        what = Do.SUSPEND if decision.suspends else Do.PROPOSE
        numbers = dict(decision.numbers) | ({} if decision.held is None else {"held": decision.held.value})
        event = Event(
            what,
            POLICY,
            alert.raised_at,
            decision.reason.value,
            decision.why,
            numbers,
            decision.evidence,
            self._now,
            decision.is_shadow,
            decision.page,
        )
        moved = self._move(self._get(decision.scope.id, decision.scope), event)
        if moved and decision.suspends:
            self.orders.append(alert.raised_at)
        if moved and decision.page and decision.held in (Held.RATE_CAP, Held.LINKS_CAP):
            self.capped = alert.raised_at

    def _back(self, switch: Suspension, alert: Alert) -> None:
        why = f"A leak came while {switch.scope} was being tried: {alert.why}"
        event = Event(
            Do.LEAKED,
            POLICY,
            alert.raised_at,
            "leaked",
            why,
            {"clean": switch.clean},
            (alert.id,),
            self._now,
            page=True,
        )
        if not self._move(switch, event):
            self.moved[switch.id] = replace(switch, clean=0)  # the kill switch is on: nothing moves, nor does it count

    def _take_back(self) -> None:
        """Alerts that no longer stand, and what nothing else carries."""
        for integration, leaks in self._book.leaks.items():
            if any(each.id in self._withdrawn for each in leaks):
                self._of(integration)
        for integration, leaks in self.leaks.items():
            self.leaks[integration] = [each for each in leaks if each.id not in self._withdrawn]
        for switch in self._all():
            gone = tuple(alert for alert in switch.evidence if alert in self._withdrawn)
            if gone:
                self._unload(switch, gone, self._withdrawn[gone[0]].reason)

    def _unload(self, switch: Suspension, gone: tuple[AlertId, ...], reason: str) -> None:
        carries = tuple(each.id for each in self._of(switch.scope.integration) if _carries(switch, each))
        at = self.latest or (self._withdrawn[gone[0]].time if gone else switch.since)
        assert at is not None
        count = "1 alert no longer stands" if len(gone) == 1 else f"{len(gone)} alerts no longer stand"
        why = f"{count}: {reason}." if gone else f"Lifted: {reason}."
        event = Event(
            Do.WITHDRAWN,
            POLICY,
            at,
            "evidence-withdrawn",
            why,
            {"withdrawn": len(gone)},
            gone,
            self._now,
            carries=carries,
        )
        self._move(switch, replace(event, held=self._book.standing.killed))

    # --- switches ---------------------------------------------------------------------------------------

    def _move(self, switch: Suspension, event: Event) -> bool:
        """Let the event reach the switch; whether it moved."""
        moved = step(switch, event)
        if not isinstance(moved, Transition) or (moved.acts and self._book.standing.killed):
            return False
        self._transitions.append(moved)
        after = self.moved[switch.id] = moved.after
        self._book.watch.add(after)
        self._expect(after)
        if after.scope.is_wide:
            self._book.wide.setdefault(after.scope.integration, set()).add(after.id)
        elif self._links is not None:
            self._links[after.scope.integration] += after.is_shut - switch.is_shut
        return True

    def _get(self, id_: SuspensionId, of: Scope | None = None) -> Suspension:
        found = self.moved.get(id_) or self._book.switches.get(id_)
        if found is None:
            assert of is not None
            return Suspension(of)
        return found

    def _all(self) -> list[Suspension]:
        """Every switch, in an order that does not depend on what happened."""
        every = {**self._book.switches, **self.moved}
        return [every[id_] for id_ in sorted(every)]

    def _over(self, alert: Alert) -> Iterator[Suspension]:
        """Switches whose scope holds the alert's delivery: the account's link, and wider ones."""
        narrow = self._get(link(alert.integration, alert.recipient).id, link(alert.integration, alert.recipient))
        for each in (*self._wide(alert.integration), narrow):
            if each.scope.holds(alert.integration, alert.recipient, alert.attributes):
                yield each

    def _wide(self, integration: str) -> list[Suspension]:
        """Switches of the integration that are wider than a link."""
        ids = self._book.wide.get(integration, ())
        found = (self.moved.get(id_) or self._book.switches.get(id_) for id_ in ids)
        return [each for each in found if each is not None]

    def _is_answered(self, switch: Suspension, alert: Alert) -> bool:
        return switch.is_shut or switch.answers(alert.delivered_at, self._rules.grace)

    def _is_answered_by(self, switches: Iterable[Suspension], alert: Alert) -> bool:
        return any(
            each.scope.holds(alert.integration, alert.recipient, alert.attributes) and self._is_answered(each, alert)
            for each in switches
        )

    def _of(self, integration: str) -> list[Alert]:
        """The integration's leaks, to be changed."""
        return self.leaks.setdefault(integration, list(self._book.leaks.get(integration, ())))

    def _situation(self, alert: Alert) -> Situation:
        standing, name = self._book.standing, alert.integration
        roll = self._book.rolls.get(name)
        if self._links is None:
            shut = (each.scope for each in self._all() if each.is_shut)
            self._links = Counter(of.integration for of in shut if not of.is_wide)
        return Situation(
            standing.modes.get(name, self._rules.mode),
            roll is not None and roll.warm_at is not None,
            standing.killed,
            sum(alert.raised_at - HOUR < when for when in self.orders),
            self._links[name],
            0 if roll is None else len(roll.accounts),
            self.capped is not None and alert.raised_at - HOUR < self.capped,
        )


def _carries(switch: Suspension, alert: Alert) -> bool:
    """Whether a leak that stands is reason enough to leave the switch where it is."""
    return (
        alert.owner is not None
        and not alert.presumed
        and switch.scope.holds(alert.integration, alert.recipient, alert.attributes)
        and (switch.settled is None or alert.delivered_at > switch.settled)
    )


def keep(leaks: list[Alert], alert: Alert) -> None:
    """Take a leak in among others, which lie in the order of their delivery."""
    insort(leaks, alert, key=lambda each: (each.delivered_at, each.id))
