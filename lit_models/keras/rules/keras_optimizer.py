"""Any optimizer of Keras for torch, with Keras' settings: clipping, weight decay, averages of weights, schedules.

Source: `keras/src/optimizers/base_optimizer.py` in Keras 3.15. The order of a step is Keras': accumulation of
gradients, clipping, weight decay, the rule, the average of the weights.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models.keras.rules.schedules import check_schedule, scheduled_rate
from lit_models.keras.rules.updates import RULES, Step, Values, norms

PREFIX = "keras_"
COMMON: dict[str, Any] = {
    "learning_rate": None,
    "weight_decay": None,
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "gradient_accumulation_steps": None,
}
"""Settings of every rule, with Keras' defaults. `learning_rate` is a schedule, whose rates are multiplied by `lr`."""
COUNTS = ("ema_overwrite_frequency", "gradient_accumulation_steps")


class KerasOptimizer(torch.optim.Optimizer):
    """Takes the steps of one of Keras' optimizers.

    Args:
        params: parameters, or groups of them.
        rule: Keras' name of the optimizer, in lower case, such as "adam".
        lr: learning rate; a factor of the schedule's rates if there is a schedule.
        settings: Keras' settings, by Keras' names; its defaults for all others.

    Raises:
        UserError: an unknown setting, or a value out of its range.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], *, rule: str, lr: float, settings: Mapping[str, Any] | None = None
    ) -> None:
        chosen = checked_settings(PREFIX + rule, settings or {})
        super().__init__(params, {"lr": lr, "rule": rule, "settings": chosen})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        single = dict(RULES[param_group.get("rule", self.defaults["rule"])].single)
        super().add_param_group({**param_group, "iterations": 0, "single": single, "joined": []})

    def join(self, variables: Sequence[Sequence[Tensor]]) -> None:
        """Names the parameters that are one variable in Keras, such as the two biases of a GRU."""
        for group in self.param_groups:
            places = {id(w): i for i, w in enumerate(group["params"])}
            group["joined"] = [[places[id(w)] for w in each] for each in variables if id(each[0]) in places]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores everything but the settings, so that changed settings have an effect."""
        own = [group["settings"] for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, settings in zip(self.param_groups, own, strict=True):
            group["settings"] = settings

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self.step_group(group)
        return loss

    def step_group(self, group: dict[str, Any]) -> None:
        """One step of Keras' `apply`. It only adds up the gradients if an accumulation of them has not ended."""
        settings, done = group["settings"], group["iterations"]
        weights = [w for w in group["params"] if w.grad is not None]
        if not weights:
            return
        grads = [w.grad for w in weights]
        every = settings["gradient_accumulation_steps"] or 1
        if every > 1:
            sums = self.slot(group, weights, "gradient_accumulator")
            torch._foreach_add_(sums, grads)
            grads = list(torch._foreach_div(sums, every))
        if (done + 1) % every == 0:
            self.update(group, weights, grads, number=done // every + 1)
            if every > 1:
                torch._foreach_zero_(sums)
        if settings["use_ema"]:
            self.average(group, done // every)
        group["iterations"] += 1

    def update(self, group: dict[str, Any], weights: Values, grads: Values, *, number: int) -> None:
        """Clips the gradients, decays the weights, and applies the rule."""
        settings, rule, rate = group["settings"], RULES[group["rule"]], group["lr"]
        if settings["learning_rate"]:
            rate *= scheduled_rate(settings["learning_rate"], group["iterations"])
        places = {id(w): i for i, w in enumerate(weights)}
        joined = [[places.get(id(group["params"][i]), -1) for i in each] for each in group["joined"]]
        joined = [each for each in joined if min(each) >= 0]
        grads = clipped(grads, settings, joined)
        if settings["weight_decay"]:
            torch._foreach_mul_(weights, 1 - settings["weight_decay"] * rate)
        names = [name for names in rule.used_slots(settings) for name in names]
        slots = {name: self.slot(group, weights, name) for name in names}
        rule.update(Step(weights, grads, slots, settings, rate, number, group["single"], joined))

    def slot(self, group: dict[str, Any], weights: Values, name: str) -> Values:
        """The optimizer's numbers of that name; created at the first step."""
        start = RULES[group["rule"]].start.get(name)
        for w in weights:
            if name not in self.state[w]:
                self.state[w][name] = torch.full_like(w, group["settings"][start] if start else 0.0)
        return [self.state[w][name] for w in weights]

    def average(self, group: dict[str, Any], done: int) -> None:
        """Updates the moving averages of the weights, and replaces the weights by them now and then."""
        settings, weights = group["settings"], group["params"]
        averages = self.slot(group, weights, "average")
        torch._foreach_lerp_(averages, weights, 1 - settings["ema_momentum"] if done else 1.0)
        often = settings["ema_overwrite_frequency"]
        if often and (done + 1) % often == 0:
            torch._foreach_copy_(weights, averages)


def clipped(grads: Values, settings: Mapping[str, Any], joined: list[list[int]]) -> Values:
    """The gradients within the limits of the settings: each number, the norm of each variable, or that of all."""
    if limit := settings["clipnorm"]:
        return [g * (limit / norm.clamp(min=limit)) for g, norm in zip(grads, norms(grads, joined), strict=True)]
    if limit := settings["global_clipnorm"]:
        norm = torch.stack(torch._foreach_norm(grads)).norm()
        return list(torch._foreach_mul(grads, limit * torch.minimum(1 / norm, norm.new_tensor(1 / limit))))
    if limit := settings["clipvalue"]:
        return list(torch._foreach_clamp_max(torch._foreach_clamp_min(grads, -limit), limit))
    return grads


def checked_settings(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of an optimizer.

    Args:
        name: the optimizer here, such as "keras_adam".
        given: the settings that differ from Keras' defaults.

    Raises:
        UserError: the optimizer does not take a setting, or a value is out of its range.
    """
    if name.removeprefix(PREFIX) not in RULES or not name.startswith(PREFIX):
        names = ", ".join(PREFIX + rule for rule in RULES)
        raise UserError(f"optimizer_settings are for Keras' optimizers ({names}), not for {name}")
    settings = {**COMMON, **RULES[name.removeprefix(PREFIX)].settings}
    for key, value in given.items():
        if key not in settings:
            raise UserError(f"{name} has no setting {key!r} (known: {', '.join(settings)})")
        check_setting(name, key, value, settings[key])
    return {**settings, **given}


def check_setting(name: str, key: str, value: Any, default: Any) -> None:
    """Refuses a value of another type, or out of its range."""
    if key == "learning_rate":
        if value is not None and not isinstance(value, Mapping):
            raise UserError(f"learning_rate of {name} is a schedule with its kind and settings; a number is set by lr")
        if value is not None:
            check_schedule(value)
        return
    if value is None and default is None:
        return
    if isinstance(default, bool):
        right, wanted = isinstance(value, bool), "true or false"
    elif key in COUNTS:
        least = 2 if key == "gradient_accumulation_steps" else 1
        right, wanted = isinstance(value, int) and value >= least, f"a whole number of at least {least}"
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        negative = key == "learning_rate_power"
        right = number and (value <= 0 if negative else value >= 0)
        wanted = "a number of at most 0" if negative else "0 or a positive number"
    if not right:
        raise UserError(f"{key} of {name} must be {wanted}, got {value!r}")
