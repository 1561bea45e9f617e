"""Whether an incident's leaks have two causes: which of them belong apart.

Owns the comparison. Refuses to move anything (folding.py does). Two bugs are told apart by different attributes:
leaks beside one condition that meet another, which the first ones do not show and which nothing else brings along.
Two nodes that differ in nothing else may be one bug, and stay together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Final

from detector.cause import Suspect, brings, candidates, leaked_of, meets
from detector.tally import Tally
from models.records import Alert

APART: Final = 3
"""Owner-viewer pairs, and viewers, from which on leaks that do not meet a condition may be another incident's."""
SPLITS: Final = 1.5
"""Lower bound of the lift that both conditions need: half of a cloud is one region, whose lift is 2 at most."""
OWN: Final = 0.9
"""Share of the leaks beside the one condition that the other must hold."""
STRANGE: Final = 1.5
"""The other condition may hold of the first one's leaks at most so many times its share among all deliveries."""
TRIED: Final = 4
"""Conditions beside which another one is looked for, those that explain most."""


def apart(leaks: Sequence[Alert], suspects: Sequence[Suspect], integration: str, tally: Tally) -> list[Alert]:
    """The leaks that another cause explains; none where one may explain all."""
    strong = (suspect for suspect in suspects if len(suspect.path) == 1 and suspect.low >= SPLITS)
    for cause in islice(strong, TRIED):
        beside = [alert for alert in leaks if not meets(cause.path, alert.attributes)]
        pairs = {(alert.owner, alert.recipient) for alert in beside}
        if min(len(pairs), len({viewer for _, viewer in pairs})) < APART:
            continue
        own = [alert for alert in leaks if meets(cause.path, alert.attributes)]
        other = _other(cause, own, beside, integration, tally)
        if other is not None:
            return [alert for alert in beside if meets(other.path, alert.attributes)]
    return []


def _other(
    cause: Suspect, own: Sequence[Alert], beside: Sequence[Alert], integration: str, tally: Tally
) -> Suspect | None:
    """What sets the leaks beside the cause apart, if something does that the cause's own leaks do not show, and that
    their values of the cause's attribute do not bring with them: a node of another region is no other bug."""
    since, until = min(a.delivered_at for a in beside), max(a.delivered_at for a in beside)
    window = tally.window(integration, since, until + timedelta(microseconds=1))
    viewers = len({alert.recipient for alert in beside})
    ((name, _),) = cause.path
    values = Counter(alert.attributes.get(name, "") for alert in beside)
    for other in candidates(leaked_of(alert.attributes for alert in beside), viewers, window):
        if len(other.path) > 1 or other.path[0][0] == name or other.low < SPLITS or other.share < OWN:
            continue
        shown = sum(meets(other.path, alert.attributes) for alert in own)
        brought = sum(count * brings(window, name, value, other.path) for value, count in values.items())
        if shown <= STRANGE * other.base * len(own) and other.share >= SPLITS * brought / len(beside):
            return other
    return None
