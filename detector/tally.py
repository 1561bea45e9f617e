"""How many stills were delivered on which path: by integration and time, for each attribute value and each pair of
them.

Owns these counts, which tell whether an attribute sets leaked deliveries apart, and their bounds. Refuses to count
accounts and cameras, and to judge. Memory is bounded whatever values come: of each attribute the first `VALUES`
values of a minute or hour are counted exactly; when more come, those that came most stay exact and all others are one
number, `other`. A sketch (count-min) would count every value, but too high and by an unknown part: a cause's share
must be exact, and a value that is one of thousands is no cause. What cannot be told exactly is answered too high,
never too low: a leak rate that is too low suspends nobody by mistake.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import combinations
from typing import Final, Generic, TypeVar

MINUTE: Final = 60
"""Seconds of a short span."""
HOUR: Final = 60
"""Short spans of a long one."""
MINUTES: Final = 120
"""Minutes kept of an integration, the latest: an exposure of ten minutes is asked for while they are young."""
HOURS: Final = 14 * 24
"""Hours kept: a leak that lasts six days (docs/scenarios.md) and the week before it."""
VALUES: Final = 512
"""Values of one attribute counted in one span: nodes of a large cloud, a hundred times its regions."""
PAIRS: Final = 4096
"""Pairs of values counted in one span; a cloud of eight nodes has some 150."""
ATTRIBUTES: Final = 12
"""Attributes of a delivery that are looked at, the known ones first: 66 pairs."""
INTEGRATIONS: Final = 16
"""Integrations that are counted, the first that come. A further one has incidents, and no cause."""
PENDING: Final = 2048
"""Combinations of values that wait to be counted out, at most: about a megabyte."""
KNOWN: Final = ("cachenode", "release", "network", "region", "surface")
"""The attributes that every path has (docs/events.md)."""
NEVER: Final = frozenset({"account", "camera", "integration"})
"""Attributes that are no path: persons, their cameras, and what the counts are kept by."""

K = TypeVar("K")
Single = tuple[str, str]
Pair = tuple[str, str, str, str]
Where = Mapping[str, str]


class Top(Generic[K]):
    """Counts of the first `limit` keys; then of those that came most, and one number for all others."""

    __slots__ = ("closed", "counts", "limit", "other")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.counts: dict[K, int] = {}
        self.closed = False
        self.other = 0

    def add(self, key: K, by: int) -> bool:
        """Count; True when this closed the counter, so that keys are gone from it."""
        held = self.counts.get(key)
        if held is not None:
            self.counts[key] = held + by
            return False
        if self.closed:
            self.other += by
            return False
        self.counts[key] = by
        if len(self.counts) <= self.limit:
            return False
        often = sorted(self.counts.items(), key=lambda each: -each[1])[: self.limit // 2]
        kept = {key: count for key, count in often if count > 1}
        self.closed, self.other = True, sum(self.counts.values()) - sum(kept.values())
        self.counts = kept
        return True

    @property
    def noisy(self) -> bool:
        """Whether no key came more often than any other: an id of the request, not a part of the path."""
        return self.closed and not self.counts

    def most(self, key: K) -> int:
        """How often the key came at most; exactly so often while it is counted, or the counter is open."""
        return self.counts.get(key, self.other)


class Bucket:
    """The counts of one span of time, or of any other set of deliveries."""

    __slots__ = ("deliveries", "pairs", "singles")

    def __init__(self, like: Bucket | None = None) -> None:
        """An empty one. Attributes that are noise in `like`, of a time before, are noise from the start."""
        self.deliveries = 0
        self.singles: dict[str, Top[str]] = {}
        self.pairs: Top[Pair] = Top(PAIRS)
        for name in () if like is None else like.noise():
            self.singles[name] = Top(VALUES)
            self.singles[name].closed = True

    def noise(self) -> list[str]:
        """Attributes whose values hardly ever come twice: they are counted as `other`, and cost nothing."""
        return [name for name, top in self.singles.items() if top.noisy]

    def count(self, values: list[Single], by: int = 1) -> None:
        """Count deliveries with these attribute values, which are sorted by name."""
        self.deliveries += by
        counted = []
        for name, value in values:
            top = self.singles.get(name)
            if top is None:
                top = self.singles[name] = Top(VALUES)
            if top.add(value, by):
                self._forget_pairs(name, top)
            if value in top.counts:
                counted.append((name, value))
        for (name, value), (other, another) in combinations(counted, 2):
            self.pairs.add((name, value, other, another), by)

    def drown(self, name: str, by: int) -> None:
        """Count values of an attribute that is noise."""
        top = self.singles.setdefault(name, Top(VALUES))
        if not top.noisy:
            top.other += sum(top.counts.values())
            top.closed, top.counts = True, {}
            self._forget_pairs(name, top)
        top.other += by

    def having(self, where: Where) -> int:
        """Deliveries with all of these values (none, one or two): exact, or too high where there were too many
        values."""
        if not where:
            return self.deliveries
        if len(where) == 1:
            return self._single(*next(iter(where.items())))
        if len(where) > 2:
            raise ValueError("single attributes and pairs are counted, no more than two together")
        (name, value), (other, another) = sorted(where.items())
        held = self.pairs.counts.get((name, value, other, another))
        if held is not None:
            return held
        whole = self._counts(name, value) and self._counts(other, another) and not self.pairs.closed
        return 0 if whole else min(self._single(name, value), self._single(other, another))

    def _single(self, name: str, value: str) -> int:
        top = self.singles.get(name)
        return 0 if top is None else top.most(value)

    def _counts(self, name: str, value: str) -> bool:
        """Whether all pairs with that value are counted."""
        top = self.singles.get(name)
        return top is None or not top.closed or value in top.counts

    def _forget_pairs(self, name: str, top: Top[str]) -> None:
        """Drop the pairs of values that are no longer counted: they would stand still."""

        def stays(pair: Pair) -> bool:
            return all(each != name or value in top.counts for each, value in (pair[:2], pair[2:]))

        self.pairs.counts = {pair: count for pair, count in self.pairs.counts.items() if stays(pair)}

    def to_bytes(self) -> bytes:
        """As it is stored."""
        singles = {name: [top.closed, top.other, top.counts] for name, top in self.singles.items()}
        pairs = [[*pair, count] for pair, count in self.pairs.counts.items()]
        body = [self.deliveries, singles, self.pairs.closed, self.pairs.other, pairs]
        return zlib.compress(json.dumps(body, separators=(",", ":")).encode(), 1)

    @classmethod
    def from_bytes(cls, body: bytes) -> Bucket:
        """As it was when it was stored."""
        bucket = cls()
        bucket.deliveries, singles, closed, other, pairs = json.loads(zlib.decompress(body))
        for name, (shut, rest, counts) in singles.items():
            top = bucket.singles[sys.intern(name)] = Top(VALUES)
            top.closed, top.other = shut, rest
            top.counts = {sys.intern(value): count for value, count in counts.items()}
        bucket.pairs.closed, bucket.pairs.other = closed, other
        intern = sys.intern
        bucket.pairs.counts = {(intern(a), intern(b), intern(c), intern(d)): count for a, b, c, d, count in pairs}
        return bucket


class Span(StrEnum):
    """How long a bucket's time is."""

    MINUTE = "minute"
    HOUR = "hour"


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """Which bucket: `number` counts its spans since 1970."""

    integration: str
    span: Span
    number: int

    @property
    def start(self) -> datetime:
        """When its time begins, in UTC."""
        seconds = MINUTE if self.span is Span.MINUTE else MINUTE * HOUR
        return datetime.fromtimestamp(self.number * seconds, UTC)


@dataclass(slots=True)
class Counted:
    """What became of the counts since they were last stored: buckets as they are now, and slots that were given up."""

    changed: list[tuple[Slot, Bucket]] = field(default_factory=list)
    gone: list[Slot] = field(default_factory=list)


class _Book:
    """One integration's buckets."""

    __slots__ = ("fine_from", "spans")

    def __init__(self) -> None:
        self.spans: dict[Span, dict[int, Bucket]] = {Span.MINUTE: {}, Span.HOUR: {}}
        self.fine_from = -(2**62)
        """The first minute from which on none was given up."""


class Window:
    """All that was counted of one integration in one span of time."""

    def __init__(self, buckets: list[Bucket]) -> None:
        self._buckets = buckets
        self.deliveries = sum(bucket.deliveries for bucket in buckets)

    def exposure(self, where: Where) -> tuple[int, int]:
        """Deliveries with all of these values (one or two), and all deliveries."""
        return sum(bucket.having(where) for bucket in self._buckets), self.deliveries

    def values(self) -> dict[str, int]:
        """How many values each attribute had, as far as they were counted."""
        found: dict[str, set[str]] = {}
        for bucket in self._buckets:
            for name, top in bucket.singles.items():
                found.setdefault(name, set()).update(top.counts)
        return {name: len(values) for name, values in found.items()}

    def pairs(self) -> int:
        """How many pairs of values came, as far as they were counted."""
        return len(set().union(*(bucket.pairs.counts for bucket in self._buckets))) if self._buckets else 0


class Tally:
    """Counts deliveries as they come. `add` is called for every still, and costs a microsecond or two."""

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}
        self._pending: dict[tuple[str, int, tuple[Single, ...]], int] = {}
        self._changed: set[Slot] = set()
        self._gone: set[Slot] = set()

    def restore(self, held: Iterable[tuple[Slot, Bucket]]) -> None:
        """Take up what was stored."""
        for slot, bucket in held:
            self._books.setdefault(slot.integration, _Book()).spans[slot.span][slot.number] = bucket
        for book in self._books.values():
            minutes = book.spans[Span.MINUTE]
            if len(minutes) >= MINUTES:
                book.fine_from = min(minutes)

    def add(self, integration: str, time: datetime, attributes: Mapping[str, str]) -> None:
        """Count one delivery."""
        key = integration, int(time.timestamp()) // MINUTE, tuple(attributes.items())
        pending = self._pending
        if key in pending:
            pending[key] += 1
            return
        pending[key] = 1
        if len(pending) >= PENDING:
            self._settle()

    def exposure(self, integration: str, since: datetime, until: datetime, where: Where) -> tuple[int, int]:
        """Deliveries with all of these attribute values (one or two), and all deliveries, in that time.

        Whole minutes are counted, and whole hours where minutes are no longer kept. Raises ValueError for more than
        two.
        """
        return self.window(integration, since, until).exposure(where)

    def window(self, integration: str, since: datetime, until: datetime) -> Window:
        """What was counted in [since, until), at least in the minute of `since`; for many questions of one time."""
        self._settle()
        book = self._books.get(integration)
        if book is None:
            return Window([])
        first = int(since.timestamp()) // MINUTE
        end = max(-(-int(-(-until.timestamp() // 1)) // MINUTE), first + 1)
        return Window(list(_buckets(book, first, end)))

    def drain(self) -> Counted:
        """What is to be stored since the last call."""
        self._settle()
        changed = [(slot, self._books[slot.integration].spans[slot.span][slot.number]) for slot in self._changed]
        counted = Counted(sorted(changed, key=lambda each: each[0]), sorted(self._gone))
        self._changed, self._gone = set(), set()
        return counted

    def _settle(self) -> None:
        pending, self._pending = self._pending, {}
        minutes: dict[tuple[str, int], dict[tuple[Single, ...], int]] = {}
        for (integration, minute, items), times in pending.items():
            minutes.setdefault((integration, minute), {})[items] = times
        for (integration, minute), combinations_ in minutes.items():
            if integration not in self._books:
                if len(self._books) >= INTEGRATIONS:
                    continue
                self._books[integration] = _Book()
            hour = self._bucket(Slot(integration, Span.HOUR, minute // HOUR), HOURS)
            if hour is not None:
                fine = self._bucket(Slot(integration, Span.MINUTE, minute), MINUTES, like=hour)
                _count_out(combinations_, [hour] if fine is None else [hour, fine])

    def _bucket(self, slot: Slot, most: int, like: Bucket | None = None) -> Bucket | None:
        """The bucket to count in; None when its time is older than all that is kept."""
        book = self._books[slot.integration]
        buckets = book.spans[slot.span]
        bucket = buckets.get(slot.number)
        if bucket is None:
            if slot.span is Span.MINUTE and slot.number < book.fine_from:
                return None
            if len(buckets) >= most and slot.number < min(buckets):
                return None
            bucket = buckets[slot.number] = Bucket(like or (buckets[max(buckets)] if buckets else None))
            self._gone.discard(slot)
            self._give_up(slot, book, most)
        self._changed.add(slot)
        return bucket

    def _give_up(self, slot: Slot, book: _Book, most: int) -> None:
        buckets = book.spans[slot.span]
        while len(buckets) > most:
            oldest = Slot(slot.integration, slot.span, min(buckets))
            del buckets[oldest.number]
            self._changed.discard(oldest)
            self._gone.add(oldest)
            if slot.span is Span.MINUTE:
                book.fine_from = min(buckets)


def _count_out(pending: Mapping[tuple[Single, ...], int], buckets: list[Bucket]) -> None:
    """Count combinations of one minute in its buckets, the hour's first; what is noise is taken off before, in bulk."""
    noise, left = buckets[0].noise(), dict(pending)
    for name in noise:
        shorter: dict[tuple[Single, ...], int] = {}
        for items, times in left.items():
            kept = tuple(item for item in items if item[0] != name)
            if len(kept) < len(items):
                for bucket in buckets:
                    bucket.drown(name, times)
            shorter[kept] = shorter.get(kept, 0) + times
        left = shorter
    for items, times in left.items():
        values = counted(items)
        for bucket in buckets:
            bucket.count(values, times)


def counted(items: Iterable[Single]) -> list[Single]:
    """The attribute values of a delivery that are counted, sorted by name."""
    found = sorted((sys.intern(name), sys.intern(value)) for name, value in items if name not in NEVER)
    if len(found) > ATTRIBUTES:
        known: Callable[[Single], bool] = lambda each: each[0] not in KNOWN  # noqa: E731 - a key with its type
        found = sorted(sorted(found, key=known)[:ATTRIBUTES])
    return found


def _buckets(book: _Book, first: int, end: int) -> Iterator[Bucket]:
    """The buckets of the minutes in [first, end): hours where they are whole, or no longer kept by the minute."""
    minutes = book.spans[Span.MINUTE]
    for hour, bucket in book.spans[Span.HOUR].items():
        begin, after = max(hour * HOUR, first), min((hour + 1) * HOUR, end)
        if begin >= after:
            continue
        if after - begin == HOUR or begin < book.fine_from:
            yield bucket
        else:
            yield from (minutes[minute] for minute in range(begin, after) if minute in minutes)
