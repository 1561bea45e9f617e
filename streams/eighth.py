"""The greys of a JPEG at an eighth: of each block its mean, and nothing that only detail needs.

Owns what the segments of a plain JPEG say. At an eighth a pixel is the mean of a block, and a mean is the block's
first coefficient: all others are passed over, several at a time, without being made out (streams/entropy.py). Refuses
everything else that a JPEG may be, and whatever is not as it should be, down to the last bit: libjpeg-turbo decides on
it (streams/decode.py). What is given is the same, pixel for pixel, as libjpeg-turbo gives without a warning.

The format: ITU-T T.81, annex B (markers).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.entropy import DIFFERENCE, Codes, Table, looked_ahead, read

BLOCKS: Final = 10
"""Blocks that an interleaved unit may have."""
SAID: Final = 2048
"""Bytes that a plain JPEG's segments have together, at most: four tables of codes and two of steps have some 600."""
FORMS: Final = 64
"""Forms of JPEG (size, tables, sampling) that are kept ready, and pairs of codes: a kind of camera has one or two for
day and night."""
INTERVALS: Final = 512
"""Intervals between restarts, at most: some cameras make one of each row of units, 4K has 135 of these."""
HEAD: Final = 1 << 16
"""Bytes before the entropy code, at most, of a JPEG that is remembered by them: a camera's are the same in each of its
stills, and some hold a small picture."""
LONGEST: Final = 1 << 27
"""Bytes of entropy code, at most: its bits are numbered in 31."""

_PLAIN, _DHT, _SOS, _DQT, _DRI = (0xC0, 0xC1), 0xC4, 0xDA, 0xDB, 0xDD
_ASIDE: Final = frozenset({*range(0xE0, 0xF0), 0xFE})
"""Segments that say nothing of the pixels; what Adobe's says of colours is for who asks for an eighth to know."""
_ALONE: Final = frozenset(range(0xD0, 0xDA))
"""Markers above 0xC0 that nothing belongs to."""
_WHOLE: Final = b"\x00\x3f\x00"
"""How a scan says that it holds all of every coefficient."""

Symbols = NDArray[np.uint8]


class Form(NamedTuple):
    """What the segments before the entropy code say.

    `height` and `width` are in pixels, `unit` in blocks of grey: rows, columns of one interleaved unit. `codes` is by
    what the blocks are read, `step` that of the greys' first coefficient, `restart` the number of units between two
    restarts, 0 without any.
    """

    height: int
    width: int
    unit: tuple[int, int]
    codes: Codes
    step: int
    restart: int


def head_of(data: bytes) -> bytes:
    """A JPEG up to where its entropy code begins; all of it, where its segments do not follow each other plainly."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind, size = data[at + 1], data[at + 2] << 8 | data[at + 3]
        if not 0xC0 <= kind < 0xFF or kind in _ALONE or size < 2:
            break
        at += 2 + size
        if kind == _SOS:
            return data[:at]
    return data


def eighth(data: bytes, head: bytes) -> NDArray[np.uint8] | None:
    """The greys, a pixel for each block, of a plain JPEG with this head; None where anything is unusual.

    To be asked of a JPEG of which libjpeg-turbo has read the size, and that its first plane is grey.
    """
    form = _headed(head) if len(head) <= min(HEAD, len(data) - 1) else None
    if form is None:
        return None
    tall, wide = form.unit
    down, across = -(-form.height // (8 * tall)), -(-form.width // (8 * wide))
    units = down * across
    if (form.restart and (units - 1) // form.restart >= INTERVALS) or len(data) - len(head) > LONGEST:
        return None
    out = np.empty((down * tall, across * wide), np.uint8)
    given = np.frombuffer(data, np.uint8)
    if not read(given, len(head), form.codes, units, form.restart, form.step, tall, wide, out):
        return None
    return np.ascontiguousarray(out[: -(-form.height // 8), : -(-form.width // 8)])


@lru_cache(FORMS)
def _headed(head: bytes) -> Form | None:
    at, said = 2, []
    while at + 4 <= len(head):
        kind, end = head[at + 1], at + 2 + (head[at + 2] << 8 | head[at + 3])
        if kind not in _ASIDE:
            said.append(head[at + 1 : end])
        at = end
    return _form(tuple(said)) if sum(map(len, said)) <= SAID else None


@lru_cache(FORMS)
def _form(said: tuple[bytes, ...]) -> Form | None:
    """What the segments say, each from its kind on; None for any but one plain frame in one scan."""
    steps: dict[int, int] = {}
    codes: dict[int, bytes] = {}
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


def _framed(frame: bytes, scan: bytes, steps: dict[int, int], codes: dict[int, bytes], restart: int) -> Form | None:
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
    pairs = [(codes[both >> 4], codes[16 | both & 15]) for both in kept]
    if len(rows) > BLOCKS or any(max(first[17:]) > DIFFERENCE for first, _ in pairs):
        return None
    height, width = frame[1] << 8 | frame[2], frame[3] << 8 | frame[4]
    limits, firsts, symbols, ahead, differences = zip(*(_ready(*pair) for pair in pairs), strict=True)
    by = Codes(
        np.concatenate(limits),
        np.concatenate(firsts),
        np.concatenate(symbols),
        np.array(rows),
        np.concatenate(ahead),
        np.array(differences),
    )
    step, *_ = (steps[part[2]] for part in parts)  # the others' must be there too
    return Form(height, width, (tall[0], wide[0]), by, step, restart)


def _steps(body: bytes) -> dict[int, int]:
    """By number, the first step of each table in one segment. Raises ValueError for steps of two bytes."""
    if len(body) % 65 or max(body[::65], default=0) > 3:
        raise ValueError("not whole tables of single bytes")
    return {body[k]: body[k + 1] for k in range(0, len(body), 65)}


def _codes(body: bytes) -> dict[int, bytes]:
    """The codes of one segment by class (16 for those of the other coefficients) and number, as they stand there."""
    found = {}
    while body:
        end = 17 + sum(body[1:17])
        found[body[0]], body = body[:end], body[end:]
    return found


@lru_cache(FORMS)
def _ready(first: bytes, others: bytes) -> tuple[Table, Table, Symbols, NDArray[np.uint16], NDArray[np.int16]]:
    """A component's two codes, and what can be looked up of them (streams/entropy.py). Raises ValueError for none."""
    limits, firsts, symbols = (np.array(each) for each in zip(_code(first), _code(others), strict=True))
    return limits, firsts, symbols, *looked_ahead(limits, firsts, symbols)


def _code(body: bytes) -> tuple[Table, Table, Symbols]:
    counts = body[1:17]
    limits, firsts = np.zeros(17, np.int64), np.zeros(17, np.int64)
    symbols = np.zeros(256, np.uint8)
    code = before = 0
    for bits, many in enumerate(counts, 1):
        firsts[bits] = before - code
        code, before = code + many, before + many
        if code >= 1 << bits:  # none is of ones alone
            raise ValueError("more codes than there are")
        limits[bits] = code << (16 - bits)
        code <<= 1
    symbols[:before] = np.frombuffer(body, np.uint8, before, 17)
    return limits, firsts, symbols
