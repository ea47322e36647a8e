"""Vectors of 16 float32 for functions that Numba compiles, and matrix products that keep their sums in registers.

Numba and LLVM vectorise simple loops only, and keep the sums of a matrix product in memory. Here, a vector is one value
of LLVM's type `<16 x float>`. LLVM splits it into the registers of the machine: one with AVX-512, two with AVX2, four
with SSE or NEON. A product and the sum that it is added to become one FMA instruction where the machine has it.

Memory is addressed by integers, in bytes, as `Tensor.data_ptr` returns them. Nothing checks their bounds. Row strides
are counted in numbers.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.datamodel.models import PrimitiveModel
from numba.core.extending import intrinsic, overload, register_model

from lit_models.kernels.compiled import LANES

ROWS = 6  # rows of a tile: 6 sums of two registers, two for a weight and two for a factor fill the 16 of AVX2
WORD = ir.IntType(64)
FLOAT = ir.FloatType()
FLOATS = ir.VectorType(FLOAT, LANES)
FUSED = ("contract",)  # a product and a sum may become an FMA


class Vector(types.Type):
    """Numba's type of a vector."""

    def __init__(self) -> None:
        super().__init__(name="Vector")


vector = Vector()


@register_model(Vector)
class VectorModel(PrimitiveModel):
    """A vector is one value of LLVM."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, FLOATS)


def read(builder: Any, address: Any) -> Any:
    """Emits the load of a vector."""
    return builder.load(builder.inttoptr(address, FLOATS.as_pointer()), align=4)


def write(builder: Any, address: Any, value: Any) -> None:
    """Emits the store of a vector."""
    builder.store(value, builder.inttoptr(address, FLOATS.as_pointer()), align=4)


def repeat(builder: Any, number: Any) -> Any:
    """Emits a vector that contains `number` in each lane."""
    undefined = ir.Constant(FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


@intrinsic
def load(typing: Any, address: Any) -> Any:
    """The vector at an address."""
    return vector(types.int64), lambda context, builder, signature, args: read(builder, args[0])


@intrinsic
def store(typing: Any, address: Any, value: Any) -> Any:
    """Writes a vector to an address."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        write(builder, *args)
        return context.get_dummy_value()

    return types.void(types.int64, vector), emit


@intrinsic
def splat(typing: Any, number: Any) -> Any:
    """The vector that contains a float32 in each lane."""
    return vector(types.float32), lambda context, builder, signature, args: repeat(builder, args[0])


@intrinsic
def limit(typing: Any, value: Any, bound: Any) -> Any:
    """`value`, at least `-bound` and at most `bound` in each lane. NaN stays NaN."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, high = args
        low = builder.fneg(high)
        value = builder.select(builder.fcmp_ordered(">", value, high), high, value)
        return builder.select(builder.fcmp_ordered("<", value, low), low, value)

    return vector(vector, vector), emit


def define(operation: Any, instruction: str) -> None:
    """Gives vectors an arithmetic operation."""

    @intrinsic
    def apply(typing: Any, a: Any, b: Any) -> Any:
        return vector(vector, vector), lambda context, builder, signature, args: getattr(builder, instruction)(
            *args, flags=FUSED
        )

    @overload(operation, strict=False)  # mypy wants annotations that Numba compares
    def choose(a: Any, b: Any) -> Any:
        return (lambda a, b: apply(a, b)) if a is vector and b is vector else None


for operation, instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    define(operation, instruction)


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
    """Marks the function that contains it. LLVM then compiles it once, and not at each call."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), emit


tile_1, tile_2, tile_3, tile_4, tile_5, tile_6 = (tile(rows) for rows in range(1, ROWS + 1))


@njit(nogil=True)
def products(rows, columns, c, start, first, second):
    """c = start + first A @ first B + second A @ second B, for float32 matrices.

    Args:
        rows: of c, start and A.
        columns: of c, start and B, a multiple of 16.
        c: address and row stride of the result.
        start: address and row stride of the initial sums. A stride of 0 uses one row for all; it may be c itself.
        first: address, row stride and column stride of A; address and row stride of B; the columns of A.
        second: the same of the second product; with 0 columns there is none.
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
            elif left >= 4:  # 7 and 8 rows as well: fewer than four sums wait for each other
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


def constant(number: float) -> Callable[[], Any]:
    """A compiled function without arguments that returns a vector of one number."""
    single = np.float32(number)
    return njit(nogil=True)(lambda: splat(single))


ONE, HALF, BOUND = constant(1), constant(0.5), constant(7.90531110763549805)
P1, P3, P5, P7 = map(constant, (4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08))
P9, P11, P13 = map(constant, (-8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16))
Q0, Q2, Q4, Q6 = map(constant, (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06))


@njit(nogil=True)
def tanh(x):
    """tanh of a vector, by the rational function of Eigen and XLA; the absolute error is below 3e-7."""
    x = limit(x, BOUND())
    s = x * x
    p = (((((P13() * s + P11()) * s + P9()) * s + P7()) * s + P5()) * s + P3()) * s + P1()
    return x * p / (((Q6() * s + Q4()) * s + Q2()) * s + Q0())


@njit(nogil=True)
def sigmoid(x):
    """1 / (1 + exp(-x)) of a vector; the absolute error is below 2e-7."""
    return HALF() + HALF() * tanh(HALF() * x)
