"""Matrix products, convolutions and sums of scaled rows that keep their sums in registers.

LLVM keeps the sums of a plain loop in memory. Here, a function is emitted for each number of sums that a tile has.
Row strides are counted in numbers.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.extending import intrinsic

from lit_models.kernels.compiled import LANES
from lit_models.kernels.loops.vectors import FLOAT, FUSED, WORD, read, repeat, write

ROWS = 6  # rows of a tile: 6 sums of two registers, two for a weight and two for a factor fill the 16 of AVX2


def tile(rows: int) -> Any:
    """The function that computes `rows` rows and one vector of columns of `products`, and takes the same arguments."""

    @intrinsic
    def compute(typing: Any, c: Any, start: Any, first: Any, second: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            out, initial, *factors = (cgutils.unpack_tuple(builder, arg) for arg in args)
            sums = [
                cgutils.alloca_once_value(builder, read(builder, row_of(builder, *initial, i))) for i in range(rows)
            ]
            for factor in factors:
                emit_product(builder, sums, *factor)
            for i, number in enumerate(sums):
                write(builder, row_of(builder, *out, i), builder.load(number))
            return context.get_dummy_value()

        return types.void(c, start, first, second), emit

    return compute


def pixel_tile(rows: int) -> Any:
    """The function that computes 16 filters of a convolution at `rows` pixels which follow one another in a row.

    Its arguments are the addresses of the result `(rows, 16)`, of the bias and of the weights `(taps, span, 16)`, and
    of the inputs: address, numbers between two pixels and between two rows. `taps` are the rows of a filter, and `span`
    the numbers of one of its rows, which follow one another in the inputs.
    """

    @intrinsic
    def compute(typing: Any, out: Any, bias: Any, weight: Any, x: Any, taps: Any, span: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            out, bias, weight, x, taps, span = args
            x, pixel_stride, row_stride = cgutils.unpack_tuple(builder, x)
            one, lanes = ir.Constant(WORD, 1), ir.Constant(WORD, LANES)
            sums = [cgutils.alloca_once_value(builder, read(builder, bias)) for _ in range(rows)]
            with cgutils.for_range(builder, taps) as loop:
                inputs = row_of(builder, x, row_stride, loop.index)
                weights = row_of(builder, weight, builder.mul(span, lanes), loop.index)
                emit_product(builder, sums, inputs, pixel_stride, one, weights, lanes, span)
            for i, number in enumerate(sums):
                write(builder, row_of(builder, out, lanes, i), builder.load(number))
            return context.get_dummy_value()

        return types.void(out, bias, weight, x, taps, span), emit

    return compute


def scaled_sum(count: int) -> Any:
    """The function that adds rows of `count` vectors to a target, each times a factor.

    Its arguments are the addresses of the target and of the rows, and of two lists: offsets of rows, int32 in bytes,
    and factors, float32; then the length of the lists.
    """

    @intrinsic
    def compute(typing: Any, target: Any, rows: Any, offsets: Any, factors: Any, length: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            target, rows, offsets, factors, length = args
            places = [builder.add(target, ir.Constant(WORD, 4 * LANES * i)) for i in range(count)]
            sums = [cgutils.alloca_once_value(builder, read(builder, place)) for place in places]
            with cgutils.for_range(builder, length) as loop:
                step = builder.mul(loop.index, ir.Constant(WORD, 4))
                offset = builder.load(
                    builder.inttoptr(builder.add(offsets, step), ir.IntType(32).as_pointer()), align=4
                )
                row = builder.add(rows, builder.zext(offset, WORD))
                number = builder.load(builder.inttoptr(builder.add(factors, step), FLOAT.as_pointer()), align=4)
                factor = repeat(builder, number)
                for i, total in enumerate(sums):
                    product = builder.fmul(
                        factor, read(builder, builder.add(row, ir.Constant(WORD, 4 * LANES * i))), flags=FUSED
                    )
                    builder.store(builder.fadd(product, builder.load(total), flags=FUSED), total)
            for place, total in zip(places, sums, strict=True):
                write(builder, place, builder.load(total))
            return context.get_dummy_value()

        return types.void(target, rows, offsets, factors, length), emit

    return compute


def emit_product(builder: Any, sums: Any, a: Any, a_row: Any, a_column: Any, b: Any, b_row: Any, depth: Any) -> None:
    """Emits the loop that adds one matrix product to the sums of a tile."""
    with cgutils.for_range(builder, depth) as loop:
        weights = read(builder, row_of(builder, b, b_row, loop.index))
        for i, number in enumerate(sums):
            address = row_of(builder, row_of(builder, a, a_column, loop.index), a_row, i)
            factor = repeat(builder, builder.load(builder.inttoptr(address, FLOAT.as_pointer()), align=4))
            product = builder.fmul(factor, weights, flags=FUSED)
            builder.store(builder.fadd(product, builder.load(number), flags=FUSED), number)


def row_of(builder: Any, address: Any, stride: Any, row: Any) -> Any:
    """Emits the address of a row."""
    row = ir.Constant(WORD, row) if isinstance(row, int) else row
    return builder.add(address, builder.mul(builder.mul(stride, row), ir.Constant(WORD, 4)))


@intrinsic
def not_inlined(typing: Any) -> Any:
    """Marks the function that contains it. LLVM then compiles it once, instead of at each call."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), emit


tile_1, tile_2, tile_3, tile_4, tile_5, tile_6 = (tile(rows) for rows in range(1, ROWS + 1))
pixels_1, pixels_3, pixels_4, pixels_6 = map(pixel_tile, (1, 3, 4, ROWS))
sum_1, sum_3, sum_6 = map(scaled_sum, (1, 3, 6))


@njit(nogil=True)
def products(rows, columns, c, start, first, second):
    """c = start + first A @ first B + second A @ second B, for float32 matrices.

    Args:
        rows: rows of c, start and A.
        columns: columns of c, start and B, a multiple of 16.
        c: address and row stride of the result.
        start: address and row stride of the initial sums. A stride of 0 uses one row for all; it may be c itself.
        first: address, row stride and column stride of A; address and row stride of B; the columns of A.
        second: the same for the second product; 0 columns mean that there is none.
    """
    not_inlined()
    for j in range(0, columns, LANES):
        i = 0
        while i < rows:
            left = rows - i
            out = (c[0] + 4 * (i * c[1] + j), c[1])
            initial = (start[0] + 4 * (i * start[1] + j), start[1])
            p = (first[0] + 4 * i * first[1], first[1], first[2], first[3] + 4 * j, first[4], first[5])
            q = (second[0] + 4 * i * second[1], second[1], second[2], second[3] + 4 * j, second[4], second[5])
            if left >= 6 and left != 7 and left != 8:
                tile_6(out, initial, p, q)
                i += 6
            elif left == 5:
                tile_5(out, initial, p, q)
                i += 5
            elif left >= 4:  # also of 7 and 8 rows, because fewer than four sums would wait for each other
                tile_4(out, initial, p, q)
                i += 4
            elif left == 3:
                tile_3(out, initial, p, q)
                i += 3
            elif left == 2:
                tile_2(out, initial, p, q)
                i += 2
            else:
                tile_1(out, initial, p, q)
                i += 1


@njit(nogil=True)
def convolve_row(count, out, bias, weight, x, taps, span):
    """16 filters of a convolution at `count` pixels of a row; the arguments are those of `pixel_tile`."""
    not_inlined()
    i = 0
    while i < count:
        left = count - i
        target, inputs = out + 4 * LANES * i, (x[0] + 4 * x[1] * i, x[1], x[2])
        if left >= 6 and left != 7 and left != 8:
            pixels_6(target, bias, weight, inputs, taps, span)
            i += 6
        elif left >= 4:  # also of 7 and 8 pixels, because fewer than four sums would wait for each other
            pixels_4(target, bias, weight, inputs, taps, span)
            i += 4
        elif left == 3:
            pixels_3(target, bias, weight, inputs, taps, span)
            i += 3
        else:
            pixels_1(target, bias, weight, inputs, taps, span)
            i += 1


@njit(nogil=True)
def add_scaled(vectors, target, rows, offsets, factors, length):
    """Adds rows of `vectors` vectors to a target; the arguments are those of `scaled_sum`."""
    not_inlined()
    while vectors > 0:
        if vectors >= 6:
            sum_6(target, rows, offsets, factors, length)
            used = 6
        elif vectors >= 3:
            sum_3(target, rows, offsets, factors, length)
            used = 3
        else:
            sum_1(target, rows, offsets, factors, length)
            used = 1
        vectors -= used
        target += 4 * LANES * used
        rows += 4 * LANES * used
