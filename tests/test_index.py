"""The index finds what its stated distance says, no more and no less."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.index import SHORT_BITS, SHORT_SLOPE, VOTES, WORD_BITS, WORD_RADIUS, Index
from models.thumbnail import SIDE

LEVELS = np.zeros((SIDE, SIDE), np.int8)


def words(rng: np.random.Generator, n: int, density: float = 1.0) -> np.ndarray:
    """Random words, each bit set with this density over 2."""
    bits = rng.random((n, 8, 64)) < 0.5 * density
    return np.packbits(bits, axis=-1).view(np.uint64).reshape(n, 8)


def brute(code: np.ndarray, mask: np.ndarray, codes: np.ndarray, masks: np.ndarray, short: bool) -> bool:
    """Whether the stated rule finds a row under any of the hypotheses, said once more in NumPy."""
    for qc, qm in zip(codes, masks, strict=True):
        common = np.bitwise_count(qm & mask).astype(int)
        differ = np.bitwise_count((qc ^ code) & qm & mask).astype(int)
        c, d = int(common.sum()), int(differ.sum())
        if 0.4 * c < d < 0.6 * c:
            continue
        if 2 * d > c:
            differ, d = common - differ, c - d
        votes = int(((common >= WORD_BITS) & (differ <= WORD_RADIUS * common)).sum())
        near = c >= 90 and d <= 0.18 * c
        strip = short and c > SHORT_BITS and d <= SHORT_SLOPE * (c - SHORT_BITS) and d <= 0.18 * c
        if near or strip or votes >= VOTES:
            return True
    return False


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), short=st.booleans(), flips=st.integers(0, 200))
def test_search_equals_brute_force(seed: int, short: bool, flips: int) -> None:
    rng = np.random.default_rng(seed)
    codes, masks = words(rng, 30), words(rng, 30, rng.uniform(0.3, 2.0))
    index = Index()
    rows = [index.insert(c, m, n // 3, 1, LEVELS) for n, (c, m) in enumerate(zip(codes, masks, strict=True))]
    queries, qmasks = codes[:4].copy(), words(rng, 4, 1.6)
    for query in queries:
        for at in rng.integers(0, 512, flips):
            query[at // 64] ^= np.uint64(1) << np.uint64(at % 64)
    queries[1] = ~queries[1]
    found = {f.row for f in index.search(queries, qmasks, skip=[2], standings=[1], radius=0.18, least=90, short=short)}
    expected = {r for n, r in enumerate(rows) if n // 3 != 2 and brute(codes[n], masks[n], queries, qmasks, short)}
    assert found == expected


def test_inserted_row_is_found_by_the_next_search_and_a_removed_one_is_not() -> None:
    rng = np.random.default_rng(3)
    index, full = Index(), np.full((1, 8), 2**64 - 1, np.uint64)
    code = words(rng, 1)
    row = index.insert(code[0], full[0], 5, 1, LEVELS)
    search = {"standings": [1], "radius": 0.1, "least": 90}
    assert [f.row for f in index.search(code, full, skip=[], **search)] == [row]
    assert index.search(code, full, skip=[5], **search) == []
    assert index.search(code, full, skip=[], standings=[2], radius=0.1, least=90) == []
    index.remove(row)
    assert index.search(code, full, skip=[], **search) == []
    assert len(index) == 0


def test_removed_rows_place_is_used_again() -> None:
    rng = np.random.default_rng(4)
    index = Index()
    for _ in range(1000):
        row = index.insert(words(rng, 1)[0], words(rng, 1)[0], 1, 1, LEVELS)
        index.remove(row)
    assert row == 0


def test_thumbnail_comes_back_as_it_was_stored() -> None:
    levels = np.random.default_rng(5).integers(-8, 8, (SIDE, SIDE)).astype(np.int8)
    index = Index()
    for _ in range(70):
        row = index.insert(words(np.random.default_rng(6), 1)[0], words(np.random.default_rng(7), 1)[0], 1, 1, levels)
    assert np.array_equal(index.levels(row), levels)
