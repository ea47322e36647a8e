"""The comparison with Keras, layer by layer: a row for each layer, and the first layer that differs is named."""

from pathlib import Path

import pytest
import torch

from datamodules.errors import UserError
from lit_models.keras.importing_graph import check_graph, import_graph, load_graph
from lit_models.keras.network import KerasNetwork
from lit_models.tasks.keras_graph import LitKeras
from tests.keras.beside import randomize
from tests.keras.graphs import MODELS
from tests.keras.stacks import keras_tests

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials")]


@pytest.mark.parametrize("name", ["residual", "transformer", *(pytest.param("shared", marks=pytest.mark.slow),)])
def test_outputs_and_gradients_of_each_layer_are_those_of_keras(name: str, tmp_path: Path) -> None:
    import keras

    model, _ = MODELS[name](keras)
    randomize(model).save(tmp_path / "model.keras")
    found = import_graph(tmp_path / "model.keras")
    network = LitKeras(**found.settings).network
    assert isinstance(network, KerasNetwork)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    difference = found.transfer(network)
    layers = [call for call in found.settings["graph"] if call.get("kind", "InputLayer") != "InputLayer"]
    assert [row.name for row in found.proof] == [call["name"] for call in layers]
    assert all(row.output is None or row.output < 1e-5 for row in found.proof)
    assert sum(row.output is not None for row in found.proof) > len(layers) // 2
    trained = [row for row in found.proof if any(p.requires_grad for p in network.layers[row.name].parameters())]
    assert trained
    assert all(row.gradient is not None and row.gradient < 1e-4 for row in trained)
    assert sum(row.parameters for row in found.proof) == sum(p.numel() for p in network.parameters())
    assert 0 < difference < 1e-5
    assert before.keys() == network.state_dict().keys()
    load_graph(found, other := KerasNetwork(found.settings["graph"], outputs=found.settings["outputs"], num_outputs=0))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


def test_the_first_layer_that_differs_is_named(tmp_path: Path) -> None:
    import keras

    model, _ = MODELS["residual"](keras)
    randomize(model).save(tmp_path / "model.keras")
    found = import_graph(tmp_path / "model.keras")
    network = LitKeras(**found.settings).network
    assert isinstance(network, KerasNetwork)
    load_graph(found, network)
    name = next(call["name"] for call in found.settings["graph"] if call.get("kind") == "SeparableConv2D")
    with torch.no_grad():
        next(iter(network.layers[name].parameters())).mul_(1.5)
    with pytest.raises(UserError, match=rf"by \d\S* \(allowed: \d\S*\); the first layer that differs is '{name}', by "):
        check_graph(found, network)
