"""What is said of an incident: its shape, its suspects, the change before it, and one sentence that sums it up.

Owns the words and which suspects are worth them. Refuses to count and to fold. The same leaks and the same counts
give the same sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from detector.cause import LEVEL, Path, Suspect, bounds, candidates, leaked_of, singled
from detector.shape import Form, Leak, Shape, shape_of
from detector.tally import Tally, Window
from models.records import Alert, ChangeDeployed

SHORTLY: Final = timedelta(hours=24)
"""How long before the first leak a change may lie to be named: a cache that was filled badly shows it within a day."""
JUMP: Final = 2.0
"""Lower bound of the odds, after a change to before it, from which on a change amid an incident is named."""
ALREADY: Final = 1.5
"""A suspect is told beside the first one when its share is at least so many times what the first one explains."""
FEW: Final = 6
"""Viewers below which a sentence that names no cause says `yet`: of eight nodes, six viewers on one are the least
that tell."""
TELLS: Final = 12
"""Suspects kept with an incident."""
BESIDE: Final = 3
"""Suspects in a sentence beside the first."""
_LEADS_NOT: Final = ("network", "release")
"""What a sentence does not begin with: a condition of the path, and a thing that `since` tells better."""


@dataclass(frozen=True, slots=True)
class Named:
    """A change that may have begun it. `odds` is 0 where no leak came before it, else the odds after it to those
    before."""

    component: str
    version: str
    time: datetime
    seconds: float
    odds: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """What was said of an incident when it had `leaks` leaks. Suspects: the one that explains most first."""

    as_of: datetime
    leaks: int
    shape: Shape
    suspects: tuple[Suspect, ...]
    changes: tuple[Named, ...]
    sentence: str

    @property
    def cause(self) -> Path:
        """The condition that sets the leaks apart; empty where none does, at the corrected level."""
        return self.suspects[0].path if self.suspects and self.suspects[0].stands_out else ()

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "as_of": self.as_of.isoformat(),
            "leaks": self.leaks,
            "shape": {"form": self.shape.form.value, "numbers": dict(self.shape.numbers)},
            "suspects": [asdict(suspect) for suspect in self.suspects],
            "changes": [asdict(named) | {"time": named.time.isoformat()} for named in self.changes],
            "sentence": self.sentence,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Analysis:
        """As it was when it was stored."""
        suspects = [
            Suspect(**{**each, "path": tuple((name, tuple(values)) for name, values in each["path"])})
            for each in said["suspects"]
        ]
        changes = [Named(**{**each, "time": datetime.fromisoformat(each["time"])}) for each in said["changes"]]
        shape = Shape(Form(said["shape"]["form"]), dict(said["shape"]["numbers"]))
        as_of = datetime.fromisoformat(said["as_of"])
        return cls(as_of, said["leaks"], shape, tuple(suspects), tuple(changes), said["sentence"])


def analyse(leaks: Sequence[Alert], integration: str, tally: Tally, changes: Iterable[ChangeDeployed]) -> Analysis:
    """What is to be said of these leaks of one integration; there is at least one."""
    first, last = min(one.delivered_at for one in leaks), max(one.delivered_at for one in leaks)
    viewers = {one.recipient for one in leaks}
    shape = shape_of(Leak(one.delivered_at, one.owner, one.recipient) for one in leaks)
    window = tally.window(integration, first, last + timedelta(microseconds=1))
    found = candidates(leaked_of(one.attributes for one in leaks), len(viewers), window)
    named = tuple(_changes(leaks, integration, tally, changes, first, last))
    as_of = max(one.raised_at for one in leaks)
    said = _sentence(leaks, found, named, window)
    return Analysis(as_of, len(leaks), shape, tuple(found[:TELLS]), named, said)


def _changes(
    leaks: Sequence[Alert],
    integration: str,
    tally: Tally,
    changes: Iterable[ChangeDeployed],
    first: datetime,
    last: datetime,
) -> Iterable[Named]:
    """The latest change before the first leak, or those in the middle after which leaks got more frequent."""
    near = sorted((c for c in changes if first - SHORTLY <= c.time <= last), key=lambda c: (c.time, c.component))
    before = [change for change in near if change.time <= first]
    for change in near:
        if change.time > first:
            odds = _odds(leaks, integration, tally, change.time, first, last)
            if odds >= JUMP:
                yield Named(change.component, change.version, change.time, 0.0, round(odds, 1))
    for change in reversed(before):
        yield Named(change.component, change.version, change.time, (first - change.time).total_seconds(), 0.0)


def _odds(
    leaks: Sequence[Alert], integration: str, tally: Tally, at: datetime, first: datetime, last: datetime
) -> float:
    """The odds of a leak after the change to those before it, at their lower bound; 0 where it cannot be told."""
    after = {one.recipient for one in leaks if one.delivered_at >= at}
    all_ = len(after) + len({one.recipient for one in leaks if one.delivered_at < at})
    _, delivered = tally.exposure(integration, at, last + timedelta(microseconds=1), {})
    _, earlier = tally.exposure(integration, first, at, {})
    if not delivered or not earlier or not after:
        return 0.0
    least, _ = bounds(len(after), all_, LEVEL)
    return least / max(1 - least, 1e-9) / (delivered / earlier)


def _sentence(leaks: Sequence[Alert], found: Sequence[Suspect], named: Sequence[Named], window: Window) -> str:
    viewers = len({one.recipient for one in leaks})
    owners = len({one.owner for one in leaks if one.owner is not None})
    said = f"{_count(viewers, 'viewer')} received stills of {_count(owners, 'other home')}"
    if not owners:
        said = f"{_count(viewers, 'viewer')} received stills of homes that nobody can name"
    telling = [suspect for suspect in found if suspect.stands_out and len(suspect.path) == 1]
    best = {suspect.path[0][0]: suspect for suspect in reversed(telling)}
    ranked = sorted(best.values(), key=lambda each: (-each.score, each.path))
    lead = next((each for each in ranked if each.path[0][0] not in _LEADS_NOT), None)
    if lead is not None:
        said += f", {_part(lead)} {_path(lead.path)}"
    since = next(iter(named), None)
    if since is not None:
        said += _since(since)
    beside = [each for each in ranked if each is not lead and not _told(each, lead, since, window)][:BESIDE]
    for each in beside:
        said += f"; {phrase(each.path)} in {_percent(each.share)} ({_percent(each.elsewhere)} elsewhere)"
    if lead is None and not beside:
        said += "; nothing sets their path apart" + (" yet" if viewers < FEW else "")
    return said


def _told(each: Suspect, lead: Suspect | None, since: Named | None, window: Window) -> bool:
    """Whether the sentence says it already: the version of the change, or what the first suspect brings with it."""
    ((name, values),) = each.path
    if since is not None and name == "release" and values == (since.version,):
        return True
    if lead is None:
        return False
    both = sum(window.exposure(where)[0] for where in singled(tuple(sorted(lead.path + each.path))))
    return not both or each.share / (both / max(lead.delivered, 1)) < ALREADY


def _part(suspect: Suspect) -> str:
    if suspect.leaked == suspect.leaks:
        return "all" if suspect.leaks > 1 else "one still,"
    return f"{_percent(suspect.share)} of them"


def _path(path: Path) -> str:
    ((name, values),) = path
    words = _listed(values)
    return f"through {words}" if name == "cachenode" else f"with {name}={words}"


def phrase(path: Path) -> str:
    """A condition in a few words: name=value, with `or` between values and `and` between names."""
    return " and ".join(f"{name}={_listed(values, 'or')}" for name, values in path)


def _listed(values: Sequence[str], last: str = "and") -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} {last} {values[-1]}"


def _since(named: Named) -> str:
    if named.odds:
        return (
            f", at least {named.odds:.1f} times as often since {named.component} {named.version} was deployed at "
            f"{named.time:%Y-%m-%d %H:%M} UTC"
        )
    return f" since {named.component} {named.version}, {duration(named.seconds)} after it was deployed"


def duration(seconds: float) -> str:
    """A time in words: days from four days on, else hours, minutes or seconds."""
    for size, unit in ((4 * 86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return _count(int(seconds // min(size, 86_400)), unit)
    return _count(int(seconds), "second")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _percent(share: float) -> str:
    if 0 < share < 0.01:
        return f"{100 * share:.1g} %"
    return f"{100 * share:.0f} %" if share <= 0.99 or share == 1 else f"{int(1000 * share) / 10:.1f} %"
