"""Modes of PyTorch in which no layer uses its fast path."""

import torch

from lit_models import kernels


def problem_of_mode() -> str | None:
    """Why no fast path can be used now; None if one can."""
    if torch.compiler.is_compiling():  # PyTorch's compiler cannot trace the checks below
        return "a graph is compiled or traced"
    reasons = {
        "kernels are set to plain": kernels.chosen() == "plain",
        "a graph is compiled or traced": torch.jit.is_tracing(),  # type: ignore[attr-defined, no-untyped-call]
        "forward-mode derivatives are on": torch.autograd.forward_ad._current_level >= 0,
        "a transform of torch.func is on": torch._C._are_functorch_transforms_active(),
    }
    return first_of(reasons)


def first_of(reasons: dict[str, bool]) -> str | None:
    """The first reason that applies."""
    return next((reason for reason, applies in reasons.items() if applies), None)
