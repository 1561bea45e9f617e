"""The store as somebody sees it who may see some integrations only: of the others, nothing is there.

Owns that restriction, for what api/gate/table.py marks as `own`. Refuses to write. What is asked for of another
integration is not found, and not forbidden: that it exists is nobody else's business.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from detector.incident import Incident
from detector.scope import Scope, SuspensionId
from detector.suspension import State, Suspension
from models.records import AlertId, IncidentId
from streams.judge import Covered
from streams.store import outbox
from streams.store.database import Database
from streams.store.queries import EVERY_INCIDENT, IncidentFilter, Page, Queries
from streams.store.rows import IncidentSummary, StoredAlert
from streams.store.sql import SqlStore
from streams.store.suspension_rows import StoredSuspension, StoredTransition
from streams.store.suspensions import Acted, Asked, Enrolled, Suspensions
from streams.store.walk import ANY, AlertFilter


class OwnStore(SqlStore):
    """Another store's alerts, incidents, coverage and suspensions, of these integrations. It opens nothing."""

    def __init__(self, whole: SqlStore, integrations: frozenset[str]) -> None:
        Queries.__init__(self, whole.database)
        self.lease = None
        self.answers = whole.answers
        self.suspensions = OwnSuspensions(whole.database, integrations)
        self._own = integrations

    def alerts(self, wanted: AlertFilter = ANY, after: int | None = None, limit: int = 50) -> Page[StoredAlert]:
        """As Queries says, of these integrations."""
        read = super().alerts
        return merged(
            _asked(self._own, wanted.integration),
            lambda one: read(replace(wanted, integration=one), after, limit),
            limit,
            (lambda one: (one.alert.delivered_at, one.seq)) if wanted.timed else _number,
        )

    def alert(self, id: AlertId) -> StoredAlert | None:
        """As Queries says, of these integrations."""
        found = super().alert(id)
        return found if found is not None and found.alert.integration in self._own else None

    def incidents(
        self, wanted: IncidentFilter = EVERY_INCIDENT, after: int | None = None, limit: int = 50
    ) -> Page[IncidentSummary]:
        """As Queries says, of these integrations."""
        read = super().incidents
        return merged(
            _asked(self._own, wanted.integration),
            lambda one: read(replace(wanted, integration=one), after, limit),
            limit,
        )

    def incident(self, id: IncidentId) -> Incident | None:
        """As Queries says, of these integrations."""
        found = super().incident(id)
        return found if found is not None and found.integration in self._own else None

    def incident_summary(self, id: IncidentId) -> IncidentSummary | None:
        """As Queries says, of these integrations."""
        found = super().incident_summary(id)
        return found if found is not None and found.integration in self._own else None

    def coverage(self, since: datetime | None = None, until: datetime | None = None) -> Counter[Covered]:
        """As Queries says, of these integrations."""
        every = super().coverage(since, until)
        return Counter({key: count for key, count in every.items() if key.integration in self._own})


class OwnSuspensions(Suspensions):
    """The switches of these integrations."""

    def __init__(self, database: Database, integrations: frozenset[str]) -> None:
        super().__init__(database, outbox.put)
        self._own = integrations

    def page(
        self, state: State | None = None, integration: str | None = None, after: int | None = None, limit: int = 50
    ) -> Page[StoredSuspension]:
        """As Suspensions says, of these integrations."""
        read = super().page
        return merged(_asked(self._own, integration), lambda one: read(state, one, after, limit), limit)

    def one(self, id: SuspensionId) -> Suspension | None:
        """As Suspensions says, of these integrations."""
        found = super().one(id)
        return found if found is not None and found.scope.integration in self._own else None

    def transitions(self, id: SuspensionId, limit: int = 100) -> list[StoredTransition]:
        """As Suspensions says, of these integrations."""
        return [] if self.one(id) is None else super().transitions(id, limit)

    def integrations(self) -> list[Enrolled]:
        """As Suspensions says, of these integrations."""
        return [each for each in super().integrations() if each.integration in self._own]

    def act(self, of: Scope | SuspensionId, asked: Asked, *, dry_run: bool = False) -> Acted | None:
        """As Suspensions says; None for another integration's, whether or not it is there."""
        own = of.integration in self._own if isinstance(of, Scope) else self.one(of) is not None
        return super().act(of, asked, dry_run=dry_run) if own else None


def _number(item: Any) -> int:
    return int(item.seq)


def merged(
    of: Iterable[str], read: Callable[[str], Page[Any]], limit: int, newer: Callable[[Any], Any] = _number
) -> Page[Any]:
    """One page, newest first, of those of each integration; `newer` is larger for what comes before."""
    pages: Sequence[Page[Any]] = [read(one) for one in sorted(of)]
    items = list(heapq.merge(*(page.items for page in pages), key=newer, reverse=True))
    more = len(items) > limit or any(page.next is not None for page in pages)
    kept = tuple(items[:limit])
    return Page(kept, kept[-1].seq if more and kept else None)


def _asked(own: frozenset[str], integration: str | None) -> frozenset[str]:
    return own if integration is None else own & {integration}
