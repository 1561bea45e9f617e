"""Many places of an entropy code side by side: what compiled code asks of wide registers.

Owns what the tables say that a reader looks at, and the look of all readers: where each is then, and the begins of
blocks that it came past. Refuses to know codes: what a table does not tell is for who reads on by single symbols
(streams/entropy.py). Everything here can be called from compiled code only; where a processor lacks wide registers,
LLVM makes several narrow steps of one. A reader's next look waits for the one before it, so that several vectors of
readers go by turns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from models.vectors import I32, I64, Build, all_of, call, every, pressed

AHEAD: Final = 13
"""Bits that one look into a table sees: three coefficients of a camera's still. 16 kB a table."""
LOOKS: Final = 3
"""Looks that are taken of eight bytes."""
LAST: Final = 128
"""Stands for the rest of a block: more than there are coefficients, so that both can be added."""
UNTOLD: Final = 64
"""Coefficients that a table counts where bits do not tell: more than a block has."""
LANES: Final = 8
"""Readers in a vector: their eight bytes fill the widest registers."""
GROUPS: Final = 3
"""Vectors that go by turns. Two take a fifteenth longer for a still, four no less (docs/decisions/decoding.md)."""
READERS: Final = LANES * GROUPS
PASSED: Final = READERS * LOOKS + LANES
"""Places that `look` may fill behind those that are filled."""

COPIED: Final = 64
"""Bytes that `copied` copies."""

AT, PLACE, KIND, END, PART = range(5)
"""What `state` holds of a reader: the bit and the coefficient where it is, twice the number that its block has in a
unit, the bit from which on it is over, and which part it reads; `IDLE` where it reads none."""
IDLE: Final = np.uint32(0xFFFFFFFF)

_MASK = ir.IntType(LANES)
_WORDS, _HALVES = ir.VectorType(I32, LANES), ir.VectorType(ir.IntType(16), LANES)
_EIGHT_BYTES = ir.VectorType(I64, LANES)


def _gathered(builder: Any, kind: Any, start: Any, places: Any) -> Any:
    """What lies so many bytes behind a start, by lane."""
    found = ir.Constant(kind, ir.Undefined)
    for lane in range(LANES):
        at = builder.zext(builder.extract_element(places, ir.Constant(I32, lane)), I64)
        one = builder.load(builder.inttoptr(builder.add(start, at), kind.element.as_pointer()))
        one.align = 1
        found = builder.insert_element(found, one, ir.Constant(I32, lane))
    return found


def _eight_bytes(builder: Any, code: Any, at: Any) -> Any:
    """The eight bytes that each bit lies in the first of, as a number whose highest bit it is."""
    word = _gathered(builder, _EIGHT_BYTES, code, builder.lshr(at, all_of(_WORDS, 3)))
    word = call(builder, f"llvm.bswap.v{LANES}i64", ir.FunctionType(_EIGHT_BYTES, [_EIGHT_BYTES]), word)
    return builder.shl(word, builder.zext(builder.and_(at, all_of(_WORDS, 7)), _EIGHT_BYTES))


def _start(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Where an array begins, as a number."""
    return builder.ptrtoint(context.make_array(kind)(context, builder, array).data, I64)


def _copied(context: Any, data: Any, at: Any, out: Any, n: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bytes_ = ir.VectorType(ir.IntType(8), COPIED)
        places = [
            builder.inttoptr(
                builder.add(_start(context, builder, signature.args[k], args[k]), args[k + 1]), bytes_.as_pointer()
            )
            for k in (0, 2)
        ]
        piece = builder.load(places[0])
        builder.store(piece, places[1]).align = piece.align = 1
        ones = builder.bitcast(builder.icmp_unsigned("==", piece, ir.Constant(bytes_, [0xFF] * COPIED)), I64)
        return builder.cttz(ones, ir.Constant(ir.IntType(1), 0))

    return types.int64(data, types.int64, out, types.int64), generate


copied = cast(Callable[[NDArray[np.uint8], int | np.int64, NDArray[np.uint8], int | np.int64], int], intrinsic(_copied))
"""Copy `COPIED` bytes of `data` from `at` on to `out` from `n` on; how many lie before the first of ones alone, all
where none is. Both arrays must have as many."""


def _look(
    context: Any, code: Any, ahead: Any, tables: Any, size: Any, state: Any, begins: Any, of: Any, n: Any
) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero, none = ir.Constant(I64, 0), all_of(_WORDS, 0)

        def place(k: int, word: Any) -> Any:
            """Where a word of an array lies."""
            return builder.add(_start(context, builder, signature.args[k], args[k]), word)

        def row(group: int, which: int) -> Any:
            at = place(4, ir.Constant(I64, 4 * LANES * (group * len(_STATE) + which)))
            return builder.inttoptr(at, _WORDS.as_pointer())

        def put(vector: Any, where: Any) -> None:
            builder.store(vector, where).align = 4

        def table(kind: Any, place: Any) -> Any:
            """Where the table of what follows begins: that of a block's first coefficient, or of those inside of it."""
            pair = builder.shl(builder.and_(builder.lshr(tables, kind), all_of(_WORDS, 3)), all_of(_WORDS, AHEAD + 1))
            inside = builder.zext(builder.icmp_unsigned("!=", place, none), _WORDS)
            return builder.or_(pair, builder.shl(inside, all_of(_WORDS, AHEAD)))

        first, told_of = place(0, zero), place(1, zero)
        tables, size, n = every(builder, _WORDS, args[2]), every(builder, _WORDS, args[3]), args[7]
        groups = []
        for group in range(GROUPS):
            readers = [builder.load(row(group, which)) for which in _STATE]
            for each in readers:
                each.align = 4
            idle = builder.icmp_unsigned("==", readers[PART], all_of(_WORDS, int(IDLE)))
            groups.append([*readers, _eight_bytes(builder, first, readers[AT]), idle, idle])
        for _ in range(LOOKS):
            for each in groups:
                at, beside, kind, end, part, word, idle, _ = each
                seen = builder.trunc(builder.lshr(word, all_of(_EIGHT_BYTES, 64 - AHEAD)), _WORDS)
                entry = builder.shl(builder.or_(table(kind, beside), seen), all_of(_WORDS, 1))
                told = builder.zext(_gathered(builder, _HALVES, told_of, entry), _WORDS)
                beyond = builder.add(beside, builder.lshr(told, all_of(_WORDS, 8)))
                untold = builder.icmp_unsigned("!=", builder.and_(beyond, all_of(_WORDS, UNTOLD)), none)
                stays = builder.or_(untold, idle)
                bits = builder.select(stays, none, builder.and_(told, all_of(_WORDS, 255)))
                beyond = builder.select(stays, beside, beyond)
                at, word = builder.add(at, bits), builder.shl(word, builder.zext(bits, _EIGHT_BYTES))
                ended = builder.icmp_unsigned(">=", beyond, all_of(_WORDS, LAST))
                for k, vector in ((5, at), (6, part)):
                    to = place(k, builder.shl(n, ir.Constant(I64, 2)))
                    put(pressed(builder, vector, ended), builder.inttoptr(to, _WORDS.as_pointer()))
                n = builder.add(n, builder.zext(builder.ctpop(builder.bitcast(ended, _MASK)), I64))
                following = builder.add(kind, all_of(_WORDS, 2))
                following = builder.select(builder.icmp_unsigned("==", following, size), none, following)
                kind, beside = builder.select(ended, following, kind), builder.select(ended, none, beyond)
                each[:] = at, beside, kind, end, part, word, idle, untold
        stuck = over = zero
        for group, (at, beside, kind, end, _, _, idle, untold) in enumerate(groups):
            for which, vector in ((AT, at), (PLACE, beside), (KIND, kind)):
                put(vector, row(group, which))
            reads, past = builder.not_(idle), builder.icmp_unsigned(">=", at, end)
            left = ir.Constant(I64, LANES * group)
            untold, past = (builder.bitcast(builder.and_(each, reads), _MASK) for each in (untold, past))
            stuck = builder.or_(stuck, builder.shl(builder.zext(untold, I64), left))
            over = builder.or_(over, builder.shl(builder.zext(past, I64), left))
        return context.make_tuple(builder, signature.return_type, [n, stuck, over])

    three: Any = types.UniTuple(types.int64, 3)  # type: ignore[no-untyped-call]
    return three(code, ahead, types.uint32, types.uint32, state, begins, of, types.int64), generate


_STATE: Final = (AT, PLACE, KIND, END, PART)
Words = NDArray[np.uint32]
look = cast(
    Callable[
        [NDArray[np.uint8], NDArray[np.uint16], np.uint32, np.uint32, Words, Words, Words, int | np.int64],
        tuple[int, int, int],
    ],
    intrinsic(_look),
)
"""Let each reader take `LOOKS` looks: (code, ahead, tables, size, state, begins, of, n).

`ahead` are tables of 2^AHEAD each, in pairs: what is said at a block's begin and inside of it. `tables` names by block
of a unit, two bits each from the lowest on, the pair, `size` is twice the blocks of a unit. `state` is (GROUPS, 5,
LANES). From `n` on the bits at which blocks begin are put into `begins`, and whose part they are of into `of`; both
have room for `PASSED` more. Returns how many there are then, which readers met what a table does not tell, and which
are at their end or behind it, as bits."""
