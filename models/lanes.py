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
from numba.extending import intrinsic
from numpy.typing import NDArray

from models.vectors import I32, I64, LINE, Build, address, all_of, call, counted, every

WORDS: Final = 8
"""Words of 64 bits that `compare_words` compares."""

_FLOATS, _LINE, _WORDS = ir.VectorType(ir.FloatType(), LINE), ir.VectorType(I32, LINE), ir.VectorType(I64, WORDS)


def _prefetch(context: Any, array: Any, row: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.inttoptr(address(context, builder, signature.args[0], *args), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()] + [I32] * 3)
        hint = builder.module.declare_intrinsic("llvm.prefetch", [ir.IntType(8).as_pointer()], kind)
        builder.call(hint, [place, *(ir.Constant(I32, v) for v in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


prefetch = cast(Callable[[NDArray[Any], int | np.int64], None], intrinsic(_prefetch))
"""Ask for the cache line at `array[row]` without waiting for it. It comes as far as the second cache: to that, more can
be on their way at once than to the first, one in 6 ns instead of 10."""


def _in_order(context: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("acq_rel")
        return context.get_dummy_value()

    return types.void(), generate


in_order = cast(Callable[[], None], intrinsic(_in_order))
"""What is read and written before this is so before what follows, for every other thread that does the same."""


def _lowest(context: Any, word: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.cttz(args[0], ir.Constant(ir.IntType(1), 1)), I64)

    return types.int64(types.uint32), generate


lowest = cast(Callable[[np.uint32], int], intrinsic(_lowest))
"""The place of the lowest bit that is set; there must be one."""


def _popcount(context: Any, word: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), generate


popcount = cast(Callable[[np.uint64], np.uint64], intrinsic(_popcount))
"""How many bits are set."""


def _sum(builder: Any, vector: Any) -> Any:
    return call(builder, "llvm.vector.reduce.add.v8i64", ir.FunctionType(I64, [_WORDS]), vector)


def _load(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> Any:
    place = address(context, builder, kind, array, row)
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
        common, differing = counted(builder, both), counted(builder, builder.and_(builder.xor(code, qcode), both))
        enough = builder.icmp_unsigned(">=", common, every(builder, _WORDS, args[6]))
        parts = every(builder, _WORDS, args[7])

        def voting(differ: Any) -> Any:
            near = builder.icmp_unsigned("<=", builder.mul(differ, parts), common)
            bits = builder.zext(builder.bitcast(builder.and_(enough, near), ir.IntType(8)), I64)
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
    zero, one = ir.Constant(I64, 0), ir.Constant(I64, 1)
    before, loop = builder.block, builder.append_basic_block("products")
    after = builder.append_basic_block("summed")
    builder.branch(loop)
    builder.position_at_end(loop)
    k = builder.phi(I64)
    totals = [builder.phi(kind) for _ in range(sums)]
    fused, name = ir.FunctionType(kind, [kind] * 3), f"llvm.fma.v{kind.count}f32"
    both = zip(products(k), totals, strict=True)
    added = [call(builder, name, fused, one, other, total) for (one, other), total in both]
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
    place = builder.add(address(context, builder, kind, array, row), ir.Constant(I64, 4 * offset))
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
                place = address(context, builder, kinds[4], samples, builder.add(first, k))
                sample = builder.load(builder.inttoptr(place, ir.FloatType().as_pointer()))
                return [(_taken(builder, row), every(builder, vector, sample))]

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
                place = address(context, builder, kinds[6], lines, builder.add(first, k))
                line = builder.zext(builder.load(builder.inttoptr(place, ir.IntType(8).as_pointer())), I64)
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
                at = address(context, builder, signature.args[k], args[k], ir.Constant(I64, row))
                return builder.inttoptr(builder.add(at, ir.Constant(I64, 4 * LINE * half)), _LINE.as_pointer())

            def load(k: int, row: int, half: int = 0) -> Any:
                vector = builder.load(place(k, row, half))
                vector.align = 4
                return vector

            one, zero = all_of(_LINE, 1), all_of(_LINE, 0)
            halves = [_columns(builder, [load(0, row, half) for row in range(LINE)]) for half in range(2)]
            values = [value for half in halves for value in half][:bits]
            signs = weak = zero
            for k, value in enumerate(values):
                sign = builder.zext(builder.icmp_signed(">", value, zero), _LINE)
                signs = builder.or_(signs, builder.shl(sign, all_of(_LINE, k)))
            order = [
                builder.or_(builder.and_(v, all_of(_LINE, 0x7FFFFFE0)), all_of(_LINE, k)) for k, v in enumerate(values)
            ]
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
                    weak = builder.or_(weak, builder.shl(free, all_of(_LINE, k)))
            for k, vector in enumerate((signs, weak)):
                builder.store(vector, place(2, k)).align = 4
            return context.get_dummy_value()

        return types.void(strengths, counts, out), generate

    return cast(Callable[..., None], intrinsic(typed))


def _eight_bytes(context: Any, given: Any, at: Any) -> tuple[Any, Build]:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = builder.load(builder.inttoptr(address(context, builder, signature.args[0], *args), I64.as_pointer()))
        word.align = 1
        return builder.bswap(word)

    return types.uint64(given, types.int64), generate


eight_bytes = cast(Callable[[NDArray[np.uint8], int | np.int64], np.uint64], intrinsic(_eight_bytes))
"""The eight bytes from a place on as one number, the first one highest. They must all lie inside the array."""
