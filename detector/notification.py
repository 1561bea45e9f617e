"""A draft of the facts that a notification of a breach asks for, as Markdown, for a person to complete.

Owns which facts are told under which heading (GDPR Art. 33(3), CRA Art. 14). Refuses to advise: what Strayframe cannot
know stands as a gap, and no name of an account is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from detector.analysis import duration, phrase
from detector.incident import Incident
from detector.reach import Reach
from detector.scope import Scope
from detector.suspension import SHUT, State
from detector.triage import Clock, Triage

GAP = "*(to be completed)*"


@dataclass(frozen=True, slots=True)
class Switched:
    """A path that was proposed or switched off for an incident, and its moves: when, from what state, to which."""

    scope: Scope
    moves: Sequence[tuple[datetime, State, State]]

    @property
    def ordered(self) -> datetime | None:
        """When it was first ordered off; None where it was only proposed."""
        return next((at for at, _, after in self.moves if after in SHUT), None)

    @property
    def stopped(self) -> datetime | None:
        """When deliveries were first seen to have stopped, or a person said so."""
        return next((at for at, _, after in self.moves if after is State.SUSPENDED), None)


def draft(
    incident: Incident,
    reach: Reach,
    triage: Triage,
    clocks: tuple[Clock, ...],
    switched: Sequence[Switched],
    now: datetime,
) -> str:
    """The draft as of `now`."""
    return "\n".join(
        [
            f"# Draft: facts of incident {incident.id}",
            "",
            f"As of {_at(now)}. Counts are of what was found; a person confirms them before they are sent.",
            "",
            "## What happened",
            "",
            f"- {incident.sentence}.",
            f"- First known still {_at(reach.first)}, last {_at(reach.last)}; the incident is {_state(incident)}.",
            f"- Detected {_at(incident.opened)}; confirmed by a person {_at(triage.confirmed)}.",
            f"- Integration: {incident.integration or GAP}.",
            *_cause(incident),
            "",
            "## Who is concerned",
            "",
            f"- {len(reach.owners):,} accounts whose stills others received"
            + (f", and {reach.unnamed:,} stills whose owner cannot be named." if reach.unnamed else "."),
            f"- {len(reach.viewers):,} accounts that received them, in {reach.stills:,} stills; {reach.opened:,} are "
            "known to have been opened.",
            _bound(reach),
            "- Kind of data: single pictures from cameras in or at homes, which may show persons.",
            f"- Countries, and whether children or other vulnerable persons are concerned: {GAP}.",
            "",
            "## Likely consequences",
            "",
            f"- Strangers saw the inside of homes. {GAP}",
            "",
            "## Measures",
            "",
            *_measures(switched),
            f"- Further measures, taken and proposed: {GAP}.",
            f"- Contact for further information: {GAP}.",
            "",
            "## Deadlines",
            "",
            *(_deadline(clock, now) for clock in clocks),
            "",
        ]
    )


def _cause(incident: Incident) -> list[str]:
    analysis = incident.analysis
    if analysis is None:
        return []
    told = [f"- Shape: {analysis.shape.form.value}."]
    if analysis.cause:
        first = analysis.suspects[0]
        told.append(
            f"- Suspected path: {phrase(analysis.cause)}: {100 * first.share:.0f} % of the leaked deliveries, "
            f"{100 * first.base:.1f} % of all."
        )
    told += [f"- Change: {c.component} {c.version}, deployed {_at(c.time)}." for c in analysis.changes]
    return told


def _measures(switched: Sequence[Switched]) -> list[str]:
    """What was switched off, each wider path by itself; links are counted, since their scope names an account."""
    off = [each for each in switched if each.ordered is not None]
    links = [each for each in off if not each.scope.is_wide]
    told = [f"- Switched off: {each.scope}. {_course(each)}." for each in off if each.scope.is_wide]
    if links:
        first = min(each.ordered for each in links if each.ordered is not None)
        done = sum(each.stopped is not None for each in links)
        count = "1 account link" if len(links) == 1 else f"{len(links):,} account links"
        told.insert(0, f"- Switched off: {count}, from {_at(first)} on; {done:,} seen to stop.")
    return told


def _course(path: Switched) -> str:
    stopped = "deliveries were not yet seen to stop"
    if path.stopped is not None:
        stopped = f"deliveries had stopped by {_at(path.stopped)}"
    at, _, now = path.moves[-1]
    ended = f"switched on again {_at(at)}" if now is State.ARMED else f"it is {now.value} now"
    return f"Ordered {_at(path.ordered)}; {stopped}; {ended}"


def _state(incident: Incident) -> str:
    if incident.resolved is None:
        return "open"
    return f"resolved since {_at(incident.resolved)}: no further leak was found"


def _bound(reach: Reach) -> str:
    if reach.at_most is None or reach.deliveries is None:
        return f"- Upper bound of stills concerned: {GAP}."
    if reach.at_most == reach.deliveries:
        return f"- Upper bound: all {reach.deliveries:,} deliveries of that time; nothing narrower is suspected."
    return (
        f"- Upper bound: {reach.at_most:,} deliveries went the suspected path in that time, of {reach.deliveries:,} in "
        "all. Not all of them leaked."
    )


def _deadline(clock: Clock, now: datetime) -> str:
    left = clock.left(now)
    if left is None or clock.ends is None:
        return f"- {clock.law}: runs from the confirmation, which is still missing."
    told = f"{duration(left)} left" if left > 0 else f"over since {duration(-left)}"
    return f"- {clock.law}: {_at(clock.ends)}, {told}."


def _at(when: datetime | None) -> str:
    return GAP if when is None else f"{when:%Y-%m-%d %H:%M} UTC"
