"""Counts of deliveries: exact while values are few, bounded whatever comes, the same after a restart."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timeline import START, at

from detector.tally import ATTRIBUTES, HOURS, INTEGRATIONS, MINUTES, PAIRS, VALUES, Bucket, Span, Tally

paths = st.fixed_dictionaries(
    {},
    optional={
        "cachenode": st.sampled_from(["c1", "c2", "c3"]),
        "network": st.sampled_from(["poor", "good"]),
        "region": st.sampled_from(["eu", "us"]),
    },
)
deliveries = st.lists(st.tuples(st.integers(0, MINUTES - 1), paths), max_size=40)


def tallied(found: Iterable[tuple[float, dict[str, str]]]) -> Tally:
    tally = Tally()
    for minute, path in found:
        tally.add("tv", at(minute), path)
    return tally


def again(tally: Tally) -> Tally:
    """As it is after a restart."""
    after = Tally()
    after.restore((slot, Bucket.from_bytes(bucket.to_bytes())) for slot, bucket in tally.drain().changed)
    return after


@given(deliveries, paths.filter(lambda path: len(path) <= 2), st.integers(0, 100), st.integers(1, 100))
def test_an_exposure_is_the_count_that_brute_force_gives(
    found: list[tuple[int, dict[str, str]]], where: dict[str, str], since: int, length: int
) -> None:
    inside = [path for minute, path in found if since <= minute < since + length]
    expected = sum(where.items() <= path.items() for path in inside), len(inside)
    assert tallied(found).exposure("tv", at(since), at(since + length), where) == expected


@given(deliveries, paths.filter(lambda path: len(path) <= 2))
def test_counts_survive_a_restart(found: list[tuple[int, dict[str, str]]], where: dict[str, str]) -> None:
    tally = tallied(found)
    expected = tally.exposure("tv", at(0), at(601), where)
    assert again(tally).exposure("tv", at(0), at(601), where) == expected


def test_no_account_and_no_camera_is_ever_counted() -> None:
    tally = tallied([(0, {"account": "a", "camera": "c", "integration": "tv", "cachenode": "c1"})])
    ((_, bucket), _) = tally.drain().changed
    assert set(bucket.singles) == {"cachenode"}


def test_an_id_of_each_request_neither_grows_nor_hides_the_rest() -> None:
    draw, tally = Random(1), Tally()
    for step in range(20_000):
        node, network = f"cache-{draw.randint(1, 8)}", draw.choice(("poor", "good"))
        tally.add("tv", at(step / 100), {"trace": f"{draw.getrandbits(64):x}", "cachenode": node, "network": network})
    draw = Random(1)
    both = 0
    for _ in range(20_000):
        node, network = draw.randint(1, 8), draw.choice(("poor", "good"))
        draw.getrandbits(64)
        both += node == 3 and network == "poor"
    assert tally.exposure("tv", at(0), at(200), {"cachenode": "cache-3", "network": "poor"}) == (both, 20_000)
    for _, bucket in tally.drain().changed:
        assert len(bucket.pairs.counts) <= PAIRS
        assert all(len(top.counts) <= VALUES for top in bucket.singles.values())


def test_values_beyond_the_bound_are_answered_too_high_and_never_too_low() -> None:
    bucket = Bucket()
    for number in range(3 * VALUES):
        bucket.count([("cachenode", "often"), ("worker", f"w-{number}")])
        bucket.count([("cachenode", f"c-{number % 5}"), ("worker", "busy")])
    assert bucket.having({"worker": "busy"}) == 3 * VALUES
    assert bucket.having({"worker": "w-7"}) >= 1
    assert bucket.having({"worker": "w-7", "cachenode": "often"}) >= 1
    assert bucket.having({"worker": "busy", "cachenode": "c-2"}) >= 3 * VALUES // 5


def test_time_is_bounded_minutes_first_then_hours() -> None:
    tally = Tally()
    for hour in range(HOURS + 5):
        tally.add("tv", START + timedelta(hours=hour), {"cachenode": "c1"})
    counted = tally.drain()
    kept = [slot.span for slot, _ in counted.changed]
    assert (kept.count(Span.MINUTE), kept.count(Span.HOUR)) == (MINUTES, HOURS)
    first = START + timedelta(hours=5)
    assert tally.exposure("tv", START, first, {}) == (0, 0)
    assert tally.exposure("tv", first, first + timedelta(minutes=1), {}) == (1, 1)
    tally.add("tv", START, {"cachenode": "c1"})
    assert tally.exposure("tv", START, first, {}) == (0, 0)


def test_what_is_given_up_is_told_to_the_store() -> None:
    tally = Tally()
    tally.add("tv", START, {})
    tally.drain()
    for minute in range(1, MINUTES + 1):
        tally.add("tv", at(minute), {})
    assert [(slot.span, slot.start) for slot in tally.drain().gone] == [(Span.MINUTE, START)]


def test_integrations_and_attributes_are_bounded() -> None:
    tally = Tally()
    for number in range(INTEGRATIONS + 3):
        tally.add(f"i-{number}", START, {f"a{k:02d}": "x" for k in range(30)} | {"region": "eu"})
    changed = tally.drain().changed
    assert len({slot.integration for slot, _ in changed}) == INTEGRATIONS
    assert all(len(bucket.singles) == ATTRIBUTES and "region" in bucket.singles for _, bucket in changed)


def test_more_than_two_attributes_together_are_refused() -> None:
    tally = tallied([(0, {"cachenode": "c1", "network": "poor", "region": "eu"})])
    with pytest.raises(ValueError, match="pairs"):
        tally.exposure("tv", at(0), at(1), {"cachenode": "c1", "network": "poor", "region": "eu"})
