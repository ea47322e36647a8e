"""A control for comparisons of trainings: a change of the initial weights that is about as large as rounding."""

import torch
from torch import nn

NUDGE = 1e-7
"""Relative size of the change; float32 resolves 6e-8 to 1.2e-7."""


@torch.no_grad()
def nudge(module: nn.Module, size: float) -> None:
    """Multiplies each trained weight by a random number near 1, the same ones in each call.

    Args:
        module: the model.
        size: standard deviation of the relative change; 0 for none.
    """
    generator = torch.Generator().manual_seed(0)
    for weight in module.parameters():
        if size and weight.requires_grad:
            weight.mul_(1 + size * torch.randn(weight.shape, generator=generator))
