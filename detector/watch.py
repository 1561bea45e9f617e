"""Which switches a delivery may lie under, looked up by its attributes.

Owns the tables of that. Refuses to decide what a delivery means for a switch (turning.py). While nothing is shut or
tried no delivery is looked at; else one costs a look into a table for each attribute that a scope names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from detector.scope import Scope, SuspensionId
from detector.suspension import SHUT, TRIED, State, Suspension
from models.records import Delivery

WATCHED: Final = (SHUT | TRIED) - {State.FORCED}
"""States in which the deliveries of a scope are looked at: what a person forces off stays off whatever comes."""
_NONE: Final[dict[Any, Any]] = {}


class Watch:
    """Which switches a delivery may lie under. What is no longer watched is found too, and told apart by its state."""

    def __init__(self, suspensions: Iterable[Suspension] = ()) -> None:
        self._links: dict[tuple[str, str], SuspensionId] = {}
        self._others: dict[str, dict[str, dict[str | None, dict[SuspensionId, Scope]]]] = {}
        for each in suspensions:
            self.add(each)

    def __bool__(self) -> bool:
        return bool(self._links or self._others)

    def add(self, suspension: Suspension) -> None:
        """Watch a switch, if its state is one that is."""
        if suspension.state not in WATCHED:
            return
        of = suspension.scope
        if not of.is_wide:
            self._links[of.integration, of.where[0][1][0]] = of.id
            return
        name, values = of.where[0] if of.where else ("integration", (of.integration,))
        by = self._others.setdefault(of.integration, {}).setdefault(name, {})
        for value in values:
            by.setdefault(value, {})[of.id] = of

    def of(self, delivery: Delivery) -> list[SuspensionId]:
        """Switches whose scope holds the delivery."""
        attributes, integration = delivery.attributes, delivery.integration
        found = []
        if (one := self._links.get((integration, delivery.account))) is not None:
            found.append(one)
        for name, by in self._others.get(integration, _NONE).items():
            for id_, each in by.get(attributes.get(name), _NONE).items():
                if each.has(delivery):
                    found.append(id_)
        return found
