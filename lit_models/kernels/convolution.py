"""Convolution: `nn.Conv2d` that also computes the max pooling and the activation after it, with a fast path for a CPU.

The fast path keeps only the pooled values and their positions. The gradient reaches one pixel of each pooling window,
and none where ReLU is 0, so the backward pass multiplies at most a quarter of the numbers.

The fast path is for float32 on a CPU, filters in multiples of 16, square kernels without strides, dilation and groups.
For other calls, `kernels.used()` gives the reason. The fast path does not support second derivatives or in-place
changes of the results. These raise errors. It skips inputs whose gradient is 0; in PyTorch, such an input gives NaN if
it is infinite. Hooks of the activation are not called.

Shapes: B samples, C channels, O filters, h x w values of a filter after pooling.
"""

from copy import copy
from functools import cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models import kernels
from lit_models.kernels.compiled import LANES, time_loop
from lit_models.kernels.modes import first_of, problem_of_mode
from lit_models.kernels.passes import addresses, rounded_up
from lit_models.kernels.threads import run_parts

SAMPLES, PARTS = 8, 32
"""Samples per call of a loop, and maximum number of calls. Each call needs memory for the gradient of the weights."""
ACTIVATIONS: list[type[nn.Module]] = [nn.ReLU, nn.Tanh, nn.Sigmoid]
"""In the order of their numbers in `loops/convolution.py`."""


class PlainConvolution(nn.Conv2d):
    """`nn.Conv2d` with max pooling and an activation after it, computed by PyTorch.

    Args:
        args: of `nn.Conv2d`.
        pool: height and width of the pooling in pixels; 1 for none.
        activation: computed after the pooling; None for none. It should be monotonic, so that pooling before or
            after it gives the same result.
        kwargs: of `nn.Conv2d`.
    """

    def __init__(self, *args: Any, pool: int = 1, activation: nn.Module | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pool = pool
        self.activation = nn.Identity() if activation is None else activation

    def forward(self, input: Tensor) -> Tensor:  # PyTorch's argument name
        """`input`: float `(B, C, H, W)`; returns `(B, O, h, w)`."""
        maps = self._conv_forward(input, self.weight, self.bias)
        if self.pool > 1:
            maps = F.max_pool2d(maps, self.pool)
        outputs: Tensor = self.activation(maps)
        return outputs


class Convolution(PlainConvolution):
    """`nn.Conv2d` with max pooling and an activation after it, by the fast path where it can be used."""

    def forward(self, input: Tensor) -> Tensor:
        problem = self.problem(input)
        if not torch.compiler.is_compiling():  # the compiler cannot trace the next line
            kernels.record("Convolution", problem)
        if problem is not None:
            return super().forward(input)
        x = F.pad(input, (self.padded,) * 4) if self.padded else input
        code = [type(self.activation) is kind for kind in ACTIVATIONS].index(True)
        maps: Tensor = ConvolutionFunction.apply(x, self.weight, self.bias, self.pool, code, torch.is_grad_enabled())
        return maps

    def __prepare_scriptable__(self) -> PlainConvolution:
        """Returns the plain layer with the same parameters, for `torch.jit.script`, which calls this hook."""
        layer = cast(PlainConvolution, copy(self))
        layer.__class__ = PlainConvolution
        return layer

    @property
    def padded(self) -> int:
        """Pixels of zeros that are added at each side."""
        return int(self.padding[0])

    def problem(self, x: Tensor) -> str | None:
        """Why the fast path cannot be used now; None if it can."""
        if type(x) is not Tensor or x.dim() != 4 or x.numel() == 0 or x.shape[1] != self.in_channels:
            return "the inputs are not a batch of images or maps"
        tensors = (x, self.weight, x if self.bias is None else self.bias)
        reasons = {
            "the device is not a CPU": any(tensor.device.type != "cpu" for tensor in tensors),
            "numbers are not float32": any(tensor.dtype != torch.float32 for tensor in tensors),
            "autocast is on": torch.is_autocast_enabled("cpu"),
            "a setting of the layer is not supported": self.settings() != (True, (1, 1), (1, 1), 1, "zeros", True),
            f"the filters are not a multiple of {LANES}": self.out_channels % LANES != 0,
            "the activation is not ReLU, tanh or sigmoid": type(self.activation) not in ACTIVATIONS,
            "the gradient of these inputs is needed": self.in_channels % LANES != 0 and x.requires_grad,
            "the pooling is too large": self.pool * self.pool > 128,
        }
        reason = problem_of_mode() or first_of(reasons)
        if reason is None and min(x.shape[2:]) + 2 * self.padded - self.kernel_size[0] + 1 < self.pool:
            reason = "the inputs are smaller than a filter and its pooling"
        return reason or time_loop("CONVOLUTION").problem

    def settings(self) -> tuple[Any, ...]:
        """Settings that must have a certain value on the fast path."""
        square = self.kernel_size[0] == self.kernel_size[1] and isinstance(self.padding, tuple)
        square = square and self.padding[0] == self.padding[1]
        return square, self.stride, self.dilation, self.groups, self.padding_mode, self.bias is not None


class ConvolutionFunction(torch.autograd.Function):
    """Convolution, pooling and activation with their gradients. Padding was added before."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, pool: int, activation: int, grad_enabled: bool
    ) -> Tensor:
        x, bias = x.contiguous(memory_format=torch.channels_last), bias.contiguous()
        (samples, channels, height, width), (filters, _, kernel, _) = x.shape, weight.shape
        shape = samples, filters, (height - kernel + 1) // pool, (width - kernel + 1) // pool
        out = torch.empty(shape, memory_format=torch.channels_last)
        keep = grad_enabled and any(ctx.needs_input_grad)
        positions = torch.empty_like(out, dtype=torch.uint8) if keep else None
        packed = weight.permute(0, 2, 3, 1).reshape(filters // LANES, LANES, -1)  # (O / 16, 16, kernel * kernel * C)
        packed = packed.transpose(1, 2).contiguous()
        ctx.sizes = {"channels": channels, "height": height, "width": width, "filters": filters, "kernel": kernel}
        ctx.sizes |= {"pool": pool, "activation": activation}
        loop, table = time_loop("CONVOLUTION"), slices(samples)
        tensors = addresses(x=x, weight=packed, bias=bias, out=out, positions=positions)
        arguments = loop.forward_arguments(**ctx.sizes, **tensors)
        run_parts(lambda part: loop.forward(table, arguments, part), range(len(table)))
        if keep:
            ctx.save_for_backward(x, weight, out, positions)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("Convolution has no second derivative: use nn.Conv2d")
        _, weight, _, _ = ctx.saved_tensors
        filters, channels, kernel, _ = weight.shape
        maps = (*(ctx.saved_tensors[i] for i in (0, 2, 3)), grad)  # a hook may have saved them in another order
        x, out, positions, grad = (each.contiguous(memory_format=torch.channels_last) for each in maps)
        needs_x, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        grad_x = torch.empty_like(x) if needs_x else None
        rows = None if grad_x is None else weight.permute(2, 0, 3, 1).contiguous()  # (kernel, O, kernel, C)
        loop, table, size = time_loop("CONVOLUTION"), slices(len(x)), kernel * kernel * channels
        grad_weight = x.new_zeros(len(table), filters, rounded_up(size)) if needs_weight else None
        grad_bias = x.new_zeros(len(table), filters)
        shared = addresses(x=x, weight=rows, out=out, positions=positions, grad_out=grad, grad_x=grad_x)

        def run(part: int) -> None:
            own = addresses(grad_weight=None if grad_weight is None else grad_weight[part], grad_bias=grad_bias[part])
            loop.backward(table, loop.backward_arguments(**ctx.sizes, **shared, **own), part)

        run_parts(run, range(len(table)))
        total = None
        if grad_weight is not None:
            total = grad_weight.sum(0)[:, :size].view(filters, kernel, kernel, channels).permute(0, 3, 1, 2)
        return grad_x, total, grad_bias.sum(0) if needs_bias else None, None, None, None


@cache
def slices(samples: int) -> npt.NDArray[np.int64]:
    """Start and end of each part of the batch, `(parts, 2)`; the end is exclusive."""
    size = max(SAMPLES, -(-samples // PARTS))
    low = np.arange(0, samples, size)
    return np.stack([low, np.minimum(low + size, samples)], axis=1)
