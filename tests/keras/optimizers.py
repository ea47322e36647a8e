"""Optimizers of Keras with settings that are not its defaults. All are binary fractions, because Keras on TensorFlow
rounds a number of Python to float32 before it casts it to float64."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

BETAS = {"beta_1": 0.875, "beta_2": 0.9375}
LR = 0.0625
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.875, "clipnorm": 0.25}),
    "nesterov": ("SGD", {"momentum": 0.875, "nesterov": True, "weight_decay": 0.125}),
    "adam": ("Adam", {}),
    "amsgrad": ("Adam", {**BETAS, "amsgrad": True, "clipnorm": 0.125, "epsilon": 0.0625}),
    "adamw": ("AdamW", {**BETAS, "weight_decay": 0.0625}),
    "rmsprop": ("RMSprop", {}),
    "centered": ("RMSprop", {"rho": 0.875, "momentum": 0.5, "centered": True, "global_clipnorm": 0.25}),
    "adagrad": ("Adagrad", {"initial_accumulator_value": 0.25}),
    "adadelta": ("Adadelta", {"rho": 0.875}),
    "adamax": ("Adamax", BETAS),
    "nadam": ("Nadam", BETAS),
    "lion": ("Lion", {**BETAS, "clipvalue": 0.125}),
    "ftrl": (
        "Ftrl",
        {
            "initial_accumulator_value": 0.25,
            "l1_regularization_strength": 0.0078125,
            "l2_regularization_strength": 0.125,
            "l2_shrinkage_regularization_strength": 0.0625,
            "beta": 0.5,
        },
    ),
    "lamb": ("Lamb", BETAS),
    "averages": ("Adam", {**BETAS, "use_ema": True, "ema_momentum": 0.75, "ema_overwrite_frequency": 3}),
    "accumulation": ("Adam", {**BETAS, "gradient_accumulation_steps": 3, "use_ema": True, "ema_momentum": 0.75}),
    "scaled": ("SGD", {"loss_scale_factor": 4.0, "momentum": 0.5}),
}
"""Classes and settings by name."""
SCHEDULES: dict[str, tuple[str, dict[str, Any]]] = {
    "exponential": ("ExponentialDecay", {"decay_steps": 8, "decay_rate": 0.5}),
    "staircase": ("ExponentialDecay", {"decay_steps": 8, "decay_rate": 0.5, "staircase": True}),
    "inverse time": ("InverseTimeDecay", {"decay_steps": 8, "decay_rate": 0.5}),
    "inverse stairs": ("InverseTimeDecay", {"decay_steps": 8, "decay_rate": 0.5, "staircase": True}),
    "piecewise": ("PiecewiseConstantDecay", {"boundaries": [8, 16], "values": [0.125, 0.0625, 0.03125]}),
    "polynomial": ("PolynomialDecay", {"decay_steps": 16, "end_learning_rate": 0.015625, "power": 2.0}),
    "cycles": ("PolynomialDecay", {"decay_steps": 8, "end_learning_rate": 0.015625, "power": 0.5, "cycle": True}),
    "cosine": ("CosineDecay", {"decay_steps": 16, "alpha": 0.125}),
    "warm-up": ("CosineDecay", {"decay_steps": 16, "warmup_target": 0.125, "warmup_steps": 8}),
    "restarts": ("CosineDecayRestarts", {"first_decay_steps": 4, "m_mul": 0.5, "alpha": 0.125}),
    "equal restarts": ("CosineDecayRestarts", {"first_decay_steps": 4, "t_mul": 1.0}),
}
"""Classes and settings of schedules by name; all begin at `LR`, except for the piecewise one."""


def live_schedule(keras: Any, name: str) -> Any:
    """A schedule of Keras."""
    kind, settings = SCHEDULES[name]
    start = {} if kind == "PiecewiseConstantDecay" else {"initial_learning_rate": LR}
    return getattr(keras.optimizers.schedules, kind)(**start, **settings)


def live_optimizer(keras: Any, name: str, schedule: str | None = None) -> Any:
    """An optimizer of Keras."""
    kind, settings = OPTIMIZERS[name]
    rate = LR if schedule is None else live_schedule(keras, schedule)
    return getattr(keras.optimizers, kind)(rate, **settings)


class ExactOps:
    """`keras.ops` with numbers of Python in float64.

    Args:
        ops: `keras.ops`.
    """

    def __init__(self, ops: Any) -> None:
        self.ops = ops

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ops, name)

    def cast(self, x: Any, dtype: Any) -> Any:
        return self.ops.cast(np.float64(x) if isinstance(x, float) else x, dtype)

    def convert_to_tensor(self, x: Any, dtype: Any = None) -> Any:
        return self.ops.convert_to_tensor(np.float64(x) if isinstance(x, float) else x, dtype)


@contextmanager
def exact_numbers() -> Iterator[None]:
    """Keras does not round numbers of Python to float32 in its schedules, in Adam and in Nadam."""
    from keras.src import ops
    from keras.src.optimizers import adam, nadam
    from keras.src.optimizers.schedules import learning_rate_schedule

    with pytest.MonkeyPatch.context() as patch:
        for module in (adam, nadam, learning_rate_schedule):
            patch.setattr(module, "ops", ExactOps(ops))
        yield
