"""The index finds what its stated rule says, no more and no less, while it grows, shrinks and is read by many."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import still

from models.bucket import NO_KEY
from models.code import Hypotheses, code_of, fine_of, hypotheses
from models.distance import SHORT_BITS, SHORT_SLOPE, VOTES, WORD_BITS, WORD_PART
from models.index import FREE, LOOSE_RADIUS, LOOSE_WORDS, Index
from models.keys import BITS, KEYS, Lookup, as_it_is, keys_of, lookup
from models.packing import pack, unpack
from models.placing import RARE, USUAL
from models.thumbnail import INVALID, SIDE

LEVELS = np.zeros((SIDE, SIDE), np.int8)
ALL = (0, 1, 2, 3)


@lru_cache(maxsize=128)
def rendered(seed: int, moment: int = 0) -> np.ndarray:
    """The thumbnail of a drawn place."""
    found = still(seed, moment).fingerprint
    assert found is not None
    return found.levels


def noise(seed: int) -> np.ndarray:
    """A thumbnail of nothing but noise, cheaper than a drawn place and as unlike all others."""
    coarse = np.random.default_rng(seed).normal(0, 3.5, (16, 16)).repeat(4, 0).repeat(4, 1)
    return np.clip(coarse, -7, 7).astype(np.int8)


@lru_cache(maxsize=4096)
def kept(seed: int) -> np.ndarray:
    """What packing leaves of such a thumbnail."""
    return pack(noise(seed))[1]


def put(index: Index, levels: np.ndarray, camera: int = 1, standing: int = 1) -> int:
    """Insert what packing leaves of a thumbnail."""
    packed, left = pack(levels)
    return index.insert(*code_of(left), camera, standing, packed)


def words(rng: np.random.Generator, n: int, density: float = 1.0) -> np.ndarray:
    """Random words, each bit set with this density over 2."""
    bits = rng.random((n, 8, 64)) < 0.5 * density
    return np.packbits(bits, axis=-1).view(np.uint64).reshape(n, 8)


def under(levels: np.ndarray, placings: np.ndarray) -> Hypotheses:
    """A still under these placings."""
    return hypotheses(fine_of(levels), placings)


def shares(query: Lookup, keys: np.ndarray, code: np.ndarray, mask: np.ndarray) -> bool:
    """Whether a scene shares a key with the query and agrees loosely: the rule, said once more in NumPy."""
    for h, t in np.argwhere(query.seen & (keys != NO_KEY)[None]):
        if (int(query.keys[h, t]) ^ int(keys[t])) & ~int(query.free[h, t]):
            continue
        common = np.bitwise_count(query.masks[h] & mask).astype(int)
        differ = np.bitwise_count((query.codes[h] ^ code) & query.masks[h] & mask).astype(int)
        votes = int(((common >= WORD_BITS) & (WORD_PART * differ <= common)).sum())
        c = int(common.sum())
        if c > SHORT_BITS and (int(differ.sum()) <= LOOSE_RADIUS * c or votes >= LOOSE_WORDS):
            return True
    return False


def near(code: np.ndarray, mask: np.ndarray, codes: np.ndarray, masks: np.ndarray, short: bool) -> bool:
    """Whether the stated distance finds a row under any of the hypotheses, said once more in NumPy."""
    for qc, qm in zip(codes, masks, strict=True):
        common = np.bitwise_count(qm & mask).astype(int)
        differ = np.bitwise_count((qc ^ code) & qm & mask).astype(int)
        c, d = int(common.sum()), int(differ.sum())
        if 0.4 * c < d < 0.6 * c:
            continue
        if 2 * d > c:
            differ, d = common - differ, c - d
        votes = int(((common >= WORD_BITS) & (WORD_PART * differ <= common)).sum())
        strip = short and c > SHORT_BITS and d <= SHORT_SLOPE * (c - SHORT_BITS) and d <= 0.18 * c
        if (c >= 90 and d <= 0.18 * c) or strip or votes >= VOTES:
            return True
    return False


# --- what is found ---------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), kind=st.sampled_from(["usual", "rare", "as it is"]), gone=st.integers(0, 20))
def test_candidates_are_the_scenes_that_share_a_key(seed: int, kind: str, gone: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = [rendered(n, m) for n in range(12) for m in (0, 1)] + [noise(1000 * seed + n) for n in range(40)]
    for levels in scenes[::5]:  # some see but a part of their window
        levels = levels.copy()
        levels[int(rng.integers(8, 60)) :] = INVALID
        scenes.append(levels)
    index = Index()
    rows = [put(index, levels, camera=n % 9, standing=n % 4) for n, levels in enumerate(scenes)]
    taken = set(rng.choice(rows, gone, replace=False).tolist())
    for row in taken:
        index.remove(row)
    levels = rendered(int(rng.integers(0, 14)), 7).copy()
    levels[int(rng.integers(20, 65)) :] = INVALID
    query = as_it_is(levels) if kind == "as it is" else lookup(under(levels, USUAL if kind == "usual" else RARE[:20]))
    found = index.candidates(query, skip=[3, 5], standings=[1, 2])
    wanted = [r for r in rows if r not in taken and r % 9 not in (3, 5) and r % 4 in (1, 2)]
    wanted = [r for r in wanted if shares(query, keys_of(scenes[r]), *code_of(scenes[r]))]
    assert found.tolist() == wanted


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), free=st.integers(0, 8), values=st.sampled_from([2, 1 << 6, 1 << BITS]))
def test_candidates_of_random_keys_equal_brute_force(seed: int, free: int, values: int) -> None:
    rng, n, placings = np.random.default_rng(seed), 300, 3
    codes, masks = words(rng, n), words(rng, n, 1.4)
    keys = rng.integers(0, values, (KEYS, n)).astype(np.uint32)
    keys[rng.random(keys.shape) < 0.3] = NO_KEY
    index = Index()
    index.extend(codes, masks, np.zeros(n, np.int32), np.ones(n, np.uint8), None, keys)
    like = rng.integers(0, n, placings)
    asked = np.where(keys[:, like].T == NO_KEY, np.uint32(1), keys[:, like].T) ^ np.uint32(1 << int(rng.integers(0, 6)))
    open_ = np.argsort(rng.random((placings, KEYS, BITS)))[:, :, :free].astype(np.uint32)
    query = Lookup(
        asked,
        np.bitwise_or.reduce(np.uint32(1) << open_, axis=2, initial=0),
        rng.random((placings, KEYS)) < 0.8,
        codes[like],
        words(rng, placings, 1.8),
    )
    wanted = [r for r in range(n) if shares(query, keys[:, r], codes[r], masks[r])]
    assert index.candidates(query, skip=[], standings=[1]).tolist() == wanted


@pytest.mark.parametrize("seed", range(3))
def test_candidates_equal_brute_force_where_some_buckets_are_divided_and_others_not(seed: int) -> None:
    """The sign that tells two halves of a divided bucket apart is free."""
    rng, n, placings = np.random.default_rng(seed), 150_000, 4
    keys = np.full((KEYS, n), NO_KEY, np.uint32)
    keys[0] = rng.integers(0, 1 << BITS, n)
    code, ones = words(rng, 1), np.full((1, 8), ~np.uint64(0))
    index = Index()
    index.extend(code.repeat(n, 0), ones.repeat(n, 0), np.zeros(n, np.int32), np.ones(n, np.uint8), None, keys)
    asked, free = np.zeros((placings, KEYS), np.uint32), np.zeros((placings, KEYS), np.uint32)
    seen = np.zeros((placings, KEYS), np.bool_)
    asked[:, 0], seen[:, 0] = rng.integers(0, 1 << BITS, placings), True
    free[:, 0] = 1 << 13 | np.uint32((1 << BITS) - (1 << BITS - 12))
    query = Lookup(asked, free, seen, code.repeat(placings, 0), ones.repeat(placings, 0))
    wanted = ((keys[0] ^ asked[:, :1]) & ~free[:, :1] == 0).any(axis=0)
    assert 1 << 13 < int(index.parts()["buckets"][0, 0]) < 1 << 14
    assert index.candidates(query, skip=[], standings=[1]).tolist() == np.flatnonzero(wanted).tolist()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), short=st.booleans(), flips=st.integers(0, 200))
def test_match_equals_the_stated_distance(seed: int, short: bool, flips: int) -> None:
    rng = np.random.default_rng(seed)
    codes, masks = words(rng, 30), words(rng, 30, rng.uniform(0.3, 2.0))
    index = Index()
    rows = [index.insert(c, m, 1, 1, pack(LEVELS)[0]) for c, m in zip(codes, masks, strict=True)]
    queries, qmasks = codes[:4].copy(), words(rng, 4, 1.6)
    for query in queries:
        for at in rng.integers(0, 512, flips):
            query[at // 64] ^= np.uint64(1) << np.uint64(at % 64)
    queries[1] = ~queries[1]
    found = [f.row for f in index.match(rows[::-1], queries, qmasks, radius=0.18, least=90, short=short)]
    assert found == [r for r in rows[::-1] if near(codes[r], masks[r], queries, qmasks, short)]


def test_thousands_of_scenes_that_are_the_same_are_all_found() -> None:
    levels, other = rendered(1), rendered(2)
    n, (code, mask) = 6000, code_of(levels)
    index = Index()
    put(index, other)
    keys = np.broadcast_to(keys_of(levels)[:, None], (KEYS, n))
    same = index.extend(
        np.broadcast_to(code, (n, 8)),
        np.broadcast_to(mask, (n, 8)),
        np.full(n, 1, np.int32),
        np.full(n, 1, np.uint8),
        None,
        keys,
    )
    assert index.candidates(as_it_is(levels), skip=[], standings=[1]).tolist() == list(same)
    for row in same[::2]:
        index.remove(row)
    assert index.candidates(as_it_is(levels), skip=[], standings=[1]).tolist() == list(same[1::2])
    assert index.candidates(as_it_is(other), skip=[], standings=[1]).tolist() == [0]


def test_scenes_inserted_one_by_one_are_found_as_those_inserted_at_once() -> None:
    scenes = [noise(n) for n in range(400)]
    one, many = Index(), Index()
    for n, levels in enumerate(scenes):
        put(one, levels, camera=n)
    left = [pack(levels)[1] for levels in scenes]
    codes, masks = (np.array(part) for part in zip(*map(code_of, left), strict=True))
    many.extend(
        codes,
        masks,
        np.arange(400, dtype=np.int32),
        np.ones(400, np.uint8),
        np.array([pack(levels)[0] for levels in scenes]),
        np.array([keys_of(levels) for levels in left]).T,
    )
    for levels in [*scenes[::20], noise(999)]:
        query = lookup(under(levels, USUAL), usual=1, as_is=True)
        assert np.array_equal(*(i.candidates(query, skip=[7], standings=[1]) for i in (one, many)))
    assert all(np.array_equal(one.levels(n), many.levels(n)) for n in range(0, 400, 17))


def test_inserted_scene_is_found_by_the_next_search_and_a_removed_one_is_not() -> None:
    index, levels = Index(), rendered(3)
    query = as_it_is(rendered(3, 1))
    row = put(index, levels, camera=5)
    assert index.candidates(query, skip=[], standings=[1]).tolist() == [row]
    assert index.candidates(query, skip=[2, 5, 9], standings=[1]).size == 0
    assert index.candidates(query, skip=[], standings=[0, 2]).size == 0
    index.restand(row, 2)
    assert index.candidates(query, skip=[], standings=[0, 2]).tolist() == [row]
    index.remove(row)
    assert index.candidates(query, skip=[], standings=ALL).size == 0
    assert index.rows(skip=[], standings=ALL).size == 0
    assert len(index) == 0


def test_thumbnail_comes_back_as_it_was_stored() -> None:
    levels = np.random.default_rng(5).integers(-8, 8, (SIDE, SIDE)).astype(np.int8)
    index = Index()
    for _ in range(70):
        row = put(index, levels)
    assert np.array_equal(index.levels(row), pack(levels)[1])


def test_thumbnail_that_is_removed_while_it_is_read_shows_nothing() -> None:
    index = Index()
    row = put(index, noise(1))
    thumb = index.parts()["thumbs.0"][row]
    thumb[400:] = 0
    with pytest.raises(ValueError, match="torn"):
        unpack(thumb)
    assert (index.levels(row) == INVALID).all()
    index.remove(row)
    assert (index.levels(row) == INVALID).all()


# --- rows that are used again, and rows that are given back ----------------------------------------------


def test_removed_rows_place_is_used_again_unless_somebody_reads() -> None:
    index = Index()
    first = put(index, noise(1))
    index.remove(first)
    assert put(index, noise(2)) == first
    with index.reading():
        index.remove(first)
        second = put(index, noise(3))
        assert second != first
        with index.reading():  # began after the removal, but the older one still runs
            assert put(index, noise(4)) not in (first, second)
    assert put(index, noise(5)) == first


def compacted(index: Index, rows: Sequence[int]) -> dict[int, int]:
    """Remove rows, compact, and give the new numbers of the others."""
    for row in rows:
        index.remove(row)
    numbers = index.compact()
    assert numbers is not None
    return {old: int(new) for old, new in enumerate(numbers) if new != FREE}


def test_compacted_index_finds_the_same_scenes() -> None:
    index, scenes = Index(), [noise(n) for n in range(1800)]
    for n, levels in enumerate(scenes):
        put(index, levels, camera=n)
    stay = range(0, 1800, 3)
    before = {n: index.candidates(as_it_is(kept(n)), skip=[], standings=ALL) for n in stay[::20]}
    numbers = compacted(index, [n for n in range(1800) if n not in stay])
    assert sorted(numbers) == list(stay)
    assert len(index) == len(stay)
    for n, rows in before.items():
        found = index.candidates(as_it_is(kept(n)), skip=[], standings=ALL)
        assert found.tolist() == [numbers[row] for row in rows.tolist() if row in numbers]
        assert np.array_equal(index.levels(numbers[n]), kept(n))
    assert put(index, noise(5000)) == len(stay)


def test_nothing_is_renumbered_while_somebody_reads_or_for_a_few_gaps() -> None:
    index = Index()
    rows = [put(index, noise(n)) for n in range(1500)]
    assert index.compact() is None
    for row in rows[:1400]:
        index.remove(row)
    with index.reading():
        assert index.compact() is None
    assert index.compact() is not None


def test_memory_is_given_back_when_scenes_go() -> None:
    rng, n, empty = np.random.default_rng(8), 40_000, sum(Index().nbytes)
    keys = rng.integers(0, 1 << BITS, (KEYS, n)).astype(np.uint32)
    index = Index()
    tracemalloc.start()
    index.extend(words(rng, n), words(rng, n), np.ones(n, np.int32), np.ones(n, np.uint8), None, keys)
    held, full = tracemalloc.get_traced_memory()[0], sum(index.nbytes)
    compacted(index, range(2000, n))
    gc.collect()
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert sum(index.nbytes) - empty < 0.1 * (full - empty)
    assert left - empty < 0.2 * held  # the tables of an empty index are made anew


# --- many readers beside one writer ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_readers_find_what_was_there_when_they_began_and_nothing_that_was_gone(seed: int) -> None:
    """Each thumbnail stands for one scene, which comes and goes many times and has several rows at once."""
    rng, index = np.random.default_rng(seed), Index()
    scenes = [noise(10_000 * (seed + 1) + n) for n in range(60)]
    left = [pack(levels)[1] for levels in scenes]
    queries = [as_it_is(levels) for levels in left]
    coming, came, going, gone = ([0] * len(scenes) for _ in range(4))
    stop, failures = Event(), list[str]()

    def read(seed: int) -> int:
        own, searches = np.random.default_rng(seed), 0
        while not stop.is_set():
            n = int(own.integers(0, len(scenes)))
            with index.reading():
                there, over = came[n], gone[n]
                found = index.candidates(queries[n], skip=[], standings=ALL).tolist()
                mine = sum(np.array_equal(index.levels(row), left[n]) for row in found)
                most, fewest = coming[n] - over, there - going[n]
            if not fewest <= mine <= most:
                failures.append(f"scene {n}: found {mine}, at least {fewest} and at most {most} were there")
            searches += 1
        return searches

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read, 7 * seed + k) for k in range(2)]
        standing: list[tuple[int, int]] = []
        for step in range(4000):
            n = int(rng.integers(0, len(scenes)))
            shrinking = step % 1500 > 1000
            if standing and (shrinking or rng.random() < 0.3):
                n, row = standing.pop(int(rng.integers(0, len(standing))))
                going[n] += 1
                index.remove(row)
                gone[n] += 1
                if not step % 50 and (numbers := index.compact()) is not None:
                    standing = [(n, int(numbers[row])) for n, row in standing]
            else:
                coming[n] += 1
                row = put(index, scenes[n], camera=n)
                came[n] += 1
                standing.append((n, row))
        stop.set()
        assert all(reader.result() > 0 for reader in readers)
    assert failures == []


# --- buffers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 300, 4096, 4200])
def test_index_goes_on_from_its_buffers(count: int) -> None:
    index = Index()
    scenes = {put(index, noise(n), camera=n, standing=n % 4): n for n in range(count)}
    for row in list(scenes)[::7]:
        index.remove(row)
        del scenes[row]
    again = Index.of({name: part.copy() for name, part in index.parts().items()})
    assert len(again) == len(scenes)
    for row, n in list(scenes.items())[::40]:
        query = as_it_is(kept(n))
        assert row in again.candidates(query, skip=[], standings=[n % 4])
        without = again.candidates(query, skip=[n], standings=[n % 4])
        assert row not in without
        assert np.array_equal(without, index.candidates(query, skip=[n], standings=[n % 4]))
        assert np.array_equal(again.levels(row), index.levels(row))
    assert again.genuine()
    new = [put(again, noise(90_000 + n), camera=1) for n in range(50)]
    assert not set(new) & set(scenes)
    for n, row in enumerate(new):
        assert row in again.candidates(as_it_is(kept(90_000 + n)), skip=[], standings=ALL)


def test_buffers_of_other_shapes_are_refused() -> None:
    index = Index()
    put(index, noise(1))
    parts = index.parts()
    with pytest.raises(ValueError, match="bits"):
        Index.of(parts | {"bits": parts["bits"][:, :8]})
    with pytest.raises(ValueError, match="keys"):
        Index.of(parts | {"keys": parts["keys"][:5]})


def test_codes_that_are_not_those_of_the_thumbnails_are_not_genuine() -> None:
    index = Index()
    for n in range(40):
        put(index, noise(n))
    assert index.genuine()
    parts = index.parts()
    parts["bits"][:] ^= np.uint64(1)
    assert not Index.of(parts).genuine()


def test_cameras_and_standings_are_assigned_at_once() -> None:
    index = Index()
    rows = [put(index, noise(n), camera=n) for n in range(6)]
    index.assign(np.array([10, 11, FREE, 13, 14, FREE], np.int32), np.array([2, 1, 0, 1, 1, 0], np.uint8))
    assert index.rows(skip=[11], standings=[1, 2]).tolist() == [rows[0], rows[3], rows[4]]
    assert index.candidates(as_it_is(kept(2)), skip=[], standings=ALL).size == 0
    assert len(index) == 4
