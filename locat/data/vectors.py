"""Two pieces of code that numba does not make into vector instructions by itself, said in LLVM's own words.

It is LLVM's generic code, no processor's own. An array says where bytes begin; its length and shape are not checked.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from locat.data.compiled import emitted

TILE = 16
"""Rows and columns that `turn` takes at a time."""
LANES = 64
"""Bytes that `weigh` takes at a time: with AVX2 their sums fill half of the registers."""
PRECISION = 22
"""Fractional bits of a weight."""

_BYTE, _INT32, _INT64 = (ir.IntType(bits) for bits in (8, 32, 64))

Emit = Callable[[Any, ir.IRBuilder, Any, Sequence[ir.Value]], ir.Value]


@emitted
def turn(_: Any, source: Any, source_stride: Any, target: Any, target_stride: Any) -> tuple[Any, Emit]:
    """Write TILE x TILE bytes on their side: `target[column, row] = source[row, column]`; strides in bytes.

    Four perfect shuffles: each interleaves row i with row i + 8.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        start, end = (_data(context, builder, signature.args[at], arguments[at]) for at in (0, 2))
        kind, half = ir.VectorType(_BYTE, TILE), TILE // 2
        rows = [builder.load(_at(builder, kind, start, arguments[1], _INT64(row)), align=1) for row in range(TILE)]
        pairs = [[lane for at in range(first, first + half) for lane in (at, at + TILE)] for first in (0, half)]
        for _step in range(TILE.bit_length() - 1):
            rows = [
                builder.shuffle_vector(rows[row], rows[row + half], _lanes(pair))
                for row in range(half)
                for pair in pairs
            ]
        for row, values in enumerate(rows):
            builder.store(values, _at(builder, kind, end, arguments[3], _INT64(row)), align=1)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), emit


@emitted
def weigh(_: Any, source: Any, stride: Any, weights: Any, count: Any, target: Any) -> tuple[Any, Emit]:
    """Write LANES bytes: the sum of `count` times as many, `stride` bytes apart, each times its int32 weight.

    Sums are rounded into 0..255. They stay in registers, where numba's own loops store them after each weight.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        start, factors, end = (_data(context, builder, signature.args[at], arguments[at]) for at in (0, 2, 4))
        narrow, wide = ir.VectorType(_BYTE, LANES), ir.VectorType(_INT32, LANES)

        def everywhere(value: int) -> ir.Constant:
            return ir.Constant(wide, [value] * LANES)

        sums = cgutils.alloca_once_value(builder, everywhere(1 << (PRECISION - 1)))
        with cgutils.for_range(builder, arguments[3]) as loop:
            values = builder.load(_at(builder, narrow, start, arguments[1], loop.index), align=1)
            factor = builder.load(_at(builder, _INT32, factors, _INT64(_INT32.width // 8), loop.index))
            first = builder.insert_element(ir.Constant(wide, ir.Undefined), factor, _INT64(0))
            product = builder.mul(builder.zext(values, wide), builder.shuffle_vector(first, first, _lanes([0] * LANES)))
            builder.store(builder.add(builder.load(sums), product), sums)
        total = builder.ashr(builder.load(sums), everywhere(PRECISION))
        for beyond, limit in (("<", everywhere(0)), (">", everywhere(255))):
            total = builder.select(builder.icmp_signed(beyond, total, limit), limit, total)
        builder.store(builder.trunc(total, narrow), _at(builder, narrow, end, _INT64(0), _INT64(0)), align=1)
        return context.get_dummy_value()

    return types.void(source, types.intp, weights, types.intp, target), emit


def _data(context: Any, builder: ir.IRBuilder, kind: Any, array: ir.Value) -> ir.Value:
    """Where an array begins."""
    return context.make_array(kind)(context, builder, array).data


def _at(builder: ir.IRBuilder, kind: ir.Type, start: ir.Value, stride: ir.Value, number: ir.Value) -> ir.Value:
    """Where the value `number` of this kind lies, `stride` bytes from one to the next."""
    at = builder.gep(builder.bitcast(start, _BYTE.as_pointer()), [builder.mul(stride, number)])
    return builder.bitcast(at, kind.as_pointer())


def _lanes(numbers: Sequence[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(_INT32, len(numbers)), list(numbers))
