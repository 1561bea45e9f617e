"""What persons ruled of scene shifts, as the scene-shift model learns from it: lines of a file, without pictures.

Owns the form of these lines, from a store to training. A shift that a person ruled false is this place, changed; one
ruled true is another place: just what the model is to tell. Refuses alerts of which that cannot be said: leaks, which
rights or a match decided and no model, and shifts on a placeholder candidate, which shows nobody's place. A camera is
named by a hash that only its store can make.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from math import isfinite
from pathlib import Path
from typing import Any, Final

from detector.triage import Ruling
from models.errors import StrayframeError
from models.records import Alert, Kind, derived_id
from models.shift import FEATURES, Evidence
from streams.evaluation.rehearsal import Sample, Told

GROUP: Final = "rulings"
"""What samples of this kind are called among the sources of cameras."""
ANOTHER: Final = "ruled"
"""The camera that a still of another place is said to show: nobody knows which."""
AT_ONCE: Final = "foreign-at-once"
"""The rule of a shift that was told when it came."""
_COUNTS: Final = frozenset(each.name for each in fields(Evidence) if each.type == "int")


class BadRulings(StrayframeError):
    """A file does not hold rulings as `strayframe incidents rulings` writes them; the message names the line."""


def lines(ruled: Iterable[tuple[Alert, Ruling]], store: str) -> Iterator[dict[str, Any]]:
    """The lines of the alerts that can teach; `store` is the identity of the store that they are from."""
    for alert, ruling in ruled:
        if teaches(alert):
            yield {
                "camera": derived_id("ca", store, alert.camera),
                "verdict": ruling.value,
                "rule": alert.rule,
                "evidence": {name: alert.numbers[name] for name in FEATURES},
            }


def teaches(alert: Alert) -> bool:
    """Whether the alert is one on which the model had its word, with all that the word came from."""
    told = alert.kind is Kind.SHIFT and "placeholder" not in alert.numbers
    return told and all(name in alert.numbers for name in FEATURES)


def read(path: Path, folds: int) -> list[Sample]:
    """The samples of a file, dealt to folds by their camera. Raises BadRulings, OSError."""
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            found.append(_sample(json.loads(line), folds))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadRulings(f"{path}, line {number}: no ruling as `strayframe incidents rulings` writes it") from error
    return found


def _sample(said: dict[str, Any], folds: int) -> Sample:
    camera, verdict, rule = said["camera"], Ruling(said["verdict"]), said["rule"]
    values = {name: (int if name in _COUNTS else float)(said["evidence"][name]) for name in FEATURES}
    if not all(map(isfinite, values.values())):
        raise ValueError("evidence is finite")
    fold = int(derived_id("fo", camera)[-8:], 16) % folds
    foreign = ANOTHER if verdict is Ruling.TRUE_POSITIVE else ""
    told = Told.AT_ONCE if rule == AT_ONCE else Told.ON_RETURN
    return Sample(fold, camera, foreign, verdict.value, GROUP, rule, Evidence(**values), told)  # type: ignore[arg-type]
