"""Which network a Keras model becomes: its output, its dropout, its input, and notes about what differs."""

from pathlib import Path
from typing import Any

import pytest

from lit_models.keras.adapters import ADAPTERS
from lit_models.keras.architecture import compare, understand
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.layers import Layer
from lit_models.keras.importing import import_model
from tests.keras.stacks import FLAT, cell, conv, dense, drop, embed, keras_tests, named, refusal, saved_json, sequential

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials")]

IMAGE, OUT = (12, 12, 1), dense(3, "softmax")


def test_a_linear_output_that_was_trained_for_regression_is_refused(tmp_path: Path) -> None:
    import keras

    model = sequential((5,), named(dense(1)))
    for suffix in (".keras", ".h5"):
        model.compile("adam", "mse")
        path = tmp_path / f"model{suffix}"
        text = "the loss on the linear layer 'it' (Dense) is mse; LitMLP supports cross-entropy"
        assert refusal(model, path) == text
        model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
        model.save(path)
        assert import_model(path).settings["num_classes"] == 2


def test_linear_outputs_that_were_trained_as_labels_of_their_own_are_refused(tmp_path: Path) -> None:
    import keras

    model = sequential((5,), named(dense(3)))
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"model{suffix}"
        for loss, name in (
            (keras.losses.BinaryCrossentropy(from_logits=True), "BinaryCrossentropy"),
            ("binary_crossentropy", "binary_crossentropy"),
        ):
            model.compile("adam", loss)
            text = f"the loss on the 3 linear outputs of layer 'it' (Dense) is {name}, so each output is a separate"
            assert refusal(model, path) == f"{text} label; LitMLP predicts one class of several"
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.save(path)
        assert import_model(path).settings["num_classes"] == 3


def test_a_linear_output_without_a_loss_is_noted() -> None:
    content = saved_json(dense(4, "relu"), named(dense(3)))
    text = "the file names no loss; the linear outputs of layer 'it' (Dense) are read as logits of classes"
    assert understand(content).notes == [text]
    assert understand({**content, "compile_config": {"loss": "categorical_crossentropy"}}).notes == []


def test_a_row_that_is_an_image_in_between_stays_a_row() -> None:
    reshape = ("Reshape", {"target_shape": (2, 2, 3)})
    architecture = understand(saved_json(reshape, FLAT, dense(4, "relu"), OUT, shape=(12,)))
    assert architecture.settings["num_features"] == 12
    assert [layer.kind for layer in architecture.layers] == ["InputLayer", "Dense", "Dense"]
    assert architecture.layers[0].settings["batch_shape"] == (None, 12)


def test_an_input_of_open_size_is_refused(tmp_path: Path) -> None:
    """Keras builds no Dense after a Flatten of unknown size, but a file can contain one."""
    content = saved_json(FLAT, dense(4, "relu"), OUT, shape=(4, 3))
    content["config"]["layers"][0]["config"]["batch_shape"] = [None, None, 3]
    with pytest.raises(KerasFileError) as caught:
        understand(content)
    assert str(caught.value) == "the input has shape (None, 3); LitMLP needs a fixed size"


def test_an_unknown_padding_is_refused() -> None:
    content = saved_json(named(conv(2)), FLAT, OUT, shape=IMAGE)
    content["config"]["layers"][1]["config"]["padding"] = "causal"
    with pytest.raises(KerasFileError) as caught:
        understand(content)
    assert str(caught.value) == "layer 'it' (Conv2D) has padding 'causal'; valid and same are supported"


def test_a_model_with_fewer_or_more_layers_than_the_network_is_refused() -> None:
    adapter = ADAPTERS["LitMLP"]
    inputs, output = Layer("InputLayer", {"batch_shape": (None, 5)}), Layer("Dense", {"units": 3}, "it")
    for in_file, expected, text in (
        ([inputs], [inputs, output], "the model ends where LitMLP has Dense"),
        ([inputs, output], [inputs], "the model has the layer 'it' (Dense) where LitMLP ends"),
    ):
        with pytest.raises(KerasFileError) as caught:
            compare(in_file, expected, adapter)
        assert str(caught.value) == f"{text}; LitMLP consists of {adapter.built_of}"


def test_another_network_than_the_given_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model = sequential(IMAGE, conv(2), FLAT, OUT)
    text = "the model has a layer of class Conv2D, so it is a LitCNN, not a LitRNN"
    assert refusal(model, path, model="LitRNN") == text
    assert import_model(path, model="LitCNN").adapter.name == "LitCNN"


def test_a_given_rate_of_dropout_replaces_all_rates_of_the_file(tmp_path: Path) -> None:
    model = sequential(
        (9,),
        embed(),
        ("SpatialDropout1D", {"rate": 0.2}),
        cell("LSTM", 4, dropout=0.2, recurrent_dropout=0.1),
        drop(0.7),
        OUT,
    )
    model.save(path := tmp_path / "model.keras")
    imported = import_model(path, dropout=0.4)
    assert imported.settings["dropout"] == 0.4
    assert imported.notes == ["LitRNN has dropout 0.4 in its own places; the rates of the file are dropped"]


def test_a_rate_of_dropout_without_a_place_is_refused() -> None:
    with pytest.raises(KerasFileError) as caught:
        understand(saved_json(OUT), dropout=0.3)
    assert str(caught.value) == "--dropout 0.3 has no effect: LitMLP has no dropout here; leave it out"
    assert understand(saved_json(OUT), dropout=0.0).settings["dropout"] == 0.0


def test_what_is_left_out_is_noted(tmp_path: Path) -> None:
    import keras

    keras.utils.clear_session()  # otherwise the numbers in the layers' names depend on earlier tests
    regular = named(dense(4, "relu", kernel_regularizer="l2"), "regular")
    model = sequential(
        (28, 28), ("Rescaling", {"scale": 1 / 255, "name": "scale"}), FLAT, regular, named(dense(2, "softmax"), "out")
    )
    model.get_layer("out").trainable = False
    model.compile(keras.optimizers.Adafactor(0.1), "sparse_categorical_crossentropy")
    model.save(path := tmp_path / "model.keras")
    assert import_model(path).notes == [
        "layer 'scale' (Rescaling) is left out: images are scaled to 0…1 here already",
        "the two outputs of layer 'out' (Dense) become one, their difference; the probabilities are the same",
        "layers that are frozen in Keras are trainable here: 'out'",
        "regularizers and constraints of layers are dropped (--model LitKeras keeps them): 'regular'",
        "the file's optimizer 'adafactor' is replaced by keras_adam, lr 0.001",
    ]


@pytest.mark.parametrize(
    ("layers", "shape", "expected"),
    [
        ([dense(4, "relu")], (5,), {"optimizer": "keras_adam", "init": "keras", "loss": "cross_entropy"}),
        ([conv(2), FLAT], IMAGE, {"optimizer": "keras_adam"}),
        ([embed(), cell("GRU", 3)], (9,), {"optimizer": "keras_rmsprop"}),
    ],
    ids=["LitMLP", "LitCNN", "LitRNN"],
)
def test_a_model_that_was_not_compiled_trains_on_as_the_keras_program_of_its_network(
    layers: list[tuple[str, dict[str, Any]]], shape: tuple[int, ...], expected: dict[str, Any]
) -> None:
    settings = understand(saved_json(*layers, OUT, shape=shape)).settings
    training = {key: settings[key] for key in ("optimizer", "lr", "init", "loss") if key in settings}
    assert training == {"lr": 0.001, **expected}
