"""The table of adapters: each names a network of this package and describes that network's own settings."""

import inspect

import pytest

import lit_models
from lit_models.keras.adapters import ADAPTERS, Adapter
from lit_models.keras.architecture import network_layers
from lit_models.keras.files.layers import READERS, Layer


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=lambda adapter: adapter.name)
def test_settings_come_back_from_the_layers_of_the_networks_defaults(adapter: Adapter) -> None:
    network_class = getattr(lit_models, adapter.name)
    parameters = inspect.signature(network_class).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    inputs = Layer("InputLayer", {"batch_shape": (None, *adapter.input_shape(defaults))})
    output = Layer("Dense", {"units": 10, "activation": "softmax"})
    layers = network_layers(adapter, defaults, inputs=inputs, output=output)
    settings = adapter.settings_from(layers)
    assert settings == {key: defaults[key] for key in settings}
    assert any(layer.kind in adapter.marks for layer in layers)
    assert {layer.kind for layer in layers} <= READERS.keys()
    assert adapter.training.keys() <= {p.name for p in parameters}
