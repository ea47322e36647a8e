"""Models of any graph: read from a file, with every weight, and compared with the live model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.importing_graph import import_graph
from lit_models.keras.network import KerasNetwork
from lit_models.tasks.keras_graph import LitKeras
from tests.keras.beside import randomize
from tests.keras.graphs import MODELS
from tests.keras.stacks import keras_tests

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials")]

TASKS = {"shared": ("classification", 2), "translation": ("classification", 3), "frozen": ("classification", 2)}
TASKS |= {"augmented": ("classification", 5), "video": ("classification", 4)}
TASKS |= {"masked": ("regression", 1), "rows": ("regression", 2), "transformer": ("classification", 2)}


def imported(path: Path) -> tuple[LitKeras, Any, float]:
    """The module of a file, what was read, and the largest difference."""
    found = import_graph(path)
    module = LitKeras(**found.settings).eval()
    return module, found, found.transfer(module.network)


@pytest.mark.parametrize("suffix", [".keras", pytest.param(".h5", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", MODELS)
def test_a_file_becomes_a_network_with_the_same_outputs(name: str, suffix: str, tmp_path: Path) -> None:
    import keras

    if (name, suffix) == ("augmented", ".h5"):
        pytest.skip("Keras itself cannot save layers that change images at random in an .h5 file")
    model, inputs = MODELS[name](keras)
    path = tmp_path / f"model{suffix}"
    if name == "rows":
        model.compile("sgd", "mse")
    randomize(model).save(path)
    module, found, difference = imported(path)
    assert difference < 1e-5
    if name in TASKS:
        task, size = TASKS[name]
        assert (found.settings["task"], found.settings.get("num_classes", found.settings.get("num_targets"))) == (
            task,
            size,
        )
    network = module.network
    assert isinstance(network, KerasNetwork)
    values = list(inputs.values())
    theirs = np.asarray(model(values if len(values) > 1 else values[0], training=False))
    given = {key: torch.from_numpy(value) for key, value in inputs.items()}
    with torch.no_grad():
        outputs = network.computed(given)
        if network.num_outputs == 1 and outputs.shape[1] == 2:
            outputs = outputs[:, 1:] - outputs[:, :1]
        ours = module.predictions(outputs).numpy()
    if theirs.shape[1] == 1 and found.settings["task"] == "classification":
        ours = ours[:, 1:]
    if name != "translation":  # its outputs are logits, as it names no loss
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_a_network_comes_back_from_its_plain_settings(tmp_path: Path) -> None:
    import keras

    model, _ = MODELS["residual"](keras)
    randomize(model).save(tmp_path / "model.keras")
    module, _, _ = imported(tmp_path / "model.keras")
    torch.save({"settings": dict(module.hparams), "weights": module.state_dict()}, tmp_path / "plain.pt")
    content = torch.load(tmp_path / "plain.pt", weights_only=True)
    again = LitKeras(**content["settings"])
    again.load_state_dict(content["weights"])
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(again.eval()(images), module(images))


def test_a_frozen_base_keeps_its_weights_and_averages_in_training(tmp_path: Path) -> None:
    import keras

    model, _ = MODELS["frozen"](keras)
    randomize(model).save(tmp_path / "model.keras")
    module, found, _ = imported(tmp_path / "model.keras")
    assert found.settings["input_scale"] == 255
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.train()
    module(torch.rand(4, 3, 8, 8)).sum().backward()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad)
    changed = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if "base/" not in name}


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda k: [k.Lambda(lambda x: x)], "layer 'lambda' (Lambda) is not supported"),
        (
            lambda k: [k.Dense(3, name="wide", activity_regularizer="l2"), k.Hashing(3, name="hash")],
            "layer 'hash' (Hashing) is not supported: tables become numbers in the data here; save",
        ),
        (lambda k: [k.Reshape((3, 2)), k.Dense(3)], "the output has shape (3, 3); one row of numbers"),
        (
            lambda k: [k.Reshape((3, 2)), k.RNN(k.LSTMCell(3, kernel_regularizer="l2"), name="steps")],
            "layer 'steps' (RNN) has a cell with kernel_regularizer; this is supported in SimpleRNN, LSTM and GRU",
        ),
        (
            lambda k: [k.Reshape((3, 2)), k.RNN([k.LSTMCell(3), k.LSTMCell(2)], name="steps")],
            "layer 'steps' (StackedRNNCells) is not supported: use several layers of SimpleRNN, LSTM or GRU",
        ),
        (
            lambda k: [k.Reshape((3, 2)), k.LSTM(3, name="state", stateful=True)],
            "layer 'state' (LSTM) has stateful True",
        ),
    ],
)
def test_what_is_not_supported_is_named(make: Any, line: str, tmp_path: Path) -> None:
    import keras

    batch = 2 if "stateful" in line else None
    model = keras.Sequential([keras.Input((6,), batch_size=batch), *make(keras.layers)])
    model.save(path := tmp_path / "model.keras")
    with pytest.raises(KerasFileError, match=r".") as raised:
        import_graph(path)
    assert line in str(raised.value)
    assert str(raised.value).startswith(str(path))


def test_all_layers_that_are_not_supported_are_named_at_once(tmp_path: Path) -> None:
    import keras

    k = keras.layers
    layers = [k.Reshape((3, 2)), k.LSTM(3, name="first", stateful=True), k.Hashing(4, name="second")]
    keras.Sequential([keras.Input((6,), batch_size=2), *layers]).save(path := tmp_path / "model.keras")
    with pytest.raises(KerasFileError, match=r"'first' \(LSTM\) has stateful True.*'second' \(Hashing\) is not"):
        import_graph(path)


@pytest.mark.parametrize("name", ["residual", pytest.param("masked", marks=pytest.mark.slow)])
def test_a_wrong_weight_is_noticed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from datamodules.errors import UserError
    from lit_models.keras import importing_graph

    model, _ = MODELS[name](keras)
    randomize(model).save(path := tmp_path / "model.keras")
    load = importing_graph.load_graph

    def wrong(found: Any, network: KerasNetwork) -> Any:
        weights = load(found, network)
        with torch.no_grad():
            next(network.parameters()).mul_(1.01)
        return weights

    monkeypatch.setattr(importing_graph, "load_graph", wrong)
    with pytest.raises(UserError, match="the outputs differ from Keras' on random inputs by"):
        imported(path)


@pytest.mark.parametrize("inner", [True, False])
def test_an_output_layer_that_is_used_inside_too_is_refused(inner: bool, tmp_path: Path) -> None:
    """Its softmax is removed, and Keras' own outputs are compared without it: nothing else would notice."""
    import keras

    k = keras.layers
    x = inputs = keras.Input((3,))
    output = k.Dense(3, activation="softmax", name="out")
    x = output(x)
    if inner:
        x = output(k.Dense(3)(x))
        keras.Model(inputs, x).save(path := tmp_path / "model.keras")
    else:
        keras.Model(inputs, k.Add()([x, k.Dense(3)(x)])).save(path := tmp_path / "model.keras")
        assert import_graph(path).settings["num_classes"] == 3  # the Add is the output, and the softmax stays
        return
    with pytest.raises(KerasFileError, match="the output layer 'out' is used inside the model too"):
        import_graph(path)


def test_only_a_single_input_of_pixels_is_scaled(tmp_path: Path) -> None:
    import keras

    k = keras.layers
    image, row = keras.Input((4, 4, 1), name="image"), keras.Input((3,), name="row")
    x = k.Concatenate()([k.Flatten()(k.Rescaling(1 / 255)(image)), row])
    keras.Model([image, row], k.Dense(3, activation="softmax")(x)).save(path := tmp_path / "two.keras")
    assert import_graph(path).settings["input_scale"] == 1
    keras.Sequential([keras.Input((4, 4, 1)), k.Rescaling(1 / 255), k.Flatten(), k.Dense(3)]).save(path)
    assert import_graph(path).settings["input_scale"] == 255
    keras.Sequential([keras.Input((4, 4, 1)), k.ReLU(), k.Rescaling(1 / 255), k.Flatten(), k.Dense(3)]).save(path)
    assert import_graph(path).settings["input_scale"] == 1


def test_pixels_are_scaled_through_layers_that_change_images(tmp_path: Path) -> None:
    import keras

    MODELS["augmented"](keras).model.save(path := tmp_path / "model.keras")
    found = import_graph(path)
    assert found.settings["input_scale"] == 255
    assert any("random_flip" in note and "with other random numbers" in note for note in found.notes)
