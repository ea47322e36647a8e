"""Embedding: `nn.Embedding` with a compiled gradient for a CPU. PyTorch's gradient reads all tokens again for each part
of the table.

The gradient of a word is the sum over its tokens in their order, in any number of threads. The fast path is for float32
and rows of a multiple of 16 numbers. For other calls in training, `kernels.used()` gives the reason. Without gradients,
there is nothing to make faster.
"""

from copy import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from lit_models import kernels
from lit_models.kernels.compiled import LANES, time_loop
from lit_models.kernels.modes import first_of, problem_of_mode


class Embedding(nn.Embedding):
    """`nn.Embedding` with a fast gradient."""

    def forward(self, input: Tensor) -> Tensor:  # PyTorch's argument name
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super().forward(input)  # the fast gradient is not needed
        problem = self.problem(input)
        kernels.record("Embedding", problem)
        rows: Tensor = EmbeddingFunction.apply(input, self.weight) if problem is None else super().forward(input)
        return rows

    def __prepare_scriptable__(self) -> nn.Embedding:
        """Returns PyTorch's layer with the same table, for `torch.jit.script`, which calls this hook."""
        layer = cast(nn.Embedding, copy(self))
        layer.__class__ = nn.Embedding
        return layer

    def problem(self, tokens: Tensor) -> str | None:
        """Why the fast path cannot be used now; None if it can."""
        reasons = {
            "the device is not a CPU": self.weight.device.type != "cpu" or tokens.device.type != "cpu",
            "numbers are not float32": self.weight.dtype != torch.float32,
            "ids are not int64": tokens.dtype != torch.int64,
            f"the size is not a multiple of {LANES}": self.embedding_dim % LANES != 0,
            "a setting of the layer is not supported": self.settings() != (None, None, False, False),
        }
        return problem_of_mode() or first_of(reasons) or time_loop("EMBEDDING").problem

    def settings(self) -> tuple[Any, ...]:
        """The settings that the fast path does not support."""
        return self.padding_idx, self.max_norm, self.scale_grad_by_freq, self.sparse


class EmbeddingFunction(torch.autograd.Function):
    """The rows of tokens, with the gradient of the table."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.shape = weight.shape
        return nn.functional.embedding(tokens, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        if torch.is_grad_enabled():
            raise RuntimeError("Embedding has no second derivative: use nn.Embedding")
        (tokens,) = ctx.saved_tensors
        grad, total = grad.contiguous(), grad.new_zeros(ctx.shape)
        loop = time_loop("EMBEDDING")
        arguments = loop.backward_arguments(width=ctx.shape[1], grad=grad.data_ptr(), total=total.data_ptr())
        loop.backward(tokens.contiguous().view(1, -1).numpy(), arguments, 0)
        return None, total
