"""Pieces of which instructions are put together that numba has no name for.

Owns how LLVM is told of rows of arrays and of vectors, and how code is compiled that counts no arrays. Refuses to know
what they hold, and what is made of them: models/line.py, models/lanes.py and streams/abreast.py do. A `builder` is
llvmlite's, and so is what goes in and out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from llvmlite import ir
from numba import njit
from numba.core.cgutils import get_or_insert_function

LINE: Final = 16
"""Words of 32 bits in a cache line, and in the widest register."""

I32, I64 = ir.IntType(32), ir.IntType(64)
Build = Callable[..., Any]
"""What numba calls to put an instruction together."""

Compiled = TypeVar("Compiled", bound=Callable[..., Any])


def uncounted(work: Compiled) -> Compiled:
    """Compile what is called for single lines, and makes no array of its own, without counting who holds the arrays:
    each count waits until all has arrived that was written before. Whoever calls it holds them."""
    return cast(Compiled, cast(Any, njit)(cache=True, nogil=True, _nrt=False)(work))


def address(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> Any:
    """Where a row of an array begins, as a number."""
    view = context.make_array(kind)(context, builder, array)
    stride = builder.extract_value(view.strides, 0)
    return builder.add(builder.ptrtoint(view.data, I64), builder.mul(row, stride))


def every(builder: Any, vector: Any, one: Any) -> Any:
    """A vector of the same word in every place."""
    same = ir.Constant(vector, ir.Undefined)
    for place in range(vector.count):
        same = builder.insert_element(same, one, ir.Constant(I32, place))
    return same


def all_of(vector: Any, value: int) -> Any:
    """A vector of the same number in every place."""
    return ir.Constant(vector, [value] * vector.count)


def call(builder: Any, name: str, kind: Any, *given: Any) -> Any:
    """What one of LLVM's own functions gives."""
    function = get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
    return builder.call(function, given)


def counted(builder: Any, vector: Any) -> Any:
    """The bits that are set in each word of a vector."""
    kind = vector.type
    return call(builder, f"llvm.ctpop.v{kind.count}{kind.element}", ir.FunctionType(kind, [kind]), vector)


def pressed(builder: Any, vector: Any, chosen: Any) -> Any:
    """The chosen words of a vector, beside each other in its first places."""
    kind = vector.type
    name = f"llvm.experimental.vector.compress.v{kind.count}{kind.element}"
    taken = ir.FunctionType(kind, [kind, chosen.type, kind])
    return call(builder, name, taken, vector, chosen, ir.Constant(kind, ir.Undefined))
