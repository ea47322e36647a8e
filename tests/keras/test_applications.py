"""Networks of `keras.applications` with random weights on small images: the same outputs and steps as in Keras."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lit_models.keras.importing_graph import import_graph
from lit_models.keras.network import KerasNetwork
from lit_models.tasks.keras_graph import LitKeras
from tests.keras.beside import floats, named_layers, network_of
from tests.keras.optimizers import exact_numbers
from tests.keras.stacks import keras_tests
from tests.parity.keras_runs import float64

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


LONG = [("ResNet50", 2**-20), ("DenseNet121", 2**-12)]


@pytest.mark.parametrize(
    ("name", "lr"), [("MobileNetV2", 2**-12), *(pytest.param(*case, marks=pytest.mark.long) for case in LONG)]
)
def test_twenty_further_steps_are_those_of_keras(name: str, lr: float, tmp_path: Path) -> None:
    """In float64, from a file of a model that was trained for two steps, with its optimizer's state.

    The images and the batch are so large, and the steps so small, that rounding does not grow in the few numbers that a
    normalization sees in the last maps: with 4 images of 32 x 32 it grows a hundredfold from step to step.
    """
    import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(1)
    images, target = rng.standard_normal((8, 64, 64, 3)), np.arange(8) % 5
    with float64(), exact_numbers():
        model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=5)
        model.compile(keras.optimizers.SGD(lr, momentum=0.875), "sparse_categorical_crossentropy")
        for _ in range(2):
            model.train_on_batch(images, target)
        model.save(path := tmp_path / "model.keras")
        imported = import_graph(path)
        module = LitKeras(**imported.settings)
        imported.transfer(module.network)
        losses = [float(model.train_on_batch(images, target)) for _ in range(20)]
        layers = named_layers(keras, model)
        theirs = {layer: iter([np.asarray(w) for w in floats(layers[layer])]) for layer in layers}
    assert (imported.steps, imported.notes) == (2, [])
    optimizer = module.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Optimizer)
    imported.load_state(optimizer, module.network)
    network = module.network.train()
    assert isinstance(network, KerasNetwork)
    ours = []
    for _ in range(20):
        optimizer.zero_grad()
        outputs = network.computed({next(iter(network.inputs)): torch.from_numpy(images)})
        loss = module.target.sample_losses(outputs, torch.from_numpy(target)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        ours.append(loss.item())
    assert ours == pytest.approx(losses, rel=1e-9)
    assert losses[-1] < 0.9 * losses[0]
    for layer, array in network.arrays():  # Keras has the layers in another order
        one, other = array.read().detach().numpy(), next(theirs[layer])
        # some moving averages are zero except for rounding
        assert np.abs(one - other).max() <= 1e-9 * max(1e-3, np.abs(other).max()), (layer, array.name)
    keras.backend.clear_session()
