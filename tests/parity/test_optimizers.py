"""Adam and RMSprop beside Keras' own, with the same gradients given to both."""

from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from lit_models.keras.rules.optimizers import KerasAdam, KerasRMSprop

from .comparisons import assert_same_steps
from .keras_runs import Array, float64, keras_optimizer, keras_steps, with_keras

pytestmark = with_keras

Name = Literal["adam", "rmsprop"]
STEPS = 50
RULES: dict[Name, Any] = {"adam": KerasAdam, "rmsprop": KerasRMSprop}
OTHER_SETTINGS: dict[Name, dict[str, Any]] = {
    "adam": {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-5},
    "rmsprop": {"lr": 0.01, "rho": 0.7, "eps": 1e-4},
}


def in_keras_words(settings: dict[str, Any]) -> dict[str, Any]:
    names = {"lr": "learning_rate", "eps": "epsilon"}
    told = {names.get(name, name): value for name, value in settings.items() if name != "betas"}
    if "betas" in settings:
        told["beta_1"], told["beta_2"] = settings["betas"]
    return told


def problem(dtype: str) -> tuple[list[Array], list[list[Array]]]:
    """Weights of two shapes at zero, and their gradients at each step: of every size from 1e-9 to 1, so that epsilon
    outweighs some, equals some and does nothing to others."""
    rng = np.random.default_rng(0)
    shapes = [(40, 30), (50,)]
    sizes = [10.0 ** rng.uniform(-9, 0, shape) for shape in shapes]
    grads = [[(size * rng.standard_normal(size.shape)).astype(dtype) for size in sizes] for _ in range(STEPS)]
    return [np.zeros(shape, dtype=dtype) for shape in shapes], grads


def our_steps(rule: Any, start: list[Array], grads: list[list[Array]]) -> list[Array]:
    weights = [nn.Parameter(torch.from_numpy(w.copy())) for w in start]
    optimizer = rule(weights)
    for at_step in grads:
        for w, g in zip(weights, at_step, strict=True):
            w.grad = torch.from_numpy(g.copy())
        optimizer.step()
    return [w.detach().numpy() for w in weights]


def their_steps(name: Name, settings: dict[str, Any], start: list[Array], grads: list[list[Array]]) -> list[Array]:
    told = in_keras_words(settings)
    if start[0].dtype == np.float32:
        return keras_steps(keras_optimizer(name, **told), start, grads)
    with float64():
        return keras_steps(keras_optimizer(name, **told), start, grads)


@pytest.mark.parametrize(
    ("dtype", "rtol"),
    [
        ("float64", 1e-11),  # rounding of 50 steps that partly cancel: 2e-13 on each backend
        ("float32", 1e-3),  # the same, 2e-4; and 1 - 0.999^t, of which Keras in float32 has four digits
    ],
)
@pytest.mark.parametrize("other", [False, True], ids=["defaults", "other settings"])
@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_fifty_steps_are_keras(name: Name, other: bool, dtype: str, rtol: float) -> None:
    settings = OTHER_SETTINGS[name] if other else {}
    start, grads = problem(dtype)
    ours = our_steps(partial(RULES[name], **settings), start, grads)
    theirs = their_steps(name, settings, start, grads)
    assert max(np.abs(w).max() for w in theirs) > 1e-3  # some weights go far
    assert_same_steps(ours, theirs, rtol=rtol)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("adam", partial(torch.optim.Adam, lr=1e-3, eps=1e-7)),
        ("adam", partial(KerasAdam, eps=1e-8)),  # torch's own number
        ("rmsprop", partial(KerasRMSprop, rho=0.99)),  # torch's own number
        ("rmsprop", partial(torch.optim.RMSprop, lr=1e-3, alpha=0.9, eps=1e-7)),
    ],
    ids=["adams epsilon after the correction", "adams epsilon", "rho", "rmsprops epsilon outside the root"],
)
def test_torchs_rule_is_seen(name: Name, broken: Any) -> None:
    start, grads = problem("float32")
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same_steps(our_steps(broken, start, grads), their_steps(name, {}, start, grads), rtol=1e-3)


def test_keras_on_tensorflow_squares_the_gradient_of_each_place_of_a_word(keras_backend: str) -> None:
    """Why `keras_optimizer` gives it whole gradients: a word that stands in two places goes farther there."""
    if keras_backend != "tensorflow":
        pytest.skip("JAX and torch add up the gradients of a word's places before the optimizer sees them")
    import keras
    import tensorflow as tf

    table = keras.Variable(np.zeros((3, 1), dtype=np.float32))
    twice = tf.IndexedSlices(tf.constant([[1.0], [1.0], [1.0]]), tf.constant([0, 0, 1]), tf.constant([3, 1]))
    keras.optimizers.RMSprop().apply([twice], [table])
    # lr * sum(g) / sqrt(0.1 * v): v is 1 + 1 for the first word, where the formula has (1 + 1)^2
    theirs = keras.ops.convert_to_numpy(table)[:, 0]
    np.testing.assert_allclose(theirs, [-2e-3 / 0.2**0.5, -1e-3 / 0.1**0.5, 0], rtol=1e-5)  # float32, and epsilon
    (ours,) = our_steps(KerasRMSprop, [np.zeros(3, dtype=np.float32)], [[np.array([2, 1, 0], dtype=np.float32)]])
    np.testing.assert_allclose(ours, [-2e-3 / 0.4**0.5, -1e-3 / 0.1**0.5, 0], rtol=1e-5)
