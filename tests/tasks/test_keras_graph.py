"""LitKeras trains a Keras graph as Keras' own `fit` does, through the command line and step by step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_models.keras.importing_graph import import_graph
from lit_models.keras.network import KerasNetwork
from lit_models.keras.rules.optimizers import KerasAdam
from lit_models.tasks.keras_graph import LitKeras
from lit_models.testing import check_model
from tests.keras.beside import named_layers, randomize
from tests.keras.graphs import MODELS
from tests.keras.stacks import keras_tests
from tests.parity.conftest import keras_backend as keras_backend
from tests.parity.keras_runs import float64, keras_optimizer

pytestmark = keras_tests

ROWS = [
    {"name": "row", "kind": "InputLayer", "settings": {"shape": [4]}},
    {"name": "dense", "kind": "Dense", "settings": {"units": 5, "activation": "tanh"}, "reads": ["row"]},
    {"name": "norm", "kind": "LayerNormalization", "settings": {}, "reads": ["dense"]},
    {"name": "sum", "kind": "Add", "settings": {}, "reads": ["norm", "dense"]},
    {"name": "output", "kind": "Dense", "settings": {"units": 3}, "reads": ["sum"]},
]
STEPS = 20


def test_it_keeps_the_contract_of_a_model() -> None:
    batch = (torch.randn(6, 4), torch.randint(0, 3, (6,)))
    report = check_model(LitKeras, settings={"graph": ROWS, "outputs": "output", "num_classes": 3}, batch=batch)
    assert "outputs_are_finite" in report.passed or len(report.passed) > 5


@pytest.mark.parametrize(
    "name", ["residual", *(pytest.param(name, marks=pytest.mark.slow) for name in ("transformer", "rows", "series"))]
)
def test_further_steps_are_those_of_keras(name: str, tmp_path: Path) -> None:
    """In float64, without dropout, whose draws differ."""
    import keras

    rng = np.random.default_rng(6)
    with float64():
        model, inputs = MODELS[name](keras)
        randomize(model)
        for layer in named_layers(keras, model).values():
            quiet(layer)
        ((key, value),) = inputs.items()
        value = value if value.dtype.kind == "i" else value.astype("float64")
        units = model.output_shape[-1]
        target = rng.standard_normal((len(value), units)) if name == "rows" else rng.integers(0, units, len(value))
        model.compile(
            keras_optimizer("adam", learning_rate=0.01), "mse" if name == "rows" else "sparse_categorical_crossentropy"
        )
        model.save(path := tmp_path / "model.keras")
        module = LitKeras(**import_graph(path).settings)
        import_graph(path).transfer(module.network)
        losses = [float(model.train_on_batch(value, target)) for _ in range(STEPS)]
        theirs = {n: [np.asarray(w) for w in layer.weights] for n, layer in named_layers(keras, model).items()}
    assert trained(module, key, value, target) == pytest.approx(losses, rel=1e-9)
    ours: dict[str, list[Any]] = {}
    network = module.network
    assert isinstance(network, KerasNetwork)
    for layer, array in network.arrays():
        ours.setdefault(layer, []).append(array.read().detach().numpy())
    for layer, arrays in ours.items():
        for one, other in zip(arrays, theirs[layer], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


def quiet(layer: Any) -> None:
    """Takes from a Keras layer what is drawn in training, and penalties on weights, which an import names and drops."""
    for setting in ("rate", "stddev", "_dropout"):
        if isinstance(getattr(layer, setting, None), float):
            setattr(layer, setting, 0.0)
    if getattr(layer, "kernel_regularizer", None):
        layer.kernel_regularizer = layer.kernel.regularizer = None


def trained(module: LitKeras, name: str, inputs: Any, target: Any) -> list[float]:
    """The mean loss of each step."""
    network, losses = module.network.train(), []
    assert isinstance(network, KerasNetwork)
    assert module.hparams["optimizer"] == "keras_adam"
    optimizer = KerasAdam([w for w in network.parameters() if w.requires_grad], lr=module.hparams["lr"])
    for _ in range(STEPS):
        optimizer.zero_grad()
        outputs = network.computed({name: torch.from_numpy(inputs)})
        if network.num_outputs == 1 and outputs.shape[1] == 2:
            outputs = outputs[:, 1:] - outputs[:, :1]
        loss = module.target.sample_losses(outputs, torch.from_numpy(target)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    return losses
