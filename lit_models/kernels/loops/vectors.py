"""Vectors of 16 float32 for functions that Numba compiles.

Numba and LLVM vectorise simple loops only. Here, a vector is one value of LLVM's type `<16 x float>`. LLVM splits it
into the registers of the machine: one with AVX-512, two with AVX2, four with SSE or NEON. A product and the sum that it
is added to become one FMA instruction where the machine has it.

Memory is addressed by integers, in bytes, as `Tensor.data_ptr` returns them. Nothing checks their bounds.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.datamodel.models import PrimitiveModel
from numba.core.extending import intrinsic, overload, register_model

from lit_models.kernels.compiled import LANES

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


def define_access(kind: Any, form: Any, align: int) -> tuple[Any, Any]:
    """The functions that read and write one number at an address."""
    pointer = form.as_pointer()

    @intrinsic
    def read_one(typing: Any, address: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.load(builder.inttoptr(args[0], pointer), align=align)

        return kind(types.int64), emit

    @intrinsic
    def write_one(typing: Any, address: Any, number: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            builder.store(args[1], builder.inttoptr(args[0], pointer), align=align)
            return context.get_dummy_value()

        return types.void(types.int64, kind), emit

    return read_one, write_one


number_at, set_number = define_access(types.float32, FLOAT, 4)
byte_at, set_byte = define_access(types.uint8, ir.IntType(8), 1)
integer_at, set_integer = define_access(types.int32, ir.IntType(32), 4)
long_at, set_long = define_access(types.int64, WORD, 8)


@intrinsic
def splat(typing: Any, number: Any) -> Any:
    """The vector that contains a float32 in each lane."""
    return vector(types.float32), lambda context, builder, signature, args: repeat(builder, args[0])


@intrinsic
def limit(typing: Any, value: Any, bound: Any) -> Any:
    """`value`, clamped to `-bound` and `bound` in each lane. NaN stays NaN."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, high = args
        low = builder.fneg(high)
        value = builder.select(builder.fcmp_ordered(">", value, high), high, value)
        return builder.select(builder.fcmp_ordered("<", value, low), low, value)

    return vector(vector, vector), emit


@intrinsic
def positive_part(typing: Any, value: Any, sign: Any) -> Any:
    """`value` in the lanes where `sign` is above 0 or NaN, 0 elsewhere."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, sign = args
        zero = ir.Constant(FLOATS, None)
        return builder.select(builder.fcmp_ordered("<=", sign, zero), zero, value)

    return vector(vector, vector), emit


@intrinsic
def where_larger(typing: Any, new: Any, best: Any, value: Any, other: Any) -> Any:
    """`value` in the lanes where `new` is above `best` or NaN, `other` elsewhere."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        new, best, value, other = args
        larger = builder.or_(builder.fcmp_ordered(">", new, best), builder.fcmp_unordered("uno", new, new))
        return builder.select(larger, value, other)

    return vector(vector, vector, vector, vector), emit


@intrinsic
def store_bytes(typing: Any, address: Any, value: Any) -> Any:
    """Writes a vector of whole numbers from 0 to 127 as 16 bytes."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address, value = args
        numbers = builder.fptosi(value, ir.VectorType(ir.IntType(32), LANES))
        octets = ir.VectorType(ir.IntType(8), LANES)
        builder.store(builder.trunc(numbers, octets), builder.inttoptr(address, octets.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, vector), emit


@intrinsic
def keep(typing: Any, array: Any) -> Any:
    """Keeps the memory of an array whose address is in use allocated until this call. Computes nothing."""
    return types.void(array), lambda context, builder, signature, args: context.get_dummy_value()


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


def constant(number: float) -> Callable[[], Any]:
    """A compiled function without arguments that returns a vector of one number."""
    single = np.float32(number)
    return njit(nogil=True)(lambda: splat(single))


ZERO, ONE, HALF, BOUND = constant(0), constant(1), constant(0.5), constant(7.90531110763549805)
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
