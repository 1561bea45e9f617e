"""From the key of a thing to its number: flat, some twenty bytes an entry, for tens of millions of them.

Owns the table, which is two arrays that can be written to a file and used where they lie. Refuses to know what keys
stand for: two things may have one key, so that who asks is given each number under it and looks what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

NONE: Final = -(1 << 31)
"""No number: an empty place, and what is found where there is nothing more."""
_ROOM: Final = 1024
"""Places of an empty table; always a power of two."""
_FULL: Final = 0.75
"""Share of the places in use from which on the table is doubled: a search then looks at two or three places."""


def key_of(id_: str) -> int:
    """The key of an id: 64 bits of BLAKE2b, signed."""
    return int.from_bytes(blake2b(id_.encode(), digest_size=8).digest(), "little", signed=True)


@njit(cache=True, nogil=True)
def _nth(keys: NDArray[np.int64], numbers: NDArray[np.int32], key: int, n: int) -> int:
    """The nth number under a key, from 0 on; NONE where there are fewer."""
    at = key & (keys.size - 1)
    while numbers[at] != NONE:
        if keys[at] == key:
            if n == 0:
                return int(numbers[at])
            n -= 1
        at = (at + 1) & (keys.size - 1)
    return NONE


@njit(cache=True, nogil=True)
def _insert(keys: NDArray[np.int64], numbers: NDArray[np.int32], key: int, number: int) -> None:
    at = key & (keys.size - 1)
    while numbers[at] != NONE:
        at = (at + 1) & (keys.size - 1)
    keys[at], numbers[at] = key, number


@njit(cache=True, nogil=True)
def _remove(keys: NDArray[np.int64], numbers: NDArray[np.int32], key: int, number: int) -> bool:
    """Take an entry out and move those behind it up, so that none lies behind a gap; whether it was there."""
    last = keys.size - 1
    at = key & last
    while numbers[at] != number or keys[at] != key:
        if numbers[at] == NONE:
            return False
        at = (at + 1) & last
    behind = (at + 1) & last
    while numbers[behind] != NONE:
        if (behind - keys[behind]) & last >= (behind - at) & last:
            keys[at], numbers[at] = keys[behind], numbers[behind]
            at = behind
        behind = (behind + 1) & last
    numbers[at] = NONE
    return True


@njit(cache=True, nogil=True)
def _extend(
    keys: NDArray[np.int64], numbers: NDArray[np.int32], new: NDArray[np.int64], given: NDArray[np.int32]
) -> None:
    for k in range(new.size):
        if given[k] != NONE:
            _insert(keys, numbers, new[k], given[k])


class Places:
    """A table from keys to numbers above `NONE`. The same entry given twice is there twice."""

    def __init__(self) -> None:
        self._keys, self._numbers = _empty(_ROOM)
        self._used = 0

    @classmethod
    def of(cls, keys: NDArray[np.int64], numbers: NDArray[np.int32]) -> Places:
        """The table that `parts` gave; it is used where it lies. Raises ValueError."""
        if keys.dtype != np.int64 or numbers.dtype != np.int32 or keys.shape != numbers.shape:
            raise ValueError(f"a table of {keys.dtype} {keys.shape} and {numbers.dtype} {numbers.shape}")
        made = cls()
        made._keys, made._numbers = keys, numbers
        made._used = int(np.count_nonzero(numbers != NONE))
        if keys.size < _ROOM or keys.size & (keys.size - 1) or made._used > _FULL * keys.size:
            raise ValueError(f"a table of {keys.size} places with {made._used} entries")
        return made

    def parts(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Copies of the two arrays."""
        return self._keys.copy(), self._numbers.copy()

    def __len__(self) -> int:
        return self._used

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return self._keys.nbytes + self._numbers.nbytes

    def under(self, key: int) -> Iterator[int]:
        """Each number under a key; as a rule one or none."""
        n = 0
        while (number := _nth(self._keys, self._numbers, key, n)) != NONE:
            yield number
            n += 1

    def insert(self, key: int, number: int) -> None:
        """Enter a number under a key."""
        self._reserve(self._used + 1)
        _insert(self._keys, self._numbers, key, number)
        self._used += 1

    def extend(self, keys: NDArray[np.int64], numbers: NDArray[np.int32]) -> None:
        """Enter many."""
        self._reserve(self._used + len(keys))
        _extend(self._keys, self._numbers, keys, numbers)
        self._used += len(keys)

    def remove(self, key: int, number: int) -> None:
        """Take an entry out; nothing happens where it is not there."""
        self._used -= _remove(self._keys, self._numbers, key, number)

    def renumber(self, numbers: NDArray[np.int64]) -> None:
        """Give each entry from 0 on the number that stands at its place."""
        counted = self._numbers >= 0
        self._numbers[counted] = numbers[self._numbers[counted]]

    def _reserve(self, entries: int) -> None:
        size = self._keys.size
        while entries > _FULL * size:
            size *= 2
        if size > self._keys.size:
            keys, numbers = _empty(size)
            _extend(keys, numbers, self._keys, self._numbers)
            self._keys, self._numbers = keys, numbers


def _empty(size: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    return np.zeros(size, np.int64), np.full(size, NONE, np.int32)
