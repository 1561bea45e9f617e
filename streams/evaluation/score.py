"""What a detector said of a labelled replay against what really happened, with intervals, pooled over replays.

Owns what counts as named, told, false, late (docs/evaluate.md). Refuses to judge by itself and to print. It reads the
replay's events and truth, and the verdicts and alerts that `strayframe replay` wrote or a detector wrote in that form.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from scipy.special import betaincinv

from streams.cloudevents import CAMERA_SHARED, STILL_DELIVERED
from streams.evaluation.corpus import group_of

Record = Mapping[str, Any]

NAMELESS: Final = "unseen"
"""The kind of leak whose owner nobody can name: it counts as told only."""
LATE: Final = ("before", "cold")
"""Kinds that cannot be named at once: the owner's own stills, or the recipient's, have to come first."""
UNCOMPARED: Final = "dark"
"""The control that nothing can be said about, and that `unjudged` therefore leaves out."""
PLAIN: Final = "plain"
"""What a delivery is called that the truth says nothing of."""
DOUBT: Final = 0.05
"""One minus the confidence of every interval."""


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `of`, with the interval that holds the true share with 95 % confidence."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """The share itself; 0 of nothing is 0."""
        return self.hits / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper and Pearson's exact interval; one-sided at 0 and at 1, where it is the rule of three (3/n)."""
        n, k = self.of, min(self.hits, self.of)
        if not n:
            return 0.0, 1.0
        if k == 0:
            return 0.0, 1 - DOUBT ** (1 / n)
        if k == n:
            return float(DOUBT ** (1 / n)), 1.0
        return float(betaincinv(k, n - k + 1, DOUBT / 2)), float(betaincinv(k + 1, n - k, 1 - DOUBT / 2))


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that went wrong: a leak missed or misnamed, or a false alarm. `named` is the accused camera."""

    fault: str
    kind: str
    delivery: str
    camera: str
    owner_camera: str | None
    named: str | None
    rule: str
    why: str


@dataclass(slots=True)
class Score:
    """Counts of one replay, or of several added up. By kind of leak, by group of source, by control.

    `leaks`, `named`, `told` and `acting` count leaks; `clean` and `false_*` count deliveries that leaked nothing.
    `waits` counts leaks by how many further stills of the recipient's camera came before their first alert.
    """

    deliveries: int = 0
    without_verdict: int = 0
    leaks: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    acting: Counter[str] = field(default_factory=Counter)
    group_leaks: Counter[str] = field(default_factory=Counter)
    group_named: Counter[str] = field(default_factory=Counter)
    clean: Counter[str] = field(default_factory=Counter)
    false_leaks: Counter[str] = field(default_factory=Counter)
    false_shifts: Counter[str] = field(default_factory=Counter)
    false_acting: int = 0
    misnamed: int = 0
    judged: int = 0
    unjudged: int = 0
    prompt: int = 0
    at_once: int = 0
    waits: Counter[int] = field(default_factory=Counter)
    cases: list[Case] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Add another replay's counts to these."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def of_kind(self, counted: Counter[str]) -> dict[str, Share]:
        """`named`, `told` or `acting` by kind of leak, kinds in alphabetical order."""
        return {kind: Share(counted[kind], self.leaks[kind]) for kind in sorted(self.leaks)}

    def of_all(self, counted: Counter[str]) -> Share:
        """`named` or `acting` over all leaks whose owner can be named; `told` over all."""
        kinds = [kind for kind in self.leaks if kind != NAMELESS or counted is self.told]
        return Share(sum(counted[kind] for kind in kinds), sum(self.leaks[kind] for kind in kinds))

    def of_group(self) -> dict[str, Share]:
        """Named leaks by the group of their owner's camera, where it can be named."""
        return {group: Share(self.group_named[group], count) for group, count in sorted(self.group_leaks.items())}

    def false(self, counted: Counter[str]) -> Share:
        """`false_leaks` or `false_shifts` among all clean deliveries."""
        return Share(counted.total(), self.clean.total())

    def waited(self) -> list[int]:
        """Median, 95th percentile and most of the waits; nothing when no leak was told."""
        waits = sorted(self.waits.elements())
        return [waits[min(len(waits) - 1, int(q * len(waits)))] for q in (0.5, 0.95, 1)] if waits else []

    def as_json(self) -> dict[str, Any]:
        """All figures for programs; shares as {share, hits, of, low, high}."""
        return {
            "deliveries": self.deliveries,
            "without_verdict": self.without_verdict,
            "named": _shares({**self.of_kind(self.named), "all": self.of_all(self.named)}, leave=NAMELESS),
            "named_by_group": _shares(self.of_group()),
            "told": _shares({**self.of_kind(self.told), "all": self.of_all(self.told)}),
            "acting": _shares({**self.of_kind(self.acting), "all": self.of_all(self.acting)}, leave=NAMELESS),
            "false_acting": self.false_acting,
            "false_leaks": {**_share(self.false(self.false_leaks)), "by_control": dict(self.false_leaks)},
            "misnamed": self.misnamed,
            "false_shifts": {**_share(self.false(self.false_shifts)), "by_control": dict(self.false_shifts)},
            "unjudged": _share(Share(self.unjudged, self.judged)),
            "at_once": _share(Share(self.at_once, self.prompt)),
            "waited": self.waited(),
            "cases": [{each.name: getattr(case, each.name) for each in fields(case)} for case in self.cases],
        }


def pooled(scores: Iterable[Score]) -> Score:
    """Several replays' counts as one."""
    total = Score()
    for score in scores:
        total.add(score)
    return total


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines. Raises OSError and ValueError."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def score(replay: Path, verdicts: Path, alerts: Path) -> Score:
    """Score one replay's folder (events.jsonl, truth.jsonl). Raises OSError and ValueError."""
    return compare(
        read_lines(replay / "events.jsonl"),
        read_lines(replay / "truth.jsonl"),
        read_lines(verdicts),
        read_lines(alerts),
    )


def compare(
    events: Iterable[Record], truth: Iterable[Record], verdicts: Iterable[Record], alerts: Iterable[Record]
) -> Score:
    """Score what was said of these events."""
    facts = _Facts(events, truth)
    said = _Said(facts)
    for alert in alerts:
        said.hear(alert)
    return said.score({record["id"]: record["verdict"] for record in verdicts})


class _Facts:
    """What really happened, ready to be asked."""

    def __init__(self, events: Iterable[Record], truth: Iterable[Record]) -> None:
        self.deliveries: dict[str, Record] = {}
        self.viewers: dict[str, set[str]] = defaultdict(set)
        for event in events:
            if event["type"] == STILL_DELIVERED:
                self.deliveries[event["id"]] = event
            elif event["type"] == CAMERA_SHARED:
                self.viewers[event["camera"]].add(event["account"])
        self.truth = {record["id"]: record for record in truth}
        self.leaks = {id_: t for id_, t in self.truth.items() if "owner" in t and t["kind"] != "household"}
        self.order = {id_: n for n, id_ in enumerate(self.deliveries)}
        self._of_camera: dict[str, list[int]] = defaultdict(list)
        for n, event in enumerate(self.deliveries.values()):
            self._of_camera[event["camera"]].append(n)

    def control(self, delivery: str) -> str:
        """What kind of clean delivery this is."""
        return str(self.truth.get(delivery, {}).get("kind", PLAIN))

    def wait(self, delivery: str, raised_by: str) -> int:
        """Stills of the same camera that came behind `delivery`, up to the one that raised the alert."""
        stills, begin = self._of_camera[self.deliveries[delivery]["camera"]], self.order[delivery]
        return bisect_right(stills, self.order.get(raised_by, begin)) - bisect_right(stills, begin)

    def right(self, leak: Record, owner: str | None) -> bool:
        """Whether `owner` is whose still it was, or one who shares that camera."""
        return owner == leak["owner"] or owner in self.viewers[leak["owner_camera"]]


class _Said:
    """What the alerts say, sorted into right and wrong."""

    def __init__(self, facts: _Facts) -> None:
        self._facts = facts
        self._named: set[str] = set()
        self._acting: set[str] = set()
        self._at_once: set[str] = set()
        self._waits: dict[str, int] = {}
        self._score = Score()

    def hear(self, alert: Record) -> None:
        """Take one alert."""
        delivery, is_leak, score = alert["delivery"], alert["kind"] == "leak", self._score
        acts = is_leak and alert.get("level") == "acting"
        leak = self._facts.leaks.get(delivery)
        if leak is None:
            score.false_acting += acts
            counted = score.false_leaks if is_leak else score.false_shifts
            counted[self._facts.control(delivery)] += 1
            self._wrong("false leak" if is_leak else "false shift", delivery, alert)
            return
        wait = self._facts.wait(delivery, alert["raised_by"])
        self._waits[delivery] = min(self._waits.get(delivery, wait), wait)
        if is_leak and not self._facts.right(leak, alert["owner"]):
            score.misnamed += 1
            score.false_acting += acts
            self._wrong("misnamed", delivery, alert)
        elif is_leak:
            self._named.add(delivery)
            if acts:
                self._acting.add(delivery)
            if alert["raised_by"] == delivery:
                self._at_once.add(delivery)

    def score(self, verdicts: Mapping[str, str]) -> Score:
        """The counts, now that all alerts are heard."""
        score, facts = self._score, self._facts
        score.deliveries = len(facts.deliveries)
        score.without_verdict = sum(id_ not in verdicts for id_ in facts.deliveries)
        for id_, leak in facts.leaks.items():
            self._leak(id_, leak, verdicts.get(id_, ""))
        for id_ in facts.deliveries:
            if id_ not in facts.leaks:
                control = facts.control(id_)
                score.clean[control] += 1
                score.judged += control != UNCOMPARED
                score.unjudged += control != UNCOMPARED and verdicts.get(id_) == "unjudged"
        return score

    def _leak(self, id_: str, leak: Record, verdict: str) -> None:
        score, kind, is_named = self._score, leak["kind"], id_ in self._named
        score.leaks[kind] += 1
        score.named[kind] += is_named
        score.acting[kind] += id_ in self._acting
        score.told[kind] += id_ in self._waits
        if kind != NAMELESS:
            group = leak.get("group") or group_of(leak["owner_camera"])
            score.group_leaks[group] += 1
            score.group_named[group] += is_named
        if kind not in LATE:
            score.prompt += is_named
            score.at_once += id_ in self._at_once
        if kind != "before" and id_ in self._waits:
            score.waits[self._waits[id_]] += 1
        if not is_named and (kind != NAMELESS or id_ not in self._waits):
            fault = "told, not named" if id_ in self._waits else "not told"
            self._wrong(fault, id_, {"rule": f"verdict {verdict}"})

    def _wrong(self, fault: str, delivery: str, alert: Record) -> None:
        t = self._facts.truth.get(delivery, {})
        event = self._facts.deliveries.get(delivery, {})
        case = Case(
            fault, t.get("kind", PLAIN), delivery, event.get("camera", ""), t.get("owner_camera"),
            alert.get("owner_camera"), alert.get("rule", ""), alert.get("why", ""),
        )  # fmt: skip
        self._score.cases.append(case)


def _share(share: Share) -> dict[str, float | int]:
    low, high = share.interval
    return {"share": share.value, "hits": share.hits, "of": share.of, "low": low, "high": high}


def _shares(shares: Mapping[str, Share], leave: str = "") -> dict[str, dict[str, float | int]]:
    return {name: _share(share) for name, share in shares.items() if name != leave}
