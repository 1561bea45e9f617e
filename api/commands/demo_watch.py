"""What the demonstration saw: leaks, alerts, orders to suspend and what came of them, beside what the simulator knows.

Owns what counts as found, as an innocent accused and as stopped. Refuses to print (demo_summary.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from detector.incident import Incident
from detector.notice import NoticeType
from detector.scope import Scope, SuspensionId
from detector.suspension import Do, State, Transition
from models.records import Alert, AlertId, DeliveryId, IncidentId, Kind, Numbers, Verdict
from streams.simulator.simulate import Truth


@dataclass(slots=True)
class Order:
    """A suspension that the policy ordered at `at`, in simulated time.

    `leaked` stills had leaked and `clean` ones were delivered by then. `stored` and `answered` are of the clock on the
    wall (time.monotonic): when the decision was stored, and when the maker had answered the hook; None if it did not.
    `state` is how the suspension stands, `stopped` until when (simulated) nothing had come for it to count as done.
    """

    scope: Scope
    reason: str
    why: str
    numbers: Numbers
    at: datetime
    leaked: int
    clean: int
    stored: float
    state: State
    answered: float | None = None
    stopped: datetime | None = None


@dataclass(slots=True)
class Watch:
    """What the demonstration saw. `clean` counts deliveries that showed nobody's home to a stranger."""

    leaks: dict[DeliveryId, Truth] = field(default_factory=dict)
    handed: dict[DeliveryId, float] = field(default_factory=dict)
    clean: int = 0
    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    alerts: dict[AlertId, Alert] = field(default_factory=dict)
    stored: dict[AlertId, float] = field(default_factory=dict)
    until_alert: int | None = None
    """Stills that had leaked when the first alert of a leak was stored, the one it tells of among them."""
    incidents: dict[IncidentId, Incident] = field(default_factory=dict)
    orders: dict[SuspensionId, Order] = field(default_factory=dict)
    proposed: set[SuspensionId] = field(default_factory=set)

    def moved(self, transition: Transition, stored: float) -> Order | None:
        """Take a move of a switch down; the order, where it is one."""
        after, event = transition.after, transition.event
        told = transition.notice
        if told is not None and told.type is NoticeType.SUSPENSION_PROPOSED:
            self.proposed.add(after.id)
        if (order := self.orders.get(after.id)) is not None:
            order.state = after.state
            if event.what is Do.STOPPED:
                order.stopped = event.at
        if told is None or told.type is not NoticeType.SUSPENSION_REQUESTED:
            return None
        seen = (event.at, len(self.leaks), self.clean, stored, after.state)
        order = self.orders[after.id] = Order(after.scope, event.reason, event.why, event.numbers, *seen)
        return order

    def named(self) -> list[Alert]:
        """Leak alerts that name the right owner of a leaked still."""
        found = [a for a in self.alerts.values() if a.kind is Kind.LEAK and a.delivery in self.leaks]
        return [alert for alert in found if alert.owner == self.leaks[alert.delivery].owner]

    def told(self) -> set[DeliveryId]:
        """Leaked deliveries with any alert at all."""
        return {alert.delivery for alert in self.alerts.values()} & self.leaks.keys()

    def wrong(self) -> list[Alert]:
        """Leak alerts that accuse somebody innocent: a clean delivery, or the wrong owner."""
        right = {alert.id for alert in self.named()}
        return [alert for alert in self.alerts.values() if alert.kind is Kind.LEAK and alert.id not in right]

    def found(self) -> bool:
        """Whether an incident stands that holds a leak which really happened."""
        return any(alert.id in incident.alerts for incident in self.incidents.values() for alert in self.named())

    @property
    def links(self) -> list[Order]:
        """Orders for one account's link, oldest first."""
        return [order for order in self.orders.values() if not order.scope.is_wide]

    @property
    def wide(self) -> list[Order]:
        """Orders for more than one account's link, oldest first: a later one is for what the earlier left open."""
        return [order for order in self.orders.values() if order.scope.is_wide]

    def stopped(self) -> bool:
        """Whether the leak itself was stopped, not for some accounts only: scopes wider than a link were shut and seen
        to stop, and not one still leaked after the last such order."""
        wide = self.wide
        if not wide:
            return False
        return all(order.stopped for order in wide) and wide[-1].leaked == len(self.leaks)
