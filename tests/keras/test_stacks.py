"""Whole Keras models beside the networks that they become, and back: settings, weights, outputs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_models.export.keras import export_keras, network_outputs
from lit_models.keras.architecture import exported_layers
from lit_models.keras.models import as_saved, build_saved, computed, random_inputs
from lit_models.keras_import import build, read_file
from tests.keras.stacks import STACKS, keras_tests, with_noise

pytestmark = keras_tests


def probabilities(outputs: Any, activation: str) -> Any:
    """Of each class, from a model that ends with `activation`; in numpy."""
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
    architecture, arrays = read_file(path, None, None)
    assert architecture.model == stack.model
    assert architecture.settings | stack.settings == architecture.settings
    for ours, saved in zip(arrays, theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, saved)
    module = build(path, architecture, arrays, None)
    inputs = random_inputs(architecture.layers, architecture.dtype)
    expected = keras.ops.convert_to_numpy(theirs(inputs, training=False))
    found = network_outputs(module)(inputs)[1]
    wanted = probabilities(expected, theirs.layers[-1].get_config().get("activation", "softmax"))
    # float32 sums of at most 576 terms of order 1 in another order, of which a probability keeps a quarter
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    assert wanted.std(axis=0).max() > 1e-3, "inputs make a difference"
    # The same operations in the same order, on the same numbers.
    again = build_saved(keras, architecture.saved, arrays, architecture.dtype)
    np.testing.assert_array_equal(computed(keras, again, as_saved(inputs, architecture.saved)), expected)


@pytest.mark.parametrize("name", STACKS)
def test_an_exported_network_comes_back_with_its_settings_and_every_bit(name: str, tmp_path: Path) -> None:
    with_noise(model := STACKS[name].build()).save(tmp_path / "model.keras")
    architecture, arrays = read_file(tmp_path / "model.keras", None, None)
    module = build(tmp_path, architecture, arrays, None)
    export_keras(module, tmp_path / "again.keras")
    again, kept = read_file(tmp_path / "again.keras", None, None)
    back = build(tmp_path, again, kept, None)
    assert dict(back.hparams) == dict(module.hparams)
    ours, theirs = module.state_dict(), back.state_dict()
    assert ours.keys() == theirs.keys()
    for key, weight in ours.items():
        assert weight.dtype == theirs[key].dtype
        assert weight.equal(theirs[key]), key
    assert model.count_params() >= sum(array.size for array in kept)


def test_an_exported_layer_has_the_settings_of_the_imported_one(tmp_path: Path) -> None:
    STACKS["the first CIFAR-10 example"].build().save(path := tmp_path / "model.keras")
    architecture, arrays = read_file(path, None, None)
    module = build(path, architecture, arrays, None)
    theirs = [(layer.kind, layer.settings) for layer in architecture.layers]
    assert [(layer.kind, layer.settings) for layer in exported_layers("LitCNN", dict(module.hparams))] == theirs
