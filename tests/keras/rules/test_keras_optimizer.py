"""Each optimizer of Keras beside the live one, with the same gradients, in float64."""

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lit_models.keras.files.training import read_training
from lit_models.keras.rules.keras_optimizer import KerasOptimizer
from tests.keras.optimizers import OPTIMIZERS, exact_numbers, live_optimizer
from tests.keras.stacks import keras_tests
from tests.parity.keras_runs import float64, keras_steps

STEPS = 20
SHAPES = [(4, 3), (5,)]


def gradients() -> list[list[Any]]:
    """Of every size from 1e-4 to 1, so that some are clipped, and epsilon matters for some."""
    rng = np.random.default_rng(0)
    sizes = [10.0 ** rng.uniform(-4, 0, shape) for shape in SHAPES]
    return [[size * rng.standard_normal(size.shape) for size in sizes] for _ in range(STEPS)]


def start() -> list[Any]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal(shape) for shape in SHAPES]


def our_steps(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], grads: list[list[Any]]) -> list[Any]:
    for at_step in grads:
        for w, g in zip(weights, at_step, strict=True):
            w.grad = torch.from_numpy(g.copy())
        optimizer.step()
    return [w.detach().numpy().copy() for w in weights]


def ours(name: str) -> tuple[KerasOptimizer, list[nn.Parameter]]:
    """The optimizer here with the same settings; the loss scale of Keras does not change its steps."""
    kind, settings = OPTIMIZERS[name]
    weights = [nn.Parameter(torch.from_numpy(w)) for w in start()]
    taken = {key: value for key, value in settings.items() if key != "loss_scale_factor"}
    return KerasOptimizer(weights, rule=kind.lower(), lr=0.0625, settings=taken), weights


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.usefixtures("keras_backend")
@pytest.mark.xdist_group("keras")
def test_steps_are_those_of_keras(name: str) -> None:
    import keras

    scale = OPTIMIZERS[name][1].get("loss_scale_factor", 1.0)
    with float64(), exact_numbers():
        theirs = keras_steps(
            live_optimizer(keras, name), start(), [[scale * g for g in at_step] for at_step in gradients()]
        )
    for one, other, first in zip(our_steps(*ours(name), gradients()), theirs, start(), strict=True):
        assert np.abs(other - first).max() > 1e-4
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restored_optimizer_takes_the_same_steps(name: str) -> None:
    optimizer, weights = ours(name)
    our_steps(optimizer, weights, gradients()[:7])
    torch.save(optimizer.state_dict(), file := io.BytesIO())
    again = [nn.Parameter(w.detach().clone()) for w in weights]
    settings = optimizer.param_groups[0]["settings"]
    resumed = KerasOptimizer(again, rule=OPTIMIZERS[name][0].lower(), lr=0.5, settings=settings)  # lr is restored
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    twin = copy.deepcopy(optimizer)
    expected = our_steps(optimizer, weights, gradients()[7:])
    for one, other in zip(our_steps(resumed, again, gradients()[7:]), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(our_steps(twin, twin.param_groups[0]["params"], gradients()[7:]), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_changed_settings_have_an_effect_on_a_restored_optimizer() -> None:
    weight = nn.Parameter(torch.zeros(1))
    before = KerasOptimizer([weight], rule="sgd", lr=1.0, settings={"momentum": 0.5})
    our_steps(before, [weight], [[np.ones(1, dtype=np.float32)]])
    after = KerasOptimizer([weight], rule="sgd", lr=1.0, settings={"momentum": 0.25})
    after.load_state_dict(before.state_dict())
    # the first step is -1; the second one is 0.25 * -1 - 1
    assert our_steps(after, [weight], [[np.ones(1, dtype=np.float32)]])[0] == [-2.25]


def test_the_norm_of_a_variable_counts_all_its_parameters() -> None:
    """Two parameters of one variable have the norm 5: each gradient is divided by 5."""
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(3)]
    optimizer = KerasOptimizer(weights, rule="sgd", lr=1.0, settings={"clipnorm": 1.0})
    optimizer.join([weights[:2]])
    our_steps(optimizer, weights, [[np.array([x], dtype=np.float32) for x in (3.0, 4.0, 5.0)]])
    assert [w.item() for w in weights] == pytest.approx([-0.6, -0.8, -1.0])


def test_a_parameter_without_a_gradient_stays() -> None:
    weights = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizer = KerasOptimizer(weights, rule="adamw", lr=0.5, settings={"clipnorm": 1.0})
    optimizer.join([weights])
    weights[0].grad = torch.ones(2)
    optimizer.step()
    assert not torch.equal(weights[0], torch.ones(2))
    assert torch.equal(weights[1], torch.ones(2))


def test_gradients_that_the_closure_computes_are_used() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = KerasOptimizer([weight], rule="sgd", lr=0.5)

    def closure() -> Any:
        (loss := weight.sum()).backward()  # type: ignore[no-untyped-call]
        return loss

    assert optimizer.step(closure).item() == 2
    assert weight.tolist() == [0.5, 0.5]


def test_the_learning_rate_is_a_factor_of_the_schedule() -> None:
    weight = nn.Parameter(torch.zeros(1))
    schedule = {"kind": "PiecewiseConstantDecay", "boundaries": [0], "values": [1.0, 0.5]}
    optimizer = KerasOptimizer([weight], rule="sgd", lr=0.25, settings={"learning_rate": schedule})
    assert our_steps(optimizer, [weight], [[np.ones(1, dtype=np.float32)]])[0] == [-0.25]
    assert our_steps(optimizer, [weight], [[np.ones(1, dtype=np.float32)]])[0] == [-0.25 - 0.125]


@pytest.mark.usefixtures("keras_backend")
@pytest.mark.xdist_group("keras")
def test_defaults_are_those_of_keras() -> None:
    import keras

    for kind, _ in OPTIMIZERS.values():
        live = getattr(keras.optimizers, kind)()
        training = read_training({"optimizer": keras.optimizers.serialize(live)}, default_optimizer="adam")
        assert (training.settings, training.rule) == ({}, kind.lower())


pytestmark = keras_tests[2:]
