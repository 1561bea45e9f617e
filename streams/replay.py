"""Judges a file of events in memory, in order, without network: the contract by which detection is measured.

Owns reading event files (docs/replay.md) and writing verdicts, alerts and incidents as JSON lines. It runs the same
engine and the same judge as the stream does. Refuses to stop at a bad line: that goes to the rejects, with its number
and reason, and the rest is judged.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from detector.incident import Incident
from models.placeholder import Placeholder, PlaceholderId
from models.records import Alert, AlertId, IncidentId, Verdict
from streams import report
from streams.cloudevents import Rejected, parse_line
from streams.judge import Begun, Judge

DRAIN_EVERY = 64
"""Lines between two drains of the engine: often enough to keep what waits small, seldom enough to cost nothing."""

AHEAD = 1000
"""Lines that are read ahead at most, where they are no stills: about a megabyte."""


@dataclass(slots=True)
class Outcome:
    """What a replay concluded. `alerts` are those that stand at the end, in the order in which they were raised.

    `placeholders` are the pictures that a person should see: candidates, and those that were given and met.
    """

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    alerts: dict[AlertId, Alert] = field(default_factory=dict)
    incidents: dict[IncidentId, Incident] = field(default_factory=dict)
    placeholders: dict[PlaceholderId, Placeholder] = field(default_factory=dict)
    withdrawn: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an event file: its number from 1, its text, and the offset of the byte behind it."""

    number: int
    text: bytes
    end: int


def lines(path: Path) -> Iterator[Line]:
    """The lines of a file that are not blank, in order."""
    end = 0
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            end += len(text)
            if text.strip():
                yield Line(number, text, end)


def replay(
    path: Path,
    judge: Judge,
    *,
    verdicts: TextIO | None = None,
    alerts: TextIO | None = None,
    incidents: TextIO | None = None,
    suspensions: TextIO | None = None,
    refuse: Callable[[Line, Rejected], None] | None = None,
    progress: Callable[[Line, Outcome], None] | None = None,
) -> Outcome:
    """Judge every line of `path` in order and write JSON lines to the files that are given.

    Verdicts and moves of suspensions are written as they come, alerts and incidents at the end, when it is known which
    of them stand. `refuse` is called for each line that cannot be judged, `progress` every `DRAIN_EVERY` lines and at
    the end. Raises OSError where `path` cannot be read.
    """
    outcome = Outcome()
    for count, (line, step) in enumerate(_begun(path, judge), 1):
        if isinstance(step, Rejected):
            outcome.rejected[step.reason] += 1
            if refuse is not None:
                refuse(line, step)
        elif (judgement := judge.finish(step)) is not None:
            outcome.verdicts[judgement.verdict] += 1
            _write(verdicts, report.verdict(judgement))
        if count % DRAIN_EVERY == 0:
            _settle(outcome, judge, suspensions)
            if progress is not None:
                progress(line, outcome)
    _settle(outcome, judge, suspensions)
    for alert in outcome.alerts.values():
        _write(alerts, report.alert(alert))
    for incident in outcome.incidents.values():
        _write(incidents, report.incident(incident, judge.engine.incidents.analyse(incident)))
    return outcome


def _begun(path: Path, judge: Judge) -> Iterator[tuple[Line, Begun | Rejected]]:
    """Every line with what was begun of it: read ahead while the judge is hungry."""
    ahead: deque[tuple[Line, Begun | Rejected]] = deque()
    for line in lines(path):
        try:
            ahead.append((line, judge.begin(parse_line(line.text))))
        except Rejected as rejected:
            ahead.append((line, rejected))
        while ahead and not (judge.hungry and len(ahead) < AHEAD):
            yield ahead.popleft()
    yield from ahead


def _settle(outcome: Outcome, judge: Judge, suspensions: TextIO | None) -> None:
    """Fold what changed into the outcome; an incident is left only while a leak in it stands."""
    changes = judge.commit()
    for moved in judge.transitions:
        _write(suspensions, report.transition(moved))
    outcome.alerts.update((alert.id, alert) for alert in changes.raised)
    for withdrawal in changes.withdrawn:
        outcome.withdrawn += outcome.alerts.pop(withdrawal.alert, None) is not None
    for placeholder in changes.placeholders:
        outcome.placeholders[placeholder.id] = placeholder
        if not placeholder.is_shown:
            del outcome.placeholders[placeholder.id]
    for incident in changes.incidents:
        outcome.incidents[incident.id] = incident
        if not incident.stands:
            del outcome.incidents[incident.id]


def _write(file: TextIO | None, record: dict[str, Any]) -> None:
    if file is not None:
        file.write(json.dumps(record, ensure_ascii=False, separators=(", ", ": ")) + "\n")
