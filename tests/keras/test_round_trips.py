"""Whole Keras models become networks and Keras files again: settings, weights and outputs stay the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_models.keras.comparison import network_outputs, random_inputs
from lit_models.keras.exporting import export_model, exported_layers
from lit_models.keras.importing import check_outputs, import_model
from lit_models.keras.live import build_saved, computed, inputs_as_saved
from tests.keras.stacks import STACKS, keras_tests, network_of, with_noise

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials")]


def probabilities(outputs: Any, activation: str) -> Any:
    """The probability of each class, in numpy, from the outputs of a model that ends with `activation`."""
    if activation == "linear":
        e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs = 1 / (1 + np.exp(-outputs)) if outputs.shape[1] == 1 else e / e.sum(axis=1, keepdims=True)
    return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", STACKS)
def test_the_network_gives_the_probabilities_of_the_keras_model(name: str, suffix: str, tmp_path: Path) -> None:
    import keras

    stack = STACKS[name]
    theirs = with_noise(stack.build())
    theirs.save(path := tmp_path / f"model{suffix}")
    imported = import_model(path)
    assert imported.adapter.name == stack.model
    assert imported.settings | stack.settings == imported.settings
    for array, weight in zip(imported.arrays, theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(array, weight)
    module = network_of(imported)
    inputs = random_inputs(imported.layers, imported.dtype)
    outputs = keras.ops.convert_to_numpy(theirs(inputs, training=False))
    expected = probabilities(outputs, theirs.layers[-1].get_config().get("activation", "softmax"))
    logits, ours = network_outputs(module.network, inputs)
    # float32 sums of at most 576 terms of order 1 in another order, of which a probability keeps a quarter
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(ours, module.predictions(torch.from_numpy(logits)).numpy())
    assert expected.std(axis=0).max() > 1e-3, "the outputs must depend on the inputs"
    assert check_outputs(imported, module.network) <= 1e-5
    # The same operations in the same order, on the same numbers.
    again = build_saved(keras, imported.saved, imported.arrays, imported.dtype)
    np.testing.assert_array_equal(computed(keras, again, inputs_as_saved(inputs, imported.saved)), outputs)


@pytest.mark.parametrize("name", STACKS)
def test_an_exported_network_comes_back_with_its_settings_and_every_bit(name: str, tmp_path: Path) -> None:
    with_noise(model := STACKS[name].build()).save(tmp_path / "model.keras")
    module = network_of(import_model(tmp_path / "model.keras"))
    settings = dict(module.hparams)
    export_model(module.network, tmp_path / "again.keras", model=type(module).__name__, settings=settings)
    again = import_model(tmp_path / "again.keras")
    back = network_of(again)
    assert dict(back.hparams) == dict(module.hparams)
    ours, theirs = module.state_dict(), back.state_dict()
    assert ours.keys() == theirs.keys()
    for key, weight in ours.items():
        assert weight.dtype == theirs[key].dtype
        assert weight.equal(theirs[key]), key
    assert model.count_params() >= sum(array.size for array in again.arrays)


def test_an_exported_layer_has_the_settings_of_the_imported_one(tmp_path: Path) -> None:
    STACKS["the first CIFAR-10 example"].build().save(path := tmp_path / "model.keras")
    imported = import_model(path)
    module = network_of(imported)
    theirs = [(layer.kind, layer.settings) for layer in imported.layers]
    assert [(layer.kind, layer.settings) for layer in exported_layers("LitCNN", dict(module.hparams))] == theirs
