"""The multilayer perceptron, held against its formulas in numpy."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import yaml

from lit_models.keras.rules.optimizers import KerasAdam
from lit_models.mlp import MLP, LitMLP

ROOT = Path(__file__).parent.parent
Activation = Literal["sigmoid", "tanh", "relu"]
FORMULAS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
}

SMALL = [{"num_features": 4, "num_classes": 3, "hidden_sizes": [5, 6], "dropout": 0.1}]
"""Settings of small models, which `tests/test_models.py` checks."""


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("hidden_sizes", [[], [4], [7, 3]])
def test_the_logits_are_those_of_the_formulas(activation: Activation, hidden_sizes: list[int]) -> None:
    network = MLP(5, hidden_sizes, 3, activation=activation).double()
    inputs = torch.randn(6, 5, dtype=torch.float64)
    x = inputs.numpy()
    for layer in network.hidden:
        assert isinstance(layer, torch.nn.Linear)
        x = FORMULAS[activation](x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())
    theirs = x @ network.output.weight.detach().numpy().T + network.output.bias.detach().numpy()
    # float64 with sums of at most 7 terms of order 1: rounding stays below 1e-14
    np.testing.assert_allclose(network(inputs).detach().numpy(), theirs, rtol=1e-12, atol=1e-13)


def test_no_hidden_size_is_logistic_regression() -> None:
    model = LitMLP(num_features=3, num_classes=2, hidden_sizes=[])
    assert {name: p.shape for name, p in model.named_parameters()} == {
        "network.output.weight": (1, 3),
        "network.output.bias": (1,),
    }


def test_inputs_of_any_shape_are_flattened() -> None:
    network = MLP(24, [4], 3)
    images = torch.randn(2, 1, 6, 4)
    assert torch.equal(network(images), network(images.reshape(2, 24)))


def test_the_defaults_are_two_hidden_layers_for_mnist() -> None:
    model = LitMLP()
    sizes = [784, 256, 128, 10]
    assert sum(p.numel() for p in model.parameters()) == sum((n + 1) * m for n, m in pairwise(sizes))
    assert model.hparams["loss"] is None  # cross-entropy
    assert model.target.loss == "cross_entropy"
    assert isinstance(model.configure_optimizers(), KerasAdam)


def test_the_xor_config_is_the_numpy_programs_recipe() -> None:
    settings = yaml.safe_load((ROOT / "configs" / "xor_mlp.yaml").read_text())["model"]["init_args"]
    model = LitMLP(**settings, num_features=2, num_classes=2)
    assert sum(p.numel() for p in model.parameters()) == (2 * 4 + 4) + (4 * 1 + 1)
    wanted = {"loss": "half_squared_error", "optimizer": "sgd", "lr": 0.1, "init": "normal", "activation": "sigmoid"}
    assert {name: model.hparams[name] for name in wanted} == wanted
    assert model.target.sums_over_batch
    assert isinstance(model.configure_optimizers(), torch.optim.SGD)


def test_three_classes_have_three_logits() -> None:
    assert LitMLP(num_features=2, num_classes=3)(torch.zeros(5, 2)).shape == (5, 3)


def test_normal_weights_and_biases_are_standard_normal() -> None:
    torch.manual_seed(0)
    model = LitMLP(num_features=300, num_classes=300, hidden_sizes=[300], init="normal")
    for name, drawn in model.named_parameters():
        # 5 standard errors: of the mean 1 / sqrt(n), of the variance sqrt(2 / n)
        assert abs(drawn.mean().item()) < 5 / math.sqrt(drawn.numel()), name
        assert abs(drawn.var().item() - 1) < 5 * math.sqrt(2 / drawn.numel()), name


def test_keras_weights_are_glorot_uniform_with_zero_biases() -> None:
    model = LitMLP(num_features=200, num_classes=10, hidden_sizes=[100], init="keras")
    weights = dict(model.named_parameters())
    for name, fans in {"network.hidden.0": 200 + 100, "network.output": 100 + 10}.items():
        limit = math.sqrt(6 / fans)
        largest = weights[f"{name}.weight"].abs().max().item()
        # the largest of 1,000 uniform draws is below 0.97 of the limit once in 1 / 0.97^1000 = 1.7e13
        assert 0.97 * limit < largest <= limit * (1 + 1e-6)  # the limit itself is rounded to float32
        assert torch.equal(weights[f"{name}.bias"], torch.zeros_like(weights[f"{name}.bias"]))


def test_dropout_drops_hidden_units_in_training_only() -> None:
    torch.manual_seed(0)
    network = MLP(2, [1000], 1, activation="sigmoid", dropout=0.25)
    torch.nn.init.zeros_(network.hidden[0].weight)  # type: ignore[arg-type]
    torch.nn.init.constant_(network.hidden[0].bias, math.log(3))  # type: ignore[arg-type]
    torch.nn.init.ones_(network.output.weight)
    torch.nn.init.zeros_(network.output.bias)
    inputs = torch.zeros(1, 2)
    # every unit is sigmoid(ln 3) = 3/4; a kept one counts 3/4 / (1 - 1/4) = 1, a dropped one 0
    kept = network(inputs).item()
    assert kept == pytest.approx(round(kept), abs=1e-3)  # a sum of 1,000 numbers in float32
    assert abs(kept - 750) < 5 * math.sqrt(1000 * 0.25 * 0.75)  # 5 standard deviations
    network.eval()
    assert network(inputs).item() == pytest.approx(1000 * 3 / 4, abs=1e-3)


@pytest.mark.parametrize(
    ("num_features", "hidden_sizes"),
    [(0, [4]), (2, [0]), (2, [4, -1])],
)
def test_a_size_below_one_is_refused(num_features: int, hidden_sizes: list[int]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole message is compared)
        LitMLP(num_features=num_features, hidden_sizes=hidden_sizes)
    wanted = f"num_features and hidden_sizes must be at least 1, got {num_features} and {hidden_sizes}"
    assert str(caught.value) == wanted


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_dropout_out_of_range_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match=f"^dropout must be 0 to below 1, got {dropout}$"):
        LitMLP(dropout=dropout)
