"""Optimizers and learning-rate schedules by plain name."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import nn

from datamodules.errors import UserError
from lit_models.keras.rules.keras_optimizer import PREFIX, KerasOptimizer, checked_settings
from lit_models.keras.rules.optimizers import KerasAdam, KerasRMSprop
from lit_models.keras.rules.updates import RULES

OptimizerName = Literal[
    "keras_adam",
    "keras_rmsprop",
    "sgd",
    "adam",
    "adamw",
    "rmsprop",
    "keras_sgd",
    "keras_adamw",
    "keras_adagrad",
    "keras_adadelta",
    "keras_adamax",
    "keras_nadam",
    "keras_lion",
    "keras_ftrl",
    "keras_lamb",
]
ScheduleName = Literal["constant", "linear", "cosine"]

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "keras_adam": KerasAdam,
    "keras_rmsprop": KerasRMSprop,
    "sgd": torch.optim.SGD,
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "rmsprop": torch.optim.RMSprop,
    **{PREFIX + rule: partial(KerasOptimizer, rule=rule) for rule in RULES if rule not in ("adam", "rmsprop")},
}
DECAYING = ("adamw", "sgd")  # these take weight decay


def build_optimizer(
    name: str,
    params: Iterable[nn.Parameter],
    *,
    lr: float,
    weight_decay: float = 0.0,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> torch.optim.Optimizer:
    """Builds the optimizer `name`. Weight decay is not applied to vectors (biases and norms), as in BERT's recipe.

    Args:
        name: one of `OPTIMIZERS`.
        params: the parameters.
        lr: learning rate.
        weight_decay: for the optimizers in `DECAYING`.
        settings: Keras' settings of an optimizer of Keras that differ from its defaults.

    Raises:
        UserError: `name` is unknown, the optimizer takes no such setting, or there is no parameter to train.
    """
    if name not in OPTIMIZERS:
        raise UserError(f"unknown optimizer {name!r}, expected one of {', '.join(OPTIMIZERS)}")
    check_settings(name, lr=lr, weight_decay=weight_decay, settings=settings)
    weights = list(params)
    if not weights:
        raise UserError("every parameter is frozen: there is nothing to train")
    plain = {"weight_decay": 0.0} if name == "adamw" else {}
    groups: Any = weights
    if weight_decay:
        plain = {}
        groups = [
            {"params": [w for w in weights if w.ndim > 1], "weight_decay": weight_decay},
            {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
        ]
    if settings:
        optimizer: torch.optim.Optimizer = KerasOptimizer(
            weights, rule=name.removeprefix(PREFIX), lr=lr, settings=settings
        )
    else:
        optimizer = OPTIMIZERS[name](groups, lr=lr, **plain)
    # Fused optimizers can undo the loss scaling of 16-bit training themselves. Lightning then refuses to clip
    # gradients, so Lightning undoes it here.
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer


def check_settings(
    name: str, *, lr: float, weight_decay: float, settings: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Checks the settings of an optimizer.

    Raises:
        UserError: a number is out of its range, or the optimizer does not take a setting.
    """
    if not (lr > 0 and math.isfinite(lr)):
        raise UserError(f"lr must be a positive number, got {lr}")
    if not 0 <= weight_decay < math.inf:
        raise UserError(f"weight_decay must be 0 or a positive number, got {weight_decay}")
    if weight_decay and name not in DECAYING:
        advice = f"; use --model.optimizer_settings.weight_decay {weight_decay}" if name.startswith(PREFIX) else ""
        raise UserError(f"weight_decay works with the optimizers {' and '.join(DECAYING)}, not with {name}{advice}")
    if settings:
        checked_settings(name, settings)


def build_schedule(
    name: str, optimizer: torch.optim.Optimizer, *, steps: int, warmup: float = 0.0
) -> torch.optim.lr_scheduler.LRScheduler:
    """Builds the schedule of the learning rate for `steps` optimizer steps. The rate rises linearly over the first
    `warmup` (a fraction of the steps). Then it is "constant", or decays to 0 at step `steps`, "linear" or "cosine".

    Raises:
        UserError: `name` is unknown.
    """
    decays: dict[str, Callable[[float], float]] = {
        "constant": lambda done: 1.0,
        "linear": lambda done: 1.0 - done,
        "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    }
    if name not in decays:
        raise UserError(f"unknown schedule {name!r}, expected one of {', '.join(decays)}")
    warm = round(steps * warmup)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return decays[name](min(1.0, (step - warm) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
