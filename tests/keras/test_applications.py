"""Networks of `keras.applications` with random weights on small images: the same outputs as in Keras."""

import numpy as np
import pytest
import torch

from tests.keras.beside import network_of
from tests.keras.stacks import keras_tests

pytestmark = [*keras_tests, pytest.mark.slow]
SIDES = {
    **dict.fromkeys(("MobileNetV2", "MobileNetV3Small", "ResNet50", "VGG16", "DenseNet121", "EfficientNetB0"), 64),
    "InceptionV3": 96,
    "InceptionResNetV2": 96,
    "Xception": 80,
    "ConvNeXtTiny": 64,
}
"""Networks, and the height and width of the images."""


@pytest.mark.parametrize("name", SIDES)
def test_outputs_are_those_of_keras(name: str) -> None:
    import keras

    shape = (SIDES[name], SIDES[name], 3)
    settings = {"weights": None, "input_shape": shape, "classes": 10, "classifier_activation": None}
    model = getattr(keras.applications, name)(**settings)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if len(weight.shape) == 1:  # biases and averages are 0 or 1 at first
            values = np.asarray(weight) + 0.1 * rng.standard_normal(weight.shape)
            weight.assign(np.abs(values) + 0.01 if "variance" in weight.path else values)
    images = rng.standard_normal((2, *shape)).astype("float32")
    theirs = np.asarray(model(images, training=False))
    network = network_of(keras, model, torch.float32)
    with torch.no_grad():
        ours = network.computed({next(iter(network.inputs)): torch.from_numpy(images)}).numpy()
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()
    keras.backend.clear_session()
