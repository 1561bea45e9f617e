"""The line of a bucket (models/bucket.py): twelve entries and the number of a further line, compared side by side.

Owns where the bits of an entry lie, and the instructions that look at a line or change it as a whole. Refuses to know
what a line is behind. Everything here can be called from compiled code only; where a processor lacks wide registers,
LLVM makes several narrow steps of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from models.vectors import I32, I64, LINE, Build, address, all_of, call, counted, every, pressed

ENTRIES: Final = 12
"""Words of a line that are entries; three hold a byte more for each entry, and the last one is the line's own."""
ROW_BITS: Final = 25
"""Low bits of an entry's word: its row, counted from 1, 0 for none. Above them lie the first bits of its tag,"""
TAG_BITS: Final = 40 - ROW_BITS
"""of which there are so many with those in its byte."""

_I16, _LINE = ir.IntType(16), ir.VectorType(I32, LINE)


def _line(context: Any, builder: Any, table: Any, array: Any, at: Any) -> Any:
    """A line as a whole: what is taken of it was there at one time."""
    line = builder.load(builder.inttoptr(address(context, builder, table, array, at), _LINE.as_pointer()))
    line.align = 4 * LINE
    return line


def _steady_line(context: Any, builder: Any, table: Any, array: Any, at: Any) -> Any:
    """A line as it was at one moment: two looks, one after the other, saw the same."""
    again, steady = builder.append_basic_block("again"), builder.append_basic_block("steady")
    builder.branch(again)
    builder.position_at_end(again)
    one = _line(context, builder, table, array, at)
    builder.fence("acq_rel")
    other = _line(context, builder, table, array, at)
    moved = builder.bitcast(builder.icmp_unsigned("!=", one, other), _I16)
    builder.cbranch(builder.icmp_unsigned("!=", moved, ir.Constant(_I16, 0)), again, steady)
    builder.position_at_end(steady)
    return one


def _entries(builder: Any, each: Any) -> Any:
    """The answers of a line's words as bits, of those that are entries."""
    return builder.zext(builder.and_(builder.bitcast(each, _I16), ir.Constant(_I16, (1 << ENTRIES) - 1)), I32)


def _compare_line(context: Any, table: Any, at: Any, wanted: Any, bits: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = _line(context, builder, signature.args[0], args[0], args[1])
        wanted, bits = (every(builder, _LINE, one) for one in args[2:])
        differing = builder.and_(builder.xor(line, wanted), bits)
        return _entries(builder, builder.icmp_unsigned("==", differing, ir.Constant(_LINE, [0] * LINE)))

    return types.uint32(table, types.int64, types.uint32, types.uint32), generate


compare_line = cast(
    Callable[[NDArray[np.uint32], int | np.int64, np.uint32, np.uint32], np.uint32], intrinsic(_compare_line)
)
"""Which entries of a line (16 words on a cache line of their own) have words that equal `wanted` in `bits`, as bits."""


def _tags(builder: Any, line: Any) -> Any:
    """The tags of a line's entries, in their places."""
    octets = builder.bitcast(line, ir.VectorType(ir.IntType(8), 4 * LINE))
    behind = ir.Constant(_LINE, [4 * ENTRIES + k for k in range(LINE)])
    octets = builder.zext(builder.shuffle_vector(octets, octets, behind), _LINE)
    low = builder.lshr(line, all_of(_LINE, ROW_BITS))
    return builder.or_(low, builder.shl(octets, all_of(_LINE, 32 - ROW_BITS)))


def _held(builder: Any, line: Any) -> tuple[Any, Any]:
    """The rows of a line's words, and which of these are entries that hold one."""
    rows = builder.and_(line, all_of(_LINE, (1 << ROW_BITS) - 1))
    held = builder.icmp_unsigned("!=", rows, all_of(_LINE, 0))
    return rows, builder.and_(held, ir.Constant(held.type, [k < ENTRIES for k in range(LINE)]))


def _count(builder: Any, chosen: Any) -> Any:
    return builder.zext(builder.ctpop(builder.bitcast(chosen, _I16)), I64)


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    return builder.inttoptr(address(context, builder, kind, array, at), _LINE.as_pointer())


def _rows_like(
    context: Any, table: Any, at: Any, tag: Any, bits: Any, most: Any, all_: Any, rows: Any, by: Any, n: Any, asker: Any
) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = _steady_line(context, builder, signature.args[0], args[0], args[1])
        tag, bits, most, all_, asker = (every(builder, _LINE, args[k]) for k in (2, 3, 4, 5, 9))
        held, near = _held(builder, line)
        differing = builder.xor(_tags(builder, line), tag)
        for some, limit in ((builder.and_(differing, bits), most), (differing, all_)):
            near = builder.and_(near, builder.icmp_unsigned("<=", counted(builder, some), limit))
        found = pressed(builder, builder.sub(held, all_of(_LINE, 1)), near)
        for k, vector in ((6, found), (7, asker)):
            builder.store(vector, _place(context, builder, signature.args[k], args[k], args[8])).align = 4
        further = builder.zext(builder.extract_element(line, ir.Constant(I32, LINE - 1)), I64)
        count = builder.add(args[8], _count(builder, near))
        return context.make_tuple(builder, signature.return_type, [count, further])

    words = types.uint32
    both: Any = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]
    return both(table, types.int64, words, words, words, words, rows, by, types.int64, words), generate


rows_like = cast(
    Callable[
        [
            NDArray[np.uint32],
            int | np.int64,
            np.uint32,
            np.uint32,
            np.uint32,
            np.uint32,
            NDArray[np.uint32],
            NDArray[np.uint32],
            int | np.int64,
            np.uint32,
        ],
        tuple[int, int],
    ],
    intrinsic(_rows_like),
)
"""Append to `rows`, from `n` on, those of a line's entries whose tags differ from `tag` in at most `most` of `bits` and
in at most `all_` of all bits, and to `by` who asks; returns how many there are then, and the line's last word, of the
same moment. Both need room for `LINE` more, of which the rest is left with anything in it."""


def _entries_with(context: Any, table: Any, at: Any, bit: Any, words: Any, tags: Any, found: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = _line(context, builder, signature.args[0], args[0], args[1])
        tags, bit = _tags(builder, line), every(builder, _LINE, args[2])
        _, chosen = _held(builder, line)
        chosen = builder.and_(chosen, builder.icmp_unsigned("==", builder.and_(tags, bit), bit))
        for k, vector in ((3, line), (4, tags)):
            place = _place(context, builder, signature.args[k], args[k], args[5])
            builder.store(pressed(builder, vector, chosen), place).align = 4
        return builder.add(args[5], _count(builder, chosen))

    return types.int64(table, types.int64, types.uint32, words, tags, types.int64), generate


entries_with = cast(
    Callable[
        [NDArray[np.uint32], int | np.int64, np.uint32, NDArray[np.uint32], NDArray[np.uint32], int | np.int64], int
    ],
    intrinsic(_entries_with),
)
"""Append to `words` and `tags`, from `found` on, those of a line's entries whose tags have this bit, all for 0; returns
how many there are then. Both need room for `LINE` more."""


def _with_octets(builder: Any, words: Any, tags: Any) -> Any:
    """A line of these words and of the bytes of these tags that have no room in them, but for its last word."""
    octets = builder.trunc(builder.lshr(tags, all_of(_LINE, 32 - ROW_BITS)), ir.VectorType(ir.IntType(8), LINE))
    octets = builder.bitcast(octets, ir.VectorType(I32, LINE // 4))
    octets = builder.shuffle_vector(octets, octets, ir.Constant(_LINE, [k % 4 for k in range(LINE)]))
    entries = ir.Constant(ir.VectorType(ir.IntType(1), LINE), [k < ENTRIES for k in range(LINE)])
    return builder.select(entries, words, octets)


def _write_line(
    context: Any, table: Any, at: Any, words: Any, tags: Any, count: Any, following: Any
) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(I64, 0)
        words, tags = (builder.load(_place(context, builder, signature.args[k], args[k], zero)) for k in (2, 3))
        words.align = tags.align = 4
        places = ir.Constant(_LINE, list(range(LINE)))
        within = builder.icmp_unsigned("<", places, every(builder, _LINE, builder.trunc(args[4], I32)))
        words = builder.select(within, words, all_of(_LINE, 0))
        line = _with_octets(builder, words, tags)
        line = builder.insert_element(line, args[5], ir.Constant(I32, LINE - 1))
        builder.store(line, _place(context, builder, signature.args[0], args[0], args[1])).align = 4 * LINE
        return context.get_dummy_value()

    return types.void(table, types.int64, words, tags, types.int64, types.uint32), generate


write_line = cast(
    Callable[
        [NDArray[np.uint32], int | np.int64, NDArray[np.uint32], NDArray[np.uint32], int | np.int64, np.uint32], None
    ],
    intrinsic(_write_line),
)
"""Make a line of the first `count` of these entries, as `entries_with` gives them, and the number of a further line."""


def _write_entry(context: Any, table: Any, at: Any, slot: Any, tag: Any, row: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = address(context, builder, signature.args[0], *args[:2])
        octet = builder.inttoptr(
            builder.add(line, builder.add(args[2], ir.Constant(I64, 4 * ENTRIES))), ir.IntType(8).as_pointer()
        )
        word = builder.inttoptr(builder.add(line, builder.mul(args[2], ir.Constant(I64, 4))), I32.as_pointer())
        high = builder.lshr(args[3], ir.Constant(I32, 32 - ROW_BITS))
        builder.store(builder.trunc(high, ir.IntType(8)), octet)
        builder.store(builder.or_(builder.shl(args[3], ir.Constant(I32, ROW_BITS)), args[4]), word)
        return context.get_dummy_value()

    return types.void(table, types.int64, types.int64, types.uint32, types.uint32), generate


write_entry = cast(
    Callable[[NDArray[np.uint32], int | np.int64, int | np.int64, np.uint32, np.uint32], None],
    intrinsic(_write_entry),
)
"""Write an entry's tag and its row, counted from 1, into a place of a line: the tag first, since without a row an entry
is none."""


def _drop_with(context: Any, table: Any, at: Any, bit: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = _line(context, builder, signature.args[0], args[0], args[1])
        _, held = _held(builder, line)
        with_ = builder.and_(_tags(builder, line), every(builder, _LINE, args[2]))
        gone = builder.and_(held, builder.icmp_unsigned("!=", with_, all_of(_LINE, 0)))
        place = _place(context, builder, signature.args[0], args[0], args[1])
        builder.store(builder.select(gone, all_of(_LINE, 0), line), place).align = 4 * LINE
        return _count(builder, builder.xor(held, gone))

    return types.int64(table, types.int64, types.uint32), generate


drop_with = cast(Callable[[NDArray[np.uint32], int | np.int64, np.uint32], int], intrinsic(_drop_with))
"""Remove those of a line's entries whose tags have this bit; returns how many stay."""


def _first_of(builder: Any, chosen: Any, count: Any) -> Any:
    """The first so many of the chosen words."""
    bits = builder.zext(builder.bitcast(chosen, _I16), I32)
    before = builder.and_(every(builder, _LINE, bits), ir.Constant(_LINE, [(1 << k) - 1 for k in range(LINE)]))
    within = builder.icmp_unsigned("<", counted(builder, before), every(builder, _LINE, builder.trunc(count, I32)))
    return builder.and_(chosen, within)


def _fill_line(context: Any, table: Any, at: Any, words: Any, tags: Any, first: Any, end: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature.args[0], args[0], args[1])
        line = _line(context, builder, signature.args[0], args[0], args[1])
        _, held = _held(builder, line)
        gaps = builder.xor(held, ir.Constant(held.type, [k < ENTRIES for k in range(LINE)]))
        gaps = _first_of(builder, gaps, builder.sub(args[5], args[4]))
        given = ir.FunctionType(_LINE, [I32.as_pointer(), gaps.type, _LINE])

        def spread(k: int, others: Any) -> Any:
            from_ = builder.inttoptr(address(context, builder, signature.args[k], args[k], args[4]), I32.as_pointer())
            return call(builder, f"llvm.masked.expandload.v{LINE}i32", given, from_, gaps, others)

        last = ir.Constant(I32, LINE - 1)
        tagged = _with_octets(builder, line, spread(3, _tags(builder, line)))
        tagged = builder.insert_element(tagged, builder.extract_element(line, last), last)
        builder.store(tagged, place).align = 4 * LINE
        builder.fence("acq_rel")
        entries = ir.Constant(gaps.type, [k < ENTRIES for k in range(LINE)])
        builder.store(builder.select(entries, spread(2, line), tagged), place).align = 4 * LINE
        return builder.add(args[4], _count(builder, gaps))

    return types.int64(table, types.int64, words, tags, types.int64, types.int64), generate


fill_line = cast(
    Callable[
        [NDArray[np.uint32], int | np.int64, NDArray[np.uint32], NDArray[np.uint32], int | np.int64, int | np.int64],
        int,
    ],
    intrinsic(_fill_line),
)
"""Write entries in [first, end), as `entries_with` gives them, into the gaps of a line, as many as it has: their tags
first, since without a row an entry is none. Returns where those begin that found no gap."""


def _drop_first(context: Any, table: Any, at: Any, count: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = _line(context, builder, signature.args[0], args[0], args[1])
        _, held = _held(builder, line)
        line = builder.select(_first_of(builder, held, args[2]), all_of(_LINE, 0), line)
        builder.store(line, _place(context, builder, signature.args[0], args[0], args[1])).align = 4 * LINE
        return context.get_dummy_value()

    return types.void(table, types.int64, types.int64), generate


drop_first = cast(Callable[[NDArray[np.uint32], int | np.int64, int | np.int64], None], intrinsic(_drop_first))
"""Remove the first so many of a line's entries."""


def _copy_line(context: Any, table: Any, at: Any, to: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = _line(context, builder, signature.args[0], args[0], args[1])
        builder.store(line, _place(context, builder, signature.args[0], args[0], args[2])).align = 4 * LINE
        return context.get_dummy_value()

    return types.void(table, types.int64, types.int64), generate


copy_line = cast(Callable[[NDArray[np.uint32], int | np.int64, int | np.int64], None], intrinsic(_copy_line))
"""Make one line what another one is."""
