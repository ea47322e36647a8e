"""Optimizers and schedules by name: what each name makes, and every step's learning rate by arithmetic."""

import math
import re
from collections.abc import Callable
from typing import Any, cast, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lit_models.keras.rules.keras_optimizer import KerasOptimizer
from lit_models.keras.rules.optimizers import KerasAdam, KerasRMSprop
from lit_models.mlp import LitMLP
from lit_models.tasks.optim import OPTIMIZERS, OptimizerName, build_optimizer, build_schedule
from lit_models.testing.examples import quiet_trainer

CLASSES: dict[str, type[torch.optim.Optimizer]] = {
    "keras_adam": KerasAdam,
    "keras_rmsprop": KerasRMSprop,
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    **dict.fromkeys(
        (
            *("keras_sgd", "keras_adamw", "keras_adagrad", "keras_adadelta", "keras_adamax"),
            *("keras_nadam", "keras_lion", "keras_ftrl", "keras_lamb"),
        ),
        KerasOptimizer,
    ),
}


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3)), nn.Parameter(torch.tensor(1.0))]


def test_these_are_the_names() -> None:
    assert OPTIMIZERS.keys() == CLASSES.keys() == set(get_args(OptimizerName))


@pytest.mark.parametrize("name", CLASSES)
def test_a_name_makes_its_class_with_the_learning_rate_and_no_weight_decay(name: str) -> None:
    weights = parameters()
    optimizer = build_optimizer(name, iter(weights), lr=0.25)
    assert type(optimizer) is CLASSES[name]
    (group,) = optimizer.param_groups
    assert group["lr"] == 0.25
    assert group.get("weight_decay", 0.0) == 0.0  # torch's own default for AdamW is 0.01
    assert [id(p) for p in group["params"]] == [id(p) for p in weights]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_weight_decay_spares_vectors(name: str) -> None:
    weights = parameters()
    optimizer = build_optimizer(name, weights, lr=0.25, weight_decay=0.5)
    for p in weights:
        p.grad = torch.zeros_like(p)
    optimizer.step()
    matrix, vector, number = weights
    # without a gradient, a decayed weight is multiplied by 1 - lr * weight_decay = 1 - 0.25 * 0.5: a binary fraction
    assert torch.equal(matrix, torch.full((3, 2), 0.875))
    assert torch.equal(vector, torch.ones(3))
    assert torch.equal(number, torch.tensor(1.0))


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole message is compared)
        build_optimizer("lion", parameters(), lr=0.1)
    assert str(caught.value) == f"unknown optimizer 'lion', expected one of {', '.join(CLASSES)}"


def test_settings_of_keras_make_its_optimizer() -> None:
    weights = parameters()
    optimizer = build_optimizer("keras_adam", weights, lr=0.25, settings={"beta_1": 0.5})
    assert type(optimizer) is KerasOptimizer
    (group,) = optimizer.param_groups
    assert (group["rule"], group["lr"], group["settings"]["beta_1"], group["settings"]["beta_2"]) == (
        *("adam", 0.25, 0.5, 0.999),
    )


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("adam", {"beta_1": 0.5}, "optimizer_settings are for Keras' optimizers"),
        ("keras_lion", {"epsilon": 0.5}, "keras_lion has no setting 'epsilon' (known: learning_rate, weight_decay,"),
        ("keras_adam", {"clipnorm": -1}, "clipnorm of keras_adam must be 0 or a positive number, got -1"),
        ("keras_adam", {"beta_1": "0.5"}, "beta_1 of keras_adam must be 0 or a positive number, got '0.5'"),
        ("keras_adam", {"amsgrad": 1}, "amsgrad of keras_adam must be true or false, got 1"),
        ("keras_ftrl", {"learning_rate_power": 1}, "learning_rate_power of keras_ftrl must be a number of at most 0"),
        (
            "keras_sgd",
            {"gradient_accumulation_steps": 1},
            "gradient_accumulation_steps of keras_sgd must be a whole number of at least 2, got 1",
        ),
        ("keras_sgd", {"learning_rate": 0.1}, "learning_rate of keras_sgd is a schedule with its kind and settings"),
        (
            "keras_sgd",
            {"learning_rate": {"kind": "Mine"}},
            "learning_rate has kind 'Mine', expected one of Exponential",
        ),
        (
            "keras_sgd",
            {"learning_rate": {"kind": "PiecewiseConstantDecay", "boundaries": [1], "steps": 2}},
            "PiecewiseConstantDecay of learning_rate does not take steps 2; it takes boundaries, values",
        ),
        (
            "keras_sgd",
            {"learning_rate": {"kind": "PiecewiseConstantDecay", "boundaries": [1]}},
            "PiecewiseConstantDecay of learning_rate cannot be computed: ",
        ),
        (
            "keras_sgd",
            {"learning_rate": {"kind": "PiecewiseConstantDecay", "boundaries": [1], "values": [-1, 1]}},
            "PiecewiseConstantDecay of learning_rate begins at -1; it must be 0 or more",
        ),
    ],
)
def test_a_wrong_setting_of_keras_is_refused(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        build_optimizer(name, parameters(), lr=0.1, settings=settings)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_nothing_to_train_is_refused(weight_decay: float) -> None:
    with pytest.raises(ValueError, match=r"^every parameter is frozen: there is nothing to train$"):
        build_optimizer("adamw", [], lr=0.1, weight_decay=weight_decay)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")  # of Lightning's own code, under a torch newer than it
@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")  # lists of whole batches
@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")
@pytest.mark.parametrize("name", CLASSES)
def test_gradients_are_clipped_in_mixed_precision(name: OptimizerName) -> None:
    """Lightning refuses to clip for an optimizer that undoes the loss scaling itself, as torch's fused ones do."""
    module = LitMLP(num_features=4, num_classes=3, hidden_sizes=[], optimizer=name)
    trainer = quiet_trainer(
        precision="bf16-mixed",
        gradient_clip_val=0.125,
        max_epochs=1,
    )
    torch.nn.init.zeros_(module.network.output.weight)  # type: ignore[union-attr, arg-type]
    # three equal outputs are 1/3 each, so that a gradient is at least 1/3 * 100: far above the limit
    batches: Any = [(torch.full((3, 4), 100.0), torch.tensor([0, 0, 0]))]
    trainer.fit(module, DataLoader(batches, batch_size=None))
    norm = torch.stack([cast(Tensor, p.grad).norm() for p in module.parameters()]).norm()
    torch.testing.assert_close(norm, torch.tensor(0.125), rtol=1e-4, atol=0)  # a few roundings in float32


def rates(name: str, *, steps: int, warmup: float = 0.0) -> list[float]:
    """Learning rate at each step, with a base of 1."""
    optimizer = torch.optim.SGD(parameters(), lr=1.0)
    schedule = build_schedule(name, optimizer, steps=steps, warmup=warmup)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def exactly(values: list[float]) -> object:
    return pytest.approx(values, rel=1e-12, abs=1e-15)  # float64: a sum, a quotient and a cosine


@pytest.mark.parametrize(
    ("name", "decay"),
    [
        ("constant", lambda done: 1.0),
        ("linear", lambda done: 1 - done),
        ("cosine", lambda done: math.cos(math.pi * done / 2) ** 2),  # (1 + cos 2x) / 2 = cos^2 x
    ],
)
@pytest.mark.parametrize(("steps", "warm"), [(10, 0), (10, 3), (10, 9), (1, 0), (7, 2)])
def test_a_linear_rise_then_the_decay_that_would_end_at_the_step_after_the_last(
    name: str, decay: Callable[[float], float], steps: int, warm: int
) -> None:
    rise = [(step + 1) / (warm + 1) for step in range(warm)]
    fall = [decay(step / (steps - warm)) for step in range(steps - warm)]
    assert rates(name, steps=steps, warmup=warm / steps) == exactly(rise + fall)


def test_the_schedules_in_numbers() -> None:
    assert rates("linear", steps=4) == exactly([1, 3 / 4, 1 / 2, 1 / 4])
    assert rates("cosine", steps=4) == exactly([1, (1 + math.sqrt(1 / 2)) / 2, 1 / 2, (1 - math.sqrt(1 / 2)) / 2])
    assert rates("linear", steps=6, warmup=0.5) == exactly([1 / 4, 2 / 4, 3 / 4, 1, 2 / 3, 1 / 3])


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_a_decay_stays_at_zero_after_its_end(name: str) -> None:
    optimizer = torch.optim.SGD(parameters(), lr=1.0)
    schedule = build_schedule(name, optimizer, steps=2)
    for _ in range(5):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.0  # 1 - 1, and (1 + cos pi) / 2, are exact


def test_every_group_follows_the_schedule() -> None:
    optimizer = build_optimizer("adamw", parameters(), lr=0.5, weight_decay=0.1)
    schedule = build_schedule("linear", optimizer, steps=4)
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.5 * 3 / 4] * 2


def test_an_unknown_schedule_is_refused() -> None:
    optimizer = torch.optim.SGD(parameters(), lr=1.0)
    with pytest.raises(ValueError, match=r"^unknown schedule 'step', expected one of constant, linear, cosine$"):
        build_schedule("step", optimizer, steps=10)
