"""The packed thumbnail: 64x64 levels in `PACKED` bytes, whatever they show, and what these bytes give back.

Owns the byte form, and how much of a thumbnail is given up to fit into it. Refuses to compare. What is hidden is kept
exactly. The levels are kept as the waves (cosine transform) of blocks of 8x8 cells, in steps that are as fine as fit,
twice as wide for the finest wave as for the coarsest; docs/decisions/packing.md says what that costs. The waves are
written by an entropy coder (rANS: J. Duda, arXiv:1311.2540; four states in turn), under odds that follow from how
strong a wave usually is and how strong its block.

The bytes, integers little-endian: the step, from 1 on (0: nothing is seen); how many bytes tell what is hidden (2), and
these: lengths of runs in which a cell is, and then is not, hidden as the one above it, in Elias' gamma code; how strong
each block is (64 x 4 bits); four states of the coder (4 each) and its words (2 each); zeros.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.lanes import popcount
from models.thumbnail import INVALID, SIDE

PACKED: Final = 868
"""Bytes of a packed thumbnail: with a scene's keys and its id less than a kilobyte."""
BLOCK: Final = 8
"""Cells a side of a block."""
BLOCKS: Final = (SIDE // BLOCK) ** 2
WAVES: Final = BLOCK * BLOCK
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
STEPS: Final = 80
"""Steps in all: the last one leaves nothing but what is hidden, so that everything fits."""
_FINEST: Final = np.float32(0.4)
_A_DOUBLING: Final = 10
_STEP: Final = (_FINEST * 2.0 ** (np.arange(STEPS) / _A_DOUBLING)).astype(np.float32)
"""Levels in a step of the coarsest wave: from the finest on, so many steps to twice as wide a one."""
_WIDE: Final = (1 + np.add.outer(np.arange(BLOCK), np.arange(BLOCK)) / (2 * BLOCK - 2)).astype(np.float32).ravel()
"""How much wider the steps of each wave are."""
_ROUND: Final = np.float32(0.4)
"""Share of a step that is added before the rest is cut off. Less than a half: the least costs more than it is worth."""
_WEAKEST: Final = -5
"""Half octaves of the weakest block that is written at all (its number is 1)."""
_BITS: Final = np.array((0, 11, 21, 35, 53, 77, 104, 130, 153, 172, 200, 225, 250, 275, 300, 325), np.float32)
"""Bits that a block of each number takes, measured on the same stills, and a fortieth more: one still in six takes more
than its blocks add up to, and is written again in the next wider step."""
_PEAK: Final = np.float32(4.5)
"""Times a block's strength that its strongest wave may have: so many the odds still allow for."""
_MOST: Final = 63
"""Steps that a wave has at most, either way."""
_SLOTS: Final = 9
"""Odds are counted in this power of two: finer ones saved nothing."""
_LEAST: Final = 1 << 16
"""Least state of the coder. It begins with this one, so that bytes that do not end with it are torn."""
_HEAD: Final = 3
_CODER: Final = BLOCKS // 2 + 16
"""Bytes in front of the coder's words."""
_WORDS: Final = (PACKED - _HEAD - _CODER) // 2
"""Words of the coder at most."""


def _odds() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """For each spread (half octaves, from a mean of 2 ** -3.5 steps on) the slots of each count of steps, from -_MOST
    on, above the first of them, (14, 128); and for each slot how many its count has, its place among them, and the
    count, (14, slots).

    The odds are a logistic distribution's, made by what every machine rounds alike: products and square roots.
    """
    odds, slots = np.zeros((14, 2 * _MOST + 2), np.uint32), np.zeros((14, 1 << _SLOTS), np.uint32)
    for k in range(14):
        # how the tail falls within 0.6 steps, and within one: 2 ** (-2 x / mean)
        first, fall = (
            (8.186179353966458e-05, 1.543365398008416e-07) if k % 2 == 0 else (1.288581944114155e-03, 2.0**-16)
        )
        for _ in range(k // 2):
            first, fall = sqrt(first), sqrt(fall)
        reach = _MOST if k == 13 else min(_MOST, max(2, int(np.ceil(5.5 * 2.0 ** ((k - 7) / 2)))))
        above = [1 / (1 + first)]
        for _ in range(reach):
            first *= fall
            above.append(1 / (1 + first))
        share = np.diff([0.5, *above]) / (2 * (above[-1] - 0.5))
        share = np.concatenate([share[:0:-1], 2 * share[:1], share[1:]])
        mine = 1 + np.floor(share * ((1 << _SLOTS) - share.size)).astype(np.int64)
        mine[reach] += (1 << _SLOTS) - mine.sum()
        which = np.arange(_MOST - reach, _MOST + reach + 1)
        before = np.cumsum(mine) - mine
        odds[k, which] = mine << 16 | before
        slots[k] = np.repeat(mine << 16 | which, mine) | (np.arange(1 << _SLOTS) - np.repeat(before, mine)) << 7
    return odds, slots


_ODDS, _SLOT = (table.ravel() for table in _odds())
_SPREAD: Final = np.clip(STRENGTH + np.arange(16)[:, None] + _WEAKEST - 1 + 7, 0, 13).astype(np.uint8)
"""By the strength of a block and the wave: which odds."""
_COSINES: Final = np.array(
    [
        [np.cos(np.pi * k * (n + 0.5) / BLOCK) * np.sqrt((2 if k else 1) / BLOCK) for n in range(4)]
        for k in range(BLOCK)
    ],
    np.float32,
)
"""The transform's first half; the other one is the same, with the sign turned in every second wave."""
_USUAL: Final = (1 / (2.0 ** (STRENGTH / 2) * _WIDE)).astype(np.float32)
_INVERSE: Final = 1 / np.maximum(np.arange(1 << _SLOTS), 1)
_HALF: Final = np.float32(0.5)
_NOTHING: Final = np.float32(1e-9)


@njit(cache=True, nogil=True, error_model="numpy")
def _forward(bands: NDArray[np.float32]) -> None:
    """Cells to waves, in place: 64 blocks side by side, (cell of a block, block)."""
    f = bands.ravel()
    for axis in range(2):
        apart, beside = (BLOCKS, BLOCK * BLOCKS) if axis else (BLOCK * BLOCKS, BLOCKS)
        for line in range(BLOCK):
            for i in range(line * beside, line * beside + BLOCKS):
                a0, a1, a2, a3 = f[i], f[i + apart], f[i + 2 * apart], f[i + 3 * apart]
                b0, b1, b2, b3 = f[i + 7 * apart], f[i + 6 * apart], f[i + 5 * apart], f[i + 4 * apart]
                s0, s1, s2, s3, d0, d1, d2, d3 = a0 + b0, a1 + b1, a2 + b2, a3 + b3, a0 - b0, a1 - b1, a2 - b2, a3 - b3
                for k in range(0, BLOCK, 2):
                    c, d = _COSINES[k], _COSINES[k + 1]
                    f[i + k * apart] = c[0] * s0 + c[1] * s1 + c[2] * s2 + c[3] * s3
                    f[i + k * apart + apart] = d[0] * d0 + d[1] * d1 + d[2] * d2 + d[3] * d3


@njit(cache=True, nogil=True, error_model="numpy")
def _backward(bands: NDArray[np.float32]) -> None:
    """Waves to cells, in place."""
    f = bands.ravel()
    for axis in range(2):
        apart, beside = (BLOCKS, BLOCK * BLOCKS) if axis else (BLOCK * BLOCKS, BLOCKS)
        for line in range(BLOCK):
            for i in range(line * beside, line * beside + BLOCKS):
                a0, a1, a2, a3 = f[i], f[i + 2 * apart], f[i + 4 * apart], f[i + 6 * apart]
                b0, b1, b2, b3 = f[i + apart], f[i + 3 * apart], f[i + 5 * apart], f[i + 7 * apart]
                for n in range(4):
                    even = _COSINES[0, n] * a0 + _COSINES[2, n] * a1 + _COSINES[4, n] * a2 + _COSINES[6, n] * a3
                    odd = _COSINES[1, n] * b0 + _COSINES[3, n] * b1 + _COSINES[5, n] * b2 + _COSINES[7, n] * b3
                    f[i + n * apart] = even + odd
                    f[i + (7 - n) * apart] = even - odd


@njit(cache=True, nogil=True, error_model="numpy")
def _blocks(levels: NDArray[np.int8], bands: NDArray[np.float32], seen: NDArray[np.bool_]) -> bool:
    """Fill `bands` (cell of a block, block), hidden cells with their block's mean, and which blocks are seen at all;
    whether anything is hidden."""
    cells, waves, hidden = levels.ravel(), bands.ravel(), 0
    turned = np.empty(WAVES * BLOCKS, np.int8)
    for at in range(SIDE * SIDE):
        hidden += cells[at] == INVALID
    for y in range(SIDE):
        for i in range(BLOCK):
            first = (y & 7) * BLOCK * BLOCKS + (y >> 3) * BLOCK + i
            for x in range(BLOCK):
                turned[first + x * BLOCKS] = cells[y * SIDE + i * BLOCK + x]
    for at in range(WAVES * BLOCKS):
        waves[at] = np.float32(turned[at])
    seen[:] = True
    if not hidden:
        return False
    nothing = np.float32(INVALID)
    for k in range(BLOCKS):
        total, count = np.float32(0), 0
        for cell in range(WAVES):
            if bands[cell, k] != nothing:
                total += bands[cell, k]
                count += 1
        seen[k] = count > 0
        for cell in range(WAVES):
            if bands[cell, k] == nothing:
                bands[cell, k] = total / np.float32(max(count, 1))
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _cells(bands: NDArray[np.float32], levels: NDArray[np.int8], hidden: NDArray[np.bool_]) -> None:
    """Fill `levels` with what the waves give back."""
    _backward(bands)
    waves, cells, gone = bands.ravel(), levels.ravel(), hidden.ravel()
    rounded = np.empty(WAVES * BLOCKS, np.int8)
    for at in range(WAVES * BLOCKS):
        value = min(max(waves[at], np.float32(-7)), np.float32(7))
        rounded[at] = np.int8(np.int32(value + np.float32(8.5)) - np.int32(8))
    for y in range(SIDE):
        for i in range(BLOCK):
            first = (y & 7) * BLOCK * BLOCKS + (y >> 3) * BLOCK + i
            for x in range(BLOCK):
                cells[y * SIDE + i * BLOCK + x] = rounded[first + x * BLOCKS]
    for at in range(SIDE * SIDE):
        cells[at] = np.int8(INVALID) if gone[at] else cells[at]


@njit(cache=True, nogil=True, error_model="numpy")
def _write_hidden(levels: NDArray[np.int8], packed: NDArray[np.uint8]) -> int:
    """Write what is hidden; where it ends. At most 3 bits for two cells."""
    above, run, last, bits = np.uint64(0), 1, np.uint64(0), 0
    for y in range(SIDE):
        row = np.uint64(0)
        for x in range(SIDE):
            row |= np.uint64(levels[y, x] == INVALID) << np.uint64(x)
        differs, above, x = row ^ above, row, 0
        # `turns` has a bit wherever a cell is not as the one before it
        turns = differs ^ (differs << np.uint64(1) | last)
        last = differs >> np.uint64(63)
        while turns:
            ahead = _zeros(turns)
            bits = _write_run(packed, bits, run + ahead)
            x += ahead
            run = 0
            turns &= turns - np.uint64(1)
            turns >>= np.uint64(ahead)
        run += SIDE - x
    bits = _write_run(packed, bits, run)
    size = (bits + 7) // 8
    packed[1], packed[2] = size % 256, size // 256
    return _HEAD + size


@njit(cache=True, nogil=True, error_model="numpy")
def _zeros(word: np.uint64) -> int:
    """How many of the lowest bits are 0."""
    return int(popcount((word & (~word + np.uint64(1))) - np.uint64(1)))


@njit(cache=True, nogil=True, error_model="numpy")
def _write_run(packed: NDArray[np.uint8], bits: int, run: int) -> int:
    """Write the length of a run behind so many bits; how many there are then."""
    length = 0
    while run >> (length + 1):
        length += 1
    bits += length
    for k in range(length, -1, -1):
        packed[_HEAD + bits // 8] |= np.uint8((run >> k & 1) << (7 - bits % 8))
        bits += 1
    return bits


@njit(cache=True, nogil=True, error_model="numpy")
def _read_hidden(packed: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> int:
    """Fill in what is hidden; where it ends, or -1 when it is torn."""
    size = int(np.int64(packed[1]) + 256 * np.int64(packed[2]))
    end = _HEAD + size
    hidden[:] = False
    if end + _CODER > PACKED:
        return -1
    if not size:
        return end
    at, bit, differs = -1, 0, False
    while at < SIDE * SIDE:
        length, run = 0, 0
        while bit < 8 * size and not packed[_HEAD + bit // 8] >> (7 - bit % 8) & 1:
            length += 1
            bit += 1
        if length > 12 or bit + length >= 8 * size:
            return -1
        for _ in range(length + 1):
            run = 2 * run + int(np.int64(packed[_HEAD + bit // 8] >> (7 - bit % 8) & 1))
            bit += 1
        if at + run > SIDE * SIDE:
            return -1
        if differs:
            for cell in range(at, at + run):
                hidden[cell // SIDE, cell % SIDE] = True
        at, differs = at + run, not differs
    for y in range(1, SIDE):
        for x in range(SIDE):
            hidden[y, x] ^= hidden[y - 1, x]
    return end


@njit(cache=True, nogil=True, error_model="numpy")
def _strengths(bands: NDArray[np.float32], seen: NDArray[np.bool_], strength: NDArray[np.float32]) -> float:
    """Fill in how strong each block is, in half octaves of the finest step; the strongest wave of all, in levels."""
    peak = np.zeros(BLOCKS, np.float32)
    most = np.zeros(BLOCKS, np.float32)
    strength[:] = 0
    for wave in range(WAVES):
        usual, wide = _USUAL[wave], np.float32(1) / _WIDE[wave]
        for k in range(BLOCKS):
            size = abs(bands[wave, k])
            strength[k] += size * usual
            peak[k] = max(peak[k], size * usual)
            most[k] = max(most[k], size * wide)
    for k in range(BLOCKS):
        size = max(strength[k] / np.float32(WAVES), peak[k] / _PEAK) / _FINEST
        strength[k] = np.float32(2) * np.log2(max(size, _NOTHING)) if seen[k] else np.float32(-100)
    return float(most.max())


@njit(cache=True, nogil=True, error_model="numpy")
def _number(strength: np.float32, step: int) -> int:
    """The number by which a block is written whose strength is this one, of which nothing is left at 0."""
    number = int(np.floor(strength - np.float32(2 * step / _A_DOUBLING) + _HALF)) + 1 - _WEAKEST
    return min(max(number, 0), 15) if step < STEPS - 1 else 0


@njit(cache=True, nogil=True, error_model="numpy")
def _first_step(strength: NDArray[np.float32], most: float, room: int) -> int:
    """The finest step at which the waves should fit into so many bits."""
    for step in range(STEPS - 1):
        bits = np.float32(0)
        for k in range(BLOCKS):
            bits += _BITS[_number(strength[k], step)]
        if bits <= room and most < _MOST * _STEP[step]:
            return step
    return STEPS - 1


@njit(cache=True, nogil=True, error_model="numpy")
def _count(bands: NDArray[np.float32], step: np.float32, counts: NDArray[np.int8]) -> None:
    """Fill in how many steps each wave has."""
    for wave in range(WAVES):
        inverse = np.float32(1) / (step * _WIDE[wave])
        for k in range(BLOCKS):
            value = bands[wave, k] * inverse
            counts[wave, k] = np.int8(value + (_ROUND if value > 0 else -_ROUND))


@njit(cache=True, nogil=True, error_model="numpy")
def _encode(
    counts: NDArray[np.int8], numbers: NDArray[np.int64], at: int, packed: NDArray[np.uint8], words: NDArray[np.uint16]
) -> bool:
    """Write the blocks' strengths and their waves, from the last to the first; False when they do not fit."""
    a = b = c = d = np.int64(_LEAST)
    first, place = words.size - (PACKED - at - _CODER) // 2, words.size
    flat, spreads = counts.ravel(), _SPREAD.ravel()
    for k in range(BLOCKS - 1, -1, -1):
        if not numbers[k]:
            continue
        row = np.uint64(numbers[k] * WAVES)
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


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _put(
    words: NDArray[np.uint16], place: int, state: np.int64, spread: np.uint8, count: np.int8
) -> tuple[np.int64, int]:
    """Put one wave before what is written already: the coder's state and place then."""
    odds = np.int64(_ODDS[np.uint64(spread) << np.uint64(7) | np.uint64(np.int64(count) + _MOST)])
    mine = odds >> 16
    words[np.uint64(place - 1)] = state & 0xFFFF
    due = int(np.int64(state >> (32 - _SLOTS) >= mine))
    place -= due
    state >>= due << 4
    turns = np.int64((state + 0.5) * _INVERSE[np.uint64(mine)])  # a division, exact for 32 bits
    return (turns << _SLOTS) + state - turns * mine + (odds & 0xFFFF), place


@njit(cache=True, nogil=True, error_model="numpy")
def _decode(packed: NDArray[np.uint8], at: int, bands: NDArray[np.float32]) -> bool:
    """Fill in the waves; False when they are torn. Reads no byte beyond `packed`."""
    widths = _STEP[np.int64(packed[0]) - 1] * _WIDE
    a, b, c, d = _state(packed, at, 0), _state(packed, at, 1), _state(packed, at, 2), _state(packed, at, 3)
    waves, spreads = bands.ravel(), _SPREAD.ravel()
    words, word = np.zeros(_WORDS + 1, np.uint64), np.uint64(0)
    for k in range((PACKED - at - _CODER) // 2):
        low = at + _CODER + 2 * k
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
    return bool(a == _LEAST and b == _LEAST and c == _LEAST and d == _LEAST)


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
    due = np.uint64(state < np.uint64(_LEAST))
    state = state << (due << np.uint64(4)) | (words[place] & (np.uint64(0) - due))
    place = min(place + due, np.uint64(_WORDS))
    return np.float32(np.int32(slot & np.uint64(127)) - np.int32(_MOST)) * width, state, place


@njit(cache=True, nogil=True, error_model="numpy")
def _pack(levels: NDArray[np.int8], packed: NDArray[np.uint8], left: NDArray[np.int8]) -> None:
    """Fill `packed`, which is all zeros, and what it gives back."""
    bands, seen = np.empty((WAVES, BLOCKS), np.float32), np.empty(BLOCKS, np.bool_)
    hidden, at = np.zeros((SIDE, SIDE), np.bool_), _HEAD
    if _blocks(levels, bands, seen):
        if not seen.any():
            left[:] = INVALID
            return
        at = _write_hidden(levels, packed)
        for y in range(SIDE):
            for x in range(SIDE):
                hidden[y, x] = levels[y, x] == INVALID
    _forward(bands)
    strength, numbers = np.empty(BLOCKS, np.float32), np.empty(BLOCKS, np.int64)
    counts, words = np.empty((WAVES, BLOCKS), np.int8), np.empty(PACKED // 2, np.uint16)
    most = _strengths(bands, seen, strength)
    step = _first_step(strength, most, 8 * (PACKED - at - _CODER))
    while True:
        _count(bands, _STEP[step], counts)
        for k in range(BLOCKS):
            numbers[k] = _number(strength[k], step)
        if _encode(counts, numbers, at, packed, words):
            break
        step += 1
    packed[0] = step + 1
    for wave in range(WAVES):
        for k in range(BLOCKS):
            bands[wave, k] = np.float32(counts[wave, k] if numbers[k] else 0) * (_STEP[step] * _WIDE[wave])
    _cells(bands, left, hidden)


@njit(cache=True, nogil=True, error_model="numpy")
def _unpack(packed: NDArray[np.uint8], levels: NDArray[np.int8]) -> bool:
    """Fill `levels`; False, and nothing is seen in them, when `packed` is torn."""
    levels[:] = INVALID
    if not packed[0]:
        return not packed.any()
    hidden = np.empty((SIDE, SIDE), np.bool_)
    bands = np.empty((WAVES, BLOCKS), np.float32)
    at = _read_hidden(packed, hidden)
    if at < 0 or packed[0] > STEPS or not _decode(packed, at, bands):
        return False
    _cells(bands, levels, hidden)
    return True


def pack(levels: NDArray[np.int8]) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """A thumbnail as it is stored, (PACKED,), and what is left of it, (SIDE, SIDE): what `unpack` will give."""
    packed, left = np.zeros(PACKED, np.uint8), np.empty((SIDE, SIDE), np.int8)
    _pack(levels, packed, left)
    return packed, left


def unpack(packed: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The thumbnail, (SIDE, SIDE), that was packed; nothing is seen in one of zeros. Raises ValueError when torn."""
    levels = np.empty((SIDE, SIDE), np.int8)
    if packed.shape != (PACKED,) or packed.dtype != np.uint8 or not _unpack(np.ascontiguousarray(packed), levels):
        raise ValueError(f"a torn thumbnail: {packed.size} bytes, first {packed[:1].tobytes().hex()}")
    return levels
