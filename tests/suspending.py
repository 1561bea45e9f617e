"""A cloud for tests of suspensions: deliveries on named paths through the real judge, by their own clock.

Owns the deliveries and the count of them. Refuses to fake the judge: leaks are told by rights, which need no picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from serving import picture

from detector.engine import Engine
from detector.policy import Mode, Rules
from detector.suspension import State, Transition
from detector.switchboard import Switchboard
from detector.turn import Standing
from models.records import AccountId, CameraId, Delivery, DeliveryId, RightAction, RightChanged
from streams.cloudevents import Message
from streams.decode import Decoder
from streams.judge import Judge, Store
from streams.metrics import Metrics

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
HOME = "homeview"
STILL = picture(1)


def when(seconds: float) -> datetime:
    """So many seconds after the beginning."""
    return START + timedelta(seconds=seconds)


class Counted:
    """Deliveries as they were judged, counted one by one; stands for the tally. `more` are counted beside them: so
    many that no silence of an account is by chance."""

    def __init__(self) -> None:
        self.seen: list[Delivery] = []
        self.more: list[tuple[Mapping[str, str], int]] = [({}, 100_000)]

    def exposure(self, integration: str, since: datetime, until: datetime, where: Mapping[str, str]) -> tuple[int, int]:
        """As `detector.policy.Exposure` says."""

        def within(attributes: Mapping[str, str]) -> bool:
            return all(attributes.get(name) == value for name, value in where.items())

        here = [d for d in self.seen if d.integration == integration and since <= d.time < until]
        more = sum(count for attributes, count in self.more if within(attributes))
        everything = len(here) + sum(count for _, count in self.more)
        return sum(within(d.attributes) for d in here) + more, everything


class Path:
    """A delivery path that is judged: push what was delivered, and see what it did to the switches."""

    def __init__(self, rules: Rules | None = None, store: Store | None = None, **standing: Any) -> None:
        self.counts = Counted()
        self.board = Switchboard(rules or Rules(mode=Mode.AUTO, warm_cameras=0, warm_share=0.0), self.counts)
        self.board.take(Standing(**standing) if store is None else store.standing())
        self.judge = Judge(Engine(), Decoder(b"k"), Metrics(), store, board=self.board)
        if store is not None:
            self.judge.engine.restore(store.knowledge())
            self.board.begin(self.judge.engine.latest)
        self.transitions: list[Transition] = []
        self._number = 0

    def enrol(self, home: int) -> None:
        """Camera cam-N is acct-N's."""
        self._right(RightAction.ENROL, home, f"acct-{home}")

    def grant(self, home: int, viewer: int, seconds: float) -> list[Transition]:
        """From then on the viewer may see the home; it is told only now."""
        self._right(RightAction.GRANT, home, f"acct-{viewer}", when(seconds))
        return self.commit()

    def still(self, home: int, viewer: int | None, seconds: float, *, id: str = "", **attributes: str) -> Delivery:
        """Camera cam-HOME is delivered to the viewer: a leak, where that is not its owner; it is not committed yet."""
        self._number += 1
        account = AccountId(f"acct-{home if viewer is None else viewer}")
        key = DeliveryId("cloud", id or f"d-{self._number}")
        attributes = {"integration": HOME, **attributes}
        delivery = Delivery(key, when(seconds), account, CameraId(f"cam-{home}"), attributes)
        self.counts.seen.append(delivery)
        self.judge.take(Message(delivery, delivery.key, STILL))
        return delivery

    def push(self, home: int, viewer: int | None, seconds: float, **attributes: str) -> list[Transition]:
        """The same, as a batch of its own."""
        self.still(home, viewer, seconds, **attributes)
        return self.commit()

    def commit(self) -> list[Transition]:
        """What the batch moved."""
        self.judge.commit()
        self.transitions += self.judge.transitions
        return self.judge.transitions

    def states(self) -> dict[str, State]:
        """How every switch stands that was ever touched, by its scope in words."""
        return {str(each.scope): each.state for each in self.board.switches()}

    def _right(self, action: RightAction, home: int, account: str, at: datetime = START - timedelta(days=1)) -> None:
        self._number += 1
        event = RightChanged(CameraId(f"cam-{home}"), AccountId(account), action, at)
        self.judge.take(Message(event, DeliveryId("rights", f"r-{self._number}")))


def told(moved: list[Transition]) -> list[tuple[str, str]]:
    """The moves as (scope, state)."""
    return [(str(each.after.scope), each.after.state.value) for each in moved]
