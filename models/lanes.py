"""Words compared side by side: what compiled code asks of the processor directly.

Owns the instructions that numba has no name for. Refuses to know what is looked for. Everything here can be called
from compiled code only; where a processor lacks wide registers, LLVM makes several narrow steps of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic
from numpy.typing import NDArray

LINE: Final = 16
"""Words of 32 bits in a cache line."""
ENTRIES: Final = 12
"""Those of them that are entries; three hold a byte more for each entry, and the last one is the line's own."""
ROW_BITS: Final = 25
"""Low bits of an entry's word: its row, counted from 1, 0 for none. Above them lie the first bits of its tag,"""
TAG_BITS: Final = 40 - ROW_BITS
"""of which there are so many with those in its byte."""
WORDS: Final = 8
"""Words of 64 bits that `compare_words` compares."""

_I16, _I32, _I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
_FLOATS, _LINE, _WORDS = ir.VectorType(ir.FloatType(), LINE), ir.VectorType(_I32, LINE), ir.VectorType(_I64, WORDS)
Build = Callable[..., Any]


def _address(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> Any:
    """Where a row of an array begins, as a number."""
    view = context.make_array(kind)(context, builder, array)
    stride = builder.extract_value(view.strides, 0)
    return builder.add(builder.ptrtoint(view.data, _I64), builder.mul(row, stride))


def _every(builder: Any, vector: Any, one: Any) -> Any:
    """A vector of the same word in every place."""
    every = ir.Constant(vector, ir.Undefined)
    for place in range(vector.count):
        every = builder.insert_element(every, one, ir.Constant(_I32, place))
    return every


def _prefetch(context: Any, array: Any, row: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.inttoptr(_address(context, builder, signature.args[0], *args), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()] + [_I32] * 3)
        hint = builder.module.declare_intrinsic("llvm.prefetch", [ir.IntType(8).as_pointer()], kind)
        builder.call(hint, [place, *(ir.Constant(_I32, v) for v in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


prefetch = cast(Callable[[NDArray[Any], int | np.int64], None], intrinsic(_prefetch))
"""Ask for the cache line at `array[row]` without waiting for it. It comes as far as the second cache: to that, more can
be on their way at once than to the first, one in 6 ns instead of 10."""


def _line(context: Any, builder: Any, table: Any, array: Any, at: Any) -> Any:
    """A line as a whole: what is taken of it was there at one time."""
    line = builder.load(builder.inttoptr(_address(context, builder, table, array, at), _LINE.as_pointer()))
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
    return builder.zext(builder.and_(builder.bitcast(each, _I16), ir.Constant(_I16, (1 << ENTRIES) - 1)), _I32)


def _compare_line(context: Any, table: Any, at: Any, wanted: Any, bits: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = _line(context, builder, signature.args[0], args[0], args[1])
        wanted, bits = (_every(builder, _LINE, one) for one in args[2:])
        differing = builder.and_(builder.xor(line, wanted), bits)
        return _entries(builder, builder.icmp_unsigned("==", differing, ir.Constant(_LINE, [0] * LINE)))

    return types.uint32(table, types.int64, types.uint32, types.uint32), generate


compare_line = cast(
    Callable[[NDArray[np.uint32], int | np.int64, np.uint32, np.uint32], np.uint32], intrinsic(_compare_line)
)
"""Which entries of a line (16 words on a cache line of their own) have words that equal `wanted` in `bits`, as bits."""


def _all_of(value: int) -> Any:
    """A vector of the same number in every place."""
    return ir.Constant(_LINE, [value] * LINE)


def _tags(builder: Any, line: Any) -> Any:
    """The tags of a line's entries, in their places."""
    octets = builder.bitcast(line, ir.VectorType(ir.IntType(8), 4 * LINE))
    behind = ir.Constant(_LINE, [4 * ENTRIES + k for k in range(LINE)])
    octets = builder.zext(builder.shuffle_vector(octets, octets, behind), _LINE)
    low = builder.lshr(line, _all_of(ROW_BITS))
    return builder.or_(low, builder.shl(octets, _all_of(32 - ROW_BITS)))


def _held(builder: Any, line: Any) -> tuple[Any, Any]:
    """The rows of a line's words, and which of these are entries that hold one."""
    rows = builder.and_(line, _all_of((1 << ROW_BITS) - 1))
    held = builder.icmp_unsigned("!=", rows, _all_of(0))
    return rows, builder.and_(held, ir.Constant(held.type, [k < ENTRIES for k in range(LINE)]))


def _pressed(builder: Any, vector: Any, chosen: Any) -> Any:
    """The chosen words of a vector, beside each other in its first places."""
    kind = ir.FunctionType(_LINE, [_LINE, chosen.type, _LINE])
    name = "llvm.experimental.vector.compress.v16i32"
    return _call(builder, name, kind, vector, chosen, ir.Constant(_LINE, ir.Undefined))


def _count(builder: Any, chosen: Any) -> Any:
    return builder.zext(builder.ctpop(builder.bitcast(chosen, _I16)), _I64)


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    return builder.inttoptr(_address(context, builder, kind, array, at), _LINE.as_pointer())


def _rows_like(
    context: Any, table: Any, at: Any, tag: Any, bits: Any, most: Any, all_: Any, rows: Any, by: Any, n: Any, asker: Any
) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = _steady_line(context, builder, signature.args[0], args[0], args[1])
        tag, bits, most, all_, asker = (_every(builder, _LINE, args[k]) for k in (2, 3, 4, 5, 9))
        held, near = _held(builder, line)
        differing = builder.xor(_tags(builder, line), tag)
        for counted, limit in ((builder.and_(differing, bits), most), (differing, all_)):
            near = builder.and_(near, builder.icmp_unsigned("<=", _counted(builder, counted), limit))
        found = _pressed(builder, builder.sub(held, _all_of(1)), near)
        for k, vector in ((6, found), (7, asker)):
            builder.store(vector, _place(context, builder, signature.args[k], args[k], args[8])).align = 4
        further = builder.zext(builder.extract_element(line, ir.Constant(_I32, LINE - 1)), _I64)
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
        tags, bit = _tags(builder, line), _every(builder, _LINE, args[2])
        _, chosen = _held(builder, line)
        chosen = builder.and_(chosen, builder.icmp_unsigned("!=", builder.and_(tags, bit), _all_of(0)))
        for k, vector in ((3, line), (4, tags)):
            place = _place(context, builder, signature.args[k], args[k], args[5])
            builder.store(_pressed(builder, vector, chosen), place).align = 4
        return builder.add(args[5], _count(builder, chosen))

    return types.int64(table, types.int64, types.uint32, words, tags, types.int64), generate


entries_with = cast(
    Callable[
        [NDArray[np.uint32], int | np.int64, np.uint32, NDArray[np.uint32], NDArray[np.uint32], int | np.int64], int
    ],
    intrinsic(_entries_with),
)
"""Append to `words` and `tags`, from `found` on, those of a line's entries whose tags have this bit; returns how many
there are then. Both need room for `LINE` more."""


def _write_line(
    context: Any, table: Any, at: Any, words: Any, tags: Any, count: Any, following: Any
) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(_I64, 0)
        words, tags = (builder.load(_place(context, builder, signature.args[k], args[k], zero)) for k in (2, 3))
        words.align = tags.align = 4
        places = ir.Constant(_LINE, list(range(LINE)))
        within = builder.icmp_unsigned("<", places, _every(builder, _LINE, builder.trunc(args[4], _I32)))
        words = builder.select(within, words, _all_of(0))
        octets = builder.trunc(builder.lshr(tags, _all_of(32 - ROW_BITS)), ir.VectorType(ir.IntType(8), LINE))
        octets = builder.bitcast(octets, ir.VectorType(_I32, LINE // 4))
        octets = builder.shuffle_vector(octets, octets, ir.Constant(_LINE, [k % 4 for k in range(LINE)]))
        entries = ir.Constant(ir.VectorType(ir.IntType(1), LINE), [k < ENTRIES for k in range(LINE)])
        line = builder.select(entries, words, octets)
        line = builder.insert_element(line, args[5], ir.Constant(_I32, LINE - 1))
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
        line = _address(context, builder, signature.args[0], *args[:2])
        octet = builder.inttoptr(
            builder.add(line, builder.add(args[2], ir.Constant(_I64, 4 * ENTRIES))), ir.IntType(8).as_pointer()
        )
        word = builder.inttoptr(builder.add(line, builder.mul(args[2], ir.Constant(_I64, 4))), _I32.as_pointer())
        high = builder.lshr(args[3], ir.Constant(_I32, 32 - ROW_BITS))
        builder.store(builder.trunc(high, ir.IntType(8)), octet)
        builder.store(builder.or_(builder.shl(args[3], ir.Constant(_I32, ROW_BITS)), args[4]), word)
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
        with_ = builder.and_(_tags(builder, line), _every(builder, _LINE, args[2]))
        gone = builder.and_(held, builder.icmp_unsigned("!=", with_, _all_of(0)))
        place = _place(context, builder, signature.args[0], args[0], args[1])
        builder.store(builder.select(gone, _all_of(0), line), place).align = 4 * LINE
        return _count(builder, builder.xor(held, gone))

    return types.int64(table, types.int64, types.uint32), generate


drop_with = cast(Callable[[NDArray[np.uint32], int | np.int64, np.uint32], int], intrinsic(_drop_with))
"""Remove those of a line's entries whose tags have this bit; returns how many stay."""


def _in_order(context: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("acq_rel")
        return context.get_dummy_value()

    return types.void(), generate


in_order = cast(Callable[[], None], intrinsic(_in_order))
"""What is read and written before this is so before what follows, for every other thread that does the same."""


def _lowest(context: Any, word: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.cttz(args[0], ir.Constant(ir.IntType(1), 1)), _I64)

    return types.int64(types.uint32), generate


lowest = cast(Callable[[np.uint32], int], intrinsic(_lowest))
"""The place of the lowest bit that is set; there must be one."""


def _popcount(context: Any, word: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), generate


popcount = cast(Callable[[np.uint64], np.uint64], intrinsic(_popcount))
"""How many bits are set."""


def _call(builder: Any, name: str, kind: Any, *given: Any) -> Any:
    """What one of LLVM's own functions gives."""
    function = get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
    return builder.call(function, given)


def _counted(builder: Any, vector: Any) -> Any:
    """The bits that are set in each word of a vector."""
    kind = vector.type
    return _call(builder, f"llvm.ctpop.v{kind.count}{kind.element}", ir.FunctionType(kind, [kind]), vector)


def _sum(builder: Any, vector: Any) -> Any:
    return _call(builder, "llvm.vector.reduce.add.v8i64", ir.FunctionType(_I64, [_WORDS]), vector)


def _load(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> Any:
    place = _address(context, builder, kind, array, row)
    words = builder.load(builder.inttoptr(place, _WORDS.as_pointer()))
    words.align = 8
    return words


def _compare_words(
    context: Any, codes: Any, masks: Any, row: Any, qcodes: Any, qmasks: Any, query: Any, least: Any, parts: Any
) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        code, mask = (_load(context, builder, kinds[k], args[k], args[2]) for k in (0, 1))
        qcode, qmask = (_load(context, builder, kinds[k], args[k], args[5]) for k in (3, 4))
        both = builder.and_(mask, qmask)
        common, differing = _counted(builder, both), _counted(builder, builder.and_(builder.xor(code, qcode), both))
        enough = builder.icmp_unsigned(">=", common, _every(builder, _WORDS, args[6]))
        parts = _every(builder, _WORDS, args[7])

        def voting(differ: Any) -> Any:
            near = builder.icmp_unsigned("<=", builder.mul(differ, parts), common)
            bits = builder.zext(builder.bitcast(builder.and_(enough, near), ir.IntType(8)), _I64)
            return builder.ctpop(bits)

        return context.make_tuple(
            builder,
            signature.return_type,
            [
                _sum(builder, common),
                _sum(builder, differing),
                voting(differing),
                voting(builder.sub(common, differing)),
            ],
        )

    table: Any = types.UniTuple(types.int64, 4)  # type: ignore[no-untyped-call]
    return table(codes, masks, types.int64, qcodes, qmasks, types.int64, types.int64, types.int64), generate


Masked = NDArray[np.uint64]
compare_words = cast(
    Callable[[Masked, Masked, int | np.int64, Masked, Masked, int | np.int64, int, int], tuple[int, int, int, int]],
    intrinsic(_compare_words),
)
"""A row's code and mask beside a query's, 8 words each: the bits that both masks hold, those of them that differ, and
in how many words, of those with at least `least` common bits, at most one in `parts` differs, or agrees."""


def _summed(
    builder: Any, kind: Any, count: Any, sums: int, products: Callable[[Any], list[tuple[Any, Any]]]
) -> list[Any]:
    """So many vectors of sums of `count` products, at least one, each product and sum rounded once, in their order."""
    zero, one = ir.Constant(_I64, 0), ir.Constant(_I64, 1)
    before, loop = builder.block, builder.append_basic_block("products")
    after = builder.append_basic_block("summed")
    builder.branch(loop)
    builder.position_at_end(loop)
    k = builder.phi(_I64)
    totals = [builder.phi(kind) for _ in range(sums)]
    fused, name = ir.FunctionType(kind, [kind] * 3), f"llvm.fma.v{kind.count}f32"
    both = zip(products(k), totals, strict=True)
    added = [_call(builder, name, fused, one, other, total) for (one, other), total in both]
    following = builder.add(k, one)
    k.add_incoming(zero, before)
    k.add_incoming(following, loop)
    for total, more in zip(totals, added, strict=True):
        total.add_incoming(ir.Constant(kind, [0.0] * kind.count), before)
        total.add_incoming(more, loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)
    return added


def _floats(context: Any, builder: Any, kind: Any, array: Any, row: Any, vector: Any, offset: int = 0) -> Any:
    """Where so many floats of a row lie, from an offset on."""
    place = builder.add(_address(context, builder, kind, array, row), ir.Constant(_I64, 4 * offset))
    return builder.inttoptr(place, vector.as_pointer())


def _taken(builder: Any, place: Any) -> Any:
    values = builder.load(place)
    values.align = 4
    return values


def sum_along(lanes: int) -> Callable[..., None]:
    """For compiled code: `lanes` sums of products side by side, each product and sum rounded once, in their order.

    (sums, at, factors, which, samples, first, count): the row `at` of `sums` begins with the sums of the rows
    `which + k` of `factors` times the sample `first + k`, for k up to `count`.
    """
    vector = ir.VectorType(ir.FloatType(), lanes)

    def typed(
        context: Any, sums: Any, at: Any, factors: Any, which: Any, samples: Any, first: Any, count: Any
    ) -> tuple[Any, Build]:

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args
            sums, at, factors, which, samples, first, count = args

            def products(k: Any) -> list[tuple[Any, Any]]:
                row = _floats(context, builder, kinds[2], factors, builder.add(which, k), vector)
                place = _address(context, builder, kinds[4], samples, builder.add(first, k))
                sample = builder.load(builder.inttoptr(place, ir.FloatType().as_pointer()))
                return [(_taken(builder, row), _every(builder, vector, sample))]

            (total,) = _summed(builder, vector, count, 1, products)
            builder.store(total, _floats(context, builder, kinds[0], sums, at, vector)).align = 4
            return context.get_dummy_value()

        whole = types.int64
        return types.void(sums, whole, factors, whole, samples, whole, whole), generate

    return cast(Callable[..., None], intrinsic(typed))


def sum_down(takes: Sequence[int]) -> Callable[..., None]:
    """For compiled code: as many sums of products side by side as `takes` has numbers, up to 32, each product and sum
    rounded once, in their order.

    (sums, at, factors, which, rows, base, lines, first, count): the row `at` of `sums`, of 32, begins with the sums
    of the row `which + k` of `factors`, of 32, times those words of the row `base + lines[first + k]` of `rows`,
    of 16, that `takes` says, for k up to `count`.
    """
    halves = [[*takes[start : start + LINE]] for start in (0, LINE)]
    chosen = [ir.Constant(_LINE, half + [0] * (LINE - len(half))) for half in halves]

    def typed(
        context: Any, sums: Any, at: Any, factors: Any, which: Any, rows: Any, base: Any, lines: Any, first: Any,
        count: Any,
    ) -> tuple[Any, Build]:  # fmt: skip

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args
            sums, at, factors, which, rows, base, lines, first, count = args

            def products(k: Any) -> list[tuple[Any, Any]]:
                place = _address(context, builder, kinds[6], lines, builder.add(first, k))
                line = builder.zext(builder.load(builder.inttoptr(place, ir.IntType(8).as_pointer())), _I64)
                row = _taken(builder, _floats(context, builder, kinds[4], rows, builder.add(base, line), _FLOATS))
                out = []
                for half, mask in enumerate(chosen):
                    at = _floats(context, builder, kinds[2], factors, builder.add(which, k), _FLOATS, half * LINE)
                    out.append((_taken(builder, at), builder.shuffle_vector(row, row, mask)))
                return out

            for half, total in enumerate(_summed(builder, _FLOATS, count, 2, products)):
                builder.store(total, _floats(context, builder, kinds[0], sums, at, _FLOATS, half * LINE)).align = 4
            return context.get_dummy_value()

        whole = types.int64
        return types.void(sums, whole, factors, whole, rows, whole, lines, whole, whole), generate

    return cast(Callable[..., None], intrinsic(typed))


def _columns(builder: Any, rows: list[Any]) -> list[Any]:
    """The columns of 16 rows of 16 words."""
    for apart in (1, 2, 4, 8):
        upper = [k if not k & apart else LINE + k - apart for k in range(LINE)]
        lower = [k + apart if not k & apart else LINE + k for k in range(LINE)]
        for k in (k for k in range(LINE) if not k & apart):
            one, other = rows[k], rows[k + apart]
            rows[k] = builder.shuffle_vector(one, other, ir.Constant(_LINE, upper))
            rows[k + apart] = builder.shuffle_vector(one, other, ir.Constant(_LINE, lower))
    return rows


def weakest(bits: int, last: int) -> Callable[[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint32]], None]:
    """For compiled code: of 16 rows that begin with `bits` floats each, of 32, the signs and the weakest of them.

    It fills `out` (2, 16) with the signs as bits, the first one lowest, and with the bits of the weakest ones: so many
    of the first `bits - last` and of the `last` ones as `counts` (2, 16) says. The floats are given as integers, of
    which the last five bits are not looked at; of equals the earlier one is weaker.
    """

    def typed(context: Any, strengths: Any, counts: Any, out: Any) -> tuple[Any, Build]:

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            def place(k: int, row: int, half: int = 0) -> Any:
                at = _address(context, builder, signature.args[k], args[k], ir.Constant(_I64, row))
                return builder.inttoptr(builder.add(at, ir.Constant(_I64, 4 * LINE * half)), _LINE.as_pointer())

            def load(k: int, row: int, half: int = 0) -> Any:
                vector = builder.load(place(k, row, half))
                vector.align = 4
                return vector

            def all_of(value: int) -> Any:
                return ir.Constant(_LINE, [value] * LINE)

            one, zero = all_of(1), all_of(0)
            halves = [_columns(builder, [load(0, row, half) for row in range(LINE)]) for half in range(2)]
            values = [value for half in halves for value in half][:bits]
            signs = weak = zero
            for k, value in enumerate(values):
                sign = builder.zext(builder.icmp_signed(">", value, zero), _LINE)
                signs = builder.or_(signs, builder.shl(sign, all_of(k)))
            order = [builder.or_(builder.and_(v, all_of(0x7FFFFFE0)), all_of(k)) for k, v in enumerate(values)]
            for part, span in enumerate((range(bits - last), range(bits - last, bits))):
                count = load(1, part)
                weaker = dict.fromkeys(span, zero)  # how many are weaker than each
                for k in span:
                    for j in range(span.start, k):
                        less = builder.icmp_signed("<", order[j], order[k])
                        weaker[k] = builder.select(less, builder.add(weaker[k], one), weaker[k])
                        weaker[j] = builder.select(less, weaker[j], builder.add(weaker[j], one))
                for k in span:
                    free = builder.zext(builder.icmp_signed("<", weaker[k], count), _LINE)
                    weak = builder.or_(weak, builder.shl(free, all_of(k)))
            for k, vector in enumerate((signs, weak)):
                builder.store(vector, place(2, k)).align = 4
            return context.get_dummy_value()

        return types.void(strengths, counts, out), generate

    return cast(Callable[..., None], intrinsic(typed))


def _eight_bytes(context: Any, given: Any, at: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = builder.load(builder.inttoptr(_address(context, builder, signature.args[0], *args), _I64.as_pointer()))
        word.align = 1
        return builder.bswap(word)

    return types.uint64(given, types.int64), generate


eight_bytes = cast(Callable[[NDArray[np.uint8], int | np.int64], np.uint64], intrinsic(_eight_bytes))
"""The eight bytes from a place on as one number, the first one highest. They must all lie inside the array."""
