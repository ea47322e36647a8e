"""Each layer beside the live one: outputs and all gradients in float64, training, and its first weights."""

from typing import Any

import numpy as np
import pytest
import torch

from lit_models.keras.layers import LAYERS, build_layer
from tests.keras.beside import assert_same, network_of, random_inputs, randomize
from tests.keras.layers.cases import CASES, QUICK
from tests.keras.stacks import keras_tests
from tests.parity.keras_runs import float64

pytestmark = keras_tests


SINGLE = {"LeakyReLU", "Activation leaky_relu", "Activation gelu", "Dense", "UpSampling2D bilinear"}
SINGLE |= {"Resizing bilinear 14", "Resizing bilinear 3"}
"""TensorFlow computes these with constants in float32, also on float64."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_outputs_and_gradients_are_those_of_keras(name: str) -> None:
    import keras

    shape, make = CASES[name]
    inputs = random_inputs({"x": shape})
    if "masked" in name or "Bidirectional" in name:
        inputs["x"][0, 3:] = inputs["x"][1, :4] = inputs["x"][2, 2:5] = 0  # steps that Masking leaves out
    if "Pooling3D" in name:  # TensorFlow has it in float32 only
        model = keras.Sequential([keras.Input(shape, name="x"), *make(keras.layers)])
        assert_same(keras, model, {"x": inputs["x"].astype("float32")}, tolerance=1e-5)
        return
    with float64():
        model = keras.Sequential([keras.Input(shape, name="x"), *make(keras.layers)])
        assert_same(keras, model, inputs, tolerance=1e-6 if name in SINGLE else 1e-10)


def test_every_layer_is_tried() -> None:
    import keras

    tried = {type(layer).__name__ for _, make in CASES.values() for layer in make(keras.layers)}
    elsewhere = {"Embedding", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"}
    elsewhere |= {"MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention", "Activation"}
    elsewhere |= {"SimpleRNNCell", "LSTMCell", "GRUCell"}  # inside RNN
    elsewhere |= {"LayerScale", "CustomScaleLayer"}  # of keras.applications
    assert set(LAYERS) - tried == elsewhere - tried


@pytest.mark.parametrize("masked", [False, True])
def test_batch_normalization_measures_and_keeps_averages_as_keras(masked: bool) -> None:
    import keras

    x = random_inputs({"x": (5, 4)})["x"]
    x[0, 2:] = 0
    with float64():
        layers = [keras.layers.Masking()] if masked else []
        model = keras.Sequential(
            [keras.Input((5, 4), name="x"), *layers, keras.layers.BatchNormalization(momentum=0.9)]
        )
        network = network_of(keras, randomize(model)).train()
        ours = [network.computed({"x": torch.from_numpy(x)}).detach().numpy() for _ in range(2)]
        theirs = [np.asarray(model(x, training=True)) for _ in range(2)]
        averages = [np.asarray(weight) for weight in model.layers[-1].non_trainable_weights]
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)
    kept = [array.read().detach().numpy() for _, array in network.arrays()][-2:]
    np.testing.assert_allclose(kept, averages, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("kind", "shape", "settings"),
    [
        ("Dropout", (50,), {"rate": 0.3}),
        ("Dropout", (50,), {"rate": 0.3, "noise_shape": [None, 1]}),
        ("SpatialDropout1D", (9, 50), {"rate": 0.3}),
        ("SpatialDropout2D", (3, 4, 50), {"rate": 0.3}),
        ("SpatialDropout3D", (2, 3, 4, 50), {"rate": 0.3}),
        ("GaussianDropout", (50,), {"rate": 0.3}),
        ("AlphaDropout", (50,), {"rate": 0.3}),
        ("GaussianNoise", (50,), {"stddev": 0.3}),
    ],
)
def test_what_is_drawn_in_training_is_spread_as_in_keras(kind: str, shape: Any, settings: dict[str, Any]) -> None:
    import keras

    x = np.random.default_rng(0).standard_normal((4000, *shape)) + 1
    layer = build_layer({"kind": kind, "settings": settings}, shape).train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = layer(torch.from_numpy(x)).numpy()
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    with float64():
        theirs = np.asarray(getattr(keras.layers, kind)(**given, seed=1)(x, training=True))
    places = tuple(range(1, x.ndim))
    for one, other in ((ours, theirs), (ours - x, theirs - x)):
        # 200,000 values and more; values that are dropped together count as one, 4,000 are left
        assert one.mean() == pytest.approx(other.mean(), abs=0.05)
        assert one.std() == pytest.approx(other.std(), rel=0.05)
        assert one.mean(places).std() == pytest.approx(other.mean(places).std(), rel=0.08)
    dropped = (ours == 0).mean()
    assert dropped == pytest.approx((theirs == 0).mean(), abs=0.02)


def test_masked_steps_of_a_convolutional_recurrence_keep_its_state() -> None:
    """Masking gives one mask a pixel, so the mask is given by hand."""
    import keras

    x = random_inputs({"x": (5, 6, 2)})["x"]
    mask = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 0, 1], [1, 0, 1, 1, 1]], bool)
    with float64():
        live = keras.layers.ConvLSTM1D(3, 2, padding="same", return_sequences=True, return_state=True)
        model = keras.Sequential([keras.Input((5, 6, 2)), live])
        randomize(model)
        theirs = [np.asarray(part) for part in live(x, mask=mask)]
    settings = {"filters": 3, "kernel_size": 2, "padding": "same", "return_sequences": True, "return_state": True}
    layer = build_layer({"kind": "ConvLSTM1D", "settings": settings}, (5, 6, 2)).double()
    with torch.no_grad():
        for array, weight in zip(layer.arrays(), live.weights, strict=True):
            array.write(torch.from_numpy(np.asarray(weight)))
        ours = layer(torch.from_numpy(x), masks=[torch.from_numpy(mask)])
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
def test_dropout_of_a_convolutional_recurrence_is_spread_as_in_keras(name: str) -> None:
    import keras

    x = np.random.default_rng(0).standard_normal((3000, 3, 4, 2)) + 1
    with float64():
        live = keras.layers.ConvLSTM1D(3, 2, **{name: 0.4})
        model = randomize(keras.Sequential([keras.Input((3, 4, 2)), live]))
        theirs = np.asarray(model(x, training=True))
    settings = {"filters": 3, "kernel_size": 2, name: 0.4}
    layer = build_layer({"kind": "ConvLSTM1D", "settings": settings}, (3, 4, 2)).double().train()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for array, weight in zip(layer.arrays(), live.weights, strict=True):
            array.write(torch.from_numpy(np.asarray(weight)))
        ours = layer(torch.from_numpy(x), masks=[None]).numpy()
        plain = layer.eval()(torch.from_numpy(x), masks=[None]).numpy()
    assert not np.allclose(ours, plain)
    assert (ours - plain).std() == pytest.approx((theirs - plain).std(), rel=0.05)
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=0.02)  # 4 standard errors


FIRST: dict[str, tuple[Any, dict[str, Any]]] = {
    "Dense": ((30,), {"units": 40}),
    "Conv2D": ((9, 9, 30), {"filters": 40, "kernel_size": 3}),
    "Embedding": ((7,), {"input_dim": 50, "output_dim": 30}),
    "LSTM": ((7, 30), {"units": 40}),
    "BatchNormalization": ((30,), {}),
    "DepthwiseConv2D": ((9, 9, 30), {"kernel_size": 3}),
    "SeparableConv2D": ((9, 9, 30), {"filters": 40, "kernel_size": 3}),
    "Conv2DTranspose": ((9, 9, 30), {"filters": 40, "kernel_size": 3}),
    "EinsumDense": ((30,), {"equation": "ab,bc->ac", "output_shape": 40}),
}


@pytest.mark.parametrize("kind", FIRST)
def test_first_weights_are_spread_as_in_keras(kind: str) -> None:
    import keras

    shape, settings = FIRST[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        arrays = [
            array.read().detach().numpy() for array in build_layer({"kind": kind, "settings": settings}, shape).arrays()
        ]
    keras.utils.set_random_seed(0)
    layer = getattr(keras.layers, kind)(**settings)
    layer.build((None, *shape))
    for one, other in zip(arrays, (np.asarray(weight) for weight in layer.weights), strict=True):
        assert one.mean() == pytest.approx(other.mean(), abs=0.05)
        assert one.std() == pytest.approx(other.std(), rel=0.1)
        assert np.abs(one).max() == pytest.approx(np.abs(other).max(), rel=0.2)  # of a few hundred draws
