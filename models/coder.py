"""The entropy coder of a thumbnail's waves (rANS: J. Duda, arXiv:1311.2540; four states in turn).

Owns the odds of each count of steps, which follow from how strong a wave usually is and how strong its block, and the
bytes: how strong each block is (64 x 4 bits); four states of the coder (4 each) and its words (2 each). Refuses to know
what a step is worth (models/packing.py).
"""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.waves import BLOCKS, WAVES

STRENGTH: Final = np.array(
    (
        (4, 4, 3, 2, 1, 0, -1, -2),
        (4, 2, 1, 1, 0, -1, -2, -3),
        (3, 1, 0, 0, -1, -2, -2, -3),
        (1, 0, 0, -1, -2, -2, -3, -3),
        (0, -1, -1, -2, -2, -3, -3, -4),
        (-1, -2, -2, -2, -3, -3, -4, -4),
        (-2, -2, -3, -3, -3, -4, -4, -5),
        (-3, -3, -3, -4, -4, -4, -5, -5),
    ),
    np.int64,
).ravel()
"""How strong each wave of a block is in steps of its own, in half octaves, down and along; of 12,596 stills."""
WEAKEST: Final = -5
"""Half octaves of the weakest block that is written at all (its number is 1)."""
STRONGEST: Final = 15
"""The greatest number of a block."""
MOST: Final = 63
"""Steps that a wave has at most, either way."""
_SLOTS: Final = 9
"""Odds are counted in this power of two: finer ones saved nothing."""
LEAST: Final = 1 << 16
"""Least state of the coder. It begins with this one, so that bytes that do not end with it are torn."""
CODER: Final = BLOCKS // 2 + 16
"""Bytes in front of the coder's words."""


def _odds() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """For each spread (half octaves, from a mean of 2 ** -3.5 steps on) the slots of each count of steps, from -MOST
    on, above the first of them, (14, 128); and for each slot how many its count has, its place among them, and the
    count, (14, slots).

    The odds are a logistic distribution's, made by what every machine rounds alike: products and square roots.
    """
    odds, slots = np.zeros((14, 2 * MOST + 2), np.uint32), np.zeros((14, 1 << _SLOTS), np.uint32)
    for k in range(14):
        # how the tail falls within 0.6 steps, and within one: 2 ** (-2 x / mean)
        first, fall = (
            (8.186179353966458e-05, 1.543365398008416e-07) if k % 2 == 0 else (1.288581944114155e-03, 2.0**-16)
        )
        for _ in range(k // 2):
            first, fall = sqrt(first), sqrt(fall)
        reach = MOST if k == 13 else min(MOST, max(2, int(np.ceil(5.5 * 2.0 ** ((k - 7) / 2)))))
        above = [1 / (1 + first)]
        for _ in range(reach):
            first *= fall
            above.append(1 / (1 + first))
        share = np.diff([0.5, *above]) / (2 * (above[-1] - 0.5))
        share = np.concatenate([share[:0:-1], 2 * share[:1], share[1:]])
        mine = 1 + np.floor(share * ((1 << _SLOTS) - share.size)).astype(np.int64)
        mine[reach] += (1 << _SLOTS) - mine.sum()
        which = np.arange(MOST - reach, MOST + reach + 1)
        before = np.cumsum(mine) - mine
        odds[k, which] = mine << 16 | before
        slots[k] = np.repeat(mine << 16 | which, mine) | (np.arange(1 << _SLOTS) - np.repeat(before, mine)) << 7
    return odds, slots


_ODDS, _SLOT = (table.ravel() for table in _odds())
_SPREAD: Final = np.clip(STRENGTH + np.arange(STRONGEST + 1)[:, None] + WEAKEST - 1 + 7, 0, 13).astype(np.uint8)
"""By the strength of a block and the wave: which odds."""
_INVERSE: Final = 1 / np.maximum(np.arange(1 << _SLOTS), 1)


@njit(cache=True, nogil=True, error_model="numpy")
def encode(
    counts: NDArray[np.int8], numbers: NDArray[np.int64], at: int, packed: NDArray[np.uint8], words: NDArray[np.uint16]
) -> bool:
    """Write the blocks' strengths and their waves, from the last to the first; False when they do not fit."""
    a = b = c = d = np.int64(LEAST)
    first, place = words.size - (packed.size - at - CODER) // 2, words.size
    flat, spreads = counts.ravel(), _SPREAD.ravel()
    for k in range(BLOCKS - 1, -1, -1):
        if not numbers[k]:
            continue
        row = np.uint64(numbers[k] * WAVES)
        if numbers[k] == STRONGEST and not _told(flat, spreads, k):
            return False
        for group in range(WAVES // 4):
            if place - first < 4:
                return False
            w = np.uint64(WAVES - 1 - 4 * group)
            i = w * np.uint64(BLOCKS) + np.uint64(k)
            d, place = _put(words, place, d, spreads[row + w], flat[i])
            w, i = w - np.uint64(1), i - np.uint64(BLOCKS)
            c, place = _put(words, place, c, spreads[row + w], flat[i])
            w, i = w - np.uint64(1), i - np.uint64(BLOCKS)
            b, place = _put(words, place, b, spreads[row + w], flat[i])
            w, i = w - np.uint64(1), i - np.uint64(BLOCKS)
            a, place = _put(words, place, a, spreads[row + w], flat[i])
    states = (a, b, c, d)
    for k in range(0, BLOCKS, 2):
        packed[at + k // 2] = numbers[k] << 4 | numbers[k + 1]
    at += BLOCKS // 2
    for k in range(4):
        for byte in range(4):
            packed[at] = states[k] >> (8 * byte) & 0xFF
            at += 1
    for k in range(place, words.size):
        packed[at], packed[at + 1] = words[k] & 0xFF, words[k] >> 8
        at += 2
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _told(counts: NDArray[np.int8], spreads: NDArray[np.uint8], k: int) -> bool:
    """Whether a block of the greatest number has odds for all of its waves: it may be stronger than that says."""
    for wave in range(WAVES):
        spread = np.int64(spreads[STRONGEST * WAVES + wave])
        if _ODDS[spread << 7 | np.int64(counts[wave * BLOCKS + k]) + MOST] == 0:
            return False
    return True


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _put(
    words: NDArray[np.uint16], place: int, state: np.int64, spread: np.uint8, count: np.int8
) -> tuple[np.int64, int]:
    """Put one wave before what is written already: the coder's state and place then."""
    odds = np.int64(_ODDS[np.uint64(spread) << np.uint64(7) | np.uint64(np.int64(count) + MOST)])
    mine = odds >> 16
    words[np.uint64(place - 1)] = state & 0xFFFF
    due = int(np.int64(state >> (32 - _SLOTS) >= mine))
    place -= due
    state >>= due << 4
    turns = np.int64((state + 0.5) * _INVERSE[np.uint64(mine)])  # a division, exact for 32 bits
    return (turns << _SLOTS) + state - turns * mine + (odds & 0xFFFF), place


@njit(cache=True, nogil=True, error_model="numpy")
def decode(packed: NDArray[np.uint8], at: int, widths: NDArray[np.float32], bands: NDArray[np.float32]) -> bool:
    """Fill in the waves, whose steps are so wide; False when they are torn. Reads no byte beyond `packed`."""
    a, b, c, d = _state(packed, at, 0), _state(packed, at, 1), _state(packed, at, 2), _state(packed, at, 3)
    waves, spreads = bands.ravel(), _SPREAD.ravel()
    words, word = np.zeros((packed.size - CODER) // 2 + 1, np.uint64), np.uint64(0)
    for k in range((packed.size - at - CODER) // 2):
        low = at + CODER + 2 * k
        words[k] = np.uint64(packed[low]) | np.uint64(packed[low + 1]) << np.uint64(8)
    for k in range(BLOCKS):
        number = np.int64(packed[at + k // 2]) >> (0 if k % 2 else 4) & 15
        if not number:
            for wave in range(WAVES):
                bands[wave, k] = 0
            continue
        first = np.uint64(number * WAVES)
        for wave in range(0, WAVES, 4):
            w, to = np.uint64(wave), np.uint64(wave * BLOCKS + k)
            waves[to], a, word = _next(words, word, a, spreads[first + w], widths[w])
            w, to = w + np.uint64(1), to + np.uint64(BLOCKS)
            waves[to], b, word = _next(words, word, b, spreads[first + w], widths[w])
            w, to = w + np.uint64(1), to + np.uint64(BLOCKS)
            waves[to], c, word = _next(words, word, c, spreads[first + w], widths[w])
            w, to = w + np.uint64(1), to + np.uint64(BLOCKS)
            waves[to], d, word = _next(words, word, d, spreads[first + w], widths[w])
    return bool(a == LEAST and b == LEAST and c == LEAST and d == LEAST)


@njit(cache=True, nogil=True, error_model="numpy")
def _state(packed: NDArray[np.uint8], at: int, which: int) -> np.uint64:
    state = np.uint64(0)
    for byte in range(4):
        state |= np.uint64(packed[at + BLOCKS // 2 + 4 * which + byte]) << np.uint64(8 * byte)
    return state


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _next(
    words: NDArray[np.uint64], place: np.uint64, state: np.uint64, spread: np.uint8, width: np.float32
) -> tuple[np.float32, np.uint64, np.uint64]:
    """One wave, and the coder's state and place behind it. Without a branch: nobody can guess whether a word is due."""
    slot = np.uint64(_SLOT[np.uint64(spread) << np.uint64(_SLOTS) | state & np.uint64((1 << _SLOTS) - 1)])
    state = (slot >> np.uint64(16)) * (state >> np.uint64(_SLOTS)) + (slot >> np.uint64(7) & np.uint64(511))
    due = np.uint64(state < np.uint64(LEAST))
    state = state << (due << np.uint64(4)) | (words[place] & (np.uint64(0) - due))
    place = min(place + due, np.uint64(words.size - 1))
    return np.float32(np.int32(slot & np.uint64(127)) - np.int32(MOST)) * width, state, place
