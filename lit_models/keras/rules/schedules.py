"""Keras' schedules of the learning rate, as functions of the step.

Source: `keras/src/optimizers/schedules/learning_rate_schedule.py` in Keras 3.15.
"""

import math
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from datamodules.errors import UserError


def exponential(
    step: int, *, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False
) -> float:
    part = step / decay_steps
    return float(initial_learning_rate * decay_rate ** (math.floor(part) if staircase else part))


def inverse_time(
    step: int, *, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False
) -> float:
    part = step / decay_steps
    return initial_learning_rate / (1 + decay_rate * (math.floor(part) if staircase else part))


def piecewise_constant(step: int, *, boundaries: list[float], values: list[float]) -> float:
    return next((value for limit, value in zip(boundaries, values, strict=False) if step <= limit), values[-1])


def polynomial(
    step: int,
    *,
    initial_learning_rate: float,
    decay_steps: float,
    end_learning_rate: float = 0.0001,
    power: float = 1.0,
    cycle: bool = False,
) -> float:
    if cycle:
        decay_steps *= math.ceil(step / decay_steps) if step else 1
    left = 1 - min(step, decay_steps) / decay_steps
    return float((initial_learning_rate - end_learning_rate) * left**power + end_learning_rate)


def cosine(
    step: int,
    *,
    initial_learning_rate: float,
    decay_steps: float,
    alpha: float = 0.0,
    warmup_target: float | None = None,
    warmup_steps: float = 0,
) -> float:
    start = initial_learning_rate
    if warmup_target is not None:
        if step < warmup_steps:
            return (warmup_target - start) * step / warmup_steps + start
        start, step = warmup_target, step - int(warmup_steps)
    wave = (1 + math.cos(math.pi * min(step, decay_steps) / decay_steps)) / 2
    return start * ((1 - alpha) * wave + alpha)


def cosine_restarts(
    step: int,
    *,
    initial_learning_rate: float,
    first_decay_steps: float,
    t_mul: float = 2.0,
    m_mul: float = 1.0,
    alpha: float = 0.0,
) -> float:
    part = step / first_decay_steps
    if t_mul == 1:
        period = math.floor(part)
        part -= period
    else:
        period = math.floor(math.log(1 - part * (1 - t_mul)) / math.log(t_mul))
        part = (part - (1 - t_mul**period) / (1 - t_mul)) / t_mul**period
    wave = m_mul**period * (1 + math.cos(math.pi * part)) / 2
    return float(initial_learning_rate * ((1 - alpha) * wave + alpha))


SCHEDULES: dict[str, Callable[..., float]] = {
    "ExponentialDecay": exponential,
    "InverseTimeDecay": inverse_time,
    "PiecewiseConstantDecay": piecewise_constant,
    "PolynomialDecay": polynomial,
    "CosineDecay": cosine,
    "CosineDecayRestarts": cosine_restarts,
}
"""The schedules by their names in Keras."""


def scheduled_rate(given: Mapping[str, Any], step: int) -> float:
    """The learning rate at a step, from 0.

    Args:
        given: `kind`, a name in `SCHEDULES`, and the schedule's settings.
        step: optimizer steps before this one.
    """
    return SCHEDULES[given["kind"]](step, **{name: value for name, value in given.items() if name != "kind"})


def check_schedule(given: Mapping[str, Any]) -> None:
    """Checks that a schedule can be computed.

    Raises:
        UserError: an unknown schedule, or settings that it does not take.
    """
    kind = given.get("kind")
    if kind not in SCHEDULES:
        raise UserError(f"learning_rate has kind {kind!r}, expected one of {', '.join(SCHEDULES)}")
    taken = [name for name, p in signature(SCHEDULES[kind]).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name, value in given.items():
        numbers = value if isinstance(value, list) else [value]
        if name != "kind" and not (name in taken and all(x is None or isinstance(x, int | float) for x in numbers)):
            raise UserError(f"{kind} of learning_rate does not take {name} {value!r}; it takes {', '.join(taken)}")
    try:
        first = scheduled_rate(given, 0)
    except (ArithmeticError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{kind} of learning_rate cannot be computed: {error}") from error
    if not first >= 0:
        raise UserError(f"{kind} of learning_rate begins at {first}; it must be 0 or more")
