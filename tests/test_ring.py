"""The memory in which stills lie for other processes: what is held stays whole, whatever comes and goes beside it."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.ring import Place, Reading, Ring

SIZE, ROOM = 1000, 40


class Opened:
    """A file as it comes to the process that is given it."""

    def __init__(self, file: int) -> None:
        self._file = file

    def detach(self) -> int:
        return os.dup(self._file)


def beside(ring: Ring) -> Reading:
    """The memory as another process sees it."""
    return Reading(Opened(ring._file), SIZE, ROOM)


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 9)), max_size=60))
def test_what_is_held_stays_whole_until_it_is_freed(turns: list[tuple[int, int]]) -> None:
    """Each turn puts so many bytes in, and frees one of those held, in any order."""
    ring, held = Ring(SIZE, ROOM), list[tuple[Place, bytes]]()
    other = beside(ring)
    for number, (size, gone) in enumerate(turns):
        data = bytes([number % 251]) * size
        place = ring.put(data)
        if place is not None:
            held.append((place, data))
            other.say(place.at, place.size, bytes([255 - number % 251]) * ROOM)
        else:
            assert held, "who holds nothing has room for anything"
        for place, data in held:
            assert ring.get(place) == other.get(place.at, place.size) == data
            assert not data or ring.said(place, ROOM) == bytes([255 - data[0]]) * ROOM
        if gone < len(held):
            ring.free(held.pop(gone)[0])
    ring.close()


def test_what_is_larger_than_all_of_it_goes_in_alone_and_its_memory_is_given_back() -> None:
    ring = Ring(SIZE, ROOM)
    small, large, said = os.urandom(10), os.urandom(3 * SIZE), os.urandom(ROOM)
    first = ring.put(small)
    assert first is not None
    assert ring.put(large) is None
    ring.free(first)
    second = ring.put(large)
    assert second is not None
    beside(ring).say(second.at, second.size, said)
    assert (ring.get(second), ring.said(second, ROOM)) == (large, said)
    assert ring.put(small) is None
    ring.free(second)
    assert os.fstat(ring._file).st_size == SIZE
    assert ring.put(small) == Place(0, len(small), ROOM)
    ring.close()


def test_what_would_be_said_over_the_next_still_is_refused() -> None:
    ring = Ring(SIZE, ROOM)
    first, second = ring.put(bytes(10)), ring.put(b"next")
    assert first is not None
    assert second is not None
    with pytest.raises(ValueError, match="room for 40"):
        beside(ring).say(first.at, first.size, bytes(ROOM + 1))
    assert ring.get(second) == b"next"
    ring.close()
