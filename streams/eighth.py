"""The greys of a JPEG at an eighth: of each block its mean, and nothing that only detail needs.

Owns the reading of a plain JPEG's entropy code. At an eighth a pixel is the mean of a block, and a mean is the block's
first coefficient: all others are passed over, several at a time, without being made out. Refuses everything else that a
JPEG may be, and whatever is not as it should be, down to the last bit: libjpeg-turbo decides on it (streams/decode.py).
What is given is the same, pixel for pixel, as libjpeg-turbo gives without a warning.

The format: ITU-T T.81, annexes B (markers) and F (the sequential code).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.lanes import eight_bytes

AHEAD: Final = 12
"""Bits that one look into a table sees: two or three coefficients of a camera's still. 8 kB a table: it stays in the
fastest memory."""
DIFFERENCE: Final = 11
"""Bits of the difference between two means, at most, in pictures of 8 bits a colour."""
LAST: Final = 128
"""Stands for the rest of a block: more than there are coefficients, so that both can be added."""
UNTOLD: Final = 64 << 5
"""What a table says of bits that do not tell: more coefficients than a block has."""
ENOUGH: Final = 32
"""Bits that are enough for the longest code and what it is of: 16 and 15."""
BLOCKS: Final = 10
"""Blocks that an interleaved unit may have."""
SAID: Final = 2048
"""Bytes that a plain JPEG's segments have together, at most: four tables of codes and two of steps have some 600."""
FORMS: Final = 64
"""Forms of JPEG (size, tables, sampling) that are kept ready: a kind of camera has one or two for day and night."""

Whole = int | np.int64
"""A whole number in compiled code, which makes no difference between the two."""

_PLAIN, _DHT, _SOS, _DQT, _DRI = (0xC0, 0xC1), 0xC4, 0xDA, 0xDB, 0xDD
_ASIDE: Final = frozenset({*range(0xE0, 0xF0), 0xFE})
"""Segments that say nothing of the pixels; what Adobe's says of colours is for who asks for an eighth to know."""
_WHOLE: Final = b"\x00\x3f\x00"
"""How a scan says that it holds all of every coefficient."""


class Codes(NamedTuple):
    """Codes, one a row: of each component that of its first coefficients, then that of the others.

    `limits` (n, 17): the first 16 bits that are of a longer code than so many bits; `firsts` (n, 17): what to add to
    a code of so many bits to find its symbol among `symbols` (n, 256); `ahead` (n, 2^AHEAD): see `_looked_ahead`.
    """

    limits: NDArray[np.int64]
    firsts: NDArray[np.int64]
    symbols: NDArray[np.uint8]
    ahead: NDArray[np.uint16]


class Form(NamedTuple):
    """What the segments before the entropy code say.

    `height` and `width` are in pixels, `unit` in blocks of grey: rows, columns of one interleaved unit. `kinds` is the
    component of each of a unit's blocks, `step` that of the greys' first coefficient, `restart` the number of units
    between two restarts, 0 without any.
    """

    height: int
    width: int
    unit: tuple[int, int]
    rows: NDArray[np.int64]
    codes: Codes
    step: int
    restart: int


def eighth(data: bytes) -> NDArray[np.uint8] | None:
    """The greys, a pixel for each block, of a plain JPEG; None where anything is unusual.

    To be asked of a JPEG of which libjpeg-turbo has read the size, and that its first plane is grey.
    """
    at, said = 2, []
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind, end = data[at + 1], at + 2 + (data[at + 2] << 8 | data[at + 3])
        if kind not in _ASIDE:
            said.append(data[at + 1 : end])
        at = end
        if kind == _SOS:
            form = _form(tuple(said)) if at < len(data) and sum(map(len, said)) <= SAID else None
            return None if form is None else _greys(np.frombuffer(data, np.uint8), at, form)
    return None


def _greys(data: NDArray[np.uint8], at: int, form: Form) -> NDArray[np.uint8] | None:
    tall, wide = form.unit
    down, across = -(-form.height // (8 * tall)), -(-form.width // (8 * wide))
    out = np.empty((down * tall, across * wide), np.uint8)
    if not _read(data, at, form.rows, *form.codes, form.step, form.restart, tall, wide, out):
        return None
    return np.ascontiguousarray(out[: -(-form.height // 8), : -(-form.width // 8)])


@lru_cache(FORMS)
def _form(said: tuple[bytes, ...]) -> Form | None:
    """What the segments say, each from its kind on; None for any but one plain frame in one scan."""
    steps: dict[int, int] = {}
    codes: dict[int, Codes] = {}
    frame, restart = b"", 0
    try:
        for kind, body in ((each[0], each[3:]) for each in said[:-1]):
            if kind == _DQT:
                steps |= _steps(body)
            elif kind == _DHT:
                codes |= _codes(body)
            elif kind == _DRI:
                restart = body[0] << 8 | body[1]
            elif kind in _PLAIN and not frame:
                frame = body
            else:
                return None
        return _framed(frame, said[-1][3:], steps, codes, restart)
    except (IndexError, KeyError, ValueError):  # too short, or something is named that is not there
        return None


def _framed(frame: bytes, scan: bytes, steps: dict[int, int], codes: dict[int, Codes], restart: int) -> Form | None:
    n = frame[5]
    parts = [frame[6 + 3 * k : 9 + 3 * k] for k in range(n)]
    named = bytes(part[0] for part in parts)
    if n not in (1, 3) or len(frame) != 6 + 3 * n or frame[0] != 8:
        return None
    if len(scan) != 2 * n + 4 or scan[0] != n or scan[1 : 2 * n + 1 : 2] != named or scan[2 * n + 1 :] != _WHOLE:
        return None
    # one component is not interleaved, whatever it says of its sampling
    wide, tall = ([part[1] >> 4 for part in parts], [part[1] & 15 for part in parts]) if n == 3 else ([1], [1])
    if min(wide + tall) < 1 or (wide[0], tall[0]) != (max(wide), max(tall)):
        return None
    used = scan[2 : 2 * n + 1 : 2]
    kept = sorted(set(used))
    rows = [2 * kept.index(used[k]) for k in range(n) for _ in range(wide[k] * tall[k])]
    pairs = [codes[one] for both in kept for one in (both >> 4, 16 | both & 15)]
    if len(rows) > BLOCKS or any(first.symbols[0].max() > DIFFERENCE for first in pairs[::2]):
        return None
    height, width = frame[1] << 8 | frame[2], frame[3] << 8 | frame[4]
    table = Codes(*(np.concatenate(each) for each in zip(*pairs, strict=True)))
    step, *_ = (steps[part[2]] for part in parts)  # the others' must be there too
    return Form(height, width, (tall[0], wide[0]), np.array(rows), table, step, restart)


def _steps(body: bytes) -> dict[int, int]:
    """By number, the first step of each table in one segment. Raises ValueError for steps of two bytes."""
    if len(body) % 65 or max(body[::65], default=0) > 3:
        raise ValueError("not whole tables of single bytes")
    return {body[k]: body[k + 1] for k in range(0, len(body), 65)}


def _codes(body: bytes) -> dict[int, Codes]:
    """The codes of one segment by class (16 for those of the other coefficients) and number. Raises ValueError."""
    found = {}
    while body:
        kind, counts, count = body[0], body[1:17], sum(body[1:17])
        limits, firsts = np.zeros((1, 17), np.int64), np.zeros((1, 17), np.int64)
        symbols = np.zeros((1, 256), np.uint8)
        code = before = 0
        for bits, many in enumerate(counts, 1):
            firsts[0, bits] = before - code
            code, before = code + many, before + many
            if code >= 1 << bits:  # none is of ones alone
                raise ValueError("more codes than there are")
            limits[0, bits] = code << (16 - bits)
            code <<= 1
        symbols[0, :count] = np.frombuffer(body, np.uint8, count, 17)
        found[kind] = Codes(limits, firsts, symbols, _looked_ahead(limits[0], firsts[0], symbols[0], kind >= 16))
        body = body[17 + count :]
    return found


@njit(cache=True, nogil=True)
def _symbol(ahead: Whole, limits: NDArray[np.int64], firsts: NDArray[np.int64], symbols: NDArray[np.uint8]) -> Whole:
    """The symbol that 16 bits begin with, and above its 8 bits the length of its code; -1 when it is none."""
    for bits in range(1, 17):
        if ahead < limits[bits]:
            return bits << 8 | np.int64(symbols[(firsts[bits] + (ahead >> (16 - bits))) & 255])
    return -1


@njit(cache=True, nogil=True)
def _passed(symbol: Whole) -> Whole:
    """How many coefficients a symbol stands for; `LAST` for the one that says that no more follow."""
    return (symbol >> 4) + 1 if symbol & 15 or symbol == 0xF0 else LAST


@njit(cache=True, nogil=True)
def _looked_ahead(
    limits: NDArray[np.int64], firsts: NDArray[np.int64], symbols: NDArray[np.uint8], others: bool
) -> NDArray[np.uint16]:
    """What `AHEAD` bits begin with, (1, 2^AHEAD): how many bits that takes (5 bits), what it is above; else `UNTOLD`.

    Of a first coefficient: the bits of the difference that belongs to it. Of others: how many they are, as many as
    begin in these bits, and `LAST` more where no more follow.
    """
    found = np.full((1, 1 << AHEAD), UNTOLD, np.uint16)
    one = np.empty(1 << AHEAD, np.int64)
    for bits in range(1 << AHEAD):
        one[bits] = _symbol(bits << (16 - AHEAD), limits, firsts, symbols)
    for bits in range(1 << AHEAD):
        taken: Whole = 0
        passed: Whole = 0
        while taken < AHEAD and passed < LAST:
            told = one[bits << taken & (1 << AHEAD) - 1]
            length, size = told >> 8, told & 15
            on = _passed(told & 255) if others else size
            if told < 0 or taken + length > AHEAD or 64 <= passed + on < LAST:
                break
            taken, passed = taken + length + size, passed + on
            if not others:
                break
        if taken:
            found[0, bits] = taken | passed << 5
    return found


@njit(cache=True, nogil=True, inline="always")
def _more(data: NDArray[np.uint8], at: Whole, bits: np.uint64, left: Whole) -> tuple[Whole, np.uint64, Whole]:
    """Fill up `bits`, of which the first `left` are there: 56 at least, or all that are left before a marker."""
    if at + 8 <= data.size:
        ahead = eight_bytes(data, at)
        inverted = ~ahead
        # no byte of ones, which would be the first of a marker or of a pair that stands for it
        if not (inverted - np.uint64(0x0101010101010101)) & ahead & np.uint64(0x8080808080808080):
            return at + ((63 - left) >> 3), bits | ahead >> np.uint64(left), left | 56
    while left < 56 and at < data.size:
        byte, step = data[at], 1
        if byte == 0xFF:
            if at + 1 >= data.size or data[at + 1] != 0:
                break
            step = 2
        bits |= np.uint64(byte) << np.uint64(56 - left)
        at, left = at + step, left + 8
    return at, bits, left


@njit(cache=True, nogil=True)
def _read(
    data: NDArray[np.uint8],
    at: Whole,
    rows: NDArray[np.int64],
    limits: NDArray[np.int64],
    firsts: NDArray[np.int64],
    symbols: NDArray[np.uint8],
    ahead: NDArray[np.uint16],
    step: int,
    restart: int,
    tall: int,
    wide: int,
    out: NDArray[np.uint8],
) -> bool:
    """Fill `out` with the greys of the entropy code at `at`; whether all of it is as it should be up to the end of the
    image."""
    table, across, shift = ahead.ravel(), out.shape[1] // wide, np.uint64(64 - AHEAD)
    bits = np.uint64(0)
    left: Whole = 0
    mean: Whole = 0
    told: Whole
    taken: Whole
    size: Whole
    beyond: Whole
    place: Whole
    units, greys = out.shape[0] // tall * across, tall * wide
    for unit in range(units):
        if restart and unit and unit % restart == 0:
            if not 0 <= left < 8 or not _marked(data, at, 0xD0 + (unit // restart - 1) % 8):
                return False
            at, bits, left, mean = at + 2, np.uint64(0), 0, 0
        for block in range(rows.size):
            row = rows[block]
            # a place without a sign needs no look whether it counts from the end
            first, others = np.uint64(row << AHEAD), np.uint64(row + 1 << AHEAD)
            if left < ENOUGH:
                at, bits, left = _more(data, at, bits, left)
            told = np.int64(table[first | bits >> shift])
            taken, size = told & 31, told >> 5
            if told == UNTOLD:
                told = _symbol(np.int64(bits >> np.uint64(48)), limits[row], firsts[row], symbols[row])
                size = told & 15
                taken = (told >> 8) + size
                if told < 0:
                    return False
            if block < greys:
                # the bits of a difference: from half of what they can say on as they are, below less all of that
                value = np.int64(bits >> np.uint64(64 - taken)) & (1 << size) - 1
                mean += value if 2 * value >= 1 << size else value - (1 << size) + 1
                grey = (mean * step + 4) >> 3
                if not -512 <= grey < 512:
                    return False
                y, x = unit // across * tall + block // wide, unit % across * wide + block % wide
                out[y, x] = min(max(int(grey) + 128, 0), 255)
            bits <<= np.uint64(taken)
            left -= taken
            row += 1
            place = 1
            while place < 64:
                if left < ENOUGH:
                    at, bits, left = _more(data, at, bits, left)
                told = np.int64(table[others | bits >> shift])
                taken, beyond = told & 31, place + (told >> 5)
                if beyond & 64:
                    told = _symbol(np.int64(bits >> np.uint64(48)), limits[row], firsts[row], symbols[row])
                    taken, beyond = (told >> 8) + (told & 15), place + _passed(told & 255)
                    if told < 0 or 64 < beyond < LAST:
                        return False
                bits <<= np.uint64(taken)
                left -= taken
                place = beyond
            if left < 0:
                return False
    return bool(0 <= left < 8) and _marked(data, at, 0xD9)


@njit(cache=True, nogil=True)
def _marked(data: NDArray[np.uint8], at: Whole, kind: int) -> bool:
    return bool(at + 2 <= data.size and data[at] == 0xFF and data[at + 1] == kind)
