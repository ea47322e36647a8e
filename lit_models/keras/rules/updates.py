"""The update rules of Keras' optimizers, one function each, on lists of weights.

Source: `keras/src/optimizers/*.py` in Keras 3.15. Letters as there: `m` and `v` are running means of the gradients and
of their squares.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

Values = list[Tensor]
Setting = float | bool
NADAM_DECAY = 0.96


class Step(NamedTuple):
    """What a rule reads and changes.

    Args:
        weights: changed in place.
        grads: one for each weight; not changed.
        slots: the optimizer's numbers by name, one for each weight; changed in place.
        settings: Keras' settings.
        rate: learning rate of this step.
        number: 1 at the first step.
        single: numbers that the optimizer has once; changed in place.
        variables: places of the weights that are one variable in Keras, such as the two biases of a GRU.
    """

    weights: Values
    grads: Values
    slots: Mapping[str, Values]
    settings: Mapping[str, Any]
    rate: float
    number: int
    single: dict[str, float]
    variables: list[list[int]]


def sgd(step: Step) -> None:
    """`w -= lr * g`, or with momentum `m = momentum * m - lr * g` and `w += m`."""
    momentum, nesterov = step.settings["momentum"], step.settings["nesterov"]
    if not momentum:
        torch._foreach_add_(step.weights, step.grads, alpha=-step.rate)
        return
    m = step.slots["momentum"]
    torch._foreach_mul_(m, momentum)
    torch._foreach_add_(m, step.grads, alpha=-step.rate)
    torch._foreach_add_(step.weights, m, alpha=momentum if nesterov else 1)
    if nesterov:
        torch._foreach_add_(step.weights, step.grads, alpha=-step.rate)


def adam(step: Step) -> None:
    """`w -= lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps)`; `amsgrad` takes the largest `v` so far."""
    beta_1, beta_2 = moments(step)
    v = step.slots["velocity"]
    if step.settings["amsgrad"]:
        torch._foreach_maximum_(step.slots["velocity_hat"], v)
        v = step.slots["velocity_hat"]
    root = torch._foreach_sqrt(v)
    torch._foreach_add_(root, step.settings["epsilon"])
    rate = step.rate * (1 - beta_2**step.number) ** 0.5 / (1 - beta_1**step.number)
    torch._foreach_addcdiv_(step.weights, step.slots["momentum"], root, value=-rate)


def moments(step: Step) -> tuple[float, float]:
    """Updates `m` and `v`; returns both betas."""
    beta_1, beta_2 = step.settings["beta_1"], step.settings["beta_2"]
    torch._foreach_lerp_(step.slots["momentum"], step.grads, 1 - beta_1)
    torch._foreach_lerp_(step.slots["velocity"], torch._foreach_mul(step.grads, step.grads), 1 - beta_2)
    return beta_1, beta_2


def rmsprop(step: Step) -> None:
    """`w -= lr * g / sqrt(v + eps)`; `centered` subtracts the squared mean of the gradients from `v`."""
    rho, momentum = step.settings["rho"], step.settings["momentum"]
    v = step.slots["velocity"]
    torch._foreach_mul_(v, rho)
    torch._foreach_addcmul_(v, step.grads, step.grads, value=1 - rho)
    root = torch._foreach_add(v, step.settings["epsilon"])
    if step.settings["centered"]:
        mean = step.slots["average_gradient"]
        torch._foreach_mul_(mean, rho)
        torch._foreach_add_(mean, step.grads, alpha=1 - rho)
        torch._foreach_addcmul_(root, mean, mean, value=-1)
    torch._foreach_sqrt_(root)
    if momentum > 0:
        m = step.slots["momentum"]
        torch._foreach_mul_(m, momentum)
        torch._foreach_addcdiv_(m, step.grads, root, value=step.rate)
        torch._foreach_sub_(step.weights, m)
    else:
        torch._foreach_addcdiv_(step.weights, step.grads, root, value=-step.rate)


def adagrad(step: Step) -> None:
    """`w -= lr * g / sqrt(sum of all g^2 + eps)`."""
    squares = step.slots["accumulator"]
    torch._foreach_addcmul_(squares, step.grads, step.grads)
    root = torch._foreach_add(squares, step.settings["epsilon"])
    torch._foreach_sqrt_(root)
    torch._foreach_addcdiv_(step.weights, step.grads, root, value=-step.rate)


def adadelta(step: Step) -> None:
    """`w -= lr * d` with `d = g * rms(d) / rms(g)`."""
    rho, epsilon = step.settings["rho"], step.settings["epsilon"]
    squares, moved = step.slots["accumulated_grad"], step.slots["accumulated_delta_var"]
    torch._foreach_mul_(squares, rho)
    torch._foreach_addcmul_(squares, step.grads, step.grads, value=1 - rho)
    below, change = torch._foreach_add(squares, epsilon), torch._foreach_add(moved, epsilon)
    torch._foreach_sqrt_(below)
    torch._foreach_sqrt_(change)
    torch._foreach_mul_(change, step.grads)
    torch._foreach_div_(change, below)
    torch._foreach_mul_(moved, rho)
    torch._foreach_addcmul_(moved, change, change, value=1 - rho)
    torch._foreach_add_(step.weights, change, alpha=-step.rate)


def adamax(step: Step) -> None:
    """`w -= lr / (1 - b1^t) * m / (u + eps)`, with `u = max(b2 * u, |g|)`."""
    beta_1, beta_2 = step.settings["beta_1"], step.settings["beta_2"]
    m, u = step.slots["momentum"], step.slots["norm"]
    torch._foreach_lerp_(m, step.grads, 1 - beta_1)
    torch._foreach_mul_(u, beta_2)
    torch._foreach_maximum_(u, torch._foreach_abs(step.grads))
    below = torch._foreach_add(u, step.settings["epsilon"])
    torch._foreach_addcdiv_(step.weights, m, below, value=-step.rate / (1 - beta_1**step.number))


def nadam(step: Step) -> None:
    """Adam with Nesterov's momentum, whose `b1` rises from step to step."""
    beta_1, beta_2 = moments(step)
    now, following = (beta_1 * (1 - 0.5 * NADAM_DECAY ** (step.number + i)) for i in (0, 1))
    product = step.single["u_product"] = step.single["u_product"] * now
    m_hat = torch._foreach_mul(step.slots["momentum"], following / (1 - product * following))
    torch._foreach_add_(m_hat, step.grads, alpha=(1 - now) / (1 - product))
    root = torch._foreach_div(step.slots["velocity"], 1 - beta_2**step.number)
    torch._foreach_sqrt_(root)
    torch._foreach_add_(root, step.settings["epsilon"])
    torch._foreach_addcdiv_(step.weights, m_hat, root, value=-step.rate)


def lion(step: Step) -> None:
    """`w -= lr * sign(b1 * m + (1 - b1) * g)`, and then `m = b2 * m + (1 - b2) * g`."""
    beta_1, beta_2 = step.settings["beta_1"], step.settings["beta_2"]
    m = step.slots["momentum"]
    direction = torch._foreach_mul(m, beta_1)
    torch._foreach_add_(direction, step.grads, alpha=1 - beta_1)
    torch._foreach_add_(step.weights, torch._foreach_sign(direction), alpha=-step.rate)
    torch._foreach_mul_(m, beta_2)
    torch._foreach_add_(m, step.grads, alpha=1 - beta_2)


def ftrl(step: Step) -> None:
    """Follows the regularized leader: each weight is computed from all gradients so far."""
    s, rate = step.settings, step.rate
    power, l1 = -s["learning_rate_power"], s["l1_regularization_strength"]
    l2 = s["l2_regularization_strength"] + s["beta"] / (2 * rate)
    slots = (step.slots["accumulator"], step.slots["linear"])
    for w, g, squares, linear in zip(step.weights, step.grads, *slots, strict=True):
        after = squares + g.square()
        shrunk = g + 2 * s["l2_shrinkage_regularization_strength"] * w
        linear += shrunk - (after**power - squares**power) / rate * w
        w.copy_((linear.clamp(-l1, l1) - linear) / (after**power / rate + 2 * l2))
        squares.copy_(after)


def lamb(step: Step) -> None:
    """Adam's step of each variable, scaled to the length of the variable."""
    beta_1, beta_2 = moments(step)
    below = torch._foreach_div(step.slots["velocity"], 1 - beta_2**step.number)
    torch._foreach_sqrt_(below)
    torch._foreach_add_(below, step.settings["epsilon"])
    update = torch._foreach_div(step.slots["momentum"], 1 - beta_1**step.number)
    torch._foreach_div_(update, below)
    lengths, steps = (norms(values, step.variables) for values in (step.weights, update))
    for w, change, length, way in zip(step.weights, update, lengths, steps, strict=True):
        ratio = torch.where((length > 0) & (way > 0), length / way, 1.0)
        w -= step.rate * ratio * change


def norms(values: Values | tuple[Tensor, ...], variables: list[list[int]]) -> Values:
    """The Euclidean norm of the variable that each of the values belongs to."""
    found = torch._foreach_norm(values)
    result = list(found)
    for places in variables:
        if len(places) > 1:
            joined = torch.stack([found[i] for i in places]).norm()
            for i in places:
                result[i] = joined
    return result


class Rule(NamedTuple):
    """A rule of Keras.

    Args:
        update: takes one step.
        settings: Keras' settings with its defaults.
        slots: names of the optimizer's numbers. Keras creates those of one tuple variable by variable, and the tuples
            one after the other.
        optional: slots that exist only if a setting is on.
        start: the setting that is the first value of a slot; 0 for other slots.
        single: numbers that the optimizer has once, with their first values.
    """

    update: Callable[[Step], None]
    settings: Mapping[str, Setting]
    slots: tuple[tuple[str, ...], ...] = ()
    optional: Mapping[str, str] = {}
    start: Mapping[str, str] = {}
    single: Mapping[str, float] = {}

    def used_slots(self, settings: Mapping[str, Any]) -> list[tuple[str, ...]]:
        """The slots that exist with these settings, in the order of Keras."""
        common = [("average",)] * bool(settings["use_ema"])
        common += [("gradient_accumulator",)] * bool(settings["gradient_accumulation_steps"])
        return common + [
            names for names in self.slots if all(settings[self.optional[n]] for n in names if n in self.optional)
        ]


MOMENTS = ("momentum", "velocity")
BETAS: dict[str, Setting] = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
ADAM = Rule(adam, {**BETAS, "amsgrad": False}, (MOMENTS, ("velocity_hat",)), optional={"velocity_hat": "amsgrad"})
ACCUMULATOR = {"accumulator": "initial_accumulator_value"}
LEADER = ("l1_regularization_strength", "l2_regularization_strength", "l2_shrinkage_regularization_strength", "beta")
RULES: dict[str, Rule] = {
    "sgd": Rule(sgd, {"momentum": 0.0, "nesterov": False}, (("momentum",),), optional={"momentum": "momentum"}),
    "adam": ADAM,
    "adamw": ADAM._replace(settings={**ADAM.settings, "weight_decay": 0.004}),
    "rmsprop": Rule(
        rmsprop,
        {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
        (("velocity",), ("momentum",), ("average_gradient",)),
        optional={"momentum": "momentum", "average_gradient": "centered"},
    ),
    "adagrad": Rule(
        adagrad, {"initial_accumulator_value": 0.1, "epsilon": 1e-7}, (("accumulator",),), start=ACCUMULATOR
    ),
    "adadelta": Rule(adadelta, {"rho": 0.95, "epsilon": 1e-7}, (("accumulated_grad", "accumulated_delta_var"),)),
    "adamax": Rule(adamax, BETAS, (("momentum", "norm"),)),
    "nadam": Rule(nadam, BETAS, (MOMENTS,), single={"u_product": 1.0}),
    "lion": Rule(lion, {"beta_1": 0.9, "beta_2": 0.99}, (("momentum",),)),
    "ftrl": Rule(
        ftrl,
        {"learning_rate_power": -0.5, "initial_accumulator_value": 0.1, **dict.fromkeys(LEADER, 0.0)},
        (("accumulator", "linear"),),
        start=ACCUMULATOR,
    ),
    "lamb": Rule(lamb, BETAS, (MOMENTS,)),
}
"""The rules by Keras' names in lower case."""
