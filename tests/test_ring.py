"""The memory in which stills lie for other processes: what is held stays whole, whatever comes and goes beside it."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from streams.ring import Place, Ring

SIZE = 1000


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 9)), max_size=60))
def test_what_is_held_stays_whole_until_it_is_freed(turns: list[tuple[int, int]]) -> None:
    """Each turn puts so many bytes in, and frees one of those held, in any order."""
    ring, held = Ring(SIZE), list[tuple[Place, bytes]]()
    for number, (size, gone) in enumerate(turns):
        data = bytes([number % 251]) * size
        place = ring.put(data)
        if place is not None:
            held.append((place, data))
        else:
            assert held, "who holds nothing has room for anything"
        assert all(ring.get(place) == data for place, data in held)
        if gone < len(held):
            ring.free(held.pop(gone)[0])
    ring.close()


def test_what_is_larger_than_all_of_it_goes_in_alone_and_its_memory_is_given_back() -> None:
    ring = Ring(SIZE)
    small, large = os.urandom(10), os.urandom(3 * SIZE)
    first = ring.put(small)
    assert first is not None
    assert ring.put(large) is None
    ring.free(first)
    second = ring.put(large)
    assert second is not None
    assert ring.get(second) == large
    assert ring.put(small) is None
    ring.free(second)
    assert os.fstat(ring._file).st_size == SIZE
    assert ring.put(small) == Place(0, len(small))
    ring.close()
