"""The switchboard: every switch there is, and what a batch of judgements moves.

Owns what the policy needs to have at hand: leaks that stand, rolls, modes, the switches. `turn` decides and changes
nothing that matters; `settle` takes up what was stored. So a turn that a person's word has overtaken is thrown away,
and decided again. Refuses to decide (turning.py), to store and to read a clock: time is that of the deliveries, so that
a replay decides alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from detector import policy
from detector.policy import BEFORE, Exposure, Rules
from detector.suspension import Suspension
from detector.turn import HOUR, LEAKS_MOST, Book, Standing, Turn
from detector.turning import Turning, keep
from detector.watch import WATCHED, Watch
from models.records import Alert, Judgement, Withdrawal


class Switchboard:
    """The switches of one judge. `counts` tells how many deliveries there were."""

    def __init__(self, rules: Rules | None = None, counts: Exposure | None = None) -> None:
        self.rules = rules or Rules()
        self.counts: Exposure = counts or policy.Unknown()
        self.book = Book()
        self._next: Turning | None = None

    def switches(self) -> list[Suspension]:
        """Every switch that was touched, as it stands."""
        return list(self.book.switches.values())

    def take(self, standing: Standing) -> None:
        """Take up what is stored. What was counted of integrations since stays."""
        book = self.book
        book.standing, book.fresh = standing, True
        book.switches = {each.id: each for each in standing.suspensions}
        book.wide = {}
        for each in standing.suspensions:
            if each.scope.is_wide:
                book.wide.setdefault(each.scope.integration, set()).add(each.id)
        book.watch = Watch(standing.suspensions)
        for roll in standing.rolls:
            book.rolls.setdefault(roll.integration, roll)
        book.leaks = {}
        for alert in standing.leaks:
            keep(book.leaks.setdefault(alert.integration, []), alert)

    def begin(self, latest: datetime | None) -> None:
        """Go on from the delivery time of the latest delivery that was ever judged."""
        self.book.latest = latest

    def turn(
        self,
        judged: Sequence[Judgement],
        withdrawn: Sequence[Withdrawal],
        now: datetime | None = None,
        apart: Sequence[Alert] = (),
    ) -> Turn:
        """What these judgements, in their order, the alerts that came `apart` from them and the withdrawals after them
        move. `now` is from when on others can
        know; without it, the time of what led to a move."""
        self._next = Turning(self.book, self.rules, self.counts, withdrawn, now)
        return self._next.run(judged, apart)

    def settle(self) -> None:
        """The last turn was stored."""
        done, self._next = self._next, None
        if done is None:
            return
        book = self.book
        book.latest, book.due, book.fresh = done.latest, done.due, False
        book.rolled = {}
        book.switches.update(done.moved)
        book.leaks.update(done.leaks)
        book.standing.orders = [each for each in done.orders if each > max(done.orders) - HOUR]
        book.standing.capped = done.capped
        if any(each.state not in WATCHED for each in done.moved.values()):
            book.watch = Watch(book.switches.values())
        for integration in done.leaks:
            book.leaks[integration] = self._recent(book.leaks[integration])

    def _recent(self, leaks: list[Alert]) -> list[Alert]:
        oldest = None if self.book.latest is None else self.book.latest - BEFORE
        return [each for each in leaks if oldest is None or each.raised_at >= oldest][-LEAKS_MOST:]
