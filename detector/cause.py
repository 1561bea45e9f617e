"""What leaked deliveries have in common that others have not: attribute values, sets of them and pairs, weighed.

Owns the comparison and its statistics. Refuses to count (tally.py) and to put it into words (analysis.py). Each
attribute set's share among the leaked deliveries stands beside its share among all deliveries of the same time. The
interval of their ratio (lift) is made of two Clopper-Pearson intervals, each end of the worse ends of both, at a
level divided by the number of sets that were tried (Bonferroni). Leaks of one viewer are not independent, so it
counts viewers, not stills.

Sets are ranked by what they explain: viewers times the Kullback-Leibler divergence of the two shares, less the
logarithm of the number of sets tried of that form (a minimum description length), so that a pair stands above its
parts only if it says more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, log
from typing import Final

from scipy.special import betaincinv

from detector.tally import Bucket, Single, Window, counted

LEVEL: Final = 0.05
"""Chance that any set at all is named although none differs, over all sets tried. The usual convention."""
LONGEST_SET: Final = 6
"""Values in one set, at most: more nodes than that are told as a release, a region or a surface."""
COVERS: Final = 0.95
"""Share of the leaked deliveries that a set of values shall hold."""
LEAST_PAIR: Final = 0.05
"""Share of the leaked deliveries that a pair must hold to be tried."""
MOST_PAIRS: Final = 200
"""Pairs tried, those that hold most of the leaked deliveries."""

Path = tuple[tuple[str, tuple[str, ...]], ...]
"""A condition on deliveries: of each named attribute, one of the values."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A condition, and how it sets the leaked deliveries apart.

    `leaked` of all `leaks` stills meet it, and `delivered` of all `deliveries` of the same time. `lift` is the ratio of
    the two shares, in [low, high] at the corrected level; `tried` is what it was corrected by. `score` ranks, in nats.
    """

    path: Path
    leaked: int
    leaks: int
    delivered: int
    deliveries: int
    lift: float
    low: float
    high: float
    tried: int
    score: float

    @property
    def share(self) -> float:
        """Its share among leaked deliveries."""
        return self.leaked / self.leaks

    @property
    def base(self) -> float:
        """Its share among all deliveries of the same time."""
        return self.delivered / self.deliveries

    @property
    def elsewhere(self) -> float:
        """Its share among the deliveries that did not leak."""
        rest = self.deliveries - self.leaks
        return max(self.delivered - self.leaked, 0) / rest if rest > 0 else 0.0

    @property
    def stands_out(self) -> bool:
        """Whether it is more frequent among leaked deliveries, at the corrected level."""
        return self.low > 1.0


def meets(path: Path, attributes: Mapping[str, str]) -> bool:
    """Whether a delivery with these attributes meets the condition."""
    return all(attributes.get(name) in values for name, values in path)


def leaked_of(paths: Iterable[Mapping[str, str]]) -> Bucket:
    """The counts of leaked deliveries, from their attributes."""
    bucket = Bucket()
    for items, times in Counter(tuple(attributes.items()) for attributes in paths).items():
        bucket.count(counted(items), times)
    return bucket


def brings(window: Window, name: str, value: str, path: Path) -> float:
    """The share of deliveries with this attribute value that meet a condition on one other attribute."""
    having, _ = window.exposure({name: value})
    both = sum(window.exposure({name: value, **where})[0] for where in singled(path))
    return both / having if having else 0.0


def candidates(leaked: Bucket, viewers: int, window: Window) -> list[Suspect]:
    """Every condition that was tried, the one that explains most first; pairs only that say more than either part.

    `leaked` counts the leaked deliveries, which reached `viewers` accounts; `window` all deliveries of the same time.
    Empty where fewer deliveries than leaks were counted: then nothing can be compared.
    """
    if not leaked.deliveries or not viewers or window.deliveries < leaked.deliveries:
        return []
    return _Trial(leaked, viewers, window).run()


class _Trial:
    """One comparison."""

    def __init__(self, leaked: Bucket, viewers: int, window: Window) -> None:
        self._leaked, self._window = leaked, window
        self._viewers = min(viewers, leaked.deliveries)
        values = window.values()
        self._sizes = {name: max(values.get(name, 0), len(top.counts)) for name, top in leaked.singles.items()}
        self._names = [name for name, top in sorted(leaked.singles.items()) if top.counts and not top.closed]

    def run(self) -> list[Suspect]:
        singles = sum(self._sizes[name] for name in self._names) or 1
        tried = [self._weigh(((name, (value,)),), singles) for name, value in self._singles()]
        best: dict[str, Suspect] = {}
        for suspect in [*tried, *self._sets(singles)]:
            ((name, values),) = suspect.path
            if len(values) > 1:
                tried.append(suspect)
            if suspect.lift > 1 and (name not in best or suspect.score > best[name].score):
                best[name] = suspect
        tried += self._pairs()
        tried += self._crossed(best)
        found = {suspect.path: suspect for suspect in reversed(tried)}
        alone: dict[str, float] = {}
        for path, suspect in found.items():
            if len(path) == 1:
                alone[path[0][0]] = max(suspect.score, alone.get(path[0][0], suspect.score))
        worth = (s for s in found.values() if len(s.path) == 1 or s.score > max(alone[name] for name, _ in s.path))
        return sorted(worth, key=lambda each: (-each.score, each.path))

    def _singles(self) -> Iterator[Single]:
        for name in self._names:
            for value in sorted(self._leaked.singles[name].counts):
                yield name, value

    def _sets(self, singles: int) -> Iterator[Suspect]:
        """Of each attribute the values that hold the leaks between them, where more than one does."""
        leaks = self._leaked.deliveries
        for name in self._names:
            often = sorted(self._leaked.singles[name].counts.items(), key=lambda each: (-each[1], each[0]))
            held = 0
            for size, (_, count) in enumerate(often[:LONGEST_SET], 1):
                held += count
                if held >= COVERS * leaks or size == len(often):
                    break
            if 1 < size < self._sizes[name] and held >= COVERS * leaks:
                path = ((name, tuple(sorted(value for value, _ in often[:size]))),)
                yield self._weigh(path, singles * comb(self._sizes[name], size))

    def _pairs(self) -> Iterator[Suspect]:
        least = max(2, LEAST_PAIR * self._leaked.deliveries)
        often = sorted(self._leaked.pairs.counts.items(), key=lambda each: (-each[1], each[0]))
        tried = max(self._window.pairs(), len(often))
        names = set(self._names)
        for (name, value, other, another), count in often[:MOST_PAIRS]:
            if count >= least and name in names and other in names:
                yield self._weigh(((name, (value,)), (other, (another,))), tried)

    def _crossed(self, best: Mapping[str, Suspect]) -> Iterator[Suspect]:
        """Pairs of what sets each attribute apart most, sets included."""
        for (_, one), (_, other) in combinations(sorted(best.items()), 2):
            path = one.path + other.path
            if any(len(values) > 1 for _, values in path):
                yield self._weigh(path, one.tried * other.tried)

    def _weigh(self, path: Path, tried: int) -> Suspect:
        leaks, deliveries = self._leaked.deliveries, self._window.deliveries
        leaked = min(sum(self._leaked.having(where) for where in singled(path)), leaks)
        delivered = sum(self._window.exposure(where)[0] for where in singled(path))
        delivered = min(max(delivered, leaked), deliveries)
        share, base = leaked / leaks, max(delivered, 1) / deliveries
        level = LEVEL / (2 * tried)
        least, most = bounds(share * self._viewers, self._viewers, level)
        under, over = bounds(delivered, deliveries, level)
        explains = self._viewers * _divergence(share, base) - log(tried) if share > base else -log(tried)
        return Suspect(
            path, leaked, leaks, delivered, deliveries, share / base, least / over,
            most / under if under > 0 else float("inf"), tried, explains,
        )  # fmt: skip


def singled(path: Path) -> Iterator[dict[str, str]]:
    """The single combinations of values that meet the condition; no delivery meets two of them."""
    names = [name for name, _ in path]
    for values in product(*(values for _, values in path)):
        yield dict(zip(names, values, strict=True))


def bounds(hits: float, of: float, level: float) -> tuple[float, float]:
    """The Clopper-Pearson interval of a share, two-sided at this level. `hits` need not be whole."""
    low = float(betaincinv(hits, of - hits + 1, level / 2)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, of - hits, 1 - level / 2)) if hits < of else 1.0
    return low, high


def _divergence(share: float, base: float) -> float:
    """How far one share lies from the other, in nats."""
    if share <= 0 or base >= 1:
        return 0.0
    rest = (1 - share) * log((1 - share) / (1 - base)) if share < 1 else 0.0
    return share * log(share / base) + rest
