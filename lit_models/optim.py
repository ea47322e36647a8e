"""Optimizers and learning-rate schedules by plain name."""

import math
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import nn

from lit_models.keras.optimizers import KerasAdam, KerasRMSprop

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "keras_adam": KerasAdam,
    "keras_rmsprop": KerasRMSprop,
    "sgd": torch.optim.SGD,
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "rmsprop": torch.optim.RMSprop,
}
DECAYING = ("adamw", "sgd")  # those that take weight decay


def build_optimizer(
    name: str, params: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """The optimizer called `name`. Weight decay spares vectors (biases and norms), as BERT's recipe does.

    Raises:
        ValueError: unknown `name`, weight decay for one that takes none, or no parameter to train.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}, expected one of {', '.join(OPTIMIZERS)}")
    if weight_decay and name not in DECAYING:
        raise ValueError(f"weight_decay works with the optimizers {' and '.join(DECAYING)}, not with {name}")
    weights = list(params)
    if not weights:
        raise ValueError("every parameter is frozen: there is nothing to train")
    if not weight_decay:
        plain = {"weight_decay": 0.0} if name == "adamw" else {}
        return OPTIMIZERS[name](weights, lr=lr, **plain)
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[name](groups, lr=lr)


def build_schedule(
    name: str, optimizer: torch.optim.Optimizer, *, steps: int, warmup: float = 0.0
) -> torch.optim.lr_scheduler.LRScheduler:
    """Learning rate of each of `steps` optimizer steps: a linear rise over the first `warmup` (a fraction of them),
    then "constant", or "linear" or "cosine" decay that would reach 0 at step `steps`.

    Raises:
        ValueError: unknown `name`.
    """
    decays: dict[str, Callable[[float], float]] = {
        "constant": lambda done: 1.0,
        "linear": lambda done: 1.0 - done,
        "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    }
    if name not in decays:
        raise ValueError(f"unknown schedule {name!r}, expected one of {', '.join(decays)}")
    warm = round(steps * warmup)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return decays[name](min(1.0, (step - warm) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
