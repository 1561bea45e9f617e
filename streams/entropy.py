"""Where each block of a plain JPEG's entropy code begins, and the mean that it begins with.

Owns the reading of the sequential code (ITU-T T.81, annex F), compiled. Refuses whatever is not as it should be, down
to the last bit, and says nothing of it. Where a code ends is known only once it is read, so one reader waits for each
look into a table, and several of them do not: the code is read in parts, many at a time (streams/abreast.py). Nobody
knows where in its part a block begins; but who begins anywhere falls in with the right blocks after a dozen as a rule,
since most wrong codes end soon. So a part is read from its first bit, as if a unit began there, and what was noted of
it counts from the first block on that the reader of what is before it comes to as well: at the same bit, as the same
block of a unit. From there on two readers cannot differ. Between restarts, which are where they are, each interval is a
part.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.lanes import eight_bytes, popcount
from streams.abreast import (
    AHEAD,
    AT,
    COPIED,
    END,
    GROUPS,
    IDLE,
    KIND,
    LANES,
    LAST,
    LOOKS,
    PART,
    PASSED,
    PLACE,
    READERS,
    UNTOLD,
    Words,
    copied,
    look,
)

MOST: Final = (64 - 7 - AHEAD) // (LOOKS - 1)
"""Bits that a look passes over at most, so that the last one of eight bytes still sees `AHEAD`."""
DIFFERENCE: Final = 11
"""Bits of the difference between two means, at most, in pictures of 8 bits a colour."""
UNKNOWN: Final = np.int16(-32768)
"""What the table of differences says of bits that do not hold the whole of one."""
BEYOND: Final = 264
"""Bytes of zeros behind the code: more than a block can take that begins inside of it."""
PARTS: Final = READERS
"""Parts of a code without restarts."""
LEAST: Final = 1 << 15
"""Bits that the code has at least where it is read in parts."""
ROOM: Final = 4
"""Times as many blocks as the usual part has find room in one, since blocks are not all of one length."""
BESIDE: Final = 1 << 10
"""Bits that a part is read beyond its end, so that its reader falls in with the next one: a dozen blocks."""
NOTED: Final = 1 << 12
"""Begins of blocks that are noted before they are sorted by their parts: few enough to stay at hand."""

Whole = int | np.int64
"""A whole number in compiled code, which makes no difference between the two."""
Table = NDArray[np.int64]


class Codes(NamedTuple):
    """By what the blocks are read.

    `limits`, `firsts` (n, 17) and `symbols` (n, 256) are codes, one a row: of each component that of its first
    coefficients, then that of the others. The first 16 bits that are of a longer code than so many bits; what to add to
    a code of so many bits to find its symbol; and the symbols. `rows` names by block of a unit the code of its first
    coefficients; that of the others is the next. `ahead` and `differences` are what `looked_ahead` says of the codes.
    """

    limits: Table
    firsts: Table
    symbols: NDArray[np.uint8]
    rows: Table
    ahead: NDArray[np.uint16]
    differences: NDArray[np.int16]


@njit(cache=True, nogil=True)
def _symbol(ahead: Whole, row: Whole, codes: Codes) -> Whole:
    """The symbol that 16 bits begin with, and above its 8 bits the length of its code; -1 when it is none."""
    bits = 1
    for length in range(1, 17):
        bits += ahead >= codes.limits[row, length]
    if bits > 16:
        return -1
    return bits << 8 | np.int64(codes.symbols[row, (codes.firsts[row, bits] + (ahead >> (16 - bits))) & 255])


@njit(cache=True, nogil=True)
def _passed(symbol: Whole) -> Whole:
    """How many coefficients a symbol stands for; `LAST` for the one that says that no more follow."""
    return (symbol >> 4) + 1 if symbol & 15 or symbol == 0xF0 else LAST


@njit(cache=True, nogil=True)
def _signed(bits: Whole, size: Whole) -> Whole:
    """The difference that so many bits stand for: from half of what they can say on as they are, below less all of
    that."""
    return bits if 2 * bits >= 1 << size else bits - (1 << size) + 1


@njit(cache=True, nogil=True)
def looked_ahead(
    limits: Table, firsts: Table, symbols: NDArray[np.uint8]
) -> tuple[NDArray[np.uint16], NDArray[np.int16]]:
    """What `AHEAD` bits begin with, by the code of a component's first coefficients and that of the others (two rows).

    First (2, 2^AHEAD), at a block's begin and inside of it: how many bits are passed over (the low byte), and how many
    coefficients, as many as lie in these bits, and `LAST` more where no more follow; else `UNTOLD` of them. Second
    (2^AHEAD,): the difference that a block begins with, or `UNKNOWN`.
    """
    found = np.full((2, 1 << AHEAD), UNTOLD << 8, np.uint16)
    differences = np.full(1 << AHEAD, UNKNOWN, np.int16)
    one = np.empty((2, 1 << AHEAD), np.int64)
    for k in range(2):
        length = 1  # of the code that the bits begin with: the higher the bits, the longer
        for bits in range(1 << AHEAD):
            ahead = bits << (16 - AHEAD)
            while length <= 16 and ahead >= limits[k, length]:
                length += 1
            one[k, bits] = -1
            if length <= 16:
                one[k, bits] = length << 8 | symbols[k, (firsts[k, length] + (ahead >> (16 - length))) & 255]
    for bits in range(1 << AHEAD):
        for k in range(2):
            taken: Whole = 0
            passed: Whole = k
            while taken < AHEAD and passed < LAST:
                told = one[min(passed, 1), bits << taken & (1 << AHEAD) - 1]
                length, size = told >> 8, told & 15
                on = _passed(told & 255) if passed else 1
                short = taken + length <= AHEAD and taken + length + size <= MOST
                if told < 0 or not short or 64 <= passed - k + on < LAST:
                    break
                taken, passed = taken + length + size, passed + on
            if taken:
                found[k, bits] = taken | (passed - k) << 8
        told = one[0, bits]
        length, size = told >> 8, told & 15
        if told >= 0 and length + size <= AHEAD:
            differences[bits] = _signed(bits >> (AHEAD - length - size) & (1 << size) - 1, size)
    return found, differences


@njit(cache=True, nogil=True)
def unstuffed(data: NDArray[np.uint8], at: Whole, out: NDArray[np.uint8], ends: Table) -> bool:
    """Copy the code at `at` without the zeros behind bytes of ones, and zeros behind it; whether it ends with the image
    after as many restarts, in order, as `ends` has room for. That is filled with where each interval ends, in bytes."""
    n: Whole = 0
    done = 0
    while at + COPIED <= data.size:
        plain = copied(data, at, out, n)
        n, at = n + plain, at + plain
        if plain == COPIED:
            continue
        if at + 2 > data.size:
            return False
        if data[at + 1] == 0:
            n, at = n + 1, at + 2
            continue
        if not _ended(data[at + 1], n, done, ends):
            return done == ends.size - 1 and _last(data[at + 1], n, out, ends)
        done, at = done + 1, at + 2
    while at + 2 <= data.size:
        byte, after = data[at], data[at + 1]
        if byte == 0xFF and after != 0:
            if not _ended(after, n, done, ends):
                return done == ends.size - 1 and _last(after, n, out, ends)
            done, at = done + 1, at + 2
            continue
        out[n] = byte
        n, at = n + 1, at + (2 if byte == 0xFF else 1)
    return False


@njit(cache=True, nogil=True)
def _ended(marker: int, n: Whole, done: int, ends: Table) -> bool:
    """Note the end of an interval; False unless the marker is the restart that follows."""
    if done + 1 >= ends.size or marker != 0xD0 + done % 8:
        return False
    ends[done] = n
    return True


@njit(cache=True, nogil=True)
def _last(marker: int, n: Whole, out: NDArray[np.uint8], ends: Table) -> bool:
    out[n : n + BEYOND] = 0
    ends[-1] = n
    return marker == 0xD9


@njit(cache=True, nogil=True)
def _one(word: np.uint64, place: Whole, row: Whole, codes: Codes) -> tuple[Whole, Whole]:
    """By one symbol: how many bits it takes and at which coefficient the reader is then, `LAST` at a block's end.
    (-1, 0) for what is no symbol, or has no place in the block."""
    row = row + 1 if place else row
    told = _symbol(np.int64(word >> np.uint64(48)), row, codes)
    beyond = place + _passed(told & 255) if place else 1
    if told < 0 or 64 < beyond < LAST:
        return -1, 0
    return (told >> 8) + (told & 15), beyond if beyond < 64 else LAST


@njit(cache=True, nogil=True)
def _read_parts(code: NDArray[np.uint8], ends: Table, codes: Codes, begins: NDArray[np.int32], kept: Table) -> None:
    """Note where blocks begin in each part of the code, as its reader sees it: a row of `begins` each, and of it
    [kept[0], kept[1]) counts, of which the first begins a unit. `kept` is zeros."""
    rows, table, parts = codes.rows, codes.ahead.ravel(), len(begins)
    tables, size = np.uint32(0), np.uint32(2 * rows.size)
    for block in range(rows.size):
        tables |= np.uint32(rows[block] >> 1) << np.uint32(2 * block)
    state = np.empty((GROUPS, 5, LANES), np.uint32)
    found, of = np.empty(NOTED + PASSED + 2 * READERS, np.uint32), np.empty(NOTED + PASSED + 2 * READERS, np.uint32)
    following = noted = 0
    running, over = parts, (1 << READERS) - 1
    while True:
        for k in range(READERS if over else 0):
            if over >> k & 1:
                reader = state[k // LANES, :, k % LANES]
                _begin(reader, following, parts, ends)
                found[noted], of[noted] = reader[AT], following
                noted, following = noted + (following < parts), following + 1
        if not running or noted > NOTED:
            noted = _sorted_out(found, of, noted, begins, kept)
        if not running:
            return
        noted, stuck, over = look(code, table, tables, size, state, found, of, noted)
        for k in range(READERS if stuck else 0):
            if stuck >> k & 1:
                reader = state[k // LANES, :, k % LANES]
                at, place, kind = np.int64(reader[AT]), np.int64(reader[PLACE]), np.int64(reader[KIND]) >> 1
                word = eight_bytes(code, at >> 3) << np.uint64(at & 7)
                taken, now = _one(word, place, rows[kind], codes)
                if taken < 0 and at + 8 > reader[END]:  # bits that fill up the interval's last byte
                    over |= 1 << k
                    continue
                if taken < 0:  # it began at a wrong bit: once more from the next one
                    noted = _sorted_out(found, of, noted, begins, kept)
                    kept[reader[PART], 0] = kept[reader[PART], 1]
                    reader[AT], reader[PLACE], reader[KIND] = at + 1, 0, 0
                elif now == LAST:
                    reader[AT], reader[PLACE], reader[KIND] = at + taken, 0, 2 * (kind + 1) % size
                else:
                    reader[AT], reader[PLACE] = at + taken, now
                if reader[PLACE] == 0:
                    found[noted], of[noted] = reader[AT], reader[PART]
                    noted += 1
        running -= int(popcount(np.uint64(over)))


@njit(cache=True, nogil=True)
def _begin(reader: Words, part: int, parts: int, ends: Table) -> None:
    """Let a reader begin a part; one for which there is none idles, at the first bytes."""
    reader[:] = 0
    reader[PART] = IDLE
    if part < parts:
        reader[AT], reader[END] = _part(part, parts, ends)
        reader[PART] = part


@njit(cache=True, nogil=True)
def _sorted_out(found: Words, of: Words, noted: int, begins: NDArray[np.int32], kept: Table) -> int:
    """Put the begins that were noted into their parts, as far as there is room; how many are left, which is none."""
    for k in range(noted):
        part = np.uint64(of[np.uint64(k)])
        place = kept[part, 1]
        if place < begins.shape[1]:
            begins[part, np.uint64(place)] = found[np.uint64(k)]
            kept[part, 1] = place + 1
    return 0


@njit(cache=True, nogil=True)
def _part(part: int, parts: int, ends: Table) -> tuple[np.uint32, np.uint32]:
    """The first bit of a part, and one from which on its reader stops: sixteen bytes before the end of all at the
    latest."""
    total = 8 * ends[-1]
    if ends.size > 1:
        first, last = 8 * ends[part - 1] if part else 0, 8 * ends[part]
    else:
        first, last = total * part // parts, total * (part + 1) // parts + BESIDE
    return np.uint32(first), np.uint32(min(last, total - 128))


@njit(cache=True, nogil=True)
def block_begins(code: NDArray[np.uint8], ends: Table, codes: Codes, interval: int, out: NDArray[np.int32]) -> bool:
    """Fill `out` with the bit at which each block begins; whether every interval of so many blocks (the last one may
    have fewer) takes all of its bits. `code` and `ends` are `unstuffed`."""
    rows = codes.rows
    parts = 0 if 8 * ends[-1] < LEAST else PARTS if ends.size == 1 else ends.size
    kept = np.zeros((parts + 1, 2), np.int64)
    begins = np.empty((parts, ROOM * out.size // max(parts, 1) + 1), np.int32)
    if parts:
        _read_parts(code, ends, codes, begins, kept)
    first = 0
    at: Whole
    part: Whole
    noted: Whole
    for k in range(ends.size):
        # without restarts all parts are of one interval
        part, last = (0, parts) if ends.size == 1 else (min(k, parts), min(k + 1, parts))
        at = 8 * ends[k - 1] if k else 0
        block, end, noted = first, min(first + interval, out.size), kept[part, 0]
        while block < end:
            out[block] = at
            part, noted = _noted(begins, kept, part, last, noted, at)
            kind = (block - first) % rows.size
            if part < last and begins[part, noted] == at and (noted - kept[part, 0]) % rows.size == kind:
                count = min(kept[part, 1] - noted, end - block)
                out[block : block + count] = begins[part, noted : noted + count]
                block, noted = block + count - 1, noted + count - 1
                at = np.int64(out[block])
            at = _block_end(code, at, rows[(block - first) % rows.size], codes)
            block += 1
            if at < 0 or at > 8 * ends[k]:
                return False
        if at <= 8 * ends[k] - 8:
            return False
        first = end
    return True


@njit(cache=True, nogil=True)
def _noted(
    begins: NDArray[np.int32], kept: Table, part: Whole, last: Whole, noted: Whole, at: Whole
) -> tuple[Whole, Whole]:
    """The first begin that counts, from one on, at a bit or behind it: its part, which is `last` without one, and its
    place there."""
    while part < last:
        while noted < kept[part, 1] and begins[part, noted] < at:
            noted += 1
        if noted < kept[part, 1]:
            break
        part += 1
        noted = kept[part, 0]
    return part, noted


@njit(cache=True, nogil=True)
def _block_end(code: NDArray[np.uint8], at: Whole, row: Whole, codes: Codes) -> Whole:
    """The bit behind the block that begins at a bit; -1 where it is none."""
    place: Whole = 0
    taken: Whole
    beyond: Whole
    while place < 64:
        word = eight_bytes(code, at >> 3) << np.uint64(at & 7)
        told = np.int64(codes.ahead[row + (place > 0), np.int64(word >> np.uint64(64 - AHEAD))])
        taken, beyond = told & 255, place + (told >> 8)
        if beyond & 64:
            taken, beyond = _one(word, place, row, codes)
            if taken < 0:
                return -1
        at, place = at + taken, beyond
    return at


@njit(cache=True, nogil=True)
def read_greys(
    code: NDArray[np.uint8],
    begins: NDArray[np.int32],
    codes: Codes,
    interval: int,
    step: int,
    tall: int,
    wide: int,
    out: NDArray[np.uint8],
) -> bool:
    """Fill `out` with the greys, of which a unit has `tall` x `wide`, first among its blocks; whether each is one.

    A mean is said as its difference from the one before, anew after so many blocks (`interval`), in so many eighths
    (`step`) of a grey.
    """
    width, across, greys, rows = out.shape[1], out.shape[1] // wide, out.ravel(), codes.rows
    told_of, shift, units = codes.differences.ravel(), np.uint64(64 - AHEAD), interval // rows.size
    where = np.array([block // wide * width + block % wide for block in range(tall * wide)])
    mean: Whole = 0
    first, left, fits = 0, units, True
    for y in range(out.shape[0] // tall):
        for x in range(across):
            if left == 0:
                mean, left = 0, units
            left -= 1
            corner = np.uint64(y * tall * width + x * wide)
            for block in range(where.size):
                at, row = np.uint64(begins[np.uint64(first + block)]), rows[block]
                word = eight_bytes(code, np.int64(at >> np.uint64(3))) << (at & np.uint64(7))
                value: Whole = np.int64(told_of[np.uint64(row >> 1 << AHEAD) | word >> shift])
                if value == UNKNOWN:
                    told = _symbol(np.int64(word >> np.uint64(48)), row, codes)
                    size = told & 15
                    value = _signed(np.int64(word >> np.uint64(64 - (told >> 8) - size)) & (1 << size) - 1, size)
                mean += value
                grey = (mean * step + 4) >> 3
                fits = fits and bool(-512 <= grey < 512)
                greys[corner + np.uint64(where[block])] = min(max(int(grey) + 128, 0), 255)
            first += rows.size
    return fits


@njit(cache=True, nogil=True)
def read(
    data: NDArray[np.uint8],
    at: int,
    codes: Codes,
    units: int,
    restart: int,
    step: int,
    tall: int,
    wide: int,
    out: NDArray[np.uint8],
) -> bool:
    """Fill `out` with the greys of so many units (see `read_greys`), whose code begins at a byte; whether all of it is
    as it should be. A restart stands behind every so many units, or nowhere (0)."""
    code = np.empty(data.size - at + BEYOND, np.uint8)
    ends = np.empty(1 + (units - 1) // restart if restart else 1, np.int64)
    begins = np.empty(units * codes.rows.size, np.int32)
    interval = (restart or units) * codes.rows.size
    return (
        unstuffed(data, at, code, ends)
        and block_begins(code, ends, codes, interval, begins)
        and read_greys(code, begins, codes, interval, step, tall, wide, out)
    )
