"""A key says which scene it is, under whatever the still went through, and is nearly free of other scenes."""

from __future__ import annotations

import numpy as np
import pytest
from places import still

from models.bucket import NO_KEY
from models.code import Hypotheses, fine_of, hypotheses
from models.keys import (
    BITS,
    FREE_AS_IS,
    FREE_NEGATIVE,
    FREE_RARE,
    FREE_USUAL,
    KEYS,
    LAST,
    SAMPLES,
    WINDOWS,
    Lookup,
    as_it_is,
    keys_of,
    lookup,
)
from models.placing import RARE, USUAL
from models.thumbnail import INVALID

ONES = np.uint32((1 << BITS) - 1)


def levels(seed: int, moment: int = 0) -> np.ndarray:
    """The thumbnail of a drawn place."""
    found = still(seed, moment).fingerprint
    assert found is not None
    return found.levels


def under(seed: int, placings: np.ndarray) -> Hypotheses:
    """The same under these placings."""
    return hypotheses(fine_of(levels(seed)), placings)


def shared(query: Lookup, keys: np.ndarray) -> int:
    """How many windows of the placings agree but for the free signs."""
    count = 0
    for h, t in np.argwhere(query.seen & (keys != NO_KEY)[None]):
        count += not (query.keys[h, t] ^ keys[t]) & ~query.free[h, t]
    return count


@pytest.mark.parametrize("seed", range(4))
def test_a_place_shares_keys_with_itself_and_hardly_any_with_others(seed: int) -> None:
    query = as_it_is(levels(seed, 1))
    assert shared(query, keys_of(levels(seed, 2))) >= 12
    assert sum(shared(query, keys_of(levels(other))) for other in range(20, 50)) <= 1


@pytest.mark.parametrize("seen", [slice(0, 12), slice(0, 24), slice(40, 64)])
def test_a_strip_has_keys_of_its_own_and_shares_them(seen: slice) -> None:
    strip = np.full_like(levels(3), INVALID)
    strip[seen] = levels(3, 1)[seen]
    assert shared(as_it_is(strip), keys_of(levels(3, 2))) >= 1


def test_an_inverted_picture_is_looked_up_too() -> None:
    turned = np.where(levels(5, 1) == INVALID, INVALID, -levels(5, 1)).astype(np.int8)
    assert shared(as_it_is(turned), keys_of(levels(5, 2))) >= 8


def test_a_stored_scene_has_the_keys_of_its_query_as_it_is() -> None:
    for seed in range(6):
        query, keys = as_it_is(levels(seed)), keys_of(levels(seed))
        assert np.array_equal(np.where(query.seen[0], query.keys[0], NO_KEY), keys)
        assert (keys[keys != NO_KEY] <= ONES).all()


def test_keys_do_not_depend_on_what_else_is_looked_up() -> None:
    placings = np.concatenate([USUAL, RARE])
    together = lookup(under(7, placings))
    for h in range(0, len(placings), 17):
        alone = lookup(under(7, placings[h : h + 1]))
        assert np.array_equal(alone.seen[0], together.seen[h])
        assert np.array_equal(alone.keys[0][alone.seen[0]], together.keys[h][alone.seen[0]])


def freed(query: Lookup, h: int) -> set[tuple[int, int]]:
    """How many signs a placing leaves free in its windows, among the others and among the last."""
    own = query.free[h][query.seen[h]]
    last = ONES & ~np.uint32((1 << BITS - LAST) - 1)
    return set(zip(np.bitwise_count(own & ~last).tolist(), np.bitwise_count(own & last).tolist(), strict=True))


def test_each_placing_leaves_its_number_of_signs_free() -> None:
    query = lookup(under(8, USUAL), usual=4, as_is=True)
    numbers = [FREE_AS_IS, *[FREE_USUAL] * 3, *[FREE_RARE] * (len(USUAL) - 4), *[FREE_NEGATIVE] * 4]
    assert [freed(query, h) for h in range(len(numbers))] == [{number} for number in numbers]
    assert (query.free <= ONES).all()
    assert np.array_equal(query.seen[-4:], query.seen[:4])
    assert np.array_equal(query.keys[-4:][query.seen[:4]], (~query.keys[:4] & ONES)[query.seen[:4]])
    assert np.array_equal(query.codes[-4:], ~query.codes[:4])


def test_the_signs_that_are_free_are_those_that_change_first() -> None:
    """Of the same place at another moment, the signs that turned are mostly among the free ones."""
    query, turned, kept = as_it_is(levels(2, 1)), 0, 0
    for moment in range(2, 8):
        keys = keys_of(levels(2, moment))
        for t in np.flatnonzero(query.seen[0] & (keys != NO_KEY)):
            differ = query.keys[0, t] ^ keys[t]
            turned += int(np.bitwise_count(differ & query.free[0, t]))
            kept += int(np.bitwise_count(differ & ~query.free[0, t]))
    assert turned > 4 * kept


def test_few_windows_leave_more_signs_free() -> None:
    strip = levels(9).copy()
    strip[13:] = INVALID
    ((others, last),) = freed(as_it_is(strip), 0)
    assert FREE_AS_IS[0] < others
    assert FREE_AS_IS[1] < last <= LAST


def test_a_window_that_is_hardly_seen_has_no_key() -> None:
    half = levels(10).copy()
    half[32:] = INVALID
    keys = keys_of(half)
    for t, (top, bottom, _, _) in enumerate(WINDOWS):
        if top >= SAMPLES // 2:
            assert keys[t] == NO_KEY
        if bottom <= SAMPLES // 2 - 2:
            assert keys[t] != NO_KEY
    assert (keys_of(np.full_like(half, INVALID)) == NO_KEY).all()


def test_windows_are_the_same_in_a_mirror() -> None:
    mirrored = {(y0, y1, SAMPLES - x1, SAMPLES - x0) for y0, y1, x0, x1 in WINDOWS}
    assert mirrored == set(WINDOWS)
    assert len(mirrored) == KEYS
