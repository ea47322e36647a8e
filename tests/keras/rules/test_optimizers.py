"""Closures, parameter groups and states of Keras' optimizers. `tests/parity` compares their steps with Keras."""

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lit_models.keras.rules.optimizers import KerasAdam, KerasRMSprop

STEPS = 50
Array = np.ndarray


def problem() -> tuple[list[Array], list[list[Array]]]:
    """Weights of two shapes, and their gradients at each step, of sizes from 1e-9 to 1."""
    random = np.random.default_rng(0)
    shapes = [(4, 3), (5,)]
    weights = [random.uniform(0.5, 1.5, shape) for shape in shapes]
    sizes = [10.0 ** random.uniform(-9, 0, shape) for shape in shapes]
    grads = [[size * random.standard_normal(size.shape) for size in sizes] for _ in range(STEPS)]
    return weights, grads


def as_parameters(weights: list[Array]) -> list[nn.Parameter]:
    return [nn.Parameter(torch.from_numpy(w.copy())) for w in weights]


def take_steps(optimizer: torch.optim.Optimizer, params: list[nn.Parameter], grads: list[list[Array]]) -> list[Array]:
    for at_step in grads:
        for p, g in zip(params, at_step, strict=True):
            p.grad = torch.from_numpy(g.copy())
        optimizer.step()
    return [p.detach().numpy() for p in params]


OPTIMIZERS: list[type[KerasAdam] | type[KerasRMSprop]] = [KerasAdam, KerasRMSprop]


def started(optimizer_class: type[KerasAdam] | type[KerasRMSprop]) -> tuple[Any, list[nn.Parameter], Any]:
    """An optimizer that has taken twenty steps, its parameters, and the gradients of the other steps."""
    weights, grads = problem()
    params = as_parameters(weights)
    optimizer = optimizer_class(params)
    take_steps(optimizer, params, grads[:20])
    return optimizer, params, grads[20:]


@pytest.mark.parametrize("optimizer_class", OPTIMIZERS)
def test_a_restored_optimizer_takes_the_same_steps(optimizer_class: type[KerasAdam] | type[KerasRMSprop]) -> None:
    optimizer, params, grads = started(optimizer_class)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    again = [nn.Parameter(p.detach().clone()) for p in params]
    resumed = optimizer_class(again, lr=0.5)  # the saved rate is restored as well
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    ours = take_steps(resumed, again, grads)
    theirs = take_steps(optimizer, params, grads)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("optimizer_class", OPTIMIZERS)
def test_gradients_that_the_closure_computes_are_used(optimizer_class: type[KerasAdam] | type[KerasRMSprop]) -> None:
    """Lightning runs the backward pass inside the closure that `step` calls."""
    weights, _ = problem()
    ours, theirs = as_parameters(weights), as_parameters(weights)
    with_closure, without = optimizer_class(ours), optimizer_class(theirs)

    def backward(params: list[nn.Parameter]) -> Tensor:
        loss = torch.stack([(p**3).sum() for p in params]).sum()
        for p in params:
            p.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for _ in range(5):
        returned = with_closure.step(lambda: backward(ours))
        expected = backward(theirs)
        without.step()
        assert torch.equal(returned, expected)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("optimizer_class", OPTIMIZERS)
def test_a_parameter_without_a_gradient_stays(optimizer_class: type[KerasAdam] | type[KerasRMSprop]) -> None:
    params = as_parameters([np.ones(3), np.ones(3)])
    params[0].grad = torch.ones(3, dtype=torch.float64)
    optimizer_class(params).step()
    assert not torch.equal(params[0], torch.ones(3, dtype=torch.float64))
    assert torch.equal(params[1], torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("optimizer_class", OPTIMIZERS)
def test_groups_have_their_own_learning_rates(optimizer_class: type[KerasAdam] | type[KerasRMSprop]) -> None:
    weights, grads = problem()
    params = as_parameters(weights)
    groups: Any = [{"params": [params[0]]}, {"params": [params[1]], "lr": 0.1}]
    ours = take_steps(optimizer_class(groups, lr=0.01), params, grads)
    for i, lr in enumerate((0.01, 0.1)):
        alone = as_parameters([weights[i]])
        (theirs,) = take_steps(optimizer_class(alone, lr=lr), alone, [[at_step[i]] for at_step in grads])
        np.testing.assert_array_equal(ours[i], theirs)


@pytest.mark.parametrize("optimizer_class", OPTIMIZERS)
def test_a_copied_optimizer_takes_the_same_steps(optimizer_class: type[KerasAdam] | type[KerasRMSprop]) -> None:
    optimizer, params, grads = started(optimizer_class)
    twin = copy.deepcopy(optimizer)
    twins: list[nn.Parameter] = twin.param_groups[0]["params"]
    for a, b in zip(take_steps(twin, twins, grads), take_steps(optimizer, params, grads), strict=True):
        np.testing.assert_array_equal(a, b)
